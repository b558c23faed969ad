"""A database of either face, with plugins, over a script and a fake clock: no sockets, no waiting."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from dynamorm import AsyncDB, Attr, Model, Presets, attr, partition_key, sort_key, version
from dynamorm.faces import verbs
from dynamorm.faces.plugins import register
from dynamorm.session import Session
from dynamorm.testing import FakeClock, ScriptedDriver, failure, reply
from tests.support.faces import Face


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


STORED = {"Item": {"id": {"S": "p1"}, "amount": {"N": "100"}, "version": {"N": "2"}}}
FOUND = reply(STORED)
DONE = reply({})
BROKEN = failure("InternalServerError", 500)
THROTTLED = failure("ThrottlingException", message="Throughput exceeds the current capacity")
REFUSED = failure("ConditionalCheckFailedException", message="The conditional request failed")
DENIED = failure("AccessDeniedException", message="not allowed")


class _Awaitable:
    def __init__(self, driver: ScriptedDriver) -> None:
        self._driver = driver

    async def run(self, flow: Any) -> Any:
        return self._driver.run(flow)

    async def close(self) -> None:
        self._driver.close()


class Scripted:
    """``db`` is a `Face` whose driver is ``driver``, on ``clock``; ``answer`` is what each request gets, unless it is a function."""

    def __init__(self, kind: str, *plugins: Any, answer: Any = FOUND, clock: FakeClock, **settings: Any) -> None:
        self.answer, self.clock = answer, clock
        self.driver = ScriptedDriver(self._decide, clock=clock)
        config = Presets.local_development(endpoint="http://127.0.0.1:9", **settings)
        self.db = Face(kind, config)
        inner = self.db.inner
        inner._session = session = Session(config, clock)
        session.stand_in(verbs)
        register(session, inner, plugins)
        inner._io = _Awaitable(self.driver) if isinstance(inner, AsyncDB) else self.driver
        session.run = inner._io.run

    def _decide(self, request: Any) -> Any:
        return self.answer(request) if callable(self.answer) else self.answer

    @property
    def sent(self) -> int:
        """How many requests were sent."""
        return len(self.driver.requests)


async def note_gaps(gaps: list[float], stop: asyncio.Event) -> None:
    """Note how long the event loop has kept a task from its turn, again and again until ``stop`` is set."""
    last = time.monotonic()
    while not stop.is_set():
        await asyncio.sleep(0.001)
        now = time.monotonic()
        gaps.append(now - last)
        last = now
