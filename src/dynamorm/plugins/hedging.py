"""Hedged reads: a read that takes longer than nearly all others is sent a second time, and the first answer counts.

That helps against single slow answers, and makes a slow service slower; so it is done for few reads, and not at all while
anything speaks of the service as a whole being slow.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from datetime import timedelta
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from dynamorm.arguments import check_seconds, check_share
from dynamorm.effects import Hedge
from dynamorm.errors import ConfigError
from dynamorm.plugin import OfOneProcess, attempt_class

if TYPE_CHECKING:
    from dynamorm.effects import Flow, Reply
    from dynamorm.plugin import Call, CallFlow

__all__ = ["Hedging"]

READS: Final = frozenset({"GetItem", "Query", "BatchGetItem"})
"""The operations that are hedged. Transactions are read at twice the price, scans are of megabytes."""
FEWEST: Final = 50
"""Reads of an operation in the window before its percentile is believed."""
SAMPLES: Final = 256
"""Times of an operation that are kept of each second."""
SLOWER: Final = 3.0
"""The median of the last second, as a multiple of its mean over a minute, from which on everything is slow."""
JUDGED: Final = 5
"""Reads of a second before its median is believed."""
MINUTE: Final = 60
"""Seconds over which that mean is taken."""
CALM: Final = 5.0
"""Seconds behind a throttle in which nothing is hedged: retries come back for as long."""


class _Times:
    """How long the reads of one operation take: by second, looked at with the first read of the next one."""

    __slots__ = ("_lock", "_medians", "_now", "_past", "_second", "after", "is_slow")

    def __init__(self) -> None:
        self._lock = Lock()
        self._second = 0
        self._now: list[float] = []
        self._past: deque[tuple[int, list[float]]] = deque()
        self._medians: deque[float] = deque(maxlen=MINUTE)
        self.after: float | None = None
        self.is_slow = False

    def add(self, took: float, second: int, percentile: float, window: int) -> None:
        """Note one read."""
        if second > self._second:
            with self._lock:
                if second > self._second:  # else another thread did it meanwhile
                    self._turn(second, percentile, window)
        if len(self._now) < SAMPLES:
            self._now.append(took)

    def _turn(self, second: int, percentile: float, window: int) -> None:
        """Look at the second that is over. To be called with the lock."""
        ended, self._now = self._now, []
        if ended:
            self._past.append((self._second, ended))
            self.is_slow = False
            if len(ended) >= JUDGED:
                median = sorted(ended)[len(ended) // 2]
                mean = sum(self._medians) / len(self._medians) if self._medians else median
                self.is_slow = median > SLOWER * mean
                self._medians.append(median)
        while self._past and self._past[0][0] < second - window:
            self._past.popleft()
        every = sorted(took for _, some in self._past for took in some)
        self.after = every[int(len(every) * percentile)] if len(every) >= FEWEST else None
        self._second = second


class Hedging(OfOneProcess):
    """Sends a read of one page or item again when it takes longer than 95 of 100 have taken lately. Both are paid for.

    GetItem, Query and BatchGetItem are hedged, eventual and consistent ones: behind the measured ``percentile`` (0.95), and
    not before ``least`` (0.005) seconds; at most ``share`` (0.05) of the reads within ``window`` (10) seconds; never within
    5 s of a throttle, while the circuit breaker is not closed, and while the median of a second is above three times its
    mean of a minute. ``breaker`` is what has ``states``; left out: that of the database, if it has one.

    ``reads``, ``hedges`` and ``won`` count. On the blocking face a hedged read runs in a thread of the database's own, at
    some ten µs; of the one that lost the connection is ended.

    One of them is of one database. Raises: ConfigError for a share or percentile that is none, and for what is no time.

    Example: ``db.use(Hedging(share=0.02))``
    """

    name = "hedging"

    def __init__(
        self,
        *,
        percentile: float = 0.95,
        least: float | timedelta = 0.005,
        share: float = 0.05,
        window: float | timedelta = 10.0,
        breaker: Any = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._percentile = check_share("percentile", percentile, subject="percentile of a Hedging", error=ConfigError)
        self._share = check_share("share", share, subject="share of a Hedging", error=ConfigError)
        self._least = check_seconds("least", least, subject="least of a Hedging", error=ConfigError)
        self._window = int(
            check_seconds("window", window, 1.0, 600.0, subject="window of a Hedging", error=ConfigError)
        )
        if breaker is not None and not hasattr(breaker, "states"):
            raise ConfigError(f"breaker of a Hedging is that of the database, db.breaker, not {type(breaker).__name__}")
        self._breaker = breaker
        self._clock = clock
        self._database: Callable[[], Any] | None = None
        self._has_asked = breaker is not None
        self.forked()

    def joined(self, db: Any) -> None:
        """Keep the database in mind, whose breaker is asked for with the first read that is slow.

        Raises: ConfigError for a second database, whose breaker and times are others.
        """
        if self._database is not None and self._database() is not db:
            raise ConfigError("a Hedging is of one database: give each of them its own")
        self._database = ref(db)

    def around(self, call: CallFlow) -> CallFlow:
        """Time the reads, and send the slow ones again."""

        def hedged(op: Call) -> Flow[Any]:
            if op.name not in READS or op.purpose != "verb":
                return call(op)
            return self._timed(op, call)

        return hedged

    def _timed(self, op: Call, call: CallFlow) -> Flow[Any]:
        begun = self._clock()
        times = self._times.setdefault(op.name, _Times())
        self._count(begun)
        after = times.after
        if after is None or times.is_slow:
            result = yield from call(op)
        else:
            result, by_second = yield Hedge(
                call(op), lambda: call(copy(op)) if self._may(times) else None, max(after, self._least)
            )
            self.won += by_second
        now = self._clock()
        times.add(now - begun, int(now), self._percentile, self._window)
        return result

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Notice throttles."""
        if reply is not None and reply.status != 200 and not call.writes and attempt_class(reply, error) == "throttled":
            self._calm_from = self._clock() + CALM

    def forked(self) -> None:
        """Begin anew."""
        self.reads: int = 0
        self.hedges: int = 0
        self.won: int = 0
        self._times: dict[str, _Times] = {}
        self._counts: dict[int, list[int]] = {}  # by second: reads, hedges
        self._calm_from = 0.0
        self._lock = Lock()

    def gauges(self) -> dict[str, float]:
        """What was counted so far."""
        return {"hedging_reads": self.reads, "hedging_hedges": self.hedges, "hedging_won": self.won}

    def _count(self, now: float) -> None:
        self.reads += 1
        count = self._counts.get(int(now))
        if count is None:
            for second in [second for second in self._counts if second < int(now) - self._window]:
                self._counts.pop(second, None)
            count = self._counts.setdefault(int(now), [0, 0])
        count[0] += 1

    def _may(self, times: _Times) -> bool:
        """Whether a read that is slow is sent again; then it is counted."""
        now = self._clock()
        if times.is_slow or now < self._calm_from:
            return False
        if not self._has_asked:
            self._ask_for_breaker()
        if self._breaker is not None and self._breaker.states["read"] != "closed":
            return False
        with self._lock:
            begun, counts = now - self._window, list(self._counts.items())
            # Of the second in which the window begins the hedges count and the reads do not: so the share holds in any window.
            reads = sum(count[0] for second, count in counts if second > begun)
            hedges = sum(count[1] for second, count in counts if second >= int(begun))
            if hedges + 1 > self._share * reads:
                return False
            self._counts.setdefault(int(now), [0, 0])[1] += 1
            self.hedges += 1
        return True

    def _ask_for_breaker(self) -> None:
        db = None if self._database is None else self._database()
        if db is not None:
            with suppress(ConfigError):  # it has none
                self._breaker = db.breaker
        self._has_asked = True
