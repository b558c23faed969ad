"""Models that share a table by a discriminator, generic models, and mixins, through every verb."""

from typing import Generic, TypeVar

import pytest

from dynamorm import (
    Attr,
    Mixin,
    Model,
    ValidationError,
    VersionConflict,
    attr,
    gsi,
    partition_key,
    schema_of,
    sort_key,
    version,
)
from dynamorm.errors import AlreadyExists, ModelError

from .kit import store, stored

pytestmark = pytest.mark.engine
T = TypeVar("T")


class Owned(Mixin):
    owner: Attr[str] = attr(default="nobody")


class Event(Model, Owned, table="family", discriminator="kind"):
    stream: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    version: Attr[int] = version()
    by_owner = gsi("by-owner", partition="owner", sort="number")


class Paid(Event, tag="paid"):
    amount: Attr[int]


class Refunded(Event):
    reason: Attr[str | None] = attr(default=None)


class PartlyRefunded(Refunded, tag="part"):
    share: Attr[int] = attr(default=50)


class Envelope(Model, Generic[T]):
    body: Attr[T]


class Letters(Model, table="letters"):
    id: Attr[str] = partition_key()
    number: Attr[Envelope[int]]
    words: Attr[Envelope[list[str]]]


class Holder(Model, table="holders"):
    id: Attr[str] = partition_key()
    event: Attr[Event | None] = attr(default=None)
    events: Attr[list[Event]] = attr(default_factory=list)


MODELS = [Event, Letters, Holder]


def test_the_class_of_an_item_is_read_back(db, key):
    made = [
        db.create(Event(stream=key, number=0)),
        db.create(Paid(stream=key, number=1, amount=5, owner="ada")),
        db.create(Refunded(stream=key, number=2, reason="late")),
        db.put(PartlyRefunded(stream=key, number=3, share=20)),
    ]
    assert [stored(db, Event, key, number)["kind"]["S"] for number in range(4)] == ["Event", "paid", "Refunded", "part"]
    assert [db.get(Event, key, number, consistent=True) for number in range(4)] == made
    found = db.model(Event).where(Event.stream == key).all()
    assert [type(one) for one in found] == [Event, Paid, Refunded, PartlyRefunded]
    assert found == made


def test_a_subclass_is_saved_updated_and_deleted_through_what_the_base_read(db, key):
    db.create(Paid(stream=key, number=1, amount=5))
    paid = db.get(Event, key, 1, consistent=True)
    paid.amount = 6
    db.save(paid)
    db.update(paid, Paid.amount.add(4), Event.owner.set("bob"), condition=Event.owner == "nobody")
    assert (paid.amount, paid.owner, paid.version) == (10, "bob", 2)
    assert db.get(Paid, key, 1, consistent=True) == paid
    db.delete(paid)
    assert db.get(Event, key, 1, consistent=True) is None


def test_an_update_of_the_base_returns_the_subclass(db, key):
    db.create(Paid(stream=key, number=1, amount=5))
    fresh = db.update(Event, key, 1, Event.owner.set("ada"))
    assert type(fresh) is Paid
    assert (fresh.amount, fresh.owner) == (5, "ada")


def test_an_upsert_stores_the_class(db, key):
    fresh = db.upsert(Paid, key, 1, Paid.amount.set(3))
    assert type(fresh) is Paid
    assert stored(db, Event, key, 1)["kind"] == {"S": "paid"}
    assert type(db.get(Event, key, 1, consistent=True)) is Paid


def test_a_stale_subclass_conflicts_with_the_stored_subclass(db, key):
    db.create(Paid(stream=key, number=1, amount=5))
    stale = db.get(Event, key, 1, consistent=True)
    db.update(Paid, key, 1, Paid.amount.set(9))
    stale.owner = "x"
    with pytest.raises(VersionConflict) as caught:
        db.save(stale)
    assert caught.value.item == Paid(stream=key, number=1, amount=9, version=1)


def test_an_item_without_the_discriminator_is_the_base(db, key):
    store(db, Event, {"stream": {"S": key}, "number": {"N": "1"}, "version": {"N": "0"}})
    assert type(db.get(Event, key, 1, consistent=True)) is Event


def test_an_unknown_tag_is_an_error_that_names_the_attribute(db, key):
    store(db, Event, {"stream": {"S": key}, "number": {"N": "1"}, "kind": {"S": "no-such-class"}})
    with pytest.raises(ValidationError, match="'kind'") as caught:
        db.get(Event, key, 1, consistent=True)
    assert "no-such-class" not in str(caught.value)


def test_indexes_of_the_base_serve_the_subclasses(db, key):
    paid = db.create(Paid(stream=key, number=1, amount=5, owner=key))
    other = db.create(Refunded(stream=key, number=2, owner=key))
    assert db.model(Event).where(Event.owner == key).all() == [paid, other]
    assert db.model(Paid).where(Paid.owner == key, Paid.number == 1).all() == [paid]


def test_reading_a_sibling_through_a_subclass_is_an_error(db, key):
    db.create(Refunded(stream=key, number=1))
    with pytest.raises(ValidationError):
        db.get(Paid, key, 1, consistent=True)


def test_generic_models_keep_their_types(db, key):
    made = db.create(Letters(id=key, number=Envelope(body=5), words=Envelope(body=["a"])))
    fresh = db.get(Letters, key, consistent=True)
    assert fresh == made
    assert type(fresh.number.body) is int
    with pytest.raises(ValidationError):
        db.create(Letters(id=key, number=Envelope(body="five"), words=Envelope(body=[])))


def test_nested_members_of_a_family_come_back_as_their_class(db, key):
    events = [Paid(stream="s", number=1, amount=5), PartlyRefunded(stream="s", number=2, share=1)]
    made = db.create(Holder(id=key, event=events[0], events=events))
    fresh = db.get(Holder, key, consistent=True)
    assert fresh == made
    assert [type(one) for one in fresh.events] == [Paid, PartlyRefunded]


def _cell(**fields):
    """The class that a notebook's cell defines; it may be run again."""

    class Charged(Event, tag="charged"):
        __annotations__ = {name: Attr[kind] for name, (kind, _) in fields.items()}
        locals().update({name: attr(default=default) for name, (_, default) in fields.items()})

    return Charged


def test_a_class_that_is_defined_again_takes_the_place_of_the_former(db, key):
    first = _cell(amount=(int, 0))
    old = db.create(first(stream=key, number=1, amount=5))
    assert type(db.get(Event, key, 1, consistent=True)) is first
    second = _cell(amount=(int, 0), note=(str, "new"))
    for found in (db.get(Event, key, 1, consistent=True), *db.model(Event).where(Event.stream == key).all()):
        assert type(found) is second
        assert (found.amount, found.note) == (5, "new")
    assert [type(one) for one in db.model(second).where(second.stream == key).all()] == [second]
    third = _cell(amount=(int, 0), note=(str, "newest"))
    assert type(db.get(Event, key, 1, consistent=True)) is third
    old.amount = 6
    db.save(old)
    assert db.get(Event, key, 1, consistent=True).amount == 6


def test_two_classes_of_different_names_cannot_have_one_tag(db, key):
    class Base(Model, table="family", discriminator="kind"):
        stream: Attr[str] = partition_key()
        number: Attr[int] = sort_key()

    class One(Base, tag="same"):
        pass

    class Other(Base, tag="same"):
        pass

    store(db, Event, {"stream": {"S": key}, "number": {"N": "1"}, "kind": {"S": "same"}})
    with pytest.raises(ModelError, match="One and Other have the same tag"):
        db.get(Base, key, 1)


def test_a_mixin_brings_its_indexes():
    class Owned(Mixin):
        owner: Attr[str]
        by_owner = gsi("gsi-owner", partition="owner")

    class Paper(Owned, Model, table="mixin-papers"):
        id: Attr[str] = partition_key()

    class Draft(Model, Owned, table="mixin-drafts"):
        id: Attr[str] = partition_key()
        by_owner = gsi("gsi-other", partition="owner")

    assert [index.name for index in schema_of(Paper).indexes.values()] == ["gsi-owner"]
    assert [index.name for index in schema_of(Draft).indexes.values()] == ["gsi-other"]


def test_a_key_that_a_sibling_has_is_told_without_its_item(db, key):
    db.create(Paid(stream=key, number=1, amount=5))
    with pytest.raises(AlreadyExists) as taken:
        db.create(Refunded(stream=key, number=1))
    assert taken.value.item is None
    with pytest.raises(AlreadyExists) as taken:
        db.create(Paid(stream=key, number=1, amount=6))
    assert taken.value.item.amount == 5
    with pytest.raises(AlreadyExists) as taken:
        db.create(Event(stream=key, number=1))
    assert taken.value.item.amount == 5
