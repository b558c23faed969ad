"""Leases whose answers are lost or late: the token in the stored item tells what was done, and no copy is applied later."""

import pytest

from dynamorm import HighThroughput, Model, Outcome, OutcomeUnknown
from dynamorm.effects import TransportError
from dynamorm.errors import LeaseHeld, LeaseLost, MalformedResponse, Unavailable
from dynamorm.leases import LeaseRecord
from dynamorm.testing import Late, failure, reply
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
    # It was made for an absent item, and will pass if somebody deletes the item before a copy of it arrives.
    assert caught.value.resolve(5) is Outcome.UNKNOWN


class Service:
    """A `Losing` store whose requests are kept, so that a copy of any can be delivered later."""

    def __init__(self):
        self.store = Store({"locks": ("pk", "sk")})
        self.fates = []
        self.requests = []
        self.before = {}

    def __call__(self, request):
        self.requests.append(request)
        self.before.pop(len(self.requests), lambda: None)()
        fate = self.fates.pop(0) if self.fates else 0.0
        if fate == "refused":
            return TransportError("connect", "refused", sent=False)
        if fate == "held":
            return TransportError("receive", "reset", sent=True)
        status, body = self.store(request.operation, request.json)
        answer = reply(body, status)
        return TransportError("receive", "reset", sent=True) if fate == "lost" else Late(answer, fate)

    def deliver(self, which):
        """A copy arrives: whether it was applied."""
        request = self.requests[which]
        return self.store(request.operation, request.json)[0] == 200

    def rival(self, fence=1, seconds=30):
        """Somebody else has taken it: the fence has grown by so much, and it runs for so long."""
        item = self.store.item("locks", "x", "LOCK")
        item["lease_token"] = {"S": "of another"}
        item["lease_fence"] = {"N": str(int(item["lease_fence"]["N"]) + fence)}
        item["lease_expires_at"] = {"N": str(self.end + seconds)}

    @property
    def end(self):
        """The stored end."""
        return int(self.store.item("locks", "x", "LOCK")["lease_expires_at"]["N"])


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def made(scripted, service):
    """The database over the service, and its clock."""
    return scripted(service, operation_timeout=60.0, performance=HighThroughput(request_timeout=10.0))


@pytest.fixture
def db(made):
    return made.db


@pytest.fixture
def clock(made):
    return made.clock


def test_taking_an_absent_lease_costs_one_request_an_ended_one_two_and_a_held_one_one(db, service):
    lease = db.lease(Lock, "x", duration=30)
    lease.acquire()
    assert len(service.requests) == 1
    with pytest.raises(LeaseHeld):
        db.lease(Lock, "x").acquire()
    assert len(service.requests) == 2
    lease.release()
    service.requests.clear()
    db.lease(Lock, "x").acquire()
    assert len(service.requests) == 2


def test_a_late_refresh_never_sets_the_end_back(db, service, clock):
    lease = db.lease(Lock, "x", duration=30)
    lease.acquire()
    service.fates = ["held"] * 4
    with pytest.raises(OutcomeUnknown):
        lease.refresh()
    clock.advance(10)
    lease.refresh()
    end = service.end
    assert not service.deliver(1)
    assert service.end == end
    assert lease.remaining == pytest.approx(end - clock.time())


def test_a_refresh_that_a_later_one_has_overtaken_has_succeeded(db, service, clock):
    lease = db.lease(Lock, "x", duration=30)
    lease.acquire()
    later = service.end + 40
    service.store.item("locks", "x", "LOCK")["lease_expires_at"] = {"N": str(later)}
    clock.advance(5)
    lease.refresh()
    assert service.end == later
    assert lease.held
    assert 29 < lease.remaining <= 30


def test_a_clock_set_back_does_not_end_a_lease_nor_keep_it_from_being_prolonged(db, service, clock):
    lease = db.lease(Lock, "x", duration=30)
    lease.acquire()
    end = service.end
    for elapsed in range(20, 101, 20):
        if elapsed == 20:
            clock.jump(-3600)
        clock.advance(20)
        lease.refresh()
        assert service.end == end + elapsed
        assert 29 <= lease.remaining <= 30
    clock.advance(31)
    assert not lease.held


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_lease_never_seems_to_run_for_longer_than_it_was_asked_for(db, clock, jump):
    lease = db.lease(Lock, "x", duration=2)
    lease.acquire()
    clock.jump(jump)
    assert lease.remaining <= 2
    clock.advance(2)
    assert lease.remaining == 0
    assert not lease.held


def test_the_time_that_the_answer_took_is_not_counted_as_remaining(db, service, clock):
    service.fates = [8.0]
    lease = db.lease(Lock, "x", duration=30)
    lease.acquire()
    assert lease.remaining <= 22
    service.fates = [9.0]
    lease.refresh()
    assert lease.remaining <= 21


def test_a_lease_that_ran_out_before_its_answer_came_is_acquired_again(db, service):
    service.fates = ["lost", 6.0]
    lease = db.lease(Lock, "x", duration=5)
    lease.acquire()
    assert lease.held
    assert lease.remaining > 3
    assert lease.fence == int(service.store.item("locks", "x", "LOCK")["lease_fence"]["N"])
    assert len(service.store.changes) == 2


def test_a_lease_that_has_run_out_with_every_answer_is_lost_and_never_returned(db, service):
    service.fates = [6.0] * 20
    lease = db.lease(Lock, "x", duration=5)
    with pytest.raises(LeaseLost, match="run out") as caught:
        lease.acquire()
    assert caught.value.outcome is Outcome.APPLIED
    assert not lease.held
    assert lease.token is None
    service.fates = []
    lease.acquire()
    assert lease.held


def test_a_refresh_whose_answer_came_after_the_end_has_lost_the_lease(db, service):
    lease = db.lease(Lock, "x", duration=5)
    lease.acquire()
    service.fates = [6.0]
    with pytest.raises(LeaseLost, match="run out") as caught:
        lease.refresh()
    assert caught.value.outcome is Outcome.APPLIED
    assert lease.token is None


def test_held_by_another_after_a_lost_taking_of_an_absent_item_is_unknown(db, service):
    """Whoever deletes the item lets a copy of the request pass that is still under way."""
    db.lease(Lock, "x", duration=30).acquire()
    service.fates = ["held"]
    with pytest.raises(LeaseHeld) as caught:
        db.lease(Lock, "x").acquire()
    assert caught.value.outcome is Outcome.UNKNOWN
    service.store.clear()
    assert service.deliver(1)


def test_held_by_another_after_a_lost_taking_of_an_ended_lease_is_not_applied_and_will_not_be(db, service, clock):
    db.lease(Lock, "x", duration=5).acquire()
    clock.advance(6)
    service.fates = [0.0, "held"]
    service.before[4] = service.rival
    with pytest.raises(LeaseHeld) as caught:
        db.lease(Lock, "x", duration=30).acquire()
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert len(service.requests) == 4
    for _ in range(3):
        assert not service.deliver(2)
        clock.advance(30)


@pytest.mark.parametrize(("fence", "outcome"), [(0, Outcome.NOT_APPLIED), (1, Outcome.UNKNOWN), (2, Outcome.UNKNOWN)])
def test_a_lost_taking_may_be_over_only_where_the_fence_has_moved(db, service, clock, fence, outcome):
    db.lease(Lock, "x", duration=5).acquire()
    clock.advance(6)
    service.fates = [0.0, "held"]

    def much_later():
        clock.advance(40)
        service.rival(fence, 100)

    service.before[4] = much_later
    with pytest.raises(LeaseHeld) as caught:
        db.lease(Lock, "x", duration=30).acquire()
    assert caught.value.outcome is outcome


def test_a_lease_that_changes_hands_while_it_is_tried_is_taken_when_it_is_free(db, service, clock):
    db.lease(Lock, "x", duration=5).acquire()
    clock.advance(6)
    service.before = {3: lambda: service.rival(1, -100), 4: lambda: service.rival(1, -100)}
    lease = db.lease(Lock, "x")
    lease.acquire()
    assert lease.held
    assert len(service.requests) == 5
    lease.release()
    service.before = {n: lambda: service.rival(1, -100) for n in range(6, 40)}
    with pytest.raises(LeaseHeld, match="quicker") as caught:
        lease.acquire()
    assert caught.value.retry_after == 0
    assert len(service.requests) == 6 + 8


def test_an_error_after_a_lost_taking_of_an_absent_item_does_not_say_that_nothing_was_applied(db, service, clock):
    db.lease(Lock, "x", duration=5).acquire()
    clock.advance(6)
    service.fates = ["held", 0.0, *["refused"] * 10]
    with pytest.raises(Unavailable) as caught:
        db.lease(Lock, "x").acquire()
    assert caught.value.outcome is Outcome.UNKNOWN


def test_a_refusal_that_shows_no_item_is_not_believed(scripted):
    db = scripted(lambda _: failure("ConditionalCheckFailedException")).db
    with pytest.raises(OutcomeUnknown) as caught:
        db.lease(Lock, "x").acquire()
    assert isinstance(caught.value.earlier[0], MalformedResponse)
    assert caught.value.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("lost", "elapsed", "rival", "outcome"),
    [
        (False, 31, False, Outcome.NOT_APPLIED),
        (True, 31, False, Outcome.UNKNOWN),  # a copy may pass, where another refresh under way arrives before it
        (True, 1, True, Outcome.UNKNOWN),  # it may have been applied, and the clock of the rival be ahead
        (True, 50, True, Outcome.UNKNOWN),  # it may have been applied, and have run out since
    ],
)
def test_what_became_of_a_refresh_that_was_refused(db, service, clock, lost, elapsed, rival, outcome):
    lease = db.lease(Lock, "x", duration=30)
    lease.acquire()
    if not lost:
        clock.advance(elapsed)

    def meanwhile():
        clock.advance(elapsed)
        if rival:
            service.rival()
        else:
            service.store.item("locks", "x", "LOCK")["lease_expires_at"] = {"N": "5"}

    if lost:
        service.fates = ["held"]
        service.before[3] = meanwhile
    with pytest.raises(LeaseLost) as caught:
        lease.refresh()
    assert caught.value.outcome is outcome
    assert lease.token is None


@pytest.mark.parametrize(("elapsed", "given_back"), [(1, True), (31, False)])
def test_a_lost_release_that_finds_another_holder_was_ours_if_the_lease_still_ran(
    db, service, clock, elapsed, given_back
):
    lease = db.lease(Lock, "x", duration=30)
    lease.acquire()
    clock.advance(elapsed)
    service.fates = ["lost"]
    service.before[3] = service.rival
    assert lease.release() is given_back


def test_resolve_of_a_taking_tells_what_it_was_pinned_to(db, service, clock):
    db.lease(Lock, "x", duration=5).acquire()
    clock.advance(6)
    service.fates = [0.0, *["held"] * 4]
    with pytest.raises(OutcomeUnknown) as caught:
        db.lease(Lock, "x").acquire()
    service.rival()
    assert caught.value.resolve(5) is Outcome.NOT_APPLIED
    assert not service.deliver(2)


def test_of_a_request_that_was_delivered_twice_the_second_answer_tells_the_same(db, service):
    lease = db.lease(Lock, "x", duration=30)
    for step in (lease.acquire, lease.refresh, lease.release):
        service.before[len(service.requests) + 1] = lambda: service.deliver(-1)
        assert step() is not False
    assert "lease_token" not in service.store.item("locks", "x", "LOCK")


def test_settling_an_old_refresh_leaves_a_lease_alone_that_was_taken_anew(db, service):
    lease = db.lease(Lock, "x", duration=30)
    lease.acquire()
    service.fates = ["held"] * 4
    with pytest.raises(OutcomeUnknown) as caught:
        lease.refresh()
    lease.release()
    lease.acquire()
    assert caught.value.resolve(5) is Outcome.UNKNOWN
    assert lease.held
    assert caught.value.resolve(5) is Outcome.UNKNOWN


def test_no_time_to_settle_sends_nothing(db, service):
    lease = db.lease(Lock, "x", duration=30)
    service.fates = ["held"] * 4
    with pytest.raises(OutcomeUnknown) as caught:
        lease.acquire()
    sent = len(service.requests)
    assert caught.value.resolve(0) is Outcome.UNKNOWN
    assert len(service.requests) == sent
