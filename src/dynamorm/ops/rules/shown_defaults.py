"""What `save` writes in addition to the changes: the defaults that an object shows of attributes that are not stored.

So one save makes an older item hold what its readers are shown, and conditions, filters and other programs see it too.
Only models with such defaults need this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET as U

from dynamorm.codec.strict import parts_of
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.models.schema.overriding import override
from dynamorm.ops.writes.save_draft import SaveDraft
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from dynamorm.ops.writes.draft import WriteDraft


class ShownDefaultsRule(WriteRule):
    """A save also writes the defaults that its object shows of what is not stored."""

    verbs: tuple[str, ...] = ("save",)

    def __init__(self, fields: tuple[FieldPlan, ...]) -> None:
        self.fields: tuple[FieldPlan, ...] = fields

    @override
    def transform(self, draft: WriteDraft) -> None:
        if isinstance(draft, SaveDraft):
            draft.shown = self._unstored(draft)

    def _unstored(self, draft: SaveDraft) -> dict[str, dict[str, Any]]:
        """The wire values, by stored name, that the object shows of what its loaded item lacks and the save does not change.

        What is stored as NULL reads as it does when it is missing, and is left so.
        """
        assert draft.loaded is not None  # only loaded objects have drafts of saves
        parts = parts_of(draft.loaded)
        wires: dict[str, dict[str, Any]] = {}
        for field in self.fields:
            if field.stored in parts or field.stored in draft.changes or field.stored_in(parts) is not U:
                continue
            wire = draft.plan.codec.encode_field(field.name, getattr(draft.obj, field.name))
            if wire is not None and "NULL" not in wire:
                wires[field.stored] = wire
        return wires
