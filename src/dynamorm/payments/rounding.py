"""Whole units out of exact fractions: rounding by the modes of `decimal`, and parts that add up. No floats, no contexts."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from dynamorm.errors import ValidationError

MOST_DIGITS: Final = 400
"""Digits on either side of the point: no sum of money has as many, and more would take a computer's whole time."""


def exact(value: Any, what: str) -> Fraction:
    """An int, Decimal or Fraction as a fraction. Raises: ValidationError for a float, and for what is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, Fraction)):
        raise ValidationError(f"{what} is an int, a Decimal or a Fraction, not a {type(value).__name__}")
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValidationError(f"{what} is a finite number")
    if isinstance(value, Decimal) and value and not -MOST_DIGITS < value.adjusted() < MOST_DIGITS:
        raise ValidationError(f"{what} has at most {MOST_DIGITS} digits before and behind the point")
    return Fraction(value)


def rounded(value: Fraction, rounding: str) -> int:
    """The whole number that a mode of `decimal`, such as ``ROUND_HALF_EVEN``, makes of a fraction.

    Raises: ValidationError for what is no mode.
    """
    judge = _MODES.get(str(rounding))
    if judge is None:
        raise ValidationError(f"rounding is one of {', '.join(sorted(_MODES))}", field="rounding")
    whole, rest = divmod(abs(value.numerator), value.denominator)
    negative = value < 0
    if rest and judge(whole, 2 * rest - value.denominator, negative):
        whole += 1
    return -whole if negative else whole


# Whether the absolute value goes up: asked of its whole part, of twice the rest minus one (its sign is what matters),
# and of the sign of the number.
_MODES: Final[dict[str, Callable[[int, int, bool], bool]]] = {
    decimal.ROUND_UP: lambda _whole, _half, _negative: True,
    decimal.ROUND_DOWN: lambda _whole, _half, _negative: False,
    decimal.ROUND_CEILING: lambda _whole, _half, negative: not negative,
    decimal.ROUND_FLOOR: lambda _whole, _half, negative: negative,
    decimal.ROUND_HALF_UP: lambda _whole, half, _negative: half >= 0,
    decimal.ROUND_HALF_DOWN: lambda _whole, half, _negative: half > 0,
    decimal.ROUND_HALF_EVEN: lambda whole, half, _negative: half > 0 or (half == 0 and whole % 2 == 1),
    decimal.ROUND_05UP: lambda whole, _half, _negative: whole % 5 == 0,
}


def shares(units: int, weights: Iterable[Any]) -> list[int]:
    """Parts of ``units`` in the proportion of the weights, which add up to it: by the largest remainder, ties to the first.

    The sign is put on at the end, so that the parts of a refund are those of the payment.

    Raises: ValidationError for a weight below 0, or where all of them are 0.
    """
    if isinstance(weights, (str, bytes)) or not isinstance(weights, Iterable):
        raise ValidationError("weights are a list of numbers, such as [1, 1, 1]", field="weights")
    wanted = [exact(weight, "a weight") for weight in weights]
    total = sum(wanted, Fraction(0))
    if total <= 0 or any(weight < 0 for weight in wanted):
        raise ValidationError("weights are 0 or more, and at least one of them is more", field="weights")
    amount = abs(units)
    parts = [
        divmod(amount * weight.numerator * total.denominator, weight.denominator * total.numerator) for weight in wanted
    ]
    remainders = [
        Fraction(rest, weight.denominator * total.numerator) for (_, rest), weight in zip(parts, wanted, strict=True)
    ]
    whole = [part for part, _ in parts]
    left = amount - sum(whole)
    for at in sorted(range(len(whole)), key=lambda at: (-remainders[at], at))[:left]:
        whole[at] += 1
    return [-part for part in whole] if units < 0 else whole
