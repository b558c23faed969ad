"""Documents of any shape: Python values to wire values and back, for ``Any`` and wherever no type is known.

A wire value is what DynamoDB's JSON holds, ``{"S": "text"}``, with bytes for B. It must not know models.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeAlias

from .mismatch import Mismatch
from .numbers import MAX_DIGITS, decimal_text, float_text, number_of, number_text

Wire: TypeAlias = dict[str, Any]

MAX_DEPTH: Final = 32
"""How deep DynamoDB lets lists and maps nest."""

_SET_TAGS = {str: "SS", bytes: "BS", int: "NS", Decimal: "NS", float: "NS"}


def to_wire(value: Any, depth: int = 0, exact: bool = False) -> Wire:  # noqa: FBT001, FBT002 - positional, for speed
    """The wire value of a str, number, bytes, bool, None, list, tuple, dict or set.

    With ``exact`` only of what is read back as it is: no float, tuple, empty set, nor an Enum that its value is not equal to.

    Raises: Mismatch for anything else, and for nesting deeper than 32 levels.
    """
    cls = value.__class__
    if cls is str:
        return {"S": value}
    if cls is int:
        return {"N": number_text(value)}
    if cls is bool:
        return {"BOOL": value}
    if value is None:
        return {"NULL": True}
    if cls is list or (cls is tuple and not exact):
        if depth >= MAX_DEPTH:
            raise Mismatch(f"nested at most {MAX_DEPTH} levels deep", value, "deeper nesting")
        return {"L": [to_wire(element, depth + 1, exact) for element in value]}
    if cls is dict:
        if depth >= MAX_DEPTH:
            raise Mismatch(f"nested at most {MAX_DEPTH} levels deep", value, "deeper nesting")
        return {"M": {key_text(key): to_wire(element, depth + 1, exact) for key, element in value.items()}}
    if cls is Decimal:
        return {"N": decimal_text(value)}
    if cls is bytes:
        return {"B": value}
    if exact:
        _refuse_changed(value)
    if cls is float:
        return {"N": float_text(value)}
    if isinstance(value, (bytearray, memoryview)):
        return {"B": bytes(value)}
    if isinstance(value, (set, frozenset)):
        return set_to_wire(value)
    if isinstance(value, Enum):
        return to_wire(value.value, depth, exact)
    return _subclass(value, depth, exact=exact)


def _refuse_changed(value: Any) -> None:
    """Raise Mismatch for what a document would give back as something else."""
    expected, hint = "a value that a document keeps", ""
    if isinstance(value, float):
        hint = ", which would be read as a Decimal; write Decimal('0.1'), or declare the field as float"
    elif isinstance(value, tuple):
        hint = ", which would be read as a list; write a list, or declare the field as tuple[...]"
    elif isinstance(value, (set, frozenset)):
        if not value:
            hint = ", an empty one, which would be read as None; declare the field as set[...]"
        elif any(isinstance(element, float) for element in value):
            hint = " with a float, which would be read as a Decimal; write Decimal('0.1')"
    elif isinstance(value, Enum) and value != value.value:
        hint = ", which would be read as its value; write its value, or declare the field with the Enum"
    if hint:
        raise Mismatch(expected, value, hint=hint)


def _subclass(value: Any, depth: int, *, exact: bool) -> Wire:
    """The wire value of an instance of a subclass of a plain type, by its content."""
    plain: Any
    for plain in (str, int, float, Decimal, bytes, dict, list):
        if isinstance(value, plain):
            return to_wire(plain(value) if plain is not str else str.__str__(value), depth, exact)
    raise Mismatch(
        "a str, int, Decimal, bytes, bool, None, list, dict or set",
        value,
        hint="; declare the field with the value's own type, or give it a Codec(...)",
    )


def key_text(key: Any) -> str:
    """The name of an entry of a map. Raises Mismatch for an empty one, which DynamoDB refuses."""
    if isinstance(key, str):
        if not key:
            raise Mismatch("a dict without an empty key", key, "an empty one")
        return key if key.__class__ is str else str.__str__(key)
    raise Mismatch("a dict with str keys", key, f"a key of type {type(key).__name__}")


def set_to_wire(value: Any) -> Wire:
    """The wire value of a set; an empty one is NULL, for DynamoDB has no empty sets."""
    tags = {_SET_TAGS.get(type(element), "") for element in value}
    if not tags:
        return {"NULL": True}
    if len(tags) > 1 or "" in tags:
        raise Mismatch("a set of only str, only numbers or only bytes", value, "a set of other values")
    (tag,) = tags
    return {tag: sorted({number_text(element) for element in value}) if tag == "NS" else sorted(value)}


def from_wire(wire: Wire) -> Any:
    """The Python value of a wire value; numbers become int when written as one, else Decimal.

    B may be bytes or base64 text. Raises: Mismatch when it is no wire value.
    """
    if wire.__class__ is dict and len(wire) == 1:
        for tag in wire:
            value: Any = wire[tag]
            if tag == "S":  # the most frequent kinds, in fewest steps
                if value.__class__ is str:
                    return value
            elif tag == "N" and value.__class__ is str and value.isdecimal() and len(value) <= MAX_DIGITS:
                return int(value)
            elif value.__class__ is _PAYLOAD.get(tag):
                reader = _READERS[tag]
                return value if reader is None else reader(value)
            elif value.__class__ is bytes and tag == "B":
                return value
    raise Mismatch("an attribute value", wire, "something else")


def bytes_of(value: Any) -> bytes:
    """Bytes, from bytes or base64 text."""
    if isinstance(value, bytes):
        return value
    try:
        return a2b_base64(value, strict_mode=True)
    except (Base64Error, TypeError, ValueError):
        raise Mismatch("base64 text", value, "something else") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Mismatch("text", value)
    return value


def _null(value: bool) -> None:  # noqa: FBT001 - the payload of NULL is a boolean
    if not value:
        raise Mismatch("NULL true", value)


_READERS: Final[dict[str, Any]] = {  # None: the payload is the value
    "S": None,
    "N": number_of,
    "B": bytes_of,
    "BOOL": None,
    "NULL": _null,
    "L": lambda value: [from_wire(element) for element in value],
    "M": lambda value: {key: from_wire(element) for key, element in value.items()},
    "SS": lambda value: {_text(element) for element in value},
    "NS": lambda value: {number_of(_text(element)) for element in value},
    "BS": lambda value: {bytes_of(element) for element in value},
}
_PAYLOAD: Final[dict[str, type]] = {
    "S": str, "N": str, "B": str, "BOOL": bool, "NULL": bool, "L": list, "M": dict, "SS": list, "NS": list, "BS": list
}  # fmt: skip


def normal(wire: Wire) -> Wire:
    """A wire value with bytes for B, wherever it came from. Raises Mismatch when it is no wire value."""
    if wire.__class__ is not dict or len(wire) != 1:
        raise Mismatch("an attribute value", wire, "something else")
    ((tag, value),) = wire.items()
    return {tag: _normal(tag, value)}


def _normal(tag: str, value: Any) -> Any:
    if tag == "B":
        return bytes_of(value)
    fits: bool = value.__class__ is _PAYLOAD.get(tag)
    if not fits:
        raise Mismatch("an attribute value", value, "something else")
    if tag == "L":
        return [normal(element) for element in value]
    if tag == "M":
        return {key: normal(element) for key, element in value.items()}
    if tag == "BS":
        return [bytes_of(element) for element in value]
    if tag in ("SS", "NS"):
        return [_text(element) for element in value]
    if tag == "NULL":
        _null(value)
    return value


def empty_wire(wire: Wire) -> bool:
    """Whether a wire value counts as empty for ``omit_empty``. A map is empty when it has no entry."""
    ((tag, value),) = wire.items()
    if tag == "N":
        return bool(value == "0")
    if tag == "NULL":
        return True
    return not value
