"""Pacing behind throttles: what DynamoDB refuses for want of throughput is asked more slowly, and nothing else is.

A pace belongs to one limit that was met: the table or the index that the refusal names, for reads or for writes. Where one
hot key met the limit of its partition, the pace is of requests with this key alone: other tenants go on as before.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.json import Decoder

from dynamorm.arguments import check_seconds
from dynamorm.effects import Sleep
from dynamorm.errors import ConfigError, Throttled
from dynamorm.plugin import OfOneProcess, attempt_class, partitions, refusal, remaining

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dynamorm.effects import Flow, Reply
    from dynamorm.models.schema.schema import Schema
    from dynamorm.plugin import Call, CallFlow

__all__ = ["ThrottlePacing"]

FIRST: Final = 10.0
"""Requests in a second behind the first throttle."""
SLOWEST: Final = 1.0
"""Requests in a second at the least: somebody must ask whether there is throughput again."""
FASTEST: Final = 10_000.0
"""Requests in a second from which on nothing is paced any more: no process makes as many."""
CUT: Final = 0.5
"""The share of its pace that a throttle leaves."""
REST: Final = 0.2
"""Seconds behind a cut in which other throttles count for the same: their requests were under way already."""
GROWTH: Final = 2.0
"""The factor by which a pace grows in a second in which requests succeed."""
IDLE: Final = 60.0
"""Seconds after which a pace that nobody needed is forgotten. DynamoDB's own limits adapt within minutes."""
MOST: Final = 1_000
"""Hot keys of a table that are remembered; the one that was throttled longest ago gives way."""


class _Index(Struct):
    IndexName: str | None = None


_index: Final = Decoder(_Index).decode


class _Pace:
    """How fast one limit may be asked: slots in time, each taken by one request."""

    __slots__ = ("_cut", "_free", "_grown", "_lock", "_next", "is_hot", "rate", "reasons", "resource", "used")

    def __init__(self, now: float, reasons: tuple[str, ...], resource: str | None, *, is_hot: bool) -> None:
        self.is_hot: bool = is_hot
        self.rate: float = FIRST
        self.reasons: tuple[str, ...] = reasons
        self.resource: str | None = resource
        self.used: float = now
        self._cut = self._grown = now
        self._next = now + 1 / FIRST
        self._free: list[float] = []  # turns that were given back, the next one first
        self._lock = Lock()

    def turn(self, now: float) -> float:
        """When the next turn is."""
        with self._lock:
            self.used = now
            while self._free and self._free[0] < now:
                heappop(self._free)
            return self._free[0] if self._free else max(self._next, now)

    def take(self, now: float) -> float:
        """Take the next turn; when it is."""
        with self._lock:
            while self._free:
                turn = heappop(self._free)
                if turn >= now:
                    return turn
            turn = max(self._next, now)
            self._next = turn + 1 / self.rate
            return turn

    def give_back(self, turn: float) -> None:
        """Leave a turn to somebody else."""
        with self._lock:
            heappush(self._free, turn)

    def throttled(self, now: float) -> None:
        """Slow down."""
        with self._lock:
            if now - self._cut >= REST:
                self.rate = max(self.rate * CUT, SLOWEST)
                self._cut = self._grown = now
                first = now + 1 / self.rate
                self._next = max(self._next, first)
                self._free = [turn for turn in self._free if turn >= first]  # a part of a heap that keeps its order
                self._free.sort()

    def succeeded(self, now: float) -> bool:
        """Speed up; True when it need not be paced any more."""
        with self._lock:
            self.rate *= GROWTH ** min(now - self._grown, 1.0)
            self._grown = now
            return self.rate >= FASTEST


class _Paces:
    """What is paced of the reads, or of the writes, of a table: by index (None: the table), and there by hot key."""

    __slots__ = ("all", "hot")

    def __init__(self) -> None:
        self.all: dict[str | None, _Pace] = {}
        self.hot: dict[str | None, dict[int, _Pace]] = {}

    def of(self, call: Call, hot_keys: Callable[[Call], list[int]]) -> Iterator[tuple[dict[Any, _Pace], Any]]:
        """Where the paces of a call stand. A write may change each index, so all of them hold it up."""
        indexes = list({*self.all, *self.hot}) if call.writes else [_index_of(call)]
        for index in indexes:
            if index in self.all:
                yield self.all, index
            hot = self.hot.get(index)
            if hot:
                yield from ((hot, key) for key in hot_keys(call) if key in hot)

    def places(self) -> Iterator[tuple[str | None, dict[Any, _Pace], Any]]:
        """Where all of them stand, with their indexes."""
        for index in list(self.all):
            yield index, self.all, index
        for index, hot in list(self.hot.items()):
            for key in list(hot):
                yield index, hot, key


class ThrottlePacing(OfOneProcess):
    """Asks more slowly where DynamoDB has throttled: twice as slowly with each throttle, twice as fast with each second.

    A total throttle is asked once a second by each process, however many callers there are. They wait for their turns in
    order, for up to ``longest`` (5.0) seconds and their own deadlines; who would have to wait longer gets `Throttled` at once,
    and nothing was sent. Nobody blocks an event loop. Without a throttle it costs nothing but a look.

    Raises: ConfigError for what is no time.

    Example: ``db.use(ThrottlePacing())``
    """

    name = "throttle pacing"

    def __init__(self, *, longest: float = 5.0, clock: Callable[[], float] = monotonic) -> None:
        self._longest = check_seconds(
            "longest", longest, positive=True, subject="longest of a pacing", error=ConfigError
        )
        self._clock = clock
        self._partitions = partitions()
        self.forked()

    def rates(self) -> dict[tuple[str, str | None, str], float]:
        """What is paced now: requests in a second by table, index (None: the table itself), and ``"read"`` or ``"write"``.

        Of hot keys the slowest one counts.

        Example: ``db_pacing.rates() == {("payments", None, "write"): 2.5}``
        """
        found: dict[tuple[str, str | None, str], float] = {}
        for (table, writes), paces in list(self._tables.items()):
            for index, among, key in paces.places():
                place, pace = (table, index, "write" if writes else "read"), among.get(key)
                if pace is not None:
                    found[place] = min(pace.rate, found.get(place, pace.rate))
        return found

    def model(self, schema: Schema) -> Schema:
        """Learn what the partition key of a table is called, for the keys that are hot; nothing is changed."""
        self._partitions.learn(schema)
        return schema

    def around(self, call: CallFlow) -> CallFlow:
        """Let a request wait for its turn."""

        def paced(op: Call) -> Flow[Any]:
            return self._waiting(op, call) if self._tables else call(op)

        return paced

    def _waiting(self, op: Call, call: CallFlow) -> Flow[Any]:
        found = [pace for among, key in list(self._of(op)) if (pace := among.get(key)) is not None]
        left = remaining()
        end = self._clock() + (self._longest if left is None else min(self._longest, left))
        # The hot key first: who waits behind it must not hold places among those who wait for the table.
        for some in ([pace for pace in found if pace.is_hot], [pace for pace in found if not pace.is_hot]):
            turns = self._turns(op, some, found, end)
            found = [pace for pace in found if pace not in some]
            wait = max(turns, default=0.0) - self._clock()
            if wait > 0.0:
                try:
                    yield Sleep(wait)
                except BaseException:  # cancelled: somebody else may ask in its place
                    for pace, turn in zip(some, turns, strict=True):
                        pace.give_back(turn)
                    raise
        return (yield from call(op))

    def _turns(self, op: Call, some: list[_Pace], found: list[_Pace], end: float) -> list[float]:
        """A turn in each of some paces; none in any where one of those that are ``found`` has none in time. Raises: Throttled."""
        if not some:
            return []
        with self._taking:
            now = self._clock()
            turn, last = max(((pace.turn(now), pace) for pace in found), key=lambda one: one[0])
            if turn <= end:
                return [pace.take(now) for pace in some]
        raise Throttled(
            f"{op.name} waits behind other requests that DynamoDB has throttled, and its turn would come in"
            f" {turn - now:.3g} s: nothing was sent",
            reasons=last.reasons,
            resource=last.resource,
            operation=op.name,
            table=op.table,
        )

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Learn from an attempt."""
        if reply is None or error is not None:
            return
        if reply.status == 200:
            if self._tables:
                self._learn(call)
        elif attempt_class(reply, error) == "throttled":
            self._slow_down(call, reply)

    def forked(self) -> None:
        """Begin anew: a child process has asked nothing so far."""
        self._tables: dict[tuple[str, bool], _Paces] = {}
        self._forgotten = self._clock()
        self._taking = Lock()  # of two callers, one looks and takes first
        self._making = Lock()  # no pace is made twice, and none is lost that moves to the end of its order

    def _learn(self, call: Call) -> None:
        now = self._clock()
        for among, key in list(self._of(call)):
            pace = among.get(key)
            if pace is not None and pace.succeeded(now):
                among.pop(key, None)
        self._forget(now)

    def _slow_down(self, call: Call, reply: Reply) -> None:
        fault, now = refusal(reply), self._clock()
        limits = () if fault is None else fault.throttling
        for reason, resource in [(limit.reason, limit.resource) for limit in limits] or [("", None)]:
            table, index = _parts(resource)
            writes = "Write" in reason if "Write" in reason or "Read" in reason else call.writes
            for name in [table] if table else _tables(call):
                paces = self._tables.setdefault((name, writes), _Paces())
                of = index if table else _index_of(call)
                is_hot = "KeyRange" in reason
                among: dict[Any, _Pace] = paces.hot.setdefault(of, {}) if is_hot else paces.all
                for key in self._hot_keys(call) if is_hot else (of,):
                    with self._making:
                        pace = among.pop(key, None) if is_hot else among.get(key)
                        among[key] = pace or _Pace(now, (reason,) if reason else (), resource, is_hot=is_hot)
                        if pace is None and len(among) > MOST:
                            among.pop(next(iter(among)), None)
                    if pace is not None:
                        pace.throttled(now)
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Throw away what nobody needs."""
        if now - self._forgotten < IDLE:
            return
        self._forgotten = now
        for place, paces in list(self._tables.items()):
            left = 0
            for _, among, key in list(paces.places()):
                pace = among.get(key)
                if pace is not None and now - pace.used > IDLE:
                    among.pop(key, None)
                else:
                    left += 1
            if not left:
                self._tables.pop(place, None)

    def _hot_keys(self, call: Call) -> list[int]:
        """What stands for the partitions of a request: hashes of their keys, else of the request, which may come again."""
        return [hash(tuple(value.items())) for _, value in self._partitions.of(call)] or [hash(call.body)]

    def _of(self, op: Call) -> Iterator[tuple[dict[Any, _Pace], Any]]:
        for table in _tables(op):
            paces = self._tables.get((table, op.writes))
            if paces is not None:
                yield from paces.of(op, self._hot_keys)


def _tables(call: Call) -> list[str]:
    return call.table.split(", ")  # no name holds a comma


def _index_of(call: Call) -> str | None:
    return _index(call.body).IndexName if call.name in {"Query", "Scan"} and b'"IndexName"' in call.body else None


def _parts(resource: str | None) -> tuple[str | None, str | None]:
    """The table and the index of an ARN: ``arn:aws:dynamodb:eu-west-1:123456789012:table/payments/index/by-status``."""
    _, found, path = (resource or "").partition(":table/")
    if not found:
        return None, None
    table, _, rest = path.partition("/")
    return table, rest.removeprefix("index/") if rest.startswith("index/") else None
