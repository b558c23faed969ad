"""Answers kept in Redis, which may be down, slow, evict what it likes, go back in time, or lie: then there is a miss.

Nothing is waited for longer than `CacheConfig.timeout`; after a failure Redis is left alone for a while. A write whose
generations could not be replaced is owed, and paid with whatever is asked of Redis next: by a read, by a write, or by
`Shared.tend`. A Redis that failed is told of a new epoch; where only the caller had no time, of what was written.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final

from redis.exceptions import ResponseError

from .bounded import Bounded, identity_cost, names_cost
from .entry import Entry, Sealer
from .generations import EVERYTHING
from .guarded import Failed, Guarded, Hurried, script
from .memory import Begun
from .own import OwnWrites, follows
from .scripts import BEGIN, HEAD, REPLACE, SERVER, SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dynamorm.effects import Flow

    from .config import CacheConfig
    from .generations import Generation
    from .memory import Identity
    from .own import Own

LARGEST: Final = 1024 * 1024
"""Bytes of an answer that is kept: more cannot be had within the time that Redis is given."""
LOOK: Final = 1.0
"""Seconds between two looks at which server it is that answers."""
MAX_NAMES: Final = 4_096
"""Keys that are remembered rather than made anew."""
ROUND: Final = 1.0
"""Seconds between two rounds of `Shared.tend`."""
GRACE: Final = 3 * ROUND
"""Seconds for which nothing is believed nor kept behind a loss of everything: by then every process that lives has told Redis
again what it has blocked. What was blocked by one that has ended since, and not by signing off, cannot be known any more."""
KEY: Final = 96
"""Bytes of a key of Redis in memory."""
MAX_OWED: Final = 256
"""Generations that are owed one by one; beyond that all are blocked as long as the longest."""
PART: Final = 64
"""Generations that one command of `Shared.tend` tells of."""
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
        self._names = Bounded(MAX_NAMES, config.max_bytes // 8)
        self._keys = Bounded(MAX_NAMES, config.max_bytes // 8)
        self._server = self._sealer.name("server", ())
        self._look_at = 0.0
        self._debt: dict[Generation, _Owed] = {}
        self._epoch: bytes | None = None
        self._lost_until = 0.0
        self._tended = 0.0
        self.wake: Callable[[], None] = lambda: None  # who calls `tend`

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
        if self._is_lost(records[0], self.clock()):
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
        if not self.usable:
            return None
        now = self.clock()
        try:
            yield from self._pay()
            there, records, own = yield from self._taken(names)
        except Failed:
            return None
        lost = self._is_lost(records[0], now)
        recent, blocked_here = self._own.danger(names, now, self._settle)
        written = max(int(record[:16]) for record in records)
        blocked_until = max(int(record[16:32]) for record in records)
        settled = max(written, blocked_until) + int(self._settle * 1000)
        return Begun(
            names,
            (_stamps(records), own),
            recent=recent or (there < settled and bool(written or blocked_until)),
            blocked=blocked_here or there < blocked_until or lost,
        )

    def _taken(self, names: Sequence[Generation]) -> Flow[tuple[int, list[Any], tuple[Own | None, ...]]]:
        """The time of Redis, what it holds of each generation, and what this process knew of it. Raises: Failed."""
        now, arguments, own = self.clock(), [], self._own.snapshot(names)
        for mine in own:
            value, blocked = (b"", 0.0) if mine is None else (mine.value, max(0.0, mine.blocked - now))
            arguments += [self.random_bytes(SIZE), value, int(blocked * 1000)]
        time_, *records = yield from self.redis.listed(
            len(names) + 1, *script(BEGIN, self._held(names), int(self._life * 1000), *arguments)
        )
        if not all(map(_is_record, records)) or not _is_number(time_):
            raise Failed
        for mine, record in zip(own, records, strict=True):
            if mine is not None:
                mine.value = record[HEAD : HEAD + SIZE]  # ours, one that came behind it, or the one made anew
        return int(time_), records, own

    def _is_lost(self, epoch: bytes, now: float) -> bool:
        """Whether Redis has lost everything a moment ago: its epoch did not come behind the one that was known here."""
        known, self._epoch = self._epoch, epoch[HEAD : HEAD + SIZE]
        if known is not None and not follows(epoch, known):
            self._lost_until = now + GRACE
        return now < self._lost_until

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
            if behind:
                self.owe(names, blocked)
            return
        try:
            yield from self._pay()
            yield from self._tell(names, values, [blocked] * len(names))
        except Failed as failed:
            if behind:  # else nothing is written yet
                self.owe(names, blocked, hurried=isinstance(failed, Hurried))
        except GeneratorExit:  # nothing can be asked of anybody any more
            if behind:
                self.owe(names, blocked, hurried=True)
            raise
        except BaseException:  # cancelled, or interrupted
            if behind:
                yield from self._once_more(names, values, blocked)
            raise

    def _once_more(self, names: tuple[Generation, ...], values: list[bytes], blocked: float) -> Flow[None]:
        try:
            yield from self._tell(names, values, [blocked] * len(names))
        except BaseException as error:
            self.owe(names, blocked, hurried=not isinstance(error, Failed) or isinstance(error, Hurried))
            if not isinstance(error, Failed):
                raise

    def _tell(self, names: Sequence[Generation], values: list[bytes], blocked: list[float]) -> Flow[None]:
        """Replace generations. Raises: Failed."""
        arguments: list[Any] = []
        for value, seconds in zip(values, blocked, strict=True):
            arguments += [int(max(0.0, seconds) * 1000), value]
        yield from self.redis.ask(*script(REPLACE, self._held(names), int(self._life * 1000), *arguments))

    def _remember(self, names: tuple[Generation, ...], blocked: float) -> list[bytes]:
        """Remember the values that are about to be set."""
        now = self.clock()
        values = [self.random_bytes(SIZE) for _ in names]
        for name, value in zip(names, values, strict=True):
            self._own.set(name, value, now, self._keep, now + blocked if blocked else 0.0)
        if blocked:
            self.wake()
        over = self._own.sweep(now)
        if over is not None:
            self.owe_everything(over - now)
        return values

    def owe(self, names: tuple[Generation, ...], blocked: float = 0.0, *, hurried: bool = False) -> None:
        """Remember that generations could not be replaced. ``hurried``: for want of time, and not because Redis has failed."""
        now = self.clock()
        until = now + blocked if blocked else 0.0
        for name in names:
            self._own.set(name, self.random_bytes(SIZE), now, self._keep, until)
        if hurried or blocked:
            for name in names:
                self._owed(name, until)
        if not hurried:
            self._owed(EVERYTHING, 0.0)
        if len(self._debt) > MAX_OWED:
            self._owed(EVERYTHING, max(owed.until for owed in list(self._debt.values())))
        self.wake()

    def owe_everything(self, blocked: float = 0.0) -> None:
        """There must be a new epoch before the cache is used again."""
        self._owed(EVERYTHING, self.clock() + blocked if blocked > 0 else 0.0)
        self.wake()

    def _owed(self, name: Generation, until: float) -> None:
        before = self._debt.get(name)
        self._debt[name] = _Owed(until if before is None else max(until, before.until))

    def _pay(self) -> Flow[None]:
        """Tell Redis what it was not told. Raises: Failed."""
        owed = dict(self._debt)
        if not owed:
            return
        now = self.clock()
        if len(owed) > MAX_OWED:
            told: dict[Generation, _Owed] = {EVERYTHING: owed[EVERYTHING]}
        else:
            told = owed
        values = [self.random_bytes(SIZE) for _ in told]
        for (name, debt), value in zip(told.items(), values, strict=True):
            self._own.set(name, value, now, float("inf") if name == EVERYTHING else self._keep, debt.until)
        yield from self._tell(tuple(told), values, [debt.until - now for debt in told.values()])
        for name, debt in owed.items():
            if self._debt.get(name) is debt:  # and not one that came meanwhile
                self._debt.pop(name, None)

    def tend(self, *, at_last: bool = False) -> Flow[float | None]:
        """One round of what must be done although nobody uses the cache: pay debts, and see to it that what was blocked still is.

        Redis may have lost that: another process would keep what a late copy of the write is about to change. Gives the
        seconds until the next round; None: there is nothing to do any more. ``at_last``: this is the last one.
        """
        now = self.clock()
        doubts, rest = self._own.doubts(now), self.redis.retry_at - now
        if rest > 0 and not at_last and (not doubts or now < self._tended + ROUND):
            return min(rest, ROUND)
        self._tended = now
        try:
            yield from self._pay()
            for at in range(0, len(doubts), PART):
                yield from self._taken(doubts[at : at + PART])
        except Failed:
            return ROUND
        return ROUND if self._debt or self._own.doubts(self.clock()) else None

    # ----------------------------------------------------------------------------------------------------------- health

    def _ready(self) -> Flow[bool]:
        """Whether the cache may be used now: debts are paid, and the same server answers as before."""
        now, failed = self.clock(), self.redis.fails
        if not self.redis.try_now():
            return False
        if now >= self._look_at or failed:
            self._look_at = now + LOOK
            yield from self._look_at_server()
        yield from self._pay()
        return not self._debt

    def _look_at_server(self) -> Flow[None]:
        """A server that was restarted, or another one in its place, may hold less than was written: a new epoch."""
        ids = []
        try:
            for part, member in (("server", b"run_id"), ("replication", b"master_replid")):
                ids.append(_member((yield from self.redis.bare("INFO", part)), member))
        except ResponseError:  # who may not ask goes without
            return
        keys = [self._server, *self._held((EVERYTHING,))]
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
            found = self._names.put(name, self._sealer.name("g", name), names_cost((name,)) + KEY)
        return bytes(found)

    def _held(self, names: Sequence[Generation]) -> list[bytes]:
        """The keys of generations, each with that of its block."""
        keys = []
        for name in names:
            key = self._name(name)
            keys += [key, b"d1:b:" + key[5:]]
        return keys

    def _key(self, identity: Identity) -> bytes:
        found = self._keys.get(identity)
        if found is None:
            operation, body, model, scope = identity
            parts = (operation, body.hex(), model, *(text for entry in scope for text in entry))
            found = self._keys.put(identity, self._sealer.name("e", parts), identity_cost(identity) + KEY)
        return bytes(found)


class _Owed:
    """A generation that is to be replaced, and until when it is blocked: 0 for not at all."""

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


def _is_number(text: Any) -> bool:
    return isinstance(text, bytes) and text.isdigit() and len(text) <= HEAD


def _stamps(records: list[Any]) -> bytes:
    return b"".join(record[HEAD : HEAD + SIZE] for record in records)


def _member(text: Any, name: bytes) -> bytes:
    """One line of what INFO says."""
    for line in text.splitlines() if isinstance(text, bytes) else ():
        if line.startswith(name + b":"):
            return bytes(line.partition(b":")[2].strip())
    return b""
