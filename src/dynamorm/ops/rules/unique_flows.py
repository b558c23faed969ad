"""What a model with unique attributes does that others do not: reading before a blind write, and finding by value.

A write by key, and a put, replace or remove values that nobody has told: they are read first, and the write happens only
while they are still so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import dumps
from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, DuplicateKey, Outcome, ValidationError
from dynamorm.ops.constraints import Constraint
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.write import MustRead, Write, read_back

from .unique import Guards, values_in

if TYPE_CHECKING:
    from dynamorm.session import Session

TRIES: Final = 8
"""How often a write by key starts anew because somebody changed the unique values in between."""


def guarded(
    session: Session,
    subject: Any,
    build: Callable[..., Write],
    send: Callable[[Session, Write], Flow[Any]] = perform,
) -> Flow[Any]:
    """Send the write of a model with unique attributes, which ``build(stored=...)`` makes of what is stored.

    Where that is not known from ``subject``, an object or a class, it is read first; see `_while_unchanged`.
    """
    try:
        write = build()
    except MustRead as unread:
        return _while_unchanged(session, unread.plan, unread.under, build, send, None, None)
    if not write.pinned:
        return send(session, write)
    plan = write.plan
    return _while_unchanged(session, plan, write.key, build, send, write, plan.codec.loaded(subject))


def _while_unchanged(
    session: Session,
    plan: ModelRequests,
    key: bytes,
    build: Callable[..., Write],
    send: Callable[[Session, Write], Flow[Any]],
    write: Write | None,
    raw: bytes | None,
) -> Flow[Any]:
    """Write on the condition that the unique values are as in ``raw``, and begin again when they have changed meanwhile.

    ``write`` is the first try, made of ``raw``; without one the item is read before.
    """
    session = session.bounded()
    if write is None:
        raw = yield from session.call(read_back(plan, key))
    for tried in range(TRIES):
        try:
            return (yield from send(session, build(stored=raw) if write is None else write))
        except DuplicateKey:
            raise
        except ConditionFailed as error:
            if error.outcome is not Outcome.NOT_APPLIED:
                raise
            found = yield from session.call(read_back(plan, key))
            if tried == TRIES - 1 or _same(plan, found, raw):
                raise  # the values are as they were, so it was the caller's condition
            raw, write = found, None
    raise AssertionError("the last try returns or raises")


def _same(plan: ModelRequests, one: bytes | None, other: bytes | None) -> bool:
    """Whether two states of an item have the same unique values, as far as its class is known here."""
    return one == other or bool(plan.uniques and values_in(plan, one) == values_in(plan, other))


def find(session: Session, model: Any, values: dict[str, Any]) -> Flow[Any]:
    """The object with these unique values, or None. Two consistent reads."""
    plan = session.plan(model)
    constraint = _asked(plan, values)
    wires: dict[str, Any] = {}
    for field in constraint.fields:
        wires[field.stored] = plan.codec.encode_field(field.name, values[field.name])
    value = constraint.value(wires)
    if value is None:
        raise ValidationError(
            f"{plan.codec.schema.name}.{constraint.name}: None is not guarded, so nothing is found by it; use a query",
            field=constraint.name,
        )
    session = session.bounded()
    guards = Guards(session, plan, constraint)
    for _ in range(2):  # the value may move from one item to another between the two reads
        guard = yield from session.call(read_back(guards.plan, dumps(guards.key(value))))
        owner = None if guard is None else guards.owner_of(guard)
        if owner is None:
            return None
        raw = yield from session.call(read_back(plan, dumps(owner)))
        if raw is not None and constraint.value(values_in(plan, raw)) == value:
            return plan.codec.decode(raw)
    return None


def _asked(plan: ModelRequests, values: dict[str, Any]) -> Constraint:
    for one in plan.uniques:
        if {field.name for field in one.fields} == values.keys():
            return one
    name = plan.codec.schema.name
    known = "; ".join(", ".join(field.name for field in one.fields) for one in plan.uniques)
    raise ValidationError(
        f"{name} has no unique constraint on {', '.join(values) or 'nothing'}; "
        + (f"its constraints: {known}" if known else "declare one with attr(Unique())")
    )
