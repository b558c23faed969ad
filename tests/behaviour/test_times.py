"""Times the library owns: created once, updated with every write, stored so that text order is time order; TTL."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dynamorm import Attr, Model, attr, created_at, partition_key, ttl, updated_at, version

from .kit import store, stored

pytestmark = pytest.mark.engine

STORED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


class Event(Model, table="events"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    at: Attr[datetime | None] = attr(default=None)
    made: Attr[datetime] = created_at(name="createdAt")
    changed: Attr[datetime] = updated_at()
    expires: Attr[datetime | None] = ttl(default=None)
    version: Attr[int] = version()


class Session(Model, table="sessions"):
    id: Attr[str] = partition_key()
    expires: Attr[int | None] = ttl(default=None, name="ttl")


class Unversioned(Model, table="unversioned"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()


MODELS = [Event, Session, Unversioned]


def test_create_sets_both_times(db, key):
    before = datetime.now(UTC) - timedelta(seconds=5)
    event = db.create(Event(id=key))
    assert before < event.made < datetime.now(UTC) + timedelta(seconds=5)
    assert event.changed == event.made
    found = stored(db, Event, key)
    assert STORED.fullmatch(found["createdAt"]["S"])
    assert STORED.fullmatch(found["changed"]["S"])
    assert db.get(Event, key, consistent=True) == event


@pytest.mark.parametrize("model", [Event, Unversioned])
def test_every_write_updates_one_and_keeps_the_other(db, key, model):
    thing = db.create(model(id=key))
    made, last = thing.made, thing.changed
    thing.text = "x"
    writes = [
        lambda: db.save(thing),
        lambda: db.update(thing, model.text.set("y")),
        lambda: db.update(model, key, model.text.set("z")),
        lambda: db.upsert(model, key, model.text.set("w")),
    ]
    for write in writes:
        write()
        fresh = db.get(model, key, consistent=True)
        assert fresh.made == made
        assert fresh.changed > last
        last = fresh.changed
    db.put(fresh)
    assert fresh.made == made
    assert fresh.changed > last
    assert db.get(model, key, consistent=True) == fresh


@pytest.mark.parametrize("model", [Event, Unversioned])
def test_an_upsert_that_creates_sets_both_times(db, key, model):
    fresh = db.upsert(model, key, model.text.set("x"))
    assert fresh.made == fresh.changed
    assert abs(fresh.made - datetime.now(UTC)) < timedelta(seconds=30)


def test_a_put_of_a_new_object_sets_both_times(db, key):
    event = db.put(Event(id=key))
    assert event.made == event.changed
    assert db.get(Event, key, consistent=True).made == event.made


def test_times_given_to_the_constructor_are_replaced_by_the_library(db, key):
    wrong = datetime(1999, 1, 1, tzinfo=UTC)
    event = db.create(Event(id=key, made=wrong, changed=wrong))
    assert event.made.year > 2000
    assert event.changed.year > 2000


def test_a_time_of_creation_changed_in_memory_is_not_stored_by_save(db, key):
    event = db.create(Event(id=key))
    made = event.made
    event.made = datetime(1999, 1, 1, tzinfo=UTC)
    event.text = "x"
    db.save(event)
    assert db.get(Event, key, consistent=True).made == made


@pytest.mark.parametrize("model", [Event, Unversioned])
@pytest.mark.parametrize("text", ["x", ""], ids=["with another change", "alone"])
def test_after_a_save_the_object_holds_the_time_of_creation_that_is_stored(db, key, model, text):
    event = db.create(model(id=key))
    made = event.made
    event.made = datetime(1999, 1, 1, tzinfo=UTC)
    event.text = text
    db.save(event)
    assert event.made == made
    assert event == db.get(model, key, consistent=True)
    event.made = datetime(1999, 1, 1, tzinfo=UTC)
    db.save(event)
    assert event.made == made


def test_a_failed_write_leaves_the_times_in_memory_alone(db, key):
    db.create(Event(id=key))
    again = Event(id=key)
    with pytest.raises(Exception, match="exists already"):
        db.create(again)
    assert again.made is None
    assert again.changed is None


def test_times_are_stored_in_utc_and_sort_as_text(db, key):
    east = timezone(timedelta(hours=3))
    event = db.create(Event(id=key, at=datetime(2024, 1, 1, 2, 30, 0, 5, tzinfo=east)))
    assert stored(db, Event, key)["at"] == {"S": "2023-12-31T23:30:00.000005000Z"}
    assert db.get(Event, key, consistent=True).at == event.at
    db.update(event, Event.at.set(datetime(2024, 1, 1, tzinfo=UTC)))
    assert stored(db, Event, key)["at"] == {"S": "2024-01-01T00:00:00.000000000Z"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-01T00:00:00Z", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T02:00:00.5+02:00", datetime(2024, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)),
        ("2024-01-01T00:00:00.123456789Z", datetime(2024, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        ("2023-12-31t16:00:00-08:00", datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
def test_any_rfc_3339_time_is_read(db, key, text, expected):
    now = {"S": "2024-01-01T00:00:00Z"}
    store(db, Event, {"id": {"S": key}, "at": {"S": text}, "createdAt": now, "changed": now, "version": {"N": "0"}})
    event = db.get(Event, key, consistent=True)
    assert event.at == expected
    event.text = "changed"
    db.save(event)
    assert stored(db, Event, key)["at"] == {"S": text}  # what was not changed keeps its digits
    assert stored(db, Event, key)["createdAt"] == now


def test_a_ttl_is_stored_as_whole_epoch_seconds(db, key):
    event = db.create(Event(id=key, expires=datetime(2100, 1, 1, 0, 0, 1, 999999, tzinfo=UTC)))
    assert stored(db, Event, key)["expires"] == {"N": "4102444801"}
    assert db.get(Event, key, consistent=True).expires == datetime(2100, 1, 1, 0, 0, 1, tzinfo=UTC)
    db.update(event, Event.expires.set(datetime(2100, 1, 1, tzinfo=UTC)), condition=Event.expires > datetime.now(UTC))
    assert stored(db, Event, key)["expires"] == {"N": "4102444800"}
    event.expires = None
    db.save(event)
    assert "expires" not in stored(db, Event, key)


def test_a_ttl_may_be_an_int(db, key):
    db.create(Session(id=key, expires=4102444800))
    assert stored(db, Session, key)["ttl"] == {"N": "4102444800"}
    assert db.get(Session, key, consistent=True).expires == 4102444800


def test_an_item_that_has_no_time_of_creation_is_given_none_by_a_save(db, key):
    store(db, Event, {"id": {"S": key}, "version": {"N": "0"}})
    event = db.require(Event, key)
    before = event.made
    event.made, event.text = datetime(2020, 1, 1, tzinfo=UTC), "changed"
    db.save(event)
    assert event.made == before
    assert "createdAt" not in stored(db, Event, key)
    assert db.require(Event, key).made == before
