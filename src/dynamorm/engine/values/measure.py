"""One walk through a value: it is checked, brought into the form that is stored, and measured. It must not know tables.

In that form equal values are equal objects: numbers have one text, sets one order, bytes one base64.

Source of what is refused: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from dynamorm.engine.refusal import invalid, unreadable, wrong_parameter
from dynamorm.engine.sizes import MAX_NAME, number_size, text_size
from dynamorm.engine.values.numbers import canonical, number, usual

Value: TypeAlias = dict[str, Any]
Item: TypeAlias = dict[str, Value]

MAX_DEPTH: Final = 32
"""How deep a value may lie, the attribute itself being the first level."""

SURELY_SHORT: Final = MAX_NAME // 4
"""Characters of a name that are not too many, whatever they are."""

_EMPTY: Final = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
_MANY: Final = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
)
_DEEP: Final = "Nesting Levels have exceeded supported limits: nested attributes may be 32 levels deep"


def measure_item(item: Item) -> int:
    """The bytes of an item, which is checked and normalised on the way. Raises: Refusal."""
    size = 0
    for name, value in item.items():
        length = len(name)
        if not 0 < length <= SURELY_SHORT:
            _check_name(name)
        size += length if name.isascii() else len(name.encode())
        if len(value) == 1:  # the most frequent kinds, without a call
            payload = value.get("S")
            if payload is not None:
                size += len(payload) if payload.isascii() else len(payload.encode())
                continue
            payload = value.get("N")
            if payload is not None:
                if not usual(payload):
                    value["N"] = payload = canonical(payload)
                size += number_size(payload)
                continue
        size += measure(value, 1)
    return size


def _check_name(name: str) -> None:
    """Raise Refusal for a name that is empty, or too long."""
    if not name:
        raise wrong_parameter("Invalid attribute name; an attribute's name is not empty")
    if text_size(name) > MAX_NAME:
        raise invalid("Attribute name is too large, must be less than 65536 bytes")


def measure(value: Value, depth: int = 1) -> int:
    """The bytes of a value, which is checked and normalised on the way. Raises: Refusal."""
    if len(value) != 1:
        for tag in [tag for tag, payload in value.items() if payload is None]:
            del value[tag]  # null is nothing
        if len(value) != 1:
            raise invalid(_MANY if value else _EMPTY)
    for tag, payload in value.items():
        if payload is None:
            raise invalid(_EMPTY)
        return _WALKS[tag](value, payload, depth)
    raise AssertionError  # there is one


def _text(value: Value, payload: str, depth: int) -> int:
    del value, depth
    return len(payload) if payload.isascii() else len(payload.encode())


def _number(value: Value, payload: str, depth: int) -> int:
    del depth
    value["N"] = text = canonical(payload)
    return number_size(text)


def _bytes(value: Value, payload: str, depth: int) -> int:
    del depth
    raw = decoded(payload)
    value["B"] = encoded(raw)
    return len(raw)


def _truth(value: Value, payload: bool, depth: int) -> int:  # noqa: FBT001 - one of the walks
    del value, payload, depth
    return 1


def _null(value: Value, payload: bool, depth: int) -> int:  # noqa: FBT001 - one of the walks
    del value, depth
    if payload is not True:
        raise wrong_parameter("Null attribute value types must have the value of true")
    return 1


def _list(value: Value, payload: list[Value], depth: int) -> int:
    del value
    if payload and depth >= MAX_DEPTH:
        raise invalid(_DEEP)
    size = 3 + len(payload)
    for element in payload:
        text = element.get("S") if len(element) == 1 else None
        if text is not None:
            size += len(text) if text.isascii() else len(text.encode())
        else:
            size += measure(element, depth + 1)
    return size


def _map(value: Value, payload: Item, depth: int) -> int:
    del value
    if payload and depth >= MAX_DEPTH:
        raise invalid(_DEEP)
    size = 3 + len(payload)
    for name, element in payload.items():
        if not name:
            raise wrong_parameter("Invalid attribute name; the name of a map's entry is not empty")
        size += len(name) if name.isascii() else len(name.encode())
        text = element.get("S") if len(element) == 1 else None
        if text is not None:
            size += len(text) if text.isascii() else len(text.encode())
        else:
            size += measure(element, depth + 1)
    return size


def _set(tag: str, form: Callable[[str], str], rank: Callable[[str], Any], size: Callable[[str], int]) -> Any:
    """How a set is walked: the form of its elements, their order, their size."""

    def walk(value: Value, payload: list[str], depth: int) -> int:
        del depth
        if not payload:
            raise wrong_parameter(_EMPTY_SETS[tag])
        elements = sorted({form(element) for element in payload}, key=rank)
        if len(elements) != len(payload):
            raise wrong_parameter("Input collection contains duplicates.")
        value[tag] = elements
        return sum(map(size, elements))

    return walk


def _same(text: str) -> str:
    return text


def _raw_size(text: str) -> int:
    return len(a2b_base64(text))


def decoded(text: str) -> bytes:
    """The bytes that base64 stands for. Raises: Refusal."""
    try:
        return a2b_base64(text, strict_mode=True) if text else b""
    except (NotBase64, ValueError) as error:
        raise unreadable("base64 is expected in the place of bytes") from error


def encoded(raw: bytes) -> str:
    """Bytes as base64."""
    return b2a_base64(raw, newline=False).decode()


_EMPTY_SETS: Final = {
    "SS": "An string set  may not be empty",
    "NS": "An number set  may not be empty",
    "BS": "Binary sets should not be empty",
}

_WALKS: Final[dict[str, Callable[[Value, Any, int], int]]] = {
    "S": _text,
    "N": _number,
    "B": _bytes,
    "BOOL": _truth,
    "NULL": _null,
    "L": _list,
    "M": _map,
    "SS": _set("SS", _same, _same, text_size),
    "NS": _set("NS", canonical, number, number_size),
    "BS": _set("BS", lambda text: encoded(decoded(text)), decoded, _raw_size),
}
