"""How names and reasons stand in a line of the log."""

from __future__ import annotations

from dynamorm.errors import ActorRequired
from dynamorm.plugin import current_actor


def in_one_line(text: str) -> str:
    """A text without what would begin another line, or turn it round."""
    return "".join(character if character.isprintable() else "?" for character in text)


def who_acts() -> str:
    """The actor as a line of the log has it."""
    try:
        who = current_actor()
    except ActorRequired:  # the line is written all the same
        return "one of two who are named"
    return "nobody who is named" if who is None else in_one_line(who.by)
