"""aiodynamo over aiohttp (faster there than over httpx): Python values in and out, as dicts."""

from __future__ import annotations

import aiohttp
from aiodynamo.client import Client
from aiodynamo.credentials import Key as AccessKey
from aiodynamo.credentials import StaticCredentials
from aiodynamo.expressions import F, HashKey
from aiodynamo.http.aiohttp import AIOHTTP
from aiodynamo.models import BatchGetRequest, BatchWriteRequest, ReturnValues
from aiodynamo.operations import Put
from yarl import URL

from benchmarks import sample
from benchmarks.libraries.base import Library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation


def key(number: int) -> dict[str, Any]:
    """The key of a payment."""
    return {"merchant_id": sample.MERCHANT, "id": sample.name(number)}


KEY = key(1)


def item(value: dict[str, Any]) -> dict[str, Any]:
    """A sample in the types that aiodynamo takes: it knows no time."""
    if "created_at" in value:
        value["created_at"] = value["created_at"].isoformat()
    return value


class Aiodynamo(Library):
    """aiodynamo with its defaults; numbers as int, which it was asked to make of them."""

    face = "async"

    async def start(self) -> None:
        self.session = aiohttp.ClientSession()
        credentials = StaticCredentials(AccessKey(sample.KEY_ID, sample.SECRET))
        self.client = Client(
            AIOHTTP(self.session), credentials, sample.REGION, endpoint=URL(self.endpoint), numeric_type=int
        )
        self.table = self.client.table("iso-payments")

    async def stop(self) -> None:
        await self.session.close()

    def get(self) -> Operation:
        return lambda: self.table.get_item(KEY)

    def put(self) -> Operation:
        stored = item(sample.payment(1))
        return lambda: self.table.put_item(stored)

    def update(self) -> Operation:
        return lambda: self.table.update_item(
            KEY,
            F("status").set("done") & F("amount").set(5) & F("version").set(sample.VERSION + 1),
            condition=F("version").equals(sample.VERSION),
            return_values=ReturnValues.all_new,
        )

    def query(self, count: int) -> Operation:
        table = self.client.table(f"iso-payments-{count}")

        async def query() -> list[Any]:
            return [one async for one in table.query(HashKey("merchant_id", sample.MERCHANT))]

        return query

    def batch_get(self) -> Operation:
        keys = [{"merchant_id": sample.MERCHANT, "id": f"payment-{n:08d}"} for n in range(100)]

        async def get() -> Any:
            found = await self.client.batch_get({"iso-payments": BatchGetRequest(keys=keys)})
            return found.items["iso-payments"]

        return get

    def batch_write(self) -> Operation:
        items = [item(sample.payment(n)) for n in range(100)]

        async def write() -> None:
            for at in range(0, 100, 25):
                request = BatchWriteRequest(items_to_put=items[at : at + 25], keys_to_delete=[])
                await self.client.batch_write({"iso-payments": request})

        return write

    def transaction(self) -> Operation:
        items = [item(sample.payment(n)) for n in range(10)]
        return lambda: self.client.transact_write_items([Put("iso-payments", one) for one in items])

    def wide_get(self) -> Operation:
        table = self.client.table("iso-wide")
        return lambda: table.get_item({"id": "wide-1"})

    def wide_put(self) -> Operation:
        table, stored = self.client.table("iso-wide"), sample.wide()
        return lambda: table.put_item(stored)

    def blob_get(self, size: int) -> Operation:
        table = self.client.table(f"iso-blob-{size}")
        return lambda: table.get_item({"id": f"blob-{size}"})

    def blob_put(self, size: int) -> Operation:
        table, stored = self.client.table(f"iso-blob-{size}"), sample.blob(size)
        return lambda: table.put_item(stored)

    def scan(self) -> Operation:  # it knows no segments
        async def scan() -> int:
            count = 0
            async for _ in self.table.scan():
                count += 1
            return count

        return scan

    def read(self, number: int) -> Operation:
        async def read() -> Any:
            return (await self.table.get_item(key(number)))["amount"]

        return read

    def add(self, number: int) -> Operation:
        return lambda: self.table.update_item(key(number), F("amount").add(1))

    def create(self, number: int) -> Operation:
        stored = item(sample.payment(number))
        return lambda: self.table.put_item(stored, condition=F("id").does_not_exist())


connect = Aiodynamo
