"""Lines over time, as SVG without any text in it: the scale stands beside it, readable at each width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor, log10
from typing import Final, NamedTuple

from .markup import Markup, element
from .words import amount, number, seconds

WIDTH: Final = 600
HEIGHT: Final = 120
Points = Sequence[tuple[float, float]]
"""Times and values."""


class Scale(NamedTuple):
    """What is written beside a drawing, evenly from the top to the bottom, and how high a value stands in it, 0 to 1."""

    labels: tuple[str, ...]
    height: Callable[[float], float]


def _known(values: Sequence[float]) -> list[float]:
    return [found for value in values if (found := number(value)) is not None and found > 0]


def even(values: Sequence[float]) -> Scale:
    """From 0 to the next 1, 2 or 5 with zeros that no value exceeds."""
    most = max(_known(values), default=1.0)
    step = 10.0 ** floor(log10(most))
    top = next((step * factor for factor in (1, 2, 5) if step * factor >= most), step * 10)
    return Scale((amount(top), amount(top / 2), "0"), lambda value: value / top)


def by_tens(values: Sequence[float]) -> Scale:
    """Of durations: each line is ten times the one below it, so that the quick ones and the slow ones are both seen."""
    known = _known(values) or [0.001]
    low = floor(log10(min(known)))
    high = max(ceil(log10(max(known))), low + 1)
    labels = tuple(
        seconds(10.0**power).replace(".0 ms", " ms").replace(".00 s", " s") for power in range(high, low - 1, -1)
    )
    return Scale(labels, lambda value: (log10(value) - low) / (high - low) if value > 0 else 0.0)


def lines(named: Sequence[tuple[str, Points]], scale: Scale, label: str) -> Markup:
    """One line for each series, the oldest sample at the left edge; ``label`` is said to who cannot see it."""
    times = [when for _, points in named for when, _ in points]
    begin, end = min(times, default=0.0), max(times, default=0.0)
    span = max(end - begin, 1e-9)
    steps = len(scale.labels) - 1
    drawn = [_line(place / steps) for place in range(steps + 1)]
    for name, points in named:
        places = " ".join(
            f"{(when - begin) / span * WIDTH:.1f},{_place(1.0 - min(max(scale.height(value), 0.0), 1.0)):.1f}"
            for when, value in points
            if number(value) is not None
        )
        drawn.append(element("polyline", points=places, class_=name, vector_effect="non-scaling-stroke"))
    return element(
        "div",
        element("div", *(element("span", text) for text in scale.labels), class_="axis"),
        element(
            "svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", preserveAspectRatio="none", role="img", aria_label=label
        ),
        class_="plot",
    )


def _place(part: float) -> float:
    """How far below the upper edge; lines have a width, so the edges stay free."""
    return 1.0 + (HEIGHT - 2.0) * part


def _line(part: float) -> Markup:
    y = f"{_place(part):.1f}"
    return element("line", x1=0, x2=WIDTH, y1=y, y2=y, class_="grid", vector_effect="non-scaling-stroke")


def bar(part: float) -> Markup:
    """A share of all, as a bar."""
    wide = f"{100 * min(max(number(part) or 0.0, 0.0), 1.0):.1f}"
    filled = element("rect", width=wide, height=8, class_="part")
    return element("svg", filled, viewBox="0 0 100 8", preserveAspectRatio="none", class_="bar", aria_hidden="true")
