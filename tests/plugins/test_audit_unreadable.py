"""Whatever stands in the place of an item or of its records: verify names the first bad one, and who looks at it can read on."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime

import pytest

from dynamorm import Attr, Model, actor, attr, partition_key
from dynamorm.errors import AuditChainBroken, KeyUnavailable
from tests.behaviour.kit import ask, store, stored, table_of

from .audit_kit import tracking

pytestmark = pytest.mark.engine


class Payment(Model, table="unreadable-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    note: Attr[str] = attr(default="")


class Family(Model, table="unreadable-family", discriminator="kind"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


class Child(Family, tag="child"):
    note: Attr[str] = attr(default="")


MODELS = (Payment, Family)
WHO = actor("user:42")


def _row(db):
    return next(plugin for plugin in db.inner.plugins if plugin.name == "audit").of(Payment).row


def made_with(db):
    db.enable_change_tracking(Payment, tracking())
    db.tables.create(
        next(plugin for plugin in db.plugins if plugin.name == "audit").of(Payment).row, skip_unavailable=True
    )


@pytest.fixture
def db(plugged):
    with WHO:
        face = plugged()
        face.enable_change_tracking(Payment, tracking())
        face.enable_change_tracking(Family, tracking(["amount"]))
        yield face


def chain(db, key):
    db.create(Payment(id=key))
    for amount in (1, 2, 3):
        db.update(Payment, key, Payment.amount.set(amount))


def place(key, n):
    return f"~A#unreadable-payments#S{key}", n if isinstance(n, str) else f"{n:020d}"


def record(db, key, n, **wires):
    """Change a record as it is stored; None takes an attribute away."""
    was = stored(db, _row(db), *place(key, n))
    store(db, _row(db), {name: wire for name, wire in {**was, **wires}.items() if wire is not None})


def body(db, key, n, old, new):
    """The body of a record with something else in it."""
    was = b64decode(stored(db, _row(db), *place(key, n))["b"]["B"])
    assert old in was
    record(db, key, n, b={"B": b64encode(was.replace(old, new, 1)).decode()})


def bare(db, key, sk):
    pk, _ = place(key, 1)
    store(db, _row(db), {"pk": {"S": pk}, "sk": {"S": sk}})


def item(db, key, **wires):
    was = stored(db, Payment, key)
    store(db, Payment, {name: wire for name, wire in {**was, **wires}.items() if wire is not None})


def deep(levels):
    return b'"ch":[["amount",null,{"L":' + b"[" * levels + b"]" * levels + b"}],"


DEEPEST = b64encode(b'{"v":1,"ch":[["a",null,{"L":' + b"[" * 50_000 + b"]" * 50_000 + b"}]]}").decode()

RECORDS = {
    "h is gone": lambda db, key: record(db, key, 2, h=None),
    "b is gone": lambda db, key: record(db, key, 2, b=None),
    "b is a text": lambda db, key: record(db, key, 2, b={"S": "x"}),
    "h is a text": lambda db, key: record(db, key, 2, h={"S": "x"}),
    "h is short": lambda db, key: record(db, key, 2, h={"B": "eA=="}),
    "b is a list": lambda db, key: record(db, key, 2, b={"L": []}),
    "one more": lambda db, key: record(db, key, 2, evil={"S": "x"}),
    "nothing but the key": lambda db, key: record(db, key, 2, b=None, h=None),
    "no JSON": lambda db, key: record(db, key, 2, b={"B": b64encode(b"\xff\xfe").decode()}),
    "too deep": lambda db, key: record(db, key, 2, b={"B": DEEPEST}),
    "deep": lambda db, key: body(db, key, 2, b'"ch":[', deep(900)),
    "no map in ch": lambda db, key: body(db, key, 2, b'{"N":"1"}', b'"one"'),
    "an empty map in ch": lambda db, key: body(db, key, 2, b'{"N":"1"}', b"{}"),
    "no digest in ch": lambda db, key: body(db, key, 2, b'{"N":"1"}', b'{"D":5}'),
    "no number in ch": lambda db, key: body(db, key, 2, b'{"N":"1"}', b'{"N":"x"}'),
    "no list in ch": lambda db, key: body(db, key, 2, b'{"N":"1"}', b'{"L":{"S":1}}'),
    "a time that Python has not": lambda db, key: body(db, key, 2, b'"at":', b'"at":9999'),
    "a negative time": lambda db, key: body(db, key, 2, b'"at":', b'"at":-9999'),
}


@pytest.mark.parametrize("fault", RECORDS)
def test_verify_names_a_record_that_cannot_be_read(db, key, fault):
    chain(db, key)
    RECORDS[fault](db, key)
    verdict = db.audit.verify(Payment, key)
    assert (verdict.ok, verdict.first_bad) == (False, 2)
    assert verdict.reason in {"unreadable", "forged"}
    told = [one.version for one in db.audit.history(Payment, key, verify=False)]
    assert told in ([1, 3, 4], [1, 2, 3, 4])
    for read in (
        lambda: db.audit.history(Payment, key),
        lambda: db.audit.as_of(Payment, key, datetime.now(UTC)),
        lambda: db.audit.restore(Payment, key, version=1),
    ):
        with pytest.raises(AuditChainBroken) as broken:
            read()
        assert broken.value.first_bad == 2


def test_what_is_no_record_behind_the_last_one_is_named_and_nothing_goes_behind_it(db, key):
    chain(db, key)
    bare(db, key, "zzz")
    verdict = db.audit.verify(Payment, key)
    assert (verdict.ok, verdict.first_bad, verdict.reason) == (False, 5, "unreadable")
    assert len(db.audit.history(Payment, key, verify=False)) == 4
    item(db, key, _as=None)  # so that the store is asked
    with pytest.raises(AuditChainBroken) as broken:
        db.update(Payment, key, Payment.amount.set(9))
    assert broken.value.reason == "forged"


ITEMS = {
    "a text for a number": {"amount": {"S": "x"}},
    "a fraction": {"amount": {"N": "1.5"}},
    "NULL": {"status": {"NULL": True}},
    "a map": {"status": {"M": {"a": {"L": [{"BOOL": True}]}}}},
    "gone": {"amount": None},
    "_an is a text": {"_an": {"S": "4"}},
    "_ah is a list": {"_ah": {"L": []}},
    "_as is short": {"_as": {"B": "eA=="}},
    "_an is gone": {"_an": None},
}


@pytest.mark.parametrize("fault", ITEMS)
def test_verify_names_an_item_that_its_model_cannot_read(db, key, fault):
    chain(db, key)
    item(db, key, **ITEMS[fault])
    verdict = db.audit.verify(Payment, key)
    assert (verdict.ok, verdict.first_bad) == (False, 5)
    assert verdict.reason == ("head" if fault.startswith("_") else "external")
    assert [one.version for one in db.audit.history(Payment, key, verify=False)] == [1, 2, 3, 4]
    assert db.audit.restore(Payment, key, version=4).item.amount == 3
    assert db.audit.verify(Payment, key).external == (5,)


def test_a_field_that_is_not_tracked_is_no_business_of_verify(db, key):
    chain(db, key)
    item(db, key, note={"N": "5"})
    assert db.audit.verify(Payment, key).ok
    assert len(db.audit.history(Payment, key)) == 4


def test_another_key_is_no_verdict_and_who_looks_reads_on(db, key):
    chain(db, key)
    body(db, key, 2, b'"kid":"', b'"kid":"0')
    with pytest.raises(KeyUnavailable):
        db.audit.verify(Payment, key)
    assert [one.version for one in db.audit.history(Payment, key, verify=False)] == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", [{"S": "nobody"}, {"N": "5"}, None])
def test_an_item_that_was_made_one_of_another_class_is_missing(db, key, kind):
    db.create(Child(id=key, amount=1))
    was = stored(db, Child, key)
    changed = {name: wire for name, wire in {**was, "kind": kind}.items() if wire is not None}
    ask(db, "PutItem", {"TableName": table_of(db, Child), "Item": changed})
    verdict = db.audit.verify(Child, key)
    assert (verdict.ok, verdict.first_bad, verdict.reason) == (False, 2, "missing")
