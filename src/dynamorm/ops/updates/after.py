"""What an update leaves of some attributes, computed here from what is stored: for rules that must know it before.

It is right as long as what it was computed from is stored so, which the rule has to pin. Used only where a rule asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.values.applied import NoPlace, applied
from dynamorm.codec.values.computed import outcome
from dynamorm.errors import ValidationError
from dynamorm.models.expressions.elements import Elements
from dynamorm.models.expressions.tree import Location, Update, Wire

from .begin import WHAT, turn, wires_of

if TYPE_CHECKING:
    from .draft import UpdateDraft

Wires = dict[str, dict[str, Any] | None]


def after(draft: UpdateDraft, names: Iterable[str]) -> Wires:
    """The stored values of these attributes, by stored name, once the update is applied; None for one that is not there.

    Raises: MustRead where what is stored is not known; ValidationError for an update whose result cannot be told.
    """
    item = draft.stored_item() or {}
    wanted: Wires = {name: item.get(name) for name in names}
    updates = draft.updates if draft.begun is None else draft.begun.updates
    more = draft.more if draft.whole is None else (*draft.more, *draft.whole.more())
    for update in sorted((*updates, *more), key=turn):
        name = update.path.stored[0]
        if name in wanted:
            wanted[str(name)] = _left(draft, update, item, wanted[str(name)])
    return wanted


def _left(draft: UpdateDraft, update: Update, item: dict[str, Any], held: Any) -> Any:
    """What one update leaves of an attribute."""
    steps = update.path.stored[1:]
    if update.kind == "first_of":
        others, wire = update.value
        return held or next((item[place.stored[0]] for place in others if place.stored[0] in item), wire.value)
    if update.kind == "compute":
        return _computed(draft, update, item, held)
    start = update.start.value if isinstance(update.start, Wire) else None
    value = _operand(draft, update, item, start)
    if isinstance(update.value, Location):
        start = None
    if update.kind == "delete_from_set" and steps:
        raise _unknown(draft, update)
    try:
        left = applied(held, steps, update.kind, value, start)
    except NoPlace:
        return held  # then DynamoDB refuses the update, too, and nothing is written
    except Mismatch:
        raise _unknown(draft, update) from None
    # Of the last elements of a set DynamoDB leaves no attribute.
    return None if update.kind == "delete_from_set" and left == {"NULL": True} else left


def _computed(draft: UpdateDraft, update: Update, item: dict[str, Any], held: Any) -> Any:
    try:
        wire = outcome(update.value, item, update.path, draft.plan.update_operand)
        return held if wire is None else applied(held, update.path.stored[1:], "set", wire, None)
    except NoPlace:
        return held
    except Mismatch:
        raise _unknown(draft, update) from None


def _operand(draft: UpdateDraft, update: Update, item: dict[str, Any], start: Any) -> Any:
    value = update.value
    if isinstance(value, Location):
        found: Any = {"M": item}
        for step in value.stored:
            inside = found.get("L" if isinstance(step, int) else "M")
            try:
                found = inside[step]
            except (KeyError, IndexError, TypeError):
                return start
        return found
    if isinstance(value, Wire):
        return value.value
    if update.kind == "remove":
        return None
    if isinstance(value, Elements):
        return wires_of(draft.plan, update.path, value)
    return draft.plan.update_operand(update.path, value, WHAT.get(update.kind, "value"))


def _unknown(draft: UpdateDraft, update: Update) -> ValidationError:
    return ValidationError(
        f"a rule of {draft.plan.codec.schema.name} must know what an update leaves of {update.path.name}, which cannot be told of"
        f" this one ({update.kind}): load the object, change it and save it",
        field=update.path.name,
    )
