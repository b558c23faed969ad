"""Items of a batcher that were written down, and are sent again by the next process after a crash.

Nobody knows which of them were applied, so each begins with a look at what is stored. A write that was applied is recognized
by its token; one that was not is applied only where nobody else has written the item since: where there is none, where it is
as it was loaded, or as a write of the same spool left it. It must not know files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.state import Held
from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    DuplicateKey,
    DynamORMError,
    MissingItem,
    Outcome,
    Superseded,
    VersionConflict,
)
from dynamorm.models.expressions.compile import Placeholders
from dynamorm.models.schema.schema import TOKEN_ATTRIBUTE
from dynamorm.ops.requests import check_values, finish, names
from dynamorm.ops.writes import token_ring
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE
from dynamorm.ops.writes.write import Write, read_back

from .batch_items import BatchItem, alone
from .batch_proof import Proof, normal

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

_MOST: Final = 100
"""Attributes that the condition "as it was seen" may compare: an expression has 4 KB, and at most 300 operators.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""
_TURNS: Final = 3
"""How often an item is looked at anew because it changed between the look and the write: by a late copy, say."""

_REFUSALS: Final = (AlreadyExists, VersionConflict, MissingItem)


def replay(
    context: Context,
    proof: Proof,
    item: BatchItem,
    kin: Sequence[BatchItem],
    verb: Callable[[Context], Flow[Any]] | None,
) -> Flow[None]:
    """Bring an item of a spool to its end. ``kin`` are all items of its key in the spool, in their order.

    ``verb`` gives the flow that writes it alone.

    Raises: what a look at the item raises, and what rules raise that are no errors of the library; then it was not sent.
    """
    seen: bytes | None = None
    refusal: DynamORMError | None = None
    is_own = False
    for _ in range(_TURNS):
        raw = yield from context.call(read_back(item.plan, item.key))
        if _is_done(item, kin, raw):
            _finish(item, raw)
            return
        if refusal is not None and _is_same(seen, raw):
            break
        seen, is_own = raw, raw is not None and _is_own(proof, item, kin, raw)
        flow = (
            _write_alone(context, item, verb, raw) if verb else _write_guarded(context, item, kin, raw, is_own=is_own)
        )
        refusal = yield from flow
        if refusal is None:
            return
    assert refusal is not None  # else the loop returns
    # What this spool itself has written refuses the write as it would have done before the crash.
    item.end(refusal if is_own and verb else _superseded(item, refusal))


def _is_done(item: BatchItem, kin: Sequence[BatchItem], raw: bytes | None) -> bool:
    """Whether a write was applied before, or a later one of the spool that takes its place, as far as what is stored shows."""
    if raw is None:
        return item.kind == "Delete"
    ring = token_ring.tokens(item.plan.codec.ring(raw))
    if _token(item) in ring:
        return True
    later = kin[kin.index(item) + 1 :]
    return any(_token(one) in ring and _takes_place(one, item, later) for one in later)


def _takes_place(one: BatchItem, item: BatchItem, between: Sequence[BatchItem]) -> bool:
    """Whether nothing of a write is missing where a later one was applied: unless each is of an object of its own."""
    if not (one.verb and item.verb):
        return True
    while one.goes_on:
        if one.goes_on == item.token:
            return True
        before = [other for other in between if other.token == one.goes_on]
        if not before:
            return False
        (one,) = before
    return False


def _token(item: BatchItem) -> bytes:
    """The token that an item stores; of one that stores none, what is no token."""
    return item.token[: token_ring.TOKEN] if item.kind == "Put" and item.token else b""


def _finish(item: BatchItem, raw: bytes | None) -> None:
    """It needs no sending."""
    if item.verb and item.kind == "Put" and raw is not None:
        item.content = raw
        _as_stored(item)
    item.done()


def _is_same(seen: bytes | None, raw: bytes | None) -> bool:
    if seen is None or raw is None:
        return seen is raw
    return normal(read_object(seen)) == normal(read_object(raw))


def _is_own(proof: Proof, item: BatchItem, kin: Sequence[BatchItem], raw: bytes) -> bool:
    """Whether an item is stored as this spool has left it: by the proof it carries, or as an item left here says."""
    if proof.is_own(item.plan, item.key, raw):
        return True
    ring = token_ring.tokens(item.plan.codec.ring(raw))
    if not ring:
        return False
    versioned = item.plan.version is not None
    before = [one for one in kin[: kin.index(item)] if _token(one) == ring[0]]
    return any(versioned or _is_same(one.content, raw) for one in before)


def _write_alone(
    context: Context, item: BatchItem, verb: Callable[[Context], Flow[Any]], raw: bytes | None
) -> Flow[DynamORMError | None]:
    """Write an item by a verb of its own. The refusal of a write that may have been superseded; None when it has ended."""
    _go_on(item, raw)
    item.on_end, tell = None, item.on_end  # what ends it as refused may have been superseded
    yield from alone(context, item, verb)
    item.on_end = tell
    error = item.error
    if isinstance(error, _REFUSALS):
        item.state, item.error = "", None
        return error
    item.ended()
    return None


def _go_on(item: BatchItem, raw: bytes | None) -> None:
    """Let a write go on from the one before of the same object, where what is stored is as that one has left it."""
    copied, codec, version = item.copy, item.plan.codec, item.plan.version
    if copied is None:
        return
    if raw is None:
        if item.after_delete:
            codec.mark(copied, None)
        return
    ring = token_ring.tokens(codec.ring(raw))
    if not (item.goes_on and ring and ring[0] == item.goes_on[: token_ring.TOKEN]):
        return
    state = codec.loaded(copied)
    codec.mark(copied, Held(raw, state.holders) if isinstance(state, Held) else raw)
    if version is not None:
        codec.give(copied, {version.name: codec.reading.version(raw) or 0})


def _write_guarded(
    context: Context, item: BatchItem, kin: Sequence[BatchItem], raw: bytes | None, *, is_own: bool
) -> Flow[DynamORMError | None]:
    """Write an item that has no guard of its own, only where nobody else has written. As `_write_alone`."""
    if not (raw is None or is_own or _is_as_loaded(item, kin, raw)):
        return ConditionFailed(f"another {item.plan.codec.schema.name} is stored than the spool knows")
    try:
        yield from perform(context, _guarded(item, raw))
    except DynamORMError as error:
        if isinstance(error, ConditionFailed) and not isinstance(error, DuplicateKey):
            return error
        item.end(error)
    else:
        item.done()
    return None


def _is_as_loaded(item: BatchItem, kin: Sequence[BatchItem], raw: bytes) -> bool:
    """Whether it is stored as an object was loaded that is to be written now, or was before."""
    some = kin[: kin.index(item) + 1]
    return any(one.loaded is not None and _is_same(bytes(one.loaded), raw) for one in some)


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


def _guarded(item: BatchItem, raw: bytes | None) -> Write:
    """An unconditional write as one that happens only while the item is as it was seen."""
    plan, places = item.plan, Placeholders()
    if raw is None:
        terms = [f"attribute_not_exists({places.name(plan.partition.stored)})"]
    else:
        attributes = read_object(raw)
        some = sorted(attributes, key=lambda name: name != TOKEN_ATTRIBUTE)[:_MOST]
        terms = [f"{places.name(name)} = {places.value(attributes[name])}" for name in some]
        absent = [one.stored for one in plan.codec.record.plans if one.stored not in attributes]
        terms += [f"attribute_not_exists({places.name(name)})" for name in absent[: _MOST - len(some)]]
    said = {"ConditionExpression": " AND ".join(terms), **OLD_ON_FAILURE, **names(places)}
    head = plan.put_head if item.kind == "Put" else plan.key_head
    body = finish(head, item.content if item.kind == "Put" else item.key, said)
    check_values(body, said)
    # Without a token of its own no stored one can be taken for it.
    token = item.token or bytes(range(1, 1 + token_ring.TOKEN))
    return Write(plan, item.kind, item.key, body, partial(_nothing), token, checked=True)


def _nothing(_: bytes | None) -> None:
    """The result of a write that is brought to its end elsewhere."""


def _as_stored(item: BatchItem) -> None:
    """Let the object be as it is stored now."""
    codec = item.plan.codec
    codec.assign(item.item, codec.decode(item.content))
    item.number = codec.reading.version(item.content) or 0
