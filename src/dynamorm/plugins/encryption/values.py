"""Wire values as bytes, one form for each: a type byte, then the value. What is sealed, and what blind indexes are made of."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec.json import decode, encode

from dynamorm.errors import ValidationError
from dynamorm.plugin import framed_key, key_part

from .envelope import MAGIC, tampered

_TAGS: Final = {"S": b"S", "N": b"N", "B": b"B", "BOOL": b"?", "NULL": b"0", "L": b"L", "M": b"M", "SS": b"s", "NS": b"n", "BS": b"b"}  # fmt: skip
_NAMES: Final = {byte[0]: tag for tag, byte in _TAGS.items()}
_TEXT: Final = ord("S")
_NESTED: Final = frozenset({"L", "M", "SS", "NS", "BS"})


def to_bytes(wire: dict[str, Any]) -> bytes:
    """The canonical bytes of a wire value: maps and sets are sorted."""
    ((tag, value),) = wire.items()
    if tag in {"S", "N"}:
        return _TAGS[tag] + value.encode()  # type: ignore[no-any-return] # a text
    if tag == "B":
        return b"B" + (b64decode(value) if value.__class__ is str else bytes(value))
    if tag == "BOOL":
        return b"?1" if value else b"?0"
    if tag == "NULL":
        return b"0"
    return _TAGS[tag] + encode(_canonical(wire)[tag], order="deterministic")


def _canonical(wire: dict[str, Any]) -> dict[str, Any]:
    ((tag, value),) = wire.items()
    if tag == "L":
        return {tag: [_canonical(one) for one in value]}
    if tag == "M":
        return {tag: {name: _canonical(one) for name, one in value.items()}}
    if tag == "BS":
        return {tag: sorted(one if one.__class__ is str else b64encode(one).decode() for one in value)}
    if tag in {"SS", "NS"}:
        return {tag: sorted(value)}
    if tag == "B" and value.__class__ is not str:
        return {tag: b64encode(value).decode()}
    return wire


def bytes_to_seal(wire: dict[str, Any], where: str) -> bytes:
    """The canonical bytes of a value of a field. Raises: ValidationError for text that is not Unicode, which has none."""
    try:
        text: Any = wire.get("S")
        return b"S" + text.encode() if text.__class__ is str else to_bytes(wire)  # first, for most are texts
    except UnicodeEncodeError:  # the exception would hold the text, so it is not passed on
        pass
    raise ValidationError(f"{where} holds text that is not valid Unicode", field=where.rpartition(".")[2])


def from_bytes(data: bytes) -> dict[str, Any]:
    """The wire value of such bytes. Raises: TamperedCiphertext for what is none."""
    try:
        if data[0] == _TEXT:  # first, for most are texts
            return {"S": data[1:].decode()}
        tag = _NAMES[data[0]]
        value: Any = data[1:]
        if tag == "N":
            value = value.decode()
        elif tag == "BOOL":
            value = {b"1": True, b"0": False}[value]
        elif tag == "NULL":
            value = True
        elif tag in _NESTED:
            value = decode(value)
    except (KeyError, ValueError, IndexError):
        raise tampered() from None
    return {tag: value}


def bytes_of(wire: dict[str, Any] | None) -> bytes | None:
    """The bytes of a stored binary value; None for what is none."""
    value: Any = None if wire is None else wire.get("B")
    if isinstance(value, str):
        try:
            return b64decode(value, validate=True)
        except ValueError:
            return None
    return value if isinstance(value, bytes) else None


def is_envelope(wire: dict[str, Any] | None) -> bool:
    """Whether a stored value says that it is an envelope."""
    value: Any = None if wire is None else wire.get("B")
    return value is not None and (bytes_of({"B": value[:8]}) or b"")[:4] == MAGIC


def plain_bytes(wire: dict[str, Any] | None) -> dict[str, Any] | None:
    """A wire value whose bytes are no text."""
    if wire is not None and wire.get("B").__class__ is str:
        return {"B": b64decode(wire["B"])}
    if wire is not None and "M" in wire:
        return {"M": {name: plain_bytes(one) for name, one in wire["M"].items()}}
    return wire


def is_envelope_bytes(value: Any) -> bool:
    """Whether a value is bytes that say that they are an envelope."""
    return value.__class__ is bytes and value[:4] == MAGIC


def text_of(wire: dict[str, Any] | None) -> Any:
    """The text of a key, or its bytes."""
    if wire is None:
        return None
    if "B" in wire:
        value = wire["B"]
        return b64decode(value) if isinstance(value, str) else value
    return wire.get("S")


class Read:
    """Where an item that was read is stored. ``get`` gives an attribute of it by its stored name."""

    __slots__ = ("_names", "attribute", "scope")

    def __init__(
        self, names: tuple[str, ...], get: Callable[[str], dict[str, Any] | None], scope: Mapping[str, str]
    ) -> None:
        self._names = names
        self.attribute: Callable[[str], dict[str, Any] | None] = get
        self.scope: Mapping[str, str] = scope

    @property
    def key(self) -> tuple[tuple[str, str, bytes], ...]:
        """As `dynamorm.codec.placing.Place.key`."""
        return tuple(key_part(name, self.attribute(name) or {"S": ""}) for name in self._names)

    @property
    def framed(self) -> bytes:
        """As `dynamorm.codec.placing.Place.framed`."""
        return framed_key(self.key)
