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
    return b"{" + b",".join([b'"%b":%b' % (name.encode(), value) for name, value in members]) + b"}"


def listed(values: list[bytes]) -> bytes:
    """A list of these values."""
    return b"[" + b",".join(values) + b"]"


def read_item(data: bytes) -> dict[str, Any]:
    """The item that is stored as these bytes."""
    found: dict[str, Any] = decode(data)
    return found
