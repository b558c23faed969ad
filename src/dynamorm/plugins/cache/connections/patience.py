"""Whose fault it is that an answer of Redis did not come in time, and which connections lead to the wrong server.

Redis is at fault when it had `CacheConfig.timeout` and this process was awake to hear of it. It is not when the caller's
own deadline ended first, nor when the process was kept from its turn: a blocked event loop, a thread that waited for
the interpreter, a machine that slept. So time is counted in steps, and of a step that took longer than it should only
the step counts.
"""

from __future__ import annotations

import re
from time import monotonic
from typing import Any, Final

from redis.exceptions import BusyLoadingError, ClusterDownError, ReadOnlyError
from redis.exceptions import TimeoutError as TookTooLong

from dynamorm.plugin import remaining

STEPS: Final = 5
"""Steps of a timeout: 10 ms each of the usual 50, more than a scheduler takes and less than anybody notices."""

_ELSEWHERE: Final = re.compile(r"\b(READONLY|LOADING|CLUSTERDOWN|MASTERDOWN|NOREPLICAS)\b")
"""Codes of errors, which an older Redis puts in the middle of what a script failed with."""


class OutOfTime(TimeoutError):
    """No answer came, and that says nothing about Redis."""


def end_of_caller() -> float | None:
    """The monotonic time at which the caller's deadline ends. Raises: OutOfTime behind it."""
    left = remaining()
    if left is None:
        return None
    if left <= 0:
        raise OutOfTime
    return monotonic() + left


def is_elsewhere(error: BaseException) -> bool:
    """Whether the server at the other end is not, or not yet, the one to ask: who connects anew may meet another one."""
    if isinstance(error, (ReadOnlyError, BusyLoadingError, ClusterDownError)):
        return True
    return _ELSEWHERE.search(str(error)) is not None


def is_late(error: BaseException) -> bool:
    """Whether an answer did not come in time, as over a connection that a firewall has forgotten."""
    return isinstance(error, (TimeoutError, TookTooLong))


class Budget:
    """What is left of a timeout. ``end`` is the caller's."""

    __slots__ = ("_end", "_left", "_seen", "is_own", "step")

    def __init__(self, timeout: float, end: float | None) -> None:
        self.step: float = timeout / STEPS
        self.is_own: bool = False
        self._left = timeout
        self._end = end
        self._seen = monotonic()

    def whole(self) -> float:
        """Seconds that may be waited now. Raises: TimeoutError; ``is_own`` tells whether Redis is to blame."""
        now = monotonic()
        self._left -= min(now - self._seen, self.step)
        self._seen = now
        if self._end is not None and self._end <= now:
            self.is_own = True
        if self.is_own or self._left <= 0:
            raise TimeoutError("Redis took too long")
        return self._left if self._end is None else min(self._left, self._end - now)

    def part(self) -> float:
        """The same, of one step."""
        return min(self.whole(), self.step)


class Idle:
    """Connections that are kept for the next command, and the incidents that end them.

    Where one connection led to a wrong server, or nowhere, so do all that were opened before: they end together, once for
    each incident, and those in use then are not kept any more. ``era`` counts incidents; a connection has that of its opening.
    """

    __slots__ = ("era", "found")

    def __init__(self) -> None:
        self.era: int = 0
        self.found: list[tuple[int, Any]] = []

    def __len__(self) -> int:
        return len(self.found)

    def take(self) -> tuple[int, Any] | None:
        """One that is kept, the one used last."""
        try:
            return self.found.pop()
        except IndexError:
            return None

    def give(self, era: int, connection: Any, most: int) -> bool:
        """Keep one. Whether there was a place, and no incident since it was opened."""
        if era != self.era or len(self.found) >= most:
            return False
        self.found.append((era, connection))
        return True

    def incident(self, era: int) -> list[Any]:
        """A connection of this era failed in a way that others will, too: those to end."""
        if era != self.era:
            return []
        self.era += 1
        ended, self.found = self.found, []
        return [connection for _, connection in ended]
