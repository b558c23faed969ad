"""Leases: one holder at a time, the stored form of the Go library, and fencing inside a transaction."""

import time

import pytest

from dynamorm import Attr, Model, Outcome, TransactionCancelled, ValidationError, attr, partition_key
from dynamorm.errors import ConditionFailed, LeaseHeld, LeaseLost, ModelError
from dynamorm.leases import LeaseRecord

from .kit import store, stored

pytestmark = pytest.mark.engine


class Lock(Model, LeaseRecord, table="locks"):
    pass


class Batch(Model, table="batches"):
    id: Attr[str] = partition_key()
    state: Attr[str] = attr(default="open")


MODELS = [Lock, Batch]


class Later:
    """A clock that is so many seconds ahead."""

    def __init__(self, seconds):
        self.seconds = seconds

    def time(self):
        return time.time() + self.seconds

    def monotonic(self):
        return time.monotonic() + self.seconds


@pytest.fixture
def shift(db):
    """Moves the time of the leases."""
    channel = db.inner._session.channel
    clock = channel.clock

    def move(seconds):
        channel.clock = Later(seconds)

    yield move
    channel.clock = clock


def test_it_is_stored_as_the_go_library_stores_it(db, key):
    began = time.time()
    lease = db.lease(Lock, key, duration=30)
    lease.acquire()
    item = stored(db, Lock, key, "LOCK")
    assert item.keys() == {"pk", "sk", "lease_token", "lease_expires_at", "ttl", "lease_fence"}
    assert (item["pk"], item["sk"], item["lease_token"]) == ({"S": key}, {"S": "LOCK"}, {"S": lease.token})
    expires = int(item["lease_expires_at"]["N"])
    assert int(began + 30) <= expires <= time.time() + 30
    assert int(item["ttl"]["N"]) == expires + 3600
    assert item["lease_fence"] == {"N": str(lease.fence)}
    assert 28 < lease.remaining <= 30
    assert lease.held


def test_it_is_held_by_one_until_it_is_given_back(db, key):
    with db.lease(Lock, key, duration=20) as lease:
        other = db.lease(Lock, key)
        with pytest.raises(LeaseHeld, match="somebody else") as caught:
            other.acquire()
        assert 15 < caught.value.retry_after <= 20
        assert isinstance(caught.value, ConditionFailed)
        assert caught.value.outcome is Outcome.NOT_APPLIED
        assert not other.held
        with db.lease(Lock, key, "REBUILD"), db.lease(Lock, f"{key}-other"):
            pass
        first = lease.fence
    assert not lease.held
    with db.lease(Lock, key) as lease:
        assert lease.fence == first + 1


def test_one_that_ran_out_may_be_taken_and_its_holder_is_told(db, key, shift):
    old = db.lease(Lock, key, duration=60)
    old.acquire()
    fence = old.fence
    shift(70)
    assert not old.held
    new = db.lease(Lock, key)
    new.acquire()
    assert new.fence == fence + 1
    with pytest.raises(LeaseLost, match="taken by somebody else"):
        old.refresh()
    assert old.release() is False
    assert new.release() is True
    assert new.release() is False


def test_one_that_ran_out_cannot_be_refreshed_but_given_back(db, key, shift):
    lease = db.lease(Lock, key, duration=60)
    lease.acquire()
    shift(30)
    lease.refresh()
    shift(60)
    lease.refresh()
    shift(150)
    assert lease.release() is True
    lease = db.lease(Lock, key, duration=60)
    lease.acquire()
    shift(240)
    with pytest.raises(LeaseLost):
        lease.refresh()
    with pytest.raises(LeaseLost, match="acquire it first"):
        lease.refresh()


def test_it_is_waited_for(db, key):
    db.lease(Lock, key, duration=1).acquire()
    began = time.monotonic()
    with db.lease(Lock, key, wait=5):
        assert time.monotonic() - began < 3
    held = db.lease(Lock, f"{key}-x", duration=20)
    held.acquire()
    began = time.monotonic()
    with pytest.raises(LeaseHeld):
        db.lease(Lock, f"{key}-x", wait=0.3).acquire()
    assert 0.3 <= time.monotonic() - began < 2


def test_of_many_that_want_it_one_gets_it(db, key):
    def race(_):
        try:
            db.lease(Lock, key).acquire()
        except LeaseHeld:
            return 0
        return 1

    assert sum(db.concurrently(race, 12)) == 1


def test_a_transaction_is_applied_only_while_the_lease_is_ours(db, key, shift):
    db.put(Batch(id=key))
    mine = db.lease(Lock, key, duration=60)
    mine.acquire()
    with db.transaction() as tx:
        tx.update(Batch, key, Batch.state.set("first"))
        tx.check(*mine.guard(), label="lease")
    shift(70)
    db.lease(Lock, key).acquire()

    def write_late():
        with db.transaction() as tx:
            tx.update(Batch, key, Batch.state.set("zombie"))
            tx.check(*mine.guard(), label="lease")

    with pytest.raises(TransactionCancelled) as caught:
        write_late()
    assert caught.value.reasons[0] is None
    assert caught.value.reasons[1].label == "lease"
    assert db.get(Batch, key).state == "first"
    assert mine.release() is False
    with pytest.raises(LeaseLost):
        mine.guard()


def test_leaving_a_block_tells_when_the_lease_was_taken_meanwhile(db, key, shift):
    other = db.lease(Lock, key)

    def work(seconds, error):
        with db.lease(Lock, key, duration=1):
            shift(seconds)
            other.acquire()
            if error is not None:
                raise error

    with pytest.raises(LeaseLost, match="before its block had ended") as caught:
        work(2, None)
    assert caught.value.outcome is Outcome.UNKNOWN
    assert other.held
    other.release()
    with pytest.raises(LookupError):
        work(5, LookupError())


def test_a_lease_of_the_go_library_is_respected_and_taken_when_it_ran_out(db, key):
    now = int(time.time())
    item = {"pk": {"S": key}, "sk": {"S": "LOCK"}, "lease_token": {"S": "7c0e"}, "ttl": {"N": str(now + 3630)}}
    store(db, Lock, item | {"lease_expires_at": {"N": str(now + 30)}})
    with pytest.raises(LeaseHeld):
        db.lease(Lock, key).acquire()
    store(db, Lock, item | {"lease_expires_at": {"N": str(now)}})
    with db.lease(Lock, key) as lease:
        assert lease.fence > now * 1000  # from the clock, since the Go library keeps no fence
    # What is given back is free for the Go library: it asks for lease_expires_at <= now.
    assert stored(db, Lock, key, "LOCK")["lease_expires_at"] == {"N": "0"}


def test_a_lease_is_acquired_once(db, key):
    lease = db.lease(Lock, key)
    lease.acquire()
    with pytest.raises(ValidationError, match="acquired before"):
        lease.acquire()
    with pytest.raises(LeaseLost, match="not held"):
        db.lease(Lock, key).guard()
    assert lease.token not in repr(lease)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"duration": 0}, "duration"),
        ({"duration": 90_000}, "duration"),
        ({"duration": "5"}, "duration"),
        ({"wait": -1}, "wait"),
    ],
)
def test_times_that_cannot_be_are_refused(db, wire, settings, word):
    with pytest.raises(ValidationError, match=word):
        db.lease(Lock, "x", **settings)
    with pytest.raises(ModelError, match="LeaseRecord"):
        db.lease(Batch, "x")
    with pytest.raises(ValidationError, match=r"Lock\.pk"):
        db.lease(Lock, "")
    assert wire.calls == []
