"""Identifiers that sort by the time at which they were made: ULID, KSUID and UUID version 7, as factories of defaults.

All that one process makes of a kind grow: also those of one moment, of several threads, and where the clock is set back. A
process that was forked goes on above what was made before, with random bits of its own. A signal handler or a finalizer may make
one while another is made: nothing waits for a lock. They are no secrets: who knows one may guess another of the same moment.

Sources: https://github.com/ulid/spec, https://github.com/segmentio/ksuid, https://www.rfc-editor.org/rfc/rfc9562#section-5.7
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from dynamorm.errors import InvalidUse, ValidationError

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_BASE_62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ULID_LENGTH: Final = 26
_KSUID_LENGTH: Final = 27
_KSUID_EPOCH: Final = 1_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STEP_BYTES: Final = 4
"""Random bytes of the step between two identifiers of one moment."""


class _Growing:
    """Numbers of a time and random bits below it, each greater than all before. The time is in units of ``unit`` nanoseconds.

    The numbers are a chain of dicts, each of which holds the next one. Only one can follow a number, as ``setdefault`` is one step:
    who comes second goes on behind the first, be it another thread, or code that was interrupted by what made it. The chain only
    says where to look for its end; what lies behind is let go.
    """

    def __init__(self, name: str, unit: int, time_bits: int, random_bits: int, *, since: int = 0) -> None:
        self._name = name
        self._unit = unit
        self._limit = 1 << time_bits
        self._bits = random_bits
        self._since = since
        self._recent: dict[str, Any] = {"value": -1}
        """One of the last numbers: the end of the chain, or not far from it."""

    def next(self) -> int:
        """The next number: of now, or of the latest time that there was one of."""
        return self._follow(self._above)

    def _follow(self, above: Callable[[int], int]) -> int:
        """Put a number behind the last one, which tells what it is."""
        last = self._recent
        while True:
            while "next" in last:
                last = last["next"]
            value = above(last["value"])
            own = {"value": value}
            if last.setdefault("next", own) is own:
                self._recent = own
                return value

    def _above(self, last: int) -> int:
        now = time.time_ns() // self._unit - self._since
        if now <= last >> self._bits:
            value = last + 1 + int.from_bytes(os.urandom(_STEP_BYTES))
        else:
            value = (now << self._bits) + self._random()
        if now < 0 or value >> self._bits >= self._limit:
            raise InvalidUse(f"a {self._name} cannot hold the time that this machine's clock shows: set the clock")
        return value

    def _random(self) -> int:
        return int.from_bytes(os.urandom((self._bits + 7) // 8)) & ((1 << self._bits) - 1)

    def forked(self) -> None:
        """Go on above what the parent has made, which makes others in the same moment. It holds for what was about to be made, too."""
        self._follow(lambda last: (((last >> self._bits) + 1) << self._bits) + self._random() // 2)


_ulids: Final = _Growing("ULID", 1_000_000, 48, 80)
_ksuids: Final = _Growing("KSUID", 1_000_000_000, 32, 128, since=_KSUID_EPOCH)
_uuids: Final = _Growing("UUID", 1_000_000, 48, 74)

if hasattr(os, "register_at_fork"):
    for _one in (_ulids, _ksuids, _uuids):
        os.register_at_fork(after_in_child=_one.forked)


def ulid() -> str:
    """A new ULID: 26 characters that sort as text by the millisecond, with 80 random bits.

    Source: https://github.com/ulid/spec

    Example: ``id: Attr[str] = partition_key(default_factory=ulid)``
    """
    return _text(_ulids.next(), _CROCKFORD, _ULID_LENGTH)


def ksuid() -> str:
    """A new KSUID: 27 characters that sort as text by the second, with 128 random bits.

    Source: https://github.com/segmentio/ksuid

    Example: ``id: Attr[str] = partition_key(default_factory=ksuid)``
    """
    return _text(_ksuids.next(), _BASE_62, _KSUID_LENGTH)


def uuid7() -> UUID:
    """A new UUID of version 7: it sorts by the millisecond, with 74 random bits.

    Source: https://www.rfc-editor.org/rfc/rfc9562#section-5.7

    Example: ``id: Attr[UUID] = partition_key(default_factory=uuid7)``
    """
    value = _uuids.next()
    at, high, low = value >> 74, value >> 62 & 0xFFF, value & (1 << 62) - 1
    return UUID(int=at << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def id_time(value: str | UUID) -> datetime:
    """When an identifier was made, in UTC: of a ULID and a UUID of version 7 to the millisecond, of a KSUID to the second.

    A ULID and a UUID may be written in either case. Raises: ValidationError for what is none of them.

    Example: ``id_time("01ARZ3NDEKTSV4RRFFQ69G5FAV").year == 2016``
    """
    if isinstance(value, str):
        read = _BY_LENGTH.get(len(value))
        at = None if read is None else read(value)
    else:
        at = _uuid_time(value)
    if at is None:
        raise ValidationError(
            "id_time() takes a ULID (26 characters), a KSUID (27 characters) or a UUID of version 7: give one as it was made"
        )
    try:
        return _EPOCH + at
    except OverflowError:
        raise ValidationError("the time of this identifier is after the year 9999, which no datetime can be") from None


def _text(value: int, alphabet: str, length: int) -> str:
    base = len(alphabet)
    signs = []
    for _ in range(length):
        value, sign = divmod(value, base)
        signs.append(alphabet[sign])
    return "".join(reversed(signs))


def _number(text: str, alphabet: str, limit: int) -> int | None:
    """The number that a text stands for, None where it is none of this alphabet, or too great."""
    value = 0
    for sign in text:
        at = alphabet.find(sign)
        if at < 0:
            return None
        value = value * len(alphabet) + at
    return value if value < limit else None


def _ulid_time(text: str) -> timedelta | None:
    # The alphabet has no I, L and O: who reads one aloud may write them for 1 and 0.
    value = _number(text.upper().translate(_ALIKE), _CROCKFORD, 1 << 128)
    return None if value is None else timedelta(milliseconds=value >> 80)


_ALIKE: Final = str.maketrans("ILO", "110")


def _ksuid_time(text: str) -> timedelta | None:
    value = _number(text, _BASE_62, 1 << 160)
    return None if value is None else timedelta(seconds=(value >> 128) + _KSUID_EPOCH)


def _uuid_time(value: object) -> timedelta | None:
    if isinstance(value, str):
        try:
            value = UUID(value)
        except ValueError:
            return None
    if not isinstance(value, UUID) or value.version != 7:
        return None
    return timedelta(milliseconds=value.int >> 80)


_BY_LENGTH: Final[dict[int, Callable[[str], timedelta | None]]] = {
    _ULID_LENGTH: _ulid_time,
    _KSUID_LENGTH: _ksuid_time,
    32: _uuid_time,
    36: _uuid_time,
}
