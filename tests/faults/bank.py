"""A transaction of several items over a scripted network, with a store behind it that really applies and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm.codec.strict import dumps
from dynamorm.errors import DynamORMError, Outcome
from dynamorm.testing import SentRequest, reply
from tests.faults.scripted import Scripted
from tests.faults.verbs import KEYS, RING, Counter, Payment
from tests.support.faults import Store

Fault = Callable[["Bank", SentRequest], Any]


class Bank:
    """Three payments and a counter. `transfer` changes three of them, makes one and checks one.

    ``faults`` meet the TransactWriteItems requests in turn, then ``forever`` does; ``reads`` all other requests.
    """

    def __init__(self, scripted: Callable[..., Scripted], **options: Any) -> None:
        self.store = Store(KEYS)
        for name, amount in (("p1", 100), ("p2", 200), ("p9", 900)):
            self.store.seed("payments", id=name, amount=amount, version=2, _wt=RING)
        self.store.seed("counters", id="c1", count=1)
        self.faults: list[Fault] = []
        self.forever: Fault | None = None
        self.reads: Fault | None = None
        self.here = scripted(self._serve, **options)
        self.db = self.here.db
        self.session = self.here.session
        self.mine = self._loaded("p1")
        self.gone = self._loaded("p9")
        self.new = Payment(id="p3", amount=3)

    def _loaded(self, name: str) -> Any:
        return self.session.plan(Payment).codec.decode(dumps(self.store.item("payments", name) or {}))

    def _serve(self, request: SentRequest) -> Any:
        if request.operation == "TransactWriteItems":
            fault = self.faults.pop(0) if self.faults else self.forever
        else:
            fault = self.reads
        found = None if fault is None else fault(self, request)
        return self.serve(request) if found is None else found

    def serve(self, request: SentRequest) -> Any:
        """Apply a request, honestly."""
        status, body = self.store(request.operation, request.json)
        return reply(body, status)

    def transfer(self, *, token: str | None = None) -> None:
        """The transaction of these tests."""
        with self.db.transaction(token=token) as tx:
            tx.update(self.mine, Payment.amount.add(-5), label="debit")
            tx.update(Payment, "p2", Payment.amount.add(5), label="credit")
            tx.create(self.new)
            tx.delete(self.gone)
            tx.check(Counter, "c1", label="open")

    def failed(self, kind: type[DynamORMError], **options: Any) -> Any:
        """The error of a transfer that must fail, its outcome true to what the store did."""
        with pytest.raises(DynamORMError) as caught:
            self.transfer(**options)
        error = caught.value
        assert type(error) is kind, repr(error)
        self.honest(error)
        return error

    def honest(self, error: DynamORMError | None = None) -> None:
        """All or nothing, at most once; NOT_APPLIED is never said of what was applied, success never of what was lost."""
        assert len(self.store.changes) in {0, 4}
        if error is None or error.outcome is Outcome.APPLIED:
            assert len(self.store.changes) == 4
        elif error.outcome is Outcome.NOT_APPLIED:
            assert self.store.changes == []
        if error is not None and error.outcome is not Outcome.APPLIED:
            assert (self.mine.amount, self.mine.version) == (100, 2)
            assert self.new.__loaded__ is None
            assert self.gone.__loaded__ is not None

    def settled(self) -> None:
        """It was applied once, and the objects are as the store is."""
        self.honest()
        amounts = {name: self.stored(name) for name in ("p1", "p2", "p3", "p9")}
        assert amounts == {"p1": 95, "p2": 205, "p3": 3, "p9": None}
        assert (self.mine.amount, self.mine.version) == (95, 3)
        assert (self.new.amount, self.new.version) == (3, 0)
        assert self.new.__loaded__ is not None
        assert self.gone.__loaded__ is None

    def stored(self, name: str) -> int | None:
        """The stored amount of a payment."""
        item = self.store.item("payments", name)
        return None if item is None else int(item["amount"]["N"])

    @property
    def sent(self) -> list[SentRequest]:
        """The requests that carried the transaction."""
        return [one for one in self.here.driver.requests if one.operation == "TransactWriteItems"]

    @property
    def tokens(self) -> set[str]:
        """Their client request tokens."""
        return {json.loads(one.body)["ClientRequestToken"] for one in self.sent}


def applied(outcome: Any) -> Fault:
    """The request is applied, and answered with something else."""

    def fault(bank: Bank, request: SentRequest) -> Any:
        bank.serve(request)
        return outcome

    return fault


def lost(outcome: Any) -> Fault:
    """The request is not applied."""
    return lambda _, __: outcome
