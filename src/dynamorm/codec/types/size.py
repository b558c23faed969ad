"""DynamoDB's rules of size: what an item weighs, and what it refuses. It must not know models.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

from typing import Any, Final

from .document import MAX_DEPTH, Wire
from .mismatch import Mismatch

MAX_ITEM: Final = 400 * 1024
MAX_PARTITION_KEY: Final = 2048
MAX_SORT_KEY: Final = 1024
MAX_NAME: Final = 65_535
MAX_INDEX_NAME: Final = 255


def item_size(item: dict[str, Any]) -> int:
    """The bytes DynamoDB counts for a wire item: names and values."""
    return sum(_bytes(name) + value_size(value) for name, value in item.items())


def value_size(wire: Wire) -> int:
    """The bytes DynamoDB counts for one wire value."""
    ((tag, value),) = wire.items()
    if tag == "S":
        return _bytes(value)
    if tag == "N":
        return number_size(value)
    if tag == "B":
        return _binary(value)
    if tag in ("BOOL", "NULL"):
        return 1
    if tag == "L":
        return 3 + sum(1 + value_size(element) for element in value)
    if tag == "M":
        return 3 + sum(1 + _bytes(name) + value_size(element) for name, element in value.items())
    if tag == "SS":
        return sum(map(_bytes, value))
    return sum(map(number_size if tag == "NS" else _binary, value))


def number_size(text: str) -> int:
    """One byte, one for every two significant digits, and one for a minus."""
    sign = text[:1] == "-"
    digits, _, exponent = text.lstrip("-").upper().partition("E")
    whole, _, fraction = digits.partition(".")
    significant = (whole + fraction).strip("0")
    # A byte holds two digits aligned to the decimal point, so a number may need half a byte more at either end.
    leading = len(whole.lstrip("0")) or (len(fraction.lstrip("0")) - len(fraction))
    odd = (leading + int(exponent or 0)) % 2
    return 1 + (len(significant) + odd + 1) // 2 + sign if significant else 1


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _binary(value: Any) -> int:
    """The length of bytes, or of what base64 text stands for."""
    return len(value) if isinstance(value, bytes) else len(value) // 4 * 3 - value[-2:].count("=")


def check_nesting(item: dict[str, Any]) -> None:
    """Raise Mismatch when lists and maps nest deeper than DynamoDB allows."""
    level = [value for value in item.values() if "L" in value or "M" in value]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        inner: list[Any] = []
        for value in level:
            inner.extend(value["L"] if "L" in value else value["M"].values())
        level = [value for value in inner if "L" in value or "M" in value]
    if level:
        raise Mismatch(f"nested at most {MAX_DEPTH} levels deep", item, "deeper nesting")


def check_names(item: dict[str, Any]) -> None:
    """Raise Mismatch when an attribute's name is longer than DynamoDB allows."""
    for name, value in item.items():
        if len(name) * 4 > MAX_NAME and len(name.encode()) > MAX_NAME:
            raise Mismatch(f"a name of at most {MAX_NAME} bytes", name, "a longer one")
        if "M" in value:
            check_names(value["M"])
        elif "L" in value:
            check_names({str(number): element for number, element in enumerate(value["L"])})


def check_key(wire: Wire, limit: int) -> None:
    """Raise Mismatch when a key attribute is empty, too long or of a type DynamoDB does not take."""
    ((tag, value),) = wire.items()
    if tag == "N":
        return
    if tag not in ("S", "B"):
        raise Mismatch("stored as S, N or B to be a key", value, tag)
    if not value:
        raise Mismatch("a key that is not empty", value, "an empty value")
    size = _bytes(value) if tag == "S" else len(value)
    if size > limit:
        raise Mismatch(f"a key of at most {limit} bytes", value, f"{size} bytes")
