"""The forms that a field's text may have in a key: in lower or upper case, or a number as text that sorts as the number does.

The text of a number is its sign, its exponent, and its digits: ``0`` for zero; ``1``, three digits of 500 more than the exponent, and the digits for a
positive one; ``-``, the same with each digit taken from 9, and ``~`` for a negative one. The exponent is that of the first digit (12.5 has 1), and the
digits have no zeros at their end: so each number has one text, whatever it is written like.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final

from dynamorm.errors import ValidationError

NUMBER: Final = "number"
NUMBER_PATTERN: Final = r"0|1[0-9]{3}[1-9](?:[0-9]*[1-9])?|-[0-9]{3}[0-8](?:[0-9]*[0-8])?~"
"""What such a text of a number looks like, as a regular expression."""

_BIAS: Final = 500
_NINES: Final = str.maketrans("0123456789", "9876543210")
_LONGEST: Final = 300


def number_key(text: str) -> str:
    """The text of a number in a key that sorts as the numbers do. Raises: ValidationError for what is no number of DynamoDB's.

    Example: ``number_key("12.5") == "1501125"``
    """
    try:
        value = Decimal(text) if len(text) <= _LONGEST else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or not -_BIAS < value.adjusted() < _BIAS:
        raise ValidationError("it is no number that a key can hold")
    if not value:
        return "0"
    sign, digits, _ = value.as_tuple()
    exponent = value.adjusted()
    written = "".join(map(str, digits)).strip("0")
    if not sign:
        return f"1{_BIAS + exponent:03d}{written}"
    return f"-{f'{_BIAS + exponent:03d}{written}'.translate(_NINES)}~"


def number_in_key(text: str) -> str:
    """The number of such a text, as it is stored: the reverse of `number_key`.

    Example: ``number_in_key("1501125") == "12.5"``
    """
    if text == "0":
        return text
    negative = text[0] == "-"
    code = text[1:-1].translate(_NINES) if negative else text[1:]
    exponent, digits = int(code[:3]) - _BIAS, code[3:]
    if 0 <= exponent < _BIAS // 10:
        digits = digits.ljust(exponent + 1, "0")
        written = digits[: exponent + 1] + (f".{digits[exponent + 1 :]}" if digits[exponent + 1 :] else "")
    else:
        written = f"{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}E{exponent:+d}"
    return f"-{written}" if negative else written


def lower_case(text: str) -> str:
    """The text in lower case, each character by itself: a start of a text gives a start of its key.

    Python's ``lower`` writes a Greek sigma at the end of a word in another way than elsewhere. Here both forms are the same, as they are in upper case.
    """
    return text.lower().replace("\N{GREEK SMALL LETTER FINAL SIGMA}", "\N{GREEK SMALL LETTER SIGMA}")


CASES: Final[dict[str, Callable[[str], str]]] = {"lower": lower_case, "upper": str.upper}
"""The forms of texts, by their names in a template."""
FORMS: Final = (*CASES, NUMBER)
