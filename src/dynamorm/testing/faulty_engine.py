"""An engine over HTTP, with faults on demand: what stands at `TestDB.engine`. It must not know models."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from dynamorm.engine.faults import Faults
from dynamorm.testing.fault_proxy import FaultProxy


class FaultyEngine:
    """The engine at ``upstream``, an endpoint on loopback, and its ``faults``.

    ``endpoint`` is where it is to be asked. With the first look at ``faults`` that becomes a proxy, of which those are told
    that `follow` it; before, nothing stands between.

    Example::

        with FaultyEngine(engine.endpoint) as faulty:
            faulty.faults.throttle(share=0.2)
            db = DB(Presets.local_development(endpoint=faulty.endpoint))
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._prefixes: list[str] = []
        self._followers: list[Callable[[str], None]] = []
        self._proxy: FaultProxy | None = None

    def follow(self, moved: Callable[[str], None], prefix: str) -> None:
        """Let ``moved`` be told of the proxy's endpoint. Faults name the tables with this ``prefix`` without it.

        Example: ``faulty.follow(client.move, "test-1-")``
        """
        self._prefixes.append(prefix)
        if self._proxy is None:
            self._followers.append(moved)
        else:
            self._proxy.prefixes = tuple(self._prefixes)
            moved(self._proxy.endpoint)

    @property
    def endpoint(self) -> str:
        """The URL to be given to a client."""
        return self._upstream if self._proxy is None else self._proxy.endpoint

    @property
    def faults(self) -> Faults:
        """The faults of this engine; see `dynamorm.engine.faults.Faults`.

        Example: ``test_db.engine.faults.lose_reply(op="PutItem", times=1)``
        """
        if self._proxy is None:
            self._proxy = FaultProxy(self._upstream, prefixes=self._prefixes)
            for moved in self._followers:
                moved(self._proxy.endpoint)
        return self._proxy.faults

    def mend(self) -> None:
        """Remove all faults: the test is over, and its tables are to be deleted."""
        if self._proxy is not None:
            self._proxy.faults.clear()

    def close(self) -> None:
        """End the proxy, if there is one. Raises what has gone wrong in it, once."""
        proxy, self._proxy = self._proxy, None
        if proxy is not None:
            proxy.stop()

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()
