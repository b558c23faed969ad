"""sum, average, min and max: exact, page by page, of one attribute."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import pytest

from dynamorm import DB, Attr, Model, Presets, ValidationError, attr, gsi, partition_key, sort_key

from .kit import change, stored

pytestmark = pytest.mark.engine

START = datetime(2024, 1, 1, tzinfo=UTC)


class Grade(Enum):
    GOOD = "b"
    BEST = "a"


class Size(Model):
    width: Attr[int | None] = attr(default=None)
    weight: Attr[Decimal] = attr(default=Decimal(1))


class Sale(Model, table="sales"):
    shop: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    cents: Attr[int] = attr(default=0)
    price: Attr[Decimal | None] = attr(default=None)
    ratio: Attr[float] = attr(default=0.0)
    at: Attr[datetime] = attr(default=START)
    grade: Attr[Grade] = attr(default=Grade.GOOD)
    note: Attr[str | None] = attr(default=None, name="n")
    size: Attr[Size] = attr(default_factory=Size)
    counts: Attr[dict[str, int]] = attr(default_factory=dict)
    scores: Attr[list[int]] = attr(default_factory=list)
    pair: Attr[tuple[int, str]] = attr(default=(0, ""))
    bonus: Attr[int] = attr(default=0, omit_empty=True)
    free: Attr[Any] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    by_note = gsi("by-note", partition="note", sort="number", projection=("cents",))


MODELS = [Sale]
COUNT = 60


@pytest.fixture(scope="module")
def sales(engine, made):
    """Sixty sales, every third of them without a price."""
    made_sales = [
        Sale(
            shop="s", number=n, cents=n * 7 - 100, price=None if n % 3 == 0 else Decimal(n) / 10, ratio=0.1, at=START + timedelta(hours=n),
            grade=Grade.BEST if n == 5 else Grade.GOOD, note=f"n{n:02d}" if n % 2 else None,
            size=Size(width=n if n > 50 else None), counts={"a": n, "b": 1} if n < 10 else {}, scores=[n, n + 1],
            pair=(n, "x"), free=n if n % 2 else Decimal("0.5"),
        )
        for n in range(COUNT)
    ]  # fmt: skip
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        assert db.batch_write(puts=made_sales).ok
    return made_sales


@pytest.fixture
def query(db, sales):
    return db.model(Sale).where(Sale.shop == "s").consistent()


def test_whole_numbers_stay_whole(query, sales):
    expected = sum(sale.cents for sale in sales)
    assert query.sum(Sale.cents) == expected
    assert type(query.sum("cents")) is int
    assert (query.min("cents"), query.max("cents")) == (-100, 59 * 7 - 100)


def test_decimals_are_added_exactly_and_missing_ones_do_not_count(query, sales):
    prices = [sale.price for sale in sales if sale.price is not None]
    assert query.sum(Sale.price) == sum(prices)
    assert query.average("price") == sum(prices) / len(prices)
    assert (query.min("price"), query.max("price")) == (min(prices), max(prices))


def test_floats_are_added_as_they_are_stored(query):
    assert query.sum("ratio") == Decimal("6.0")  # in floats it would be 5.999999999999998


def test_an_average_is_a_decimal_of_fifty_digits(query, sales):
    found = query.where(Sale.number < 3).average("number")
    assert found == 1
    third = query.where(Sale.number.between(0, 2)).average(Sale.cents)
    assert third == Decimal(sum(sale.cents for sale in sales[:3])) / 3
    assert query.where(Sale.number.between(1, 4)).average("scores[1]") == Decimal("3.5")
    sixth = query.where(Sale.number < 6).average("cents")
    exact = Fraction(sum(sale.cents for sale in sales[:6]), 6)
    assert type(sixth) is Decimal
    assert abs(Fraction(sixth) - exact) < Fraction(1, 10**47)


def test_nothing_sums_to_zero_and_has_no_mean(query):
    none = query.where(Sale.number > 1000)
    assert (none.sum("cents"), none.sum("price")) == (0, 0)
    assert (none.average("cents"), none.min("cents"), none.max("cents")) == (None, None, None)
    unpriced = query.where(Sale.number == 0)
    assert (unpriced.sum("price"), unpriced.average("price"), unpriced.max("price")) == (0, None, None)


def test_an_item_without_the_attribute_counts_as_its_object_has_it(db, key):
    """With 0 where 0 is left out of the item, with the default where there is one, not at all where that is None."""
    db.create(Sale(shop=key, number=1, bonus=0, cents=8))
    db.create(Sale(shop=key, number=2, bonus=10, cents=4))
    change(db, Sale, (key, 1), "REMOVE cents")
    query = db.model(Sale).where(Sale.shop == key).consistent()
    assert "bonus" not in stored(db, Sale, key, 1)
    assert (query.average("bonus"), query.min("bonus")) == (5, 0)
    assert query.average("cents") == 2
    assert query.average("price") is None


def test_thirty_eight_digits_and_more_are_exact(db, key):
    large, small = Decimal("9" * 38 + "E+88"), Decimal("1E-130")
    values = [large, large, small, -small, Decimal("12345678901234567890.123456789012345678"), Decimal("-0.1")]
    for number, value in enumerate(values):
        db.create(Sale(shop=key, number=number, price=value))
    query = db.model(Sale).where(Sale.shop == key).consistent()
    exact = sum(map(Fraction, values))
    assert Fraction(query.sum("price")) == exact
    assert Fraction(query.where(Sale.number.between(1, 2)).sum("price")) == Fraction(large) + Fraction(small)
    assert (query.min("price"), query.max("price")) == (Decimal("-0.1"), large)
    whole = 10**37 + 1
    for number, value in enumerate((whole, whole, -1)):
        db.create(Sale(shop=key + "i", number=number, cents=value))
    assert db.model(Sale).where(Sale.shop == key + "i").consistent().sum("cents") == 2 * whole - 1


def test_whatever_has_an_order_has_a_smallest_and_a_largest(query):
    assert (query.min("at"), query.max(Sale.at)) == (START, START + timedelta(hours=59))
    assert (query.min("note"), query.max(Sale.note)) == ("n01", "n59")
    assert (query.min("grade"), query.max("grade")) == (Grade.BEST, Grade.GOOD)
    assert query.max("ratio") == 0.1


def test_what_lies_inside_an_attribute_counts_too(query, sales):
    assert query.sum(Sale.size[Size.width]) == sum(range(51, 60))
    assert query.sum("size.weight") == COUNT
    assert query.sum(Sale.counts["a"]) == sum(range(10))
    assert query.max(Sale.scores[1]) == COUNT
    assert query.max(Sale.scores[5]) is None
    assert query.max(Sale.pair[0]) == COUNT - 1
    assert query.sum("free") == sum(range(1, COUNT, 2)) + Decimal(15)


def test_only_the_attribute_and_the_key_are_fetched(query, wire):
    wire.clear()
    query.sum("cents")
    assert sorted(wire.last["ExpressionAttributeNames"].values()) == ["cents", "number", "shop"]
    assert wire.last["ProjectionExpression"].count("#") == 3


def test_limits_pages_and_filters_hold(query, wire):
    assert query.limit(3).sum("number") == 3
    wire.clear()
    assert query.page_size(7).sum("number") == sum(range(COUNT))
    assert len(wire.calls) > 8
    assert query.filter(Sale.cents < 0).max("number") == 14


def test_segments_are_aggregated_together(db, sales):
    scan = db.model(Sale).allow_scan().segments(3).filter(Sale.shop == "s")
    assert scan.sum("number") == sum(range(COUNT))
    assert (scan.min("number"), scan.max("number")) == (0, COUNT - 1)


def test_an_index_that_holds_the_attribute_answers(db, sales):
    query = db.model(Sale).index(Sale.by_note).where(Sale.note == "n07")
    assert query.sum("cents") == 7 * 7 - 100
    with pytest.raises(ValidationError, match="price"):
        query.sum("price")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda query: query.sum("note"), "note: is no number"),
        (lambda query: query.average("note"), "note: is no number"),
        (lambda query: query.sum("grade"), "grade: is no number"),
        (lambda query: query.sum("at"), "at: is no number"),
        (lambda query: query.sum("size"), "size: is no number"),
        (lambda query: query.max("size"), "has no order"),
        (lambda query: query.min("tags"), "has no order"),
        (lambda query: query.min("scores"), "has no order"),
        (lambda query: query.sum("cent"), "did you mean 'cents'"),
        (lambda query: query.sum(Size.width), "Size"),
        (lambda query: query.sum(5), "takes one attribute"),
        (lambda query: query.max("note.x"), "no part"),
    ],
)
def test_what_cannot_be_aggregated_is_refused_before_the_wire(query, wire, call, words):
    wire.clear()
    with pytest.raises(ValidationError, match=words):
        call(query)
    assert wire.names == []


def test_a_value_that_is_no_number_is_named_by_its_type_alone(db, key):
    db.create(Sale(shop=key, number=1, free="secret text"))
    db.create(Sale(shop=key, number=2, free=5))
    query = db.model(Sale).where(Sale.shop == key).consistent()
    with pytest.raises(ValidationError, match="holds a str") as caught:
        query.sum("free")
    assert "secret" not in str(caught.value)
    with pytest.raises(ValidationError, match="int and a str"):
        query.max("free")
