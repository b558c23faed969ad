"""Eight processes that are killed, tasks that are cancelled, and a third of all exchanges spoiled, at default settings.

Every operation is noted with its times, and checkers that do not use the library look for what no correct system can have
done: registers, sets and counters are linearizable per key; money stays; transactions are strictly serializable.
"""

from __future__ import annotations

import pathlib
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import DB, Presets
from dynamorm.testing.proxy import Fault
from tests.conftest import ENGINE
from tests.histories.supervisor import Supervisor
from tests.histories.test_histories import FAULTS
from tests.jepsen import record
from tests.jepsen.judge import WatchingProxy, everything, judge
from tests.jepsen.model import ACCOUNTS, MODELS, Account
from tests.jepsen.record import OK


class _Enough:
    """Whether so many operations were begun, and so much time has passed since the first ones."""

    def __init__(self, folder: pathlib.Path, operations: int, seconds: float) -> None:
        self._folder = folder
        self._operations = operations
        self._seconds = seconds
        self._begun = 0
        self._from = 0.0
        self._look = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if now >= self._look and self._begun < self._operations:
            self._begun = sum(one.read_bytes().count(b'"begun"') for one in self._folder.glob("journal.*"))
            self._look = now + 0.5
        self._from = self._from or (now if self._begun else 0.0)
        return self._begun >= self._operations and now - self._from >= self._seconds


def _run(
    engine: Any, folder: pathlib.Path, figure: Callable[[str], None], *, operations: int, seconds: float = 0.0,
    every: float, seed: int, peers: int = 8, lanes: int = 3,
) -> None:  # fmt: skip
    prefix = f"jepsen-{uuid.uuid4().hex[:8]}-"
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        for model in MODELS:
            db.tables.ensure(model)
        for name in ACCOUNTS:
            db.create(Account(id=name))
    began = time.monotonic()
    with WatchingProxy(engine.endpoint, seed=seed, loss=0.3, faults=FAULTS, delay=3.0, late=3.0) as proxy:
        supervisor = Supervisor(
            proxy.endpoint, engine.endpoint, prefix, folder, operations=10**9, peers=peers, lanes=lanes, every=every,
            seed=seed, worker="tests.jepsen.worker",
        )  # fmt: skip
        enough = _Enough(folder, operations, seconds)
        paths = supervisor.run(until=lambda: enough() and supervisor.killed > 0)
        proxy.settle()
        assert proxy.counts.get("upstream failed", 0) == 0
        faults = ", ".join(f"{proxy.counts.get(fault, 0)} {fault.value}" for fault in Fault if fault in FAULTS)
        faulted, spent = proxy.faulted, time.monotonic() - began
    noted = record.read(paths)
    stored = everything(engine.endpoint, prefix)
    verdict = judge(noted, stored, proxy.delivered)
    figure(f"jepsen | {verdict}; {faulted} faults, {supervisor.killed} processes killed, {spent:.0f} s")
    figure(f"jepsen, faults | {faults}")
    figure(f"jepsen, errors | {dict(verdict.errors.most_common(20))}")
    if seconds:
        # What the network does to plain writes is an anomaly to who does not know of it: the checkers have eyes.
        figure(
            f"jepsen, copies | {len(judge(noted, stored, ()).wrong)} anomalies without the proxy's word on its copies"
        )
    # And a number that nobody can have stored is seen in the same history.
    key = next(iter(stored.counters))
    assert judge(noted, stored._replace(counters=stored.counters | {key: -1}), proxy.delivered).wrong
    assert not verdict.wrong, "\n\n".join([str(verdict), *verdict.wrong[:20]])
    assert not verdict.undecided, "\n\n".join(verdict.undecided[:20])
    assert verdict.counts[OK] >= operations / 3
    assert supervisor.killed > 0


@pytest.mark.engine
@pytest.mark.once
@pytest.mark.timeout(120)
@pytest.mark.skipif(ENGINE != "memory", reason="ten minutes of it run on DynamoDB Local with `make soak`")
def test_a_short_history_shows_no_anomaly(engine, tmp_path, figure):
    _run(engine, tmp_path, figure, operations=300, every=1, seed=11, peers=4, lanes=6)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.skipif(ENGINE != "memory", reason="on the engine inside the process")
def test_ten_minutes_on_our_engine_show_no_anomaly(engine, tmp_path, figure):
    _run(engine, tmp_path, figure, operations=5_000, seconds=600, every=4, seed=21)


@pytest.mark.soak
@pytest.mark.local
@pytest.mark.timeout(3_600)
@pytest.mark.skipif(ENGINE != "local", reason="on DynamoDB Local")
def test_ten_minutes_on_dynamodb_local_show_no_anomaly(engine, tmp_path, figure):
    _run(engine, tmp_path, figure, operations=5_000, seconds=600, every=4, seed=31)
