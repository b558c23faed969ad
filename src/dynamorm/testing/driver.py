"""A driver that performs a flow's effects without network, threads or waiting. It must not know of HTTP or DynamoDB.

Concurrent flows (`Gather`) are simulated on one fake clock, always in the same order, so a test of retries takes no
time and never fails by chance.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, TypeAlias

from dynamorm.effects import Acquire, Call, Flow, Gather, Hedge, Reply, Send, Sleep, TransportError
from dynamorm.errors import DynamORMError
from dynamorm.io.acquire import limit_of
from dynamorm.io.no_effect import no_effect
from dynamorm.testing.clock import FakeClock
from dynamorm.testing.replies import SentRequest, sent_request
from dynamorm.wire.limiter import Permit


@dataclass(frozen=True, slots=True)
class Late:
    """An outcome that takes ``seconds`` on the fake clock; past the request's timeout it becomes a `TransportError`."""

    outcome: Reply | BaseException
    seconds: float


Outcome: TypeAlias = "Reply | BaseException | Late"
"""What a script gives for one request: a reply, an exception to throw into the flow, or either of them `Late`."""

Script: TypeAlias = "Iterable[Outcome] | Callable[[SentRequest], Outcome]"
"""Outcomes in the order of requests, or a function of the request."""


class ScriptedDriver:
    """Runs flows against a script instead of a network.

    ``script`` gives the outcome of each `Send`; ``clock`` (default: a new `FakeClock`) moves on `Sleep` and for `Late`
    outcomes. ``requests`` are the requests sent, ``sleeps`` the waits asked for, in seconds, in order.

    `run` raises what the flow raises; AssertionError when the script has no more outcomes, the flow yields something that
    is not an effect, or every flow waits for a place of a limiter. How long may be waited goes by the fake clock.

    Example::

        driver = ScriptedDriver([failure("InternalServerError", 500), reply({"Item": item})])
        assert driver.run(get_flow) == expected
        assert len(driver.requests) == 2 and driver.sleeps[0] <= 0.025
    """

    def __init__(self, script: Script = (), *, clock: FakeClock | None = None) -> None:
        self.clock: FakeClock = FakeClock() if clock is None else clock
        self.requests: list[SentRequest] = []
        self.sleeps: list[float] = []
        self.closed: bool = False
        self._decide = script if callable(script) else _in_turn(iter(script))
        self._queue: list[tuple[float, int, _Task, Any, BaseException | None]] = []
        self._order = 0
        # Nobody else refers to what waits for a place: a permit that is lost has given its turn up.
        self._turns: set[_Turn] = set()

    def run(self, flow: Flow[Any]) -> Any:
        """Drive ``flow`` to its end and return its result."""
        if self.closed:
            raise RuntimeError("this driver is closed")
        root = _Task(flow, None, 0)
        self._wake(root, 0.0)
        while not root.done:
            if not self._queue:
                raise AssertionError("every flow waits for a place of a limiter, and none gives one back")
            when, _, task, value, error = heapq.heappop(self._queue)
            self.clock.advance(max(0.0, when - self.clock.monotonic()))
            self._step(task, value, error)
        if root.error is not None:
            raise root.error
        return root.result

    def close(self) -> None:
        """Refuse later use."""
        self.closed = True

    def _wake(self, task: _Task, delay: float, value: Any = None, error: BaseException | None = None) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.clock.monotonic() + delay, self._order, task, value, error))

    def _step(self, task: _Task, value: Any, error: BaseException | None) -> None:
        if task.done:  # it has lost a race
            return
        if value.__class__ is _Hedging:
            second = None if value.over else value.second()
            if second is not None:
                self._wake(second, 0.0)
            return
        if value.__class__ is _Turn:
            turn = value
            if turn.ended:
                return
            if turn.permit.take():
                turn.ended, value = True, turn.permit
            elif self.clock.monotonic() >= turn.end:
                turn.ended, error = True, turn.late()
                turn.permit.release()
            else:
                return
            self._turns.discard(turn)
        try:
            effect = task.flow.send(value) if error is None else task.flow.throw(error)
        except StopIteration as stop:
            self._ended(task, stop.value, None)
        except BaseException as failure:  # noqa: BLE001 - handed on to whoever waits for the flow
            self._ended(task, None, failure)
        else:
            self._perform(task, effect)

    def _perform(self, task: _Task, effect: object) -> None:
        if isinstance(effect, Send):
            self._send(task, effect)
        elif isinstance(effect, Sleep):
            self.sleeps.append(effect.seconds)
            self._wake(task, max(0.0, effect.seconds))
        elif isinstance(effect, Call):
            self._call(task, effect)
        elif isinstance(effect, Gather):
            self._gather(task, effect)
        elif isinstance(effect, Acquire):
            self._acquire(task, effect)
        elif isinstance(effect, Hedge):
            hedging = _Hedging(task, effect)
            self._wake(hedging.sides[0], 0.0)
            self._wake(task, effect.after, hedging)
        else:
            self._wake(task, 0.0, error=AssertionError(no_effect(effect, task.flow).message))

    def _send(self, task: _Task, effect: Send) -> None:
        request = sent_request(effect, len(self.requests), self.clock.monotonic())
        self.requests.append(request)
        decided = self._decide(request)
        late = decided if isinstance(decided, Late) else Late(decided, 0.0)
        outcome, seconds = late.outcome, late.seconds
        if seconds > effect.timeout:
            outcome, seconds = (
                TransportError("timeout", f"no answer within {effect.timeout} s", sent=True),
                effect.timeout,
            )
        if isinstance(outcome, BaseException):
            self._wake(task, seconds, error=outcome)
        else:
            self._wake(task, seconds, outcome)

    def _call(self, task: _Task, effect: Call) -> None:
        try:
            self._wake(task, 0.0, effect.sync())
        except BaseException as failure:  # noqa: BLE001 - the contract: thrown into the flow
            self._wake(task, 0.0, error=failure)

    def _gather(self, task: _Task, effect: Gather) -> None:
        gathering = _Gathering(task, list(effect.flows), [None] * len(effect.flows))
        for _ in range(min(max(1, effect.limit), len(gathering.flows))):
            self._start_next(gathering)
        if not gathering.flows:
            self._wake(task, 0.0, [])

    def _acquire(self, task: _Task, effect: Acquire) -> None:
        permit = effect.limiter.permit()
        if permit.take():
            self._wake(task, 0.0, permit)
            return
        seconds, late = limit_of(effect)
        turn = _Turn(permit, self.clock.monotonic() + seconds, late)
        self._turns.add(turn)
        permit.ring = lambda: self._wake(task, 0.0, turn)
        if seconds < inf:
            self._wake(task, seconds, turn)

    def _start_next(self, gathering: _Gathering) -> None:
        index, gathering.started = gathering.started, gathering.started + 1
        gathering.running += 1
        self._wake(_Task(gathering.flows[index], gathering, index), 0.0)

    def _ended(self, task: _Task, result: Any, error: BaseException | None) -> None:
        task.done, task.result, task.error = True, result, error
        gathering = task.gathering
        if gathering is None:
            return
        if isinstance(gathering, _Hedging):
            if gathering.ended(task):
                self._wake(gathering.parent, 0.0, gathering.answer, gathering.error)
            return
        gathering.running -= 1
        gathering.results[task.index] = result
        gathering.failure = gathering.failure or error
        if gathering.failure is None and gathering.started < len(gathering.flows):
            self._start_next(gathering)
        elif gathering.running == 0:
            self._wake(gathering.parent, 0.0, gathering.results, gathering.failure)


class _Task:
    """A running flow and whoever waits for it."""

    __slots__ = ("done", "error", "flow", "gathering", "index", "result")

    def __init__(self, flow: Flow[Any], gathering: _Gathering | _Hedging | None, index: int) -> None:
        self.flow = flow
        self.gathering = gathering
        self.index = index
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None


@dataclass(slots=True, eq=False)
class _Turn:
    """A flow that waits for a place, and looks whether it is its turn."""

    permit: Permit
    end: float
    late: Callable[[], DynamORMError]
    ended: bool = False


@dataclass(slots=True)
class _Gathering:
    """A `Gather` under way. After a failure no further flow is started."""

    parent: _Task
    flows: list[Flow[Any]]
    results: list[Any]
    started: int = 0
    running: int = 0
    failure: BaseException | None = None


class _Hedging:
    """A `Hedge` under way."""

    def __init__(self, parent: _Task, effect: Hedge) -> None:
        self.parent = parent
        self.sides = [_Task(effect.first, self, 0)]
        self._effect = effect
        self.over = False
        self.answer: tuple[Any, bool] | None = None
        self.error: BaseException | None = None

    def second(self) -> _Task | None:
        """Make the second flow, if there is to be one."""
        flow = self._effect.second()
        if flow is None:
            return None
        self.sides.append(_Task(flow, self, 1))
        return self.sides[1]

    def ended(self, task: _Task) -> bool:
        """Note the end of one side; True when that is the end of all."""
        others = [side for side in self.sides if side is not task]
        if task.error is None:
            self.answer = task.result, task.index == 1
            for other in others:
                other.done = True
                other.flow.close()
        elif any(not other.done for other in others):
            return False
        else:
            self.error = self.sides[0].error
        self.over = True
        return True


def _in_turn(outcomes: Iterator[Outcome]) -> Callable[[SentRequest], Outcome]:
    def decide(request: SentRequest) -> Outcome:
        for outcome in outcomes:
            return outcome
        raise AssertionError(f"the script has no outcome for request {request.index}, {request.operation}")

    return decide
