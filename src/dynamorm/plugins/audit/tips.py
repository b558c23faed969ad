"""What a write of a tracked item follows: what the item says of its last record, and what the store says."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import AuditChainBroken

from .records import LATEST, Record, Unreadable, is_authentic, read

if TYPE_CHECKING:
    from .config import Keys

LONGEST: Final = 10**15
"""Records of one chain, more than which no item has."""


class Tip:
    """What a write follows: the number, HMAC and time of the last record, and what has to be recorded before it."""

    __slots__ = ("at", "first", "h", "looked", "n")

    def __init__(self, n: int, h: bytes, at: int, first: str = "", *, looked: bool = False) -> None:
        self.n: int = n
        self.h: bytes = h
        self.at: int = at
        self.first: str = first
        self.looked: bool = looked


def known(item: dict[str, Any]) -> tuple[int, bytes, int, bytes, bytes] | None:
    """What an item says of its chain; None where that is nothing, or no such thing."""
    try:
        n, h, state = int(item["_an"]["N"]), b64decode(item["_ah"]["B"]), b64decode(item["_as"]["B"])
    except (KeyError, TypeError, ValueError):
        return None
    at = int.from_bytes(state[:8], "big")
    if not 1 <= n <= LONGEST or at > LATEST or len(h) != 32 or len(state) != 44:
        return None
    return n, h, at, state[8:12], state[12:]


def believed(raw: bytes | None, keys: Keys, label: str) -> Record:
    """The last record of a chain. Raises: AuditChainBroken for one that was not made so, KeyUnavailable."""
    try:
        record = read(raw or b"")
        if is_authentic(record, keys.of(record.body.kid)):
            return record
    except Unreadable:
        pass
    raise AuditChainBroken(
        f"the last record of this {label} is not as it was made: nothing goes behind it", reason="forged"
    )
