"""Random sequences of requests are answered as DynamoDB Local answers them, but for what named rules leave out.

DynamoDB Local is a referee only where nothing observed on AWS says otherwise (docs/engines.md). The seed is in the report of a
failure; ``DYNAMORM_TEST_SEED`` sets another.
"""

import http.client
import json
import os
import random

import pytest

from dynamorm.engine import Engine
from dynamorm.testing.engines import SHORT_RUN, DynamoDBLocal

from .sequences import TABLES, Rules, Sequence

SEED = int(os.environ.get("DYNAMORM_TEST_SEED", "20260101"))
LENGTH = 250
MOST_LEFT_OUT = 0.02


class Local:
    """DynamoDB Local, asked with bytes."""

    def __init__(self, engine):
        self.connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)

    def handle(self, operation, body):
        scope = "AWS4-HMAC-SHA256 Credential=local/20200101/us-east-1/dynamodb/aws4_request"
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Authorization": f"{scope}, SignedHeaders=host, Signature=0",
        }
        self.connection.request("POST", "/", body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def local():
    with DynamoDBLocal(jvm=SHORT_RUN) as running:
        asked = Local(running)
        yield asked
        asked.connection.close()


def ask(engine, operation, request):
    status, body = engine.handle(operation, json.dumps(request).encode())
    return status, json.loads(body)


@pytest.mark.local
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.soak)])
def test_random_sequences_are_answered_alike(local, figure, count):
    rules, differences = Rules(), []
    for number in range(count):
        rng = random.Random(f"{SEED}/{number}")
        sequence = Sequence(rng)
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
