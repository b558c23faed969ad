"""The form of an update that depends on what is stored: the states of its places, and the other form after a refusal.

`dynamorm.ops.updates.begin` says which form is right for which states. What was refused in one form is sent in the other after a
look at the item; each form has the condition under which it is right, so nothing is applied in the wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import UNSET as U
from msgspec import Struct

from dynamorm.codec.strict import read_object
from dynamorm.codec.values.updates import location_of
from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, DynamORMError, Outcome, OutOfBounds, ValidationError
from dynamorm.models.expressions.elements import LISTS
from dynamorm.models.expressions.tree import Location, Part, Update
from dynamorm.models.schema.schema import Field

from .write import Write, as_shown, read_back

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


class Elsewhere(Struct, frozen=True):
    """An attribute is stored under another name that is read for it, and not under its own."""

    name: str
    wire: dict[str, Any]


States: TypeAlias = Mapping[tuple[str | int, ...], str | Elsewhere]
"""The places, in the words of the table, that are ``missing``, ``null`` or elsewhere; any other is taken to hold a value."""

GROWING: Final = frozenset({"add", "add_to_set", "delete_from_set"}) | LISTS
"""The kinds of updates that compute what is to be stored at their place from what is stored there."""

RELATIVE: Final = GROWING | {"if_not_exists"}
"""The kinds of updates that depend on what is stored at their place."""

TURNS: Final = 5
"""How often an update changes its form, because what is stored was changed in between."""


class Forms(Struct, eq=False):
    """How a write is built again in another form: ``build(states=...)`` makes the new write, complete.

    What is changed of the write itself goes through `Write.also`, so that it holds in each form. ``updates`` are those that were asked for, ``states`` those that the write was made for. ``conditional``: its form has
    a condition of its own, so a failed condition may be that one.
    """

    updates: tuple[Update, ...]
    states: States
    conditional: bool
    build: Callable[..., Write]


def around(parts: tuple[Part, ...]) -> list[tuple[Part, ...]]:
    """The fields that a place lies in, outermost first: each may have a default, or NULL may be read as an empty one."""
    return [parts[:length] for length in range(1, len(parts)) if isinstance(parts[length - 1], Field)]


def places(update: Update) -> list[tuple[Part, ...]]:
    """The places that may be set whole for an update, outermost first."""
    parts = update.path.parts
    return [*around(parts), parts] if update.kind in RELATIVE else around(parts)


def with_prefixes(parts: tuple[Part, ...]) -> list[tuple[Part, ...]]:
    """A place and what it lies in, outermost first."""
    return [parts[:length] for length in range(1, len(parts) + 1)]


def _looked_at(update: Update) -> list[tuple[Part, ...]]:
    """The places whose states matter to an update: its own, and those of what it takes over."""
    looked_at = places(update)
    if isinstance(update.value, Location):
        looked_at += [
            place for place in with_prefixes(update.value.parts) if isinstance(place[-1], Field) and place[-1].also_read
        ]
    return looked_at


def states_of(updates: Iterable[Update], raw: bytes | None) -> States:
    """The states of the places that updates depend on, in an item; in one that is not there all are missing."""
    item = {"M": {} if raw is None else read_object(raw)}
    states: dict[tuple[str | int, ...], str | Elsewhere] = {}
    for place in dict.fromkeys(place for update in updates for place in _looked_at(update)):
        wire, name = _at(item, place)
        if wire is U:
            states[location_of(place).stored] = "missing"
        elif isinstance(place[-1], Field) and name != place[-1].stored:
            states[location_of(place).stored] = Elsewhere(name, wire)
        elif "NULL" in wire:
            states[location_of(place).stored] = "null"
    return states


def _at(wire: Any, parts: tuple[Part, ...]) -> tuple[Any, Any]:
    """What is stored at a place, `U` for nothing, and the name under which it is."""
    name: Any = None
    for part in parts:
        if isinstance(part, Field):
            inside = wire.get("M") or {}
            name = next((candidate for candidate in (part.stored, *part.also_read) if candidate in inside), None)
            wire = U if name is None else inside[name]
        elif isinstance(part, str):
            name = part
            wire = (wire.get("M") or {}).get(part, U)
        else:
            name = part
            elements = wire.get("L") or ()
            wire = elements[part] if part < len(elements) else U
        if wire is U:
            break
    return wire, name


def may_be_the_form(write: Write, error: DynamORMError) -> bool:
    """Whether a refusal may be due to the form of an update: it is the service's, of a type, a plain condition or a bound."""
    if write.forms is None or error.request_id is None or error.outcome is not Outcome.NOT_APPLIED:
        return False
    return type(error) is ValidationError or (write.forms.conditional and type(error) in _OF_CONDITIONS)


_OF_CONDITIONS: Final = (ConditionFailed, OutOfBounds)


def in_other_form(context: Context, write: Write) -> Flow[Write | None]:
    """The write as is right for what is stored now; None when it has that form already, or the item cannot be read.

    Raises: OutOfBounds where the change would lead past a bound from what is stored now.
    """
    forms = write.forms
    if forms is None:
        return None
    try:
        raw = yield from context.call(read_back(write.plan, write.key, purpose="guard"))
    except DynamORMError:
        return None  # what refused the write says more
    raw = as_shown(write.plan, raw)
    try:
        other: Write = forms.build(states=states_of(forms.updates, raw))
    except OutOfBounds as error:
        if raw is not None:
            error._old = partial(write.plan.codec.decode_shown, raw)  # noqa: SLF001 - its item is known here only
        raise
    return None if other.forms is None or other.forms.states == forms.states else other
