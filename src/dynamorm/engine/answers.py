"""Answers, put together from bytes that are JSON already. It must not know what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from msgspec import json

Members: TypeAlias = "list[tuple[str, bytes]]"

EMPTY: Final = b"{}"

encode: Callable[[Any], bytes] = json.encode
decode: Callable[[bytes], Any] = json.decode


def answer(members: Members) -> bytes:
    """An object with these members."""
    pieces: list[bytes] = []
    for name, value in members:
        pieces += (b',"' if pieces else b'{"', name.encode(), b'":', value)
    pieces.append(b"}" if pieces else b"{}")
    return b"".join(pieces)


def listed(values: list[bytes]) -> bytes:
    """A list of these values."""
    return b"[" + b",".join(values) + b"]"


def answer_of_list(name: str, values: list[bytes], members: Members) -> bytes:
    """An object with a list of these values, and other members behind it: the values are copied once."""
    if not values:
        return answer([(name, b"[]"), *members])
    pieces = [b'{"%b":[%b' % (name.encode(), values[0]), *values[1:]]
    pieces[-1] += b"]," + answer(members)[1:]
    return b",".join(pieces)


def read_item(data: bytes) -> dict[str, Any]:
    """The item that is stored as these bytes."""
    found: dict[str, Any] = decode(data)
    return found
