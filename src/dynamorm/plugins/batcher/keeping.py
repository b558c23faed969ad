"""Which items a spool keeps when they have ended, and what is said of them.

Only a word of the service on the item ends it: it is written, refused, or somebody else has written since. An outage, a
closed database or batcher, a deadline, a failing rule and missing rights say nothing of the item; it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dynamorm.errors import (
    AccessDenied,
    ConfigError,
    CredentialsError,
    DynamORMError,
    Outcome,
    PluginRefused,
    Rejected,
    Spooled,
    Superseded,
    TableNotFound,
)

_SURROUNDINGS = (AccessDenied, CredentialsError, TableNotFound, ConfigError, PluginRefused)
"""Refusals that are not about the item: they pass when somebody has mended what is around it."""


def is_last_word(error: DynamORMError) -> bool:
    """Whether the service has said that an item will not be written."""
    if isinstance(error, Superseded):
        return True
    if error.outcome is not Outcome.NOT_APPLIED or not error.attempts:  # without one, nobody has asked the service
        return False
    return isinstance(error, Rejected) and not isinstance(error, _SURROUNDINGS)


def kept_for(error: DynamORMError) -> DynamORMError:
    """What is said of an item that the spool keeps for this reason. Where it may be applied already, that is said."""
    if error.outcome is Outcome.UNKNOWN:
        return error
    return kept(f"{error.message}; it is kept in the spool, and the next batcher of the directory writes it", error)


def kept(why: str, error: BaseException | None) -> Spooled:
    """An item was not written now, and is kept."""
    made = Spooled(f"the item was not written: {why}")
    if isinstance(error, DynamORMError):
        made = Spooled(
            made.message,
            operation=error.operation,
            table=error.table,
            request_id=error.request_id,
            attempts=error.attempts,
        ).quoting(error)
    made.__cause__ = error
    return made


class Kept:
    """The items that stay in a spool, by their place in the database, so that none is written over what came after it."""

    def __init__(self) -> None:
        self._at: dict[Any, list[tuple[int, str, Any]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._at.values()))

    def clear(self) -> None:
        """Forget them: they are looked at once more."""
        self._at.clear()

    def stay(self, address: Any, seqs: Iterable[int], verb: str, given: Any) -> None:
        """These stay. ``verb`` is that of one that is sent alone, ``given`` its object."""
        self._at.setdefault(address, []).extend((seq, verb, given if verb else None) for seq in seqs)

    def replaced_by(self, address: Any, verb: str, given: Any) -> list[int]:
        """Those in whose place a later write is that was applied: they do not stay any more.

        Nothing of them is missing, unless both are sent alone, and of different objects.
        """
        some = self._at.get(address) if self._at else None
        if not some:
            return []
        over = [one for one in some if not (verb and one[1]) or one[2] is given]
        left = [one for one in some if one not in over]
        if left:
            self._at[address] = left
        else:
            del self._at[address]
        return [seq for seq, *_ in over]
