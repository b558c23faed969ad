"""The draft of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamorm.ops.writes.draft import WriteDraft

if TYPE_CHECKING:
    from dynamorm.expressions.tree import Update

    from .begin import Begun
    from .bound import Bound
    from .completion import Completion


class UpdateDraft(WriteDraft):
    """The draft of an update.

    ``updates`` are those of the caller, and ``more`` those that rules add; ``stamps`` are the library's own. ``whole``
    completes the item that an upsert may make, ``begun`` says what the updates begin from, ``bounds`` what they must keep.
    """

    whole: Completion | None = None
    begun: Begun | None = None
    bounds: tuple[Bound, ...] = ()
    more: tuple[Update, ...] = ()
    stamps: list[Update]
