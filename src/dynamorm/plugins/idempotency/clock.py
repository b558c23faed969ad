"""The service's time, learned from the Date of its answers; and what was seen of records by a clock that nobody sets.

A Date is rounded down to a second, and is as old as its answer was under way. So it tells two bounds of the service's
time, and who reckons with them is never early where early would be wrong.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final, Protocol

from .machine import MARGIN_MS, Stored

MOST_SEEN: Final = 1_000
"""Records that are remembered: the one that was seen longest ago gives way."""


class Told(Protocol):
    """An answer of the service, as `dynamorm.features.records` gives it."""

    applied: bool
    item: dict[str, Any] | None
    date: int | None
    asked: float
    at: float


class ServiceTime:
    """What the service's clock shows at a monotonic time. One per database; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._least: float | None = None  # what is to be added to the monotonic time: at least, and at most
        self._most = 0.0

    @property
    def is_known(self) -> bool:
        """Whether an answer has told it."""
        return self._least is not None

    def learn(self, told: Told) -> None:
        """Look at the Date of an answer."""
        if told.date is None:
            return
        least, most = told.date - told.at, told.date + 1 - told.asked
        with self._lock:
            # What contradicts is newer: a clock was set, or this machine has slept.
            if self._least is None or least > self._most or most < self._least:
                self._least, self._most = least, most
            else:
                self._least, self._most = max(self._least, least), min(self._most, most)

    def now(self, monotonic: float, wall: float) -> int:
        """Milliseconds since 1970, never later than the service's time; before an answer has told it, this machine's."""
        least = self._least
        return int((wall if least is None else monotonic + least) * 1000)

    def until(self, lease: int, asked: float, length: int) -> float:
        """The monotonic time until which nobody takes a lease with this end, that was asked for at ``asked``."""
        by_length = asked + length / 1000
        return by_length if self._least is None else min(by_length, (lease + MARGIN_MS) / 1000 - self._most)


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
