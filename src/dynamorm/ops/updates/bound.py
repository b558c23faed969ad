"""One bound of a field as a condition of an update, and the questions that are asked of it. See `dynamorm.ops.updates.limited`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import UNSET as U
from msgspec import Struct

from dynamorm.codec.values.document_paths import at_path
from dynamorm.models.expressions.tree import Comparison, Condition, Location

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan

Item = dict[str, Any]


class Bound(Struct, eq=False):
    """What one bound demands of the item before an update: ``condition``, and the same asked of an item that came back.

    ``name`` is the option that sets the bound, ``rule`` says it in words.
    """

    place: Location
    name: str
    rule: str
    condition: Condition
    holds: Callable[[Item], bool]


def found_at(place: Location, item: Item) -> Any:
    """The wire value that an item has at a place; `U` for none, as for NULL."""
    here = at_path({"M": item}, place.stored)
    return U if here is None or "NULL" in here else here


def null(place: Location) -> Condition:
    """Nothing is stored at the place, or NULL."""
    return Comparison("null", (), place)


def default_of(field: FieldPlan) -> Any:
    """What is read where the field is not stored; None when it must be stored."""
    of = field.field
    if of.default_factory is not None:
        return of.default_factory()
    return None if of.required else of.default
