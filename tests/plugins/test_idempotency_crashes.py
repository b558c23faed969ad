"""K01-K06 of an operation: the process dies by kill -9 at each point; another one ends it, once, when the lease has ended."""

import os
import subprocess
import sys
import uuid
from pathlib import Path
from time import monotonic

import pytest

from dynamorm import DB
from dynamorm.payments import ensure_tables
from tests.support import lines
from tests.support.faces import FACES

from . import idempotency_crash as crash
from . import idempotency_worker as worker

pytestmark = pytest.mark.engine

POINTS = [(moment, number) for number in (1, 2, 3, 4) for moment in ("before", "after")]

TURN = 0.5
"""Seconds at most between two looks of who waits."""


def killed(face, engine, prefix, folder, key, moment, number):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run(
        [sys.executable, crash.__file__, face, engine.endpoint, prefix, str(folder), key, moment, str(number)],
        env=environment,
        check=False,
    )
    assert ran.returncode == -9


@pytest.mark.parametrize("face_kind", FACES)
def test_a_process_that_dies_at_any_point_leaves_one_effect(face_kind, engine, open_db, tmp_path, figure):
    prefix = f"crash-{uuid.uuid4().hex[:8]}-"
    took = []
    with DB(worker.config(engine.endpoint, prefix)) as db:
        ensure_tables(db)
        db.tables.ensure(worker.Effect)
        for moment, number in POINTS:
            key = f"{moment}-{number}"
            killed(face_kind, engine, prefix, tmp_path, key, moment, number)
            died = monotonic()
            is_applied = (moment, number) == ("after", 4)
            assert (db.get(worker.Effect, key, consistent=True) is not None) == is_applied

            worker.blocking(db, worker.Work(str(tmp_path), key, 0, 0), key)
            if not is_applied:
                took.append(monotonic() - died)
            assert db.get(worker.Effect, key, consistent=True).count == 1

    charges = lines.read(tmp_path / "charges.jsonl")
    assert {line["key"] for line in charges} == {f"{moment}-{number}" for moment, number in POINTS}
    for moment, number in POINTS:
        given = [line["given"] for line in charges if line["key"] == f"{moment}-{number}"]
        assert len(set(given)) == 1
        # Only a step whose result was not kept yet is run again, with the same key.
        assert len(given) == (2 if (moment, number) == ("before", 3) else 1)
    # Who is late is late at each point; what is late now and then is this machine.
    assert min(took) <= worker.LEASE + 2 + TURN
    assert max(took) <= worker.LEASE + 2 + TURN + 30
    figure(
        f"K01-K06 {face_kind}: {len(POINTS)} points, one effect each; taken over after {max(took):.2f} s, lease {worker.LEASE} s"
    )
