"""The draft of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.expressions.path import Update, system_path
from dynamorm.expressions.tree import Wire
from dynamorm.ops.writes.draft import WriteDraft
from dynamorm.overriding import override

if TYPE_CHECKING:
    from dynamorm.schema.schema import Field

    from .begin import Begun
    from .bound import Bound
    from .completion import Completion


class UpdateDraft(WriteDraft):
    """The draft of an update.

    ``updates`` are those of the caller, and ``more`` those that rules add; ``stamps`` are the library's own. ``whole``
    completes the item that an upsert may make, ``begun`` says what the updates begin from, ``bounds`` what they must keep.
    """

    updates: tuple[Update, ...] = ()
    whole: Completion | None = None
    begun: Begun | None = None
    bounds: tuple[Bound, ...] = ()
    more: tuple[Update, ...] = ()
    stamps: list[Update]

    @override
    def _store(self, field: Field, value: Any, wire: dict[str, Any] | None) -> None:
        # It goes before what the caller, or a default, says of the same attribute.
        self.updates = tuple(update for update in self.updates if update.path.field.stored != field.stored)
        if self.begun is not None:
            self.begun.updates = tuple(
                update for update in self.begun.updates if update.path.field.stored != field.stored
            )
        if self.whole is not None:
            self.whole.take([field.stored])
        path = system_path(field.stored)
        change = Update("remove", path) if wire is None else path.set(Wire(wire))
        self.more = (*(update for update in self.more if update.path.parts != path.parts), change)
