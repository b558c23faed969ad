"""Numbers: 38 digits, 1E-130 to 9.9E+125, exact. One text for each value, and bytes in the order of the values.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Final, TypeAlias

from dynamorm.engine.refusal import Refusal, invalid

DIGITS: Final = 38
LARGEST: Final = 125
SMALLEST: Final = -130

Number: TypeAlias = "int | Decimal"

usual: Final = re.compile(r"(?:0|-?[1-9][0-9]{0,17})\Z").match
_fraction = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}\Z").match
_any = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z").match

EXACT: Final = Context(prec=600, Emax=MAX_EMAX, Emin=MIN_EMIN)
"""Any sum of two numbers that DynamoDB takes is exact in it."""

_FAR: Final = 8
"""Digits of an exponent that are looked at: a number has not so many, and Decimal takes them on every machine."""

_COMPLEMENT: Final = bytes(255 - byte for byte in range(256))


def canonical(text: str) -> str:
    """The one form of a number. Raises: Refusal for what DynamoDB does not take."""
    return text if usual(text) else _canonical(text)


def _canonical(text: str) -> str:
    if _fraction(text):
        kept = text.rstrip("0").rstrip(".")
        return "0" if kept == "-0" else kept
    if not _any(text):
        raise invalid("The parameter cannot be converted to a numeric value")
    mantissa, _, exponent = text.upper().partition("E")
    far = exponent.lstrip("+-").lstrip("0")
    if len(far) > _FAR:  # more than Decimal takes: the number is 0, or too large, or too small
        exponent = exponent[:1].strip("+0123456789") + "9" * _FAR
    return written(EXACT.create_decimal(f"{mantissa}E{exponent}" if exponent else mantissa) if len(mantissa) < 500 else _long(mantissa, exponent))  # fmt: skip


def _long(mantissa: str, exponent: str) -> Decimal:
    """A number with hundreds of digits, most of which may be zeros at its ends."""
    exact = Context(prec=len(mantissa) + 1, Emax=MAX_EMAX, Emin=MIN_EMIN)
    return exact.create_decimal(f"{mantissa}E{exponent}" if exponent else mantissa)


def written(number: Number) -> str:
    """The text of a number, as it is stored. Raises: Refusal."""
    if not number:
        return "0"
    _, digits, exponent = Decimal(number).as_tuple()
    assert isinstance(exponent, int)  # no NaN comes here
    end = len(digits)
    while not digits[end - 1]:
        end -= 1
    adjusted = exponent + len(digits) - 1
    if adjusted > LARGEST:
        raise _out("overflow", "larger")
    if adjusted < SMALLEST:
        raise _out("underflow", "smaller")
    if end > DIGITS:
        raise invalid("Attempting to store more than 38 significant digits in a Number")
    kept = Decimal((int(number < 0), digits[:end], exponent + len(digits) - end))
    return f"{kept:f}"


def _out(what: str, how: str) -> Refusal:
    return invalid(f"Number {what}. Attempting to store a number with magnitude {how} than supported range")


def number(text: str) -> Number:
    """The value of a number in its one form."""
    return int(text) if "." not in text else Decimal(text)


def total(left: str, right: str, *, minus: bool = False) -> str:
    """The sum or the difference of two numbers, exact. Raises: Refusal."""
    one, other = number(left), number(right)
    if isinstance(one, int) and isinstance(other, int):
        found: Number = one - other if minus else one + other
        return str(found) if -(10**18) < found < 10**18 else written(found)
    first, second = Decimal(one), Decimal(other)
    return written(EXACT.subtract(first, second) if minus else EXACT.add(first, second))


def number_key(text: str) -> bytes:
    """Bytes that sort as the numbers do, from the one form. No such bytes begin with others of them."""
    if text == "0":
        return b"\x80"
    negative = text[0] == "-"
    whole, _, fraction = (text[1:] if negative else text).partition(".")
    if whole != "0":
        exponent, digits = len(whole) - 1, (whole + fraction).rstrip("0")
    else:
        digits = fraction.lstrip("0")
        exponent = len(digits) - len(fraction) - 1
    body = bytes((exponent - SMALLEST,)) + digits.encode() + b"\0"
    return b"\x7f" + body.translate(_COMPLEMENT) if negative else b"\x81" + body
