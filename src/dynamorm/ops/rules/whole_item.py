"""What is stored beside all attributes of an item, such as a seal over them, is written with each update of the item.

The update is built of what is stored, so it is read before. What is written is made by `dynamorm.ops.updates.whole_item`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import read_object
from dynamorm.errors import MissingItem
from dynamorm.models.schema.overriding import override
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.ops.writes.draft import WriteDraft


class WholeItemRule(WriteRule):
    """An update knows what is stored. ``names`` are the attributes that are written with it."""

    verbs: tuple[str, ...] = ("update",)
    needs_stored = True
    in_batches = True

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    @override
    def contribute(self, draft: WriteDraft) -> None:
        """Read what is stored, unless it is known. Raises: MissingItem where there is nothing, and the update makes nothing."""
        if draft.stored_item() is None and not draft.upsert and draft.condition is None:
            name, table = draft.plan.codec.schema.name, draft.plan.table
            raise MissingItem(f"no {name} is stored under this key", operation="UpdateItem", table=table)

    @override
    def relies_on(self, plan: ModelRequests, raw: bytes | None) -> Any:
        if raw is None:
            return None
        item = read_object(raw)
        names = self._names if plan.version is None else (*self._names, plan.version.stored)
        return tuple(item.get(name) for name in names)
