"""One database, one misbehaving server and one store behind it, and a verb that is run through them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from dynamorm.codec.strict import dumps
from dynamorm.errors import DynamORMError, Outcome, OutcomeUnknown
from dynamorm.testing import Answer, FaultServer, Request
from tests.faults.verbs import BEFORE, KEYS, Payment, Verb, amount, check_result, memory, seed
from tests.support.faces import Face
from tests.support.faults import Store

QUICK: dict[str, Any] = {"retry_base": 0.001, "throttle_base": 0.001, "retry_cap": 0.01}
"""Retries without the waiting."""

SOON = 0.3
"""Seconds of ``operation_timeout`` for a write that meets one fault for ever: it is looked after for as long."""

Step = Answer | Callable[[Store], Answer | None] | None
"""What happens to one request: an answer, nothing (None), or a function that changes the store and says which."""


class Run(NamedTuple):
    """What one verb did under a fault."""

    verb: Verb
    subject: Any
    result: Any
    error: DynamORMError | None
    requests: list[Request]
    elapsed: float
    before: tuple[Any, ...]
    store: Store
    patiently: Callable[[], Run] | None = None
    """The same once more with more time, where it had little."""

    @property
    def changes(self) -> int:
        """How often the store was changed."""
        return len(self.store.changes)

    def honest(self) -> Run:
        """The invariant: NOT_APPLIED is never said of an applied write, success never of a lost one."""
        if self.verb.safety != "read":
            if self.error is None:
                assert self.changes >= 1, f"{self.verb.name} succeeded and nothing was applied"
            elif self.error.outcome is Outcome.NOT_APPLIED:
                assert self.changes == 0, f"{self.verb.name} said {self.error.outcome} and was applied"
        if self.verb.safety in {"C", "N", "once"}:
            assert self.changes <= 1, f"{self.verb.name} was applied {self.changes} times"
        return self

    def succeeded(self, requests: int | None = None) -> Run:
        """It has its result, the store its change, once."""
        if self.error is not None:
            raise AssertionError(f"{self.verb.name} after {self.elapsed:.3f} s") from self.error
        self.honest()
        check_result(self.verb, self.result, self.subject, self.store)
        assert amount(self.store) == self.verb.after
        if requests is not None:
            # A transaction whose result is wanted reads it back.
            assert len(self.requests) == requests + (self.verb.name in {"update_key", "compute_key"})
        return self

    def failed(
        self,
        kind: type[DynamORMError],
        outcome: Outcome,
        *,
        attempts: int | None = None,
        requests: int | None = None,
        retryable: bool | None = None,
    ) -> Run:
        """It raised exactly this, the object is as it was, and so is the store when NOT_APPLIED was said."""
        error = self.error
        if attempts is not None and self.patiently is not None and error is not None and error.attempts < attempts:
            # A busy machine had no time for all the tries.
            again = self.patiently()
            return again.failed(kind, outcome, attempts=attempts, requests=requests, retryable=retryable)
        assert type(error) is kind, f"{self.verb.name}: {error!r}, result {self.result!r}"
        self.honest()
        assert error.outcome is outcome
        assert error.retryable is (kind.retryable if retryable is None else retryable)
        assert memory(self.subject) == self.before
        if attempts is not None:
            # A token may be asked with as long as there is time, and so may be looked what is stored.
            tokened = kind is OutcomeUnknown and self.verb.safety == "N"
            assert error.attempts >= attempts if tokened else error.attempts == attempts
            sent = [one for one in self.requests if self.verb.safety == "read" or one.operation != "GetItem"]
            assert len(sent) == (error.attempts if requests is None else requests)
        assert error.operation == self.verb.operation
        assert error.table == ("orders" if self.verb.name == "query" else "payments")
        if self.verb.safety == "read":
            assert amount(self.store) == BEFORE
        return self

    @property
    def connections(self) -> list[int]:
        """The connection of each request."""
        return [request.connection for request in self.requests]


class Stage:
    """Runs verbs against scripted answers. ``fresh`` fills the retry budget again before each run."""

    def __init__(self, open_db: Callable[..., Face], **options: Any) -> None:
        self.store = Store(KEYS)
        server = {name: options.pop(name) for name in ("welcome", "tls") if name in options}
        self._steps: list[Step] = []
        self._forever: Step = None
        self._loading = False
        self.server = FaultServer(self._script, backend=self.store, **server)
        self.endpoint: str = options.pop("endpoint", self.server.endpoint)
        target = options.pop("target", self.endpoint)
        self.db: Face = open_db(target, **(QUICK | options))
        self._impatient = self.db
        self._open_patient: Callable[[], Face] | None = None
        if "operation_timeout" not in options:
            self._impatient = open_db(target, **(QUICK | options), operation_timeout=SOON)
            self._open_patient = lambda: open_db(target, **(QUICK | options), operation_timeout=20 * SOON)

    @property
    def bucket(self) -> Any:
        """The retry budget of this endpoint."""
        return self.db.inner._session.channel.bucket

    def _script(self, _: Request) -> Answer | None:
        if self._loading:
            return None
        step = self._steps.pop(0) if self._steps else self._forever
        return step(self.store) if callable(step) else step

    def prepare(self, verb: Verb) -> Any:
        """Set the tables up; the object that the verb works on."""
        self.bucket.tokens = self.bucket.capacity
        seed(self.store, verb)
        plan = self.db.inner._session.plan(Payment)
        loaded = None
        if verb.exists:
            _, answer = self.store("GetItem", {"TableName": "payments", "Key": {"id": {"S": "p1"}}})
            loaded = plan.codec.decode(dumps(answer["Item"]))
        return verb.subject(loaded)

    def run(self, verb: Verb, *steps: Step, forever: Step = None) -> Run:
        """Run the verb; its requests meet the steps in turn, those behind them ``forever`` (None: nothing)."""
        run = self.act(verb, self.prepare(verb), *steps, forever=forever)
        patient = self._open_patient
        if patient is None:
            return run
        return run._replace(
            patiently=lambda: self.act(verb, self.prepare(verb), *steps, forever=forever, impatient=patient())
        )

    def act(self, verb: Verb, subject: Any, *steps: Step, forever: Step = None, impatient: Face | None = None) -> Run:
        """Run the verb on what is there."""
        self._steps, self._forever = list(steps), forever
        before = memory(subject)
        self.server.clear()
        result, error = None, None
        db = self.db if forever is None or verb.safety == "read" else impatient or self._impatient
        start = time.monotonic()
        try:
            result = verb.act(db, subject)
        except DynamORMError as raised:
            error = raised
        elapsed = time.monotonic() - start
        self._steps, self._forever = [], None
        return Run(verb, subject, result, error, self.server.requests, elapsed, before, self.store)

    def close(self) -> None:
        """Stop the server."""
        self.server.stop()
