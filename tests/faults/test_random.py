"""The invariant under random faults: NOT_APPLIED is never said of an applied write, success never of a lost one.

Every seed is a short life of a few payments: random verbs, each request of theirs meeting a random fault, and other
users of the library writing in between. Everything that happened is printed when a seed fails.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm.effects import TransportError
from dynamorm.errors import DynamORMError, Outcome, OutcomeUnknown
from dynamorm.testing import FakeClock, FakeReply, Late, SentRequest, failure, reply
from dynamorm.wire import retry
from tests.faults.scripted import Scripted
from tests.faults.verbs import KEYS, Counter, Payment
from tests.support.faults import Store

SEEDS = 300
SOAK_SEEDS = 100_000


class Network:
    """Applies requests to a store, or not, and tells the truth about it, or not."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.store = Store(KEYS)
        self.loss = dice.choice((0.1, 0.3, 0.6))
        self.story: list[str] = []
        self.meddling = 0.0
        self.tokens = True
        self.held: list[SentRequest] = []

    def __call__(self, request: SentRequest) -> Any:
        """Serve a request, after others have perhaps written, and perhaps after an earlier attempt's late copy."""
        dice = self.dice
        if dice.random() < self.meddling:
            self._others()
        if self.held and dice.random() < 0.3:
            copy = self.held.pop()
            self.story.append(f"  late copy of {copy.operation}")
            self.store(copy.operation, copy.json)
        if dice.random() >= self.loss:
            self.story.append(f"  {request.operation} honest")
            return self._apply(request)
        fault = dice.choice(FAULTS)
        self.story.append(f"  {request.operation} {fault.__name__}")
        return fault(self, request)

    def _others(self) -> None:
        names = [name for name in ("p1", "p2") if self.store.item("payments", name)]
        if names:
            times = self.dice.choice((1, 1, 1, 2, 8, 9, 12))
            self.story.append(f"  others write {names[0]} {times} times")
            self.store.stranger_writes("payments", self.dice.choice(names), times=times)

    def _apply(self, request: SentRequest) -> FakeReply:
        status, body = self.store(request.operation, request.json)
        return reply(body, status)

    def _hold(self, request: SentRequest) -> None:
        if request.operation != "GetItem":
            self.held.append(request)

    # The faults

    def applied_and_reset(self, request: SentRequest) -> Any:
        self._apply(request)
        return TransportError("receive", "reset", sent=True)

    def reset(self, request: SentRequest) -> Any:
        self._hold(request)
        return TransportError("receive", "reset", sent=True)

    def refused(self, _: SentRequest) -> Any:
        return TransportError("connect", "refused", sent=False)

    def applied_and_late(self, request: SentRequest) -> Any:
        return Late(self._apply(request), self.dice.choice((0.5, 3.0)))

    def late(self, request: SentRequest) -> Any:
        self._hold(request)
        return Late(reply(), 60.0)

    def applied_and_five(self, request: SentRequest) -> Any:
        self._apply(request)
        return self.five(request)

    def five(self, _: SentRequest) -> Any:
        return self.dice.choice((failure("InternalServerError", 500), failure("ServiceUnavailable", 503)))

    def applied_and_garbled(self, request: SentRequest) -> Any:
        return self._garbled(self._apply(request))

    def garbled(self, _: SentRequest) -> Any:
        return self._garbled(reply())

    def _garbled(self, good: FakeReply) -> Any:
        return self.dice.choice(
            (
                reply(good.body, good.status, crc="bad"),
                reply(b"<html>hello</html>", 200, crc=None),
                reply(b"", 200, crc=None),
                reply(good.body[:-1], good.status, crc=good.crc),
                reply(good.body[:-1], good.status),
                TransportError("protocol", "odd bytes", sent=True),
            )
        )

    def throttled(self, _: SentRequest) -> Any:
        return failure("ThrottlingException", retry_after=self.dice.choice((None, b"100", b"x")))

    def conflict(self, request: SentRequest) -> Any:
        if request.operation == "TransactWriteItems":
            return failure("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
        return failure("TransactionConflictException")

    def in_progress(self, request: SentRequest) -> Any:
        if request.operation != "TransactWriteItems":
            return self.five(request)
        if self.dice.random() < 0.5:
            self._apply(request)
        return failure("TransactionInProgressException")

    def denied(self, _: SentRequest) -> Any:
        return failure("AccessDeniedException")

    def copied(self, request: SentRequest) -> Any:
        if self.tokens:  # without them nothing tells a copy from a second call
            self._apply(request)
        return self._apply(request)


FAULTS: list[Callable[[Network, SentRequest], Any]] = [
    Network.applied_and_reset, Network.applied_and_reset, Network.applied_and_five, Network.applied_and_late,
    Network.applied_and_garbled, Network.copied, Network.reset, Network.reset, Network.five, Network.late,
    Network.garbled, Network.refused, Network.throttled, Network.conflict, Network.in_progress, Network.denied,
]  # fmt: skip


class Life:
    """One seed."""

    def __init__(self, kind: str, seed: int) -> None:
        retry._buckets.clear()
        self.dice = dice = random.Random(seed)
        self.network = Network(dice)
        self.store = self.network.store
        self.network.tokens = dice.random() < 0.9
        self.here = Scripted(kind, self.network, clock=FakeClock(), write_tokens=self.network.tokens)
        self.db = self.here.db

    def run(self) -> None:
        for _ in range(10):
            name = self.dice.choice(("p1", "p2"))
            self._step(
                self.dice.choice((self._create, self._save, self._update, self._update_key, self._delete, self._count)),
                name,
            )

    def _step(self, verb: Callable[[str], tuple[Callable[[], Any], bool] | None], name: str) -> None:
        loss, self.network.loss, self.network.meddling = self.network.loss, 0.0, 0.0
        made = verb(name)
        self.network.loss, self.network.meddling = loss, self.dice.choice((0.0, 0.2))
        if made is None:
            return
        call, once = made
        self.store.changes.clear()
        self.network.held.clear()
        self.network.story.append(f"{verb.__name__} {name}")
        outcome = self._outcome(call)
        self.network.story.append(f"-> {outcome}, changes {len(self.store.changes)}")
        changes = len(self.store.changes)
        if outcome is Outcome.NOT_APPLIED:
            assert changes == 0
        elif outcome is Outcome.APPLIED:
            assert changes >= 1 or self.store.item("payments", name) is None
        if once:
            assert changes <= 1
        self.here.session.channel.bucket.tokens = 500

    def _outcome(self, call: Callable[[], Any]) -> Outcome:
        try:
            call()
        except OutcomeUnknown as error:
            if self.dice.random() < 0.5:
                return Outcome.UNKNOWN
            self.network.story.append("  resolve")
            self.here.session.channel.bucket.tokens = 500
            found = error.resolve()
            assert isinstance(found, Outcome)
            return found
        except DynamORMError as error:
            self.network.story.append(f"  {error!r}")
            return error.outcome
        return Outcome.APPLIED

    def _create(self, name: str) -> tuple[Callable[[], Any], bool]:
        fresh = Payment(id=name, amount=1)
        return (lambda: self.db.create(fresh)), True

    def _save(self, name: str) -> tuple[Callable[[], Any], bool] | None:
        found = self.db.get(Payment, name)
        if found is None:
            return None
        found.amount += 1
        return (lambda: self.db.save(found)), True

    def _update(self, name: str) -> tuple[Callable[[], Any], bool] | None:
        found = self.db.get(Payment, name)
        return None if found is None else ((lambda: self.db.update(found, Payment.amount.add(5))), True)

    def _update_key(self, name: str) -> tuple[Callable[[], Any], bool]:
        return (lambda: self.db.update(Payment, name, Payment.amount.add(5))), True

    def _delete(self, name: str) -> tuple[Callable[[], Any], bool] | None:
        found = self.db.get(Payment, name)
        return None if found is None else ((lambda: self.db.delete(found)), True)

    def _count(self, name: str) -> tuple[Callable[[], Any], bool]:
        return (lambda: self.db.upsert(Counter, name, Counter.count.add(1))), True


def _live(kind: str, seeds: range) -> None:
    for seed in seeds:
        life = Life(kind, seed)
        try:
            life.run()
        except BaseException as error:
            error.add_note("\n".join([f"seed {seed}", *life.network.story]))
            raise
        finally:
            life.db.close()


@pytest.mark.parametrize("part", range(4))
def test_w_all_three_hundred_seeds_of_random_faults_keep_the_invariant(face_kind: str, part: int) -> None:
    """On each face."""
    _live(face_kind, range(part * SEEDS // 4, (part + 1) * SEEDS // 4))


@pytest.mark.soak
def test_w_all_a_hundred_thousand_seeds_of_random_faults_keep_the_invariant(face_kind: str) -> None:
    """On each face."""
    _live(face_kind, range(SEEDS, SEEDS + SOAK_SEEDS))
