"""What an update of one kind at one place begins from: worked out once, and kept for the next update like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import UNSET as U
from msgspec import Struct

from dynamorm.codec.types.starts import is_asked, null_at, plan_at, start_of
from dynamorm.codec.values.updates import location_of, names_of
from dynamorm.models.expressions.elements import LISTS
from dynamorm.models.expressions.tree import Location, Part, Update, Wire
from dynamorm.ops.writes.forms import RELATIVE, around

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

Wires: TypeAlias = Mapping[str, dict[str, Any]]
"""Wire values by stored name."""

SETS: Final = frozenset({"add_to_set", "delete_from_set"})

MAX_ENTRIES: Final = 1024
"""Kinds and places of updates whose entries are kept, for each model: a program names a few, but maps have any keys."""


class Entry(Struct, eq=False):
    """What an update of one kind at one place begins from, in the form for what is stored.

    ``start`` is what the place counts as while it is missing, where DynamoDB has to be told. ``demands`` is what must be
    true for this form: that something is stored at a place, is not NULL, or not under another name. ``other``: another
    form may be right, and ``known`` that it may be seen from the loaded item.
    """

    start: Wire | None
    demands: tuple[tuple[str, Location], ...]
    other: bool
    known: bool


NO_ENTRY: Final = Entry(None, (), other=False, known=False)


def entry_of(plan: ModelRequests, update: Update, holds: Wires | None) -> Entry:
    """The entry of an update, kept for the next one unless a factory or an object must be asked each time."""
    codec, kind, parts = plan.codec, update.kind, update.path.parts
    outer = around(parts)
    starts = [start_at(plan, place, holds) for place in outer]
    demands = [
        ("stored" if is_filled(place_start) else "not elsewhere", location_of(place))
        for place, place_start in zip(outer, starts, strict=True)
        if is_filled(place_start) or names_of(place[-1])[1:]
    ]
    known = any(place_start is not None for place_start in starts) or any(names_of(place[-1])[1:] for place in outer)
    other = known or any(isinstance(null_at(codec, place), dict) for place in outer)
    start: dict[str, Any] | None = None
    if kind in RELATIVE:
        field = plan_at(codec, parts)
        nothing = null_at(codec, parts)
        other |= nothing is not U
        start = None if kind == "if_not_exists" else start_at(plan, parts, holds)
        if kind in SETS:
            if is_filled(start):
                demands.append(("stored", update.path))
                known = True
            start = None
        elif not is_filled(start) and kind not in LISTS:
            start = None
        if nothing is not U and (kind == "if_not_exists" or (start and field is not None and field.keep_none)):
            demands.append(("not NULL", update.path))
        if names_of(parts[-1])[1:]:
            other = known = True
            if not (kind in SETS and is_filled(start_at(plan, parts, holds))):
                demands.append(("not elsewhere", update.path))
    entry = Entry(None if start is None else Wire(start), tuple(demands), other, known)
    if (
        holds is None
        and not any(is_asked(plan_at(codec, place)) for place in (*outer, parts))
        and len(plan.begins) < MAX_ENTRIES
    ):
        plan.begins[kind, parts] = entry
    return entry


def start_at(plan: ModelRequests, place: tuple[Part, ...], holds: Wires | None) -> dict[str, Any] | None:
    """What a place counts as while it is missing: its default, or what the object holds that the item is made of."""
    field = plan_at(plan.codec, place)
    wire = None if holds is None or len(place) > 1 else holds.get(place[0].stored)  # type: ignore[union-attr] # a Field
    if wire is None or field is None or field.hook is not None:
        return start_of(field)
    return None if "NULL" in wire else wire


def is_filled(start: dict[str, Any] | None) -> bool:
    """Whether a default is another value than 0 or the empty one, from which DynamoDB begins by itself."""
    if start is None:
        return False
    ((tag, value),) = start.items()
    return value != "0" if tag == "N" else bool(value)
