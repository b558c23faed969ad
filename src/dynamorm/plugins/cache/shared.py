"""Answers kept in Redis, which may be down, slow, evict what it likes, go back in time, or lie: then there is a miss.

Nothing is waited for longer than `CacheConfig.timeout`; after a failure Redis is left alone for a while. A write whose
generations could not be replaced is owed: before the cache is used again there is a new epoch.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from .entry import Entry, Sealer
from .generations import EVERYTHING
from .guarded import Failed, Guarded, script
from .memory import Begun
from .own import OwnWrites
from .scripts import BEGIN, HEAD, REPLACE, SERVER, SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dynamorm.effects import Flow

    from .config import CacheConfig
    from .generations import Generation
    from .memory import Identity

LARGEST: Final = 1024 * 1024
"""Bytes of an answer that is kept: more cannot be had within the time that Redis is given."""
LOOK: Final = 1.0
"""Seconds between two looks at which server it is that answers."""
MAX_NAMES: Final = 4_096
"""Keys that are remembered rather than made anew."""
SHORTEST_LIFE: Final = 1200.0
"""Seconds that a generation lives at least: longer than any write may be unsettled."""


class Shared:
    """Keeps answers in Redis. ``clock`` gives monotonic seconds, ``wall`` Unix time."""

    def __init__(self, config: CacheConfig, link: Any, mac_key: bytes, place: Sequence[str]) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self.wall: Callable[[], float] = time.time
        self.random_bytes: Callable[[int], bytes] = os.urandom
        self.largest: int = min(LARGEST, config.max_bytes)
        self.longest: float = config.ttl
        self.redis: Guarded = Guarded(link, lambda: self.clock())  # noqa: PLW0108 - a test may give another clock later
        self.tampered: int = 0
        self._settle = config.settle
        self._sealer = Sealer(mac_key, place)
        self._own = OwnWrites()
        self._names: dict[Generation, bytes] = {}
        self._keys: dict[Identity, bytes] = {}
        self._server = self._sealer.name("server", ())
        self._look_at = 0.0
        self._debt: _Debt | None = None

    @property
    def usable(self) -> bool:
        """Whether Redis is asked at all now."""
        return self.redis.usable

    def forked(self) -> None:
        """Start again in a child process, which remembers what was written before it."""
        self.redis.link.forked()

    # ------------------------------------------------------------------------------------------------------------ reads

    def look(self, identity: Identity, names: tuple[Generation, ...]) -> Flow[bytes | None]:
        """The answer that is kept, where it is still good."""
        try:
            if not (yield from self._ready()):
                return None
            key = self._key(identity)
            value, *records = yield from self.redis.listed(len(names) + 1, "MGET", key, *map(self._name, names))
        except Failed:
            return None
        if not isinstance(value, bytes):
            return None
        for name, record in zip(names, records, strict=True):
            if not _is_record(record) or not self._own.accepts(name, record):
                return None
        entry = self._sealer.open(key, value, int(self.wall() * 1000), self._tampered)
        if entry is None or entry.stamps != _stamps(records):
            return None
        return entry.answer

    def still(self, begun: Begun) -> bool:
        """Whether this process has written nothing of it since."""
        return bool(begun.stamps[1] == self._own.snapshot(begun.names))

    def begin(self, names: tuple[Generation, ...]) -> Flow[Begun | None]:
        """Take the generations, before a read; those that are missing, or came back, are made anew. None: Redis is down."""
        if not self.usable or self._debt is not None:
            return None
        now, arguments, own = self.clock(), [], self._own.snapshot(names)
        for mine in own:
            value, blocked = (b"", 0.0) if mine is None else (mine.value, max(0.0, mine.blocked - now))
            arguments += [self.random_bytes(SIZE), value, int(blocked * 1000)]
        keys = [self._name(name) for name in names]
        try:
            time_, *records = yield from self.redis.listed(
                len(names) + 1, *script(BEGIN, keys, int(self._life * 1000), *arguments)
            )
            there = int(time_)
        except (Failed, ValueError, TypeError):
            return None
        if not all(map(_is_record, records)):
            return None
        for mine, record in zip(own, records, strict=True):
            if mine is not None:
                mine.value = record[HEAD : HEAD + SIZE]  # ours, one that came behind it, or the one made anew
        recent, blocked_here = self._own.danger(names, now, self._settle)
        written = max(int(record[:16]) for record in records)
        blocked_until = max(int(record[16:32]) for record in records)
        settled = max(written, blocked_until) + int(self._settle * 1000)
        return Begun(
            names,
            (_stamps(records), own),
            recent=recent or (there < settled and bool(written or blocked_until)),
            blocked=blocked_here or there < blocked_until,
        )

    def install(self, identity: Identity, begun: Begun, answer: bytes, ttl: float) -> Flow[None]:
        """Keep an answer for so many seconds."""
        self.longest = max(self.longest, ttl)
        now, key = int(self.wall() * 1000), self._key(identity)
        value = self._sealer.seal(key, Entry(now, now + int(ttl * 1000), begun.stamps[0], answer))
        try:
            yield from self.redis.ask("SET", key, value, "PX", max(1, int(ttl * 1000)))
        except Failed:
            return

    # ----------------------------------------------------------------------------------------------------------- writes

    def replace(self, names: tuple[Generation, ...], blocked: float = 0.0, *, behind: bool = False) -> Flow[None]:
        """Replace generations, and block them for so many seconds. What fails is owed.

        ``behind``: the write was sent, so that who is cancelled here tells Redis all the same, before it ends.
        """
        values = self._remember(names, blocked)
        if not self.usable:
            self.owe(names, blocked)
            return
        keys = [self._name(name) for name in names]
        command = script(REPLACE, keys, int(self._life * 1000), int(blocked * 1000), *values)
        try:
            yield from self.redis.ask(*command)
        except Failed:
            self.owe(names, blocked)
        except GeneratorExit:  # nothing can be asked of anybody any more
            self.owe(names, blocked)
            raise
        except BaseException:  # cancelled, or interrupted
            if behind:
                yield from self._once_more(command, names, blocked)
            raise

    def _once_more(self, command: tuple[Any, ...], names: tuple[Generation, ...], blocked: float) -> Flow[None]:
        try:
            yield from self.redis.ask(*command)
        except Failed:
            self.owe(names, blocked)
        except BaseException:
            self.owe(names, blocked)
            raise

    def _remember(self, names: tuple[Generation, ...], blocked: float) -> list[bytes]:
        """Remember the values that are about to be set."""
        now = self.clock()
        values = [self.random_bytes(SIZE) for _ in names]
        for name, value in zip(names, values, strict=True):
            self._own.set(name, value, now, self._keep, now + blocked if blocked else 0.0)
        over = self._own.sweep(now)
        if over is not None:
            self.owe_everything(over - now)
        return values

    def owe(self, names: tuple[Generation, ...], blocked: float = 0.0) -> None:
        """Remember that generations could not be replaced."""
        now = self.clock()
        for name in names:
            self._own.set(name, self.random_bytes(SIZE), now, self._keep, now + blocked if blocked else 0.0)
        self.owe_everything(blocked)

    def owe_everything(self, blocked: float = 0.0) -> None:
        """There must be a new epoch before the cache is used again."""
        debt, until = self._debt, self.clock() + max(0.0, blocked)
        self._debt = _Debt(until if debt is None else max(until, debt.until))

    # ----------------------------------------------------------------------------------------------------------- health

    def _ready(self) -> Flow[bool]:
        """Whether the cache may be used now: debts are paid, and the same server answers as before."""
        now, failed = self.clock(), self.redis.fails
        if not self.redis.try_now():
            return False
        if now >= self._look_at or failed:
            self._look_at = now + LOOK
            yield from self._look_at_server()
        debt = self._debt
        if debt is not None:
            blocked, value = max(0.0, debt.until - now), self.random_bytes(SIZE)
            self._own.set((*EVERYTHING,), value, now, float("inf"))
            keys = [self._name(EVERYTHING)]
            yield from self.redis.ask(*script(REPLACE, keys, int(self._life * 1000), int(blocked * 1000), value))
            if self._debt is debt:
                self._debt = None
        return self._debt is None

    def _look_at_server(self) -> Flow[None]:
        """A server that was restarted, or another one in its place, may hold less than was written: a new epoch."""
        ids = []
        try:
            for part, member in (("server", b"run_id"), ("replication", b"master_replid")):
                ids.append(_member((yield from self.redis.bare("INFO", part)), member))
        except ResponseError:  # who may not ask goes without
            return
        keys = [self._server, self._name(EVERYTHING)]
        arguments = int(self._life * 1000), b"|".join(ids), self.random_bytes(SIZE)
        yield from self.redis.ask(*script(SERVER, keys, *arguments))

    def _tampered(self) -> None:
        self.tampered += 1

    # ------------------------------------------------------------------------------------------------------------ names

    @property
    def _keep(self) -> float:
        """Seconds for which own writes are remembered: as long as an answer lives, with its jitter."""
        return self.longest * 1.1 + 60.0

    @property
    def _life(self) -> float:
        """Seconds that a generation lives."""
        return max(2.2 * self.longest, SHORTEST_LIFE)

    def _name(self, name: Generation) -> bytes:
        found = self._names.get(name)
        if found is None:
            if len(self._names) >= MAX_NAMES:
                self._names = {}
            found = self._names[name] = self._sealer.name("g", name)
        return found

    def _key(self, identity: Identity) -> bytes:
        found = self._keys.get(identity)
        if found is None:
            if len(self._keys) >= MAX_NAMES:
                self._keys = {}
            operation, body, model, scope = identity
            parts = (operation, body.hex(), model, *(text for entry in scope for text in entry))
            found = self._keys[identity] = self._sealer.name("e", parts)
        return found


class _Debt:
    """An epoch that is owed, and until when it blocks everything."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until = until


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, bytes)
        and len(record) >= HEAD + SIZE
        and (len(record) - HEAD) % SIZE == 0
        and record[:HEAD].isdigit()
    )


def _stamps(records: list[Any]) -> bytes:
    return b"".join(record[HEAD : HEAD + SIZE] for record in records)


def _member(text: Any, name: bytes) -> bytes:
    """One line of what INFO says."""
    for line in text.splitlines() if isinstance(text, bytes) else ():
        if line.startswith(name + b":"):
            return bytes(line.partition(b":")[2].strip())
    return b""
