"""What a spool keeps of an item of a batcher, and the item that the next process makes of it. It must not know files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Context as Variables
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dynamorm.codec.state import Held
from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, IntegrityError
from dynamorm.ops.reads.fetching import when_ready
from dynamorm.wire.acting import actor, current_actor, keep

from .batch_items import BatchItem

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

_FORM: Final = 3


class Record(msgspec.Struct, array_like=True):
    """What is written down of an item. ``goes_on`` and ``after_delete`` are as in `BatchItem`; ``scope`` is that of its view.

    ``database`` says where it belongs: see `DatabaseIdentity.lasting`. ``actor`` is who added it: by, ip, user agent, request id; None
    for nobody, and in what earlier versions have written.
    """

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
    goes_on: bytes
    after_delete: bool
    scope: dict[str, str]
    actor: tuple[str, str | None, str | None, str | None] | None = None


class Known(msgspec.Struct):
    """What a record tells without the model of its item.

    ``address`` names its place in the database, ``given`` stands for the object: the name of its class, and its key.
    ``is_mine``: it was added in the scope of this view. ``database`` says where it belongs.
    """

    address: Any
    verb: str
    given: Any
    is_mine: bool
    database: str


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Record).decode


def record(item: BatchItem, scope: Mapping[str, str], database: str) -> bytes:
    """What is needed to send an item again from another process. ``database`` says where it belongs."""
    model, loaded, before = item.model, item.loaded, item.follows
    if before is not None and before.item is not item.item:
        before = None  # of another object: it does not go on from there
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
            b"" if before is None else before.token,
            before is not None and before.kind == "Delete",
            dict(scope),
            _actor_of(item),
        )
    )


def _actor_of(item: BatchItem) -> tuple[str, str | None, str | None, str | None] | None:
    who = None if item.variables is None else item.variables.run(current_actor)
    return None if who is None else (who.by, who.ip, who.user_agent, who.request_id)


def _acted_by(found: Record) -> Variables | None:
    """The context variables of who added an item, where that was written down. Raises: ValidationError."""
    if found.actor is None:
        return None
    by, ip, user_agent, request_id = found.actor
    variables = copy_context()
    variables.run(actor(by, ip=ip, user_agent=user_agent, request_id=request_id).__enter__)
    variables.run(keep)
    return variables


def _read(data: bytes) -> Record:
    """A record. Raises: IntegrityError for what is none."""
    try:
        found = _decode(data)
    except msgspec.MsgspecError:
        raise IntegrityError(
            "a record of the spool is of another form than this version of the library writes"
        ) from None
    if found.form != _FORM:
        raise IntegrityError(f"a record of the spool has the form {found.form}, and this version reads form {_FORM}")
    return found


def known(data: bytes, scope: Mapping[str, str]) -> Known:
    """What a record tells without the model of its item. Raises: IntegrityError for what is no record."""
    found = _read(data)
    key = [next(iter(wire.values())) for wire in read_object(found.key).values()]
    given = (found.name.rpartition(".")[2], *key)
    return Known((found.table, found.key), found.verb, given, found.scope == scope, found.database)


def revive(context: Context, data: bytes, model_of: Callable[[str, str], type[Any]]) -> Flow[BatchItem]:
    """The item of a record. ``model_of(module, name)`` finds its class.

    Raises: IntegrityError for what is no record; ConfigError for a model that is stored elsewhere now; ValidationError for
    an item that its model does not take any more; what the rules raise that prepare for reading it.
    """
    found = _read(data)
    plan = context.plan(model_of(found.module, found.name))
    if plan.table != found.table:
        raise ConfigError(
            f"the spool holds items of {found.name} for the table {found.table}, and it is stored in {plan.table} here:"
            " open the database with the table_prefix of the process that wrote the spool"
        )
    obj: Any = None
    if found.kind == "Put":
        yield from _prepared(plan, found.content)
        obj = yield from when_ready(lambda: _object(plan, found.content, found.loaded))
    elif not found.by_key and found.loaded is not None:
        loaded = found.loaded
        yield from _prepared(plan, loaded)
        obj = yield from when_ready(lambda: plan.codec.decode(loaded))
    given = (plan.model, *plan.codec.key_values(found.key)) if obj is None else obj
    item = BatchItem(
        given, plan, found.kind, found.key, found.content, (plan.table, found.key),
        verb=found.verb,
        copy=obj if found.verb else None,
        token=found.token,
        loaded=found.loaded,
        goes_on=found.goes_on,
        after_delete=found.after_delete,
    )  # fmt: skip
    item.variables = _acted_by(found)
    return item


def _prepared(plan: ModelRequests, raw: bytes) -> Flow[None]:
    """Let the rules for what is read fetch what decoding an item needs, as before an answer with it."""
    if plan.prepare is not None:
        yield from plan.prepare(b'{"Item":%b}' % raw)


def _object(plan: ModelRequests, content: bytes, loaded: bytes | None) -> Any:
    """The object that was added, with the state it had then."""
    codec = plan.codec
    obj = codec.decode(content)
    state = codec.loaded(obj)
    # What nested objects hold of members unknown to their classes is in the content, too.
    held = Held(loaded, state.holders) if loaded is not None and isinstance(state, Held) else loaded
    codec.mark(obj, held)
    return obj
