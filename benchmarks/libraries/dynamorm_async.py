"""DynamORM's asyncio face: the same calls, awaited."""

from __future__ import annotations

from benchmarks import sample
from benchmarks.libraries.dynamorm_models import payment_model, settings
from benchmarks.libraries.dynamorm_sync import DynamORM
from benchmarks.sample import SEGMENTS
from dynamorm import AsyncDB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation


class DynamORMAsync(DynamORM):
    """DynamORM's asyncio face with its defaults."""

    face = "async"

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.model = payment_model("payments")

    async def start(self) -> None:
        self.db = AsyncDB(settings(self.endpoint))

    async def stop(self) -> None:
        await self.db.close()
        if hasattr(self, "protected"):
            await self.protected.close()

    def update(self) -> Operation:
        model, loaded = self.model, None

        async def update() -> Any:
            nonlocal loaded
            if loaded is None:
                loaded = await self.db.get(model, sample.MERCHANT, "payment-00000001")
            return await self.db.update(loaded, model.status.set("done"), model.amount.set(5))

        return update

    def transaction(self) -> Operation:
        items = [sample.payment_of(self.model, n) for n in range(10)]

        async def write() -> None:
            async with self.db.transaction() as transaction:
                for one in items:
                    transaction.put(one)

        return write

    def scan(self) -> Operation:
        async def scan() -> int:
            count = 0
            async for _ in self.db.model(self.model).allow_scan().segments(SEGMENTS):
                count += 1
            return count

        return scan

    def read(self, number: int) -> Operation:
        async def read() -> Any:
            return (await self.db.get(self.model, sample.MERCHANT, sample.name(number))).amount

        return read


connect = DynamORMAsync
