"""What a stream's consumer remembers between runs: one item per shard, with a lease that keeps workers apart.

It must not know how records are read. Every item is written under its version, so of two workers only one moves on.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import dumps
from dynamorm.effects import Flow
from dynamorm.errors import AlreadyExists, ConditionFailed, ModelError
from dynamorm.models.declare import Attr, attr, partition_key, sort_key, updated_at, version
from dynamorm.models.model import Mixin, Model
from dynamorm.ops.calls.op import Op
from dynamorm.ops.verbs.delete import delete
from dynamorm.ops.verbs.put import create
from dynamorm.ops.verbs.save import save

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


class StreamCheckpoint(Mixin):
    """The fields of a checkpoint table, for a model of your own.

    One item per shard: ``position`` is the sequence number of the last record that was worked off, ``done`` says that
    the shard was read to its end. ``owner`` and ``lease_until`` (seconds since 1970) say which worker reads the shard
    and until when others must leave it alone. ``since`` is set on the one item that stands for the stream itself:
    records older than that (seconds since 1970) are passed over. Other fields of the model need defaults.

    Example::

        class Checkpoint(Model, StreamCheckpoint, table="checkpoints"):
            pass


        for record in db.stream(Payment, checkpoint=Checkpoint):
            ...
    """

    consumer: Attr[str] = partition_key()
    shard: Attr[str] = sort_key()
    position: Attr[str | None] = attr(default=None)
    done: Attr[bool] = attr(default=False)
    owner: Attr[str | None] = attr(default=None)
    lease_until: Attr[int | None] = attr(default=None)
    since: Attr[int | None] = attr(default=None)
    updated_at: Attr[datetime | None] = updated_at()
    version: Attr[int] = version()


def check_checkpoint(model: Any) -> None:
    """Raise ModelError unless this is a model with the fields of `StreamCheckpoint`."""
    if not (isinstance(model, type) and issubclass(model, Model) and issubclass(model, StreamCheckpoint)):
        raise ModelError(
            "checkpoint must be a model of yours with the fields of StreamCheckpoint:"
            " class Checkpoint(Model, StreamCheckpoint, table='checkpoints'): ..."
        )


class Checkpoints:
    """The items of one consumer, as flows. ``worker`` names who holds the leases it takes."""

    def __init__(self, context: Context, model: Any, consumer: str, worker: str, lease: float) -> None:
        self._context = context.meant("internal")
        self._plan = context.plan(model)
        self._consumer = consumer
        self._worker = worker
        self._lease = lease

    def load(self) -> Flow[dict[str, Any]]:
        """Every item of the consumer, by its shard."""
        plan = self._plan
        request: dict[str, Any] = {
            "TableName": plan.table,
            "ConsistentRead": True,
            "KeyConditionExpression": "#c = :c",
            "ExpressionAttributeNames": {"#c": plan.partition.stored},
            "ExpressionAttributeValues": {":c": plan.codec.encode_key_field(plan.partition.name, self._consumer)},
        }
        body = dumps(request)
        by_shard: dict[str, Any] = {}
        start = b""
        while True:
            op = Op("Query", plan.table, body[:-1] + start + b"}", plan.codec.read_page)
            page = yield from self._context.call(op)
            by_shard.update((item.shard, item) for item in page.items)
            if page.last_key is None:
                return by_shard
            start = b',"ExclusiveStartKey":' + page.last_key

    def begin(self, shard: str, **values: Any) -> Flow[Any | None]:
        """Make the item of a shard; None when another worker has just done so."""
        item = self._plan.codec.new(consumer=self._consumer, shard=shard, **values)
        try:
            return (yield from create(self._context, item, strict=None))
        except AlreadyExists:
            return None

    def claim(self, item: Any | None, shard: str) -> Flow[Any | None]:
        """Take the lease of a shard: its item, or None when another worker holds it."""
        if item is None:
            return (yield from self.begin(shard, owner=self._worker, lease_until=self._end()))
        if item.owner not in {None, self._worker} and (item.lease_until or 0) > self._now():
            return None
        item.owner = self._worker
        return (yield from self.save(item))

    def save(self, item: Any, position: str | None = None) -> Flow[Any | None]:
        """Move on to a position and renew the lease; None when another worker has taken the shard."""
        if position is not None:
            item.position = position
        item.lease_until = self._end()
        return (yield from self._write(item))

    def release(self, item: Any, position: str | None, *, done: bool) -> Flow[Any | None]:
        """Move on to a position and give the lease back."""
        if position is not None:
            item.position = position
        item.owner = item.lease_until = None
        item.done = done
        return (yield from self._write(item))

    def forget(self, item: Any) -> Flow[None]:
        """Remove the item of a shard that will not be asked for again."""
        try:
            yield from delete(self._context, item, (), {}, condition=None, must_exist=False, returning=None)
        except ConditionFailed:
            return  # another worker was quicker

    def left(self, item: Any) -> float:
        """Seconds that the lease of an item still has."""
        return float((item.lease_until or 0) - self._now())

    def _write(self, item: Any) -> Flow[Any | None]:
        try:
            return (yield from save(self._context, item))
        except ConditionFailed:  # a VersionConflict, or the item was removed
            return None

    def _now(self) -> float:
        return self._context.now().timestamp()

    def _end(self) -> int:
        return ceil(self._now() + self._lease)
