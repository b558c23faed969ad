"""DynamORM's blocking face."""

from __future__ import annotations

from benchmarks import sample
from benchmarks.libraries.base import Library
from benchmarks.libraries.dynamorm_models import blob_model, payment_model, settings, wide_model
from benchmarks.sample import SEGMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation

ID = "payment-00000001"


class DynamORM(Library):
    """DynamORM with its defaults: checksums, deadlines, pool, retries and write tokens on."""

    flavour = "nanos"

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        from dynamorm import DB  # here, for the asyncio face needs none of it

        self.db: Any = DB(settings(endpoint))
        self.model = payment_model("payments")

    def close(self) -> None:
        self.db.close()
        if hasattr(self, "protected"):
            self.protected.close()

    def get(self) -> Operation:
        return lambda: self.db.get(self.model, sample.MERCHANT, ID)

    def put(self) -> Operation:
        one = sample.payment_of(self.model, 1)
        return lambda: self.db.put(one)

    def update(self) -> Operation:
        model = self.model
        one = self.db.get(model, sample.MERCHANT, ID)
        return lambda: self.db.update(one, model.status.set("done"), model.amount.set(5))

    def query(self, count: int) -> Operation:
        model = payment_model(f"payments-{count}")
        return lambda: self.db.model(model).where(model.merchant_id == sample.MERCHANT).all()

    def batch_get(self) -> Operation:
        keys = [(sample.MERCHANT, f"payment-{n:08d}") for n in range(100)]
        return lambda: self.db.batch_get(self.model, keys)

    def batch_write(self) -> Operation:
        items = [sample.payment_of(self.model, n) for n in range(100)]
        return lambda: self.db.batch_write(puts=items)

    def transaction(self) -> Operation:
        items = [sample.payment_of(self.model, n) for n in range(10)]

        def write() -> None:
            with self.db.transaction() as transaction:
                for one in items:
                    transaction.put(one)

        return write

    def protected_get(self) -> Operation:
        from benchmarks.libraries.dynamorm_protected import protected_payment, protecting  # with its packages

        if not hasattr(self, "protected"):
            self.protected = type(self.db)(settings(self.endpoint), extensions=protecting())
        model, view = protected_payment(), self.protected.with_tenant(sample.MERCHANT)
        return lambda: view.get(model, sample.MERCHANT, ID)

    def wide_get(self) -> Operation:
        model = wide_model()
        return lambda: self.db.get(model, "wide-1")

    def wide_put(self) -> Operation:
        one = wide_model()(**sample.wide())
        return lambda: self.db.put(one)

    def blob_get(self, size: int) -> Operation:
        model = blob_model(size)
        return lambda: self.db.get(model, f"blob-{size}")

    def blob_put(self, size: int) -> Operation:
        one = blob_model(size)(**sample.blob(size))
        return lambda: self.db.put(one)

    def scan(self) -> Operation:
        def scan() -> int:
            return sum(1 for _ in self.db.model(self.model).allow_scan().segments(SEGMENTS))

        return scan

    def read(self, number: int) -> Operation:
        return lambda: self.db.get(self.model, sample.MERCHANT, sample.name(number)).amount

    def add(self, number: int) -> Operation:
        model = self.model
        return lambda: self.db.update(model, sample.MERCHANT, sample.name(number), model.amount.add(1))

    def create(self, number: int) -> Operation:
        one = sample.payment_of(self.model, number)
        return lambda: self.db.create(one)


connect = DynamORM
