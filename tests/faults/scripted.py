"""A database of either face over a `ScriptedDriver` and its fake clock: no sockets, no waiting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from dynamorm import AsyncDB, Config, Credentials, Presets
from dynamorm.effects import Flow
from dynamorm.faces import verbs
from dynamorm.session import Session
from dynamorm.testing import FakeClock, FakeReply, ScriptedDriver, SentRequest, failure, reply
from tests.faults.verbs import KEYS
from tests.support.faces import Face
from tests.support.faults import Store

AWS = ".amazonaws.com"
TRUE = 1_700_000_000.0
"""The time at which a `TimedService` starts."""


class _Awaitable:
    """The driver as the asyncio face wants it."""

    def __init__(self, driver: ScriptedDriver) -> None:
        self._driver = driver

    async def run(self, flow: Flow[Any]) -> Any:
        return self._driver.run(flow)

    async def close(self) -> None:
        self._driver.close()


class Scripted:
    """``db`` is a `Face` whose driver is ``driver``, on ``clock``."""

    def __init__(self, kind: str, script: Any, *, clock: FakeClock | None = None, **settings: Any) -> None:
        self.clock = FakeClock() if clock is None else clock
        self.driver = ScriptedDriver(script, clock=self.clock)
        endpoint = settings.pop("endpoint", "http://127.0.0.1:9")
        if AWS in endpoint:
            settings.setdefault("credentials", Credentials("AKID", "secret"))
            config = Config(endpoint=endpoint, **settings)
        else:
            config = Presets.local_development(endpoint=endpoint, **settings)
        self.db = Face(kind, config)
        self.session = Session(config, self.clock)
        self.session.stand_in(verbs)
        inner = self.db.inner
        inner._session = self.session
        inner._io = _Awaitable(self.driver) if isinstance(inner, AsyncDB) else self.driver
        self.session.run = inner._io.run

    @property
    def elapsed(self) -> float:
        """Seconds on the fake clock since it was made."""
        return self.clock.monotonic() - 1_000.0


class TimedService:
    """A DynamoDB with a right clock: it refuses a signature that is more than five minutes off."""

    def __init__(self, clock: FakeClock, code: str = "InvalidSignatureException") -> None:
        self.clock = clock
        self.code = code
        self.store = Store(KEYS)
        self.store.seed("payments", id="p1", amount=100, version=2, _wt=b"seed0000")
        self.date: Callable[[], str | None] = lambda: formatdate(self.now, usegmt=True)
        self.faults: list[Any] = []
        self.signed: list[float] = []

    @property
    def now(self) -> float:
        """The time, which no jump of the client's clock changes."""
        return TRUE + self.clock.monotonic() - 1_000.0

    def __call__(self, request: SentRequest) -> Any:
        """Serve a request."""
        moment = datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        self.signed.append(moment)
        date = self.date()
        stamp = None if date is None else date.encode()
        if abs(moment - self.now) > 300:
            refusal = failure(self.code, 400, "Signature not yet current or expired")
            refusal.date = stamp
            return refusal
        if self.faults:
            fault = self.faults.pop(0)
            found = fault(self, request)
            if found is not None:
                return found
        return self.answer(request, stamp)

    def answer(self, request: SentRequest, stamp: bytes | None = None) -> FakeReply:
        """Apply a request."""
        status, body = self.store(request.operation, request.json)
        return reply(body, status, date=stamp)
