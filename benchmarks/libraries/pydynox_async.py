"""pydynox's asyncio face."""

from __future__ import annotations

from pydynox import DynamoDBClient

from benchmarks import sample
from benchmarks.libraries.base import Library
from benchmarks.libraries.pydynox_ import KEY, KEYS, blob_model, key, payment_model, wide_model
from benchmarks.sample import SEGMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation


class PydynoxAsync(Library):
    """pydynox's asyncio face with its defaults."""

    face = "async"

    async def start(self) -> None:
        self.client = DynamoDBClient(
            region=sample.REGION, access_key=sample.KEY_ID, secret_key=sample.SECRET, endpoint_url=self.endpoint
        )
        self.model = payment_model("payments", self.client)

    def get(self) -> Operation:
        return lambda: self.model.get(**KEY)

    def put(self) -> Operation:
        one = self.model(**sample.payment(1))
        return lambda: one.save(full_replace=True)

    def update(self) -> Operation:
        model, one = self.model, self.model(**sample.payment(1))

        async def update() -> Any:
            await one.update(
                condition=model.version == sample.VERSION, status="done", amount=5, version=sample.VERSION + 1
            )
            return one

        return update

    def query(self, count: int) -> Operation:
        model = payment_model(f"payments-{count}", self.client)

        async def query() -> list[Any]:
            return [one async for one in model.query(partition_key=sample.MERCHANT)]

        return query

    def batch_get(self) -> Operation:
        return lambda: self.model.batch_get(KEYS)

    def batch_write(self) -> Operation:
        from pydynox import BatchWriter

        items = [self.model(**sample.payment(n)) for n in range(100)]

        async def write() -> None:
            async with BatchWriter(self.client, "iso-payments") as batch:
                for one in items:
                    batch.put(one.to_dict())

        return write

    def transaction(self) -> Operation:
        from pydynox import Transaction

        items = [self.model(**sample.payment(n)) for n in range(10)]

        async def write() -> None:
            async with Transaction(self.client) as transaction:
                for one in items:
                    transaction.put("iso-payments", one.to_dict())

        return write

    def wide_get(self) -> Operation:
        model = wide_model(self.client)
        return lambda: model.get(id="wide-1")

    def wide_put(self) -> Operation:
        one = wide_model(self.client)(**sample.wide())
        return lambda: one.save(full_replace=True)

    def blob_get(self, size: int) -> Operation:
        model = blob_model(size, self.client)
        return lambda: model.get(id=f"blob-{size}")

    def blob_put(self, size: int) -> Operation:
        one = blob_model(size, self.client)(**sample.blob(size))
        return lambda: one.save(full_replace=True)

    def scan(self) -> Operation:  # it returns all items at once
        async def scan() -> int:
            return len((await self.model.parallel_scan(SEGMENTS))[0])

        return scan

    def read(self, number: int) -> Operation:
        async def read() -> Any:
            return (await self.model.get(**key(number))).amount

        return read

    def add(self, number: int) -> Operation:
        one = self.model(**sample.payment(number))
        return lambda: one.update(atomic=[self.model.amount.add(1)])

    def create(self, number: int) -> Operation:
        one = self.model(**sample.payment(number))
        return lambda: one.save(condition=self.model.id.not_exists(), full_replace=True)


connect = PydynoxAsync
