"""A database of either face over a `ScriptedDriver` and its fake clock: no sockets, no waiting."""

from __future__ import annotations

from typing import Any

from dynamorm import AsyncDB, Config, Credentials, Presets
from dynamorm.effects import Flow
from dynamorm.session import Session
from dynamorm.testing import FakeClock, ScriptedDriver
from tests.support.faces import Face

AWS = ".amazonaws.com"


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
        inner = self.db.inner
        inner._session = self.session
        inner._io = _Awaitable(self.driver) if isinstance(inner, AsyncDB) else self.driver
        self.session.run = inner._io.run

    @property
    def elapsed(self) -> float:
        """Seconds on the fake clock since it was made."""
        return self.clock.monotonic() - 1_000.0
