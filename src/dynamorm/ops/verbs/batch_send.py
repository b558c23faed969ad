"""One request of a batch of writes, until each of its items is written, failed or unknown.

A batch's puts and deletes are unconditional, so a request whose answer was lost is sent again, byte for byte the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.codec.keys import StoredKey
from dynamorm.codec.replies.batches import Asked, leaves_nothing, read_unprocessed
from dynamorm.codec.strict import dumps
from dynamorm.effects import Flow, Sleep
from dynamorm.errors import (
    AccessDenied,
    ClientError,
    DynamORMError,
    MissingItem,
    Outcome,
    OutcomeUnknown,
    TableNotFound,
    Throttled,
    Unavailable,
    ValidationError,
)
from dynamorm.errors.log import logger
from dynamorm.models.schema.overriding import override
from dynamorm.ops.calls.backoff import Pace
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.writes.token_ring import tokens
from dynamorm.ops.writes.write import read_back

from .delete import delete
from .put import refresh

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

WRITTEN: Final = "written"
FAILED: Final = "failed"
UNKNOWN: Final = "unknown"

_STRIKES: Final = 2
"""Requests in a row, for each worker, of which nothing was written before the rest is not sent any more."""

_POISON = (ValidationError, ClientError, AccessDenied)
"""Refusals that may be due to a single item of a request."""


_HEADS: Final = {"Put": b'{"PutRequest":{"Item":', "Delete": b'{"DeleteRequest":{"Key":'}
OVERHEAD: Final = 26
"""Bytes that a request adds to the JSON of each item."""


class Entry(Struct, eq=False):
    """One item of a batch: what the caller gave, how it is sent, and what became of it.

    ``kind`` is ``Put`` or ``Delete``, ``content`` the JSON of the item or of the key. ``number`` and ``times`` are the
    version and the times that a put stores. ``address`` names the item in the database. ``heir`` is a later entry for
    the same item, which is sent instead. ``doubt``: an answer that told of this item was lost. ``checked``: it is deleted
    alone, on condition that what is stored is of the model's class, which a batch cannot say.
    """

    item: Any
    plan: ModelRequests
    kind: str
    key: bytes
    content: bytes
    address: Any
    number: int = 0
    times: dict[str, Any] | None = None
    place: str = ""
    state: str = ""
    error: DynamORMError | None = None
    heir: Entry | None = None
    doubt: bool = False
    checked: bool = False

    @override
    def __repr__(self) -> str:
        return f"<Entry {self.kind} {self.state}>"  # what is written is nobody's business

    @classmethod
    def refused(cls, item: Any, error: DynamORMError) -> Entry:
        """An object that cannot be sent at all; it may be of no model."""
        nothing: Any = None
        return cls(item, nothing, "Put", b"", b"", None, state=FAILED, error=error)

    def done(self) -> None:
        """The item is written: bring the caller's object up to date."""
        self.state = WRITTEN
        try:
            if self.kind == "Put":
                refresh(self.plan, self.item, self.content, self.number, self.times, None)
            elif self.item.__class__ is not tuple:
                self.plan.codec.mark(self.item, None)
        except Exception:  # what a setter of the object's own class raises: the batch must account for the others
            logger.exception(
                "the item was written, and its %s refused to be brought up to date", self.plan.codec.schema.name
            )


class Load:
    """A whole batch under way: how often in a row the service has refused everything, and whether that was enough."""

    def __init__(self, context: Context, limit: int) -> None:
        self.context = context
        self.stopped: DynamORMError | None = None
        self._limit = max(_STRIKES * limit, 4)
        self._strikes = 0

    def send(self, entries: list[Entry]) -> Flow[None]:
        """Bring each entry to its end."""
        if self.stopped is not None:
            self.refuse(entries)
            return
        yield from _alone(self.context, entries[0]) if entries[0].checked else self._chunk(entries)
        if any(entry.state == WRITTEN for entry in entries):
            self._strikes = 0
            return
        error = entries[-1].error
        if not isinstance(error, (ValidationError, MissingItem)):  # which say nothing of other items
            self._strikes += 1
            if self._strikes >= self._limit:
                self.stopped = error

    def refuse(self, entries: list[Entry]) -> None:
        """Let what is left fail, unsent."""
        assert self.stopped is not None  # asked for only then
        for entry in entries:
            if not entry.state:
                _fail(entry, self._unsent(self.stopped))

    def _unsent(self, error: DynamORMError) -> DynamORMError:
        kind = type(error) if error.outcome is Outcome.NOT_APPLIED else Unavailable
        return kind(
            f"not sent, for of the last {self._strikes} requests nothing was written: {error.message}",
            operation=error.operation,
            table=error.table,
        )

    def _chunk(self, left: list[Entry]) -> Flow[None]:
        pace = Pace(self.context)
        lost: list[DynamORMError] = []
        while True:
            op = _request(left, pace.left())
            try:
                again = yield from self.context.call(op)
            except OutcomeUnknown as error:
                for entry in left:
                    entry.doubt = True
                lost.append(error)
                delay = pace.lost()
                if delay is None:
                    self._end(left, error, pace, lost)
                    return
            except DynamORMError as error:
                parts = _parts(left, error)
                if len(parts) < 2:
                    self._end(left, error, pace, lost)
                    return
                for part in parts:
                    yield from self._chunk(part)
                return
            else:
                undone = set(again)
                for entry in left:
                    if entry not in undone:
                        entry.done()
                if not again:
                    return
                delay = pace.unprocessed(progress=len(again) < len(left))
                left = again
                if delay is None:
                    tired = Throttled(
                        f"DynamoDB left the item undone in {pace.requests} requests; {pace.why}",
                        operation=op.name,
                        table=op.table,
                        attempts=pace.requests,
                    )
                    self._end(left, tired, pace, lost)
                    return
            yield Sleep(delay)

    def _end(self, left: list[Entry], error: DynamORMError, pace: Pace, lost: list[DynamORMError]) -> None:
        """What is left was not written, or nobody knows."""
        for entry in left:
            if not entry.doubt:
                _fail(entry, error)
                continue
            entry.state = UNKNOWN
            entry.error = self._unknown(entry, error, pace, lost)

    def _unknown(self, entry: Entry, error: DynamORMError, pace: Pace, lost: list[DynamORMError]) -> OutcomeUnknown:
        resolve = self.context.resolver(lambda _, deadline: _resolve(self.context, entry, deadline))
        op = _request([entry], 0.001)
        why = pace.why or "then the service refused it"
        unknown = OutcomeUnknown(
            f"{op.name} was sent and its answer was lost; {why}: the item may or may not have been written",
            key=entry.plan.key_names,
            resolver=lambda deadline: resolve(op, deadline),
            operation=op.name,
            table=op.table,
            request_id=error.request_id,
            attempts=pace.requests,
            earlier=lost,
        )
        unknown.__cause__ = error
        return unknown


def _alone(context: Context, entry: Entry) -> Flow[None]:
    """Delete one item, if it is of the model's class."""
    plan = entry.plan
    key = StoredKey(entry.key, plan.key_names)
    try:
        yield from delete(context, plan.model, (key,), {}, condition=None, must_exist=False, returning=None)
    except OutcomeUnknown as error:
        entry.state, entry.error = UNKNOWN, error
    except DynamORMError as error:
        _fail(entry, error)
    else:
        entry.done()


def _fail(entry: Entry, error: DynamORMError) -> None:
    entry.state, entry.error = FAILED, error


def _parts(entries: list[Entry], error: DynamORMError) -> list[list[Entry]]:
    """A request that was refused as a whole, in parts of which some may be accepted; the whole where none would be."""
    if isinstance(error, TableNotFound):
        return list(_by_table(entries).values())
    if not isinstance(error, _POISON) or len(entries) < 2:
        return [entries]
    half = len(entries) // 2
    return [entries[:half], entries[half:]]


def _by_table(entries: list[Entry]) -> dict[str, list[Entry]]:
    tables: dict[str, list[Entry]] = {}
    for entry in entries:
        tables.setdefault(entry.plan.table, []).append(entry)
    return tables


def _request(entries: list[Entry], timeout: float) -> Op:
    """The call that writes these entries. It gives those that DynamoDB left undone."""
    tables = _by_table(entries)
    body = b",".join(
        [
            dumps(table) + b":[" + b",".join([_HEADS[entry.kind] + entry.content + b"}}" for entry in some]) + b"]"
            for table, some in tables.items()
        ]
    )
    return Op(
        "BatchWriteItem",
        ", ".join(tables),
        b'{"RequestItems":{' + body + b"}}",
        lambda reply: _undone(reply, tables),
        # Repeated here and not by the call, which could not tell what an answer to a later attempt leaves in doubt.
        Safety.ONCE,
        timeout=timeout,
    )


def _undone(reply: bytes, tables: dict[str, list[Entry]]) -> list[Entry]:
    if reply == b'{"UnprocessedItems":{}}' or leaves_nothing(reply):  # the usual answer without a call
        return []
    sent: dict[str, dict[str, list[Entry]]] = {}
    for table, entries in tables.items():
        kinds = sent[table] = {}
        for entry in entries:
            kinds.setdefault(entry.kind, []).append(entry)
    asked = {
        table: {kind: Asked(some[0].plan.key_names, [entry.key for entry in some]) for kind, some in kinds.items()}
        for table, kinds in sent.items()
    }
    return [sent[table][kind][position] for table, kind, position in read_unprocessed(reply, asked)]


def _resolve(context: Context, entry: Entry, deadline: float | None) -> Flow[Outcome]:
    """Settle an item whose outcome is unknown by a look at it. It is not sent again: that could overwrite what is newer."""
    plan = entry.plan
    limit = context.config.operation_timeout if deadline is None else deadline
    look = read_back(plan, entry.key)
    look.timeout = limit
    try:
        raw = yield from context.call(look)
    except DynamORMError:
        return Outcome.UNKNOWN
    if entry.kind == "Delete":
        was_applied = raw is None
    else:
        own = tokens(plan.codec.ring(entry.content))  # none without a version
        was_applied = raw is not None and own != () and own[0] in tokens(plan.codec.ring(raw))
    if not was_applied:
        return Outcome.UNKNOWN
    entry.done()
    return Outcome.APPLIED
