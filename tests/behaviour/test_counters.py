"""increment: exactly once, within bounds, and every caller gets the number that its own increment made."""

from datetime import datetime
from decimal import Decimal

import pytest

from dynamorm import (
    Attr,
    Model,
    Outcome,
    ValidationError,
    VersionConflict,
    attr,
    partition_key,
    sort_key,
    updated_at,
    version,
)
from dynamorm.errors import ConditionFailed, MissingItem, NumberPrecision, OutOfBounds

from .kit import stored

pytestmark = pytest.mark.engine


class Stock(Model, table="stock"):
    sku: Attr[str] = partition_key()
    left: Attr[int] = attr(default=0)
    weight: Attr[Decimal | None] = attr(default=None)
    name: Attr[str] = attr(default="")


class Account(Model, table="accounts"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    balance: Attr[int] = attr(default=0)
    changed: Attr[datetime] = updated_at()
    version: Attr[int] = version()


MODELS = [Stock, Account]


def test_it_returns_the_number_after_this_increment(db, key):
    db.put(Stock(sku=key, left=5))
    assert db.increment(Stock, key, Stock.left) == 6
    assert db.increment(Stock, key, Stock.left, by=-4) == 2
    assert db.increment(Stock, Stock.left, sku=key, by=10) == 12
    assert db.get(Stock, key).left == 12


def test_a_missing_attribute_counts_as_zero_and_a_missing_item_only_if_asked(db, key):
    with pytest.raises(MissingItem):
        db.increment(Stock, key, Stock.left)
    assert stored(db, Stock, key) is None
    assert db.increment(Stock, key, Stock.left, by=3, upsert=True) == 3
    assert db.increment(Stock, key, Stock.left, by=3, upsert=True) == 6
    assert stored(db, Stock, key)["left"] == {"N": "6"}
    db.put(Stock(sku=key, left=1))
    assert db.increment(Stock, key, Stock.weight, by=Decimal("1.5")) == Decimal("1.5")


def test_a_bound_that_would_be_crossed_changes_nothing(db, key):
    db.put(Stock(sku=key, left=2))
    assert db.increment(Stock, key, Stock.left, by=-2, minimum=0) == 0
    with pytest.raises(OutOfBounds, match=r"Stock\.left would be below its minimum") as caught:
        db.increment(Stock, key, Stock.left, by=-1, minimum=0)
    assert isinstance(caught.value, ConditionFailed)
    assert (caught.value.bound, caught.value.outcome) == ("minimum", Outcome.NOT_APPLIED)
    assert db.increment(Stock, key, Stock.left, by=10, maximum=10) == 10
    with pytest.raises(OutOfBounds, match="above its maximum"):
        db.increment(Stock, key, Stock.left, maximum=10)
    with pytest.raises(OutOfBounds):
        db.increment(Stock, f"{key}-new", Stock.left, by=-1, minimum=0, upsert=True)
    assert db.get(Stock, key).left == 10
    assert db.get(Stock, f"{key}-new") is None


def test_the_way_back_into_the_bounds_is_open(db, key):
    db.put(Stock(sku=key, left=-5))
    assert db.increment(Stock, key, Stock.left, by=2, minimum=0) == -3
    assert db.increment(Stock, key, Stock.left, by=20, minimum=0) == 17
    assert db.increment(Stock, key, Stock.left, by=-1, maximum=10) == 16


def test_decimals_are_exact_to_38_digits(db, key):
    db.put(Stock(sku=key, weight=Decimal("12345678901234567890123456789.123456789")))
    assert db.increment(Stock, key, Stock.weight, by=Decimal("0.000000001")) == Decimal(
        "12345678901234567890123456789.12345679"
    )
    with pytest.raises(NumberPrecision):
        db.increment(Stock, key, Stock.weight, by=Decimal("1E-20"))


def test_an_object_has_the_number_afterwards(db, key):
    stock = Stock(sku=key, left=5, name="old")
    db.put(stock)
    db.update(Stock, key, Stock.left.set(7))  # somebody else's
    assert db.increment(stock, Stock.left) == 8
    assert stock.left == 8
    stock.name = "new"
    db.save(stock)
    assert (db.get(Stock, key).left, db.get(Stock, key).name) == (8, "new")


def test_a_versioned_object_is_counted_under_its_version_without_a_read(db, wire, key):
    account = db.create(Account(id=key, number=1, balance=5))
    wire.clear()
    assert db.increment(account, Account.balance, by=-5, minimum=0) == 0
    assert wire.names == ["UpdateItem"]
    assert (account.balance, account.version) == (0, 1)
    with pytest.raises(OutOfBounds):
        db.increment(account, Account.balance, by=-1, minimum=0)
    stale = db.get(Account, key, 1)
    assert db.increment(Account, key, 1, Account.balance, by=7) == 7
    assert db.get(Account, key, 1).version == 2
    for by in (1, -1):
        with pytest.raises(VersionConflict):
            db.increment(stale, Account.balance, by=by, minimum=0)
    assert stale.balance == 0


def test_of_many_at_once_each_gets_a_number_of_its_own(db, key):
    db.put(Stock(sku=key))
    found = db.concurrently(lambda _: db.increment(Stock, key, Stock.left), 12)
    assert sorted(found) == list(range(1, 13))
    assert db.get(Stock, key).left == 12


def test_of_many_at_once_no_more_are_served_than_there_are(db, key):
    db.put(Stock(sku=key, left=4))

    def take(_):
        try:
            return db.increment(Stock, key, Stock.left, by=-1, minimum=0)
        except OutOfBounds:
            return None

    found = db.concurrently(take, 8)
    assert sorted(one for one in found if one is not None) == [0, 1, 2, 3]
    assert db.get(Stock, key).left == 0


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda db: db.increment(Stock, "x"), "attribute to count"),
        (lambda db: db.increment(Stock, "x", "left"), "attribute to count"),
        (lambda db: db.increment(Stock, "x", Stock.name), "no number"),
        (lambda db: db.increment(Stock, "x", Account.balance), "Stock"),
        (lambda db: db.increment(Stock, "x", Stock.left, by=1.5), "Decimal"),
        (lambda db: db.increment(Stock, "x", Stock.left, by=True), "bool"),
        (lambda db: db.increment(Stock, "x", Stock.left, by=0), "by 0"),
        (lambda db: db.increment(Stock, "x", Stock.left, by=Decimal("NaN")), "finite"),
        (lambda db: db.increment(Stock, "x", Stock.left, minimum=5, maximum=4), "above the maximum"),
        (lambda db: db.increment(Stock, "x", Stock.left, minimum="0"), "minimum"),
        (lambda db: db.increment(Stock, 5, Stock.left), "Stock.sku"),
        (lambda db: db.increment(Account, "x", 1, Account.version), "version"),
        (lambda db: db.increment(Account, "x", 1, Account.number), "key"),
    ],
)
def test_what_cannot_be_counted_is_refused(db, wire, call, word):
    with pytest.raises(ValidationError, match=word):
        call(db)
    assert wire.calls == []
