"""PynamoDB: declared models over botocore."""

from __future__ import annotations

from pynamodb.attributes import (
    BooleanAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    UnicodeAttribute,
    UTCDateTimeAttribute,
)
from pynamodb.models import Model

from benchmarks import sample
from benchmarks.libraries.base import Threaded
from benchmarks.sample import SEGMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation

ID = "payment-00000001"


def meta(table: str, endpoint: str) -> type:
    """The inner class that names table and endpoint."""
    members = {"table_name": f"offset-{table}", "host": endpoint, "region": sample.REGION, "max_pool_connections": 64}
    return type("Meta", (), members)


def payment_model(table: str, endpoint: str) -> Any:
    """The payment over one table."""

    class Payment(Model):
        Meta = meta(table, endpoint)
        merchant_id = UnicodeAttribute(hash_key=True)
        id = UnicodeAttribute(range_key=True)
        idempotency_key = UnicodeAttribute()
        amount = NumberAttribute()
        currency = UnicodeAttribute()
        status = UnicodeAttribute()
        created_at = UTCDateTimeAttribute()
        version = NumberAttribute()
        tags: ListAttribute[Any] = ListAttribute()
        metadata: MapAttribute[str, Any] = MapAttribute()

    return Payment


def wide_model(endpoint: str) -> Any:
    """The item of 60 attributes."""
    kinds: dict[type, Any] = {str: UnicodeAttribute, int: NumberAttribute, bool: BooleanAttribute}
    members: dict[str, Any] = {name: kinds[type(value)]() for name, value in sample.wide().items() if name != "id"}
    return type("Wide", (Model,), {"Meta": meta("wide", endpoint), "id": UnicodeAttribute(hash_key=True), **members})


def blob_model(size: int, endpoint: str) -> Any:
    """The item of one long text."""

    class Blob(Model):
        Meta = meta(f"blob-{size}", endpoint)
        id = UnicodeAttribute(hash_key=True)
        data = UnicodeAttribute()

    return Blob


class PynamoDB(Threaded):
    """PynamoDB with its defaults, but for a pool as large as the 64 threads need."""

    flavour = "offset"

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.model = payment_model("payments", endpoint)

    def get(self) -> Operation:
        return lambda: self.model.get(sample.MERCHANT, ID)

    def put(self) -> Operation:
        return self.model(**sample.payment(1)).save  # type: ignore[no-any-return]

    def update(self) -> Operation:
        model = self.model
        one = model.get(sample.MERCHANT, ID)

        def update() -> Any:
            actions = [model.status.set("done"), model.amount.set(5), model.version.set(sample.VERSION + 1)]
            one.update(actions, condition=model.version == sample.VERSION)
            return one

        return update

    def query(self, count: int) -> Operation:
        model = payment_model(f"payments-{count}", self.endpoint)
        return lambda: list(model.query(sample.MERCHANT))

    def batch_get(self) -> Operation:
        keys = [(sample.MERCHANT, f"payment-{n:08d}") for n in range(100)]
        return lambda: list(self.model.batch_get(keys))

    def batch_write(self) -> Operation:
        items = [self.model(**sample.payment(n)) for n in range(100)]

        def write() -> None:
            with self.model.batch_write() as batch:
                for one in items:
                    batch.save(one)

        return write

    def transaction(self) -> Operation:
        from pynamodb.connection import Connection
        from pynamodb.transactions import TransactWrite

        connection = Connection(region=sample.REGION, host=self.endpoint)
        items = [self.model(**sample.payment(n)) for n in range(10)]

        def write() -> None:
            with TransactWrite(connection=connection) as transaction:
                for one in items:
                    transaction.save(one)

        return write

    def wide_get(self) -> Operation:
        model = wide_model(self.endpoint)
        return lambda: model.get("wide-1")

    def wide_put(self) -> Operation:
        return wide_model(self.endpoint)(**sample.wide()).save  # type: ignore[no-any-return]

    def blob_get(self, size: int) -> Operation:
        model = blob_model(size, self.endpoint)
        return lambda: model.get(f"blob-{size}")

    def blob_put(self, size: int) -> Operation:
        return blob_model(size, self.endpoint)(**sample.blob(size)).save  # type: ignore[no-any-return]

    def scan(self) -> Operation:
        def segment(number: int) -> int:
            return sum(1 for _ in self.model.scan(segment=number, total_segments=SEGMENTS))

        return self.together(segment, range(SEGMENTS))

    def read(self, number: int) -> Operation:
        return lambda: self.model.get(sample.MERCHANT, sample.name(number)).amount

    def add(self, number: int) -> Operation:
        one = self.model(sample.MERCHANT, sample.name(number))
        return lambda: one.update([self.model.amount.add(1)])

    def create(self, number: int) -> Operation:
        one = self.model(**sample.payment(number))
        return lambda: one.save(self.model.id.does_not_exist())


connect = PynamoDB
