"""The draft of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.models.expressions.path import Update, system_path
from dynamorm.models.expressions.tree import Wire
from dynamorm.models.schema.overriding import override
from dynamorm.ops.writes.draft import WriteDraft

from .begin import Begun, begin

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Field
    from dynamorm.ops.writes.forms import States

    from .bound import Bound
    from .completion import Completion


class UpdateDraft(WriteDraft):
    """The draft of an update.

    ``updates`` are those of the caller, and ``more`` those that rules add; ``stamps`` are the library's own. ``whole``
    completes the item that an upsert may make, ``begun`` says what the updates begin from, in the ``states`` that were found,
    ``bounds`` what they must keep; it ``asks`` for what must be stored for it.
    """

    updates: tuple[Update, ...] = ()
    whole: Completion | None = None
    begun: Begun | None = None
    states: States | None = None
    bounds: tuple[Bound, ...] = ()
    asks: bool = False
    more: tuple[Update, ...] = ()
    stamps: list[Update]

    def begin(self) -> None:
        """Find what the updates begin from. Raises: as `dynamorm.ops.updates.begin.begin`."""
        held = None if self.whole is None else self.whole.held
        self.begun = begin(self.plan, self.updates, self.loaded, self.states, held)

    @override
    def after(self, *names: str) -> dict[str, dict[str, Any] | None]:
        from .after import after  # only where a rule asks

        return after(self, self._stored_names(names))

    @override
    def _stamp(self, name: str, wire: dict[str, Any] | None) -> None:
        path = system_path(name)
        self.stamps.append(Update("remove", path) if wire is None else path.set(Wire(wire)))

    @override
    def _store(self, field: Field, wire: dict[str, Any] | None) -> None:
        # It goes before what the caller, or a default, says of the same attribute, and before all that follows from it.
        self.updates = tuple(update for update in self.updates if update.path.field.stored != field.stored)
        if self.begun is not None:
            self.begin()
        if self.whole is not None:
            self.whole.give(field.stored, wire)
        path = system_path(field.stored)
        change = Update("remove", path) if wire is None else path.set(Wire(wire))
        self.more = (*(update for update in self.more if update.path.parts != path.parts), change)
