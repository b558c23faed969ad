"""dynamoxy: declared models over a core in Rust, asyncio only. It needs CPython 3.12."""

from __future__ import annotations

from datetime import datetime

import dynamoxy
from dynamoxy import Attr, partition_key, sort_key

from benchmarks import sample
from benchmarks.libraries.base import Library
from benchmarks.sample import SEGMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation

KEYS = [(sample.MERCHANT, sample.name(n)) for n in range(100)]


def payment_model(table: str) -> Any:
    """The payment over one table. Its version belongs to the library, as in DynamORM's."""

    class Payment(dynamoxy.Model, table=f"iso-{table}"):
        merchant_id: Attr[str] = partition_key()
        id: Attr[str] = sort_key()
        idempotency_key: Attr[str]
        amount: Attr[int]
        currency: Attr[str]
        status: Attr[str]
        created_at: Attr[datetime]
        version: Attr[int] = dynamoxy.version()
        tags: Attr[list[str]]
        metadata: Attr[dict[str, str]]

    return Payment


def wide_model() -> Any:
    """The item of 60 attributes."""
    members = sample.wide_members(Attr, partition_key(), __name__)
    metaclass: Any = type(dynamoxy.Model)
    return metaclass("Wide", (dynamoxy.Model,), members, table="iso-wide")


def blob_model(size: int) -> Any:
    """The item of one long text."""

    class Blob(dynamoxy.Model, table=f"iso-blob-{size}"):
        id: Attr[str] = partition_key()
        data: Attr[str]

    return Blob


class Dynamoxy(Library):
    """dynamoxy with its defaults."""

    face = "async"

    async def start(self) -> None:
        credentials = dynamoxy.Credentials(sample.KEY_ID, sample.SECRET)
        self.client = dynamoxy.Client(region=sample.REGION, endpoint_url=self.endpoint, credentials=credentials)
        await self.client.connect()
        self.model = payment_model("payments")
        self.payments = self.client.repository(self.model)

    async def stop(self) -> None:
        await self.client.close()

    def get(self) -> Operation:
        return lambda: self.payments.get(sample.MERCHANT, sample.name(1))

    def put(self) -> Operation:
        one = sample.payment_of(self.model, 1)
        return lambda: self.payments.put(one)

    def update(self) -> Operation:
        model, loaded = self.model, None

        async def update() -> Any:
            nonlocal loaded
            if loaded is None:
                loaded = await self.payments.get(sample.MERCHANT, sample.name(1))
            actions = model.status.set("done"), model.amount.set(5)
            return await self.payments.update(loaded, *actions, condition=model.version == sample.VERSION)

        return update

    def query(self, count: int) -> Operation:
        payments = self.client.repository(payment_model(f"payments-{count}"))
        return lambda: payments.query(merchant_id=sample.MERCHANT).all()

    def batch_get(self) -> Operation:
        return lambda: self.payments.batch_get(KEYS)

    def batch_write(self) -> Operation:
        items = [sample.payment_of(self.model, n) for n in range(100)]
        return lambda: self.payments.batch_put(items)

    def transaction(self) -> Operation:
        items = [sample.payment_of(self.model, n) for n in range(10)]

        async def write() -> None:
            async with self.client.transaction() as transaction:
                for one in items:
                    transaction.put(one)

        return write

    def wide_get(self) -> Operation:
        wide = self.client.repository(wide_model())
        return lambda: wide.get("wide-1")

    def wide_put(self) -> Operation:
        model = wide_model()
        wide, one = self.client.repository(model), model(**sample.wide())
        return lambda: wide.put(one)

    def blob_get(self, size: int) -> Operation:
        blobs = self.client.repository(blob_model(size))
        return lambda: blobs.get(f"blob-{size}")

    def blob_put(self, size: int) -> Operation:
        model = blob_model(size)
        blobs, one = self.client.repository(model), model(**sample.blob(size))
        return lambda: blobs.put(one)

    def scan(self) -> Operation:
        async def scan() -> int:
            count = 0
            async for _ in self.payments.scan().segments(SEGMENTS):
                count += 1
            return count

        return scan

    def read(self, number: int) -> Operation:
        async def read() -> Any:
            return (await self.payments.get(sample.MERCHANT, sample.name(number))).amount

        return read

    def add(self, number: int) -> Operation:
        key = {"merchant_id": sample.MERCHANT, "id": sample.name(number)}
        return lambda: self.payments.update(key, self.model.amount.add(1))

    def create(self, number: int) -> Operation:
        one = sample.payment_of(self.model, number)
        return lambda: self.payments.create(one)


connect = Dynamoxy
