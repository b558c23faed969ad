"""save_all, patch and refresh on a network that loses replies: each object ends once, and nothing is said that is not so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import Attr, Model, Outcome, OutcomeUnknown, partition_key, version
from dynamorm.effects import TransportError
from dynamorm.errors import DynamORMError, Unavailable, VersionConflict
from dynamorm.testing import SentRequest, reply
from tests.faults.scripted import Scripted
from tests.support.faults import Store


class Payment(Model, table="payments"):
    """What is written."""

    id: Attr[str] = partition_key()
    amount: Attr[int]
    version: Attr[int] = version()


class Service:
    """Applies what it is sent. ``lost`` and ``silent`` say of which items an answer is lost: once, and each time."""

    def __init__(self) -> None:
        self.store = Store({"payments": ("id",)})
        self.lost: set[str] = set()
        self.silent: set[str] = set()
        self.sent: list[tuple[str, str]] = []

    def __call__(self, request: SentRequest) -> Any:
        """Serve a request about one item."""
        body = request.json
        about = body
        if "TransactItems" in body:
            ((_, about),) = body["TransactItems"][0].items()
        key = (about.get("Key") or about["Item"])["id"]["S"]
        self.sent.append((request.operation, key))
        status, answer = self.store(request.operation, body)
        if key in self.silent or key in self.lost:
            self.lost.discard(key)
            return TransportError("receive", "reset", sent=True)
        return reply(answer, status)


@pytest.fixture
def service() -> Service:
    """A service with three payments."""
    made = Service()
    for name in ("p1", "p2", "p3"):
        made.store.seed("payments", id=name, amount=1, version=0, _wt=b"seed0000")
    return made


def test_a_lost_reply_of_one_save_is_settled_and_the_others_are_not_touched(
    scripted: Callable[..., Scripted], service: Service
) -> None:
    db = scripted(service).db
    payments = [db.get(Payment, name) for name in ("p1", "p2", "p3")]
    before = len(service.store.changes)
    for payment in payments:
        payment.amount = 5
    service.lost = {"p2"}
    assert db.save_all(payments).written == payments
    assert len(service.store.changes) == before + 3
    assert [payment.version for payment in payments] == [1, 1, 1]


def test_what_is_never_answered_is_unknown_and_what_was_refused_has_failed(
    scripted: Callable[..., Scripted], service: Service
) -> None:
    db = scripted(service).db
    payments = [db.get(Payment, name) for name in ("p1", "p2", "p3")]
    service.store.stranger_writes("payments", "p3", times=9, amount=7)
    for payment in payments:
        payment.amount = 5
    service.silent = {"p2"}
    result = db.save_all(payments)
    assert result.written == payments[:1]
    ((unknown,), (failed,)) = result.unknown, result.failed
    assert unknown.item is payments[1]
    assert isinstance(unknown.error, OutcomeUnknown)
    assert unknown.error.outcome is Outcome.UNKNOWN
    assert failed.item is payments[2]
    assert isinstance(failed.error, VersionConflict)
    assert [payment.version for payment in payments] == [
        1,
        0,
        0,
    ]  # only what is known to be saved was brought up to date


def test_a_patch_whose_reply_is_lost_is_applied_once(scripted: Callable[..., Scripted], service: Service) -> None:
    db = scripted(service).db
    payment = db.get(Payment, "p1")
    before = len(service.store.changes)
    service.lost = {"p1"}
    db.patch(payment, {"amount": 9})
    assert (payment.amount, payment.version, len(service.store.changes)) == (9, 1, before + 1)


def test_a_refresh_that_is_not_answered_leaves_the_object(scripted: Callable[..., Scripted], service: Service) -> None:
    db = scripted(service).db
    payment = db.get(Payment, "p1")
    payment.amount = 9
    service.silent = {"p1"}
    error: DynamORMError | None = None
    try:
        db.refresh(payment)
    except Unavailable as raised:
        error = raised
    assert error is not None
    assert (payment.amount, payment.version) == (9, 0)
    service.silent = set()
    assert db.refresh(payment).amount == 1
