"""The two clocks of what things cost: one that tells the month, and one that tells what has passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from msgspec import Struct

DAY: Final = 86_400.0
HOURS: Final = 730
"""Hours of a month, as AWS counts them. Source: https://aws.amazon.com/calculator/calculator-assumptions/"""
LITTLE: Final = timedelta(minutes=10)
"""A shorter window tells nothing of a month."""
MUCH: Final = timedelta(days=1)
"""A window from which on it tells much: a day has hours that are busier than others."""


class Times(Struct, frozen=True):
    """The two clocks: ``wall`` gives Unix time, and may be set at any moment; ``steady`` only goes on."""

    wall: Callable[[], float]
    steady: Callable[[], float]


_month: tuple[float, float, str] = (0.0, 0.0, "")


def month_of(when: float) -> str:
    """The UTC month of a time, ``"2026-11"``."""
    global _month  # noqa: PLW0603 - the last day that was asked for: thousands of notes are of one day
    begin, end, name = _month
    if not begin <= when < end:
        begin = when // DAY * DAY
        name = datetime.fromtimestamp(when, UTC).strftime("%Y-%m")
        _month = (begin, begin + DAY, name)
    return name


def steady_clock() -> Callable[[], float]:
    """A clock that nobody sets; where there is one that goes on while the machine sleeps, that: tables cost then too."""
    number: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    if number is not None:
        with suppress(OSError):  # a sandbox may have none
            time.clock_gettime(number)
            return partial(time.clock_gettime, number)
    return time.monotonic
