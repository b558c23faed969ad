"""A limiter of capacity: so many units, or requests, in a second for each table. It waits, and never blocks an event loop.

Each request reserves what it is expected to cost, waits until that has flowed in, and is charged what it has cost when its
reply tells. So what one request takes too much, the next ones wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import ref

from dynamorm.arguments import check_seconds, type_given
from dynamorm.effects import Sleep
from dynamorm.errors import Backpressure, ConfigError
from dynamorm.errors.log import logger
from dynamorm.plugin import OfOneProcess, consumed, remaining

if TYPE_CHECKING:
    from dynamorm.effects import Flow, Reply
    from dynamorm.plugin import Call, CallFlow

__all__ = ["CapacityLimiter"]

Kind = Literal["read", "write", "requests"]

GUESS: Final = 1.0
"""Units that a request of an operation is expected to cost before any of them has told."""
LET_THROUGH: Final = 1_000
"""Requests for other tables, behind which a table that no request was for is a slip that the log tells."""
WEIGHT: Final = 0.1
"""The weight of the last cost in what the next one is expected to be."""


class _Bucket:
    """Units that flow in, ``rate`` a second, and are kept up to ``most``. What is not there yet can be reserved."""

    __slots__ = ("_clock", "_lock", "_there", "_when", "most", "rate")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self.rate: float = rate
        self.most: float = max(rate * burst, 1.0)
        self._there = self.most
        self._when = clock()
        self._clock = clock
        self._lock = Lock()

    def reserve(self, units: float, longest: float) -> float:
        """Seconds until the units have flowed in; negative, and nothing is reserved, when that is too long."""
        with self._lock:
            self._flow()
            # What is more than is ever kept waits for a full bucket only, and leaves the debt to those behind it.
            wait = max(min(units, self.most) - self._there, 0.0) / self.rate
            if wait > longest:
                return -wait
            self._there -= units
            return wait

    def add(self, units: float) -> None:
        """Give units back, or charge them (a negative number)."""
        with self._lock:
            self._flow()
            self._there = min(self._there + units, self.most)

    def _flow(self) -> None:
        now = self._clock()
        self._there = min(self._there + (now - self._when) * self.rate, self.most)
        self._when = now


class CapacityLimiter(OfOneProcess):
    """Lets each table be asked for so many units or requests in a second, by this process.

    ``read_units``, ``write_units`` and ``requests`` are per second, for each table; None is no limit. ``burst`` are the seconds
    whose worth is kept while nobody asks. A request waits up to ``timeout`` seconds, and up to the deadline of its caller, in
    turn; then it is `Backpressure`, and nothing was sent. ``tables`` limits these alone: models, or names, with the
    ``table_prefix`` of the settings or without. A name that no request is for is told in the log. With limits of units each
    request asks DynamoDB what it costs. Several of them need a ``name`` each.

    Raises: ConfigError for a limit that is not positive, without any limit, and for ``tables`` that are none.

    Example: ``db.use(CapacityLimiter(read_units=100, write_units=50, tables=(Report, "exports")))``
    """

    return_consumed_capacity: str | None = None

    def __init__(
        self,
        *,
        read_units: float | None = None,
        write_units: float | None = None,
        requests: float | None = None,
        burst: float = 1.0,
        timeout: float = 5.0,
        tables: Iterable[str | type[Any]] | None = None,
        name: str = "capacity limiter",
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.name: str = name
        given: dict[Kind, float | None] = {"read": read_units, "write": write_units, "requests": requests}
        self._rates = {kind: _rate(kind, rate) for kind, rate in given.items() if rate is not None}
        if not self._rates:
            raise ConfigError(
                "a CapacityLimiter limits read_units, write_units or requests in a second: give one of them"
            )
        self._burst = check_seconds(
            "burst", burst, positive=True, subject="burst of a CapacityLimiter", error=ConfigError
        )
        self._timeout = check_seconds("timeout", timeout, subject="timeout of a CapacityLimiter", error=ConfigError)
        self._limited = None if tables is None else _Limited(tables, name)
        self._clock = clock
        if self._rates.keys() & {"read", "write"}:
            self.return_consumed_capacity = "TOTAL"
        self.forked()

    def joined(self, db: Any) -> None:
        """Take in a database, which tells what its tables are called."""
        if self._limited is not None:
            self._limited.databases.append(ref(db))

    def around(self, call: CallFlow) -> CallFlow:
        """Let a request wait until there is as much as it will cost."""

        def limited(op: Call) -> Flow[Any]:
            reserved: list[tuple[_Bucket, float]] = []
            try:
                wait = self._reserve(op, reserved)
                if wait > 0.0:
                    yield Sleep(wait)
                return (yield from call(op))
            finally:  # each attempt was charged what it has cost
                for bucket, units in reserved:
                    bucket.add(units)

        return limited

    def _reserve(self, op: Call, reserved: list[tuple[_Bucket, float]]) -> float:
        left = remaining()
        longest = self._timeout if left is None else min(self._timeout, left)
        wait = 0.0
        expected = self._expected(op)
        if not expected and self._limited is not None:
            self._limited.passed_by(op.table)
        for bucket, units in expected:
            found = bucket.reserve(units, longest)
            if found < 0:
                raise Backpressure(
                    f"{op.name} would have to wait {-found:.3g} s for its turn behind the limit of {self.name}, and may wait"
                    f" {max(longest, 0.0):.3g} s: nothing was sent",
                    operation=op.name,
                    table=op.table,
                )
            reserved.append((bucket, units))
            wait = max(wait, found)
        return wait

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Charge an attempt: what it has cost, as far as it tells; else what was expected. What was abandoned: likewise."""
        del error
        told = consumed(call, reply) if self.return_consumed_capacity else ()
        sums: dict[str, list[float]] = {}
        for part in told:
            of_table = sums.setdefault(part.table, [0.0, 0.0])
            of_table[0] += part.read_units
            of_table[1] += part.write_units
        for table, (read, write) in sums.items():
            self._charge(table, "read", read)
            self._charge(table, "write", write)
            if "," not in call.table:
                place, cost = (table, call.name), write if call.writes else read
                known = self._costs.get(place, cost)
                self._costs[place] = known + WEIGHT * (cost - known)
        for bucket, units in self._expected(call):
            if not sums or bucket in self._of_requests:
                bucket.add(-units)

    def forked(self) -> None:
        """Begin anew."""
        self._buckets: dict[tuple[str, Kind], _Bucket] = {}
        self._of_requests: set[_Bucket] = set()
        self._costs: dict[tuple[str, str], float] = {}
        self._drawn: dict[tuple[str, bool], tuple[tuple[_Bucket, str | None], ...]] = {}

    def _expected(self, op: Call) -> list[tuple[_Bucket, float]]:
        """The buckets that a request draws from, and how much it is expected to."""
        drawn = self._drawn.get((op.table, op.writes))
        if drawn is None:
            drawn = self._drawn[op.table, op.writes] = tuple(self._buckets_of(op))
        costs, name = self._costs, op.name
        return [(bucket, 1.0 if table is None else costs.get((table, name), GUESS)) for bucket, table in drawn]

    def _buckets_of(self, op: Call) -> Iterator[tuple[_Bucket, str | None]]:
        """The buckets, each with the table whose units it holds; None for one of requests."""
        for table in op.table.split(", "):  # no name holds a comma
            units = self._bucket(table, "write" if op.writes else "read")
            if units is not None:
                yield units, table
            requests = self._bucket(table, "requests")
            if requests is not None:
                yield requests, None

    def _charge(self, table: str, kind: Kind, units: float) -> None:
        bucket = self._bucket(table, kind)
        if bucket is not None and units:
            bucket.add(-units)

    def _bucket(self, table: str, kind: Kind) -> _Bucket | None:
        rate = self._rates.get(kind)
        if rate is None or (self._limited is not None and not self._limited.holds(table)):
            return None
        bucket = self._buckets.get((table, kind))
        if bucket is None:
            bucket = self._buckets.setdefault((table, kind), _Bucket(rate, self._burst, self._clock))
            if kind == "requests":
                self._of_requests.add(bucket)
        return bucket


class _Limited:
    """The tables that are limited. ``databases`` are those which have not told yet what their tables are called."""

    def __init__(self, tables: Any, limiter: str) -> None:
        self._given = _checked_tables(tables)
        self._limiter = limiter
        self._names: dict[str, str] = {
            name: name for name in self._given if isinstance(name, str)
        }  # and as it was given
        self._met: set[str] = set()
        self._passed = 0
        self._lock = Lock()  # of the names, and of the count
        self.databases: list[Callable[[], Any]] = []

    def holds(self, table: str) -> bool:
        """Whether a table is limited."""
        if self.databases:
            with self._lock:
                self._learn()
        given_as = self._names.get(table)
        if given_as is not None:
            self._met.add(given_as)
        return given_as is not None

    def _learn(self) -> None:
        """Ask the databases what their tables are called. One is known only when all its names are."""
        while self.databases:
            db = self.databases[-1]()
            if db is not None:
                for given in self._given:
                    if isinstance(given, str):
                        self._names.setdefault(db.config.table_prefix + given, given)
                    else:
                        self._names[db.tables.name_of(given)] = given.__name__
            self.databases.pop()

    def passed_by(self, table: str) -> None:
        """A request for other tables is let through. Say so in the log, once, where one of ours is met by none."""
        with self._lock:
            self._passed += 1
            is_time = self._passed == LET_THROUGH
            missed = [name for name in dict.fromkeys(self._names.values()) if name not in self._met] if is_time else []
        if missed:
            logger.warning(
                "%s limits %s, and of %s requests that it let through none was for that; the last one was for %s",
                self._limiter,
                ", ".join(missed),
                LET_THROUGH,
                table,
            )


def _checked_tables(tables: Any) -> tuple[str | type[Any], ...]:
    """What is limited. Raises: ConfigError."""
    if isinstance(tables, (str, type)) or not isinstance(tables, Iterable):
        raise ConfigError("tables of a CapacityLimiter are models or names of tables: a tuple, tables=('payments',)")
    given = tuple(tables)
    if not given:
        raise ConfigError(
            "tables of a CapacityLimiter are none, so that nothing would be limited: leave them out for all"
        )
    for one in given:
        if not isinstance(one, type) and not (isinstance(one, str) and one):
            raise ConfigError(f"tables of a CapacityLimiter are models or names of tables, not {type_given(one)}")
    return given


def _rate(kind: str, rate: Any) -> float:
    name = kind if kind == "requests" else f"{kind}_units"
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < 1e12:
        raise ConfigError(f"{name} of a CapacityLimiter is a positive number in a second, or None")
    return float(rate)
