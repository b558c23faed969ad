"""The members of nested values that their class does not know: kept for each nested object, as those of an item are.

A model that is used as a nested value holds them itself, in the slot that items have for their state. Objects of other
classes have no room for them: they are held by the state of the item, which is then a `Held`. Nothing is done for an item
that has none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dynamorm.codec.state import Held, Holder, Place
from dynamorm.codec.strict import read_object
from dynamorm.codec.tours import Tour, Walks, lead
from dynamorm.codec.types.records import DICT, Record
from dynamorm.models.schema.overriding import override

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.codec.types.fields import FieldPlan


class Inner:
    """The nested objects in the items of one codec."""

    def __init__(self, codec: ModelCodec) -> None:
        self._codec = codec
        self._walks = Walks().within(codec.record.plans)

    def gather(self, obj: Any, raw: bytes, item: dict[str, Any]) -> None:
        """Let an item's nested objects keep their unknown members; ``item`` is its JSON, read, and ``raw`` its state."""
        tour = _Gathering()
        lead(tour, self._walks, obj.__getattribute__, item, ())
        if tour.holders:
            self._codec.access.set_state(obj, Held(raw, tuple(tour.holders)))

    def gather_again(self, obj: Any, item: dict[str, Any], names: Collection[str]) -> None:
        """Do so for the attributes ``names`` alone, whose values are others than were read."""
        tour = _Gathering()
        lead(tour, [one for one in self._walks if one[0].stored in names], obj.__getattribute__, item, ())
        state: Any = self._codec.access.get_state(obj)
        others = state.holders if isinstance(state, Held) else ()
        holders = (*(one for one in others if one.place[0] not in names), *tour.holders)
        if holders:
            self._codec.access.set_state(obj, Held(state, holders))

    def held(self, obj: Any, raw: bytes) -> bytes:
        """The state of an object once ``raw``, which was made of it as it is now, is stored."""
        tour = _Gathering()
        lead(tour, self._walks, obj.__getattribute__, read_object(raw), ())
        return Held(raw, tuple(tour.holders)) if tour.holders else raw

    def fill(self, obj: Any, wire: dict[str, Any], state: bytes | None) -> None:
        """Put the members that the state holds for nested objects into the wire item that was made of an object.

        They go with their objects. What took the place of an object that is gone takes them over where it may be that
        object, changed: the value of an attribute or of a key, and in a list one of a class that is changed by making
        another.
        """
        holders = state.holders if isinstance(state, Held) else ()
        tour = _Listing()
        lead(tour, self._walks, obj.__getattribute__, wire, ())
        there = {id(one) for _, one, _, _ in tour.stops}
        own = {id(one.obj): one.unknown for one in holders}
        gone = {one.place: one for one in holders if id(one.obj) not in there}
        for record, one, members, place in tour.stops:
            unknown = own.get(id(one))
            before = gone.get(place) if unknown is None else None
            if before is not None and type(before.obj) is type(one):
                unknown = before.unknown if not isinstance(place[-1], int) or _is_value(record) else None
            for name, value in (unknown or {}).items():
                members.setdefault(name, value)


class _Gathering(Tour):
    """Lets each object keep its unknown members; ``holders`` are those that cannot keep them themselves."""

    def __init__(self) -> None:
        self.holders: list[Holder] = []

    @override
    def at(self, record: Record, obj: Any, members: dict[str, Any], place: Place) -> None:
        unknown = record.unknown_in(members)
        if not unknown:
            return
        if record.keeps_unknown:
            obj.__loaded__ = unknown
        else:
            self.holders.append(Holder(obj, place, unknown))


class _Listing(Tour):
    """Lists the objects that are to be stored."""

    def __init__(self) -> None:
        self.stops: list[tuple[Record, Any, dict[str, Any], Place]] = []

    @override
    def at(self, record: Record, obj: Any, members: dict[str, Any], place: Place) -> None:
        if not record.keeps_unknown:
            self.stops.append((record, obj, members, place))

    @override
    def value(self, plan: FieldPlan, value: Any) -> Any:
        for validator in plan.field.validators if value is not None else ():
            value = validator(value)  # what is stored is what it returned
        return value


def _is_value(record: Record) -> bool:
    """Whether an object is changed by making another: what is frozen, a NamedTuple, and a TypedDict at that."""
    cls = record.cls
    if record.style == DICT or issubclass(cls, tuple):
        return True
    if dataclasses.is_dataclass(cls):
        return bool(getattr(cls, "__dataclass_params__").frozen)  # noqa: B009 - of every dataclass, and no checker knows it
    if issubclass(cls, Struct):
        return bool(cls.__struct_config__.frozen)
    if hasattr(cls, "__attrs_attrs__"):
        return getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs"
    return bool(getattr(cls, "model_config", {}).get("frozen"))
