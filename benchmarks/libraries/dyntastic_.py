"""dyntastic: pydantic models over the boto3 resource."""

from __future__ import annotations

from datetime import datetime

from dyntastic import A, Dyntastic

from benchmarks import sample
from benchmarks.libraries.base import Library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation

ID = "payment-00000001"


def payment_model(table: str, endpoint: str) -> Any:
    """The payment over one table."""

    class Payment(Dyntastic):
        __table_name__ = f"iso-{table}"
        __hash_key__ = "merchant_id"
        __range_key__ = "id"
        __table_host__ = endpoint
        __table_region__ = sample.REGION
        merchant_id: str
        id: str
        idempotency_key: str
        amount: int
        currency: str
        status: str
        created_at: datetime
        version: int
        tags: list[str]
        metadata: dict[str, str]

    return Payment


def simple_model(table: str, endpoint: str, fields: dict[str, Any]) -> Any:
    """A model over a table with the key ``id``."""
    members = {
        "__table_name__": f"iso-{table}",
        "__hash_key__": "id",
        "__table_host__": endpoint,
        "__table_region__": sample.REGION,
        "__annotations__": {name: type(value) for name, value in fields.items()},
        "__module__": __name__,
    }
    return type("Simple", (Dyntastic,), members)


class DyntasticLibrary(Library):
    """dyntastic with its defaults. It cannot be given a larger pool."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.model = payment_model("payments", endpoint)

    def get(self) -> Operation:
        return lambda: self.model.get(sample.MERCHANT, ID)

    def put(self) -> Operation:
        return self.model(**sample.payment(1)).save  # type: ignore[no-any-return]

    def update(self) -> Operation:
        one = self.model(**sample.payment(1))

        def update() -> Any:  # it reads the new item with a second request
            one.update(
                A.status.set("done"), A.amount.set(5), A.version.set(sample.VERSION + 1),
                condition=A.version == sample.VERSION,
            )  # fmt: skip
            return one

        return update

    def query(self, count: int) -> Operation:
        model = payment_model(f"payments-{count}", self.endpoint)
        return lambda: list(model.query(sample.MERCHANT))

    def batch_get(self) -> Operation:
        keys = [(sample.MERCHANT, f"payment-{n:08d}") for n in range(100)]
        return lambda: self.model.batch_get(keys)

    def batch_write(self) -> Operation:
        items = [self.model(**sample.payment(n)) for n in range(100)]

        def write() -> None:
            with self.model.batch_writer():
                for one in items:
                    one.save()

        return write

    def transaction(self) -> Operation:
        from dyntastic import transaction

        items = [self.model(**sample.payment(n)) for n in range(10)]

        def write() -> None:
            with transaction():
                for one in items:
                    one.save()

        return write

    def wide_get(self) -> Operation:
        model = simple_model("wide", self.endpoint, sample.wide())
        return lambda: model.get("wide-1")

    def wide_put(self) -> Operation:
        return simple_model("wide", self.endpoint, sample.wide())(**sample.wide()).save  # type: ignore[no-any-return]

    def blob_get(self, size: int) -> Operation:
        model = simple_model(f"blob-{size}", self.endpoint, sample.blob(size))
        return lambda: model.get(f"blob-{size}")

    def blob_put(self, size: int) -> Operation:
        fields = sample.blob(size)
        return simple_model(f"blob-{size}", self.endpoint, fields)(**fields).save  # type: ignore[no-any-return]

    def scan(self) -> Operation:  # it knows no segments
        return lambda: sum(1 for _ in self.model.scan())

    def read(self, number: int) -> Operation:
        return lambda: self.model.get(sample.MERCHANT, sample.name(number)).amount

    def add(self, number: int) -> Operation:
        one = self.model(**sample.payment(number))
        return lambda: one.update(A.amount.add(1))

    def create(self, number: int) -> Operation:
        one = self.model(**sample.payment(number))
        return lambda: one.save(condition=A.id.not_exists())


connect = DyntasticLibrary
