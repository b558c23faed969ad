"""create and put: from an object to the one write that stores the whole of it.

Each verb has a builder (``create_write`` ...) whose `Write` is sent alone by the verb's flow, or joins a transaction.
The object in memory changes only once the write is known to be applied.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.codec.codec import ModelCodec
from dynamorm.codec.library_attributes import time_wire
from dynamorm.codec.placing import place_item
from dynamorm.codec.state import Held
from dynamorm.codec.strict import dumps, read_object
from dynamorm.effects import Flow
from dynamorm.models.expressions.path import Condition
from dynamorm.models.schema.schema import TOKEN_ATTRIBUTE
from dynamorm.ops.requests import ModelRequests, check_values, finish
from dynamorm.ops.writes import token_ring
from dynamorm.ops.writes.draft import WriteDraft
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.unchanged import performed_while_unchanged
from dynamorm.ops.writes.version_check import how_to_send
from dynamorm.ops.writes.write import NOT_READ, Write

from .misuse import not_one_object

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def create(context: Context, obj: Any, *more: Any, strict: bool | None, **named: Any) -> Flow[Any]:
    """Store a new item. Raises AlreadyExists when there is one under the key."""
    if more or named:
        raise not_one_object("create", obj, more, named)
    return perform(context, create_write(context, obj, strict=strict))


def create_write(context: Context, obj: Any, *, strict: bool | None = None) -> Write:
    """The write of `create`. ``strict``: alone it is sent as a transaction; None: as the model says."""
    plan = context.plan(type(obj))
    token = context.random_bytes(16)
    draft: WriteDraft | None = None
    if strict is None:
        strict = plan.strict
    if plan.rules["create"]:
        draft = WriteDraft(context, plan, "create", "Put", obj, None)
        if (instead := draft.passed()) is not None:
            return instead.as_transaction() if strict else instead
    key, item, times = item_of(context, plan, obj, 0, token[: token_ring.TOKEN], None, draft=draft)
    done = partial(refresh, plan, obj, item, 0, times)
    write = Write(
        plan, "Put", key, plan.put_head + item + plan.create_tail, done, token, transact=strict, expects="absent"
    )
    return write if draft is None else draft.completed(write)


def put(
    context: Context, obj: Any, *more: Any, condition: Condition | None, returning: str | None, **named: Any
) -> Flow[Any]:
    """Store an item, replacing whatever is there."""
    if more or named:
        raise not_one_object("put", obj, more, named)
    plan = context.plan(type(obj))
    if plan.needs_stored:
        build = partial(put_write, context, obj, condition=condition, returning=returning)
        return performed_while_unchanged(context, obj, build, perform)
    return perform(context, put_write(context, obj, condition=condition, returning=returning, plan=plan))


def put_write(
    context: Context,
    obj: Any,
    *,
    condition: Condition | None,
    returning: str | None = None,
    stored: bytes | None = NOT_READ,
    plan: ModelRequests | None = None,
) -> Write:
    """The write of `put`. ``stored`` is what is there now, where that matters: to a model with unique attributes."""
    if plan is None:
        plan = context.plan(type(obj))
    codec = plan.codec
    token = context.random_bytes(16)
    loaded = codec.loaded(obj)
    draft: WriteDraft | None = None
    if plan.rules["put"] or condition is not None:
        draft = WriteDraft(context, plan, "put", "Put", obj, loaded)
        draft.returning, draft.stored, draft.condition = returning, stored, condition
        if (instead := draft.passed()) is not None:
            return instead
    number, kept = (0, None) if loaded is None else next_version(plan, obj, loaded)
    # A put without a version is sent again, or is a transaction that has a token of its own: one in the item would only
    # make a change of it each time.
    tokens = b""
    if plan.version is not None:
        tokens = token_ring.fresh(token[: token_ring.TOKEN])
    elif draft is not None and context.config.on_ambiguous != "transact":
        draft.proof = token_ring.fresh(token[: token_ring.TOKEN])
    key, item, times = item_of(context, plan, obj, number, tokens, loaded, kept=kept, draft=draft)
    done = partial(refresh, plan, obj, item, number, times)
    write = Write(plan, "Put", key, plan.put_head + item + b"}", done, token)
    write.traceless = not tokens and (draft is None or not (draft.proof and draft.terms))
    if draft is not None and draft.terms:
        said = draft.said()
        write.body = finish(plan.put_head, item, said)
        check_values(write.body, said)
    repeatable = draft is None or draft.repeatable
    if not repeatable or returning is not None:
        write.transact, write.safety = how_to_send(context, plan, conditional=not repeatable, returning=returning)
        if returning is not None:
            write.returns, write.done = returning, old_item(write.done, codec)
    return write if draft is None else draft.completed(write)


def next_version(plan: ModelRequests, obj: Any, loaded: bytes) -> tuple[int, dict[str, Any]]:
    """The version that a put stores, and the attributes it keeps of what was loaded: those the model does not know."""
    version, unknown = plan.own.version_and_rest(obj, loaded)
    return (version or 0) + 1, unknown


def item_of(
    context: Context,
    plan: ModelRequests,
    obj: Any,
    number: int,
    tokens: bytes,
    loaded: bytes | None,
    *,
    kept: dict[str, Any] | None = None,
    now: datetime | None = None,
    draft: WriteDraft | None = None,
) -> tuple[bytes, bytes, dict[str, Any] | None]:
    """The key and the item to store, with the library-owned attributes of this write, and the times among them.

    Without ``tokens`` none are stored. ``kept`` is what the item keeps of the one it was loaded from. The rules of the
    model contribute to the ``draft``, whose own token is stored where it has got a condition.
    """
    codec = plan.codec
    wire = codec.encode(obj)
    if loaded.__class__ is Held:
        codec.inner.fill(obj, wire, loaded)
    if plan.version is not None:
        wire[plan.version.stored] = {"N": f"{number}"}
    times: dict[str, Any] | None = None
    if plan.created is not None or plan.updated is not None:
        times = _stamp(plan, obj, wire, loaded, context.now() if now is None else now)
    if tokens and plan.tokens:
        wire[TOKEN_ATTRIBUTE] = {"B": tokens}
    if kept:
        wire = {**kept, **wire}
    if codec.composites:
        key = codec.compose(wire, None if loaded is None else obj)
    else:
        key = b""
        if loaded is None or loaded.startswith(codec.keys.start):
            try:
                key = dumps({name: wire[name] for name in plan.key_names})
            except KeyError:  # a key attribute is empty, and left out: that is explained where a key is made
                key = codec.key_of(obj)
        if loaded is not None and not (key and loaded.startswith(key[:-1])):  # it may be spelled otherwise than ours
            key = codec.key_of(obj)  # by the rule of the view, too
            if not codec.keys.exact:
                wire |= read_object(key)
    if draft is not None:
        draft.key, draft.item = key, wire
        draft.contributed()
        if draft.proof and draft.terms and plan.tokens:
            wire[TOKEN_ATTRIBUTE] = {"B": draft.proof}
        if draft.values:
            times = {**(times or {}), **draft.values}
    if codec.placed:
        place_item(codec, wire, key, context.scope)
        if draft is not None and draft.late:
            wire |= {stamp.name: stamp.wire(wire) for stamp in draft.late}
    item = codec.item_bytes(wire)
    if loaded.__class__ is Held:
        item = codec.inner.held(obj, item)
    return key, item, times


def _stamp(plan: ModelRequests, obj: Any, wire: dict[str, Any], loaded: bytes | None, now: datetime) -> dict[str, Any]:
    """Put the times of this write into the item. Returns them by the names of their fields."""
    codec, created, updated = plan.codec, plan.created, plan.updated
    stamp = time_wire(now)
    times: dict[str, Any] = {}
    if created is not None:
        created_wire = None if loaded is None else codec.stored(obj, created.stored)
        wire[created.stored] = stamp if created_wire is None else created_wire
        times[created.name] = now if created_wire is None else codec.decode_field(created.name, created_wire)
    if updated is not None:
        wire[updated.stored] = stamp
        times[updated.name] = now
    return times


def refresh(
    plan: ModelRequests, obj: Any, item: bytes, number: int, times: dict[str, Any] | None, raw: bytes | None
) -> Any:
    """Bring the object up to date once ``item`` is stored, under this version and with these times. Returns it.

    ``raw`` is the item where the write was settled from what is stored, which may be newer.
    """
    codec = plan.codec
    if raw is not None:
        codec.assign(obj, codec.decode(raw))
        return obj
    if not codec.takes_all:
        version = {} if plan.version is None else {plan.version.name: number}
        codec.give(obj, version | (times or {}))
    else:  # without a detour: this is what most classes are
        if plan.version is not None:
            setattr(obj, plan.version.name, number)
        if times:
            for name, value in times.items():
                setattr(obj, name, value)
    codec.mark(obj, item)
    if codec.changing:
        codec.as_stored(obj, item)
    return obj


def old_item(done: Any, codec: ModelCodec) -> Any:
    """With ``returning="old"`` the reply holds the old item: it is the result, not the new state."""

    def old(raw: bytes | None) -> Any:
        done(None)
        return None if raw is None else codec.decode_shown(raw)

    return old
