"""Items as plain JSON, and back, without a loss: what JSON has no word for is an object with one name that begins with $.

Texts, numbers, booleans, null, lists and objects are themselves, numbers with all their digits. Sets are ``{"$SS": [...]}``
(``$NS``, ``$BS``), bytes ``{"$B": "base64"}``; a stored map with just one name, which begins with $, is ``{"$M": {...}}``.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dynamorm.codec.strict import check_item
from dynamorm.errors import MalformedResponse

_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?").fullmatch
_SHORT: Final = 16
_MARKS: Final = {"$SS": "SS", "$NS": "NS", "$BS": "BS", "$B": "B", "$N": "N", "$M": "M"}
_encode: Final = msgspec.json.Encoder().encode

Wire = dict[str, Any]


class NotAnItem(ValueError):
    """What was read is no item. The message names the attribute, and never a value."""


def text_of(item: Mapping[str, Wire]) -> bytes:
    """The plain JSON of an item in DynamoDB's form."""
    return _encode({name: plain(wire) for name, wire in item.items()})


def plain(wire: Wire) -> Any:
    """The plain value of a wire value, ready to be written as JSON."""
    ((tag, value),) = wire.items()
    if tag in {"S", "BOOL"}:
        return value
    if tag == "N":
        return _number(value)
    if tag == "NULL":
        return None
    if tag == "L":
        return [plain(element) for element in value]
    if tag == "M":
        inner = {name: plain(element) for name, element in value.items()}
        return {"$M": inner} if len(inner) == 1 and next(iter(inner)).startswith("$") else inner
    return {f"${tag}": value}


def _number(text: str) -> Any:
    if len(text) < _SHORT and text.isdecimal() and text.isascii() and (text[0] != "0" or text == "0"):
        return int(text)
    return msgspec.Raw(text.encode()) if _NUMBER(text) else {"$N": text}


class _Number(str):
    """The text of a number."""

    __slots__ = ()


def _no_constant(_: str) -> Any:
    raise NotAnItem("NaN and Infinity are no numbers of DynamoDB")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotAnItem("a name stands twice in one object")
    return members


_decode: Final = json.JSONDecoder(
    parse_float=_Number, parse_int=_Number, parse_constant=_no_constant, object_pairs_hook=_members
).decode


def parsed(text: str | bytes) -> dict[str, Any]:
    """The object of a JSON text, its numbers as texts of their own kind. Raises: NotAnItem."""
    value = parsed_value(text)
    if not isinstance(value, dict):
        raise NotAnItem("an item is a JSON object")
    return value


def parsed_value(text: str | bytes) -> Any:
    """The value of a JSON text, its numbers as texts of their own kind. Raises: NotAnItem."""
    try:
        return _decode(text if isinstance(text, str) else text.decode())
    except NotAnItem:
        raise
    except UnicodeDecodeError:
        raise NotAnItem("it is no text in UTF-8") from None
    except RecursionError:
        raise too_deep() from None
    except ValueError as error:
        at = getattr(error, "colno", None)
        raise NotAnItem(f"it is no JSON{f' (at character {at})' if at else ''}") from None


def item_of(text: str | bytes, keys: tuple[str, ...] = ()) -> dict[str, Wire]:
    """The item of plain JSON, or of DynamoDB's. ``keys`` are the names of its key, which is no object in plain JSON.

    Raises: NotAnItem.
    """
    members = parsed(text)
    if is_wire(members, keys):
        return checked(members)
    return {name: wire_of(value, name) for name, value in members.items()}


def is_wire(members: Mapping[str, Any], keys: tuple[str, ...]) -> bool:
    """Whether an object is an item in DynamoDB's form: a key is never a map, so what is one there is a value's type."""
    key = next((members[name] for name in keys if name in members), None)
    return isinstance(key, dict) and len(key) == 1 and key.keys() <= {"S", "N", "B"}


def checked(members: dict[str, Any]) -> dict[str, Wire]:
    """An item in DynamoDB's form, checked. Raises: NotAnItem, naming the attribute."""
    for name, value in members.items():
        try:
            check_item({name: value})
        except RecursionError:
            raise too_deep() from None
        except MalformedResponse:
            raise NotAnItem(f"the attribute {name[:60]!r} is no attribute value of DynamoDB") from None
    return members


def wire_of(value: Any, name: str) -> Wire:
    """The wire value of a plain value. Raises: NotAnItem."""
    try:
        return _wire_of(value, name)
    except RecursionError:
        raise too_deep() from None


def too_deep() -> NotAnItem:
    """What is said of a value with more levels than can be read."""
    return NotAnItem("it is nested too deeply: DynamoDB takes 32 levels")


def _wire_of(value: Any, name: str) -> Wire:
    if isinstance(value, _Number):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, list):
        return {"L": [_wire_of(element, name) for element in value]}
    if isinstance(value, dict):
        return _map(value, name)
    raise NotAnItem(f"the attribute {name[:60]!r} is of no kind that DynamoDB has")


def _map(value: dict[str, Any], name: str) -> Wire:
    mark = next(iter(value)) if len(value) == 1 else ""
    tag = _MARKS.get(mark)
    if tag is None:
        return {"M": {inner: _wire_of(element, name) for inner, element in value.items()}}
    content = value[mark]
    if tag == "M" and isinstance(content, dict):
        return {"M": {inner: _wire_of(element, name) for inner, element in content.items()}}
    if tag in {"B", "N"} and _is_text(content, tag):
        _base64(tag, [content], name)
        return {tag: str(content)}
    if tag in {"SS", "NS", "BS"} and isinstance(content, list) and all(_is_text(one, tag) for one in content):
        _base64(tag, content, name)
        return {tag: [str(one) for one in content]}
    raise NotAnItem(f"the attribute {name[:60]!r} has a {mark} that holds something else")


def _is_text(content: Any, tag: str) -> bool:
    """Whether what is marked is a text; where numbers are wanted, a number will do."""
    return isinstance(content, str) and (tag in {"N", "NS"} or not isinstance(content, _Number))


def _base64(tag: str, texts: list[str], name: str) -> None:
    if tag not in {"B", "BS"}:
        return
    try:
        for text in texts:
            b64decode(text, validate=True)
    except ValueError:
        raise NotAnItem(f"the attribute {name[:60]!r} has bytes that are no base64") from None


def key_value(text: str, kind: str, name: str) -> Wire:
    """The wire value of a key that was typed. ``kind`` is S, N or B, which is base64. Raises: NotAnItem."""
    if kind == "N":
        if not _NUMBER(text):
            raise NotAnItem(f"the key {name!r} is a number")
        return {"N": text}
    if kind == "B":
        _base64("B", [text], name)
        return {"B": text}
    return {"S": text}
