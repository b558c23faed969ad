"""Answers kept in this process. Nothing here does I/O, and a hit takes no lock.

A generation is an object of its own, which is replaced by a write: an answer holds those that it was read under, so that
none of them can come back. One that was replaced, or let go of, is ``over``, which is all that a hit looks at.

``max_bytes`` bounds everything: answers, requests, generations, and what stands around them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .bounded import GROUP, SLOT, TEXT, identity_cost, names_cost
from .generations import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.effects import Flow

    from .config import CacheConfig
    from .generations import Generation

MAX_GENERATIONS: Final = 100_000
"""Generations that are held; beyond that all start again."""

Identity: TypeAlias = "tuple[Any, ...]"


_ENTRY: Final = SLOT + 64 + GROUP + 4 * 8 + 52 + TEXT
"""Bytes of an entry beside its request, its answer and its stamps: two places in the order, a tuple, two numbers, an answer's head."""
_GENERATION: Final = SLOT + 72
"""Bytes of a generation beside its name."""


class _Generation:
    """When it was made by a write (a monotonic time; 0: by a read), until when nothing of it is kept, and whether it was replaced."""

    __slots__ = ("blocked", "over", "written")

    def __init__(self, written: float, blocked: float) -> None:
        self.written: float = written
        self.blocked: float = blocked
        self.over: bool = False


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
        self.forked()

    def forked(self) -> None:
        """Start empty, in a child process too: what the parent writes from now on is not seen here."""
        # Entered twice by one thread, where the garbage collector closes a flow that owes something.
        self._lock = RLock()
        self._entries: OrderedDict[Identity, tuple[tuple[_Generation, ...], float, bytes, int]] = OrderedDict()
        self._generations: dict[Generation, _Generation] = {}
        self.size: int = 0
        """Bytes of answers and generations."""
        self._held = 0  # by generations
        self._sweep_at = self._max // 4

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._entries)

    def find(self, identity: Identity) -> bytes | None:
        """The answer that is kept, where it is still good."""
        entry = self._entries.get(identity)
        if entry is None:
            return None
        stamps, expires, answer, _ = entry
        for stamp in stamps:
            if stamp.over:
                self._forget(identity)
                return None
        if self.clock() >= expires:
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
                self.size -= entry[3]

    def still(self, begun: Begun) -> bool:
        """Whether nothing that was read has been written since."""
        for stamp in begun.stamps:  # noqa: SIM110 - each read comes by here
            if stamp.over:
                return False
        return True

    def begin(self, names: tuple[Generation, ...]) -> Flow[Begun | None]:
        """Take the generations, before a read."""
        now, stamps = self.clock(), []
        with self._lock:
            for name in names:
                stamps.append(  # noqa: PERF401 - a comprehension is one call more, of each miss
                    self._generations.get(name) or self._made(name, _Generation(0.0, 0.0))
                )
            if self.size > self._max or self._held > self._sweep_at:
                self._fit(now)
        quiet = max(max(stamp.written, stamp.blocked) for stamp in stamps) + self._settle
        blocked = max(stamp.blocked for stamp in stamps)
        return Begun((), tuple(stamps), recent=now < quiet and quiet > self._settle, blocked=now < blocked)
        yield  # as above

    def install(self, identity: Identity, begun: Begun, answer: bytes, ttl: float) -> Flow[None]:
        """Keep an answer for so many seconds."""
        cost = _ENTRY + identity_cost(identity) + len(answer) + GROUP + 8 * len(begun.stamps)
        with self._lock:
            before = self._entries.pop(identity, None)
            if before is not None:
                self.size -= before[3]
            if cost <= self._max - self._held and self.still(begun):
                self._entries[identity] = begun.stamps, self.clock() + ttl, answer, cost
                self.size += cost
                if self.size > self._max:
                    self._fit(self.clock())
        return
        yield  # as above

    def _made(self, name: Generation, generation: _Generation) -> _Generation:
        """Hold a generation; one that was there is over. The lock is held."""
        before = self._generations.get(name)
        if before is None:
            cost = _GENERATION + names_cost((name,))
            self.size += cost
            self._held += cost
        else:
            before.over = True
        self._generations[name] = generation
        return generation

    def _fit(self, now: float) -> None:
        """Let go of the least recently used answers, and of generations that nothing depends on. The lock is held."""
        if self._held > self._sweep_at or len(self._generations) > MAX_GENERATIONS:
            self._sweep(now)
        while self.size > self._max and self._entries:
            _, (_, _, _, cost) = self._entries.popitem(last=False)
            self.size -= cost

    def _sweep(self, now: float) -> None:
        """Forget generations that no answer depends on and that are not dangerous any more; all, if that is not enough.

        What is forgotten is over, so that a read that is under way keeps nothing.
        """
        used = {stamp for stamps, *_ in list(self._entries.values()) for stamp in stamps}
        for name, one in list(self._generations.items()):
            if one not in used and now >= max(one.written, one.blocked) + self._settle:
                one.over = True
                self._generations.pop(name, None)
                cost = _GENERATION + names_cost((name,))
                self._held -= cost
                self.size -= cost
        if self._held > self._max // 2 or len(self._generations) > MAX_GENERATIONS:
            self._start_again()
        self._sweep_at = max(self._max // 4, self._held * 5 // 4)

    def replace(self, names: tuple[Generation, ...], blocked: float = 0.0, *, behind: bool = False) -> Flow[None]:
        """Replace generations: of a write that is about to be sent, or ``behind`` it, and block them for so many seconds."""
        del behind  # it makes no difference here
        self.owe(names, blocked)
        return
        yield  # as above

    def owe(self, names: tuple[Generation, ...], blocked: float = 0.0) -> None:
        """The same, where nothing can be asked of anybody any more."""
        now = self.clock()
        until = now + blocked if blocked else 0.0
        with self._lock:
            for name in names:
                before = self._generations.get(name)
                self._made(name, _Generation(now, until if before is None else max(until, before.blocked)))
            self._fit(now)

    def owe_everything(self) -> None:
        """Let go of all answers."""
        self.owe((EVERYTHING,))

    def _start_again(self) -> None:
        """Forget all generations. What is dangerous about any of them holds for everything from now on. The lock is held."""
        every = list(self._generations.values())
        written, blocked = max(one.written for one in every), max(one.blocked for one in every)
        for one in every:
            one.over = True
        self._entries.clear()
        self._generations = {}
        self.size = self._held = 0
        self._made(EVERYTHING, _Generation(written, blocked))
