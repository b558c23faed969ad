"""A proxy that keeps single requests back and delivers them when it is told to. It must not know the client.

What a network may do to a request that its sender has given up: hold it, deliver it late, twice, or after a later one.
"""

from __future__ import annotations

import http.client
import socket
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from dynamorm.models.schema.overriding import override
from dynamorm.testing import answers
from dynamorm.testing.answers import Answer, Message
from dynamorm.testing.backend import EngineBackend
from dynamorm.testing.engine_proxy import EngineProxy
from dynamorm.testing.request import Request


class Fate(StrEnum):
    """What becomes of one request, and what its client sees.

    Example: ``proxy.plan(Fate.HOLD, Fate.DELIVER)``
    """

    DELIVER = "delivered, answered"
    HOLD = "held; the client sees a reset"
    STALL = "held; the client sees nothing until its own time limit"
    LOSE = "delivered; the client sees a reset"
    DOUBLE = "delivered, answered; a copy is held"
    DROP = "never delivered; the client sees a reset"


HELD = frozenset({Fate.HOLD, Fate.STALL, Fate.DOUBLE})
"""The fates that leave a copy in the proxy."""

Decide: TypeAlias = Callable[[Request], Fate]


class Delivery(NamedTuple):
    """One request that reached the engine, what the engine answered, and whether it was a held copy.

    Example: ``[delivery.message.status for delivery in proxy.deliveries]``
    """

    request: Request
    message: Message
    late: bool


class HoldingProxy(EngineProxy):
    """An HTTP proxy on loopback in front of an engine, which holds the requests it is told to hold.

    ``upstream`` is the engine's endpoint. ``decide(request)`` chooses the `Fate` of each request; without it the fates
    given to `plan` are used in the order of arrival, and everything else passes. ``decide`` runs in the proxy's own
    thread and nothing passes meanwhile, so it may also write to the engine, or `release` a held copy, just before the
    request is delivered.

    Copies that were never released are dropped when the proxy stops.

    Raises ValueError for an endpoint that is not on loopback.

    Example::

        with DynamoDBLocal() as engine, HoldingProxy(engine.endpoint) as proxy:
            db = DB(Presets.local_development(endpoint=proxy.endpoint))
            proxy.plan(Fate.HOLD)  # the first attempt is held, the second is delivered
            db.update(Payment, "p1", Payment.amount.add(5))
            assert proxy.release(proxy.held[0]).status == 200  # the late copy is a repetition to the engine
    """

    def __init__(self, upstream: str, decide: Decide | None = None) -> None:
        self._decide = decide
        self._planned: deque[Fate] = deque()
        self._held: list[Request] = []
        self._deliveries: list[Delivery] = []
        self._engine = _RecordingEngine(upstream, self._deliveries)
        super().__init__(self._engine)

    @property
    def held(self) -> list[Request]:
        """The requests that are held now, oldest first."""
        return list(self._held)

    @property
    def deliveries(self) -> list[Delivery]:
        """What reached the engine since the start or the last `clear`, in the order of its answers."""
        return list(self._deliveries)

    def plan(self, *fates: Fate) -> None:
        """Give these fates to the next requests, one each. They replace those that are still planned."""
        self._planned = deque(fates)

    def release(self, request: Request) -> Message:
        """Deliver a held request now, and return the engine's answer, which nobody else gets.

        Raises ValueError for a request that is not held, OSError when the engine does not answer.
        """
        self._held.remove(request)
        message = self._engine.deliver(request)
        self._deliveries.append(Delivery(request, message, late=True))
        return message

    def clear(self) -> None:
        """Drop the held requests, the planned fates and the record of deliveries."""
        self._held.clear()
        self._deliveries.clear()
        self._planned.clear()

    @override
    def _script(self, request: Request) -> Answer:
        if self._decide is not None:
            fate = self._decide(request)
        else:
            fate = self._planned.popleft() if self._planned else Fate.DELIVER
        if fate in HELD:
            self._held.append(request)
        return _ANSWERS[fate]

    @override
    def _is_busy(self) -> bool:
        return self._engine.busy > 0


_ANSWERS = {
    Fate.DELIVER: answers.honest(),
    Fate.HOLD: answers.reset(),
    Fate.STALL: answers.silence("stall"),
    Fate.LOSE: answers.reset().applied(),
    Fate.DOUBLE: answers.honest(),
    Fate.DROP: answers.reset(),
}


class _RecordingEngine(EngineBackend):
    """An engine that notes what it was asked and what it answered."""

    def __init__(self, endpoint: str, deliveries: list[Delivery]) -> None:
        super().__init__(endpoint)
        self._deliveries = deliveries
        self.busy = 0

    async def forward(self, request: Request) -> Message:
        """Forward the request, and note the answer."""
        self.busy += 1
        try:
            message = await super().forward(request)
        finally:
            self.busy -= 1
        self._deliveries.append(Delivery(request, message, late=False))
        return message

    def deliver(self, request: Request) -> Message:
        """Send the request from the calling thread, byte for byte; over a connection only where the engine needs one."""
        if (message := self._in_process(request)) is not None:
            return message
        with socket.create_connection((self._host, self._port), self._timeout) as connection:
            connection.sendall(request.head + request.body)
            reply = http.client.HTTPResponse(connection, method="POST")
            reply.begin()
            return Message(reply.status, tuple(reply.getheaders()), reply.read())
