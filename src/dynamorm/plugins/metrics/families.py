"""The collectors of `MetricsPlugin` on a registry of `prometheus_client`, which all plugins on it share.

In a process of its own they keep plain numbers, and make samples of them when Prometheus asks: `Kept`. In the multiprocess mode of
`prometheus_client`, where the numbers of all processes lie in files, its own classes write them: `Mapped`.
"""

from __future__ import annotations

import weakref
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import accumulate, count
from threading import RLock
from typing import Any, Final, Protocol, TypeAlias

from prometheus_client import Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from dynamorm.plugin import Greatest

from .labels import counted

Labels: TypeAlias = "tuple[str, ...]"

DURATION: Final = "dynamorm_operation_duration_seconds", "Duration of a verb, with its retries and all waiting"
OF_DURATION: Final = ("verb", "model", "table", "outcome")

COUNTERS: Final = {
    "attempts": ("Requests that were sent, or tried to", ("operation", "table", "class")),
    "retries": ("Requests that were sent again, by what the one before came to", ("operation", "table", "class")),
    "consumed_units": ("Capacity units that replies told of", ("table", "index", "direction")),
}
"""The counters: ``dynamorm_attempts_total`` and so on, what they are, and their labels."""


class Series(Protocol):
    """What durations, or amounts, are appended to; whoever finds so many of them (`HELD`) calls `fold`."""

    def append(self, number: float, /) -> None:
        """One more."""
        ...

    def __len__(self) -> int: ...

    def fold(self) -> None:
        """Put what is here into the buckets, or the sum."""
        ...


class Families(Protocol):
    """The collectors of one registry."""

    def durations(self, labels: Labels) -> Series:
        """A series of durations."""
        ...

    def counter(self, name: str, labels: Labels) -> Iterator[Any]:
        """What counts by ``next``."""
        ...

    def amounts(self, name: str, labels: Labels) -> Series:
        """What adds up, of a counter of what is no whole number."""
        ...

    def collectors(self) -> Iterable[Any]:
        """What a registry has of them."""
        ...

    def forked(self) -> None:
        """Begin anew in a child process."""
        ...


class _Durations(list[float]):
    """Durations of one series, appended without a lock, and put into the buckets when there are many."""

    __slots__ = ("bucket_of", "counts", "lock", "seconds")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__()
        self.bucket_of: partial[int] = partial(bisect_left, bounds)
        self.counts: Tally[int] = Tally()
        self.seconds: float = 0.0
        self.lock = RLock()

    def fold(self) -> None:
        """Put what is here into the buckets."""
        with self.lock:
            batch = self[:]
            del self[: len(batch)]
            self.counts.update(map(self.bucket_of, batch))
            self.seconds += sum(batch)


class _Amounts(list[float]):
    """Amounts of one series, appended without a lock, and added up when there are many."""

    __slots__ = ("lock", "total")

    def __init__(self) -> None:
        super().__init__()
        self.total: float = 0.0
        self.lock = RLock()

    def fold(self) -> None:
        """Add up what is here."""
        with self.lock:
            batch = self[:]
            del self[: len(batch)]
            self.total += sum(batch)


class Kept:
    """Numbers in memory, shown as samples when they are asked for."""

    def __init__(self, bounds: tuple[float, ...], more: Labels) -> None:
        self._bounds = bounds
        self._more = more
        self.forked()

    def forked(self) -> None:
        """Begin anew, with other locks: a thread of the parent may have held one."""
        self._durations: dict[Labels, _Durations] = {}
        self._counters: dict[str, dict[Labels, Iterator[int]]] = {name: {} for name in COUNTERS}
        self._amounts: dict[str, dict[Labels, _Amounts]] = {name: {} for name in COUNTERS}

    def durations(self, labels: Labels) -> Series:
        """See `Families`."""
        return self._durations.setdefault(labels, _Durations(self._bounds))

    def counter(self, name: str, labels: Labels) -> Iterator[Any]:
        """See `Families`."""
        return self._counters[name].setdefault(labels, count())

    def amounts(self, name: str, labels: Labels) -> Series:
        """See `Families`."""
        return self._amounts[name].setdefault(labels, _Amounts())

    def collectors(self) -> Iterable[Any]:
        """See `Families`."""
        return (self,)

    def describe(self) -> Iterable[Any]:
        """The families without samples, so that a registry finds two of one name."""
        return self._families()

    def collect(self) -> Iterable[Any]:
        """The families with their samples."""
        histogram, *counters = families = self._families()
        for labels, series in self._durations.copy().items():
            series.fold()
            numbers = accumulate(series.counts[place] for place in range(len(self._bounds) + 1))
            names = (*map(_text, self._bounds), "+Inf")
            histogram.add_metric(labels, buckets=list(zip(names, numbers, strict=True)), sum_value=series.seconds)
        for family, name in zip(counters, COUNTERS, strict=True):
            for labels, counter in self._counters[name].copy().items():
                family.add_metric(labels, counted(counter))  # type: ignore[arg-type] # made above
            for labels, amounts in self._amounts[name].copy().items():
                amounts.fold()
                family.add_metric(labels, amounts.total)
        return families

    def _families(self) -> list[Any]:
        return [
            HistogramMetricFamily(*DURATION, labels=(*OF_DURATION, *self._more)),
            *(
                CounterMetricFamily(f"dynamorm_{name}", what, labels=labels)
                for name, (what, labels) in COUNTERS.items()
            ),
        ]


def _text(bound: float) -> str:
    return repr(float(bound))


class Mapped:
    """The classes of `prometheus_client` itself, which write into the files of the multiprocess mode."""

    def __init__(self, registry: Any, bounds: tuple[float, ...], more: Labels) -> None:
        self._histogram = Histogram(*DURATION, (*OF_DURATION, *more), registry=registry, buckets=bounds)
        self._counters = {
            name: Counter(f"dynamorm_{name}", what, labels, registry=registry)
            for name, (what, labels) in COUNTERS.items()
        }

    def durations(self, labels: Labels) -> Series:
        """See `Families`."""
        return _Written(self._histogram.labels(*labels).observe)

    def counter(self, name: str, labels: Labels) -> Iterator[Any]:
        """See `Families`."""
        return _Advanced(self._counters[name].labels(*labels))

    def amounts(self, name: str, labels: Labels) -> Series:
        """See `Families`."""
        return _Written(self._counters[name].labels(*labels).inc)

    def collectors(self) -> Iterable[Any]:
        """See `Families`."""
        return (self._histogram, *self._counters.values())

    def forked(self) -> None:
        """Nothing is to be done: a child process writes into files of its own."""


class _Written:
    def __init__(self, append: Any) -> None:
        self.append = append

    def __len__(self) -> int:
        return 0

    def fold(self) -> None:
        """Nothing is held back here."""


class _Advanced:
    def __init__(self, child: Any) -> None:
        self._child = child

    def __iter__(self) -> _Advanced:
        return self

    def __next__(self) -> None:
        self._child.inc()


class Gauges:
    """Shows the gauges of all databases that are alive, when Prometheus asks."""

    def __init__(self) -> None:
        self.databases: weakref.WeakSet[Any] = weakref.WeakSet()

    def describe(self) -> Iterable[Any]:
        """Nothing: the names are known when there are databases."""
        return ()

    def collect(self) -> Iterator[Any]:
        """One family for each number."""
        found: dict[str, list[float]] = {}
        for db in list(self.databases):
            for name, value in db.gauges().items():
                found.setdefault(name, []).append(value)
        for name in sorted(found):
            values = found[name]
            joined = max if any(isinstance(value, Greatest) for value in values) else sum
            yield GaugeMetricFamily(f"dynamorm_{name}", "See db.gauges()", value=joined(values))
