"""Two figures beside each other: the ratio of their medians, and how much it differs from round to round.

The ratio of the medians is what anyone can work out again from the tables, so it decides. Rounds are interleaved, so the
two figures of one round were taken within seconds of each other, and what disturbed one has probably disturbed the other:
the ratio round by round varies less than the figures do, and its quartiles tell how far the ratio can be trusted.
"""

from __future__ import annotations

import math
from statistics import median, quantiles
from typing import NamedTuple


class Ratio(NamedTuple):
    """A ratio of medians, and the quartiles of the ratios round by round."""

    medians: float
    low: float
    middle: float
    high: float
    rounds: int


def ratio(ours: list[float], theirs: list[float]) -> Ratio | None:
    """What ours is, as a multiple of theirs; None where one is missing. Figures at the same place are of one round.

    Example: ``ratio([1.0, 2.0, 2.0], [4.0, 4.0, 4.0]).medians == 0.5``
    """
    if not ours or not theirs:
        return None
    each = [one / other for one, other in zip(ours, theirs, strict=False)]  # a library may have stopped early
    return Ratio(median(ours) / median(theirs), *quarters(each), len(each))


def quarters(values: list[float]) -> tuple[float, float, float]:
    """The quartiles.

    Example: ``quarters([1.0, 2.0, 3.0]) == (1.5, 2.0, 2.5)``
    """
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return low, middle, high


def sure(values: list[float]) -> tuple[float, float, float]:
    """The median, and between which figures it probably is (19 times of 20) if many more were taken.

    Example: ``sure([1.0, 2.0, 3.0]) == (1.0, 2.0, 3.0)``
    """
    ordered = sorted(values)
    off = 0.98 * math.sqrt(len(ordered))  # ranks: half a binomial's 95 %
    low, high = math.floor(len(ordered) / 2 - off), math.ceil(len(ordered) / 2 + off)
    return ordered[max(0, low)], median(ordered), ordered[min(len(ordered) - 1, high)]


def number(value: float) -> str:
    """Three digits at least, thousands apart.

    Example: ``number(1234.5) == "1,234"``, ``number(56.78) == "56.8"``
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def spread(values: list[float]) -> str:
    """The median, and the range around it."""
    return f"{number(median(values))} ({number(min(values))}…{number(max(values))})"


def fraction(value: float) -> str:
    """A ratio as people say it.

    Example: ``fraction(0.05) == "1/20.0"``, ``fraction(1.5) == "1.50"``
    """
    return f"1/{1 / value:.1f}" if 0 < value < 0.8 else f"{value:.2f}"
