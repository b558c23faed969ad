"""A network that holds requests back, loses their answers, and delivers what it has held whenever a test says so.

It sits around the calls of a database of either face and takes the place of the driver for single requests.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from dynamorm.effects import Flow, Reply, Send, TransportError
from dynamorm.io.in_process import Answer
from dynamorm.testing.answers import Message
from dynamorm.testing.backend import Backend, FunctionBackend, Upstream
from dynamorm.testing.request import Request
from tests.support.faces import Face

PATIENT: dict[str, Any] = {"operation_timeout": 60, "connection_timeout": 30, "request_timeout": 30}
"""Settings of a database whose answers are held back for as long as a busy machine takes."""


class HeldNetwork:
    """An extension. ``schedule`` says what happens to the next requests, in turn; those after it pass.

    ``hold`` keeps a request from the engine, ``copy`` keeps a copy of one that passes, ``lose`` delivers it and loses the answer, ``pass`` does neither; both
    look like a reset to the client. While it is ``busy``, each transaction that writes is kept, and refused
    for a conflict: so a copy of what was refused is under way. ``held`` are the requests that were kept, as bytes; `deliver` sends one.
    ``only`` names the operation that is meant (default: every one).
    """

    name = "held"

    def __init__(self, only: str | None = None) -> None:
        self.only = only
        self.busy = False
        self.schedule: list[str] = []
        self.held: list[bytes] = []
        self.sent: list[str] = []

    def around(self, call: Callable[[Any], Flow[Any]]) -> Callable[[Any], Flow[Any]]:
        """Watch the requests of each call."""
        return lambda op: self._watched(op.name, call(op))

    def _watched(self, name: str, flow: Flow[Any]) -> Flow[Any]:
        answer: Any = None
        error: BaseException | None = None
        while True:
            try:
                effect = flow.send(answer) if error is None else flow.throw(error)
            except StopIteration as stop:
                return stop.value
            answer, error = None, None
            try:
                answer = yield from self._exchanged(name, effect)
            except GeneratorExit:
                flow.close()
                raise
            except BaseException as failure:  # noqa: BLE001 - thrown into the flow, as a driver does
                error = failure

    def _exchanged(self, name: str, effect: Any) -> Flow[Any]:
        meant = isinstance(effect, Send) and self.only in {None, name}
        if meant:
            self.sent.append(name)
        if meant and self.busy and (refusal := _conflict(effect.data)):
            self.held.append(effect.data)
            return refusal
        fate = self.schedule.pop(0) if meant and self.schedule else "pass"
        if fate == "pass":
            return (yield effect)
        if fate in {"hold", "copy"}:
            self.held.append(effect.data)
        if fate == "copy":
            return (yield effect)
        if fate != "hold":
            yield effect
        raise TransportError("receive", "reset by the test", sent=True)

    def deliver(self, db: Face, which: int = 0) -> int:
        """Send a request that was held; the HTTP status of the answer, which nobody else hears."""
        data = self.held[which]

        def flow() -> Flow[int]:
            answer: Reply = yield Send(data, 5.0)
            return answer.status

        return int(db.run(flow()))


def _only_looks(items: list[Any]) -> bool:
    return all("ConditionCheck" in item for item in items)


def _conflict(data: bytes) -> Answer | None:
    """The answer of a service whose transaction met others on each of its items; None for one that writes nothing."""
    items = json.loads(data.partition(b"\r\n\r\n")[2])["TransactItems"]
    if _only_looks(items):
        return None
    body = {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": f"Transaction cancelled, reasons [{', '.join(['TransactionConflict'] * len(items))}]",
        "CancellationReasons": [{"Code": "TransactionConflict", "Message": "Transaction is ongoing"}] * len(items),
    }
    return Answer(400, json.dumps(body).encode())


class HeldAnswers:
    """The backend of a `FaultServer` whose answers wait while they are held: each request was applied, and nobody is told yet.

    What is held is let go by the test, when that which it is about has come about, and not by the clock. ``held`` are the
    requests whose answers wait now; ``only`` says which requests are meant (default: every one).
    """

    def __init__(self, behind: Backend | Upstream, only: Callable[[Request], bool] = lambda _: True) -> None:
        self._behind = FunctionBackend(behind) if callable(behind) else behind
        self._only = only
        self._lock = threading.Lock()
        self._left = 0.0
        self._turn = 0
        self.held: list[Request] = []

    def hold(self, count: float = float("inf")) -> None:
        """Hold the next answers, so many of them."""
        with self._lock:
            self._left = count

    def let_go(self) -> None:
        """Let all that are held go, and hold no more."""
        with self._lock:
            self._left = 0
            self._turn += 1

    async def forward(self, request: Request) -> Message:
        """The answer of what is behind, when it is let go."""
        with self._lock:
            is_meant, turn = self._left >= 1 and self._only(request), self._turn
            self._left -= is_meant
        answer = await self._behind.forward(request)
        if not is_meant:
            return answer
        self.held.append(request)
        while turn == self._turn:  # noqa: ASYNC110 - who lets go is another thread
            await asyncio.sleep(0.002)
        self.held.remove(request)
        return answer

    async def close(self) -> None:
        """Close what is behind."""
        await self._behind.close()
