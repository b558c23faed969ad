"""Random PartiQL statements are answered as DynamoDB Local answers them, but for what named rules leave out (docs/engines.md)."""

import json
import random

import pytest

from dynamorm.engine import Engine

from .statements import TABLE, Rules, Statements, seen
from .test_beside_local import MOST_LEFT_OUT, SEED, ask, local

__all__ = ["local"]

LENGTH = 200


@pytest.mark.local
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("count", [15, pytest.param(300, marks=pytest.mark.soak)])
def test_random_statements_are_answered_alike(local, figure, count):
    rules, differences = Rules(), []
    for number in range(count):
        drawn = Statements(random.Random(f"{SEED}/statements/{number}"))
        with Engine() as engine:
            for side in (engine, local):
                assert ask(side, "CreateTable", TABLE)[0] == 200
            for step in range(LENGTH):
                operation, request = drawn.request()
                ours, theirs = ask(engine, operation, request), ask(local, operation, request)
                differs = rules.differ(operation, request, ours, theirs)
                same = scan(engine) == scan(local)
                if differs or (ours[0] == theirs[0] == 200 and not same):
                    shown = json.dumps({"request": request, "ours": ours, "theirs": theirs})[:3000]
                    differences.append(f"sequence {SEED}/{number}, step {step}: {shown}")
                if not same:
                    break  # from here on the two hold different items
            ask(local, "DeleteTable", {"TableName": "wide"})
    figure(f"PartiQL beside DynamoDB Local: {rules.compared} requests, left out {dict(rules.left_out)}")
    assert not differences, f"{len(differences)} differences:\n" + "\n".join(differences[:8])
    assert rules.compared > count * LENGTH / 8
    assert sum(rules.left_out.values()) < MOST_LEFT_OUT * rules.compared


def scan(side):
    return seen(200, ask(side, "Scan", {"TableName": "wide"})[1])
