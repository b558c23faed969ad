"""Amazon Ion as exports to S3 have it: lines of text ``$ion_1_0 {Item:{...}}``. Numbers are decimals, sets are lists with a mark.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from decimal import Context, Decimal
from importlib import import_module
from typing import Any, Final

import msgspec

from dynamorm.codec.strict import PageJson
from dynamorm.models.schema.overriding import override

from ..ends import Code, Stop
from ..plain import NotAnItem, Wire, too_deep
from .format import Item
from .s3 import Folder

_text: Final = msgspec.json.Encoder().encode
_SETS: Final = ("SS", "NS", "BS")
_EXACT: Final = Context(prec=100)
_apart: Final = re.compile(rb"\"(?:[^\"\\]++|\\.)*+\"?|'(?:[^'\\]++|\\.)*+'?|\{\{[^}]*+", re.DOTALL).sub
"""Texts, names in quotes and bytes in base64, which may hold anything."""
_digits: Final = re.compile(rb"[0-9A-Fa-f_]{1000}").search
"""A number that takes the library of Ion longer than all of its line may: its time grows with the square of the digits."""
_LEAST_BUFFER: Final = 1 << 14
"""Bytes of one text that the library of Ion takes where it is told nothing: less than DynamoDB stores."""


def line_of(item: dict[str, Wire]) -> bytes:
    """The line of an item, with its end."""
    return f"$ion_1_0 {{Item:{_members(item)}}}\n".encode()


def _members(wires: dict[str, Wire]) -> str:
    return "{" + ",".join(f"{_text(name).decode()}:{_value(wire)}" for name, wire in wires.items()) + "}"


def _value(wire: Wire) -> str:
    ((tag, value),) = wire.items()
    if tag == "S":
        return _text(value).decode()
    if tag == "N":
        return _number(value)
    if tag == "B":
        return f"{{{{{value}}}}}"
    if tag == "BOOL":
        return "true" if value else "false"
    if tag == "NULL":
        return "null"
    if tag == "M":
        return _members(value)
    kind = tag[0]
    inner = value if tag == "L" else [{kind: one} for one in value]
    return ("" if tag == "L" else f"$dynamodb_{tag}::") + "[" + ",".join(map(_value, inner)) + "]"


def _number(text: str) -> str:
    """A decimal of Ion: one with an exponent has a d, else it has a point."""
    mantissa, mark, exponent = text.lower().partition("e")
    if mark:
        return f"{mantissa}d{exponent.removeprefix('+')}"
    return text if "." in text else f"{text}."


def reader() -> Callable[..., Any]:
    """What makes values of a line. Raises: Stop where the library of Ion is not installed."""
    try:
        loads: Callable[..., Any] = import_module("amazon.ion.simpleion").loads
    except ImportError:
        raise Stop(Code.USAGE, "this format needs the library of Ion: pip install 'dynamorm-py[ion]'") from None
    return loads


def item_of(line: bytes) -> Item:
    """The item of a line."""
    if _digits(_apart(b"", line)) is not None:
        return NotAnItem("it has a number of more than 1,000 digits: DynamoDB takes 38")
    try:
        found = reader()(line, single_value=True, text_buffer_size_limit=max(_LEAST_BUFFER, len(line)))
    except Stop:
        raise
    except Exception:  # noqa: BLE001 - the library raises many kinds
        return NotAnItem("it is no line of Ion")
    item: Any = found.get("Item") if hasattr(found, "get") else None
    if not hasattr(item, "items"):
        return NotAnItem("it has no Item")
    try:
        return {str(name): _wire(value, str(name)) for name, value in item.items()}
    except RecursionError:
        return too_deep()
    except NotAnItem as error:
        return error


def _wire(value: Any, name: str) -> Wire:
    mark = next((str(one.text) for one in getattr(value, "ion_annotations", ())), "")
    if mark:
        return _set(value, mark.removeprefix("$dynamodb_"), name)
    if isinstance(value, str):
        return {"S": str(value)}
    if isinstance(value, bytes):
        return {"B": b64encode(value).decode()}
    if isinstance(value, list):
        return {"L": [_wire(one, name) for one in value]}
    if hasattr(value, "items"):
        return {"M": {str(inner): _wire(one, name) for inner, one in value.items()}}
    return _plain(value, name)


def _plain(value: Any, name: str) -> Wire:
    kind = getattr(getattr(value, "ion_type", None), "name", "")
    if value is None or kind == "NULL":
        return {"NULL": True}
    if kind == "BOOL" or isinstance(value, bool):
        return {"BOOL": bool(value)}
    if isinstance(value, (int, Decimal)) and Decimal(value).is_finite():
        return {"N": _text_of(Decimal(value))}
    raise NotAnItem(f"the attribute {name[:60]!r} is of a type that DynamoDB does not have")


def _text_of(number: Decimal) -> str:
    """The number as DynamoDB writes it."""
    short = number.normalize(_EXACT)
    return "0" if not number else f"{short:f}" if abs(short.adjusted()) < 40 else str(short)


def _set(value: Any, tag: str, name: str) -> Wire:
    if tag not in _SETS or not isinstance(value, list):
        raise NotAnItem(f"the attribute {name[:60]!r} is of a type that DynamoDB does not have")
    inner = [_wire(one, name) for one in value]
    if any(tag[0] not in one for one in inner):
        raise NotAnItem(f"the attribute {name[:60]!r} is a set of something else")
    return {tag: [one[tag[0]] for one in inner]}


class Ion(Folder):
    """Each line has an item in the text form of Ion."""

    name = "ion"
    ending = ".ion.gz"
    output = "ION"

    @override
    def ready(self) -> None:
        reader()

    @override
    def lines(self, page: PageJson) -> bytes:
        return b"".join([line_of(item) for item in page.items])

    @override
    def item_of(self) -> Callable[[bytes], Item]:
        return item_of
