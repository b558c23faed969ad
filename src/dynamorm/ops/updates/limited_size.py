"""Bounds of the length of what an update lets grow or shrink: lists, sets and maps. See `dynamorm.ops.updates.limited`.

How many of the elements that are named are there already only the database knows, so the condition counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import reduce
from itertools import combinations
from operator import and_, or_
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U

from dynamorm.codec.types.document import bytes_of
from dynamorm.codec.values.operands import plan_at
from dynamorm.codec.values.updates import location_of
from dynamorm.models.expressions.elements import CREATING, LISTS, elements_of
from dynamorm.models.expressions.tree import Comparison, Condition, Location, Update, Wire

from .bound import Bound, Item, default_of, found_at, null

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan
    from dynamorm.ops.requests import ModelRequests

_EXACT: Final = 4
"""Up to so many elements are counted one by one; more count as if none, or all, of them were there."""

_SETS: Final = frozenset({"SS", "NS", "BS"})


def of_growth(plan: ModelRequests, field: FieldPlan, update: Update) -> list[Bound]:
    """A list that an element is put into, or a set that elements are added to or taken out of."""
    place, kind = update.path, update.kind
    start = _length(default_of(field)) if update.start is None else size_of(update.start.value)
    if kind in LISTS:
        count = len(elements_of(update))
        return _grows(field, place, [], count, start) if field.shape.tag == "L" and count else []
    if kind not in {"add_to_set", "delete_from_set"} or field.shape.tag not in _SETS:
        return []
    members = [] if isinstance(update.value, Wire) else list(update.value)
    wires = [plan.update_operand(place, member, "element") or {} for member in members]
    atoms: list[Atom] = [
        (Comparison("contains", (member,), place), _is_member(place, wire))
        for member, wire in zip(members, wires, strict=True)
    ]
    if kind == "add_to_set":
        return _grows(field, place, atoms, len(atoms), start)
    return _shrinks(field, place, atoms)


def of_elements(plan: ModelRequests, updates: Iterable[Update]) -> list[Bound]:
    """Lists and maps whose elements are set or removed."""
    grown: dict[tuple[Any, ...], list[Location]] = {}
    shrunk: dict[tuple[Any, ...], list[Location]] = {}
    for update in updates:
        parts = update.path.parts
        if len(parts) < 2 or not isinstance(parts[-1], (int, str)) or update.kind in _OF_WHAT_IS_THERE:
            continue
        (shrunk if update.kind == "remove" else grown).setdefault(parts[:-1], []).append(update.path)
    bounds: list[Bound] = []
    for parts, places in grown.items():
        field = _collection(plan, parts)
        if field is not None and not _is_within(field, places):
            bounds += _grows(field, location_of(parts), _atoms(places), len(places), 0)
    for parts, places in shrunk.items():
        field = _collection(plan, parts)
        if field is not None:
            bounds += _shrinks(field, location_of(parts), _atoms(places))
    return bounds


def _collection(plan: ModelRequests, parts: tuple[Any, ...]) -> FieldPlan | None:
    """The field of a place, if it is a list or a map with bounds."""
    field = plan_at(plan.codec, parts)
    has_bounds = field is not None and field.bounded and field.hook is None and field.shape.tag in {"L", "M"}
    return field if has_bounds else None


def _atoms(places: list[Location]) -> list[Atom]:
    return [(Comparison("attribute_exists", (), place), _is_there(place)) for place in places]


_OF_WHAT_IS_THERE: Final = (LISTS - CREATING) | {"delete_from_set"}

Atom = tuple[Condition, Callable[[Item], bool]]
"""That an element is there, asked of the database and of an item that came back."""


def of_size(field: FieldPlan, place: Location, source: Location, default: Any) -> list[Bound]:
    """The length of what is taken over from ``source``."""
    bounds: list[Bound] = []
    least, most = field.field.min_length, field.field.max_length
    for name, sign, limit, rule in (("min_length", ">=", least, AT_LEAST), ("max_length", "<=", most, AT_MOST)):
        if limit is None:
            continue
        fits = default is None or (len(default) >= limit if name == "min_length" else len(default) <= limit)
        condition: Condition = Comparison(f"size {sign}", (limit,), source)

        def within(item: Item, name: str = name, limit: int = limit, fits: bool = fits) -> bool:
            stored = found_at(source, item)
            if stored is U:
                return fits
            return size_of(stored) >= limit if name == "min_length" else size_of(stored) <= limit

        bounds.append(Bound(place, name, f"{rule} {limit}", null(source) | condition if fits else condition, within))
    return bounds


AT_LEAST: Final = "have a length of at least"
AT_MOST: Final = "have a length of at most"


def _grows(field: FieldPlan, place: Location, atoms: list[Atom], count: int, start: int) -> list[Bound]:
    """A collection to which ``count`` elements come, as far as they are not there, and which counts as ``start`` long."""
    most, least = field.field.max_length, field.field.min_length
    bounds: list[Bound] = []
    if most is not None:
        condition = _counted(place, "size <=", most, -1, atoms, count)
        if start + count <= most:
            condition = null(place) | condition
        elif start:  # else the size says it
            condition = Comparison("not null", (), place) & condition
        bounds.append(
            Bound(place, "max_length", f"{AT_MOST} {most}", condition, _holds(place, atoms, count, start, most))
        )
    if least is not None and start + count < least:
        there = Comparison("not null", (), place)
        bounds.append(
            Bound(place, "min_length", f"{AT_LEAST} {least}", there, lambda item: found_at(place, item) is not U)
        )
    return bounds


def _holds(place: Location, atoms: list[Atom], count: int, start: int, most: int) -> Callable[[Item], bool]:
    def holds(item: Item) -> bool:
        stored = found_at(place, item)
        if stored is U:
            return start + count <= most
        new = count - sum(is_there(item) for _, is_there in atoms)
        return new == 0 or size_of(stored) + new <= most

    return holds


def _shrinks(field: FieldPlan, place: Location, atoms: list[Atom]) -> list[Bound]:
    """A collection that loses these elements, as far as they are there."""
    least = field.field.min_length
    if least is None:
        return []
    gone: list[Atom] = [_not(atom) for atom in atoms]
    condition = null(place) | _counted(place, "size >=", least, 1, gone, len(gone))

    def holds(item: Item) -> bool:
        stored = found_at(place, item)
        lost = sum(there(item) for _, there in atoms)
        return stored is U or lost == 0 or size_of(stored) - lost >= least

    return [Bound(place, "min_length", f"{AT_LEAST} {least}", condition, holds)]


def _not(atom: Atom) -> Atom:
    is_there, there = atom
    return ~is_there, lambda item: not there(item)


def _counted(place: Location, op: str, limit: int, sign: int, atoms: list[Atom], count: int) -> Condition:
    """The size is far enough from the limit for those of ``count`` elements that change it: of which an atom is not true."""
    choices: list[Condition] = []
    for changing in range(count, -1, -1):
        if changing not in {0, count} and count > _EXACT:
            continue
        without = count - changing
        terms: list[Condition] = []
        if changing:
            bound = limit + sign * changing
            if bound < 0:
                continue
            terms.append(Comparison(op, (bound,), place))
        if without:
            if len(atoms) < without:
                continue
            every = [reduce(and_, (condition for condition, _ in some)) for some in combinations(atoms, without)]
            terms.append(reduce(or_, every))
        choices.append(reduce(and_, terms))
    if not choices:  # so many never fit
        return Comparison("attribute_not_exists", (), place) & Comparison("attribute_exists", (), place)
    return reduce(or_, choices)


def _is_within(field: FieldPlan, places: list[Location]) -> bool:
    """Whether these elements of a list have a place in it, however long it is."""
    most = field.field.max_length
    return most is None or all(isinstance(place.parts[-1], int) and place.parts[-1] < most for place in places)


def _is_there(place: Location) -> Callable[[Item], bool]:
    def is_there(item: Item) -> bool:
        holder = found_at(location_of(place.parts[:-1]), item)
        last = place.stored[-1]
        if holder is U:
            return False
        return last < len(holder.get("L", [])) if isinstance(last, int) else last in holder.get("M", {})

    return is_there


def _is_member(place: Location, wire: Item) -> Callable[[Item], bool]:
    ((tag, value),) = wire.items()

    def is_member(item: Item) -> bool:
        stored = found_at(place, item)
        return stored is not U and _plain(tag, value) in {_plain(tag, member) for member in stored.get(f"{tag}S", [])}

    return is_member


def _plain(tag: str, value: Any) -> Any:
    """The payload of an element, so that equal ones are equal."""
    return Decimal(value) if tag == "N" else bytes_of(value) if tag == "B" else value


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (list, tuple, set, frozenset, dict)) else 0


def size_of(stored: Item) -> int:
    """How long a stored value is, as DynamoDB counts it."""
    ((tag, value),) = stored.items()
    return len(bytes_of(value)) if tag == "B" else len(value)
