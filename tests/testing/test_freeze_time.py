"""A clock that stands: what the library stores and decides by, and what goes on all the same."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from dynamorm import Attr, Model, attr, created_at, partition_key, ttl, updated_at
from dynamorm.engine import Engine
from dynamorm.errors import DeadlineExceeded, LeaseHeld, LeaseLost, OutcomeUnknown
from dynamorm.leases import LeaseRecord
from dynamorm.testing import FaultServer, answers, assert_eventually, freeze_time
from dynamorm.wire.clock import SkewClock
from dynamorm.wire.credentials import Credentials
from dynamorm.wire.sigv4 import Signer

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()


class Session(Model, table="sessions"):
    id: Attr[str] = partition_key()
    ends: Attr[datetime | None] = ttl(default=None)


class Lock(Model, LeaseRecord, table="locks"):
    pass


@pytest.mark.engine
def test_times_that_are_stored_are_those_of_the_clock(opened):
    db = opened(models=[Payment])
    with freeze_time("2024-01-01T12:00:00Z") as clock:
        payment = db.create(Payment(id="p1"))
        assert (payment.made, payment.changed) == (NOON, NOON)
        clock.tick(90)
        db.update(payment, Payment.amount.add(1))
        stored = db.require(Payment, "p1")
    assert (stored.made, stored.changed) == (NOON, NOON + timedelta(seconds=90))


@pytest.mark.engine
def test_a_lease_runs_out_by_the_clock(opened):
    db = opened(models=[Lock])
    with freeze_time("2024-01-01T12:00:00Z") as clock:

        def held_too_long():
            with db.lease(Lock, "job", duration=60) as lease:
                assert lease.held
                with pytest.raises(LeaseHeld), db.lease(Lock, "job", duration=60):
                    pass
                clock.tick(61)
                assert not lease.held
                with db.lease(Lock, "job", duration=60) as other:
                    assert other.held

        with pytest.raises(LeaseLost):  # told at the end of the block
            held_too_long()


def signed(signer, now):
    head = signer.request("GetItem", b"{}", Credentials("key", "secret"), now)
    return next(line for line in head.split(b"\r\n") if line.lower().startswith(b"x-amz-date")).split()[-1].decode()


def test_requests_to_an_engine_here_are_signed_by_the_clock_and_those_to_aws_by_the_real_time():
    here, aws = Signer("us-east-1", "localhost:8000"), Signer("us-east-1", "dynamodb.us-east-1.amazonaws.com")
    real = time.time()
    with freeze_time("2024-01-01T12:00:00Z"):
        assert signed(here, time.time()) == "20240101T120000Z"
        stamp = datetime.strptime(signed(aws, time.time()), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        assert abs(stamp.timestamp() - real) < 30
    assert signed(here, 1_700_000_000) == "20231114T221320Z"
    assert signed(aws, 1_700_000_000) == "20231114T221320Z"


def test_nothing_is_learned_of_the_clock_of_aws():
    skew, real = SkewClock(), time.time()
    date = datetime.fromtimestamp(real, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").encode()
    with freeze_time("2024-01-01T12:00:00Z"):
        for second in range(5):
            skew.observe(date.replace(b"GMT", b"GMT"), time.time(), time.time(), second)
            skew._last = None
        assert skew.skew == 0.0
        assert abs(skew.measured) < 30
        assert not skew.correct(date, time.time())


def test_the_wall_clock_stands_and_the_monotonic_one_goes_on():
    with freeze_time("2024-01-01T12:00:00+02:00"):
        wall, monotonic = time.time(), time.monotonic()
        time.sleep(0.02)
        asyncio.run(asyncio.sleep(0.02))
        assert time.time() == wall == datetime(2024, 1, 1, 10, tzinfo=UTC).timestamp()
        assert datetime.now(UTC) == datetime(2024, 1, 1, 10, tzinfo=UTC)
        assert time.monotonic() - monotonic >= 0.04
    assert time.time() > wall + 1e6


def test_the_time_limit_of_a_request_goes_on(open_db):
    with FaultServer([answers.silence("stall")] * 5) as server:
        db = open_db(server.endpoint, operation_timeout=0.3)
        with freeze_time("2024-01-01T12:00:00Z"), pytest.raises(DeadlineExceeded):
            db.get(Payment, "p1")


def test_tick_moves_and_moving_back_is_only_by_move_to():
    with freeze_time(NOON) as clock:
        assert clock.tick() == NOON + timedelta(seconds=1)
        assert clock.tick(timedelta(minutes=1)) == clock.now == NOON + timedelta(seconds=61)
        clock.tick(0)
        for wrong in (-1, timedelta(seconds=-1), float("nan"), float("inf"), "5", True):
            with pytest.raises(ValueError, match="ticks forward"):
                clock.tick(wrong)
        assert clock.move_to("2023-01-01T00:00:00Z") == datetime(2023, 1, 1, tzinfo=UTC)


def test_a_decorator_stops_the_clock_for_each_call():
    seen = []

    @freeze_time("2024-01-01T12:00:00Z")
    def plain(value):
        seen.append(datetime.now(UTC))
        return value

    @freeze_time("2024-01-01T12:00:00Z")
    async def coroutine(value):
        await asyncio.sleep(0.01)
        seen.append(datetime.now(UTC))
        return value

    assert (plain(1), plain(2), asyncio.run(coroutine(3))) == (1, 2, 3)
    assert seen == [NOON] * 3
    assert plain.__name__ == "plain"
    assert datetime.now(UTC).year > 2024


def test_clocks_stand_within_one_another():
    with freeze_time(NOON):
        with freeze_time("2020-01-01T00:00:00Z") as inner:
            inner.tick(5)
        assert datetime.now(UTC) == NOON


def test_a_failure_lets_the_clock_go_on():
    with pytest.raises(ZeroDivisionError), freeze_time(NOON):
        1 / 0
    assert datetime.now(UTC).year > 2024


@pytest.mark.parametrize("moment", ["2024-01-01", "2024-01-01T12:00:00", datetime(2024, 1, 1), "noon", "", 5, None])
def test_a_moment_that_may_be_anywhere_is_refused(moment):
    with pytest.raises(ValueError):
        freeze_time(moment)


def test_it_is_used_in_a_block():
    clock = freeze_time(NOON)
    with pytest.raises(RuntimeError, match="does not stand"):
        clock.tick(1)
    assert datetime.now(UTC).year > 2024
    with clock, pytest.raises(RuntimeError, match="stands already"):
        clock.start()
    with pytest.raises(TypeError, match="decorate its methods"):
        freeze_time(NOON)(type("Tests", (), {}))

    def generator():
        yield

    async def asyncgen():
        yield

    for function in (generator, asyncgen):
        with pytest.raises(TypeError, match="no generators"):
            freeze_time(NOON)(function)


def test_the_fixture_stands_at_the_beginning_of_2024(frozen_time):
    assert datetime.now(UTC) == datetime(2024, 1, 1, tzinfo=UTC)
    frozen_time.tick(3600)
    assert datetime.now(UTC) == frozen_time.now == datetime(2024, 1, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("frozen_time", ["2020-02-29T00:00:00Z"], indirect=True)
def test_the_fixture_stands_where_a_parameter_says(frozen_time):
    assert frozen_time.now == datetime(2020, 2, 29, tzinfo=UTC)


def test_assert_eventually_takes_real_seconds():
    with freeze_time(NOON):
        began = time.monotonic()
        with pytest.raises(AssertionError):
            assert_eventually(lambda: False, timeout=0.1)
        assert time.monotonic() - began >= 0.1
        assert_eventually(lambda: time.monotonic() - began > 0.15)


@pytest.mark.engine
def test_a_ttl_is_stored_as_it_is(opened):
    db = opened(models=[Session])
    with freeze_time(NOON):
        db.create(Session(id="s1", ends=datetime.now(UTC) + timedelta(hours=1)))
    assert db.require(Session, "s1").ends == NOON + timedelta(hours=1)


def test_what_expires_leaves_the_engine_when_the_clock_has_passed_it(opened):
    with Engine() as engine:
        db = opened(engine=engine, models=[Session])
        with freeze_time(NOON) as clock:
            db.create(Session(id="s1", ends=NOON + timedelta(hours=1)))
            db.create(Session(id="s2"))
            clock.tick(3599)
            assert db.exists(Session, "s1")
            clock.tick(1)
            assert not db.exists(Session, "s1")
            assert db.exists(Session, "s2")
            db.create(Session(id="s3", ends=NOON))
        # As on AWS, what has expired may be there for days.
        db.create(Session(id="s4", ends=datetime.now(UTC) - timedelta(hours=1)))
        assert db.exists(Session, "s4")


def in_a_transaction(db, *objects):
    with db.transaction() as tx:
        for obj in objects:
            tx.create(obj)


def test_the_life_of_a_token_is_measured_by_the_clock_too(open_db):
    """A request whose token DynamoDB has forgotten is never sent again: after ten minutes of the frozen clock neither."""
    with freeze_time(NOON) as clock:

        def late(request):
            clock.tick(700)
            return answers.reset()

        with FaultServer(late) as server:
            db = open_db(server.endpoint, operation_timeout=5)
            with pytest.raises(OutcomeUnknown):
                in_a_transaction(db, Payment(id="p1"), Session(id="s1"))
            sent = [request.operation for request in server.requests]
    assert sent.count("TransactWriteItems") == 1
