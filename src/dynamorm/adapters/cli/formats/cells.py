"""Values as texts, for cells that hold nothing but text: of CSV, and of columns of Parquet that have no type for them."""

from __future__ import annotations

from typing import Any

import msgspec

from ..plain import NotAnItem, Wire, key_value, parsed_value, plain, wire_of

_encode = msgspec.json.Encoder().encode


def cell_of(tag: str, value: Any) -> str:
    """The text of a value of a type. Texts, numbers and base64 are themselves, nested values and sets are JSON."""
    if tag in {"S", "N", "B"}:
        text: str = value
        return text
    if tag == "BOOL":
        return "true" if value else "false"
    if tag == "NULL":
        return "true"
    if tag == "NS":
        return "[" + ",".join(value) + "]"
    found = value if tag in {"SS", "BS"} else plain({tag: value})
    return _encode(found).decode()


def wire_in(tag: str, text: str, name: str) -> Wire:
    """The value that a text of a type stands for. Raises: NotAnItem, naming the attribute."""
    if tag == "S":
        return {"S": text}
    if tag in {"N", "B"}:
        return _simple(tag, text, name)
    if tag == "BOOL":
        if text.lower() not in {"true", "false"}:
            raise NotAnItem(f"the attribute {name[:60]!r} is neither true nor false")
        return {"BOOL": text.lower() == "true"}
    if tag == "NULL":
        return {"NULL": True}
    value = parsed_value(text)
    if tag in {"SS", "NS", "BS"}:
        return wire_of({f"${tag}": [str(one) for one in value] if isinstance(value, list) else value}, name)
    wire = wire_of(value, name)
    if tag not in wire:
        raise NotAnItem(f"the attribute {name[:60]!r} is no {'list' if tag == 'L' else 'object'}")
    return wire


def _simple(tag: str, text: str, name: str) -> Wire:
    try:
        return key_value(text, tag, name)
    except NotAnItem:
        what = "number" if tag == "N" else "base64"
        raise NotAnItem(f"the attribute {name[:60]!r} is no {what}") from None
