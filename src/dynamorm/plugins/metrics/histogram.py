"""A histogram of durations with buckets that are finer than 1 %, and the figures that are read from it.

Each power of two is divided into 64 buckets of equal width (log-linear, as in HdrHistogram). A bucket is at most 1/64 of
its lower end wide, and stands for its middle: so a duration from 1 ns to 12 days is off by at most 1/128 of itself, 0.79 %.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from functools import partial
from math import ceil, ldexp
from typing import Final

ERROR_BOUND: Final = 1 / 128
"""The greatest relative error of a duration that was put into a bucket and read from it."""

_STARTS: Final = [ldexp(64 + step, power - 6) for power in range(-30, 21) for step in range(64)]
"""Where each bucket begins: from 2**-30 s, just below 1 ns, to 2**21 s."""

_MIDDLES: Final = [
    0.0,  # of what is shorter: clocks tell no less
    *(start * (1 + 1 / (128 + 2 * (number % 64))) for number, start in enumerate(_STARTS)),
]

bucket_of: Final = partial(bisect_right, _STARTS)
"""The number of the bucket of a duration; the numbers are in the order of the durations."""


def middle_of(bucket: int) -> float:
    """The duration that a bucket stands for.

    Example: ``middle_of(bucket_of(0.25)) == 0.251953125``
    """
    return _MIDDLES[bucket]


class Histogram:
    """So many durations, their sum, and how many are in each bucket."""

    __slots__ = ("buckets", "count", "seconds")

    def __init__(self, parts: Iterable[Histogram] = ()) -> None:
        self.buckets: Counter[int] = Counter()
        self.count: int = 0
        self.seconds: float = 0.0
        for part in parts:
            self.merge(part)

    def add(self, durations: list[float]) -> None:
        """Take in durations."""
        self.buckets.update(map(bucket_of, durations))
        self.count += len(durations)
        self.seconds += sum(durations)

    def merge(self, other: Histogram) -> None:
        """Take in all that another one has."""
        self.buckets.update(other.buckets)
        self.count += other.count
        self.seconds += other.seconds

    @property
    def mean(self) -> float:
        """The mean duration; 0.0 without any."""
        return self.seconds / self.count if self.count else 0.0

    def percentile(self, share: float) -> float:
        """The duration that the ``share`` of all do not exceed, within `ERROR_BOUND`; 0.0 without any."""
        rank, passed = max(1, ceil(share * self.count)), 0
        for bucket in sorted(self.buckets):
            passed += self.buckets[bucket]
            if passed >= rank:
                return middle_of(bucket)
        return 0.0


HELD: Final = 256
"""Durations that wait to be put into buckets, which is done for many at once in a tenth of the time."""


class Series(list[float]):
    """Durations of one kind, from any number of threads: they are appended, which needs no lock.

    Whoever finds `HELD` of them puts them into buckets, by `fold`, one at a time.
    """

    __slots__ = ("histogram",)

    def __init__(self) -> None:
        super().__init__()
        self.histogram: Histogram = Histogram()

    def fold(self) -> Histogram:
        """All of them in buckets. For one thread at a time; others may append meanwhile."""
        batch = self[:]
        del self[: len(batch)]
        self.histogram.add(batch)
        return self.histogram
