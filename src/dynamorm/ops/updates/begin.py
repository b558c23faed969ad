"""Where an update begins: from what a reader is shown, be it stored, missing or NULL.

What is stored is what DynamoDB computes with. A missing attribute counts as its fixed default, which an expression can
say of numbers and lists: ``if_not_exists(#a, :default) + :x``. It cannot say it of sets, nor of what lies inside a
missing map or list; and it can say nothing of NULL, which counts as missing. There the update has two forms, each with
the condition under which it is right: the first is for an attribute that is stored; the second sets the whole of what
the update makes of the default. A form that was refused is followed by the other, after a look at the item. So has what
is stored under another name of ``also_read``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U
from msgspec import Struct

from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.starts import null_at, plan_at, start_of
from dynamorm.codec.values.applied import NoPlace, applied
from dynamorm.codec.values.updates import location_of, names_of, refusal
from dynamorm.errors import OutOfBounds
from dynamorm.models.expressions.elements import CREATING, LISTS, Elements
from dynamorm.models.expressions.tree import Comparison, Computed, Condition, Location, Part, Update, Wire
from dynamorm.ops.writes.forms import RELATIVE, Elsewhere, States, places, states_of

from .computing import computed_from
from .entries import NO_ENTRY, SETS, Entry, Wires, entry_of, is_filled, start_at
from .other_names import not_elsewhere, taken_from, whole_start
from .taken_over import not_none

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

_NULL: Final = Wire({"S": "NULL"})


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
    kept_entries = plan.begins
    entries: list[Entry | None] = []
    other = looks = plain = False
    for update in updates:
        kind, parts = update.kind, update.path.parts
        if kind == "compute":
            plain = True
        if kind not in RELATIVE and not parts[1:] and not isinstance(update.value, Location):
            entries.append(None)
            continue
        entry = kept_entries.get((kind, parts)) if held is None else None
        if entry is None:
            entry = entry_of(plan, update, held)
        entries.append(entry)
        other |= entry.other
        looks |= entry.known
        plain |= entry.start is not None or bool(entry.demands)
        if isinstance(update.value, Location):
            plain = True
            if plan.codec.renamed and any(names_of(part)[1:] for part in update.value.parts):
                other = looks = True
    seen = {} if states is None else states
    if states is None and looks and loaded is not None:
        seen = states_of(updates, loaded)
    if not seen and not plain:
        return Begun(updates, updates, [], {}, other)
    try:
        return _formed(plan, updates, entries, seen, held, other=other)
    except OutOfBounds:
        if states is not None:
            raise
    # The object may have been loaded long ago, so what was loaded proves nothing: the item decides.
    return _formed(plan, updates, entries, {}, held, other=other)


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
    used: set[tuple[str | int, ...]] = set()
    for given, entry in zip(updates, entries, strict=True):
        update = given
        if isinstance(given.value, Location) and plan.codec.renamed:
            update = taken_from(given, states, terms)
            used.update(place for place in _stored_prefixes(given.value) if isinstance(states.get(place), Elsewhere))
        elif given.kind == "compute":
            update = computed_from(plan, given, holds, terms)
        choice = [] if entry is None or not states else places(update)
        root = next((place for place in choice if _is_root(plan, update, place, states, holds)), None)
        if root is None or isinstance(update.value, Location):
            left.append(update)
        if root is None:
            changes.append(update if entry is None else _told(plan, update, entry, terms, holds))
        elif root in whole:
            whole[root].append(update)
        else:
            whole[root] = [update]
            changes.append(root)
    formed = tuple(
        [
            change if isinstance(change, Update) else _whole(plan, change, whole[change], states, terms, holds)
            for change in changes
        ]
    )
    used.update(location_of(place).stored for place in whole)
    return Begun(formed, tuple(left), list(terms.values()), {place: states[place] for place in used}, other)


def _stored_prefixes(place: Location) -> list[tuple[str | int, ...]]:
    return [place.stored[:length] for length in range(1, len(place.stored) + 1)]


def _is_root(plan: ModelRequests, update: Update, place: tuple[Part, ...], states: States, holds: Wires | None) -> bool:
    """Whether a place must be set whole, for what an update of it, or of something inside it, begins from."""
    state = states.get(location_of(place).stored)
    if state is None:
        return False
    if isinstance(state, Elsewhere):
        return True
    inside = len(place) < len(update.path.parts)
    if state == "missing":
        start = start_at(plan, place, holds)
        return is_filled(start) if update.kind in SETS and not inside else inside and start is not None
    empty = isinstance(null_at(plan.codec, place), dict)
    return empty or not (inside or (update.kind in LISTS and update.kind not in CREATING))


def _told(
    plan: ModelRequests, update: Update, entry: Entry, terms: dict[tuple[Any, ...], Condition], holds: Wires | None
) -> Update:
    """The update in the form for what is stored, with what a missing attribute counts as where DynamoDB is told."""
    for demand, place in entry.demands:
        if demand == "stored":
            term: Condition = Comparison("attribute_exists", (), place)
        elif demand == "not NULL":
            term = ~Comparison("attribute_type", (_NULL,), place)
        else:
            term = not_elsewhere(place.parts)
        terms[demand, place.parts] = term
    start = update.start or entry.start
    if isinstance(update.value, Location):
        some = not_none(plan, update)
        if some is not None:
            terms["some", update.value.parts] = some
        wire = start_at(plan, update.value.parts, holds)
        start = None if wire is None else Wire(wire)
    return update if start is None else Update(update.kind, update.path, update.value, start)


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
    state = states[where.stored]
    held: Any = start_at(plan, place, holds) if state == "missing" else null_at(codec, place)
    held = None if held is U else held
    terms["is", place] = Comparison("attribute_not_exists", (), where) if state == "missing" else _is_null(where)
    if codec.renamed:
        terms["is", place], held = whole_start(codec, place, state, terms["is", place], held, updates)
    before = held
    first = updates[0]
    if (
        isinstance(first.value, Location) and first.path.parts == place
    ):  # NULL, which is to become what another attribute holds
        if held is not None and isinstance(state, Elsewhere) and "NULL" not in state.wire:
            return Update("set", where, Wire(held))
        return _told(plan, Update("set", where, first.value), NO_ENTRY, terms, holds)
    for update in sorted(updates, key=turn):
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
        from .limited_whole import check_whole  # only fields with bounds need it

        check_whole(plan, place, before, held, updates)
    return Update("remove", where) if held is None else Update("set", where, Wire(held))


def _is_null(place: Location) -> Condition:
    return Comparison("attribute_type", (_NULL,), place)


def _applied(plan: ModelRequests, held: Any, depth: int, update: Update) -> Any:
    path, value = update.path, update.value
    if isinstance(value, (Location, Computed)):
        what = f"take over {value.name}" if isinstance(value, Location) else f"be computed of {value.sources[0].name}"
        raise refusal(
            plan.codec,
            path.parts,
            f"cannot {what} while what it lies in is not stored: load the object, and set it",
        )
    wire = value.value if isinstance(value, Wire) else None
    if isinstance(value, Elements):
        wire = wires_of(plan, path, value)
    elif wire is None and update.kind != "remove":
        wire = plan.update_operand(path, value, WHAT.get(update.kind, "value"))
    inner = start_of(plan_at(plan.codec, path.parts)) if path.parts[depth:] else None
    if update.kind == "add" and isinstance(update.start, Wire):  # the number that the caller wants to begin from
        inner = update.start.value
    return applied(held, path.stored[depth:], update.kind, wire, inner)


def turn(update: Update) -> tuple[bool, int]:
    """Removals of list elements come last, from the end: to DynamoDB all indexes are those before the update."""
    last = update.path.parts[-1]
    at = last if isinstance(last, int) else 0
    removes = update.kind == "remove" and isinstance(last, int)
    return removes, -at if removes else at


def wires_of(plan: ModelRequests, path: Location, value: Elements) -> dict[str, Any]:
    """Several elements as `dynamorm.codec.values.applied` takes them."""
    wires = [plan.update_operand(path, one, "element") for one in value.values]
    return {"front" if value.in_front else "back": wires}


WHAT: Final[dict[str, Any]] = {"add": "number", **dict.fromkeys(LISTS, "element")}
