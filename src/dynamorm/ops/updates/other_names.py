"""What is stored under another name of ``also_read``, and what an update makes of it.

A reader is shown it while the attribute's own name is not stored, so an update begins from it. The form for what is
stored demands that this is not so; in the other form the own name is set to the whole of what the update makes of it, on
condition that it is still there as it was read. The other name is left as it is. Only models that have such names need
this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import and_
from typing import Any

from msgspec import UNSET as U

from dynamorm.codec.types.starts import null_at, plan_at
from dynamorm.codec.values.updates import location_of, names_of
from dynamorm.models.expressions.tree import Comparison, Condition, Location, Part, Update, Wire
from dynamorm.models.schema.schema import Field
from dynamorm.ops.writes.forms import Elsewhere, States, with_prefixes

_NULL = Wire({"S": "NULL"})


def _others_of(place: tuple[Part, ...]) -> list[Location]:
    """The places where an attribute is read that is not stored at its own."""
    *outer, last = place
    return [location_of((*outer, name)) for name in names_of(last)[1:]]


def not_elsewhere(place: tuple[Part, ...]) -> Condition:
    """The condition that what is stored under the own name is what is read: it is there, or there is no other."""
    return Comparison("attribute_exists", (), location_of(place)) | _missing(_others_of(place))


def whole_start(
    codec: Any, place: tuple[Part, ...], state: str | Elsewhere, term: Condition, held: Any, updates: Iterable[Update]
) -> tuple[Condition, Any]:
    """What is true while a place is in this state, and what it holds then; ``term`` and ``held`` are those of its own name."""
    if isinstance(state, Elsewhere):
        term, held = _still_elsewhere(place, state), _held_elsewhere(codec, place, state)
    elif state == "missing":
        term = _missing([location_of(place), *_others_of(place)])
    for update in updates:
        held = _aligned(held, update.path.parts[len(place) :])
    return term, held


def _still_elsewhere(place: tuple[Part, ...], state: Elsewhere) -> Condition:
    """The condition that a place is stored under the name where it was found, with that very value."""
    others = _others_of(place)
    at = next(at for at, location in enumerate(others) if location.parts[-1].stored == state.name)  # type: ignore[union-attr] # a Field
    there: Condition = (
        Comparison("attribute_type", (_NULL,), others[at])
        if "NULL" in state.wire
        else Comparison("=", (Wire(state.wire),), others[at])
    )
    return _missing([location_of(place), *others[:at]]) & there


def _held_elsewhere(codec: Any, place: tuple[Part, ...], state: Elsewhere) -> Any:
    """What is stored under another name, in the form in which it is written."""
    field = plan_at(codec, place)
    if "NULL" in state.wire:
        empty = null_at(codec, place)
        return None if empty is U else empty
    return state.wire if field is None else field.canonical(state.wire)


def _aligned(held: Any, parts: tuple[Part, ...]) -> Any:
    """A map with what lies on the way of ``parts`` under its own names, where it was read under others."""
    if not parts or not isinstance(held, dict):
        return held
    first, *inner_parts = parts
    if isinstance(first, int):
        elements = held.get("L", ())
        if first >= len(elements):
            return held
        aligned = _aligned(elements[first], tuple(inner_parts))
        return held if aligned is elements[first] else {"L": [*elements[:first], aligned, *elements[first + 1 :]]}
    members = held.get("M")
    if members is None:
        return held
    names = [first] if isinstance(first, str) else [field.stored for field in names_of(first)]
    name = next((candidate for candidate in names if candidate in members), None)
    if name is None:
        return held
    aligned = _aligned(members[name], tuple(inner_parts))
    return held if name == names[0] and aligned is members[name] else {"M": {**members, names[0]: aligned}}


def _has_others(place: tuple[Part, ...]) -> bool:
    """Whether anything on the way to a place is read under several names."""
    return any(isinstance(part, Field) and part.also_read for part in place)


def taken_from(update: Update, states: States, terms: dict[tuple[Any, ...], Condition]) -> Update:
    """The update with the place under whose name what it takes over is stored; ``terms`` get what must be true for that."""
    source = update.value
    if not _has_others(source.parts):
        return update
    parts = list(source.parts)
    for place in with_prefixes(source.parts):
        last = place[-1]
        if not isinstance(last, Field) or not last.also_read:
            continue
        here = (*parts[: len(place) - 1], last)
        state = states.get(location_of(place).stored)
        if isinstance(state, Elsewhere):
            parts[len(place) - 1] = next(field for field in names_of(last) if field.stored == state.name)
            there = location_of(tuple(parts[: len(place)]))
            terms["from", place] = _missing([location_of(here)]) & Comparison("attribute_exists", (), there)
        else:
            terms["from", place] = not_elsewhere(here)
    return Update(update.kind, update.path, location_of(tuple(parts)), update.start)


def _missing(places: Iterable[Location]) -> Condition:
    return reduce(and_, [Comparison("attribute_not_exists", (), place) for place in places])
