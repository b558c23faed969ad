"""Held networks: in every schedule of up to two held copies and one foreign write, what was said of a write is true.

Each verb meets every way in which the network may treat its requests (deliver, deliver and lose the answer, hold, deliver
and hold a copy), with the held copies delivered at every place: before a later request, after the verb has returned,
before and after the foreign write. NOT_APPLIED means that no copy was applied until the very end; APPLIED means once.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from dynamorm import HighThroughput, Outcome, Presets
from dynamorm.testing.engines import DynamoDBLocal
from dynamorm.testing.holding import HoldingProxy
from dynamorm.wire.retry import CAPACITY
from tests.held.cases import CASES, Case
from tests.held.explore import every
from tests.held.schedule import DUPLICATED, Record, Schedule, Stage
from tests.held.world import PREFIX, Outside
from tests.support.faces import FACES, Face

pytestmark = [pytest.mark.local, pytest.mark.timeout(600)]

_names = itertools.count()


class Theatre:
    """One engine, one outside, and a face of each kind behind a proxy of its own; the schedule of the moment decides."""

    def __init__(self, engine: Any) -> None:
        self.outside = Outside(engine.endpoint)
        self.now: dict[str, Schedule] = {}
        self.proxies = {
            kind: HoldingProxy(engine.endpoint, lambda request, kind=kind: self.now[kind].decide(request))
            for kind in FACES
        }
        self.stages = {
            kind: Stage(
                Face(
                    kind,
                    Presets.local_development(
                        endpoint=proxy.endpoint,
                        table_prefix=PREFIX,
                        retry_base=0.001,
                        performance=HighThroughput(request_timeout=2.0),
                    ),
                ),
                proxy,
                self.outside,
            )
            for kind, proxy in self.proxies.items()
        }

    def explore(self, kind: str, case: Case) -> Iterator[Record]:
        """Every schedule of a verb on one face."""
        stage = self.stages[kind]
        bucket = stage.db.inner._session.channel.bucket
        for start, foreign in case.starts.items():
            for one in foreign:

                def run(choices: Any, start: str = start, one: str = one) -> Record:
                    bucket.success(CAPACITY)
                    schedule = self.now[kind] = Schedule(stage, case, choices, f"k{next(_names)}")
                    return schedule.run(start, one)

                yield from every(run)

    def close(self) -> None:
        for stage in self.stages.values():
            stage.db.close()
        for proxy in self.proxies.values():
            proxy.stop()
        self.outside.close()


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with DynamoDBLocal() as engine:
        made = Theatre(engine)
        yield made
        made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_said_of_a_write_is_true_to_the_last_copy(theatre: Theatre, face_kind: str, case: Case) -> None:
    began = time.monotonic()
    records = list(theatre.explore(face_kind, case))
    assert not theatre.proxies[face_kind].problems
    wrong = [record for record in records if record.wrong not in {None, DUPLICATED}]
    copied = sum(record.wrong == DUPLICATED for record in records)
    outcomes = Counter(record.told.last for record in records)
    print(  # noqa: T201 - the proof
        f"\nheld {case.name:24} {face_kind:9} {len(records):6} schedules, wrong {len(wrong):5}, "
        f"copied by the network {copied:4}, unknown {outcomes[Outcome.UNKNOWN]:5} ({outcomes[Outcome.UNKNOWN] / len(records):.1%}), "
        f"{time.monotonic() - began:.1f} s"
    )
    assert not wrong, "\n".join([f"{len(wrong)} of {len(records)} are wrong:", *map(str, wrong[:12])])
