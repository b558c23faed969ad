"""Where schedules are run: an engine, and faces with a proxy of their own before it."""

from __future__ import annotations

import itertools
import queue
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dynamorm import HighThroughput, Outcome, Presets
from dynamorm.testing.holding import Fate, HoldingProxy
from dynamorm.testing.request import Request
from dynamorm.wire.retry import CAPACITY
from tests.held.cases import Case
from tests.held.explore import Choices, every
from tests.held.schedule import DUPLICATED, Record, Schedule, Stage
from tests.held.world import PREFIX, Outside
from tests.support.faces import Face

_keys = itertools.count()


class Crew:
    """One face behind one proxy, which runs one schedule at a time. ``prepare`` makes of it what is under test."""

    def __init__(
        self,
        endpoint: str,
        kind: str,
        *,
        outside: type[Outside] = Outside,
        prepare: Callable[[Any], Any] = lambda face: face,
        **settings: Any,
    ) -> None:
        self.schedule: Schedule | None = None
        self.proxy = HoldingProxy(endpoint, self._decide)
        config = Presets.local_development(
            endpoint=self.proxy.endpoint, table_prefix=PREFIX, retry_base=0.001, **settings
        )
        self.face = Face(kind, config)
        self.stage = Stage(prepare(self.face), self.proxy, outside(endpoint))

    def _decide(self, request: Request) -> Fate:
        return Fate.DELIVER if self.schedule is None else self.schedule.decide(request)

    def run(self, make: type[Schedule], case: Case, start: str, kind: str) -> list[Record]:
        """Every schedule of a verb from one start, with one kind of foreign write."""
        bucket = self.face.inner._session.channel.bucket

        def one(choices: Choices) -> Record:
            bucket.success(CAPACITY)  # each schedule stands for itself
            self.schedule = make(self.stage, case, choices, f"k{next(_keys)}")
            return self.schedule.run(start, kind)

        return list(every(one))

    def close(self) -> None:
        """Close the face and end the proxy. Raises what went wrong in it."""
        self.face.close()
        self.stage.outside.close()
        self.proxy.stop()


class Theatre:
    """Several crews of one face, so that waiting costs less."""

    def __init__(self, endpoint: str, kind: str, crews: int, *, request_timeout: float = 2.0, **settings: Any) -> None:
        performance = HighThroughput(request_timeout=request_timeout)
        self.crews = [Crew(endpoint, kind, performance=performance, **settings) for _ in range(crews)]

    def explore(self, work: Iterable[tuple[Case, str, str]], make: type[Schedule] = Schedule) -> list[Record]:
        """Every schedule of every piece of work: a verb, its start, a kind of foreign write."""
        idle: queue.SimpleQueue[Crew] = queue.SimpleQueue()
        for crew in self.crews:
            idle.put(crew)

        def piece(job: tuple[Case, str, str]) -> list[Record]:
            crew = idle.get()
            try:
                return crew.run(make, *job)
            finally:
                idle.put(crew)

        with ThreadPoolExecutor(len(self.crews)) as pool:
            return [record for records in pool.map(piece, work) for record in records]

    def close(self) -> None:
        """Close every crew."""
        for crew in self.crews:
            crew.close()


def pieces(case: Case) -> list[tuple[Case, str, str]]:
    """A verb with each start and each kind of foreign write."""
    return [(case, start, kind) for start, kinds in case.starts.items() for kind in kinds]


def wrong(records: Iterable[Record]) -> list[Record]:
    """Those that broke a promise."""
    return [record for record in records if record.wrong not in {None, DUPLICATED}]


def row(name: str, face: str, records: Sequence[Record], seconds: float) -> str:
    """One line of the table."""
    last = Counter(record.told.last for record in records)
    copied = sum(record.wrong == DUPLICATED for record in records)
    return (
        f"held | {name:22} | {face:8} | {len(records):5} schedules | {len(wrong(records)):4} wrong"
        f" | {copied:3} copied by the network | {last[Outcome.UNKNOWN]:4} unknown ({last[Outcome.UNKNOWN] / len(records):5.1%})"
        f" | {seconds:5.1f} s"
    )


def told(broken: Sequence[Record], count: int) -> str:
    """The first broken schedules of each verb, in words."""
    verbs = Counter(one.name for one in broken)
    first = [one for name in verbs for one in [one for one in broken if one.name == name][: max(2, 12 // len(verbs))]]
    return "\n".join([f"{len(broken)} of {count} schedules are wrong, {dict(verbs)}:", *map(str, first)])
