"""Whether a cost stays the same as work grows: for each item of a query, and for each byte of an item.

A call has a cost of its own, whatever it carries: divided by the items of a query, it makes small queries look dear. So
there are three views, each for every library:

* the whole cost divided by the size: what a user pays;
* the cost of each unit more, between one size and the next (the difference of the costs by the difference of the sizes):
  what a call costs at all drops out. Exact, but between small sizes it is the small difference of two large figures;
* the straight line, so much for a call and so much for each unit, that fits all sizes best: the cost of a unit is constant
  when every figure lies near that line. This is what is judged, since it does not magnify what the figures scatter.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from benchmarks.payload import BLOB_SIZES, QUERY_SIZES
from benchmarks.ratios import quarters

CONSTANT = 0.2
"""By what part a figure may be off the line: a cost of a unit that becomes half as large again at 100,000 is off by more. A
result of that size does not fit into the processor's caches, which costs every library something."""
FROM_BYTES = 1_000
"""The smallest item whose bytes are looked at: below, nearly all of the cost is the call's."""


class Kind(NamedTuple):
    """Something that grows: its name, the work by size, its unit and how many of the figure's units are in a µs."""

    name: str
    title: str
    unit: str
    works: dict[int, str]
    scale: float
    measure: str


def _bytes(verb: str) -> dict[int, str]:
    return {size: f"{verb}-{size}B" for size in BLOB_SIZES if size >= FROM_BYTES}


KINDS = (
    Kind("query", "query", "item", {size: f"query-{size}" for size in QUERY_SIZES}, 1, "µs"),
    Kind("get", "get", "byte", _bytes("get"), 1000, "ns"),
    Kind("put", "put", "byte", _bytes("put"), 1000, "ns"),
)
"""All that grows. ``measure`` is the unit of the figures per item or byte."""


class Growth(NamedTuple):
    """How the cost of one library grows."""

    sizes: list[int]
    each: list[float]
    """The whole cost divided by the size, for each size."""
    more: list[float]
    """The cost of a unit more, from each size to the next."""
    ratio: float | None
    """The largest of ``more`` by the smallest; None when a figure is below that of a smaller size, by chance."""
    fixed: float
    slope: float
    """The straight line: µs of a call, and what a unit costs."""
    off: float
    """By what part of it the farthest figure is off the line."""
    low: float
    high: float
    """The quartiles of the same, round by round."""
    rounds: int


def growth(kind: Kind, works: dict[str, Any], library: str) -> Growth | None:
    """How a library's cost grows; None with fewer than three sizes."""
    known = {size: works.get(name, {}).get(library, {}).get("cpu") for size, name in kind.works.items()}
    rounds = {size: values for size, values in known.items() if values}
    if len(rounds) < 3:
        return None
    sizes, costs = list(rounds), [median(values) for values in rounds.values()]
    by_round = [line(sizes, list(some))[2] for some in zip(*rounds.values(), strict=False)]
    low, _, high = quarters(by_round)
    fixed, slope, off = line(sizes, costs)
    more = [
        (cost - before) / (size - smaller)
        for (smaller, before), (size, cost) in pairwise(zip(sizes, costs, strict=True))
    ]
    return Growth(
        sizes,
        [cost / size * kind.scale for size, cost in zip(sizes, costs, strict=True)],
        [one * kind.scale for one in more],
        max(more) / min(more) if min(more) > 0 else None,
        fixed,
        slope * kind.scale,
        off,
        low,
        high,
        len(by_round),
    )


def line(sizes: list[int], costs: list[float]) -> tuple[float, float, float]:
    """The line ``fixed + slope * size`` whose errors, as parts of the costs, are smallest; and the largest of them.

    Example: ``line([10, 100, 1000], [20.0, 110.0, 1010.0]) == (10.0, 1.0, 0.0)``, but for rounding
    """
    points = [(1 / cost, size / cost) for size, cost in zip(sizes, costs, strict=True)]
    aa, ab, bb = (sum(one[i] * one[j] for one in points) for i, j in ((0, 0), (0, 1), (1, 1)))
    a, b = (sum(one[i] for one in points) for i in (0, 1))
    below = aa * bb - ab * ab
    fixed, slope = (a * bb - b * ab) / below, (b * aa - a * ab) / below
    return fixed, slope, max(abs(fixed * one + slope * each - 1) for one, each in points)
