"""An answer as it is stored in Redis: MessagePack behind a MAC over its key and itself. It must not know Redis.

Whoever can write Redis can neither make an answer nor move one to another key; an old one under its own key is good for no
longer than it was when it was made.
"""

from __future__ import annotations

import hmac
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from msgspec import DecodeError, Struct
from msgspec.json import encode as json
from msgspec.msgpack import Decoder, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MAC: Final = 32
_AHEAD: Final = 60_000
"""Milliseconds by which the clock of another process may be ahead of ours."""


class Entry(Struct, array_like=True):
    """What is stored: when it was made and when it ends, in milliseconds of Unix time; the values of its generations; the JSON."""

    made: int
    expires: int
    stamps: bytes
    answer: bytes


_decode: Final = Decoder(Entry).decode


class Sealer:
    """Makes keys and values. ``mac_key`` is shared by who may read what; ``place`` says of which database they are."""

    def __init__(self, mac_key: bytes, place: Sequence[str]) -> None:
        self._mac = hmac.digest(mac_key, b"dynamorm cache: values", "sha256")
        self._names = hmac.digest(mac_key, b"dynamorm cache: names", "sha256")
        self._place = place

    def name(self, kind: str, parts: Sequence[str]) -> bytes:
        """The key of something: what it is about cannot be read from it, for the values of keys are data."""
        text = json((self._place, kind, *parts))
        return b"d1:%b:%b" % (kind.encode(), blake2b(text, digest_size=20, key=self._names).hexdigest().encode())

    def seal(self, key: bytes, entry: Entry) -> bytes:
        """The value for a key."""
        payload = encode(entry)
        return self._mac_of(key, payload) + payload

    def open(self, key: bytes, value: bytes, now: int, tampered: Callable[[], None]) -> Entry | None:
        """What a value holds, where it is of this key and its time is not over. ``tampered`` is told what is no value of ours."""
        payload = value[_MAC:]
        if not hmac.compare_digest(self._mac_of(key, payload), value[:_MAC]):
            tampered()
            return None
        try:
            entry = _decode(payload)
        except DecodeError:  # of a version to come
            return None
        return entry if entry.made - _AHEAD <= now < entry.expires else None

    def _mac_of(self, key: bytes, payload: bytes) -> bytes:
        return hmac.digest(self._mac, b"%d:%b%b" % (len(key), key, payload), "sha256")
