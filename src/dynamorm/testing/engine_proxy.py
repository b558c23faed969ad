"""What every proxy in front of an engine is: a `FaultServer` whose backend is the engine. It must not know the client."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from dynamorm.testing.answers import Answer
from dynamorm.testing.backend import EngineBackend
from dynamorm.testing.request import Request
from dynamorm.testing.server import FaultServer

_TURNS = 10  # of the loop, until a request that waits in the system's buffer has been read
_POLL = 0.002


class EngineProxy:
    """An HTTP proxy on loopback in front of ``engine``. A subclass says what becomes of each request, by `_script`.

    It serves from construction until `stop`.

    Example: ``class Slow(EngineProxy): ...``
    """

    def __init__(self, engine: EngineBackend) -> None:
        self._server = FaultServer(self._script, backend=engine, keep=0)

    @property
    def endpoint(self) -> str:
        """The proxy's URL, to be given to the client."""
        return self._server.endpoint

    @property
    def problems(self) -> list[BaseException]:
        """What has gone wrong in the proxy itself, or with the engine."""
        return self._server.problems

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until nothing is on its way to the engine: a client may have given up what is still being delivered.

        Not from the proxy's own thread. Raises TimeoutError after ``timeout`` seconds.
        """
        self._server.run(lambda: self._settled(timeout))

    def stop(self) -> None:
        """End the proxy and its connections; what is still on its way is dropped. Raises the first of `problems`, once."""
        self._server.stop()

    def __enter__(self) -> Self:
        """Return the running proxy."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the proxy."""
        self._server.__exit__(kind, error, trace)

    def _script(self, request: Request) -> Answer:
        """What becomes of a request."""
        raise NotImplementedError

    def _is_busy(self) -> bool:
        """Whether something is on its way to the engine."""
        raise NotImplementedError

    async def _settled(self, timeout: float) -> None:
        async with asyncio.timeout(timeout):
            for _ in range(_TURNS):  # what was sent before its client gave up is read, and decided on
                await asyncio.sleep(0)
            while self._is_busy():  # noqa: ASYNC110 - a test waits; an Event would cost every request
                await asyncio.sleep(_POLL)
