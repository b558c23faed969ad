"""Bounds of fields, as conditions of updates whose result only the database knows: what is added, or taken over.

A value that is known here is checked when it is encoded; how collections grow is `dynamorm.ops.updates.limited_size`. Whoever is
out of bounds already may come nearer: only the bound that lies in the direction of a change is demanded. What is not
stored counts as the default, or as 0. Only models whose fields have bounds need this module.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U

from dynamorm.codec.explaining import value_of
from dynamorm.codec.strict import read_object
from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.numbers import MAX_DIGITS, number_text
from dynamorm.codec.types.scalars import SCALARS
from dynamorm.codec.types.shapes import CustomShape
from dynamorm.codec.values.operands import encode_shape, plan_at
from dynamorm.codec.values.updates import refusal as misuse
from dynamorm.errors import ConditionFailed, DynamORMError, NumberPrecision, OutOfBounds
from dynamorm.models.expressions.tree import Comparison, Condition, Location, Update, Wire
from dynamorm.models.schema.schema import Json
from dynamorm.ops.writes.write import Write, explain_refusal

from .bound import Bound, Item, default_of, found_at, null
from .limited_size import of_elements, of_growth, of_size

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan
    from dynamorm.ops.requests import ModelRequests

_NUMBERS: Final = (SCALARS[int], SCALARS[Decimal], SCALARS[float])
LIMITS: Final[dict[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "ge": (">=", ge), "gt": (">", gt), "le": ("<=", le), "lt": ("<", lt),
}  # fmt: skip
"""The bounds of numbers, by the options that set them: as an operator of DynamoDB, and as a function."""

_EXACT: Final = decimal.Context(prec=400)
_ROUNDING: Final = {"le": ROUND_FLOOR, "gt": ROUND_FLOOR, "ge": ROUND_CEILING, "lt": ROUND_CEILING}
"""How a difference of more digits than DynamoDB has is rounded: no number that it has lies between the two."""


def bounds_of(plan: ModelRequests, updates: Iterable[Update]) -> list[Bound]:
    """The bounds that these updates could lead past.

    Raises: ValidationError for a pattern, which the database cannot check.
    """
    bounds: list[Bound] = []
    for update in updates:
        field = plan_at(plan.codec, update.path.parts)
        if field is None or not field.bounded or update.kind == "remove":
            continue
        if isinstance(update.value, Location):
            bounds += _of_other(plan, field, update)
        elif field.hook is not None:
            continue  # nothing can be added to what is sealed
        elif update.kind == "add":
            bounds += _of_sum(field, update)
        elif update.kind not in {"set", "if_not_exists"}:
            bounds += of_growth(plan, field, update)
    return bounds + of_elements(plan, updates)


def explain(write: Write, bounds: Iterable[Bound]) -> None:
    """Say of a write that was refused because of a bound which one it was."""
    plan = write.plan
    name = plan.codec.schema.name

    def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
        error = earlier()
        if type(error) is not ConditionFailed:  # the item is gone, or was changed: that comes first
            return error
        item = {} if raw is None else read_object(raw)
        broken = next((bound for bound in bounds if not bound.holds(item)), None)
        if broken is None:
            return error
        return OutOfBounds(
            f"{name}.{broken.place.name} must {broken.rule}, and this change would lead past that: change it by less, or"
            " load the object and set it",
            bound=broken.name,
            field=broken.place.name,
            old=None if raw is None else lambda: plan.codec.decode_shown(raw),
            **info,
        )

    explain_refusal(write, tell)


def limits_of(field: FieldPlan) -> list[tuple[str, Any]]:
    """The bounds of a field's value, by the options that set them."""
    given = ((name, getattr(field.field, name)) for name in LIMITS)
    return [(name, limit) for name, limit in given if limit is not None]


def crossed(field: FieldPlan, value: Any, by: Any) -> tuple[str, str] | None:
    """The bound, and its rule, that a number is led past by adding ``by``."""
    for name, limit in limits_of(field):
        sign, holds = LIMITS[name]
        if (by > 0) == (name in {"le", "lt"}) and not holds(value, limit):
            return name, f"be {sign} {limit}"
    return None


def _of_sum(field: FieldPlan, update: Update) -> list[Bound]:
    """A number that is added to."""
    if field.shape not in _NUMBERS:
        return []
    try:
        first, by = _decimal(update.start or default_of(field) or 0), _decimal(update.value)
    except (Mismatch, NumberPrecision, TypeError):
        return []  # it is no number, which is said where it is encoded
    place = update.path
    limits = [(name, limit, _decimal(limit)) for name, limit in limits_of(field)]
    from_nothing = all(LIMITS[name][1](_EXACT.add(first, by), exact_limit) for name, _, exact_limit in limits)
    bounds: list[Bound] = []
    for name, limit, exact_limit in limits:
        if by == 0 or (by > 0) != (name in {"le", "lt"}):
            continue
        sign, holds = LIMITS[name]
        # A number has no more digits than DynamoDB keeps, so the difference need not either.
        difference = decimal.Context(prec=MAX_DIGITS, rounding=_ROUNDING[name]).subtract(exact_limit, by)
        condition: Condition = Comparison(sign, (Wire({"N": number_text(difference)}),), place)
        if from_nothing:
            condition = null(place) | condition

        def within(item: Item, holds: Any = holds, exact_limit: Decimal = exact_limit) -> bool:
            stored = found_at(place, item)
            if stored is U:
                return from_nothing
            return "N" in stored and bool(holds(_EXACT.add(Decimal(stored["N"]), by), exact_limit))

        bounds.append(Bound(place, name, f"be {sign} {limit}", condition, within))
    if not bounds and not from_nothing and limits:
        name, limit, _ = next(
            named_limit
            for named_limit in limits
            if not LIMITS[named_limit[0]][1](_EXACT.add(first, by), named_limit[2])
        )
        there = Comparison("not null", (), place)
        rule = f"be {LIMITS[name][0]} {limit}"
        bounds.append(Bound(place, name, rule, there, lambda item: found_at(place, item) is not U))
    return bounds


def _decimal(value: Any) -> Decimal:
    if isinstance(value, Wire):
        return Decimal(value.value["N"])
    return Decimal(number_text(value))


def _of_other(plan: ModelRequests, field: FieldPlan, update: Update) -> list[Bound]:
    """A value that is taken over from another attribute, which must be within the bounds of this one."""
    codec, place, source = plan.codec, update.path, update.value
    source_field = plan_at(codec, source.parts)
    pattern = field.field.pattern
    if pattern is not None and (source_field is None or source_field.field.pattern != pattern):
        raise misuse(
            codec, place.parts, f"has a pattern, which cannot be checked of {source.name}: load the object and set it"
        )
    if (
        field.hook is not None
        or isinstance(field.shape, CustomShape)
        or not field.shape.tag
        or field.field.option(Json)
    ):
        raise misuse(
            codec, place.parts, f"has bounds, which cannot be checked of {source.name}: load the object and set it"
        )
    default = None if source_field is None else default_of(source_field)
    kept = Comparison("attribute_exists", (), place) if update.kind == "if_not_exists" else None
    bounds: list[Bound] = []
    for name, limit in limits_of(field):
        sign, holds = LIMITS[name]
        wire = {"N": number_text(limit)} if field.shape in _NUMBERS else encode_shape(field.shape, limit)
        fits = default is None or holds(default, limit)
        condition: Condition = Comparison(sign, (Wire(wire),), source)

        def within(item: Item, holds: Any = holds, limit: Any = limit, fits: bool = fits) -> bool:
            stored = found_at(source, item)
            return fits if stored is U else bool(holds(value_of(field, stored), limit))

        bounds.append(Bound(place, name, f"be {sign} {limit}", null(source) | condition if fits else condition, within))
    bounds += of_size(field, place, source, default)
    return bounds if kept is None else [_unless_kept(bound, kept) for bound in bounds]


def _unless_kept(bound: Bound, kept: Condition) -> Bound:
    """The bound of what is only set where nothing is."""
    place, holds = bound.place, bound.holds
    return Bound(
        place,
        bound.name,
        bound.rule,
        kept | bound.condition,
        lambda item: found_at(place, item) is not U or holds(item),
    )
