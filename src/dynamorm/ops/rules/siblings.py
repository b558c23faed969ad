"""Writes of one class of a family leave the items of its siblings alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamorm.models.schema.overriding import override
from dynamorm.ops.reads.kin import class_terms
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from dynamorm.ops.writes.draft import WriteDraft


class SiblingsRule(WriteRule):
    """A write that does not replace the whole item happens only to one of its class or a subclass."""

    verbs: tuple[str, ...] = ("save", "update", "delete", "check")
    in_batches: bool = True  # its deletes are requests of their own there

    @override
    def contribute(self, draft: WriteDraft) -> None:
        absent = draft.upsert if draft.verb == "update" else draft.verb != "save" and not draft.terms
        draft.terms += class_terms(draft.plan, draft.places, draft.loaded, absent=absent)
