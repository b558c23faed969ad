"""Faults of a test database's engine, on both faces: applied or not as each says, and survived by the library."""

from __future__ import annotations

import time

import pytest

from dynamorm import Attr, Model, attr, partition_key, version
from dynamorm.errors import AccessDenied, ConfigError, TableNotFound, Throttled
from dynamorm.testing import FaultyEngine, Ministack, Recorder, TestDB

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()


@pytest.fixture
def db(opened):
    return opened(models=[Payment, Order])


def faults(db):
    return db.inner.engine.faults


def test_a_lost_reply_is_settled(db):
    payment = db.create(Payment(id="p1"))
    with faults(db).lose_reply(op="UpdateItem", times=1) as fault:
        db.update(payment, Payment.amount.add(5))
    assert fault.count == 1
    assert db.require(Payment, "p1").amount == 5


def test_a_lost_request_is_sent_again(db):
    with faults(db).lose_request(op="PutItem", times=2) as fault:
        db.create(Payment(id="p1", amount=5))
    assert fault.count == 2
    assert db.require(Payment, "p1").amount == 5


def test_fifty_increments_over_lost_replies(db):
    payment = db.create(Payment(id="p1"))
    with faults(db).lose_reply(share=0.3, seed=5) as fault:
        for _ in range(50):
            db.update(payment, Payment.amount.add(1))
    assert fault.count > 5
    assert db.require(Payment, "p1").amount == 50


def test_throttling_reaches_the_caller_when_it_lasts(opened):
    db = opened(models=[Payment], max_attempts=3, throttle_base=0.001)
    with faults(db).throttle(op="PutItem") as fault, pytest.raises(Throttled):
        db.create(Payment(id="p1"))
    assert fault.count >= 1
    assert db.get(Payment, "p1") is None


def test_a_delay_takes_its_time(db):
    db.create(Payment(id="p1"))
    with faults(db).delay(0.2, op="GetItem"):
        began = time.monotonic()
        db.require(Payment, "p1")
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_unprocessed_entries_are_written_and_read_in_the_end(db, share):
    payments = [Payment(id=f"p{number}", amount=number) for number in range(40)]
    with faults(db).unprocessed(share, times=3) as fault:
        assert db.batch_write(puts=payments, concurrency=1).ok
    assert fault.count == 3
    with faults(db).unprocessed(share, times=3, seed=1) as fault:
        found = db.batch_get(Payment, [payment.id for payment in payments], concurrency=1)
    assert fault.count == 3
    assert [payment.amount for payment in found] == list(range(40))


def test_a_conflict_is_tried_again(db):
    with faults(db).conflict(times=2) as fault, db.transaction() as tx:
        tx.create(Payment(id="p1"))
        tx.create(Order(id="o1"))
    assert fault.count == 2
    assert db.exists(Payment, "p1")
    assert db.exists(Order, "o1")


def test_an_error_is_what_it_is_called(db):
    with faults(db).error("AccessDeniedException", op="GetItem"), pytest.raises(AccessDenied):
        db.get(Payment, "p1")


def test_a_table_is_named_without_its_prefix(db):
    with faults(db).lose_request(table="orders") as fault:
        db.create(Payment(id="p1"))
        assert fault.count == 0
    with faults(db).lose_request(table="orders", times=1) as fault:
        db.create(Order(id="o1"))
    assert fault.count == 1


def test_faults_that_are_left_do_not_keep_the_tables(opened):
    db = opened(models=[Payment])
    faults(db).lose_request()
    faults(db).error("AccessDeniedException", op=["DeleteTable", "ListTables"])
    db._db.close()


def test_an_engine_may_be_given_and_shared(db):
    with FaultyEngine(db.config.endpoint) as engine:
        with TestDB(engine, models=[Payment]) as one, TestDB(engine, models=[Payment]) as other:
            assert one.engine is other.engine is engine
            with engine.faults.lose_reply(op="PutItem", times=2) as fault:
                one.create(Payment(id="p1"))
                other.create(Payment(id="p1"))
            assert fault.count == 2
        assert engine.endpoint != db.config.endpoint


def test_an_engine_with_an_endpoint_is_used():
    with Ministack() as engine, TestDB(engine, models=[Payment]) as db:
        assert db.config.endpoint == engine.endpoint
        db.create(Payment(id="p1"))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"engine": 5}, "not int"),
        ({"engine": FaultyEngine("http://127.0.0.1:1"), "endpoint": "http://127.0.0.1:1"}, "either"),
    ],
)
def test_what_is_no_engine_is_refused(arguments, told):
    with pytest.raises(ConfigError, match=told):
        TestDB(**arguments)


# ------------------------------------------------------------------------------------------------------------- tables


class Late(Model, table="late"):
    id: Attr[str] = partition_key()


def test_a_table_is_made_with_the_first_request_for_its_items(opened):
    db = opened()
    assert db.tables.names() == []
    assert db.get(Late, "x") is None
    assert [name.removeprefix(db.config.table_prefix) for name in db.tables.names()] == ["late"]
    with db.transaction() as tx:
        tx.create(Late(id="x"))
        tx.create(Payment(id="p1"))
    assert len(db.tables.names()) == 2


def test_a_table_that_the_test_deletes_stays_deleted(opened):
    db = opened()
    db.create(Late(id="x"))
    db.tables.delete(Late)
    with pytest.raises(TableNotFound):
        db.get(Late, "x")


def test_a_table_that_the_test_makes_is_left_alone(opened):
    db = opened()
    db.tables.create(Late)
    db.create(Late(id="x"))
    assert db.exists(Late, "x")


def test_making_tables_is_not_recorded(opened):
    db = opened()
    with Recorder(db.inner) as r:
        db.create(Late(id="x"))
    assert r.operations == ["PutItem"]


def test_many_threads_make_a_table_once(opened):
    db = opened()
    db.concurrently(lambda number: db.create(Late(id=f"x{number}")), 8)
    assert db.model(Late).allow_scan().count() == 8


def test_the_plugins_of_a_test_database_are_those_that_were_registered(opened):
    assert opened().inner.plugins == ()
