"""update and upsert as verbs: by object, by key, by key names, with conditions, and what they return and refresh."""

import pytest

from dynamorm import Attr, Model, NotFound, ValidationError, attr, partition_key, sort_key
from dynamorm.errors import ConditionFailed, ItemTooLarge, MissingItem, Outcome

from .kit import store, stored

pytestmark = pytest.mark.engine


class Stock(Model, table="stock"):
    shop: Attr[str] = partition_key()
    item: Attr[str] = sort_key(name="i")
    count: Attr[int] = attr(default=0, name="c")
    note: Attr[str | None] = attr(default=None)
    label: Attr[str | None] = attr(default=None)
    price: Attr[int] = attr(default=1, ge=1)
    code: Attr[str] = attr(default="abc", pattern="[a-z]+", max_length=5)


MODELS = [Stock]


def test_update_of_an_object_refreshes_and_returns_it(db, key):
    stock = db.create(Stock(shop=key, item="a", count=1))
    db.update(Stock, key, "a", Stock.note.set("by another"))
    assert db.update(stock, Stock.count.add(4)) is stock
    assert stock == Stock(shop=key, item="a", count=5, note="by another")


def test_update_by_key_returns_a_loaded_object(db, key):
    db.create(Stock(shop=key, item="a", count=1))
    fresh = db.update(Stock, key, "a", Stock.count.add(1))
    assert fresh == Stock(shop=key, item="a", count=2)
    fresh.note = "loaded"
    db.save(fresh)
    assert db.get(Stock, key, "a", consistent=True).note == "loaded"


def test_update_by_key_names(db, key):
    db.create(Stock(shop=key, item="a", count=1))
    assert db.update(Stock, Stock.count.add(1), shop=key, item="a").count == 2
    assert db.upsert(Stock, Stock.count.add(1), item="a", shop=key).count == 3


def test_update_of_an_object_that_was_never_loaded(db, key):
    db.create(Stock(shop=key, item="a", count=1))
    mine = Stock(shop=key, item="a")
    db.update(mine, Stock.count.add(1))
    assert mine.count == 2


def test_update_needs_the_item_and_upsert_makes_it(db, key):
    with pytest.raises(MissingItem) as caught:
        db.update(Stock, key, "a", Stock.count.add(1))
    assert isinstance(caught.value, NotFound)
    assert stored(db, Stock, key, "a") is None
    assert db.upsert(Stock, key, "a", Stock.count.add(3)).count == 3
    assert db.upsert(Stock, key, "a", Stock.count.add(3)).count == 6
    assert db.update(Stock, key, "b", Stock.count.add(3), upsert=True).count == 3


def test_upsert_of_an_object(db, key):
    stock = Stock(shop=key, item="a", count=1)
    assert db.upsert(stock, Stock.count.set(9)) is stock
    assert stock.count == 9
    assert stored(db, Stock, key, "a")["c"] == {"N": "9"}


def test_several_updates_go_in_one_request(db, key, wire):
    db.create(Stock(shop=key, item="a", count=1, note="x"))
    wire.clear()
    fresh = db.update(Stock, key, "a", Stock.note.remove(), Stock.price.set(7), Stock.code.set("q"))
    assert fresh == Stock(shop=key, item="a", count=1, note=None, price=7, code="q")
    assert wire.names == ["UpdateItem"]


def test_a_condition_decides(db, key):
    stock = db.create(Stock(shop=key, item="a", count=1))
    with pytest.raises(ConditionFailed) as caught:
        db.update(stock, Stock.count.add(-5), condition=Stock.count >= 5)
    assert caught.value.item == stock
    assert stock.count == 1
    with pytest.raises(ConditionFailed):
        db.update(Stock, key, "a", Stock.count.add(-5), condition=Stock.count >= 5)
    with pytest.raises(ConditionFailed):
        db.upsert(Stock, key, "a", Stock.count.add(-5), condition=Stock.count >= 5)
    assert db.update(stock, Stock.count.add(-1), condition=(Stock.count >= 1) | Stock.note.exists()).count == 0


def test_a_condition_of_alternatives_never_weakens_the_demand_that_the_item_exists(db, key):
    with pytest.raises(MissingItem):
        db.update(Stock, key, "a", Stock.count.add(1), condition=Stock.note.exists() | Stock.note.not_exists())
    assert stored(db, Stock, key, "a") is None


def test_a_failed_condition_of_an_upsert_of_nothing_has_no_item(db, key):
    with pytest.raises(ConditionFailed) as caught:
        db.upsert(Stock, key, "a", Stock.count.add(1), condition=Stock.count >= 5)
    assert caught.value.item is None


def test_set_to_none_removes(db, key):
    stock = db.create(Stock(shop=key, item="a", note="x"))
    db.update(stock, Stock.note.set(None))
    assert stock.note is None
    assert "note" not in stored(db, Stock, key, "a")


def test_a_field_set_in_memory_is_given_up_for_what_is_stored(db, key):
    stock = db.create(Stock(shop=key, item="a", count=1))
    stock.note = "only in memory"
    db.update(stock, Stock.count.add(1))
    assert stock.note is None


def test_an_item_that_an_update_makes_too_large_is_a_typed_error(db, key):
    db.create(Stock(shop=key, item="a", note="x" * 300_000))
    with pytest.raises(ItemTooLarge) as caught:
        db.update(Stock, key, "a", Stock.label.set("y" * 200_000))
    assert caught.value.limit == 409_600
    assert caught.value.outcome is Outcome.NOT_APPLIED


def test_unknown_attributes_survive_updates(db, key):
    store(db, Stock, {"shop": {"S": key}, "i": {"S": "a"}, "foreign": {"BOOL": True}})
    db.update(Stock, key, "a", Stock.count.add(1))
    assert stored(db, Stock, key, "a")["foreign"] == {"BOOL": True}


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Stock.price.set(0),
        lambda: Stock.price.if_not_exists(0),
        lambda: Stock.code.set("UPPER"),
        lambda: Stock.code.set("toolong"),
    ],
    ids=["ge", "if_not_exists", "pattern", "max_length"],
)
def test_a_value_that_the_field_forbids_is_refused_before_the_wire(db, key, wire, bad):
    with pytest.raises(ValidationError):
        db.update(Stock, key, "a", bad())
    assert wire.names == []


def test_an_update_that_dynamodb_refuses_is_a_typed_error_and_changes_nothing(db, key):
    stock = db.create(Stock(shop=key, item="a", count=1))
    with pytest.raises(ValidationError):
        db.update(stock, Stock.count.add(10**38 - 1), Stock.note.set("x" * 409_600))
    assert stock == Stock(shop=key, item="a", count=1)
    assert db.get(Stock, key, "a", consistent=True) == stock


def test_the_read_behind_an_add_by_key_can_be_declined(db, wire, key):
    db.create(Stock(shop=key, item="a", count=1))
    wire.clear()
    assert db.update(Stock, key, "a", Stock.count.add(1)).count == 2
    assert wire.names == ["TransactWriteItems", "GetItem"]
    wire.clear()
    assert db.update(Stock, key, "a", Stock.count.add(1), returning=None) is None
    assert db.upsert(Stock, key, "b", Stock.count.add(1), returning=None) is None
    assert wire.names == ["TransactWriteItems", "TransactWriteItems"]
    wire.clear()
    assert db.update(Stock, Stock.note.set("n"), shop=key, item="a", returning=None) is None
    assert wire.names == ["UpdateItem"]
    assert "ReturnValues" not in wire.last
    assert db.get(Stock, key, "a", consistent=True).count == 3
    with pytest.raises(MissingItem):
        db.update(Stock, key, "c", Stock.count.add(1), returning=None)


def test_what_an_update_returns_is_named_or_refused(db, wire, key):
    stock = db.create(Stock(shop=key, item="a"))
    wire.clear()
    with pytest.raises(ValidationError, match="'updated_old' or None"):
        db.update(Stock, key, "a", Stock.count.add(1), returning="all_old")
    with pytest.raises(ValidationError, match="a model and a key"):
        db.update(stock, Stock.count.add(1), returning=None)
    assert wire.names == []
