"""What an update stores beside all attributes of its item: it is made of the item as the update leaves it.

Only for models with a `dynamorm.models.schema.placed.PlacedItem`, with fields whose stored form depends on other attributes, and
for what rules make of the stored form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.codec.library_attributes import number_wire
from dynamorm.codec.placing import UNPLACED, Place, placed
from dynamorm.models.expressions.path import system_path
from dynamorm.models.expressions.tree import Node, Update, Wire

from .after import after as left

if TYPE_CHECKING:
    from .draft import UpdateDraft

Updates = tuple[Update, ...]


def learn(draft: UpdateDraft, updates: Iterable[Update]) -> None:
    """Let the draft know the attributes on which the stored form of what it sets depends, as the update leaves them.

    They must be stored so when it happens. Raises: MustRead.
    """
    codec = draft.plan.codec
    names = {plan.stored for plan in codec.placed if plan.hook.depends_on(codec.scope)}
    if not any(one.kind != "remove" and one.path.field.stored in names for one in updates):
        return
    stored = draft.stored_item() or {}
    draft.known = {name: wire for name, wire in left(draft, codec.depends).items() if wire is not None}
    draft.pin({name: stored.get(name) for name in codec.depends})


def with_whole(draft: UpdateDraft, changes: Iterable[Update], more: Updates) -> tuple[Updates, Updates]:
    """The updates, and what goes along with them. The write is refused where the item is not the one that was read."""
    plan, codec = draft.plan, draft.plan.codec
    whole = codec.whole
    place = Place(draft.key, codec.key_names, draft.context.scope)
    stored = draft.stored_item()
    if stored is not None and whole is not None:
        whole.check(stored, place)
    after: dict[str, Any] = {} if stored is None else dict(stored)
    if draft.known is not None:
        after |= draft.known
    place.attributes = after
    looks = frozenset(
        (
            *(() if whole is None else whole.looks),
            *(name for stamp in draft.late for name in stamp.looks),
            *(placed_plan.stored for placed_plan in codec.placed if draft.known is not None),
        )
    )
    done = [tuple(_settled(draft, one, after, place, looks) for one in updates) for updates in (changes, more)]
    late = {stamp.name: stamp.wire(after) for stamp in draft.late}
    if whole is None:
        return done[0], (*done[1], *_sets(late))
    if plan.version is not None:
        after[plan.version.stored] = number_wire(_next_version(draft, stored))
    if whole.names:  # it may be made anew without a new version, so that of an object the version does not tell
        names = whole.names
        if plan.version is not None and draft.version_check is None:
            names = (*names, plan.version.stored)
        draft.pin({name: (stored or {}).get(name) for name in names})
    return done[0], (*done[1], *_sets(whole.beside(after, place)), *_sets(late))


def _sets(wires: Mapping[str, dict[str, Any]]) -> Updates:
    return tuple(system_path(name).set(Wire(wire)) for name, wire in wires.items())


def _settled(draft: UpdateDraft, update: Update, after: dict[str, Any], place: Place, looks: frozenset[str]) -> Update:
    """An update of an attribute that matters, with the very value that is stored; ``after`` learns it."""
    name = update.path.field.stored
    if name not in looks or len(update.path.parts) > 1:
        return update
    if update.kind == "remove":
        after.pop(name, None)
        return update
    if update.kind == "if_not_exists" and after.get(name) is not None:
        return update
    value = update.value
    wire = value.value if isinstance(value, Wire) else None
    if not isinstance(value, Node):
        wire = draft.plan.update_operand(update.path, value, "value")
    if wire is None:
        after.pop(name, None)
        return update
    if UNPLACED in wire:
        wire = placed(wire, place)
    after[name] = wire
    return Update(update.kind, update.path, Wire(wire), update.start)


def _next_version(draft: UpdateDraft, stored: dict[str, Any] | None) -> int:
    """The version that the update stores."""
    if draft.version_check is not None:
        return draft.version_check.next_version
    version = draft.plan.version
    assert version is not None  # asked of such models only
    before = (stored or {}).get(version.stored)
    return int(before["N"]) + 1 if before else (0 if stored is None else 1)
