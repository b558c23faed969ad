"""One verb over a scripted network and a fake clock, with a store behind it that really applies and refuses.

Nothing is left to chance: every delay is the longest that its rule allows.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from dynamorm.codec.strict import dumps
from dynamorm.effects import TransportError
from dynamorm.errors import DynamORMError, Outcome
from dynamorm.testing import FakeClock, SentRequest, failure, reply
from tests.faults.scripted import Scripted
from tests.faults.verbs import KEYS, Payment, Verb, amount, check_result, memory, seed
from tests.support.faults import Store

Make = Callable[..., Scripted]
Step = Callable[["Desk", SentRequest], Any]
"""What happens to one request: an outcome, or None to serve it."""

START = 1_000.0
"""The fake clock's monotonic time when a `Desk` is made."""


class Alarm(FakeClock):
    """A clock on which something happens at a set time, while whoever uses it waits."""

    def __init__(self) -> None:
        super().__init__()
        self._due: list[tuple[float, Callable[[], Any]]] = []

    def at(self, seconds: float, happens: Callable[[], Any]) -> None:
        """Let it happen so many seconds after the clock was made."""
        self._due.append((START + seconds, happens))
        self._due.sort(key=lambda one: one[0])

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        end = self.monotonic() + seconds
        while self._due and self._due[0][0] <= end:
            when, happens = self._due.pop(0)
            super().advance(max(0.0, when - self.monotonic()))
            happens()
        super().advance(max(0.0, end - self.monotonic()))


class Desk:
    """``verb`` on its own `Payment`. Its reads meet ``reads`` in turn, then ``every_read``; other requests ``writes``, then
    ``every_write``. ``sent`` are all requests, ``tokens`` what was left of the retry budget when each of them was sent.
    """

    def __init__(self, scripted: Make, verb: Verb, *writes: Step, **options: Any) -> None:
        self.clock = Alarm()
        self.verb = verb
        self.store = Store(KEYS)
        seed(self.store, verb)
        self.writes = list(writes)
        self.reads: list[Step] = []
        self.every_write: Step | None = options.pop("every_write", None)
        self.every_read: Step | None = options.pop("every_read", None)
        self.tokens: list[int] = []
        self._scripted = scripted
        self.here = scripted(self._serve, clock=self.clock, **options)
        self.db = self.here.db
        channel = self.here.session.channel
        channel.random = lambda: 1.0
        self.bucket = channel.bucket
        self.bucket.tokens = self.bucket.capacity
        item = self.store.item("payments", "p1")
        self.subject = verb.subject(None if item is None else self.here.session.plan(Payment).codec.decode(dumps(item)))

    def _serve(self, request: SentRequest) -> Any:
        self.tokens.append(self.bucket.tokens)
        steps, every = (
            (self.reads, self.every_read) if request.operation == "GetItem" else (self.writes, self.every_write)
        )
        step = steps.pop(0) if steps else every
        found = None if step is None else step(self, request)
        return self.serve(request) if found is None else found

    def serve(self, request: SentRequest) -> Any:
        """Apply a request, honestly."""
        status, body = self.store(request.operation, request.json)
        return reply(body, status)

    def other_call(self) -> None:
        """Another call of this process to the same endpoint is answered."""
        other = self._scripted(lambda _: reply({}))
        assert other.db.get(Payment, "nobody") is None

    def run(self) -> Any:
        """The verb's result."""
        return self.verb.act(self.db, self.subject)

    def succeeds(self) -> None:
        """It was applied once, and result and object are what the store holds."""
        result = self.run()
        assert len(self.store.changes) == 1
        check_result(self.verb, result, self.subject, self.store)
        assert amount(self.store) == self.verb.after

    def fails(self, kind: type[DynamORMError], outcome: Outcome) -> Any:
        """The error. The object is as it was, and NOT_APPLIED is not said of what was applied."""
        before = memory(self.subject)
        with pytest.raises(DynamORMError) as caught:
            self.run()
        error = caught.value
        assert (type(error), error.outcome) == (kind, outcome), repr(error)
        assert memory(self.subject) == before
        assert outcome is not Outcome.NOT_APPLIED or self.store.changes == []
        return error

    @property
    def sent(self) -> list[SentRequest]:
        """All requests."""
        return self.here.driver.requests

    def times(self, *, reads: bool) -> list[float]:
        """When the reads, or the other requests, were sent, in seconds since the desk was made."""
        return [one.time - START for one in self.sent if (one.operation == "GetItem") is reads]

    @property
    def elapsed(self) -> float:
        """Seconds since the desk was made."""
        return self.clock.monotonic() - START


def gaps(times: list[float]) -> list[float]:
    """The seconds between each two."""
    return [after - before for before, after in pairwise(times)]


def lost(_: Desk, __: SentRequest) -> TransportError:
    """The request did not arrive, and nobody says so."""
    return TransportError("receive", "reset", sent=True)


def applied(desk: Desk, request: SentRequest) -> TransportError:
    """It was applied, and its answer is lost."""
    desk.serve(request)
    return TransportError("receive", "reset", sent=True)


def unreached(_: Desk, __: SentRequest) -> TransportError:
    """No connection came about."""
    return TransportError("connect", "refused", sent=False)


def five(_: Desk, __: SentRequest) -> Any:
    """A server error, which hides a lost request."""
    return failure("InternalServerError", 500)


def throttled(_: Desk, __: SentRequest) -> Any:
    """Too much is asked of the table."""
    return failure("ThrottlingException")
