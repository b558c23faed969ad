"""Engines of the tests of the engine, and a way to ask them in plain Python."""

import json

import pytest

from dynamorm.engine import Engine


class Asked:
    """An engine, asked with keyword arguments: ``ask.PutItem(TableName="t", Item={...})``."""

    def __init__(self, engine):
        self.engine = engine

    def __getattr__(self, operation):
        def ask(**request):
            status, body = self.engine.handle(operation, json.dumps(request).encode())
            answer = json.loads(body)
            if status != 200:
                raise Failed(status, answer)
            return answer

        return ask


class Failed(Exception):
    """An answer that is an error."""

    def __init__(self, status, body):
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.name = body["__type"].rpartition("#")[2]
        self.text = body.get("message", body.get("Message", ""))


def schema(*names):
    """A KeySchema of one or two attributes."""
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


def index(name, *keys, projection="ALL", kept=None):
    """An index."""
    shape = {"ProjectionType": projection} | ({"NonKeyAttributes": kept} if kept else {})
    return {"IndexName": name, "KeySchema": schema(*keys), "Projection": shape}


def table(name, *keys, types=None, on_global=(), on_local=(), **more):
    """A CreateTable request."""
    types = dict.fromkeys(keys, "S") | (types or {})
    request = {
        "TableName": name,
        "KeySchema": schema(*keys),
        "AttributeDefinitions": [{"AttributeName": one, "AttributeType": tag} for one, tag in types.items()],
        "BillingMode": "PAY_PER_REQUEST",
    }
    if on_global:
        request["GlobalSecondaryIndexes"] = list(on_global)
    if on_local:
        request["LocalSecondaryIndexes"] = list(on_local)
    return request | more


@pytest.fixture
def engine():
    with Engine() as made:
        yield made


@pytest.fixture
def ask(engine):
    return Asked(engine)
