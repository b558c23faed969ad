"""What the tests of the batcher share: futures of either face, and a service that does as it is told."""

import asyncio
import json
import threading
import time
from datetime import datetime

from dynamorm import Attr, BatchConfig, Model, Presets, attr, created_at, partition_key, version
from dynamorm.effects import TransportError
from dynamorm.plugins.batcher import aio, blocking, work
from dynamorm.testing import failure, reply
from tests.faults.scripted import Scripted
from tests.support.faces import Face
from tests.support.faults import Store


class Event(Model, table="events"):
    """Nothing guards it: it goes with others."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")


class Payment(Model, table="payments"):
    """Under a version."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    made: Attr[datetime] = created_at()
    version: Attr[int] = version()


def outcome(face, future, timeout=20):
    """What a future gives."""
    if face._loop is None:
        return future.result(timeout)

    async def waited():
        async with asyncio.timeout(timeout):
            return await future

    return face._loop.run(waited())


def error_of(face, future, timeout=20):
    """The error of a future."""
    try:
        outcome(face, future, timeout)
    except Exception as error:  # noqa: BLE001 - it is what the test asks for
        return error
    raise AssertionError("the future gave a result")


def wait_until(fact, timeout=30):
    """Wait for something another thread does."""
    end = time.monotonic() + timeout
    while not fact():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.005)


class Ahead:
    """The clock of all batchers, which a test puts ahead by so many seconds; who waits looks at it with the next item."""

    def __init__(self, monkeypatch):
        self.by = 0.0
        for module in (aio, blocking, work):
            monkeypatch.setattr(module, "monotonic", self)

    def __call__(self):
        return time.monotonic() + self.by


class Service:
    """Applies what it is sent, less what a test makes it leave undone, refuse or lose."""

    def __init__(self):
        self.store = Store({"events": ("id",), "payments": ("id",)})
        self.operations = []
        self.sent = []
        self.undone = lambda _: False
        self.poison = lambda _: False
        self.fault = lambda _: None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, request):
        self.gate.wait(20)
        self.operations.append(request.operation)
        body = json.loads(request.body)
        fault = self.fault(len(self.operations) - 1)
        if fault is not None and fault != "lost":
            return fault
        if request.operation == "BatchWriteItem":
            answer = self.batch(body)
        else:
            status, answer = self.store(request.operation, body)
            answer = reply(answer, status)
        return TransportError("receive", "reset", sent=True) if fault == "lost" else answer

    def batch(self, body):
        names = []
        left = {}
        for table, asked in body["RequestItems"].items():
            done = []
            for one in asked:
                ((kind, what),) = one.items()
                name = (what.get("Item") or what["Key"])["id"]["S"]
                names.append((kind[:3], name))
                if self.undone(name):
                    left.setdefault(table, []).append(one)
                else:
                    done.append(one)
            if not any(self.poison(name) for _, name in names):
                self.store("BatchWriteItem", {"RequestItems": {table: done}})
        self.sent.append(names)
        if any(self.poison(name) for _, name in names):
            return failure("ValidationException", message="The provided key element does not match the schema")
        return reply({"UnprocessedItems": left})

    def stored(self, table="events"):
        """What is stored, by key."""
        return {item["id"]["S"]: item for item in self.store.tables[table].values()}


def one(**settings):
    """A batcher that sends one request at a time: the script is no place for two."""
    return BatchConfig(**{"parallelism": 1, "max_wait": 0.02, **settings})


def scripted(kind, service, **settings):
    """A database over a service, and no network."""
    return Scripted(kind, service, **settings)


def opened(kind, endpoint, **settings):
    """A database on an engine."""
    return Face(kind, Presets.local_development(endpoint=endpoint, **settings))
