"""What is loaded is what is addressed: a key that another program spelled otherwise is kept, whatever the verb."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, TransactionCancelled, ValidationError, partition_key
from dynamorm.adapters import register
from dynamorm.errors import MissingItem
from dynamorm.leases import LeaseRecord
from dynamorm.streams import decode

from . import spellings
from .kit import ask, table_of
from .spellings import PLACES, VALIDATED, Badge, Color, Shelf

pytestmark = [pytest.mark.engine, pytest.mark.wide]


@register(table="registered", partition="id")
@dataclass
class Registered:
    id: UUID
    note: str = ""


class Lock(Model, LeaseRecord, table="locks"):
    pk: Attr[str] = partition_key(validators=(str.strip,))


MODELS = [*spellings.MODELS, Registered, Lock]
SETTINGS = {"request_timeout": 10.0}
WAYS = ("scan", "hydrate", "stream", "stored key")


def save(db, model, obj):
    obj.note = "new"
    db.save(obj)


def put(db, model, obj):
    obj.note = "new"
    db.put(obj)


def put_on_condition(db, model, obj):
    obj.note = "new"
    db.put(obj, condition=model.group != "")


def batch_put(db, model, obj):
    obj.note = "new"
    result = db.batch_write(puts=[obj])
    assert result.ok
    assert result.count == 1


def update(db, model, obj):
    db.update(obj, model.note.set("new"))


def upsert(db, model, obj):
    db.upsert(obj, model.note.set("new"))


def increment(db, model, obj):
    db.increment(obj, model.count, by=100)


def batch_delete(db, model, obj):
    result = db.batch_write(deletes=[obj])
    assert result.ok
    assert result.count == 1


def tx_save(db, model, obj):
    obj.note = "new"
    with db.transaction() as tx:
        tx.save(obj)


def tx_put(db, model, obj):
    obj.note = "new"
    with db.transaction() as tx:
        tx.put(obj)


def tx_update(db, model, obj):
    with db.transaction() as tx:
        tx.update(obj, model.note.set("new"))


def tx_delete(db, model, obj):
    with db.transaction() as tx:
        tx.delete(obj)


def tx_check(db, model, obj):
    with db.transaction() as tx:
        tx.check(obj, model.group == obj.group)


def delete(db, model, obj):
    db.delete(obj)


def delete_strictly(db, model, obj):
    db.delete(obj, must_exist=True)


def by_stored_key(db, model, obj):
    assert db.batch_get(model, [obj], consistent=True)[0].count == obj.count


VERBS = (
    save, put, put_on_condition, batch_put, update, upsert, increment, tx_save, tx_put, tx_update, tx_check, by_stored_key,
    delete, delete_strictly, tx_delete, batch_delete,
)  # fmt: skip
DELETES = (delete, delete_strictly, tx_delete, batch_delete)
READS = (tx_check, by_stored_key)
UNIQUE_REFUSES = (batch_put, batch_delete)


def meets(shelf, item, verb, obj, *, may_refuse):
    """Use the verb, and say whether the very item was met: no other one changed, and none came."""
    before = shelf.now()
    key = json.dumps(shelf.key(item))
    try:
        verb(shelf.db, shelf.model, obj)
    except ValidationError:
        assert may_refuse
        assert shelf.now() == before
        return
    after = shelf.now()
    assert all(after[one] == before[one] for one in before.keys() - {key})
    if verb in DELETES:
        assert after.keys() == before.keys() - {key}
    else:
        assert after.keys() == before.keys()
        assert after[key]["other"] == {"S": "kept"}
        assert (after[key] != before[key]) == (verb not in READS)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_every_verb_meets_the_item_that_was_loaded(db, place, verb):
    shelf = Shelf(db, place)
    for number, item in enumerate(shelf.items):
        obj = shelf.read(item, WAYS[number % len(WAYS)])
        refuses = (place.partition("-")[0] in VALIDATED) or (place == "unique" and verb in UNIQUE_REFUSES)
        meets(shelf, item, verb, obj, may_refuse=refuses)


@pytest.mark.parametrize(
    "verb", [save, put, batch_put, update, tx_put, delete, batch_delete], ids=lambda one: one.__name__
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_loaded_is_addressed_twice_in_a_row(db, verb, data):
    """Any key, any way to read it, and a second verb on the object that the first has brought up to date."""
    place = data.draw(st.sampled_from([one for one in PLACES if one.partition("-")[0] not in (*VALIDATED, "unique")]))
    shelf = Shelf(db, place)
    item = data.draw(st.sampled_from(shelf.items))
    obj = shelf.read(item, data.draw(st.sampled_from(WAYS)))
    first = data.draw(st.sampled_from([save, put, batch_put, update, tx_put, tx_update, tx_save]))
    meets(shelf, item, first, obj, may_refuse=False)
    obj.note = "newer"
    if verb is not save:
        db.update(obj, shelf.model.note.set("between"))
    meets(shelf, item, _newest if verb is save else verb, obj, may_refuse=False)


def _newest(db, model, obj):
    obj.note = "newest"
    db.save(obj)


@pytest.mark.parametrize("place", [one for one in PLACES if one.partition("-")[0] not in VALIDATED])
def test_delete_all_deletes_all_and_counts_them(db, place):
    shelf = Shelf(db, place)
    query = db.model(shelf.model)
    if place == "family":  # the index does not hold what tells its classes apart
        query = query.filter(shelf.model.group == shelf.group).allow_scan()
    else:
        query = query.index("by-group").where(shelf.model.group == shelf.group)
    assert query.delete_all(confirm=True) == len(shelf.items)
    assert shelf.now() == {}


@pytest.mark.parametrize("place", PLACES)
def test_hydrate_drops_no_item(db, place):
    shelf = Shelf(db, place)
    found = db.model(shelf.model).index("by-group").where(shelf.model.group == shelf.group).hydrate().all()
    assert sorted(one.count for one in found) == list(range(len(shelf.items)))


def test_the_key_of_an_object_stays_as_it_was_read_after_each_write(db):
    shelf = Shelf(db, "UUID-partition")
    item = shelf.items[0]
    obj = shelf.read(item, "scan")
    for note in ("one", "two"):
        obj.note = note
        db.save(obj)
        db.put(obj)
        db.update(obj, shelf.model.count.add(1))
    db.delete(obj)
    assert json.dumps(shelf.key(item)) not in shelf.now()
    assert len(shelf.now()) == len(shelf.items) - 1


def test_a_large_page_keeps_the_keys_as_they_are_stored(db, key):
    """Objects of large pages are made by other code than those of small ones."""
    model = PLACES["UUID-sort"]
    table = table_of(db, model)
    keys = {str(uuid4()).upper() for _ in range(300)}
    for one in keys:
        ask(db, "PutItem", {"TableName": table, "Item": {"folder": {"S": key}, "id": {"S": one}}})
    found = db.model(model).where(model.folder == key).all()
    assert db.batch_write(deletes=found).ok
    assert db.model(model).where(model.folder == key).all() == []


CHANGES = {
    "str-partition": "other", "UUID-partition": uuid4(), "datetime-sort": datetime(2025, 1, 1, tzinfo=UTC), "int-sort": 5,
    "stripped-partition": "b", "float-sort": 9.5, "Codec-sort": ("x", "y"), "bytes-partition": b"zz", "Enum-partition": Color.RED,
    "composite": datetime(2025, 1, 1, tzinfo=UTC), "family": uuid4(),
}  # fmt: skip


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb is not tx_check], ids=lambda verb: verb.__name__)
@pytest.mark.parametrize("place", CHANGES)
def test_a_changed_key_is_refused_by_name_and_nothing_is_sent(db, wire, place, verb):
    shelf = Shelf(db, place)
    obj = shelf.read(shelf.items[0], "scan")
    obj.id = CHANGES[place]
    before = shelf.now()
    wire.clear()
    with pytest.raises(ValidationError, match=r"\.id is part of the key and was changed") as caught:
        verb(db, shelf.model, obj)
    assert caught.value.field == "id"
    assert wire.calls == []
    assert shelf.now() == before


def test_the_same_value_in_another_form_is_no_change(db):
    shelf = Shelf(db, "datetime-partition")
    obj = shelf.read(shelf.items[0], "scan")
    obj.id = obj.id.astimezone(timezone(timedelta(hours=5)))
    meets(shelf, shelf.items[0], save, obj, may_refuse=False)


def test_a_new_object_is_stored_in_our_spelling_and_found_by_its_values(db, key):
    model = PLACES["stripped-partition"]
    obj = db.create(model(id=f" {key} "))
    db.update(obj, model.note.set("new"))
    obj.id = f" {key} "  # as it was given
    db.save(obj)
    assert db.get(model, key, consistent=True).note == "new"
    assert ask(db, "GetItem", {"TableName": table_of(db, model), "Key": {"id": {"S": key}}})["Item"]["note"] == {
        "S": "new"
    }


def test_a_key_of_values_finds_only_our_spelling(db):
    """As the guide says: a call by key makes the key anew."""
    shelf = Shelf(db, "UUID-partition")
    for item in shelf.items:
        if item["id"]["S"].islower():
            shelf.remove(item)
    value = UUID(shelf.items[0]["id"]["S"])
    assert db.get(shelf.model, value, consistent=True) is None
    assert not db.exists(shelf.model, value, consistent=True)
    with pytest.raises(MissingItem):
        db.update(shelf.model, value, shelf.model.note.set("new"))
    assert len(shelf.now()) == 2


def test_a_stored_key_is_taken_by_every_verb_that_takes_a_key(db):
    shelf = Shelf(db, "datetime-sort")
    model, item = shelf.model, shelf.items[0]
    key = decode({"eventName": "REMOVE", "dynamodb": {"Keys": shelf.key(item)}}, model).stored_key
    assert "2024" not in repr(key)
    assert db.exists(model, key, consistent=True)
    assert db.require(model, key, consistent=True).count == 0
    assert db.batch_get(model, [key], consistent=True)[0].count == 0
    assert db.transact_get([(model, key)])[0].count == 0
    assert db.update(model, key, model.note.set("new")).note == "new"
    assert db.increment(model, key, model.count, by=5) == 5
    with db.transaction() as tx:
        tx.check(model, key, model.count == 5)
        tx.update(model, shelf_key(shelf, 1), model.note.set("x"))
    assert db.batch_write(deletes=[(model, key)]).ok
    db.delete(model, shelf_key(shelf, 1), must_exist=True)
    assert len(shelf.now()) == len(shelf.items) - 2


def shelf_key(shelf, number):
    image = {"eventName": "REMOVE", "dynamodb": {"Keys": shelf.key(shelf.items[number])}}
    return decode(image, shelf.model).stored_key


def test_a_stored_key_of_another_table_is_refused(db, wire):
    shelf = Shelf(db, "datetime-sort")
    wire.clear()
    with pytest.raises(ValidationError, match="the stored key is of folder and id"):
        db.get(PLACES["UUID-partition"], shelf_key(shelf, 0))
    assert wire.calls == []


def test_a_lost_item_is_said_to_be_missing(db):
    shelf = Shelf(db, "UUID-partition")
    obj = shelf.read(shelf.items[0], "scan")
    shelf.remove(shelf.items[0])
    obj.note = "new"
    with pytest.raises(MissingItem):
        db.save(obj)
    with pytest.raises(TransactionCancelled):
        tx_save(db, shelf.model, obj)
    assert len(shelf.now()) == len(shelf.items) - 1


def test_the_guards_of_unique_attributes_name_the_item_as_it_is_stored(db):
    shelf = Shelf(db, "unique")
    obj = shelf.read(shelf.items[0], "scan")
    number = uuid4().hex
    db.update(obj, Badge.number.set(number))
    assert db.find_by_unique(Badge, number=number).count == 0
    obj.number = None
    db.save(obj)
    assert db.find_by_unique(Badge, number=number) is None
    db.update(obj, Badge.number.set(number))
    db.delete(obj)
    db.create(Badge(id=uuid4(), number=number))  # its guard went with it


def test_a_key_that_would_be_stored_as_the_same_text_counts_as_changed(db):
    shelf = Shelf(db, "stripped-partition")
    obj = shelf.read(shelf.items[0], "scan")
    assert obj.id == " a"
    obj.id = "a"
    before = shelf.now()
    for verb in (save, put, update, delete):
        with pytest.raises(ValidationError, match="was changed"):
            verb(db, shelf.model, obj)
    assert shelf.now() == before


def test_a_lease_is_taken_under_a_stored_key(db, key):
    """A lease by its name is that of the name in our spelling."""
    table = table_of(db, Lock)
    for name in (f" {key}", key):
        ask(
            db,
            "PutItem",
            {"TableName": table, "Item": {"pk": {"S": name}, "sk": {"S": "LOCK"}, "lease_expires_at": {"N": "1"}}},
        )
    image = {"eventName": "REMOVE", "dynamodb": {"Keys": {"pk": {"S": f" {key}"}, "sk": {"S": "LOCK"}}}}
    with db.lease(Lock, decode(image, Lock).stored_key) as lease, db.transaction() as tx:
        tx.check(*lease.guard())
        held = db.lease(Lock, f" {key} ")
        held.acquire()  # it is another one
        tx.check(*held.guard())
    held.release()


@pytest.mark.parametrize("verb", ["save", "put", "delete", "batch put", "batch delete", "delete_all"])
def test_objects_of_a_registered_class_keep_their_keys_too(db, verb):
    table, key = table_of(db, Registered), {"id": {"S": str(uuid4()).upper()}}
    ask(db, "PutItem", {"TableName": table, "Item": key})
    query = db.model(Registered).allow_scan()
    obj = query.one()
    obj.note = "new"
    {
        "save": lambda: db.save(obj),
        "put": lambda: db.put(obj),
        "delete": lambda: db.delete(obj),
        "batch put": lambda: db.batch_write(puts=[obj]),
        "batch delete": lambda: db.batch_write(deletes=[obj]),
        "delete_all": lambda: query.delete_all(confirm=True),
    }[verb]()
    items = ask(db, "Scan", {"TableName": table, "ConsistentRead": True})["Items"]
    assert [one["id"] for one in items] == ([] if "delete" in verb else [key["id"]])
    ask(db, "DeleteItem", {"TableName": table, "Key": key})


class Lean(Model, table="lean", omit_empty=True):
    id: Attr[str] = partition_key()


@pytest.mark.parametrize("verb", ["create", "put", "save", "get"])
def test_an_empty_key_that_would_be_left_out_is_refused_by_name(db, wire, verb):
    wire.clear()
    with pytest.raises(ValidationError, match=r"Lean\.id") as caught:
        getattr(db, verb)(*((Lean, "") if verb == "get" else (Lean(id=""),)))
    assert caught.value.field == "id"
    assert wire.calls == []
