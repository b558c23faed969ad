"""Whether an item that came is the one that was asked for: its key is compared with that of the request, byte by byte."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from dynamorm.codec.types.document import bytes_of
from dynamorm.errors import MalformedResponse

from .strict import dumps, malformed, read_object


def leads(names: Iterable[str]) -> tuple[bytes, ...]:
    """How each of the key's attributes begins in the JSON of an item."""
    return tuple(dumps(name) + b":{" for name in names)


def is_of(raw: bytes, key: bytes, starts: tuple[bytes, ...]) -> bool:
    """Whether the JSON of an item has the key of this JSON; ``starts`` are its `leads`.

    The usual case is a search for the bytes of the key: where its name stands once, it stands on the top level.
    """
    inner = key[1:-1]
    if len(starts) == 1:
        if inner in raw and raw.count(starts[0]) == 1:
            return True
    else:
        first, _, second = inner.partition(b'},"')  # in a text the quotation mark would have a backslash before it
        if first + b"}" in raw and b'"' + second in raw and raw.count(starts[0]) == raw.count(starts[-1]) == 1:
            return True
    return _has(read_object(raw), read_object(key))


def check(raw: bytes, key: bytes, starts: tuple[bytes, ...]) -> None:
    """Raise MalformedResponse when an item has another key than this one."""
    if not is_of(raw, key, starts):
        raise another()


def another() -> MalformedResponse:
    """The error for an item that was not asked for."""
    return malformed("it shows an item with another key than was asked for")


def check_shown(raw: bytes, key: bytes) -> None:
    """As `check`, of an item that may lack a part of its key: it was not asked for."""
    shown, wanted = read_object(raw), read_object(key)
    both = {name: value for name, value in wanted.items() if name in shown}
    if not both or not _has(shown, both):
        raise another()


def _has(item: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(_same(item.get(name), value) for name, value in wanted.items())


def _same(wire: Any, other: dict[str, Any]) -> bool:
    if wire == other:
        return True
    if not isinstance(wire, dict) or wire.keys() != other.keys():
        return False
    ((tag, value),) = wire.items()
    try:
        if tag == "N":
            return Decimal(value) == Decimal(other[tag])
        return tag == "B" and bytes_of(value) == bytes_of(other[tag])
    except (ArithmeticError, ValueError, TypeError):
        return False
