"""Repair of unique attributes: compare all items of a table with all guards, and mend what is wrong. Returns flows.

The table is in use meanwhile, and two reads do not show one moment. So what looks wrong is read once more, item and guard
together in one transaction, and what is wrong is mended in one transaction that holds only while both are as they were
read: the very guard, told by the token of the write that made it, and the item with the values it had. A refusal means
that somebody has changed them; then both are looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from dynamorm.codec.composites import scope_entries
from dynamorm.codec.library_attributes import is_guard_key
from dynamorm.codec.replies.snapshot import read_responses
from dynamorm.codec.strict import dumps, raw_page, read_object
from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, TransactionConflict, ValidationError
from dynamorm.models.expressions.compile import Placeholders
from dynamorm.models.schema.schema import family_of
from dynamorm.ops.callbacks import check_progress, told
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import ModelRequests, encode, finish, names
from dynamorm.ops.rules.constraints import Constraint
from dynamorm.ops.rules.unique import Guards, fields_of, values_in
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE
from dynamorm.ops.writes.write import Write, read_back

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

TRIES: Final = 8
"""How often an item and its guard are looked at while others change them at the same time."""


class UniqueFault(Struct, frozen=True):
    """One thing that is not as it should be. ``constraint`` names the unique attribute, ``key`` is the item's.

    ``kind``: ``missing`` (an item whose value has no guard), ``taken`` (an item whose value is guarded for another, which
    only a person can decide), ``orphaned`` (a guard whose item is gone or has another value), ``undecided`` (others
    changed the item or its guard each time both were looked at: run the repair again).
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


def repair(
    context: Context,
    model: Any,
    *,
    apply: bool,
    progress: Callable[[int], None] | None,
    formerly: str | Iterable[str] = (),
) -> Flow[UniqueReport]:
    """Compare items and guards of a whole table. ``formerly`` are names that the declaring class had before. Raises: ValidationError."""
    plan = context.plan(model)
    if not fields_of(plan):
        raise ValidationError(f"{plan.codec.schema.name} has no unique attribute: declare one with attr(Unique())")
    if scope_entries(plan.codec):
        raise ValidationError(
            f"the keys of {plan.codec.schema.name} hold the scope of a view, and its table the items and guards of all views:"
            " nobody could compare those of one",
            field="model",
        )
    if progress is not None:
        check_progress(progress, "the number of items and guards looked at so far")
    return _Repair(context, plan, _former(plan, formerly), apply=apply, progress=progress).run()


def _former(plan: ModelRequests, formerly: Any) -> tuple[Constraint, ...]:
    """The constraints as they were called before. Raises: ValidationError."""
    names_before = (formerly,) if isinstance(formerly, str) else tuple(formerly)
    declared = {cls.__name__ for cls in family_of(plan.model)} | {field.owner for field in fields_of(plan)}
    for name in names_before:
        if not isinstance(name, str) or not name.isidentifier() or name in declared:
            raise ValidationError(
                f"formerly names the class that declares a unique attribute of {plan.codec.schema.name} as it was called before,"
                " and not as it is called now",
                field="formerly",
            )
    return tuple(
        replace(constraint, title=f"{name}#{constraint.name}") for name in names_before for constraint in plan.uniques
    )


class _Repair:
    """One run over a table."""

    def __init__(
        self,
        context: Context,
        plan: ModelRequests,
        former: tuple[Constraint, ...],
        *,
        apply: bool,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.context = context.meant("internal")
        self.plan = plan
        self.apply = apply
        self.progress = progress
        self.makers = [Guards(context, plan, constraint) for constraint in plan.uniques]
        self.former = [Guards(context, plan, constraint) for constraint in former]
        self.items = self.guarded = self.repaired = 0
        self.faults: dict[UniqueFault, None] = {}

    def run(self) -> Flow[UniqueReport]:
        """Look at every item, then at every guard."""
        yield from self._scan(self.plan, self._item)
        tables = {guards.plan.table: guards.plan for guards in self.makers}
        for plan in tables.values():
            yield from self._scan(plan, self._guard)
        return UniqueReport(
            items=self.items, guards=self.guarded, faults=tuple(self.faults), repaired=self.repaired
        )  # fmt: skip

    def _scan(self, plan: ModelRequests, look: Callable[[dict[str, Any], bytes], Flow[None]]) -> Flow[None]:
        request: dict[str, Any] = {"TableName": plan.table, "ConsistentRead": True}
        start: bytes | None = None
        while True:
            body = encode(request)
            if start is not None:
                body = body[:-1] + b',"ExclusiveStartKey":' + start + b"}"
            page = yield from self.context.call(Op("Scan", plan.table, body, raw_page))
            for raw, item in zip(page.raws, page.items, strict=True):
                yield from look(item, raw)
            if self.progress is not None:
                told(self.progress, self.items + self.guarded)
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
            for value in guards.constraint.values(values):
                key = guards.key(value)
                guard = yield from self.context.call(read_back(guards.plan, dumps(key), purpose="internal"))
                if guard is None or guards.owner_of(guard) != owner:
                    yield from self._suspect(guards, key, owner)

    def _ours(self, item: dict[str, Any]) -> bool:
        """Whether an item is of this model, where several share the table."""
        schema = self.plan.codec.schema
        return schema.discriminator is None or schema.discriminator in item

    def _guard(self, item: dict[str, Any], raw: bytes) -> Flow[None]:
        """A guard must have its item."""
        for guards in (*self.makers, *self.former):
            if not guards.made(item):
                continue
            self.guarded += 1
            owner = guards.owner_of(raw)
            if owner is None:
                return
            stored = yield from self.context.call(read_back(self.plan, dumps(owner), purpose="internal"))
            found = guards.constraint.values(values_in(self.plan, stored))
            if guards in self.former or not any(guards.is_for(item, value) for value in found):
                yield from self._suspect(guards, {name: item[name] for name in guards.plan.key_names}, owner)
            return

    def _suspect(self, guards: Guards, key: dict[str, Any], owner: dict[str, Any]) -> Flow[None]:
        """A guard and an item that seemed not to go together: look at both at one moment, and mend them."""
        kinds: list[str] = []
        for _ in range(TRIES):
            try:
                pair = yield from self.context.call(_both(guards.plan, dumps(key), self.plan, dumps(owner)))
                kind, mend = self._judged(guards, key, owner, *pair)
                if kind:
                    kinds.append(kind)
                if mend is not None and self.apply:
                    mend.together_with = (_unchanged(self.plan, guards, owner, pair[1]),)
                    yield from perform(self.context, mend)
                    self.repaired += 1
            except (ConditionFailed, TransactionConflict):
                continue  # another writer was quicker
            break
        else:
            kinds = ["undecided"]
        for kind in kinds:
            self.faults[UniqueFault(kind, guards.constraint.name, self.plan.codec.key_values(dumps(owner)))] = None

    def _judged(
        self, guards: Guards, key: dict[str, Any], owner: dict[str, Any], guard: bytes | None, item: bytes | None
    ) -> tuple[str, Write | None]:
        """What is wrong with a guard and an item, and the write that mends it; an empty text for nothing."""
        found = guards.constraint.values(values_in(self.plan, item))
        value = next((one for one in found if guards.is_for(key, one)), None)
        holds = value is not None and guards not in self.former
        guarded = guard is not None and guards.owner_of(guard) == owner
        if holds == guarded:
            return "", None
        if guarded:
            return "orphaned", guards.drop(read_object(guard or b"{}"))
        return ("taken", None) if guard is not None else ("missing", guards.take(value or "", owner))


def _both(guards: ModelRequests, key: bytes, items: ModelRequests, owner: bytes) -> Op:
    """The call that reads a guard and an item at one moment."""
    gets = guards.key_head + key + b'}},{"Get":' + items.key_head + owner
    op = Op(
        "TransactGetItems",
        ", ".join(sorted({guards.table, items.table})),
        b'{"TransactItems":[{"Get":' + gets + b"}}]}",
        lambda reply: read_responses(reply, 2),
    )
    op.parts = 2
    return op


def _unchanged(plan: ModelRequests, guards: Guards, owner: dict[str, Any], item: bytes | None) -> Write:
    """The check that an item has the same values of a constraint as when it was read; None: that it is absent."""
    places = Placeholders()
    if item is None:
        terms = [f"attribute_not_exists({places.name(plan.partition.stored)})"]
    else:
        terms, values = [], values_in(plan, item)
        for stored in guards.constraint.stored_names():
            name, wire = places.name(stored), values.get(stored)
            terms.append(f"attribute_not_exists({name})" if wire is None else f"{name} = {places.value(wire)}")
    key = dumps(owner)
    parameters = {"ConditionExpression": " AND ".join(terms), **OLD_ON_FAILURE, **names(places)}
    return Write(plan, "ConditionCheck", key, finish(plan.key_head, key, parameters), lambda _: None, token=b"")
