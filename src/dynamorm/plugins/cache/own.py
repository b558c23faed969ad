"""What this process has written itself, and must never see as it was before, whatever Redis says.

For as long as an answer may live, the process remembers the generations that it set. A value that is neither its own nor
came behind it is a miss: Redis was restored from an older copy, or has lost a write in a failover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .bounded import SLOT, names_cost
from .generations import EVERYTHING
from .scripts import HEAD, SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .generations import Generation

MAX_OWN: Final = 100_000
"""Generations that are remembered; beyond that there is a new epoch, and the process starts again."""

MAX_BYTES: Final = 32 * 1024 * 1024
"""Bytes that they take; likewise. It is not of `CacheConfig.max_bytes`: too small a bound would be a new epoch all the time."""
_OWN: Final = SLOT + 72 + 3 * 24 + 49
"""Bytes of a generation beside its name."""
MAX_DOUBTS: Final = 2_000
"""Generations that are blocked by this process; beyond that everything is."""


class Own:
    """A generation that the process set: its value, until when it is remembered, when it was written and how long it is blocked."""

    __slots__ = ("blocked", "until", "value", "written")

    def __init__(self, value: bytes, until: float, written: float, blocked: float) -> None:
        self.value: bytes = value
        self.until: float = until
        self.written: float = written
        self.blocked: float = blocked


class OwnWrites:
    """The generations that were set here. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._own: dict[Generation, Own] = {}
        self._doubts: dict[Generation, float] = {}
        self.size: int = 0
        """Bytes that it takes: an estimate, where threads meet."""

    def __len__(self) -> int:
        return len(self._own)

    def set(self, name: Generation, value: bytes, now: float, keep: float, blocked: float = 0.0) -> None:
        """A write has touched it."""
        before = self._own.pop(name, None)
        until = max(now + keep, blocked + keep)
        if before is None:
            self.size += _OWN + names_cost((name,))
        else:
            blocked, until = max(blocked, before.blocked), max(until, before.until)
        self._own[name] = Own(value, until, now, blocked)
        if blocked > now:
            self._doubts[name] = blocked

    def doubts(self, now: float) -> list[Generation]:
        """What is blocked by this process now."""
        for name, until in list(self._doubts.items()):
            if until <= now:
                self._doubts.pop(name, None)
        return list(self._doubts)

    def accepts(self, name: Generation, record: bytes) -> bool:
        """Whether what Redis holds is our own value, or came behind it: then it is what is known from now on."""
        own = self._own.get(name)
        if own is None:
            return True
        if not follows(record, own.value):
            return False
        own.value = record[HEAD : HEAD + SIZE]
        return True

    def danger(self, names: Sequence[Generation], now: float, settle: float) -> tuple[bool, bool]:
        """Whether one of them was written a moment ago, and whether one is blocked."""
        recent = blocked = False
        for name in names:
            own = self._own.get(name)
            if own is not None:
                recent = recent or now < max(own.written, own.blocked) + settle
                blocked = blocked or now < own.blocked
        return recent, blocked

    def snapshot(self, names: Sequence[Generation]) -> tuple[Own | None, ...]:
        """What is remembered of each. A later write makes another object."""
        return tuple(self._own.get(name) for name in names)

    def sweep(self, now: float) -> float | None:
        """Forget what is over. Where there is too much, forget all: until when everything must be blocked then, else None."""
        for name in _first(self._own, 4):
            own = self._own.get(name)
            if own is not None and own.until < now and name != EVERYTHING:
                self._own.pop(name, None)
                self.size -= _OWN + names_cost((name,))
        if len(self._own) <= MAX_OWN and self.size <= MAX_BYTES and len(self._doubts) <= MAX_DOUBTS:
            return None
        every = list(self._own.values())
        self._own, self._doubts, self.size = {}, {}, 0
        return max(own.blocked for own in every)


def follows(record: bytes, value: bytes) -> bool:
    """Whether a record holds this value, or one that came behind it."""
    return any(record[at : at + SIZE] == value for at in range(HEAD, len(record), SIZE))


def _first(own: dict[Generation, Own], count: int) -> list[Generation]:
    """The oldest ones; fewer where another thread changes them meanwhile."""
    found: list[Generation] = []
    try:
        for name in own:
            found.append(name)
            if len(found) == count:
                break
    except RuntimeError:
        pass
    return found
