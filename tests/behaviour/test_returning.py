"""What an update by key gives: the item as it was or is, the part of it that was updated, or nothing."""

from datetime import datetime

import pytest

from dynamorm import (
    Attr,
    Model,
    Unique,
    ValidationError,
    attr,
    composite,
    partition_key,
    sort_key,
    updated_at,
    version,
)
from dynamorm.errors import ConditionFailed, MissingItem, PartialItem

from .kit import store, stored

pytestmark = [pytest.mark.engine, pytest.mark.wide]


class Address(Model):
    city: Attr[str]
    zip: Attr[str] = attr(default="")


class Stock(Model, table="stock"):
    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None, name="n")
    tags: Attr[list[str]] = attr(default_factory=list)
    flags: Attr[set[str]] = attr(default_factory=set)
    address: Attr[Address | None] = attr(default=None)
    wish: Attr[int | None] = attr(default=None)


class Kept(Model, table="kept"):
    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")
    changed: Attr[datetime] = updated_at()
    version: Attr[int] = version()


class Made(Model, table="made"):
    pk: Attr[str] = partition_key(composite("shop", "year"))
    sk: Attr[str] = sort_key(composite("item"))
    shop: Attr[str]
    year: Attr[int]
    item: Attr[str]
    count: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")


class Coupon(Model, table="coupons"):
    id: Attr[str] = partition_key()
    code: Attr[str] = attr(Unique())
    count: Attr[int] = attr(default=0)


class Beast(Model, table="beasts", discriminator="kind"):
    id: Attr[str] = partition_key()
    name: Attr[str] = attr(default="")


class Horse(Beast):
    speed: Attr[int] = attr(default=1)


MODELS = [Stock, Kept, Made, Coupon, Beast]


def test_the_item_before(db, key, wire):
    db.create(Stock(id=key, count=5, note="a", tags=["x"]))
    wire.clear()
    before = db.update(Stock, key, Stock.count.add(1), Stock.note.remove(), Stock.tags.append("y"), returning="old")
    assert before == Stock(id=key, count=5, note="a", tags=["x"])
    assert db.require(Stock, key, consistent=True) == Stock(id=key, count=6, tags=["x", "y"])
    assert wire.names[0] == "UpdateItem"
    assert wire.calls[0][1]["ReturnValues"] == "ALL_OLD"
    before.count = 1  # it is an object as any other: what was loaded of it is what was before
    db.save(before)
    assert db.require(Stock, key, consistent=True).count == 1


def test_the_item_before_of_a_version(db, key, wire):
    db.create(Kept(id=key, count=5))
    wire.clear()
    before = db.update(Kept, key, Kept.count.add(1), returning="old")
    assert (before.count, before.version) == (5, 0)
    assert wire.names == ["UpdateItem"]
    after = db.require(Kept, key, consistent=True)
    assert (after.count, after.version) == (6, 1)


@pytest.mark.parametrize("result", ["old", "updated_old"])
def test_an_upsert_that_makes_the_item_had_none_before(db, key, result):
    assert db.upsert(Stock, key, Stock.count.add(1), returning=result) is None
    assert db.upsert(Stock, key, Stock.count.add(1), returning=result).count == 1
    assert db.update(Stock, key, Stock.count.add(1), upsert=True, returning=result).count == 2


def test_what_was_updated(db, key, wire):
    db.create(Stock(id=key, count=5, note="a", tags=["x"], flags={"f"}, address=Address(city="Riga")))
    wire.clear()
    after = db.update(
        Stock,
        key,
        Stock.count.add(1),
        Stock.note.set("b"),
        Stock.address[Address.zip].set("1"),
        returning="updated_new",
    )
    assert (after.id, after.count, after.note, after.address) == (key, 6, "b", Address(city="Riga", zip="1"))
    before = db.update(Stock, key, Stock.note.remove(), Stock.flags.add({"g"}), returning="updated_old")
    assert (before.id, before.note, before.flags) == (key, "b", {"f"})
    for partial in (after, before):
        assert isinstance(partial, Stock)
        with pytest.raises(PartialItem, match="tags"):
            partial.tags
        with pytest.raises(PartialItem):
            db.save(partial)
    assert db.update(Stock, key, Stock.note.remove(), returning="updated_new").note is None


def test_what_was_updated_holds_what_the_library_raises(db, key):
    db.create(Kept(id=key, count=5))
    after = db.update(Kept, key, Kept.count.add(1), returning="updated_new")
    before = db.update(Kept, key, Kept.count.add(1), returning="updated_old")
    assert (after.count, after.version) == (before.count, before.version) == (6, 1)
    assert after.changed == before.changed
    with pytest.raises(PartialItem):
        after.note


def test_a_key_of_parts(db, key):
    db.create(Made(shop=key, year=2000, item="i", count=1))
    after = db.update(Made, Made.count.add(1), shop=key, year=2000, item="i", returning="updated_new")
    assert (after.shop, after.year, after.item, after.count) == (key, 2000, "i", 2)
    assert db.update(Made, Made.count.add(1), shop=key, year=2000, item="i", returning="old").count == 2


def test_the_class_of_the_item(db, key):
    db.create(Horse(id=key, name="a", speed=3))
    after = db.update(Beast, key, Beast.name.set("b"), returning="updated_new")
    assert isinstance(after, Horse)
    assert after.name == "b"
    before = db.update(Beast, key, Beast.name.set("c"), returning="old")
    assert before == Horse(id=key, name="b", speed=3)


@pytest.mark.parametrize("result", ["new", "old", "updated_new", "updated_old", None])
def test_what_begins_from_what_is_not_stored(db, key, result):
    """Such an update is sent in another form after a refusal, and gives what was asked for all the same."""
    store(db, Stock, {"id": {"S": key}, "wish": {"NULL": True}, "tags": {"NULL": True}})
    found = db.update(Stock, key, Stock.wish.add(2), Stock.tags.append("a"), returning=result)
    if result is None:
        assert found is None
    else:
        assert (found.wish, found.tags) == ((2, ["a"]) if result.endswith("new") else (None, []))
    assert stored(db, Stock, key)["wish"] == {"N": "2"}


@pytest.mark.parametrize("result", ["old", "updated_old", "updated_new", None])
def test_refusals_are_as_before(db, key, result):
    with pytest.raises(MissingItem):
        db.update(Stock, key, Stock.count.add(1), returning=result)
    db.create(Stock(id=key))
    with pytest.raises(ConditionFailed):
        db.update(Stock, key, Stock.count.add(1), condition=Stock.count > 5, returning=result)
    assert db.require(Stock, key, consistent=True).count == 0


@pytest.mark.parametrize("result", ["old", "updated_old"])
def test_a_write_of_several_items_has_nothing_from_before(db, key, wire, result):
    db.create(Coupon(id=key, code=key))
    with pytest.raises(ValidationError, match="returning"):
        db.update(Coupon, key, Coupon.code.set(key + "b"), returning=result)
    assert stored(db, Coupon, key)["code"] == {"S": key}
    assert db.update(Coupon, key, Coupon.count.add(1), returning=result).count == 0  # its guard is not touched
    assert db.update(Coupon, key, Coupon.code.set(key + "b"), returning="updated_new").code == key + "b"


@pytest.mark.parametrize("result", ["old", "updated_old", "updated_new", None])
def test_an_object_is_always_brought_up_to_date(db, key, wire, result):
    stock = db.create(Stock(id=key))
    wire.clear()
    with pytest.raises(ValidationError, match="for a model and a key") as caught:
        db.update(stock, Stock.count.add(1), returning=result)
    assert caught.value.field == "returning"
    assert wire.calls == []
