"""What an update computes of other attributes: what each of them counts as while it is missing, and what must be stored.

Used only by updates that compute: ``P.a.set(P.b + 1)``, ``P.a.set(P.b.concat(P.c))``, and by strict additions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U

from dynamorm.codec.strict import read_object
from dynamorm.codec.types.starts import null_at
from dynamorm.errors import ConditionFailed, DynamORMError
from dynamorm.models.expressions.tree import Comparison, Computed, Condition, Location, Update, Wire, terms
from dynamorm.ops.writes.write import Write, explain_refusal

from .bound import found_at
from .entries import Wires, start_at

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

_NULL: Final = Wire({"S": "NULL"})


def started(plan: ModelRequests, update: Update) -> Update:
    """An addition with the number that it begins from in its stored form. Raises: ValidationError."""
    if update.start is None or isinstance(update.start, Wire):
        return update
    wire = plan.update_operand(update.path, update.start, "number")
    return Update(
        update.kind, update.path, update.value, None if wire is None else Wire(wire), update.where, update.also
    )


def computed_from(
    plan: ModelRequests, update: Update, holds: Wires | None, demanded: dict[tuple[Any, ...], Condition]
) -> Update:
    """The update with what its attributes count as while they are missing; ``demanded`` get what must be true."""
    value = update.value
    starts: list[Wire | None] = []
    for operand in value.operands:
        if not isinstance(operand, Location):
            starts.append(None)
            continue
        # What lies inside another attribute may be missing with it, which then counts as its own default.
        wire = start_at(plan, operand.parts, holds) if len(operand.parts) == 1 else None
        starts.append(None if wire is None else Wire(wire))
        may_be_null = null_at(plan.codec, operand.parts) is not U
        if wire is None:
            op = "not null" if may_be_null else "attribute_exists"
            demanded["computed of", operand.parts] = Comparison(op, (), operand)
        elif may_be_null:
            demanded["computed of", operand.parts] = ~Comparison("attribute_type", (_NULL,), operand)
    return Update(update.kind, update.path, Computed(value.op, value.operands, tuple(starts)))


def needed_by(
    plan: ModelRequests, updates: Iterable[Update], holds: Wires | None
) -> list[tuple[Update, Location, bool]]:
    """The places that must be stored for updates to be right: for which one, and whether it may be missing."""
    found: list[tuple[Update, Location, bool]] = []
    for update in updates:
        if update.kind == "compute":
            for source in update.value.sources:
                start = start_at(plan, source.parts, holds) if len(source.parts) == 1 else None
                found.append((update, source, start is not None))
        elif update.kind == "add" and is_strict(update):
            found.append((update, update.path, False))
    return found


def is_strict(update: Update) -> bool:
    """Whether an addition is to fail where nothing is stored."""
    if update.where is None:
        return False
    return any(
        isinstance(term, Comparison) and term.op == "not null" and term.path.stored == update.path.stored
        for term in terms(update.where)
    )


def explain(write: Write, needed: list[tuple[Update, Location, bool]]) -> None:
    """Say of a write that was refused because an attribute is not stored which one it was."""
    plan = write.plan

    def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
        error = earlier()
        if type(error) is not ConditionFailed or raw is None:  # it was changed: that comes first
            return error
        item = read_object(raw)
        lacking = next(
            (
                (update, place)
                for update, place, has_default in needed
                if found_at(place, item) is U and not (has_default and place.stored[0] not in item)
            ),
            None,
        )
        if lacking is None:
            return error
        return ConditionFailed(_said(plan, *lacking), old=lambda: plan.codec.decode_shown(raw), **info)

    explain_refusal(write, tell)


def _said(plan: ModelRequests, update: Update, place: Location) -> str:
    name = plan.codec.schema.name
    what = f"so that {name}.{update.path.name} cannot be computed of it: set it first, or give it a default"
    if update.kind == "add":
        what = "and add(..., strict=True) adds to what is there: leave strict away, or say add(..., start=n) or set(n)"
    return f"{name}.{place.name} is not stored, or None, {what}"
