"""The service's time, learned from the Date of its answers; and what was seen of records by a clock that nobody sets.

A Date is rounded down to a second, and is as old as its answer was under way. So it tells two bounds of the service's
time, and who reckons with them is never early where early would be wrong.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final, Protocol, TypeAlias

from .machine import MARGIN_MS, Stored

MOST_SEEN: Final = 1_000
"""Records that are remembered: the one that was seen longest ago gives way."""

AGREES: Final = 1.5
"""Seconds by which this machine's clock may be away from a Date that it still agrees with."""

Bounds: TypeAlias = tuple[float, float]


class Told(Protocol):
    """An answer of the service, as `dynamorm.features.records` gives it."""

    applied: bool
    item: dict[str, Any] | None
    date: int | None
    asked: float
    at: float


class ServiceTime:
    """What the service's clock shows at a monotonic time. One per database; safe to share between threads.

    One Date alone is not believed: it counts when another one, or this machine's clock, agrees with it. One that contradicts
    what is known counts when the next contradiction agrees with it: a clock was set, or this machine has slept.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._bounds: Bounds | None = None  # what is to be added to the monotonic time: at least, and at most
        self._rival: Bounds | None = None
        self._is_sure = False

    @property
    def is_known(self) -> bool:
        """Whether answers have told it."""
        return self._is_sure

    @property
    def is_doubted(self) -> bool:
        """Whether one answer has told it, and this machine's clock shows another time."""
        return self._bounds is not None and not self._is_sure

    def learn(self, told: Told, wall: float | None = None) -> None:
        """Look at the Date of an answer; ``wall`` is what this machine's clock shows as it comes."""
        found = _bounds(told)
        if found is None:
            return
        is_sure = wall is not None and found[0] - AGREES <= wall - told.at <= found[1] + AGREES
        with self._lock:
            for other in (self._bounds, self._rival):
                if other is not None and _meet(found, other):
                    self._bounds = max(found[0], other[0]), min(found[1], other[1])
                    self._rival, self._is_sure = None, True
                    return
            if self._is_sure or (self._bounds is not None and not is_sure):
                self._rival = found
            else:
                self._bounds, self._is_sure = found, is_sure

    def confirms(self, told: Told) -> bool:
        """Whether the Date of an answer is that of others, too."""
        found, bounds = _bounds(told), self._bounds
        return self._is_sure and found is not None and bounds is not None and _meet(found, bounds)

    def now(self, monotonic: float, wall: float) -> int:
        """Milliseconds since 1970, never later than the service's time; before answers have told it, this machine's."""
        bounds = self._bounds if self._is_sure else None
        return int((wall if bounds is None else monotonic + bounds[0]) * 1000)

    def until(self, lease: int, asked: float, length: int) -> float:
        """The monotonic time until which nobody takes a lease with this end, that was asked for at ``asked``."""
        by_length = asked + length / 1000
        bounds = self._bounds if self._is_sure else None
        return by_length if bounds is None else min(by_length, (lease + MARGIN_MS) / 1000 - bounds[1])


def _bounds(told: Told) -> Bounds | None:
    return None if told.date is None else (told.date - told.at, told.date + 1 - told.asked)


def _meet(one: Bounds, other: Bounds) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


class Sightings:
    """For how long leases were seen to stay as they are. One per database; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: dict[str, tuple[tuple[bytes, int, int], float]] = {}

    def unchanged(self, key: str, stored: Stored, at: float) -> int:
        """Milliseconds for which this process has seen this record with this owner, fence and lease, until ``at``."""
        state = stored.own, stored.fence, stored.lease
        with self._lock:
            found = self._seen.pop(key, None)
            since = found[1] if found is not None and found[0] == state else at
            self._seen[key] = state, since
            if len(self._seen) > MOST_SEEN:
                del self._seen[next(iter(self._seen))]
        return max(0, int((at - since) * 1000))

    def forget(self, key: str) -> None:
        """It is ours, or over."""
        if self._seen:
            with self._lock:
                self._seen.pop(key, None)
