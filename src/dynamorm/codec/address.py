"""Whether an item that came is the one that was asked for: its key is compared with that of the request, byte by byte."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from .document import bytes_of
from .replies import dumps, malformed, read_object


def leads(names: Iterable[str]) -> tuple[bytes, ...]:
    """How each of the key's attributes begins in the JSON of an item."""
    return tuple(dumps(name) + b":{" for name in names)


def is_of(raw: bytes, key: bytes, starts: tuple[bytes, ...]) -> bool:
    """Whether the JSON of an item has the key of this JSON; ``starts`` are its `leads`.

    The usual case is a search for the bytes of the key: where its name stands once, it stands on the top level.
    """
    parts = [key[1:-1]]
    if len(starts) == 2:
        first, _, second = key[1:-1].partition(b'},"')  # in a text the quotation mark would have a backslash before it
        parts = [first + b"}", b'"' + second]
    if all(part in raw and raw.count(start) == 1 for part, start in zip(parts, starts, strict=True)):
        return True
    item, wanted = read_object(raw), read_object(key)
    return all(_same(item.get(name), value) for name, value in wanted.items())


def check(raw: bytes, key: bytes, starts: tuple[bytes, ...]) -> None:
    """Raise MalformedResponse when an item has another key than this one."""
    if not is_of(raw, key, starts):
        raise malformed("it shows an item with another key than was asked for")


def _same(one: Any, other: dict[str, Any]) -> bool:
    if one == other:
        return True
    if not isinstance(one, dict) or one.keys() != other.keys():
        return False
    ((tag, value),) = one.items()
    try:
        if tag == "N":
            return Decimal(value) == Decimal(other[tag])
        return tag == "B" and bytes_of(value) == bytes_of(other[tag])
    except (ArithmeticError, ValueError, TypeError):
        return False
