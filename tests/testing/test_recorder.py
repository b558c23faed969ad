"""What a database has sent, on both faces: operations, tables, indexes, units, bytes, attempts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dynamorm import Attr, Model, attr, gsi, partition_key, version
from dynamorm.testing import Recorder

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    status: Attr[str] = attr(default="open")
    note: Attr[str] = attr(default="")
    version: Attr[int] = version()
    by_status = gsi("by-status", partition="status")


@pytest.fixture
def db(opened):
    return opened(models=[Payment])


def test_requests_are_recorded_in_order(db):
    with Recorder(db.inner) as r:
        payment = db.create(Payment(id="p1"))
        db.update(payment, Payment.note.set("x"))
        db.get(Payment, "p1")
        db.model(Payment).where(Payment.status == "open").all()
    assert r.operations == ["PutItem", "UpdateItem", "GetItem", "Query"]
    assert {request.table for request in r.requests} == {db.config.table_prefix + "payments"}
    assert [request.index for request in r.requests] == [None, None, None, "by-status"]
    assert [request.attempt for request in r.requests] == [1, 1, 1, 1]
    assert all(request.bytes > 50 for request in r.requests)


def test_units_are_exact_decimals(db):
    with Recorder(db.inner) as r:
        db.create(Payment(id="p1", note="x" * 1500))
        db.get(Payment, "p1")
    assert r.capacity.write == sum(request.capacity.write for request in r.requests) >= 2
    assert r.capacity.read == Decimal("0.5")
    assert isinstance(r.capacity.read, Decimal)
    assert (r.requests[1].capacity.read, r.requests[1].capacity.write) == (Decimal("0.5"), 0)


def test_each_attempt_is_a_request(db):
    payment = db.create(Payment(id="p1"))
    with Recorder(db.inner) as r, db.inner.engine.faults.throttle(op="UpdateItem", times=2):
        db.update(payment, Payment.note.set("x"))
    assert r.operations == ["UpdateItem"] * 3
    assert [request.attempt for request in r.requests] == [1, 2, 3]


def test_scans_and_too_many_requests_are_failures_that_list_them(db):
    with Recorder(db.inner) as r:
        db.get(Payment, "p1")
        assert r.no_scans().at_most(1) is r
        db.model(Payment).allow_scan().all()
    with pytest.raises(AssertionError, match=r"1 Scan requests were sent:\n  Scan .*payments"):
        r.no_scans()
    with pytest.raises(AssertionError, match=r"2 requests were sent, not at most 1:\n  GetItem .*\n  Scan"):
        r.at_most(1)


def test_nothing_is_recorded_outside_of_the_block(db):
    recorder = Recorder(db.inner)
    db.get(Payment, "p1")
    with recorder as r:
        db.get(Payment, "p1")
        r.clear()
        db.get(Payment, "p2")
    db.get(Payment, "p1")
    assert r.operations == ["GetItem"]
    with recorder:
        db.get(Payment, "p1")
    assert r.operations == ["GetItem"] * 2


def test_two_recorders_see_their_own_parts(db):
    with Recorder(db.inner) as outer:
        db.get(Payment, "p1")
        with Recorder(db.inner) as inner:
            db.exists(Payment, "p1")
    assert (len(outer.requests), len(inner.requests)) == (2, 1)


def test_a_view_is_recorded(db):
    with Recorder(db.inner) as r:
        db.scoped(tenant="t1").get(Payment, "p1")
    assert r.operations == ["GetItem"]


def test_a_transaction_before_which_it_was_made_has_its_units(opened):
    db = opened()
    with Recorder(db.inner) as r, db.transaction() as tx:
        tx.create(Payment(id="p1"))
        tx.create(Payment(id="p2"))
    assert r.operations == ["TransactWriteItems"]
    assert r.capacity.write >= 4
