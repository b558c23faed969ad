"""Random sequences of requests are answered as DynamoDB Local answers them, but for what named rules leave out.

DynamoDB Local is a referee only where nothing observed on AWS says otherwise (docs/engines.md). The seed is in the report of a
failure; ``DYNAMORM_TEST_SEED`` sets another.
"""

import json
import os
import random

import pytest

from dynamorm.engine import Engine
from dynamorm.testing.engines import SHORT_RUN, DynamoDBLocal

from .sequences import TABLES, Drawn, Rules
from .side_by_side import Local, ShortSequences, ask

SEED = int(os.environ.get("DYNAMORM_TEST_SEED", "20260101"))
LENGTH = 250
FIRST = int(os.environ.get("DYNAMORM_TEST_FIRST", "0"))
"""The number of the short sequence that a long run begins with: one that was stopped goes on there."""
MOST_LEFT_OUT = 0.02


@pytest.fixture(scope="module")
def local():
    with DynamoDBLocal(jvm=SHORT_RUN) as running:
        asked = Local(running)
        yield asked
        asked.close()


@pytest.mark.local
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.soak)])
def test_random_sequences_are_answered_alike(local, figure, count):
    rules, differences = Rules(), []
    for number in range(count):
        rng = random.Random(f"{SEED}/{number}")
        sequence = Drawn(rng)
        with Engine() as engine:
            for one in TABLES:
                for side in (engine, local):
                    assert ask(side, "CreateTable", one)[0] == 200
            for step in range(LENGTH):
                operation, request = sequence.request()
                ours, theirs = ask(engine, operation, request), ask(local, operation, request)
                if rules.differ(operation, request, ours, theirs):
                    shown = json.dumps({"request": request, "ours": ours, "theirs": theirs})[:6000]
                    differences.append(f"sequence {SEED}/{number}, step {step}, {operation}: {shown}")
                if ours[0] != theirs[0]:
                    break  # from here on the two hold different items
            for one in TABLES:
                ask(local, "DeleteTable", {"TableName": one["TableName"]})
    figure(f"engine beside DynamoDB Local: {rules.compared} requests, left out {dict(rules.left_out)}")
    assert not differences, f"{len(differences)} differences:\n" + "\n".join(differences[:8])
    assert rules.compared > count * LENGTH / 4
    assert sum(rules.left_out.values()) < MOST_LEFT_OUT * rules.compared


@pytest.mark.local
@pytest.mark.timeout(36_000)
@pytest.mark.parametrize("count", [200, pytest.param(100_000, marks=pytest.mark.soak)])
def test_short_random_sequences_are_answered_alike(local, figure, count, capsys):
    """A long run tells after each thousand how far it came; ``DYNAMORM_TEST_FIRST`` says where it goes on."""
    found = ShortSequences(local, SEED)
    first = FIRST if count > 1000 else 0

    def tell(text):
        with capsys.disabled():
            print(text, flush=True)  # noqa: T201 - a run of an hour tells how far it came

    found.run(first, count - first, tell if count > 1000 else lambda _: None)
    figure(f"engine beside DynamoDB Local: {found.told(first)}")
    assert not found.differences, f"{len(found.differences)} differences:\n" + "\n".join(found.differences[:8])
    assert found.compared == count - first
    assert found.ended_early < MOST_LEFT_OUT * found.compared
    assert sum(found.rules.left_out.values()) < MOST_LEFT_OUT * found.rules.compared
