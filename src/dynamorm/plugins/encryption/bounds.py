"""What is remembered for a while, of which there may be much: what somebody who forges items may let grow, or let be asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


class Remembered(Generic[K, T]):
    """Values, each until a time of the ``clock``; at most ``most``, of which the oldest go first."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._entries: dict[K, tuple[float, T]] = {}

    def get(self, key: K) -> T | None:
        """The value of a key, unless its time is over."""
        found = self._entries.get(key)
        return found[1] if found is not None and self._clock() < found[0] else None

    def put(self, key: K, value: T, seconds: float) -> None:
        """Remember a value for so long."""
        entries, now = self._entries, self._clock()
        entries.pop(key, None)
        if len(entries) >= self._most:
            for old in [one for one, (until, _) in tuple(entries.items()) if until <= now]:
                entries.pop(old, None)
            while len(entries) >= self._most:
                entries.pop(next(iter(entries)), None)
        entries[key] = now + seconds, value

    def drop_one(self, key: K) -> None:
        """Forget one key."""
        self._entries.pop(key, None)

    def drop(self, test: Callable[[K], bool]) -> None:
        """Forget the keys for which the test is true."""
        for key in tuple(self._entries):
            if test(key):
                self._entries.pop(key, None)

    def __len__(self) -> int:
        return len(self._entries)


class Findings(Remembered[K, T]):
    """What was found in places, each for a moment, and an error not for longer however often it is found here again."""

    def __init__(self, most: int, clock: Callable[[], float], moment: float) -> None:
        super().__init__(most, clock)
        self._moment = moment
        self._errors: Remembered[K, bool] = Remembered(most, clock)

    def hold(self, key: K, found: T) -> None:
        """Let what was found be the answer for a moment."""
        if isinstance(found, Exception) and self._errors.get(key) is None:
            self._errors.put(key, True, self._moment / 2)
        self.put(key, found, self._moment)

    def doubt(self, key: K) -> None:
        """Forget an error that was found half a moment ago, or before: so it is looked for anew."""
        if self._errors.get(key) is None and isinstance(self.get(key), Exception):
            self.drop_one(key)


class Allowance:
    """So many things at once, and ``each`` more in a second."""

    def __init__(self, most: int, clock: Callable[[], float], each: float = 1.0) -> None:
        self._most = float(most)
        self._clock = clock
        self._each = each
        self._left = float(most)
        self._at = clock()

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left now."""
        return self._now() < 1

    def take(self) -> None:
        """Use one."""
        self._left = max(self._now() - 1, 0.0)

    def _now(self) -> float:
        now = self._clock()
        self._left = min(self._most, self._left + max(now - self._at, 0.0) * self._each)
        self._at = now
        return self._left
