"""pydynox: declared models over a core in Rust."""

from __future__ import annotations

from pydynox import DynamoDBClient, Model, ModelConfig
from pydynox.attributes import (
    BooleanAttribute,
    DatetimeAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    StringAttribute,
)

from benchmarks import sample
from benchmarks.libraries.base import Library
from benchmarks.sample import SEGMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from benchmarks.libraries.base import Operation


def key(number: int) -> dict[str, Any]:
    """The key of a payment."""
    return {"merchant_id": sample.MERCHANT, "id": sample.name(number)}


KEY = key(1)
KEYS = [{"merchant_id": sample.MERCHANT, "id": f"payment-{n:08d}"} for n in range(100)]


def config(table: str, client: Any) -> Any:
    """The settings of a model over one table."""
    return ModelConfig(table=f"iso-{table}", client=client)


def payment_model(table: str, client: Any) -> Any:
    """The payment over one table."""

    class Payment(Model):
        model_config = config(table, client)
        merchant_id = StringAttribute(partition_key=True)
        id = StringAttribute(sort_key=True)
        idempotency_key = StringAttribute()
        amount = NumberAttribute()
        currency = StringAttribute()
        status = StringAttribute()
        created_at = DatetimeAttribute()
        version = NumberAttribute()
        tags = ListAttribute()
        metadata = MapAttribute()

    return Payment


def wide_model(client: Any) -> Any:
    """The item of 60 attributes."""
    kinds: dict[type, Any] = {str: StringAttribute, int: NumberAttribute, bool: BooleanAttribute}
    members = {name: kinds[type(value)]() for name, value in sample.wide().items() if name != "id"}
    return type(
        "Wide", (Model,), {"model_config": config("wide", client), "id": StringAttribute(partition_key=True), **members}
    )


def blob_model(size: int, client: Any) -> Any:
    """The item of one long text."""

    class Blob(Model):
        model_config = config(f"blob-{size}", client)
        id = StringAttribute(partition_key=True)
        data = StringAttribute()

    return Blob


class Pydynox(Library):
    """pydynox's blocking face with its defaults."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.client = DynamoDBClient(
            region=sample.REGION, access_key=sample.KEY_ID, secret_key=sample.SECRET, endpoint_url=endpoint
        )
        self.model = payment_model("payments", self.client)

    def get(self) -> Operation:
        return lambda: self.model.sync_get(**KEY)

    def put(self) -> Operation:
        one = self.model(**sample.payment(1))
        return lambda: one.sync_save(full_replace=True)

    def update(self) -> Operation:
        model = self.model
        one = model.sync_get(**KEY)

        def update() -> Any:  # it cannot return the new item: the object keeps what was set
            one.sync_update(
                condition=model.version == sample.VERSION, status="done", amount=5, version=sample.VERSION + 1
            )
            return one

        return update

    def query(self, count: int) -> Operation:
        model = payment_model(f"payments-{count}", self.client)
        return lambda: list(model.sync_query(partition_key=sample.MERCHANT))

    def batch_get(self) -> Operation:
        return lambda: self.model.sync_batch_get(KEYS)

    def batch_write(self) -> Operation:
        from pydynox import SyncBatchWriter

        items = [self.model(**sample.payment(n)) for n in range(100)]

        def write() -> None:
            with SyncBatchWriter(self.client, "iso-payments") as batch:
                for one in items:
                    batch.put(one.to_dict())

        return write

    def transaction(self) -> Operation:
        from pydynox import SyncTransaction

        items = [self.model(**sample.payment(n)) for n in range(10)]

        def write() -> None:
            with SyncTransaction(self.client) as transaction:
                for one in items:
                    transaction.put("iso-payments", one.to_dict())

        return write

    def wide_get(self) -> Operation:
        model = wide_model(self.client)
        return lambda: model.sync_get(id="wide-1")

    def wide_put(self) -> Operation:
        one = wide_model(self.client)(**sample.wide())
        return lambda: one.sync_save(full_replace=True)

    def blob_get(self, size: int) -> Operation:
        model = blob_model(size, self.client)
        return lambda: model.sync_get(id=f"blob-{size}")

    def blob_put(self, size: int) -> Operation:
        one = blob_model(size, self.client)(**sample.blob(size))
        return lambda: one.sync_save(full_replace=True)

    def scan(self) -> Operation:  # it returns all items at once
        return lambda: len(self.model.sync_parallel_scan(SEGMENTS)[0])

    def read(self, number: int) -> Operation:
        return lambda: self.model.sync_get(**key(number)).amount

    def add(self, number: int) -> Operation:
        one = self.model(**sample.payment(number))
        return lambda: one.sync_update(atomic=[self.model.amount.add(1)])

    def create(self, number: int) -> Operation:
        one = self.model(**sample.payment(number))
        return lambda: one.sync_save(condition=self.model.id.not_exists(), full_replace=True)


connect = Pydynox
