"""Access patterns of a model, and classes that name a part of its attributes."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypedDict

import msgspec
import pytest

from dynamorm import (
    DB,
    Attr,
    Condition,
    Model,
    Presets,
    access_pattern,
    attr,
    composite,
    gsi,
    lsi,
    partition_key,
    sort_key,
)
from dynamorm.errors import InvalidUse, TamperedCursor, ValidationError

pytestmark = pytest.mark.engine

SETTINGS = {"cursor_key": b"k" * 32}


def _open_orders(customer: str, least: int = 0) -> Condition:
    return (Order.customer == customer) & (Order.total >= least)


def _dear(customer: str, *, above: int) -> tuple[Condition, ...]:
    return Order.customer == customer, Order.total > above


class Address(Model):
    city: Attr[str]


class Order(Model, table="pattern-orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    total: Attr[int]
    status: Attr[str] = attr(default="open")
    note: Attr[str | None] = attr(default=None, name="n")
    created: Attr[datetime] = attr(default=datetime(2026, 1, 1, tzinfo=UTC))
    address: Attr[Address | None] = attr(default=None)
    by_total = lsi("by-total", sort="total", projection="KEYS_ONLY")
    by_status = gsi("by-status", partition="status", sort="total")
    open_orders = access_pattern(_open_orders)
    cheapest = access_pattern(_dear, index=by_total, order_by="total", direction="desc", limit=2)
    of_status = access_pattern(lambda status: Order.status == status, index="by-status")
    done = access_pattern(lambda: Order.status == "done")


class Urgent(Model, table="pattern-urgent"):
    pk: Attr[str] = partition_key(composite("team"))
    id: Attr[int] = sort_key()
    team: Attr[str]


MODELS = [Order, Urgent]


@pytest.fixture(scope="module")
def orders(engine, made):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        for n in range(12):
            db.put(
                Order(
                    customer="c1", number=n, total=n * 10, status="done" if n % 2 else "open", note="x" if n == 3 else None,
                    address=Address(city="Riga") if n == 3 else None,
                )
            )  # fmt: skip
        db.put(Urgent(team="t1", id=1))


def numbers(found):
    return [order.number for order in found]


def test_a_pattern_is_a_query_like_any_other(db, orders):
    assert numbers(db.query(Order.open_orders("c1")).all()) == list(range(12))
    assert numbers(db.query(Order.open_orders("c1", least=90)).all()) == [9, 10, 11]
    query = db.query(Order.open_orders(customer="c1")).filter(Order.status == "done").limit(2)
    first = query.page()
    assert numbers(first) == [1, 3]
    assert numbers(query.cursor(first.cursor).page()) == [5, 7]
    with pytest.raises(TamperedCursor):  # it is bound to the arguments
        db.query(Order.open_orders("c1", least=5)).filter(Order.status == "done").cursor(first.cursor).page()
    assert db.query(Order.done()).count() == 6


def test_a_pattern_says_the_index_the_order_and_the_limit(db, orders, wire):
    wire.clear()
    found = db.query(Order.cheapest("c1", above=50)).hydrate().all()
    assert numbers(found) == [11, 10]
    assert wire.last["IndexName"] == "by-total"
    assert numbers(db.query(Order.of_status("open"))) == [0, 2, 4, 6, 8, 10]


def test_a_pattern_is_kept_and_used_again(db, orders):
    asked = Order.of_status("done")
    assert db.query(asked).count() == db.query(asked).limit(100).count() == 6
    assert "Order" in repr(asked)
    assert "open_orders(customer" in repr(Order.open_orders)


def test_wrong_arguments_are_told_without_values(db):
    for call in (
        Order.open_orders,
        lambda: Order.open_orders("secret-value", 1, 2),
        lambda: Order.open_orders("secret-value", lest=5),
        lambda: Order.cheapest("secret-value"),
    ):
        with pytest.raises(InvalidUse, match=r"Order\.\w+\(\.\.\.\): .*; it takes \(customer") as caught:
            call()
        assert "secret-value" not in str(caught.value)
    with pytest.raises(InvalidUse, match=r"access pattern with its arguments.*db\.model"):
        db.query(Order)
    with pytest.raises(InvalidUse, match="access pattern with its arguments"):
        db.query(Order.open_orders)


# --------------------------------------------------------------------------------------- classes that name a part


@dataclass(frozen=True)
class Line:
    number: int
    note: str | None
    total: int


class AsDict(TypedDict):
    number: int
    created: datetime


class AsTuple(NamedTuple):
    total: int
    customer: str


@dataclass
class Small:
    number: int
    total: int

    def __post_init__(self):
        if self.total > 30:
            raise LookupError(f"secret {self.total}")


class AsStruct(msgspec.Struct):
    number: int
    address: Address | None


class AsModel(Model):
    number: Attr[int]
    status: Attr[str]


class Loose(TypedDict):
    total: int | str
    note: object


def query(db):
    return db.model(Order).where(Order.customer == "c1", Order.number.between(2, 4))


def test_objects_of_a_class_that_names_a_part(db, orders, wire):
    wire.clear()
    assert query(db).select_as(Line).all() == [Line(2, None, 20), Line(3, "x", 30), Line(4, None, 40)]
    assert set(wire.last["ExpressionAttributeNames"].values()) == {"customer", "number", "n", "total"}
    day = datetime(2026, 1, 1, tzinfo=UTC)
    assert query(db).select_as(AsDict).all() == [{"number": n, "created": day} for n in (2, 3, 4)]
    assert query(db).select_as(AsTuple).first() == AsTuple(20, "c1")
    found = query(db).select_as(AsStruct).all()
    assert [(one.number, one.address and one.address.city) for one in found] == [(2, None), (3, "Riga"), (4, None)]
    assert all(type(one) is AsModel for one in query(db).select_as(AsModel))
    assert query(db).select_as(Loose).filter(Order.note == "x").one() == {"total": 30, "note": "x"}
    assert db.model(Urgent).where(Urgent.team == "t1").select_as(TypedDict("Team", {"team": str})).one() == {
        "team": "t1"
    }


def test_ends_and_pages_of_such_objects(db, orders):
    lines = query(db).select_as(Line)
    page = lines.limit(2).page()
    assert page.items == [Line(2, None, 20), Line(3, "x", 30)]
    behind = lines.limit(2).cursor(page.cursor).page()
    assert behind.items == [Line(4, None, 40)]
    assert lines.limit(1).cursor(behind.previous).page().items == [Line(3, "x", 30)]
    assert [line.number for page in lines.page_size(1).pages() for line in page] == [2, 3, 4]
    assert (lines.count(), lines.exists(), lines.sum("total")) == (3, True, 90)
    assert lines.group_by("note").count() == {None: 2, "x": 1}
    scan = db.model(Order).allow_scan().segments(2).select_as(AsTuple).all()
    assert sorted(one.total for one in scan) == [n * 10 for n in range(12)]


def test_an_index_that_holds_what_the_class_names_is_enough(db, orders, wire):
    found = db.model(Order).index(Order.by_total).where(Order.customer == "c1", Order.total == 30)
    assert found.select_as(Line).all() == [Line(3, "x", 30)]  # a local one fetches the rest


@dataclass
class Wrong:
    numbr: int


@dataclass
class OtherType:
    note: str


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (Wrong, r"no field 'numbr'.*did you mean 'number'"),
        (OtherType, r"OtherType.note is str, and Order.note is None \| str"),
        (5, "got int"),
        (int, "got int"),
        (dict, "got dict"),
    ],
)
def test_a_class_that_is_no_part_of_the_model(db, wire, view, words):
    wire.clear()
    with pytest.raises(ValidationError, match=words):
        query(db).select_as(view)
    assert wire.calls == []


def test_one_selection_is_enough(db):
    for build in (
        lambda: query(db).select("note").select_as(Line),
        lambda: query(db).select_as(Line).select("note"),
        lambda: query(db).select_as(Line).select_as(AsDict),
        lambda: query(db).select_as(Line).collect(Order),
        lambda: query(db).select_as(Line).hydrate().index("by-status").where(Order.status == "open").all(),
    ):
        with pytest.raises(ValidationError, match="select"):
            build()


def test_what_the_class_refuses_is_one_error_without_values(db, orders):
    assert [one.total for one in query(db).select_as(Small).limit(2).all()] == [20, 30]
    for call in (lambda: query(db).select_as(Small).all(), lambda: list(query(db).select_as(Small))):
        with pytest.raises(ValidationError, match=r"Small refused what is stored: .* raised LookupError") as told:
            call()
        assert "secret" not in str(told.value)
        assert told.value.__context__ is None
