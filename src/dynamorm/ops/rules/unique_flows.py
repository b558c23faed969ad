"""Finding an item by its unique value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import dumps
from dynamorm.effects import Flow
from dynamorm.errors import ValidationError
from dynamorm.ops.reads.fetching import when_ready
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.rules.constraints import Constraint
from dynamorm.ops.writes.write import read_back

from .unique import Guards, stored_value, values_in

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def find(context: Context, model: Any, values: dict[str, Any]) -> Flow[Any]:
    """The object with these unique values, or None. Two consistent reads."""
    plan = context.plan(model)
    values = {**plan.given, **values}
    constraint = _asked(plan, values)
    found = yield from when_ready(lambda: constraint.values(_wires(plan, constraint, values)))
    if not found:
        raise ValidationError(
            f"{plan.codec.schema.name}.{constraint.name}: None is not guarded, so nothing is found by it; use a query",
            field=constraint.name,
        )
    context = context.bounded()
    guards = Guards(context, plan, constraint)
    for value in found:
        for _ in range(2):  # the value may move from one item to another between the two reads
            guard = yield from context.call(read_back(guards.plan, dumps(guards.key(value)), purpose="guard"))
            owner = None if guard is None else guards.owner_of(guard)
            if owner is None:
                break
            raw = yield from context.call(read_back(plan, dumps(owner), purpose="verb"))
            if raw is None:
                continue
            stored = values_in(plan, raw)
            if value in constraint.values(stored):
                return plan.codec.decode_shown(raw)
            constraint.check(stored)  # the guard says that it is this item, which does not say so itself
    return None


def _wires(plan: ModelRequests, constraint: Constraint, values: dict[str, Any]) -> dict[str, Any]:
    wires: dict[str, Any] = {}
    for field in constraint.fields:
        wires |= stored_value(plan, field, values[field.name])
    return wires


def _asked(plan: ModelRequests, values: dict[str, Any]) -> Constraint:
    constraints: tuple[Constraint, ...] = plan.uniques
    for constraint in constraints:
        wanted = {field.name for field in constraint.fields}
        if values.keys() >= wanted >= values.keys() - plan.given.keys():
            return constraint
    name = plan.codec.schema.name
    declared = "; ".join(", ".join(field.name for field in constraint.fields) for constraint in plan.uniques)
    raise ValidationError(
        f"{name} has no unique constraint on {', '.join(values) or 'nothing'}; "
        + (f"its constraints: {declared}" if declared else "declare one with attr(Unique())")
    )
