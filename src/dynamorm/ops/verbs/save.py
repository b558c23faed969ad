"""save: a new object is created, of a loaded one only what has changed is written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow
from dynamorm.errors import ValidationError
from dynamorm.ops.requests import ModelRequests, finish
from dynamorm.ops.writes.draft import Wires
from dynamorm.ops.writes.save_draft import SaveDraft
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.unchanged import while_unchanged
from dynamorm.ops.writes.version_check import made_at
from dynamorm.ops.writes.write import NOT_READ, Write

from .put import create_write, refresh

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def save(context: Context, obj: Any) -> Flow[Any]:
    """Create a new object; write only what changed of a loaded one."""
    write = save_write(context, obj)
    if write is None:
        return _nothing(obj)
    loaded = None if write.instead_of or not write.if_unchanged else write.plan.codec.loaded(obj)
    if loaded is None:
        return perform(context, write)
    again = partial(save_write, context, obj, token=write.token)  # it is the same write, whatever it is written over
    return while_unchanged(context, write.plan, write.key, again, perform, write, loaded)


def save_write(
    context: Context, obj: Any, *, stored: bytes | None = NOT_READ, token: bytes | None = None
) -> Write | None:
    """The write of `save`; None when nothing changed.

    ``stored`` is what is there now, where the write was refused for that; None too for what cannot be written over it.
    ``token`` is that of the write which was refused.
    """
    plan = context.plan(type(obj))
    codec = plan.codec
    loaded = codec.loaded(obj)
    if loaded is None:
        return create_write(context, obj)
    if stored is None:
        return None
    draft = SaveDraft(context, plan, "save", "Update", obj, loaded)
    draft.stored = stored
    draft.changes, draft.before = codec.compare(obj)
    if codec.composites or not codec.keys.exact:
        codec.key_of(obj)  # names the part of the key that was changed, though it may be stored as the same text
    own = None
    if plan.created is not None and plan.created.stored in draft.changes:
        del draft.changes[plan.created.stored]  # the library's own: set once, when the item was made
        own = made_at(plan, obj)
    if not draft.changes:
        if own is not None:
            codec.give(obj, own)
        codec.as_stored(obj, loaded)
        return None
    _refuse_new_key(plan, draft.changes)
    if plan.transforms["save"] and (instead := draft.passed()) is not None:
        return instead
    for name in draft.changes:
        if name in codec.branching:
            if stored is not NOT_READ and _is_other(stored, loaded, codec.branching.keys() & draft.changes):
                return None  # a part of it is written, and it is not known into what
            from dynamorm.ops.writes.within import within  # only where a list, map or document changed

            draft.inside = within(plan, draft.changes, draft.before, loaded, draft.tails)
            break
    draft.key = codec.key_of(obj)
    draft.check_version()
    assert draft.version_check is not None  # made right now
    if token is not None and plan.version is not None:
        draft.version_check.token = token
    draft.stamped, draft.times = draft.version_check.stamps()
    if own is not None:
        draft.times |= own
    if plan.contributes["save"]:
        draft.contributed()
    return _written(draft)


def _written(draft: SaveDraft) -> Write:
    """The write of a draft to which all have contributed."""
    plan, inside, check = draft.plan, draft.inside, draft.version_check
    assert check is not None  # of a loaded object
    if plan.codec.placed:
        draft.place()
    for name in plan.codec.unstored:  # another program may have stored it
        if plan.codec.stored(draft.obj, name) is not None:
            draft.changes[name] = None
    text = draft.update_text()
    if inside is not None:
        draft.terms.append(inside.condition(draft.places))
        draft.changes |= inside.afterwards()
        draft.explain.append(inside.explain)
    said = {"UpdateExpression": text, **draft.said()}
    times = {**draft.times, **draft.values} if draft.values else draft.times
    done = partial(refresh, plan, draft.obj, draft.item_after(), check.next_version, times)
    versioned = plan.version is not None
    return draft.write(
        finish(plan.key_head, draft.key, said),
        done,
        settled=versioned or draft.repeatable,
        expects="version" if versioned else "exists",
    )


def _is_other(stored: bytes | None, loaded: bytes, names: Iterable[str]) -> bool:
    """Whether one of these attributes is stored otherwise than it was loaded."""
    now, then = ({} if raw is None else read_object(raw) for raw in (stored, loaded))
    return any(now.get(name) != then.get(name) for name in names)


def _refuse_new_key(plan: ModelRequests, changes: Wires) -> None:
    """The key of a loaded object does not change. Raises: ValidationError."""
    for stored in plan.key_names:
        if stored in changes:
            schema = plan.codec.schema
            name = next(field.name for field in schema.fields.values() if field.stored == stored)
            raise ValidationError(
                f"{schema.name}.{name} is part of the key and was changed: create a new object instead", field=name
            )


def _nothing(obj: Any) -> Flow[Any]:
    """A flow that has nothing to do."""
    return obj
    yield
