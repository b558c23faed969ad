"""What an item holds in the place of a value that lies in S3: a binary attribute that names the object, its size and its hash.

It is `MARK`, and JSON. Plain bytes that begin like one are stored in S3 whatever their size, so that each stored value says what it is.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import DecodeError, Struct
from msgspec.json import decode, encode

MARK: Final = b"\xd7DYNS3\x1a\x00\x01"
"""Nine bytes, so that base64, which JSON has, begins with `IN_JSON` whatever follows."""
IN_JSON: Final = b64encode(MARK)


class Pointer(
    Struct, frozen=True, rename={"bucket": "b", "key": "k", "size": "n", "digest": "h", "kind": "t", "made": "at"}
):
    """An object in S3: what it is called, its bytes, their SHA-256, what they were (S: text, B: bytes, J: JSON), and when it was stored.

    ``made`` is in seconds since the epoch.
    """

    bucket: str
    key: str
    size: int
    digest: str
    kind: str
    made: int

    def wire(self) -> dict[str, Any]:
        """The attribute that names it."""
        return {"B": MARK + encode(self)}


def bytes_of(wire: Mapping[str, Any] | None) -> bytes | None:
    """The bytes of a stored binary attribute, which JSON has as base64; None for another one."""
    value: Any = None if wire is None else wire.get("B")
    if isinstance(value, str):
        try:
            return b64decode(value, validate=True)
        except ValueError:
            return None
    return value if isinstance(value, bytes) else None


def pointer_of(wire: Mapping[str, Any] | None) -> Pointer | None:
    """The object that a stored attribute names; None where it names none. Raises: ValueError for a mark with something else behind."""
    value = bytes_of(wire)
    if value is None or not value.startswith(MARK):
        return None
    try:
        return decode(value[len(MARK) :], type=Pointer)
    except DecodeError:
        raise ValueError("no pointer") from None


def pointers_in(body: bytes) -> Iterator[Pointer]:
    """The objects that the JSON of a request names."""
    at = body.find(IN_JSON)
    while at >= 0:
        end = body.find(b'"', at)
        try:
            found = pointer_of({"B": body[at:end].decode("ascii")})
        except ValueError:
            found = None
        if found is not None:
            yield found
        at = body.find(IN_JSON, end)


def content_of(wire: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """What is stored of a value, and what it is: a text, bytes or JSON. None for text that is not Unicode, which has no bytes."""
    try:
        if "S" in wire:
            return "S", wire["S"].encode()
        plain = bytes_of(wire)
        return ("J", encode(wire)) if plain is None else ("B", plain)
    except UnicodeEncodeError:
        return None


def value_of(kind: str, data: bytes) -> dict[str, Any]:
    """The reverse of `content_of`. Raises: ValueError."""
    if kind == "S":
        return {"S": data.decode()}
    if kind == "B":
        return {"B": data}
    found: Any = decode(data) if kind == "J" else None
    if found.__class__ is not dict or len(found) != 1:
        raise ValueError("no value")
    return found
