"""Answers kept in this process. Nothing here does I/O, and a hit takes no lock.

A generation is an object of its own, which is replaced by a write: an answer holds those that it was read under, so that
none of them can come back.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .generations import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.effects import Flow

    from .config import CacheConfig
    from .generations import Generation

MAX_GENERATIONS: Final = 100_000
"""Generations that are held; beyond that all start again."""

Identity: TypeAlias = "tuple[Any, ...]"


class _Generation:
    """When it was made by a write (a monotonic time; 0: by a read), and until when nothing of it is kept."""

    __slots__ = ("blocked", "written")

    def __init__(self, written: float, blocked: float) -> None:
        self.written: float = written
        self.blocked: float = blocked


class Begun:
    """A read that is about to be made. ``recent``: what it reads was written a moment ago; ``blocked``: its answer is not kept."""

    __slots__ = ("blocked", "names", "recent", "stamps")

    def __init__(self, names: tuple[Generation, ...], stamps: Any, *, recent: bool, blocked: bool) -> None:
        self.names: tuple[Generation, ...] = names
        self.stamps: Any = stamps
        self.recent: bool = recent
        self.blocked: bool = blocked


class Memory:
    """Keeps answers and generations in dicts. ``clock`` gives monotonic seconds."""

    def __init__(self, config: CacheConfig) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self.usable: bool = True
        self.largest: int = config.max_bytes
        self._settle = config.settle
        self._max = config.max_bytes
        self._lock = Lock()
        self.forked()

    def forked(self) -> None:
        """Start empty, in a child process too: what the parent writes from now on is not seen here."""
        self._lock = Lock()
        self._entries: OrderedDict[Identity, tuple[Begun, float, bytes]] = OrderedDict()
        self._generations: dict[Generation, _Generation] = {}
        self.size: int = 0

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._entries)

    def find(self, identity: Identity) -> bytes | None:
        """The answer that is kept, where it is still good."""
        entry = self._entries.get(identity)
        if entry is None:
            return None
        begun, expires, answer = entry
        if self.clock() >= expires or not self.still(begun):
            self._forget(identity)
            return None
        try:  # noqa: SIM105 - each hit comes by here
            self._entries.move_to_end(identity)
        except KeyError:  # another thread has removed it meanwhile
            pass
        return answer

    def _forget(self, identity: Identity) -> None:
        with self._lock:
            entry = self._entries.pop(identity, None)
            if entry is not None:
                self.size -= len(entry[2])

    def still(self, begun: Begun) -> bool:
        """Whether nothing that was read has been written since."""
        get = self._generations.get
        for name, stamp in begun.stamps:  # noqa: SIM110 - each hit comes by here
            if get(name) is not stamp:
                return False
        return True

    def begin(self, names: tuple[Generation, ...]) -> Flow[Begun | None]:
        """Take the generations, before a read."""
        now, generations = self.clock(), self._generations
        stamps = []
        for name in names:
            stamp = generations.get(name)
            stamps.append((name, stamp or generations.setdefault(name, _Generation(0.0, 0.0))))
        quiet = max(max(stamp.written, stamp.blocked) for _, stamp in stamps) + self._settle
        blocked = max(stamp.blocked for _, stamp in stamps)
        if len(generations) > MAX_GENERATIONS:
            self._start_again()
        return Begun(names, tuple(stamps), recent=now < quiet and quiet > self._settle, blocked=now < blocked)
        yield  # as above

    def install(self, identity: Identity, begun: Begun, answer: bytes, ttl: float) -> Flow[None]:
        """Keep an answer for so many seconds."""
        with self._lock:
            before = self._entries.pop(identity, None)
            self._entries[identity] = begun, self.clock() + ttl, answer
            self.size += len(answer) - (0 if before is None else len(before[2]))
            while self.size > self._max and self._entries:
                _, (_, _, gone) = self._entries.popitem(last=False)
                self.size -= len(gone)
        return
        yield  # as above

    def replace(self, names: tuple[Generation, ...], blocked: float = 0.0, *, behind: bool = False) -> Flow[None]:
        """Replace generations: of a write that is about to be sent, or ``behind`` it, and block them for so many seconds."""
        del behind  # it makes no difference here
        self.owe(names, blocked)
        return
        yield  # as above

    def owe(self, names: tuple[Generation, ...], blocked: float = 0.0) -> None:
        """The same, where nothing can be asked of anybody any more."""
        now, generations = self.clock(), self._generations
        until = now + blocked if blocked else 0.0
        with self._lock:
            for name in names:
                before = generations.get(name)
                generations[name] = _Generation(now, until if before is None else max(until, before.blocked))
            if len(generations) > MAX_GENERATIONS:
                self._start_again(locked=True)

    def owe_everything(self) -> None:
        """Let go of all answers."""
        self.owe((EVERYTHING,))

    def _start_again(self, *, locked: bool = False) -> None:
        """Forget all generations. What is dangerous about any of them holds for everything from now on."""
        if not locked:
            with self._lock:
                self._start_again(locked=True)
            return
        every = list(self._generations.values())
        written, blocked = max(one.written for one in every), max(one.blocked for one in every)
        self._entries.clear()
        self.size = 0
        self._generations = {EVERYTHING: _Generation(written, blocked)}
