"""What a model with unique attributes does that others do not: reading before a blind write, finding by value, repair.

A write by key, and a put, replace or remove values that nobody has told: they are read first, and the write happens only
while they are still so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.codec.replies import dumps, raw_page
from dynamorm.codec.system import GUARD_PREFIX, bytes_wire, is_guard_key, text_wire
from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, DuplicateKey, ValidationError
from dynamorm.expression import Path
from dynamorm.expression_tree import Comparison, Condition, Wire

from .op import Op
from .plan import Plan, encode
from .unique import Constraint, Guards, fields_of, values_in
from .write import MustRead, Write, perform, read_back

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
    plan: Plan,
    key: bytes,
    build: Callable[..., Write],
    send: Callable[[Session, Write], Flow[Any]],
    write: Write | None,
    raw: bytes | None,
) -> Flow[Any]:
    """Write on the condition that the unique values are as in ``raw``, and begin again when they have changed meanwhile.

    ``write`` is the first try, made of ``raw``; without one the item is read before.
    """
    if write is None:
        raw = yield from session.call(read_back(plan, key))
    for tried in range(TRIES):
        try:
            return (yield from send(session, build(stored=raw) if write is None else write))
        except DuplicateKey:
            raise
        except ConditionFailed:
            found = yield from session.call(read_back(plan, key))
            if tried == TRIES - 1 or _same(plan, found, raw):
                raise  # the values are as they were, so it was the caller's condition
            raw, write = found, None
    raise AssertionError("the last try returns or raises")


def _same(plan: Plan, one: bytes | None, other: bytes | None) -> bool:
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


def _asked(plan: Plan, values: dict[str, Any]) -> Constraint:
    for one in plan.uniques:
        if {field.name for field in one.fields} == values.keys():
            return one
    name = plan.codec.schema.name
    known = "; ".join(", ".join(field.name for field in one.fields) for one in plan.uniques)
    raise ValidationError(
        f"{name} has no unique constraint on {', '.join(values) or 'nothing'}; "
        + (f"its constraints: {known}" if known else "declare one with attr(Unique())")
    )


def no_guards(plan: Plan) -> Condition:
    """What is true of every item that is no guard: a scan meets both."""
    wire = bytes_wire(GUARD_PREFIX.encode()) if plan.key_type(plan.partition.name) == "B" else text_wire(GUARD_PREFIX)
    return ~Comparison("begins_with", (Wire(wire),), Path(plan.partition))


# ------------------------------------------------------------------------------------------------------------- repair


class UniqueFault(Struct, frozen=True):
    """One thing that is not as it should be. ``constraint`` names the unique attribute, ``key`` is the item's.

    ``kind``: ``missing`` (an item whose value has no guard), ``taken`` (an item whose value is guarded for another, which
    only a person can decide), ``orphaned`` (a guard whose item is gone or has another value).
    """

    kind: str
    constraint: str
    key: tuple[Any, ...]


class UniqueReport(Struct, frozen=True, kw_only=True):
    """What `DB.repair_unique` found: how many items and guards were looked at, and what was wrong.

    ``repaired`` counts what was mended: guards written for items without, and guards of no item deleted.

    Example: ``assert not db.repair_unique(Payment).faults``
    """

    items: int
    guards: int
    faults: tuple[UniqueFault, ...]
    repaired: int


class _Repair:
    """One run over a table."""

    def __init__(self, session: Session, plan: Plan, *, apply: bool, progress: Callable[[int], None] | None) -> None:
        self.session = session
        self.plan = plan
        self.apply = apply
        self.progress = progress
        self.makers = [Guards(session, plan, one) for one in plan.uniques]
        self.items = self.guarded = self.repaired = 0
        self.faults: list[UniqueFault] = []

    def run(self) -> Flow[UniqueReport]:
        """Look at every item, then at every guard."""
        yield from self._scan(self.plan, self._item)
        tables = {one.plan.table: one.plan for one in self.makers}
        for plan in tables.values():
            yield from self._scan(plan, self._guard)
        return UniqueReport(
            items=self.items, guards=self.guarded, faults=tuple(self.faults), repaired=self.repaired
        )  # fmt: skip

    def _scan(self, plan: Plan, look: Callable[[dict[str, Any], bytes], Flow[None]]) -> Flow[None]:
        request: dict[str, Any] = {"TableName": plan.table, "ConsistentRead": True}
        start: bytes | None = None
        while True:
            body = encode(request)
            if start is not None:
                body = body[:-1] + b',"ExclusiveStartKey":' + start + b"}"
            page = yield from self.session.call(Op("Scan", plan.table, body, raw_page))
            for raw, item in zip(page.raws, page.items, strict=True):
                yield from look(item, raw)
            if self.progress is not None:
                self.progress(self.items + self.guarded)
            start = page.last_key
            if start is None:
                return

    def _item(self, item: dict[str, Any], raw: bytes) -> Flow[None]:
        """An item must have its guards."""
        if is_guard_key(item.get(self.plan.partition.stored)) or not self._ours(item):
            return
        self.items += 1
        owner = {name: item[name] for name in self.plan.key_names}
        values = values_in(self.plan, raw)
        for guards in self.makers:
            value = guards.constraint.value(values)
            if value is None:
                continue
            found = yield from self.session.call(read_back(guards.plan, dumps(guards.key(value))))
            if found is None:
                yield from self._fault("missing", guards, owner, guards.take(value, owner))
            elif guards.owner_of(found) != owner:
                yield from self._fault("taken", guards, owner, None)

    def _ours(self, item: dict[str, Any]) -> bool:
        """Whether an item is of this model, where several share the table."""
        schema = self.plan.codec.schema
        return schema.discriminator is None or schema.discriminator in item

    def _guard(self, item: dict[str, Any], raw: bytes) -> Flow[None]:
        """A guard must have its item."""
        for guards in self.makers:
            if not guards.made(item):
                continue
            self.guarded += 1
            owner = guards.owner_of(raw)
            if owner is None:
                return
            stored = yield from self.session.call(read_back(self.plan, dumps(owner)))
            value = guards.constraint.value(values_in(self.plan, stored))
            if value is None or not guards.is_for(item, value):
                yield from self._fault("orphaned", guards, owner, guards.drop(item, owner))
            return

    def _fault(self, kind: str, guards: Guards, owner: dict[str, Any], mend: Write | None) -> Flow[None]:
        key = self.plan.codec.key_values(dumps(owner))
        self.faults.append(UniqueFault(kind, guards.constraint.name, key))
        if not self.apply or mend is None:
            return
        try:
            yield from perform(self.session, mend)
        except ConditionFailed:
            return  # somebody was quicker
        self.repaired += 1


def repair(session: Session, model: Any, *, apply: bool, progress: Callable[[int], None] | None) -> Flow[UniqueReport]:
    """Compare items and guards of a whole table."""
    plan = session.plan(model)
    if not fields_of(plan):
        raise ValidationError(f"{plan.codec.schema.name} has no unique attribute: declare one with attr(Unique())")
    return _Repair(session, plan, apply=apply, progress=progress).run()
