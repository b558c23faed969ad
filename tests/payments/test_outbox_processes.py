"""Processes that deliver once and end, as jobs of a timer, some of them killed: every event comes, in the order of its key, and soon."""

import itertools
import json
import os
import random
import subprocess
import sys
import uuid
from collections import defaultdict
from pathlib import Path
from time import monotonic, sleep

import pytest

from dynamorm import DB
from dynamorm.payments import Outbox, ensure_tables
from dynamorm.payments.outbox import OutboxEvent
from dynamorm.payments.outbox.clock import MARGIN

from . import outbox_worker as worker

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

LEASE = 2.0
AT_ONCE = 3


def jobs(face_kind, engine, prefix, path, db, *, kills, seconds):
    """Begin a job as soon as one has ended, until nothing is left; kill some of them while they deliver.

    How many were begun, which were killed, and which of these between the beginning and the end of a delivery.
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, worker.__file__, face_kind, engine.endpoint, prefix, str(path), str(LEASE)]
    running, begun, killed, cut_off, end = [], 0, [], [], monotonic() + seconds
    dice = random.Random(5)
    try:
        while True:
            assert monotonic() < end, "the events were not delivered in time"
            for process in [one for one in running if one.poll() is not None]:
                assert process.returncode == 0
                running.remove(process)
            if db.model(OutboxEvent).allow_scan().count() == 0:
                return begun, killed, cut_off
            while len(running) < AT_ONCE:
                running.append(subprocess.Popen(command, env=environment))
                begun += 1
            sleep(0.05)
            delivering = {line["by"] for line in lines(path)[-AT_ONCE:] if line["is_begin"]}
            victims = [one for one in running if one.pid in delivering]
            if victims and len(cut_off) < kills and dice.random() < 0.5:
                victim = dice.choice(victims)
                victim.kill()
                victim.wait()
                running.remove(victim)
                killed.append(victim.pid)
                if [line for line in lines(path) if line["by"] == victim.pid][-1]["is_begin"]:
                    cut_off.append(victim.pid)
    finally:
        for process in running:
            process.kill()
            process.wait()


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def killed_jobs(face_kind, engine, folder, figure, *, keys, each, kills, seconds):
    prefix, path = f"jobs-{uuid.uuid4().hex[:8]}-", folder / "deliveries.jsonl"
    with DB(worker.config(engine.endpoint, prefix)) as db:
        ensure_tables(db)
        outbox = Outbox(db)
        for number in range(each):
            for key in range(keys):
                with db.transaction() as tx:
                    outbox.add(tx, "t", f"{number}", key=f"key-{key}")
        begun, killed, cut_off = jobs(face_kind, engine, prefix, path, db, kills=kills, seconds=seconds)
    of_key = defaultdict(list)
    for line in lines(path):
        of_key[line["key"]].append(line)
    assert len(of_key) == keys
    waits = []
    for events in of_key.values():
        bodies = [line["body"] for line in events if line["is_begin"]]
        assert list(dict.fromkeys(bodies)) == [f"{number}" for number in range(each)]  # all, in order
        assert all(int(later) >= int(former) for former, later in itertools.pairwise(bodies))
        # One at a time: a delivery begins when the one before it has ended, or when its process was killed and its lease is over.
        for former, later in itertools.pairwise(events):
            if former["is_begin"] and later["by"] != former["by"]:
                assert former["by"] in cut_off
                waits.append(later["at"] - former["at"])
            elif former["is_begin"]:
                assert (later["is_begin"], later["id"]) == (False, former["id"])
    assert all(LEASE + MARGIN / 1000 - 2.5 < wait < LEASE + MARGIN / 1000 + 10 for wait in waits), waits
    figure(
        f"outbox {face_kind}: {keys * each} events of {keys} keys by {begun} processes that deliver once, {len(killed)} killed -9, {len(cut_off)} of"
        f" them while they delivered: all delivered in order, one at a time; a key went on {max(waits, default=0):.1f} s after a crash at most (lease {LEASE:.0f} s)"
    )
    assert len(cut_off) == len(waits) >= kills


def test_jobs_that_are_killed_hold_up_a_key_for_seconds(face_kind, engine, tmp_path, figure):
    killed_jobs(face_kind, engine, tmp_path, figure, keys=4, each=25, kills=2, seconds=120)


@pytest.mark.soak
def test_many_jobs_that_are_killed(face_kind, engine, tmp_path, figure):
    killed_jobs(face_kind, engine, tmp_path, figure, keys=20, each=100, kills=25, seconds=900)
