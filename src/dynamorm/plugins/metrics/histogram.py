"""A histogram of durations with buckets that are finer than 1 %, and the figures that are read from it.

Each power of two is divided into 64 buckets of equal width (log-linear, as in HdrHistogram). A bucket is at most 1/64 of
its lower end wide, and stands for its middle: so a duration of 1 ns or more is off by at most 1/128 of itself, 0.79 %.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from math import ceil, frexp, ldexp
from typing import Final, TypeAlias

ERROR_BOUND: Final = 1 / 128
"""The greatest relative error of a duration that was put into a bucket and read from it."""

SHORTEST: Final = 1e-9
"""Seconds below which a duration is taken for this one: clocks tell no less."""


def bucket_of(seconds: float) -> int:
    """The number of the bucket of a duration; the numbers are in the order of the durations."""
    fraction, exponent = frexp(seconds if seconds > SHORTEST else SHORTEST)  # noqa: FURB136 - twice as fast as max()
    return (exponent << 6) + int(fraction * 128.0)


def middle_of(bucket: int) -> float:
    """The duration that a bucket stands for.

    Example: ``middle_of(bucket_of(0.25))`` is 0.25195
    """
    # The fraction is from 0.5 to 1, so that 64 to 127 were added to 64 times the exponent.
    exponent = (bucket >> 6) - 1
    return ldexp((64 + (bucket & 63) + 0.5) / 128.0, exponent)


Counter: TypeAlias = "count[int]"
"""Counts by ``next``, which no other thread interrupts: so counting takes no lock."""


def counted(counter: Counter) -> int:
    """How often it has counted, without counting."""
    return int(repr(counter)[6:-1])  # "count(7)": to copy it is not allowed on all versions of Python


class Buckets(dict[int, Counter]):
    """How many durations are in each bucket, for any number of threads that add to it."""

    __slots__ = ()

    def __missing__(self, bucket: int) -> Counter:
        return self.setdefault(bucket, count())

    def add(self, seconds: float) -> None:
        """Take in one duration."""
        next(self[bucket_of(seconds)])


class Histogram:
    """So many durations, by bucket: to be read from."""

    __slots__ = ("buckets", "count")

    def __init__(self, parts: Iterable[Buckets | Histogram] = ()) -> None:
        self.buckets: dict[int, int] = {}
        self.count: int = 0
        for part in parts:
            self.add(part)

    def add(self, part: Buckets | Histogram) -> None:
        """Take in all that is in others."""
        mine = self.buckets
        numbers = (
            part.buckets.items()
            if isinstance(part, Histogram)
            else [(bucket, counted(counter)) for bucket, counter in part.copy().items()]
        )
        for bucket, number in numbers:
            mine[bucket] = mine.get(bucket, 0) + number
            self.count += number

    @property
    def mean(self) -> float:
        """The mean duration, within `ERROR_BOUND`; 0.0 without any."""
        seconds = sum(middle_of(bucket) * number for bucket, number in self.buckets.items())
        return seconds / self.count if self.count else 0.0

    def percentile(self, share: float) -> float:
        """The duration that the ``share`` of all do not exceed, within `ERROR_BOUND`; 0.0 without any."""
        rank, passed = max(1, ceil(share * self.count)), 0
        for bucket in sorted(self.buckets):
            passed += self.buckets[bucket]
            if passed >= rank:
                return middle_of(bucket)
        return 0.0
