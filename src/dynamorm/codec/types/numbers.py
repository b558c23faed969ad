"""Exact numbers: Python numbers to DynamoDB's number text and back, never through binary rounding.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

from dynamorm.errors import NumberPrecision

from .mismatch import Mismatch

MAX_DIGITS: Final = 38
MIN_EXPONENT: Final = -130
MAX_EXPONENT: Final = 125
HIGH: Final = 10**MAX_DIGITS
LOW: Final = -HIGH

# Longer texts than this are no numbers of DynamoDB's: 126 digits, a sign and a point is the longest there is.
_MAX_TEXT = 300
# DynamoDB accepts both forms, but other readers (boto3's) refuse more than 38 digits written out.
_PLAIN = MAX_DIGITS


def number_text(value: float | Decimal) -> str:
    """The text DynamoDB stores for a number, as it would give it back: ``5.0`` is ``"5"``.

    Raises: NumberPrecision beyond 38 digits or outside 1E-130 ... 9.99E+125; Mismatch for anything but a number.
    """
    if value.__class__ is int:
        return f"{value}" if LOW < value < HIGH else int_text(value)
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, Decimal):
        return decimal_text(value)
    return int_text(value)


def int_text(value: object) -> str:
    """The text of an int that is large, or of a subclass of int. A bool is no int."""
    if not isinstance(value, int) or isinstance(value, bool):
        hint = "; round it first" if isinstance(value, (float, Decimal)) else ""
        raise Mismatch("int", value, hint=hint)
    plain = int(value)
    if LOW < plain < HIGH:
        return f"{plain}"
    if plain.bit_length() > 420:  # 10**126 has 419 bits: a larger number is not converted to text
        raise NumberPrecision("a number must lie within 9.99E+125")
    return _canonical(Decimal(plain))


def decimal_text(value: Any) -> str:
    """The text of a Decimal (or int)."""
    if value.__class__ is not Decimal:
        if isinstance(value, float):
            raise Mismatch("Decimal", value, hint="; write Decimal('0.1'), a float is not exact")
        if not isinstance(value, Decimal):
            if isinstance(value, int) and not isinstance(value, bool):
                return int_text(value)
            raise Mismatch("Decimal", value)
    text = f"{value}"
    body = text[1:] if text[:1] == "-" else text
    if len(body) <= MAX_DIGITS and body.isdecimal():
        return f"{int(text)}"
    if len(body) <= MAX_DIGITS and body.replace(".", "", 1).isdecimal():
        text = text.rstrip("0").rstrip(".")
        return "0" if text in ("-0", "0", "-", "") else text
    return _canonical(value)


def float_text(value: object) -> str:
    """The shortest text that reads back as the same float."""
    if value.__class__ is not float:
        if isinstance(value, float):
            value = float(value)
        elif isinstance(value, int) and not isinstance(value, bool) and _same_float(value):
            return int_text(value)
        else:
            raise Mismatch("float", value)
    text = repr(value)
    if text[-2:] == ".0":
        return "0" if text == "-0.0" else text[:-2]
    if "e" not in text:
        if "n" not in text:
            return text
        raise Mismatch("a finite number", value, "NaN" if text == "nan" else "an infinity")
    return _canonical(Decimal(text))


def _same_float(value: int) -> bool:
    try:
        return float(value) == value
    except OverflowError:
        return False


def _canonical(value: Decimal) -> str:
    """The slow and general way, with the limits checked."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise Mismatch("a finite number", value, "NaN" if value.is_nan() else "an infinity")
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return "0"
    short = text.rstrip("0")
    exponent += len(text) - len(short)
    if len(short) > MAX_DIGITS:
        raise NumberPrecision(f"a number may have {MAX_DIGITS} significant digits, this one has {len(short)}")
    first = exponent + len(short) - 1
    if not MIN_EXPONENT <= first <= MAX_EXPONENT:
        raise NumberPrecision("a number must lie within 1E-130 ... 9.99E+125")
    minus = "-" if sign else ""
    if exponent >= 0 and first < _PLAIN:
        return f"{minus}{short}{'0' * exponent}"
    if exponent < 0 <= first:
        return f"{minus}{short[: first + 1]}.{short[first + 1 :]}"
    if -_PLAIN < first < 0:
        return f"{minus}0.{'0' * (-first - 1)}{short}"
    return f"{minus}{short[0]}{'.' if short[1:] else ''}{short[1:]}E{first:+d}"


def decimal_of(text: str) -> Decimal:
    """Read number text exactly. Raises Mismatch when it is no finite number of a sane size."""
    try:
        value = Decimal(text) if len(text) <= _MAX_TEXT else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or abs(value.adjusted()) > _MAX_TEXT:
        raise Mismatch("a number", text, "text that is no number")
    return value


_PLAIN_DIGITS = 38  # plain digits below this need no Decimal to be read exactly


def int_of(text: str) -> int:
    """Read number text as an exact int: ``"5E+3"`` is 5000. Raises Mismatch for a fraction."""
    if text.isdigit() and text.isascii() and len(text) < _PLAIN_DIGITS:
        return int(text)
    value = decimal_of(text)
    whole = int(value)
    if whole != value:
        raise Mismatch("int", text, "a number with a fraction")
    return whole


def float_of(text: str) -> float:
    """Read number text as the nearest float."""
    return float(decimal_of(text))


def number_of(text: str) -> int | Decimal:
    """Read a number of a document: an int when it is written as one, else a Decimal."""
    if len(text) <= MAX_DIGITS and (text.isdecimal() or (text[:1] == "-" and text[1:].isdecimal())):
        return int(text)
    return decimal_of(text)
