"""What DynamoDB counts: the bytes of items and values, and the units that they cost. It must not know models.

One place for the client's limits, for what requests cost, and for the engine: they can never disagree.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html; of numbers the guide says too little, and the
rule is the one that was observed on AWS (Parity Suite, ``src/item-size.ts``, 23 numbers measured to the byte on 2026-08-18).
"""

from __future__ import annotations

from typing import Any, Final

MAX_ITEM: Final = 400 * 1024
MAX_PARTITION_KEY: Final = 2048
MAX_SORT_KEY: Final = 1024
MAX_NAME: Final = 65_535
MAX_INDEX_NAME: Final = 255

READ_UNIT: Final = 4096
"""Bytes of an item that one read unit pays for."""
WRITE_UNIT: Final = 1024
"""Bytes of an item that one write unit pays for."""
PAGE: Final = 1024 * 1024
"""Bytes that one Query or Scan reads at most."""


def item_size(item: dict[str, Any]) -> int:
    """The bytes DynamoDB counts for a wire item: names and values."""
    return sum(text_size(name) + value_size(value) for name, value in item.items())


def value_size(wire: dict[str, Any]) -> int:
    """The bytes DynamoDB counts for one wire value."""
    ((tag, value),) = wire.items()
    if tag == "S":
        return text_size(value)
    if tag == "N":
        return number_size(value)
    if tag == "B":
        return binary_size(value)
    if tag in ("BOOL", "NULL"):
        return 1
    if tag == "L":
        return 3 + sum(1 + value_size(element) for element in value)
    if tag == "M":
        return 3 + sum(1 + text_size(name) + value_size(element) for name, element in value.items())
    if tag == "SS":
        return sum(map(text_size, value))
    return sum(map(number_size if tag == "NS" else binary_size, value))


def number_size(text: str) -> int:
    """One byte, one for every two digits of the whole part and of the fraction, and one for a minus.

    Zeros at either end of the number do not count: ``100`` has one digit, and so has ``0.001``; ``100.5`` has three and one.
    """
    if text.isdigit():  # as nearly all are
        return 1 + (len(text.strip("0")) + 1) // 2
    sign = text[:1] == "-"
    digits, _, exponent = text.lstrip("+-").upper().partition("E")
    whole, _, fraction = digits.partition(".")
    if exponent:
        whole, fraction = _shifted(whole, fraction, int(exponent))
    whole, fraction = whole.lstrip("0"), fraction.rstrip("0")
    if not fraction:
        whole = whole.rstrip("0")
        if not whole:
            return 1  # also of -0
    elif not whole:
        fraction = fraction.lstrip("0")
    return 1 + (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 + sign


def _shifted(whole: str, fraction: str, exponent: int) -> tuple[str, str]:
    """The digits before and behind the point, which has moved."""
    digits, point = whole + fraction, len(whole) + exponent
    if point <= 0:
        return "", "0" + digits
    if point >= len(digits):
        return digits + "0", ""
    return digits[:point], digits[point:]


def text_size(text: str) -> int:
    """The bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def binary_size(value: Any) -> int:
    """The length of bytes, or of what base64 text stands for."""
    return len(value) if isinstance(value, bytes) else len(value) // 4 * 3 - value[-2:].count("=")


def read_units(size: int, *, consistent: bool = False, transactional: bool = False) -> float:
    """The units of reading so many bytes: 4 KB for each, half of that without ``consistent``, twice in a transaction.

    Reading an item that is not there takes what the smallest one does. A query adds the sizes of what it reads, and then
    rounds up.

    Example: ``read_units(4096, consistent=True) == 1``
    """
    return max(1, -(-size // READ_UNIT)) * (2.0 if transactional else 1.0 if consistent else 0.5)


def units_of_write(size: int) -> int:
    """The units of writing so many bytes: 1 KB for each, one at least."""
    return max(1, -(-size // WRITE_UNIT))
