"""Lines over time, as SVG without any text in it: texts stand beside it, so that they are readable at each width."""

from __future__ import annotations

from collections.abc import Sequence

from .markup import Markup, element
from .words import number

WIDTH, HEIGHT = 600, 120
Points = Sequence[tuple[float, float]]
"""Times and values."""


def highest(values: Sequence[float]) -> float:
    """The upper end of a scale: the next 1, 2 or 5 with zeros that no value exceeds."""
    top = max((found for value in values if (found := number(value)) is not None), default=0.0)
    if top <= 0:
        return 1.0
    step = 10.0**-12
    while step * 10 < top:
        step *= 10
    return next(step * factor for factor in (1, 2, 5, 10, 20) if step * factor >= top * 0.999)


def lines(named: Sequence[tuple[str, Points]], top: float, label: str) -> Markup:
    """One line for each series, from the left edge (the oldest sample) to the right; ``label`` is said to who cannot see it."""
    times = [when for _, points in named for when, _ in points]
    begin, end = min(times, default=0.0), max(times, default=0.0)
    span = max(end - begin, 1e-9)
    drawn = [
        element(
            "line", x1=0, x2=WIDTH, y1=f"{HEIGHT * part:.1f}", y2=f"{HEIGHT * part:.1f}", class_="grid",
            vector_effect="non-scaling-stroke",
        )
        for part in (0.02, 0.25, 0.5, 0.75, 0.98)
    ]  # fmt: skip
    for name, points in named:
        places = " ".join(
            f"{(when - begin) / span * WIDTH:.1f},{HEIGHT * (0.98 - 0.96 * min(max(value / top, 0.0), 1.0)):.1f}"
            for when, value in points
            if number(value) is not None
        )
        drawn.append(element("polyline", points=places, class_=name, vector_effect="non-scaling-stroke"))
    return element(
        "svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", preserveAspectRatio="none", role="img", aria_label=label
    )


def bar(part: float) -> Markup:
    """A share of all, as a bar."""
    wide = f"{100 * min(max(number(part) or 0.0, 0.0), 1.0):.1f}"
    return element(
        "svg", element("rect", width=wide, height=8, class_="part"), viewBox="0 0 100 8", preserveAspectRatio="none",
        class_="bar", aria_hidden="true",
    )  # fmt: skip
