"""Blind indexes: a keyed hash beside an encrypted value, by which it is found, and kept unique.

HMAC-SHA256, under a key that a rotation of the ring does not touch, of ``dynamorm/bidx/1``, the crypto name, the stored name of
the attribute, the name of ``normalize`` (empty without one), the type byte and the canonical value, each led by its length.
"""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ModelError, ValidationError

from .envelope import framed
from .options import Encrypted
from .values import bytes_to_seal

if TYPE_CHECKING:
    from .needs import Opened

FORMAT: Final = b"dynamorm/bidx/1"


class BlindIndex:
    """The blind index of one field. ``names`` are the attributes of both values that it may have."""

    def __init__(self, where: str, stored: str, crypto_name: str, option: Encrypted) -> None:
        self._where = where
        self._option = option
        self.names: tuple[str, str] = (option.indexed_as(stored), f"_bi2_{stored}")
        named = b"" if option.normalize is None else option.normalize.__name__.encode()
        self._start = framed(FORMAT, crypto_name.encode(), stored.encode(), named)

    def normal(self, wire: dict[str, Any]) -> dict[str, Any]:
        """The value that is hashed. Raises: ValidationError for what ``normalize`` gives that is no text."""
        normalize = self._option.normalize
        if normalize is None:
            return wire
        text: Any = None
        try:
            text = normalize(wire["S"])
        except Exception as error:  # noqa: BLE001 - its text may hold the value
            failed = type(error).__name__
        else:
            failed = type(text).__name__
        if isinstance(text, str):
            return {"S": text}
        raise ValidationError(f"{self._where}: {normalize.__name__} gives a text for a text, not {failed}")

    def values(self, wire: dict[str, Any], key: Opened, now: float) -> list[bytes]:
        """The hash of a value, that which is current first; two while a new key of the index takes the place of the old one."""
        canonical = bytes_to_seal(self.normal(wire), self._where)
        data = self._start + framed(canonical[:1], canonical[1:])
        found = [self._cut(key.branch.expand(data))]
        if key.other is not None:
            found.append(self._cut(key.other.branch.expand(data)))
            if now >= key.moves_at:
                found.reverse()
        return found

    def _cut(self, digest: bytes) -> bytes:
        bits = self._option.bits
        if not bits:
            return digest
        count = -(-bits // 8)
        last = digest[count - 1] & (0xFF << (count * 8 - bits)) & 0xFF
        return digest[: count - 1] + bytes((last,))

    def check(self, classes: tuple[Any, ...], expected: str) -> None:
        """Refuse an index that tells the values of a type of few, and a ``normalize`` of what is no text. Raises: ModelError."""
        if self._option.normalize is not None and classes != (str,):
            raise ModelError(f"{self._where}: normalize takes a text, so that the field is Attr[str]")
        few = any(isinstance(one, type) and (issubclass(one, (Enum, date)) or one is bool) for one in classes)
        if self._option.searchable is True and (few or "Literal" in expected):
            raise ModelError(
                f"{self._where} has low entropy: a blind index of full length shows which items share one of few values, and how"
                " often; say searchable=Bits(8) to let several share one, or searchable=Full() to accept that"
            )
