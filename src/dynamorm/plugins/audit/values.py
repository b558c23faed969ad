"""Bytes that are hashed: one text for each value, and one for each list of texts. The forms are documented in the guide.

A stored value has one canonical form: maps and sets are sorted, numbers have one spelling, bytes are base64.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.json import Encoder

Wire: TypeAlias = dict[str, Any]

encode: Final = Encoder(order="sorted").encode

LARGEST: Final = 8 * 1024
"""Bytes of a value that a record holds; of a larger one it holds the size and a keyed digest."""


class Digest(Struct, frozen=True):
    """What a record holds of a value that it does not show: its ``size`` in bytes (None: it is not told) and a keyed ``mac``.

    Example: ``isinstance(change.new, Digest)``
    """

    size: int | None
    mac: bytes

    def __repr__(self) -> str:
        return "<Digest>"


class Sealed(Struct, frozen=True):
    """What a record holds of a protected value: record ``version`` has it in ``data``, sealed; None where no record has it.

    ``db.audit.history(..., reveal=True)`` opens it. No record has one that is redacted or larger than 8 KB, and one whose key was
    destroyed before the record was made.

    Example: ``isinstance(change.new, Sealed) and change.new.data is not None``
    """

    version: int
    data: bytes | None

    def __repr__(self) -> str:
        return "<sealed>"


def joined(*parts: bytes) -> bytes:
    """Texts as one, from which they can be read back: before each stands its length, as four bytes."""
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def mac(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 of the joined parts; the first names what they are."""
    return hmac.digest(key, joined(*parts), "sha256")


def canonical(wire: Wire) -> Wire:
    """The canonical form of a stored value."""
    ((tag, value),) = wire.items()
    if tag in _AS_IT_IS:
        return wire
    if tag == "N":
        return {"N": _number(value)}
    if tag == "L":
        return {"L": [canonical(one) for one in value]}
    if tag == "M":
        return {"M": {name: canonical(one) for name, one in value.items()}}
    if tag == "NS":
        return {"NS": sorted(map(_number, value))}
    if tag == "BS":
        return {"BS": sorted(map(_bytes, value))}
    if tag == "B":
        return {"B": _bytes(value)}
    return {tag: sorted(value)}


def bytes_of(wire: Wire | None) -> bytes:
    """The canonical form as bytes; of nothing there are none."""
    return b"" if wire is None else encode(canonical(wire))


def bytes_differ(old: Wire | None, new: Wire | None) -> bool:
    """Whether two attributes are stored otherwise; what waits for its stored form is so always."""
    if new is not None and not new.keys() <= _TAGS:
        return True
    return bytes_of(old) != bytes_of(new)


def state_bytes(names: Iterable[str], wires: Mapping[str, Any]) -> bytes:
    """The canonical form of several attributes."""
    return joined(*(part for name in sorted(names) for part in (name.encode(), bytes_of(wires.get(name)))))


def plain(wire: Wire | None) -> Any:
    """A stored value as Python has it: numbers are int or Decimal, bytes are bytes, sets are sorted lists."""
    if wire is None:
        return None
    ((tag, value),) = wire.items()
    if tag == "NULL":
        return None
    if tag == "N":
        return _plain_number(value)
    if tag == "L":
        return [plain(one) for one in value]
    if tag == "M":
        return {name: plain(one) for name, one in value.items()}
    if tag == "NS":
        return sorted(map(_plain_number, value))
    if tag == "SS":
        return sorted(value)
    if tag == "BS":
        return sorted(map(_plain_bytes, value))
    return _plain_bytes(value) if tag == "B" else value


_TAGS: Final = frozenset({"S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"})
_AS_IT_IS: Final = frozenset({"S", "BOOL", "NULL"})


def _number(text: str) -> str:
    if text.isdigit() and text.isascii() and (text[0] != "0" or text == "0"):
        return text
    number = Decimal(text)
    if not number:
        return "0"
    plain_text = f"{number:f}"  # DynamoDB's numbers have at most 166 digits so
    return plain_text.rstrip("0").rstrip(".") if "." in plain_text else plain_text


def _plain_number(text: str) -> int | Decimal:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() else number


def _plain_bytes(value: Any) -> bytes:
    """The bytes of a stored value, which is base64 where it was read, and bytes where it is about to be sent."""
    return b64decode(value) if isinstance(value, str) else bytes(value)


def _bytes(value: Any) -> str:
    return value if isinstance(value, str) else b64encode(value).decode()
