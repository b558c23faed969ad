"""Items of a batcher that were written down, and are sent again by the next process after a crash.

Nobody knows which of them were applied. A write that was is recognized by its token; one that was not is applied only where
nobody else has written the item since: where there is none, where it is as it was loaded, or as a write of the same spool
left it. It must not know files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dynamorm.codec.library_attributes import bytes_wire
from dynamorm.codec.state import Held
from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    ConfigError,
    DuplicateKey,
    DynamORMError,
    IntegrityError,
    MissingItem,
    Outcome,
    Retryable,
    Superseded,
    VersionConflict,
)
from dynamorm.expressions.compile import Placeholders
from dynamorm.ops.requests import check_values, finish, names
from dynamorm.ops.writes import token_ring
from dynamorm.ops.writes.reading import FETCHES
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE
from dynamorm.ops.writes.write import Write, read_back
from dynamorm.placed import NotReady
from dynamorm.schema.schema import TOKEN_ATTRIBUTE

from .batch_items import BatchItem, alone
from .batch_write import fetched

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

_MOST: Final = 100
"""Attributes that the condition "as it was loaded" may compare: an expression has 4 KB, and at most 300 operators.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""
_FORM: Final = 2


class Record(msgspec.Struct, array_like=True):
    """What is written down of an item."""

    form: int
    database: str
    module: str
    name: str
    table: str
    kind: str
    verb: str
    by_key: bool
    key: bytes
    content: bytes
    loaded: bytes | None
    token: bytes


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


def record(item: BatchItem, database: str) -> bytes:
    """What is needed to send an item again from another process. ``database`` says where it belongs."""
    model, loaded = item.model, item.loaded
    return _encode(
        Record(
            _FORM,
            database,
            model.__module__,
            model.__qualname__,
            item.plan.table,
            item.kind,
            item.verb,
            item.item.__class__ is tuple,
            item.key,
            item.content,
            None if loaded is None else bytes(loaded),
            item.token,
        )
    )


def revived(context: Context, data: bytes, model_of: Callable[[str, str], type[Any]], database: str) -> Flow[BatchItem]:
    """As `revive`; what its fields need is fetched before."""
    waited = 0
    while True:
        try:
            return revive(context, data, model_of, database)
        except NotReady as waiting:
            if (waited := waited + 1) > FETCHES:
                raise
            missing = waiting
        yield from fetched(missing)


def revive(context: Context, data: bytes, model_of: Callable[[str, str], type[Any]], database: str) -> BatchItem:
    """The item of a record. ``model_of(module, name)`` finds its class, ``database`` is the one that is open here.

    Raises: IntegrityError for what is no record; ConfigError for an item of another database, and for a model that is stored
    elsewhere now; ValidationError for an item that its model does not take any more.
    """
    try:
        known = _decode(data)
    except msgspec.MsgspecError:
        raise IntegrityError(
            "a record of the spool is of another form than this version of the library writes"
        ) from None
    if known.form != _FORM:
        raise IntegrityError(f"a record of the spool has the form {known.form}, and this version reads form {_FORM}")
    plan = context.plan(model_of(known.module, known.name))
    if plan.table != known.table:
        raise ConfigError(
            f"the spool holds items of {known.name} for the table {known.table}, and it is stored in {plan.table} here:"
            " open the database with the table_prefix of the process that wrote the spool"
        )
    if known.database != database:
        raise ConfigError(
            f"the spool holds items for the database {known.database}, and this one is {database}: open the database of the"
            " process that wrote the spool (endpoint, Region and account), or give this one a spool_dir of its own"
        )
    obj: Any = None
    if known.kind == "Put":
        obj = _object(plan, known.content, known.loaded)
    elif not known.by_key and known.loaded is not None:
        obj = plan.codec.decode(known.loaded)
    given = (plan.model, *plan.codec.key_values(known.key)) if obj is None else obj
    return BatchItem(
        given, plan, known.kind, known.key, known.content, (plan.table, known.key),
        verb=known.verb,
        copy=obj if known.verb else None,
        token=known.token,
        loaded=known.loaded,
    )  # fmt: skip


def _object(plan: ModelRequests, content: bytes, loaded: bytes | None) -> Any:
    """The object that was added, with the state it had then."""
    codec = plan.codec
    obj = codec.decode(content)
    state = codec.loaded(obj)
    # What nested objects hold of members unknown to their classes is in the content, too.
    known = Held(loaded, state.holders) if loaded is not None and isinstance(state, Held) else loaded
    codec.mark(obj, known)
    return obj


def replay(
    context: Context, item: BatchItem, kin: Sequence[BatchItem], verb: Callable[[Context], Flow[Any]] | None
) -> Flow[None]:
    """Bring an item of a spool to its end. ``kin`` are all items of its key in the spool.

    ``verb`` gives the flow that writes it alone.

    Raises: what shows that the service cannot be asked now; then nothing is known of the item.
    """
    try:
        if verb is None:
            yield from perform(context, _guarded(item, kin))
            item.done()
            return
        if (yield from _is_applied(context, item)):
            if item.kind == "Put":
                _as_stored(item)
            item.done()
            return
        item.on_end, tell = None, item.on_end  # what ends it as refused may have been superseded
        yield from alone(context, item, verb)
        item.on_end = tell
        if item.error is None:
            item.ended()
            return
        raise item.error
    except DynamORMError as error:
        if isinstance(error, Retryable) and error.outcome is Outcome.NOT_APPLIED:
            raise
        item.end(_superseded(item, error) if _is_superseded(item, error) else error)


def _is_superseded(item: BatchItem, error: DynamORMError) -> bool:
    if isinstance(error, (AlreadyExists, VersionConflict, MissingItem)):
        return True
    return not item.verb and isinstance(error, ConditionFailed) and not isinstance(error, DuplicateKey)


def _superseded(item: BatchItem, error: DynamORMError) -> Superseded:
    name = item.plan.codec.schema.name
    before = "whether the write of the spool was applied before is not known" if item.sent else "nothing was applied"
    made = Superseded(
        f"somebody else may have written the {name} since it was added to the spool, so it was left as it is; {before}",
        outcome=Outcome.UNKNOWN if item.sent else Outcome.NOT_APPLIED,
        operation=error.operation,
        table=error.table,
        request_id=error.request_id,
        attempts=error.attempts,
    )
    made.__cause__ = error
    return made


def _guarded(item: BatchItem, kin: Sequence[BatchItem]) -> Write:
    """An unconditional write as one that happens only where nobody else has written."""
    plan, places = item.plan, Placeholders()
    terms = [f"attribute_not_exists({places.name(plan.partition.stored)})"]
    rings = [token_ring.fresh(one.token) for one in kin if one.token and one is not item]
    if rings:
        ring = places.name(TOKEN_ATTRIBUTE)
        terms += [f"{ring} = {places.value(bytes_wire(one))}" for one in dict.fromkeys(rings[-_MOST:])]
    first = kin[0]
    if first.loaded is not None:
        attributes = read_object(bytes(first.loaded))
        if len(attributes) <= _MOST:
            same = [f"{places.name(name)} = {places.value(wire)}" for name, wire in attributes.items()]
            absent = [one.stored for one in plan.codec.record.plans if one.stored not in attributes]
            same += [f"attribute_not_exists({places.name(name)})" for name in absent[:_MOST]]
            terms.append("(" + " AND ".join(same) + ")")
    said = {"ConditionExpression": " OR ".join(terms), **OLD_ON_FAILURE, **names(places)}
    head = plan.put_head if item.kind == "Put" else plan.key_head
    body = finish(head, item.content if item.kind == "Put" else item.key, said)
    check_values(body, said)
    # Without a token of its own no stored one can be taken for it.
    token = item.token or bytes(range(1, 1 + token_ring.TOKEN))
    return Write(plan, item.kind, item.key, body, partial(_nothing), token, checked=True)


def _nothing(_: bytes | None) -> None:
    """The result of a write that is brought to its end elsewhere."""


def _is_applied(context: Context, item: BatchItem) -> Flow[bool]:
    """Whether a write of a verb of its own was applied before the crash, as far as what is stored shows."""
    raw = yield from context.call(read_back(item.plan, item.key))
    if raw is None:
        return item.kind == "Delete"
    item.content = item.content if item.kind == "Delete" else raw
    applied: bool = bool(item.token) and item.token[: token_ring.TOKEN] in token_ring.tokens(item.plan.codec.ring(raw))
    return applied


def _as_stored(item: BatchItem) -> None:
    """Let the object be as it is stored now."""
    codec = item.plan.codec
    codec.assign(item.item, codec.decode(item.content))
    item.number = codec.reading.version(item.content) or 0
