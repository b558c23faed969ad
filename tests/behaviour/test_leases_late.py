"""Requests of a lease that the network delivers late, or twice: none is applied behind the back of a later holder."""

import pytest

from dynamorm import Model, Outcome, OutcomeUnknown, TransactionCancelled
from dynamorm.errors import LeaseHeld, LeaseLost
from dynamorm.leases import LeaseRecord
from tests.support.held import HeldNetwork

from .kit import ask, key_of, store, stored, table_of

pytestmark = pytest.mark.engine


class Lock(Model, LeaseRecord, table="locks"):
    pass


MODELS = [Lock]


class Clock:
    """A clock that a test moves."""

    def __init__(self, clock):
        self._clock = clock
        self.ahead = 0.0
        self.jumped = 0.0

    def time(self):
        return self._clock.time() + self.ahead + self.jumped

    def monotonic(self):
        return self._clock.monotonic() + self.ahead


@pytest.fixture
def network():
    return HeldNetwork("UpdateItem")


@pytest.fixture
def db(open_db, engine, made, network):
    return open_db(engine.endpoint, extensions=(network,), table_prefix=made, retry_base=0.001)


@pytest.fixture
def clock(db):
    channel = db.inner._session.channel
    channel.clock = Clock(channel.clock)
    return channel.clock


def state(db, key):
    """Token, end and fence as stored."""
    item = stored(db, Lock, key, "LOCK")
    return item.get("lease_token"), int(item["lease_expires_at"]["N"]), int(item["lease_fence"]["N"])


def passes(db, guard):
    """Whether a transaction with this guard is applied."""
    try:
        with db.transaction() as tx:
            tx.check(*guard)
    except TransactionCancelled:
        return False
    return True


@pytest.mark.parametrize("seen", ["absent", "ended", "released", "of Go"])
def test_a_taking_that_arrives_after_the_release_leaves_no_holder(db, key, network, clock, seen):
    if seen == "of Go":
        item = {"pk": {"S": key}, "sk": {"S": "LOCK"}, "lease_token": {"S": "7c"}, "lease_expires_at": {"N": "17"}}
        store(db, Lock, item)
    elif seen != "absent":
        first = db.lease(Lock, key, duration=5)
        first.acquire()
        if seen == "released":
            first.release()
    clock.ahead = 6
    lease = db.lease(Lock, key, duration=60)
    network.schedule = ["hold"] if seen == "absent" else ["pass", "hold"]
    lease.acquire()
    guard = lease.guard()
    assert passes(db, guard)
    lease.release()
    before = state(db, key)
    assert network.deliver(db) == 400
    assert state(db, key) == before
    assert not passes(db, guard)
    other = db.lease(Lock, key)
    other.acquire()
    assert network.deliver(db) == 400
    assert state(db, key)[0] == {"S": other.token}
    other.release()
    clock.ahead = 100
    assert network.deliver(db) == 400
    assert not passes(db, guard)


def test_a_taking_that_was_given_up_and_arrives_after_others_had_the_lease_is_refused(db, key, network, clock):
    db.lease(Lock, key, duration=5).acquire()
    clock.ahead = 6
    network.schedule = ["pass", *["hold"] * 4]
    with pytest.raises(OutcomeUnknown):
        db.lease(Lock, key).acquire()
    other = db.lease(Lock, key)
    other.acquire()
    other.release()
    before = state(db, key)
    for which in range(len(network.held)):
        assert network.deliver(db, which) == 400
    assert state(db, key) == before


def test_a_refresh_that_arrives_late_does_not_shorten_the_lease(db, key, network, clock):
    lease = db.lease(Lock, key, duration=20)
    lease.acquire()
    network.schedule = ["hold"] * 4
    with pytest.raises(OutcomeUnknown):
        lease.refresh()
    clock.ahead = 10
    lease.refresh()
    before = state(db, key)
    assert network.deliver(db) == 400
    assert state(db, key) == before
    clock.ahead = 25  # the first refresh asked for less than that
    with pytest.raises(LeaseHeld):
        db.lease(Lock, key).acquire()


def test_a_refresh_with_a_clock_set_back_still_prolongs_the_lease(db, key, clock):
    lease = db.lease(Lock, key, duration=20)
    lease.acquire()
    _, end, _ = state(db, key)
    clock.jumped = -3600
    assert lease.remaining <= 20
    clock.ahead = 15
    lease.refresh()
    assert end + 15 <= state(db, key)[1] <= end + 16
    assert 19 <= lease.remaining <= 20
    clock.ahead = 36
    assert not lease.held


@pytest.mark.parametrize("how", ["hold", "lose"])
def test_lost_answers_leave_one_holder_and_no_ghost(db, key, network, how):
    lease = db.lease(Lock, key, duration=20)
    for step in (lease.acquire, lease.refresh, lease.release):
        network.schedule = [how, how]
        assert step() is not False
    before = state(db, key)
    for which in range(len(network.held)):
        network.deliver(db, which)
    assert state(db, key) == before
    assert before[0] is None


def test_a_release_that_arrives_late_takes_nothing_from_the_next_holder(db, key, network, clock):
    lease = db.lease(Lock, key, duration=5)
    lease.acquire()
    network.schedule = ["hold"] * 4
    with pytest.raises(OutcomeUnknown):
        lease.release()
    clock.ahead = 6
    other = db.lease(Lock, key)
    other.acquire()
    before = state(db, key)
    assert network.deliver(db) == 400
    assert state(db, key) == before


def test_what_is_not_promised_a_deleted_item_lets_a_held_taking_pass_until_its_end(db, key, network):
    other = db.lease(Lock, key, duration=20)
    other.acquire()
    network.schedule = ["hold"]
    with pytest.raises(LeaseHeld) as caught:
        db.lease(Lock, key, duration=20).acquire()
    assert caught.value.outcome is Outcome.UNKNOWN
    ask(db, "DeleteItem", {"TableName": table_of(db, Lock), "Key": key_of(db, Lock, (key, "LOCK"))})
    assert network.deliver(db) == 200
    with pytest.raises(LeaseLost):
        other.refresh()


def test_of_many_that_want_an_ended_lease_one_gets_it(db, key):
    first = db.lease(Lock, key)
    first.acquire()
    fence = first.fence
    first.release()

    def race(_):
        lease = db.lease(Lock, key)
        try:
            lease.acquire()
        except LeaseHeld:
            return 0
        return lease.fence

    assert sorted(db.concurrently(race, 12))[-2:] == [0, fence + 1]
