"""Leases whose answers are lost: the token in the stored item tells what was done."""

import pytest

from dynamorm import Model, Outcome, OutcomeUnknown
from dynamorm.effects import TransportError
from dynamorm.leases import LeaseRecord
from dynamorm.testing import reply
from tests.support.faults import Store


class Lock(Model, LeaseRecord, table="locks"):
    """As in the guide."""


class Losing:
    """A store that loses the answers it is told to lose, after the request was applied or before."""

    def __init__(self):
        self.store = Store({"locks": ("pk", "sk")})
        self.lose = []
        self.sent = 0

    def __call__(self, request):
        self.sent += 1
        how = self.lose.pop(0) if self.lose else ""
        if how == "before":
            return TransportError("receive", "reset", sent=True)
        status, body = self.store(request.operation, request.json)
        return TransportError("receive", "reset", sent=True) if how == "after" else reply(body, status)


@pytest.mark.parametrize("how", ["before", "after"])
def test_what_was_done_is_known_although_its_answer_was_lost(scripted, how):
    service = Losing()
    db = scripted(service).db
    lease = db.lease(Lock, "x", duration=30)
    for step in (lease.acquire, lease.refresh, lease.release):
        service.lose = [how, how]
        sent = service.sent
        assert step() is not False
        assert service.sent == sent + 3
    again = db.lease(Lock, "x")
    again.acquire()
    assert again.fence == int(service.store.item("locks", "x", "LOCK")["lease_fence"]["N"])


def test_without_any_answer_the_outcome_is_unknown_and_can_be_settled(scripted):
    service = Losing()
    db = scripted(service).db
    lease = db.lease(Lock, "x", duration=30)
    service.lose = ["after"] * 4
    with pytest.raises(OutcomeUnknown) as caught:
        lease.acquire()
    assert not lease.held
    assert caught.value.resolve(5) is Outcome.APPLIED
    assert lease.held
    service.lose = ["before"] * 4
    with pytest.raises(OutcomeUnknown) as caught:
        db.lease(Lock, "x").acquire()
    assert caught.value.resolve(5) is Outcome.NOT_APPLIED
