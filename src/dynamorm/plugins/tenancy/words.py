"""How names and reasons stand in a line of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dynamorm.plugin import Actor


def in_one_line(text: str) -> str:
    """A text without what would begin another line, or turn it round."""
    return "".join(character if character.isprintable() else "?" for character in text)


def named(who: Actor | None) -> str:
    """An actor as a line of the log has it."""
    return "nobody who is named" if who is None else in_one_line(who.by)
