"""A network that holds requests back, loses their answers, and delivers what it has held whenever a test says so.

It sits around the calls of a database of either face and takes the place of the driver for single requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynamorm.effects import Flow, Reply, Send, TransportError
from tests.support.faces import Face


class HeldNetwork:
    """An extension. ``schedule`` says what happens to the next requests, in turn; those after it pass.

    ``hold`` keeps a request from the engine, ``lose`` delivers it and loses the answer, ``pass`` does neither; both
    look like a reset to the client. ``held`` are the requests that were kept, as bytes; `deliver` sends one.
    ``only`` names the operation that is meant (default: every one).
    """

    name = "held"

    def __init__(self, only: str | None = None) -> None:
        self.only = only
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
        fate = self.schedule.pop(0) if meant and self.schedule else "pass"
        if fate == "pass":
            return (yield effect)
        if fate == "hold":
            self.held.append(effect.data)
        else:
            yield effect
        raise TransportError("receive", "reset by the test", sent=True)

    def deliver(self, db: Face, which: int = 0) -> int:
        """Send a request that was held; the HTTP status of the answer, which nobody else hears."""
        data = self.held[which]

        def flow() -> Flow[int]:
            answer: Reply = yield Send(data, 5.0)
            return answer.status

        return int(db.run(flow()))
