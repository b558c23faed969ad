"""`Metrics`, what a database has done in the last minute and since it is looked at. It depends on nothing.

Verbs are counted in slices of one second: the last ones are the window that figures are told of, older ones are summed up.
A verb writes into the slice of its second alone. It takes no lock but with every 256th verb of a series.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from math import inf
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from dynamorm.errors.outcomes import outcome_of
from dynamorm.plugin import OfOneProcess, attempt_class, consumed

from .custom import Custom
from .figures import Figures
from .histogram import HELD, Histogram, Series
from .labels import MOST_SERIES, OTHER, RESERVED, Counter, Counts, counted, name_of

if TYPE_CHECKING:
    from dynamorm.effects import Reply
    from dynamorm.plugin import Call, Operation
    from dynamorm.wire.consumed import ConsumedCapacity

_Label = TypeVar("_Label", str, tuple[str, str])

WINDOW: Final = 60
"""Seconds that latencies and the rate of errors are told of."""

QPS_WINDOW: Final = 10
"""Seconds that the rate of verbs is told of."""

_Key: TypeAlias = "tuple[str, Any, str]"
"""Of a verb: its name, its model and its outcome."""


class _Slice(dict[_Key, Series]):
    """The verbs of one second. ``second`` is the monotonic time at which it began."""

    __slots__ = ("second",)

    def __init__(self, second: int) -> None:
        super().__init__()
        self.second: int = second


class Metrics(OfOneProcess):
    """Figures of a database and its views, for one process: see ``db.metrics()``.

    ``custom`` holds the program's own numbers. Latencies and rates are those of the last 60 s, `qps` of the last 10 s;
    counts, and `total`, are since the figures were first asked for. Verbs are counted, not requests: a read that a cache answered
    is a verb too. Safe to use from threads; a child process starts anew.

    Example::

        metrics = db.metrics()
        print(f"{metrics.qps():.0f}/s, p99 {metrics.percentile(0.99) * 1000:.1f} ms, errors {metrics.error_rate():.2%}")
    """

    name = "metrics"

    def __init__(
        self,
        *,
        gauges: Callable[[], Mapping[str, float]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        most_series: int = MOST_SERIES,
        units: bool = False,
    ) -> None:
        self.return_consumed_capacity: str | None = "INDEXES" if units else None
        self.custom: Custom = Custom()
        self._gauges = gauges
        self._clock = clock
        self._most = max(most_series - RESERVED, 1)
        self._start()

    def _start(self) -> None:
        self._lock = RLock()  # reentrant: the handler of a signal may use the database
        self._began = now = self._clock()
        self._current = _Slice(int(now))
        self._until = int(now) + 1.0
        self._recent: deque[_Slice] = deque()
        self._older: dict[_Key, Histogram] = {}
        self._tables: dict[Any, str] = {}
        self._attempts: Counts = {}
        self._retries: Counts = {}
        self._units: dict[tuple[str, str | None], tuple[float, float]] = {}

    # What is told of verbs and attempts, by the database

    def ended(self, operation: Operation, error: BaseException | None) -> None:
        """Take in a verb: see `dynamorm.plugin.EndHook`."""
        seconds: float = operation.took  # type: ignore[assignment] # it has ended
        if operation.started + seconds >= self._until:
            self._turn(operation.started + seconds)
        key = (operation.verb, operation.model, "ok" if error is None else outcome_of(error))
        series = self._current.get(key)
        if series is None:
            series = self._series(key, operation.table)
        series.append(seconds)
        if len(series) >= HELD:
            with self._lock:
                series.fold()

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Take in an attempt: see `dynamorm.plugin.AttemptHook`."""
        good = error is None and reply is not None and reply.status == 200
        key = (call.name, call.table, "ok" if good else attempt_class(reply, error))
        counter = self._attempts.get(key)
        next(self._counter(self._attempts, key) if counter is None else counter)
        if reply is not None and b'"ConsumedCapacity"' in reply.body:
            self._add_units(consumed(call, reply))

    def retried(self, call: Call, error: BaseException) -> None:
        """Take in that another attempt follows: see `dynamorm.plugin`."""
        next(self._counter(self._retries, (call.name, call.table, attempt_class(None, error))))

    def forked(self) -> None:
        """Start again in a child process."""
        self._start()
        self.custom.forked()

    def _counter(self, counts: Counts, key: tuple[str, str, str]) -> Counter:
        if key not in counts and len(counts) >= self._most:
            key = (key[0], OTHER, key[2])
        return counts.setdefault(key, count())

    def _add_units(self, parts: Iterable[ConsumedCapacity]) -> None:
        with self._lock:
            for part in parts:
                place = part.table, part.index
                if place not in self._units and len(self._units) >= self._most:
                    place = OTHER, None
                read, write = self._units.get(place, (0.0, 0.0))
                self._units[place] = read + part.read_units, write + part.write_units

    def _series(self, key: _Key, table: str | None) -> Series:
        """A series that the present slice does not have yet."""
        verb, model, outcome = key
        if model not in self._tables:
            if len(self._tables) >= self._most:
                key = (verb, OTHER, outcome)
            else:
                self._tables[model] = "" if model is None or table is None else table
        return self._current.setdefault(key, Series())

    def _turn(self, now: float) -> None:
        """Begin the slice of a second, and sum up what is too old for the window."""
        second = int(now)
        with self._lock:
            before = self._current
            if second <= before.second:
                return
            self._current, self._until = _Slice(second), second + 1.0
            self._recent.append(before)
            while self._recent and self._recent[0].second < second - WINDOW:
                for key, series in self._recent.popleft().items():
                    self._older.setdefault(key, Histogram()).merge(series.fold())

    def _parts(self, seconds: int | None) -> tuple[float, list[tuple[_Key, Histogram]]]:
        """From which time on, and what has ended since; None: all."""
        now = self._clock()
        self._turn(now)
        first = -inf if seconds is None else int(now) - seconds + 1
        with self._lock:
            found = {key: Histogram([histogram]) for key, histogram in self._older.items()} if seconds is None else {}
            for one in (*self._recent, self._current):
                if one.second >= first:
                    for key, series in one.copy().items():
                        found.setdefault(key, Histogram()).merge(series.fold())
        return max(first, self._began), list(found.items())

    # What is asked, by the program

    def qps(self) -> float:
        """The verbs that ended per second, over the last 10 s.

        Example: ``print(f"{db.metrics().qps():.2f} verbs/s")``
        """
        since, parts = self._parts(QPS_WINDOW)
        return sum(histogram.count for _, histogram in parts) / max(self._clock() - since, 1.0)

    def avg_latency(self) -> float:
        """The mean duration of a verb in seconds, over the last 60 s, retries and waiting included; 0.0 without any.

        Example: ``print(f"{db.metrics().avg_latency() * 1000:.1f} ms")``
        """
        return self.window().avg_latency()

    def percentile(self, share: float) -> float:
        """The seconds that this share of the verbs of the last 60 s did not exceed, within 0.8 %; 0.0 without any.

        Raises: ValidationError for a share that is not between 0 and 1.

        Example: ``db.metrics().percentile(0.99)``
        """
        return self.window().percentile(share)

    def error_rate(self) -> float:
        """The fraction of the verbs of the last 60 s that ended as ``unavailable`` or ``denied``.

        What was refused (a condition, a missing item), throttled, or is unknown is no error here: see `outcomes`.

        Example: ``print(f"{db.metrics().error_rate():.2%}")``
        """
        return self.window().error_rate()

    def window(self) -> Figures:
        """The verbs of the last 60 s.

        Example: ``db.metrics().window().count``
        """
        return _figures(self._parts(WINDOW)[1])

    def total(self) -> Figures:
        """The verbs since the figures were first asked for.

        Example: ``db.metrics().total().percentile(0.5)``
        """
        return _figures(self._parts(None)[1])

    def by_model(self) -> dict[str, Figures]:
        """The verbs of the last 60 s by the name of their model; ``""`` for those of several.

        Example: ``db.metrics().by_model()["Payment"].percentile(0.99)``
        """
        return self._by(lambda key: _label(key[1]))

    def by_verb(self) -> dict[str, Figures]:
        """The verbs of the last 60 s by name.

        Example: ``db.metrics().by_verb()["create"].avg_latency()``
        """
        return self._by(lambda key: key[0])

    def by_table(self) -> dict[str, Figures]:
        """The verbs of the last 60 s by table; ``""`` for those of several.

        Example: ``db.metrics().by_table()["payments"].error_rate()``
        """
        return self._by(lambda key: OTHER if key[1] is OTHER else self._tables.get(key[1], ""))

    def by_verb_and_model(self) -> dict[tuple[str, str], Figures]:
        """The verbs of the last 60 s by their name and that of their model; ``""`` for those of several.

        Example: ``db.metrics().by_verb_and_model()["get", "Payment"].percentile(0.99)``
        """
        return self._by(lambda key: (key[0], _label(key[1])))

    def _by(self, label: Callable[[_Key], _Label]) -> dict[_Label, Figures]:
        groups: dict[_Label, list[tuple[_Key, Histogram]]] = {}
        for key, histogram in self._parts(WINDOW)[1]:
            groups.setdefault(label(key), []).append((key, histogram))
        return {name: _figures(groups[name]) for name in sorted(groups)}

    def outcomes(self) -> dict[str, int]:
        """How many verbs ended in which way: see `dynamorm.errors.outcomes.outcome_of`.

        Example: ``db.metrics().outcomes().get("unknown", 0)``
        """
        return self.total().outcomes

    def attempts(self) -> dict[str, int]:
        """How many requests were sent, or tried to, by what they came to: see `dynamorm.plugin.attempt_class`.

        Example: ``db.metrics().attempts().get("throttled", 0)``
        """
        return _by_class(self._attempts)

    def retries(self) -> dict[str, int]:
        """How many requests were sent again, by what the one before had come to.

        Example: ``sum(db.metrics().retries().values())``
        """
        return _by_class(self._retries)

    def consumed_units(self) -> dict[tuple[str, str | None], tuple[float, float]]:
        """The read and write units by (table, index), as far as replies told them; the index of a table itself is None.

        DynamoDB tells them where it is asked: by figures that are asked for before the first verb, as with
        ``Config(metrics=True)``, or by another plugin.

        Example: ``read, write = db.metrics().consumed_units()["payments", None]``
        """
        return dict(self._units)

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data, which can be written as JSON.

        Example: ``print(json.dumps(db.metrics().snapshot(), indent=2))``
        """
        total = self.total()
        return {
            "observed_seconds": self._clock() - self._began,
            "window_seconds": WINDOW,
            "qps": self.qps(),
            **{name: figure for name, figure in self.window().as_dict().items() if name != "outcomes"},
            "total": total.as_dict(),
            "models": {name: one.as_dict() for name, one in self.by_model().items()},
            "verbs": {name: one.as_dict() for name, one in self.by_verb().items()},
            "tables": {name: one.as_dict() for name, one in self.by_table().items()},
            "attempts": self.attempts(),
            "retries": self.retries(),
            "unknown_outcomes": total.outcomes.get("unknown", 0),
            "consumed_units": [
                {"table": table, "index": index, "read": read, "write": write}
                for (table, index), (read, write) in self.consumed_units().items()
            ],
            "gauges": {} if self._gauges is None else dict(self._gauges()),
            "custom": self.custom.numbers(),
        }

    def __repr__(self) -> str:
        return f"<Metrics of {self.total().count} verbs>"


def _label(model: Any) -> str:
    return model if isinstance(model, str) else name_of(model)


def _figures(parts: Iterable[tuple[_Key, Histogram]]) -> Figures:
    return Figures((key[2], histogram) for key, histogram in parts)


def _by_class(counts: Counts) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_, _, kind), counter in sorted(counts.copy().items()):
        found[kind] = found.get(kind, 0) + counted(counter)
    return found
