"""A write that relies on what is stored: it is read first, and the write happens only while it is still so.

Used for models with a rule that must know what a write by key, or a put, replaces or removes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, DuplicateKey, Outcome, VersionConflict
from dynamorm.ops.requests import ModelRequests

from .write import NOT_READ, MustRead, Write, as_shown, read_back

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

TRIES: Final = 8
"""How often a write is started again because another writer has changed what it relies on."""


def performed_while_unchanged(
    context: Context, subject: Any, build: Callable[..., Write], send: Callable[[Context, Write], Flow[Any]]
) -> Flow[Any]:
    """Send the write which ``build(stored=...)`` makes of what is stored.

    Where that is not known from ``subject``, an object or a class, it is read first; see `while_unchanged`.
    """
    try:
        write = build()
    except MustRead as unread:
        if unread.other:
            raise
        return while_unchanged(context, unread.plan, unread.under, build, send, None, None)
    if not write.if_unchanged:
        return send(context, write)
    plan = write.plan
    return while_unchanged(context, plan, write.key, build, send, write, plan.codec.loaded(subject))


def while_unchanged(
    context: Context,
    plan: ModelRequests,
    key: bytes,
    build: Callable[..., Write | None],
    send: Callable[[Context, Write], Flow[Any]],
    write: Write | None,
    raw: bytes | None,
) -> Flow[Any]:
    """Write on the condition that what is relied on is as in ``raw``, and begin again when it has changed meanwhile.

    ``write`` is the first try, made of ``raw``; without one the item is read before. ``build`` gives None for what cannot be
    written over what is stored now.
    """
    context = context.bounded()
    if write is None:
        raw = as_shown(plan, (yield from context.call(read_back(plan, key, purpose="guard", decoded=False))))
        write = build(stored=raw)
    for tried in range(TRIES):
        assert write is not None  # of the first try, and below
        try:
            return (yield from send(context, write))
        except (DuplicateKey, VersionConflict):  # of the version that was loaded, whatever is stored
            raise
        except ConditionFailed as error:
            if error.outcome is not Outcome.NOT_APPLIED:
                raise
            stored = as_shown(plan, (yield from context.call(read_back(plan, key, purpose="guard", decoded=False))))
            if tried == TRIES - 1 or _same(plan, stored, raw):
                raise  # what is relied on is as it was, so it was the caller's condition
            raw, write = stored, build(stored=stored)
            if write is None:
                raise
    raise AssertionError("the last try returns or raises")


def _same(plan: ModelRequests, stored: bytes | None, before: bytes | None) -> bool:
    """Whether the rules find in two states of an item what they rely on unchanged, as far as its class is known here."""
    rules = {rule for rules in plan.rules.values() for rule in rules if rule.needs_stored}
    return stored == before or (
        bool(rules) and all(rule.relies_on(plan, stored) == rule.relies_on(plan, before) for rule in rules)
    )


def class_of(context: Context, plan: ModelRequests, key: bytes, stored: bytes | None) -> Any:
    """The class whose rules an item has that is named by a base class. Raises MustRead."""
    if stored is NOT_READ:
        if context.reads is None or not context.reads.late:
            raise MustRead(plan, key)
        stored = context.reads.of(plan, key)
    codec = plan.codec
    assert codec.family is not None  # asked for models with a discriminator only
    if stored is not None and not codec.family.owns(stored):
        raise codec.family.stranger(table=plan.table)
    owner = None if stored is None else codec.family.codec(read_object(stored))
    return codec.model if owner is None else owner.model
