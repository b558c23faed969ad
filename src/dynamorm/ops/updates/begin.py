"""Where an update begins: from what a reader is shown, be it stored, missing or NULL.

What is stored is what DynamoDB computes with. A missing attribute counts as its fixed default, which an expression can
say of numbers and lists: ``if_not_exists(#a, :default) + :x``. It cannot say it of sets, nor of what lies inside a
missing map or list; and it can say nothing of NULL, which counts as missing. There the update has two forms, each with
the condition under which it is right: the first is for an attribute that is stored; the second sets the whole of what
the update makes of the default. A form that was refused is followed by the other, after a look at the item.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import UNSET as U
from msgspec import Struct

from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.starts import is_asked, null_at, plan_at, start_of
from dynamorm.codec.values.applied import NoPlace, applied
from dynamorm.codec.values.updates import location_of, refusal
from dynamorm.errors import OutOfBounds
from dynamorm.expressions.tree import Comparison, Condition, Location, Part, Update, Wire
from dynamorm.ops.writes.forms import RELATIVE, States, around, places, states_of

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

Wires: TypeAlias = Mapping[str, dict[str, Any]]
"""Wire values by stored name."""

_NULL: Final = Wire({"S": "NULL"})
_SETS: Final = frozenset({"add_to_set", "delete_from_set"})
_ELEMENTS: Final = frozenset({"append", "prepend", "append_or_create"})

MAX_ENTRIES: Final = 1024
"""Kinds and places of updates whose entries are kept, for each model: a program names a few, but maps have any keys."""


class Entry(Struct, eq=False):
    """What an update of one kind at one place begins from, in the form for what is stored.

    ``start`` is what the place counts as while it is missing, where DynamoDB has to be told. ``demands`` is what must be
    true for this form: that something is stored at a place, or is not NULL. ``other``: another form may be right, and
    ``known`` that it may be seen from the loaded item.
    """

    start: Wire | None
    demands: tuple[tuple[str, Location], ...]
    other: bool
    known: bool


_NO_ENTRY: Final = Entry(None, (), other=False, known=False)


class Begun(Struct, eq=False):
    """Updates in the form that is right for the ``states`` of the places they depend on, as far as they matter.

    ``terms`` is what must be true for that. Each place of ``states`` is set to what was computed here. ``left`` are the
    updates, as they were given, of which only the database knows the result. ``other``: another form may be right.
    """

    updates: tuple[Update, ...]
    left: tuple[Update, ...]
    terms: list[Condition]
    states: States
    other: bool


def begin(
    plan: ModelRequests,
    updates: tuple[Update, ...],
    loaded: bytes | None,
    states: States | None,
    held: Wires | None = None,
) -> Begun:
    """The updates with the values that they begin from. What the ``states`` are is taken from ``loaded`` if not given.

    ``held`` is what an object holds, by stored name, whose upsert this is: a new item begins from that.

    Raises: ValidationError for a change that cannot be computed here; OutOfBounds for one that leads past a bound from
    the given ``states``.
    """
    known = plan.begins
    found: list[Entry | None] = []
    other = looks = plain = False
    for update in updates:
        kind, parts = update.kind, update.path.parts
        if kind not in RELATIVE and not parts[1:] and not isinstance(update.value, Location):
            found.append(None)
            continue
        entry = known.get((kind, parts)) if held is None else None
        if entry is None:
            entry = _entry(plan, update, held)
        found.append(entry)
        other |= entry.other
        looks |= entry.known
        plain |= entry.start is not None or bool(entry.demands) or isinstance(update.value, Location)
    seen = {} if states is None else states
    if states is None and looks and loaded is not None:
        seen = states_of(updates, loaded)
    if not seen and not plain:
        return Begun(updates, updates, [], {}, other)
    try:
        return _formed(plan, updates, found, seen, held, other=other)
    except OutOfBounds:
        if states is not None:
            raise
    # It may only seem so, to whoever loaded the object long ago: the item says.
    return _formed(plan, updates, found, {}, held, other=other)


def _formed(
    plan: ModelRequests,
    updates: tuple[Update, ...],
    entries: list[Entry | None],
    states: States,
    holds: Wires | None,
    *,
    other: bool,
) -> Begun:
    """The updates in the form for these states."""
    changes: list[Any] = []  # updates, and for each place that is set whole the place
    left: list[Update] = []
    terms: dict[tuple[Any, ...], Condition] = {}
    whole: dict[tuple[Part, ...], list[Update]] = {}
    for update, entry in zip(updates, entries, strict=True):
        choice = [] if entry is None or not states else places(update)
        root = next((one for one in choice if _is_root(plan, update, one, states, holds)), None)
        if root is None or isinstance(update.value, Location):
            left.append(update)
        if root is None:
            changes.append(update if entry is None else _told(plan, update, entry, terms))
        elif root in whole:
            whole[root].append(update)
        else:
            whole[root] = [update]
            changes.append(root)
    made = tuple(
        [one if isinstance(one, Update) else _whole(plan, one, whole[one], states, terms, holds) for one in changes]
    )
    used = {location_of(place).stored for place in whole}
    return Begun(made, tuple(left), list(terms.values()), {place: states[place] for place in used}, other)


def _start_at(plan: ModelRequests, place: tuple[Part, ...], holds: Wires | None) -> dict[str, Any] | None:
    """What a place counts as while it is missing: its default, or what the object holds that the item is made of."""
    field = plan_at(plan.codec, place)
    wire = None if holds is None or len(place) > 1 else holds.get(place[0].stored)  # type: ignore[union-attr] # a Field
    if wire is None or field is None or field.hook is not None:
        return start_of(field)
    return None if "NULL" in wire else wire


def _is_root(plan: ModelRequests, update: Update, place: tuple[Part, ...], states: States, holds: Wires | None) -> bool:
    """Whether a place must be set whole, for what an update of it, or of something inside it, begins from."""
    state = states.get(location_of(place).stored)
    if state is None:
        return False
    inside = len(place) < len(update.path.parts)
    if state == "missing":
        start = _start_at(plan, place, holds)
        return _is_filled(start) if update.kind in _SETS and not inside else inside and start is not None
    empty = isinstance(null_at(plan.codec, place), dict)
    return empty or not (inside or update.kind in {"append", "prepend"})


def _told(plan: ModelRequests, update: Update, entry: Entry, terms: dict[tuple[Any, ...], Condition]) -> Update:
    """The update in the form for what is stored, with what a missing attribute counts as where DynamoDB is told."""
    for what, place in entry.demands:
        term: Condition = Comparison("attribute_exists", (), place)
        terms[what, place.parts] = term if what == "stored" else ~Comparison("attribute_type", (_NULL,), place)
    start = update.start or entry.start
    if isinstance(update.value, Location):
        from .taken_over import not_none  # only such updates need it

        some = not_none(plan, update)
        if some is not None:
            terms["some", update.value.parts] = some
        wire = start_of(plan_at(plan.codec, update.value.parts))
        start = None if wire is None else Wire(wire)
    return update if start is None else Update(update.kind, update.path, update.value, start)


def _entry(plan: ModelRequests, update: Update, holds: Wires | None) -> Entry:
    """The entry of an update, kept for the next one unless a factory or an object must be asked each time."""
    codec, kind, parts = plan.codec, update.kind, update.path.parts
    outer = around(parts)
    starts = [_start_at(plan, place, holds) for place in outer]
    demands = [("stored", location_of(place)) for place, one in zip(outer, starts, strict=True) if _is_filled(one)]
    known = any(one is not None for one in starts)
    other = known or any(isinstance(null_at(codec, place), dict) for place in outer)
    start: dict[str, Any] | None = None
    if kind in RELATIVE:
        field = plan_at(codec, parts)
        nothing = null_at(codec, parts)
        other |= nothing is not U
        start = None if kind == "if_not_exists" else _start_at(plan, parts, holds)
        if kind in _SETS:
            if _is_filled(start):
                demands.append(("stored", update.path))
                known = True
            start = None
        elif not _is_filled(start) and kind not in _ELEMENTS:
            start = None
        if nothing is not U and (kind == "if_not_exists" or (start and field is not None and field.keep_none)):
            demands.append(("not NULL", update.path))
    found = Entry(None if start is None else Wire(start), tuple(demands), other, known)
    if (
        holds is None
        and not any(is_asked(plan_at(codec, place)) for place in (*outer, parts))
        and len(plan.begins) < MAX_ENTRIES
    ):
        plan.begins[kind, parts] = found
    return found


def _whole(
    plan: ModelRequests,
    place: tuple[Part, ...],
    updates: list[Update],
    states: States,
    terms: dict[tuple[Any, ...], Condition],
    holds: Wires | None,
) -> Update:
    """The one update that sets a place to what the given ones make of its default, or of NULL."""
    codec, where = plan.codec, location_of(place)
    missing = states[where.stored] == "missing"
    terms["is", place] = (
        Comparison("attribute_not_exists", (), where) if missing else Comparison("attribute_type", (_NULL,), where)
    )
    first = updates[0]
    if (
        isinstance(first.value, Location) and first.path.parts == place
    ):  # NULL, which is to become what is stored elsewhere
        return _told(plan, Update("set", where, first.value), _NO_ENTRY, terms)
    held: Any = _start_at(plan, place, holds) if missing else null_at(codec, place)
    held = before = None if held is U else held
    for update in sorted(updates, key=_turn):
        failed: Exception
        try:
            held = _applied(plan, held, len(place), update)
            continue
        except (NoPlace, Mismatch) as error:
            failed = error
        problem = (
            f"would become a number that {failed.text}"
            if isinstance(failed, Mismatch)
            else f"lies inside what {where.name} holds nothing of: set {where.name} as a whole"
        )
        raise refusal(codec, update.path.parts, problem)
    if codec.bounded:
        from .limited_whole import check_whole

        check_whole(plan, place, before, held, updates)
    return Update("remove", where) if held is None else Update("set", where, Wire(held))


def _applied(plan: ModelRequests, held: Any, depth: int, update: Update) -> Any:
    path, value = update.path, update.value
    if isinstance(value, Location):
        raise refusal(
            plan.codec,
            path.parts,
            f"cannot take over {value.name} while what it lies in is not stored: load the object, and set it",
        )
    wire = value.value if isinstance(value, Wire) else None
    if wire is None and update.kind != "remove":
        wire = plan.update_operand(path, value, _WHAT.get(update.kind, "value"))
    inner = start_of(plan_at(plan.codec, path.parts)) if path.parts[depth:] else None
    return applied(held, path.stored[depth:], update.kind, wire, inner)


def _turn(update: Update) -> tuple[bool, int]:
    """Removals of list elements come last, from the end: to DynamoDB all indexes are those before the update."""
    last = update.path.parts[-1]
    at = last if isinstance(last, int) else 0
    removes = update.kind == "remove" and isinstance(last, int)
    return removes, -at if removes else at


_WHAT: Final[dict[str, Any]] = {"add": "number", **dict.fromkeys(_ELEMENTS, "element")}


def _is_filled(start: dict[str, Any] | None) -> bool:
    """Whether a default is another value than 0 or the empty one, from which DynamoDB begins by itself."""
    if start is None:
        return False
    ((tag, value),) = start.items()
    return value != "0" if tag == "N" else bool(value)
