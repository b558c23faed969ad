"""Where an update begins: from what a reader is shown, be it stored, missing or NULL.

What is stored is what DynamoDB computes with. A missing attribute counts as its fixed default, which an expression can
say of numbers and lists: ``if_not_exists(#a, :default) + :x``. It cannot say it of sets, nor of what lies inside a
missing map or list; and it can say nothing of NULL, which counts as missing. There the update has two forms, each with
the condition under which it is right: the first is for an attribute that is stored; the second sets the whole of what
the update makes of the default. A form that was refused is followed by the other, after a look at the item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import UNSET as U
from msgspec import Struct

from dynamorm.codec.applied import NoPlace, applied
from dynamorm.codec.mismatch import Mismatch
from dynamorm.codec.replies import read_object
from dynamorm.codec.starts import null_at, plan_at, start_of
from dynamorm.codec.updates import location_of, refusal
from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, DynamORMError, Outcome, ValidationError
from dynamorm.expression_tree import Comparison, Condition, Location, Part, Update, Wire
from dynamorm.schema import Field

from .write import Write, perform, read_back

if TYPE_CHECKING:
    from dynamorm.session import Session

    from .plan import Plan

States: TypeAlias = Mapping[tuple[str | int, ...], str]
"""The places, in the words of the table, that are ``missing`` or ``null``; any other is taken to hold a value."""

RELATIVE: Final = frozenset(
    {"add", "add_to_set", "delete_from_set", "append", "prepend", "append_or_create", "if_not_exists"}
)
"""The kinds of updates that depend on what is stored at their place."""

_SETS: Final = frozenset({"add_to_set", "delete_from_set"})
_ELEMENTS: Final = frozenset({"append", "prepend", "append_or_create"})

TURNS: Final = 5
"""How often an update changes its form, because what is stored was changed in between."""


class Begun(Struct, eq=False):
    """Updates in the form that is right for the ``states`` of the ``places`` they depend on, as far as they matter.

    ``terms`` is what must be true for that. Each place of ``states`` is set to what was computed here.
    """

    updates: tuple[Update, ...]
    terms: list[Condition]
    places: list[Location]
    states: States


class Forms(Struct, eq=False):
    """How a write is built again in another form: ``build(states=...)`` makes it anew.

    ``conditional``: this form has a condition of its own, so a failed condition may be that one.
    """

    places: list[Location]
    states: States
    conditional: bool
    build: Callable[..., Write]


def begin(plan: Plan, updates: tuple[Update, ...], loaded: bytes | None, states: States | None) -> Begun:
    """The updates with the values that they begin from. What the ``states`` are is taken from ``loaded`` if not given.

    Raises: ValidationError for a change that cannot be computed here.
    """
    form = _Form(plan, updates)
    if states is None:
        states = {} if loaded is None else states_in(form.places, loaded)
    return form.made(states)


def states_in(places: list[Location], raw: bytes | None) -> States:
    """The states of places in an item; in one that is not there all are missing."""
    item = {"M": {} if raw is None else read_object(raw)}
    found: dict[tuple[str | int, ...], str] = {}
    for place in places:
        wire = _at(item, place.parts)
        if wire is U:
            found[place.stored] = "missing"
        elif "NULL" in wire:
            found[place.stored] = "null"
    return found


def _at(wire: Any, parts: tuple[Part, ...]) -> Any:
    for part in parts:
        if isinstance(part, Field):
            inside = wire.get("M") or {}
            name = next((one for one in (part.stored, *part.also_read) if one in inside), None)
            wire = U if name is None else inside[name]
        elif isinstance(part, str):
            wire = (wire.get("M") or {}).get(part, U)
        else:
            elements = wire.get("L") or ()
            wire = elements[part] if part < len(elements) else U
        if wire is U:
            break
    return wire


class _Form:
    """The updates of one call, and the places on which their form depends."""

    def __init__(self, plan: Plan, updates: tuple[Update, ...]) -> None:
        self._plan = plan
        self._codec = plan.codec
        self._updates = updates
        self._known: dict[tuple[Part, ...], Location] = {}
        for update in updates:
            for place in _places(update):
                self._known.setdefault(place, location_of(place))

    @property
    def places(self) -> list[Location]:
        return list(self._known.values())

    def made(self, states: States) -> Begun:
        """The updates in the form for these states."""
        changes: list[Any] = []  # updates, and for each place that is set whole the list of its updates
        terms: dict[tuple[Any, ...], Condition] = {}
        whole: dict[tuple[Part, ...], list[Update]] = {}
        for update in self._updates:
            root = next((one for one in _places(update) if self._is_root(update, one, states)), None)
            if root is None:
                changes.append(self._begun(update, terms))
            elif root in whole:
                whole[root].append(update)
            else:
                whole[root] = [update]
                changes.append(root)
        updates = tuple(
            one if isinstance(one, Update) else self._set(one, whole[one], states, terms) for one in changes
        )
        states = {self._known[place].stored: states[self._known[place].stored] for place in whole}
        return Begun(updates, list(terms.values()), self.places, states)

    def _is_root(self, update: Update, place: tuple[Part, ...], states: States) -> bool:
        """Whether a place must be set whole, for what an update of it, or of something inside it, begins from."""
        state = states.get(self._known[place].stored)
        if state is None:
            return False
        inside = len(place) < len(update.path.parts)
        if state == "missing":
            start = start_of(plan_at(self._codec, place))
            return _is_filled(start) if update.kind in _SETS and not inside else inside and start is not None
        empty = isinstance(null_at(self._codec, place), dict)
        return empty or not (inside or update.kind in {"append", "prepend"})

    def _begun(self, update: Update, terms: dict[tuple[Any, ...], Condition]) -> Update:
        """The update in the form for what is stored, with what a missing attribute counts as where DynamoDB can be told."""
        codec, path = self._codec, update.path
        for place in _around(path.parts):
            if _is_filled(start_of(plan_at(codec, place))):
                _demand(terms, "attribute_exists", self._known[place])
        source = update.value
        if isinstance(source, Location):
            start = start_of(plan_at(codec, source.parts))
            if start is not None and "NULL" not in start:
                return Update(update.kind, path, source, Wire(start))
            return update
        if update.kind not in RELATIVE:
            return update
        plan = plan_at(codec, path.parts)
        if update.kind == "if_not_exists":
            if null_at(codec, path.parts) is not U:
                _demand(terms, "NULL", path)
            return update
        start = start_of(plan)
        if start is None or not (_is_filled(start) or update.kind in _ELEMENTS):
            return update
        if update.kind in _SETS:
            _demand(terms, "attribute_exists", path)
            return update
        if plan is not None and plan.keep_none:
            _demand(terms, "NULL", path)
        return Update(update.kind, path, update.value, Wire(start))

    def _set(
        self,
        place: tuple[Part, ...],
        updates: list[Update],
        states: States,
        terms: dict[tuple[Any, ...], Condition],
    ) -> Update:
        """The one update that sets a place to what the given ones make of its default, or of NULL."""
        codec, where = self._codec, self._known[place]
        missing = states[where.stored] == "missing"
        held: Any = start_of(plan_at(codec, place)) if missing else null_at(codec, place)
        held = None if held is U else held
        for update in sorted(updates, key=_turn):
            failed: Exception
            try:
                held = self._applied(held, len(place), update)
                continue
            except (NoPlace, Mismatch) as error:
                failed = error
            problem = (
                f"would become a number that {failed.text}"
                if isinstance(failed, Mismatch)
                else f"lies inside what {where.name} holds nothing of: set {where.name} as a whole"
            )
            raise refusal(codec, update.path.parts, problem)
        terms[("is", place)] = (
            Comparison("attribute_not_exists", (), where) if missing else Comparison("attribute_type", ("NULL",), where)
        )
        return Update("remove", where) if held is None else Update("set", where, Wire(held))

    def _applied(self, held: Any, depth: int, update: Update) -> Any:
        path, value = update.path, update.value
        if isinstance(value, Location):
            raise refusal(
                self._codec,
                path.parts,
                f"cannot take over {value.name} while the value that it lies in is not stored: load the object, and set it",
            )
        wire = value.value if isinstance(value, Wire) else None
        if wire is None and update.kind != "remove":
            wire = self._plan.update_operand(path, value, _WHAT.get(update.kind, "value"))
        inner = start_of(plan_at(self._codec, path.parts)) if path.parts[depth:] else None
        return applied(held, path.stored[depth:], update.kind, wire, inner)


def _around(parts: tuple[Part, ...]) -> list[tuple[Part, ...]]:
    """The fields that a place lies in, outermost first: each may have a default, or NULL may be read as an empty one."""
    return [parts[:length] for length in range(1, len(parts)) if isinstance(parts[length - 1], Field)]


def _places(update: Update) -> list[tuple[Part, ...]]:
    """The places that may be set whole for an update, outermost first."""
    parts = update.path.parts
    around = _around(parts)
    return [*around, parts] if update.kind in RELATIVE else around


def _demand(terms: dict[tuple[Any, ...], Condition], what: str, place: Location) -> None:
    """Add the condition that something is stored at a place, or that it is not NULL."""
    term: Condition = Comparison("attribute_exists", (), place)
    if what == "NULL":
        term = ~Comparison("attribute_type", ("NULL",), place)
    terms[what, place.parts] = term


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
    return value != "0" if tag == "N" else tag != "NULL" and bool(value)


def performed(session: Session, write: Write) -> Flow[Any]:
    """Send an update, in the form that is right for what is stored."""
    return perform(session, write) if write.forms is None else _in_turn(session, write)


def _in_turn(session: Session, write: Write) -> Flow[Any]:
    session = session.bounded()
    for turn in range(TURNS):
        try:
            return (yield from perform(session, write))
        except (ConditionFailed, ValidationError) as error:
            if turn == TURNS - 1 or not may_be_the_form(write, error):
                raise
            other = yield from in_other_form(session, write)
            if other is None:
                raise
            write = other
    raise AssertionError("the last turn returns or raises")


def may_be_the_form(write: Write, error: DynamORMError) -> bool:
    """Whether a refusal may be due to the form of an update: it is the service's, of a type or of a plain condition."""
    if write.forms is None or error.request_id is None or error.outcome is not Outcome.NOT_APPLIED:
        return False
    return type(error) is ValidationError or (write.forms.conditional and type(error) is ConditionFailed)


def in_other_form(session: Session, write: Write) -> Flow[Write | None]:
    """The write as is right for what is stored now; None when it has that form already, or the item cannot be read."""
    forms = write.forms
    if forms is None:
        return None
    try:
        raw = yield from session.call(read_back(write.plan, write.key))
    except DynamORMError:
        return None  # what refused the write says more
    other: Write = forms.build(states=states_in(forms.places, raw))
    assert other.forms is not None  # it depends on the same places
    return None if other.forms.states == forms.states else other
