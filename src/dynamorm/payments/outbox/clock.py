"""The time of the service, as far as the answers of a database have told it, and leases that are judged by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

AGREES: Final = 1.5
"""Seconds by which this machine's clock may be away from a Date that it agrees with: a Date is rounded down to a second."""
ENOUGH: Final = 3
"""Dates of which one alone may be wrong."""
MARGIN: Final = 5_000
"""Milliseconds after the end of a lease when nobody holds it, where both who took it and who looks know the service's time."""
LATE: Final = 600_000
"""The same by any clock that AWS takes requests of: each may be 5 minutes off."""
MOST_SEEN: Final = 1_000
"""Leases of others that are remembered."""


class ServiceClock:
    """The service's time: this machine's clock, and what the Dates of answers have shown it to be away.

    ``ahead`` are the seconds by which the service is ahead. It ``is_sure`` where several Dates tell it, or one that this machine's
    clock agrees with: one wrong Date alone decides nothing. An engine on this machine (``is_here``) has its clock, and what comes
    over plain HTTP teaches nothing. ``gauges`` are those of the database.
    """

    def __init__(
        self, gauges: Callable[[], Mapping[str, float]], now: Callable[[], float], *, is_here: bool = False
    ) -> None:
        self.gauges: Callable[[], Mapping[str, float]] = gauges
        self.is_here: bool = is_here
        self._now = now
        self.ahead: float = 0.0
        self.is_sure: bool = False

    def look(self) -> int:
        """The time now, milliseconds since 1970, with what the last answers have told."""
        found = self.gauges()
        self.ahead, samples = found.get("clock_skew_seconds", 0.0), found.get("clock_samples", 0)
        self.is_sure = self.is_here or samples >= ENOUGH or (samples >= 1 and abs(self.ahead) <= AGREES)
        return self.millis()

    def millis(self) -> int:
        """The time, milliseconds since 1970."""
        return int((self._now() + self.ahead) * 1000)

    def end(self, now: int, lasts: int) -> int:
        """The end of a lease that is taken now: later by what a clock may be off that nobody has confirmed."""
        return now + lasts if self.is_sure else now + lasts + LATE

    def has_passed(self, until: int, now: int) -> bool:
        """Whether a lease of somebody else has ended by the service's time."""
        return until + (MARGIN if self.is_sure else LATE) < now


class Sightings:
    """For how long leases of others were seen to stay as they are, by a clock that nobody sets."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str | None, int, float]] = {}

    def unchanged(self, key: str, owner: str | None, until: int, at: float) -> float:
        """Seconds for which a lease was seen with this owner and end, until ``at``."""
        found = self._seen.pop(key, None)
        since = found[2] if found is not None and found[:2] == (owner, until) else at
        self._seen[key] = (owner, until, since)
        if len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return at - since

    def forget(self, key: str) -> None:
        """It is ours, or over."""
        self._seen.pop(key, None)
