"""Immutable, write-once and protected attributes keep their value, whichever verb is used."""

import dataclasses
from datetime import UTC, datetime

import pytest

from dynamorm import Attr, Model, ValidationError, attr, partition_key, version
from dynamorm.adapters import register
from dynamorm.errors import ConditionFailed, ModelError, TransactionCancelled

from .kit import change, store, stored

pytestmark = [pytest.mark.engine, pytest.mark.wide]

CODE = "ErrProtectedFieldMutation"


def _put_in_transaction(db, obj):
    with db.transaction() as tx:
        tx.put(obj)


PUTS = {
    "put": lambda db, obj: db.put(obj),
    "put with a condition": lambda db, obj: db.put(obj, condition=type(obj).note == "n"),
    "put that returns": lambda db, obj: db.put(obj, returning="old"),
    "transaction": _put_in_transaction,
}


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="n")
    owner: Attr[str] = attr(default="me", immutable=True)
    receipt: Attr[str | None] = attr(default=None, write_once=True)
    paid_at: Attr[datetime | None] = attr(default=None, write_once=True)
    status: Attr[str] = attr(default="open", protected=True, name="st")
    marks: Attr[set[str]] = attr(default_factory=set, protected=True)
    tries: Attr[int] = attr(default=0, protected=True)
    version: Attr[int] = version()


class Loose(Model, table="loose"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="n")
    receipt: Attr[str | None] = attr(default=None, write_once=True)
    status: Attr[str] = attr(default="open", protected=True)
    count: Attr[int | None] = attr(default=None, write_once=True)


class Renamed(Model, table="renamed"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="n")
    owner: Attr[str] = attr(default="me", immutable=True, also_read=("Owner",))
    receipt: Attr[str | None] = attr(default=None, write_once=True, also_read=("Receipt",))


@dataclasses.dataclass
class Plain:
    id: str
    owner: str = "me"
    receipt: str | None = None
    status: str = "open"


register(Plain, table="plain", partition="id", immutable=["owner"], write_once=["receipt"], protected=["status"])
MODELS = [Order, Loose, Renamed, Plain]

CHANGED = {"owner": "you", "receipt": "other", "status": "paid", "marks": {"x"}, "tries": 1}


def refused(error, name):
    """Whether an error is about this attribute, with the code of such errors."""
    if isinstance(error, TransactionCancelled):
        error = error.reasons[0].error
    return error.code == CODE and f".{name} is " in str(error)


@pytest.mark.parametrize("verb", PUTS)
@pytest.mark.parametrize("name", CHANGED)
def test_a_put_of_a_new_object_cannot_change_what_is_stored(db, key, verb, name):
    db.create(Order(id=key, receipt="r1", marks={"a"}))
    before = stored(db, Order, key)
    with pytest.raises((ConditionFailed, TransactionCancelled)) as caught:
        PUTS[verb](db, Order(id=key, **{"receipt": "r1", "marks": {"a"}, name: CHANGED[name]}))
    assert refused(caught.value, name)
    assert stored(db, Order, key) == before


@pytest.mark.parametrize("verb", PUTS)
@pytest.mark.parametrize("name", CHANGED)
def test_a_put_of_a_loaded_object_is_refused_before_the_wire(db, wire, key, verb, name):
    order = db.create(Order(id=key, receipt="r1", marks={"a"}))
    setattr(order, name, CHANGED[name])
    wire.clear()
    with pytest.raises(ValidationError, match=rf"Order\.{name} is (immutable|written once|protected)") as caught:
        PUTS[verb](db, order)
    assert (caught.value.code, caught.value.field, wire.calls) == (CODE, name, [])


@pytest.mark.parametrize("verb", PUTS)
def test_a_put_that_changes_nothing_of_them_is_applied(db, key, verb):
    if verb != "put with a condition":
        PUTS[verb](db, Order(id=key, owner="you", status="paid"))
    else:
        db.put(Order(id=key, owner="you", status="paid"))
    order = db.get(Order, key, consistent=True)
    order.receipt = "r1"
    PUTS[verb](db, order)
    PUTS[verb](db, Order(id=key, owner="you", status="paid", receipt="r1"))
    assert db.get(Order, key, consistent=True).receipt == "r1"


def test_a_put_cannot_take_a_value_away(db, key):
    db.create(Order(id=key, receipt="r1"))
    with pytest.raises(ConditionFailed, match=r"Order\.receipt is written once"):
        db.put(Order(id=key))


def test_another_spelling_of_the_same_value_is_no_change(db, key):
    store(db, Order, {"id": {"S": key}, "owner": {"S": "me"}, "st": {"S": "open"}, "paid_at": {"S": "2024-01-01T01:00:00+01:00"}, "marks": {"NULL": True}, "tries": {"N": "0"}})  # fmt: skip
    order = db.get(Order, key, consistent=True)
    order.note = "x"
    db.put(order)
    assert db.get(Order, key, consistent=True).paid_at == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("model", [Order, Loose, Plain])
def test_a_batch_cannot_look_so_it_puts_none_of_them(db, wire, model):
    for given in ([model(id="x")], iter([model(id="x")])):
        try:
            result = db.batch_write(puts=given)
        except ValidationError as error:
            found = error
        else:
            found = result.failed[0].error
        assert found.code == CODE
        assert "keeps its value" in str(found)
    assert wire.calls == []


@pytest.mark.parametrize("name", CHANGED)
def test_a_save_cannot_change_them(db, wire, key, name):
    order = db.create(Order(id=key, receipt="r1"))
    setattr(order, name, CHANGED[name])
    wire.clear()
    for call in (db.save, lambda one: _save_in_transaction(db, one)):
        with pytest.raises(ValidationError, match=rf"Order\.{name} is ") as caught:
            call(order)
        assert (caught.value.code, caught.value.field) == (CODE, name)
    assert wire.calls == []


def _save_in_transaction(db, obj):
    with db.transaction() as tx:
        tx.save(obj)


@pytest.mark.parametrize("model", [Order, Loose])
def test_a_save_writes_a_value_that_is_not_there_yet_once(db, key, model):
    one = db.create(model(id=key))
    other = db.get(model, key, consistent=True)
    one.receipt = "first"
    db.save(one)
    other.receipt = "second"
    with pytest.raises(ConditionFailed) as caught:
        db.save(other)
    assert model is Order or refused(caught.value, "receipt")
    assert db.get(model, key, consistent=True).receipt == "first"


UPDATES = {
    "protected, set": lambda: Order.status.set("paid"),
    "protected, removed": Order.status.remove,
    "protected, set if missing": lambda: Order.status.if_not_exists("paid"),
    "protected, added to": lambda: Order.tries.add(1),
    "protected set, added to": lambda: Order.marks.add({"x"}),
    "protected set, taken from": lambda: Order.marks.delete({"x"}),
    "written once, removed": Order.receipt.remove,
    "written once, none": lambda: Order.receipt.set(None),
    "immutable": lambda: Order.owner.set("you"),
}


@pytest.mark.parametrize("update", UPDATES.values(), ids=UPDATES)
def test_an_update_that_does_not_name_them_is_refused_before_the_wire(db, wire, key, update):
    order = db.create(Order(id=key))
    wire.clear()
    for call in (
        lambda: db.update(order, update()),
        lambda: db.update(Order, key, update()),
        lambda: db.upsert(Order, key, update()),
        lambda: db.update(Order, key, update(), upsert=True, allow=("note",)),
        lambda: _update_in_transaction(db, key, update()),
    ):
        with pytest.raises(ValidationError, match=r"is (declared immutable|protected|written once)") as caught:
            call()
        assert caught.value.code == CODE
    assert wire.calls == []


def _update_in_transaction(db, key, *updates, **settings):
    with db.transaction() as tx:
        tx.update(Order, key, *updates, **settings)


def test_an_increment_is_no_operation_that_names_them(db, wire, key):
    order = db.create(Order(id=key))
    wire.clear()
    for call in (lambda: db.increment(order, Order.tries), lambda: db.increment(Order, key, Order.tries, upsert=True)):
        with pytest.raises(ValidationError, match="protected") as caught:
            call()
        assert caught.value.code == CODE
    with pytest.raises(ValidationError, match="written once"):
        db.increment(Loose, key, Loose.count)
    assert wire.calls == []


def test_an_update_that_names_them_changes_them(db, key):
    order = db.create(Order(id=key))
    db.update(order, Order.status.set("paid"), allow=("status",))
    db.update(Order, key, Order.tries.add(2), Order.marks.add({"x"}), allow=["tries", Order.marks])
    _update_in_transaction(db, key, Order.status.set("sent"), allow={"status"})
    found = db.get(Order, key, consistent=True)
    assert (found.status, found.tries, found.marks) == ("sent", 2, {"x"})
    assert db.update(Order, key + "2", Order.status.set("new"), upsert=True, allow=("status",)).status == "new"


@pytest.mark.parametrize(("allow", "text"), [("status", "takes the names"), (("statsu",), "did you mean 'status'"), (5, "takes the names")])  # fmt: skip
def test_what_is_allowed_is_named(db, wire, allow, text):
    with pytest.raises(ValidationError, match=text) as caught:
        db.update(Order, "x", Order.status.set("paid"), allow=allow)
    assert (caught.value.field, wire.calls) == ("allow", [])


@pytest.mark.parametrize("model", [Order, Loose])
@pytest.mark.parametrize("by_key", [True, False])
def test_an_update_writes_a_value_once(db, key, model, by_key):
    obj = db.create(model(id=key))
    subject = (model, key) if by_key else (obj,)
    assert db.update(*subject, model.receipt.set("first")).receipt == "first"
    assert db.update(*subject, model.receipt.set("first"), model.note.set("same")).note == "same"
    assert db.update(*subject, model.receipt.if_not_exists("second")).receipt == "first"
    with pytest.raises(ConditionFailed) as caught:
        db.update(*subject, model.receipt.set("second"))
    assert refused(caught.value, "receipt")
    assert db.get(model, key, consistent=True).receipt == "first"
    assert db.update(model, key + "2", model.receipt.set("made"), upsert=True).receipt == "made"
    change(db, model, (key,), "REMOVE receipt")
    assert db.update(model, key, model.receipt.set("again")).receipt == "again"


def test_a_registered_class_keeps_them_too(db, key):
    plain = db.create(Plain(key, receipt="r1"))
    for name in ("owner", "receipt", "status"):
        before = getattr(plain, name)
        setattr(plain, name, "changed")
        with pytest.raises(ValidationError) as caught:
            db.save(plain)
        assert caught.value.code == CODE
        setattr(plain, name, before)
    with pytest.raises(ConditionFailed):
        db.put(Plain(key, receipt="r2"))


def test_a_composite_takes_no_such_option():
    from dynamorm import composite

    with pytest.raises(ModelError, match="protected"):

        class Wrong(Model, table="wrong"):
            a: Attr[str]
            pk: Attr[str] = partition_key(composite("a"), protected=True)


def test_a_value_that_is_stored_under_another_name_is_kept_too(db, key):
    item = {"id": {"S": key}, "note": {"S": "n"}, "Owner": {"S": "me"}, "Receipt": {"S": "r1"}}
    store(db, Renamed, item)
    with pytest.raises(ConditionFailed) as caught:
        db.update(Renamed, key, Renamed.receipt.set("r2"))
    assert refused(caught.value, "receipt")
    loaded = db.get(Renamed, key)
    loaded.receipt = "r2"
    with pytest.raises(ValidationError) as unsent:
        db.save(loaded)
    assert refused(unsent.value, "receipt")
    for change_of in ({"receipt": "r2"}, {"owner": "you"}):
        with pytest.raises(ConditionFailed) as caught:
            db.put(Renamed(**{"id": key, "owner": "me", "receipt": "r1"} | change_of))
        assert refused(caught.value, *change_of)
    assert stored(db, Renamed, key) == item
    db.put(Renamed(id=key, note="m", receipt="r1"))
    assert db.get(Renamed, key).note == "m"
    db.update(Renamed, key, Renamed.receipt.set("r1"))
    store(db, Renamed, {"id": {"S": key}, "Owner": {"S": "me"}})
    db.update(Renamed, key, Renamed.receipt.set("r3"))
    assert db.get(Renamed, key).receipt == "r3"
