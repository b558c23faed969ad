"""`Recorder`: what a database has sent, to be asserted. A plugin that only looks; it must not know how requests are made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from types import TracebackType
from typing import Any, Self

from dynamorm.plugin import Call, consumed
from dynamorm.testing.own_tables import PURPOSE

_serial = count(1)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Capacity units: ``read`` and ``write``, exact."""

    read: Decimal = Decimal(0)
    write: Decimal = Decimal(0)

    def __add__(self, other: Capacity) -> Capacity:
        return Capacity(self.read + other.read, self.write + other.write)


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request that was sent: the operation ``op`` on the wire, its ``table`` and ``index``, what it cost, its size.

    ``table`` has the names of all tables where there are several, with ``", "`` between them. ``bytes`` counts the body.
    ``attempt`` is 1 for the first request of a call, 2 for that which repeats it. ``capacity`` is 0 where no answer told.
    """

    op: str
    table: str
    index: str | None
    capacity: Capacity
    bytes: int
    attempt: int


class Recorder:
    """Records what a database and its views send, from the beginning of a ``with`` block to its end.

    ``requests`` holds everything that was sent, in order, without the requests by which a test database makes its tables.
    Costs are asked for from the first `Recorder` of a database on; where that comes after the first call, requests that
    hold a token (transactions, and what is sent as one) stay without.

    Example::

        with Recorder(db) as r:
            db.create(payment)
        assert r.operations == ["PutItem"]
        r.no_scans().at_most(1)
        assert r.capacity.write == 1
    """

    def __init__(self, db: Any) -> None:
        self.requests: list[RecordedRequest] = []
        self._hub = _hub_of(db)

    @property
    def operations(self) -> list[str]:
        """The operations in the order in which they were sent."""
        return [request.op for request in self.requests]

    @property
    def capacity(self) -> Capacity:
        """The units of all of them."""
        return sum((request.capacity for request in self.requests), Capacity())

    def clear(self) -> None:
        """Forget what was recorded.

        Example: ``r.clear()`` between two parts of a test
        """
        self.requests.clear()

    def no_scans(self) -> Self:
        """Assert that no table and no index was scanned. Returns the recorder.

        Raises: AssertionError.
        """
        scans = [request for request in self.requests if request.op == "Scan"]
        if scans:
            raise AssertionError(f"{len(scans)} Scan requests were sent:{_told(scans)}")
        return self

    def at_most(self, requests: int) -> Self:
        """Assert that at most so many requests were sent. Returns the recorder.

        Raises: AssertionError, which lists them.
        """
        if len(self.requests) > requests:
            raise AssertionError(
                f"{len(self.requests)} requests were sent, not at most {requests}:{_told(self.requests)}"
            )
        return self

    def __enter__(self) -> Self:
        """Begin."""
        self._hub.listeners = (*self._hub.listeners, self.requests.append)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record no more."""
        mine = self.requests
        kept = [one for one in self._hub.listeners if getattr(one, "__self__", None) is not mine]
        self._hub.listeners = tuple(kept)


def _told(requests: list[RecordedRequest]) -> str:
    return "".join(f"\n  {one.op} {one.table}{'' if one.index is None else f'/{one.index}'}" for one in requests[:20])


class _Hub:
    """The plugin that tells the recorders of one database."""

    return_consumed_capacity = "INDEXES"

    def __init__(self) -> None:
        self.name = f"recorder {next(_serial)}"
        self.listeners: tuple[Callable[[RecordedRequest], None], ...] = ()
        self._attempts: dict[int, int] = {}

    def call_began(self, call: Call) -> None:
        """Count attempts from 1."""
        self._attempts[id(call)] = 0

    def call_ended(self, call: Call, error: BaseException | None) -> None:
        """Forget the call."""
        del error
        self._attempts.pop(id(call), None)

    def observed(self, call: Call, reply: Any, error: BaseException | None) -> None:
        """One attempt."""
        del error
        attempt = self._attempts[id(call)] = self._attempts.get(id(call), 0) + 1
        if not self.listeners or call.purpose == PURPOSE:
            return
        units = consumed(call, reply) if reply is not None and reply.status == 200 else ()
        cost = Capacity(
            sum((Decimal(str(one.read_units)) for one in units), Decimal(0)),
            sum((Decimal(str(one.write_units)) for one in units), Decimal(0)),
        )
        index = json.loads(call.body).get("IndexName")
        request = RecordedRequest(call.name, call.table, index, cost, len(call.body), attempt)
        for tell in self.listeners:
            tell(request)


def _hub_of(db: Any) -> _Hub:
    """The plugin of a database, registered with its first recorder. Raises: ConfigError for a view of one that has none."""
    for plugin in db.plugins:
        if isinstance(plugin, _Hub):
            return plugin
    hub = _Hub()
    db.use(hub)
    return hub
