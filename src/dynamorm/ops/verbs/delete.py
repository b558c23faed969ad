"""delete: removes an item, of an object or by key."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from dynamorm.codec.keys import StoredKey
from dynamorm.effects import Flow
from dynamorm.errors import MissingItem
from dynamorm.models.expressions.path import Condition
from dynamorm.ops.requests import check_values, finish
from dynamorm.ops.writes.draft import WriteDraft, addressed
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.unchanged import class_of, performed_while_unchanged
from dynamorm.ops.writes.write import NOT_READ, Write

from .put import old_item

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def delete(
    context: Context,
    subject: Any,
    key: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    condition: Condition | None,
    must_exist: bool,
    returning: str | None,
    when_absent: Callable[[], None] | None = None,
) -> Flow[Any]:
    """Remove an item; its version is checked when it is known. ``when_absent`` is told where it is known that there was nothing."""
    build = partial(
        delete_write, context, subject, key, parts, condition=condition, must_exist=must_exist, returning=returning
    )
    plan = context.plan(subject if isinstance(subject, type) else type(subject))
    if plan.needs_stored:
        flow = performed_while_unchanged(context, subject, build, perform)
    else:
        flow = perform(context, build())
    rules = plan.transforms["delete"]
    if rules and condition is None and not must_exist and any(rule.absent_is_deleted for rule in rules):
        return _or_absent(flow, when_absent)
    return flow


def _or_absent(flow: Flow[Any], when_absent: Callable[[], None] | None) -> Flow[Any]:
    """What a rule has put in the place of a delete: as with that, an item that is not there counts as deleted."""
    try:
        return (yield from flow)
    except MissingItem as error:
        if "ErrVersionConflict" in error.codes:
            raise
        if when_absent is not None:
            when_absent()
        return None


def delete_write(
    context: Context,
    subject: Any,
    key: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    condition: Condition | None,
    must_exist: bool,
    returning: str | None = None,
    stored: bytes | None = NOT_READ,
) -> Write:
    """The write of `delete`. ``stored`` is what is there now, where that matters: to a model with unique attributes."""
    draft = addressed(WriteDraft, context, "delete", "Delete", subject, key, parts)
    plan = draft.plan
    if plan.needs_stored and draft.obj is None and plan.codec.family is not None:
        owner = class_of(context, plan, draft.key, stored)
        if owner is not plan.model:  # the rules are those of its own class
            return delete_write(
                context, owner, (StoredKey(draft.key, plan.codec.key_names),), {},
                condition=condition, must_exist=must_exist, returning=returning, stored=stored,
            )  # fmt: skip
    draft.stored, draft.returning, draft.condition, draft.must_exist = stored, returning, condition, must_exist
    draft.gives_result = False
    if plan.transforms["delete"] and (instead := draft.passed()) is not None:
        return instead
    # Without a version there is nothing to check: what is to be deleted may have been changed.
    if draft.loaded is not None and plan.version is not None:
        draft.check_version()
    elif must_exist:
        draft.terms.append(f"attribute_exists({draft.places.name(plan.partition.stored)})")
    if condition is not None or plan.contributes["delete"]:
        draft.contributed()
    return _written(draft)


def _written(draft: WriteDraft) -> Write:
    """The write of a draft to which all have contributed."""
    plan, check = draft.plan, draft.version_check
    condition, must_exist = draft.condition, draft.must_exist
    said = draft.said() if draft.terms else {}
    body = finish(plan.key_head, draft.key, said)
    if condition is not None:
        check_values(body, said)
    # What was deleted has no tokens: only of a write that checks nothing else it is known why it is gone.
    settled = check is not None and condition is None and not must_exist and draft.returning is None
    if not settled and (check is not None or must_exist):
        draft.repeatable = False
    done: Any = partial(_gone, draft)
    if draft.returning is not None:
        done = old_item(done, plan.codec)
    expects = "exists" if must_exist else ""
    write = draft.write(body, done, settled=settled, expects=expects if check is None else "version")
    write.may_be_absent = check is None and condition is None and not must_exist
    return write


def _gone(draft: WriteDraft, _: bytes | None) -> None:
    """The object is one of no item any more."""
    if draft.obj is not None:
        draft.plan.codec.mark(draft.obj, None)
