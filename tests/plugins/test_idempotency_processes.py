"""I01: several processes want the same keys, are killed at any moment, and 15 % of all answers are lost: one effect for each key."""

import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from time import monotonic, sleep

import pytest

from dynamorm import DB
from dynamorm.payments import ensure_tables
from dynamorm.testing.proxy import QUICK_FAULTS, LossyProxy
from tests.support import lines

from . import idempotency_worker as worker

pytestmark = pytest.mark.engine

PROCESSES = 3


class Crowd:
    """Processes that are begun again when they were killed."""

    def __init__(self, face, endpoint, prefix, folder, count):
        self.arguments = [face, endpoint, prefix, str(folder)], count
        self.kills = 0
        self.running = {f"process-{number}": None for number in range(PROCESSES)}

    def begin(self, name):
        fixed, count = self.arguments
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        self.running[name] = subprocess.Popen(
            [sys.executable, worker.__file__, *fixed, name, str(self.kills), str(count)], env=environment
        )

    def run(self, kills, seconds):
        dice, end = random.Random(7), monotonic() + seconds
        for name in list(self.running):
            self.begin(name)
        try:
            while self.running:
                assert monotonic() < end, f"not done after {seconds} seconds: {self.running}"
                sleep(dice.uniform(0.3, 1.2))
                self._look()
                if self.running and self.kills < kills:
                    name = dice.choice(sorted(self.running))
                    self.running[name].kill()
                    self.running[name].wait()
                    self.kills += 1
                    self.begin(name)
        finally:
            for process in self.running.values():
                process.kill()
                process.wait()

    def _look(self):
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                assert process.returncode == 0
                del self.running[name]


def crowded(face_kind, engine, folder, figure, *, count, kills, seconds):
    prefix = f"crowd-{face_kind}-{count}-"
    with LossyProxy(engine.endpoint, seed=5, loss=0.0, faults=QUICK_FAULTS) as proxy:
        with DB(worker.config(engine.endpoint, prefix)) as db:
            ensure_tables(db)
            db.tables.ensure(worker.Effect)
        proxy.set_loss(0.15)
        crowd, begun = Crowd(face_kind, proxy.endpoint, prefix, folder, count), monotonic()
        crowd.run(kills, seconds)
        took, lost = monotonic() - begun, proxy.faulted
        proxy.set_loss(0.0)
        proxy.settle()
        with DB(worker.config(engine.endpoint, prefix)) as db:
            found = {effect.id: effect.count for effect in db.model(worker.Effect).allow_scan().all()}

    assert Counter(found.values()) == {1: count}
    answers, keys = defaultdict(set), defaultdict(set)
    for name in (f"process-{number}" for number in range(PROCESSES)):
        for line in lines.read(folder / f"{name}.jsonl"):
            answers[line["key"]].add(line["response"])
    for line in lines.read(folder / "charges.jsonl"):
        keys[line["key"]].add(line["given"])
    assert len(answers) == len(keys) == count
    assert {len(one) for one in answers.values()} == {1}
    assert {len(one) for one in keys.values()} == {1}  # so that the other side does it once
    assert lost > 0
    figure(
        f"I01 {face_kind}: {count} keys, {PROCESSES} processes, {crowd.kills} kills, {lost} answers lost: {count} effects, one answer"
        f" and one key for the other side each, {took:.0f} s"
    )


@pytest.mark.timeout(240)
def test_one_effect_and_one_answer_for_each_key(face_kind, engine, tmp_path, figure):
    crowded(face_kind, engine, tmp_path, figure, count=200, kills=6, seconds=200)


@pytest.mark.soak
def test_one_effect_and_one_answer_for_each_of_many_keys(face_kind, engine, tmp_path, figure):
    crowded(face_kind, engine, tmp_path, figure, count=10_000, kills=60, seconds=3_600)
