"""Bounds of what an update makes here of a default, or of NULL: the value is known, so it is looked at itself.

What only the database knows is `dynamorm.ops.updates.limited`. Whoever is out of bounds already may come nearer here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.values.document_paths import at_path
from dynamorm.codec.values.operands import plan_at
from dynamorm.codec.values.updates import location_of
from dynamorm.errors import OutOfBounds
from dynamorm.models.expressions.tree import Part, Update

from .limited import LIMITS, limits_of
from .limited_size import AT_LEAST, AT_MOST, size_of

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan
    from dynamorm.ops.requests import ModelRequests

Wire = dict[str, Any]

_SIZED: Final = frozenset({"L", "M", "SS", "NS", "BS", "NULL"})


def check_whole(
    plan: ModelRequests, place: tuple[Part, ...], before: Wire | None, after: Wire | None, updates: Iterable[Update]
) -> None:
    """Refuse updates that lead anything in ``place`` past a bound, on the way from one wire value to another.

    Raises: OutOfBounds naming the field.
    """
    for parts in dict.fromkeys(
        update.path.parts[:length] for update in updates for length in range(len(place), len(update.path.parts) + 1)
    ):
        field = plan_at(plan.codec, parts)
        if field is None or not field.bounded or field.hook is not None:
            continue
        steps = location_of(parts).stored[len(place) :]
        was, now = (None if wire is None else at_path(wire, steps) for wire in (before, after))
        if now is None or now == was:
            continue
        for name, rule in _broken(field, was, now):
            where = location_of(parts).name
            raise OutOfBounds(
                f"{plan.codec.schema.name}.{where} must {rule}, and this change would lead past that: change it by less,"
                " or load the object and set it",
                bound=name,
                field=where,
                table=plan.table,
            )


def _broken(field: FieldPlan, was: Wire | None, now: Wire) -> Iterator[tuple[str, str]]:
    """The bounds that ``now`` is past and nearer to than ``was`` it is not; each with its rule."""
    ((tag, value),) = now.items()
    if tag == "N":
        number = Decimal(value)
        old_number = Decimal(was["N"]) if was is not None and "N" in was else None
        for name, limit in limits_of(field):
            sign, holds = LIMITS[name]
            worse = old_number is None or (number > old_number if name in {"le", "lt"} else number < old_number)
            if worse and not holds(number, Decimal(str(limit))):
                yield name, f"be {sign} {limit}"
    elif tag in _SIZED:
        size, least, most = _size(now), field.field.min_length, field.field.max_length
        if most is not None and size > most and (was is None or size > _size(was)):
            yield "max_length", f"{AT_MOST} {most}"
        if least is not None and size < least and (was is None or size < _size(was)):
            yield "min_length", f"{AT_LEAST} {least}"


def _size(wire: Wire) -> int:
    return 0 if "NULL" in wire else size_of(wire)
