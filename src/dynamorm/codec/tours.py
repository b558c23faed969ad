"""Tours through an item: from nested object to nested object, with the wire value of each beside it.

Each `Shape` says by `Shape.walk` how its values are walked through. It must not know which shapes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import UNSET as U

from dynamorm.models.schema.overriding import override

from .state import Place

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan
    from dynamorm.codec.types.records import Record
    from dynamorm.codec.types.shapes import Shape


class Tour:
    """What is done at each nested object: ``at`` is called after it was called for the objects inside."""

    def at(self, record: Record, obj: Any, members: dict[str, Any], place: Place) -> None:
        """An object, of what class it is, its map of wire values, and where it stands."""
        raise NotImplementedError

    def value(self, plan: FieldPlan, value: Any) -> Any:
        """What the wire value of a field was made of, or was made into."""
        del plan
        return value


Walk: TypeAlias = Callable[[Any, Any, Place, Tour], None]
"""Leads a tour through a value and its wire value, and past whatever of the two does not agree."""


class Walks:
    """Makes the walks through shapes. One of a record is made once, so that a type may refer to itself."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Shape, Walk]] = {}

    def of(self, shape: Shape) -> Walk | None:
        """The walk through values of a shape; None where there are no objects in them."""
        kept = self._made.get(id(shape))
        return shape.walk(self) if kept is None else kept[1]

    def keep(self, shape: Shape, walk: Walk) -> None:
        """Return this walk for the shape from now on."""
        self._made[id(shape)] = shape, walk

    def within(self, plans: Iterable[FieldPlan]) -> list[tuple[FieldPlan, Walk]]:
        """The fields in which there are objects, each with its walk."""
        pairs = []
        for plan in plans:
            walk = None if plan.hook is not None else self.of(plan.shape)
            if walk is not None:
                pairs.append((plan, walk))
        return pairs


def lead(
    tour: Tour, walks: list[tuple[FieldPlan, Walk]], read: Callable[[str], Any], item: dict[str, Any], place: Place
) -> None:
    """Lead a tour through the fields of one object; ``read(name)`` is what it has under the name of a field."""
    for plan, walk in walks:
        wire = plan.stored_in(item)
        if wire is not U:
            walk(tour.value(plan, read(plan.name)), wire, (*place, plan.stored), tour)


class _Looking(Tour):
    found = False

    @override
    def at(self, record: Record, obj: Any, members: dict[str, Any], place: Place) -> None:
        self.found = self.found or bool(record.unknown_in(members))


def looker(shape: Shape) -> Callable[[Any, Any], None] | None:
    """A function that raises `Unknown` where a stored value has members that a class in it does not know.

    None where there are no classes in it.
    """
    walk = Walks().of(shape)
    if walk is None:
        return None
    if shape.leaf is not None:
        return _look_at(shape.leaf)

    def look(value: Any, wire: Any) -> None:
        tour = _Looking()
        walk(value, wire, (), tour)
        if tour.found:
            raise Unknown

    return look


def _look_at(record: Record) -> Callable[[Any, Any], None]:
    def look(_: Any, wire: Any) -> None:
        if not record.knows(wire["M"]):
            raise Unknown

    return look


class Unknown(Exception):
    """There are members that would be lost: raised by fast readers whose wire values do not tell by their length."""
