"""Bounds of fields: an update whose result only the database knows is applied only where they hold afterwards."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dynamorm.models.schema.overriding import override
from dynamorm.ops.updates.draft import UpdateDraft
from dynamorm.ops.updates.limited import bounds_of, explain
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from dynamorm.ops.writes.draft import WriteDraft


class LimitsRule(WriteRule):
    """The bounds become conditions, where a value is not known before."""

    verbs: tuple[str, ...] = ("update",)
    silent_of_sets: bool = True  # says nothing of an update that only sets attributes as wholes: see `known_sets`

    @override
    def contribute(self, draft: WriteDraft) -> None:
        if not isinstance(draft, UpdateDraft) or draft.begun is None:
            return
        draft.bounds = bounds = tuple(bounds_of(draft.plan, draft.begun.left))
        for bound in bounds:
            draft.require(bound.condition, lasting=True)
        if bounds:
            draft.explain.append(partial(explain, bounds=bounds))
