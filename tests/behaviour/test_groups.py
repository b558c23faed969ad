"""group_by: the aggregates of each group, as a program would find them that has all items in memory."""

from decimal import Context, Decimal, localcontext
from enum import Enum

import pytest

from dynamorm import DB, Attr, Model, Presets, attr, partition_key, sort_key
from dynamorm.errors import ValidationError

from .kit import store

pytestmark = pytest.mark.engine


class Kind(Enum):
    CARD = "card"
    CASH = "cash"


class Address(Model):
    city: Attr[str]
    zip: Attr[int | None] = attr(default=None)


class Sale(Model, table="grouped-sales"):
    shop: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    kind: Attr[Kind]
    amount: Attr[int]
    fee: Attr[Decimal | None] = attr(default=None)
    note: Attr[str | None] = attr(default=None, name="n")
    address: Attr[Address | None] = attr(default=None)
    counts: Attr[dict[str, int]] = attr(default_factory=dict)
    tags: Attr[list[str]] = attr(default_factory=list)


MODELS = [Sale]
COUNT = 60
SALES = [
    Sale(
        shop="s1", number=n, kind=Kind.CARD if n % 3 else Kind.CASH, amount=n * n % 17,
        fee=Decimal(n) / 8 if n % 4 else None, note=(None, "a", "b", "c", "d")[n % 5],
        address=Address(city=("Riga", "Oslo")[n % 2], zip=n) if n % 6 else None, counts={"x": n % 2, "y": n},
    )
    for n in range(COUNT)
]  # fmt: skip


@pytest.fixture(scope="module")
def sales(engine, made):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        db.batch_write(puts=SALES)


@pytest.fixture
def query(db, sales):
    return db.model(Sale).where(Sale.shop == "s1")


def of_groups(by):
    groups = {}
    for sale in SALES:
        groups.setdefault(by(sale), []).append(sale)
    return groups


BY = {
    "enum": (Sale.kind, lambda sale: sale.kind),
    "optional text": (Sale.note, lambda sale: sale.note),
    "name": ("note", lambda sale: sale.note),
    "sort key": (Sale.number, lambda sale: sale.number),
    "inside": (Sale.address[Address.city], lambda sale: sale.address and sale.address.city),
    "entry of a map": (Sale.counts["x"], lambda sale: sale.counts["x"]),
}


@pytest.mark.parametrize("name", BY)
def test_groups_are_what_a_program_would_make_of_all_items(query, name):
    field, by = BY[name]
    groups = of_groups(by)
    assert query.group_by(field).count() == {group: len(found) for group, found in groups.items()}
    assert query.group_by(field).sum(Sale.amount) == {
        group: sum(s.amount for s in found) for group, found in groups.items()
    }
    fees = {group: [s.fee for s in found if s.fee is not None] for group, found in groups.items()}
    assert query.group_by(field).sum(Sale.fee) == {group: sum(found, Decimal(0)) for group, found in fees.items()}
    with localcontext(Context(prec=50)):
        means = {group: sum(found) / len(found) if found else None for group, found in fees.items()}
    assert query.group_by(field).average("fee") == means
    assert query.group_by(field).min(Sale.fee) == {group: min(found, default=None) for group, found in fees.items()}
    assert query.group_by(field).max(Sale.number) == {
        group: max(s.number for s in found) for group, found in groups.items()
    }


def test_the_kinds_of_values_and_the_order_of_groups(query):
    assert list(query.group_by(Sale.kind).count()) == [Kind.CASH, Kind.CARD]
    of_fees = query.group_by(Sale.note).sum(Sale.fee)
    assert all(isinstance(fee, Decimal) for fee in of_fees.values())
    assert all(isinstance(amount, int) for amount in query.group_by(Sale.note).sum(Sale.amount).values())
    assert query.where(Sale.number > 1000).group_by(Sale.kind).count() == {}
    assert query.group_by(Sale.amount).sum(Sale.amount)[16] % 16 == 0


def test_conditions_limits_and_segments_hold(db, query):
    assert query.limit(9).group_by(Sale.kind).count() == {Kind.CASH: 3, Kind.CARD: 6}
    assert query.filter(Sale.note == "a").group_by(Sale.note).count() == {"a": COUNT // 5}
    scan = db.model(Sale).allow_scan().filter(Sale.shop == "s1")
    for spread in (scan, scan.segments(3)):
        assert spread.group_by(Sale.kind).count() == {Kind.CASH: 20, Kind.CARD: 40}


def test_no_more_than_the_attributes_is_fetched(query, wire):
    wire.clear()
    query.group_by(Sale.note).sum(Sale.amount)
    assert set(wire.last["ExpressionAttributeNames"].values()) == {"shop", "number", "n", "amount"}


def test_a_limit_of_groups(query):
    assert len(query.group_by(Sale.number, most=COUNT).count()) == COUNT
    with pytest.raises(ValidationError, match=f"more than {COUNT - 1} values of number.*most=") as caught:
        query.group_by(Sale.number, most=COUNT - 1).count()
    assert caught.value.field == "number"


def test_unreadable_items_can_be_left_out(db, key):
    for number in range(4):
        amount = {"S": "?"} if number == 2 else {"N": "5"}
        store(db, Sale, {"shop": {"S": key}, "number": {"N": str(number)}, "kind": {"S": "card"}, "amount": amount})
    query = db.model(Sale).where(Sale.shop == key)
    with pytest.raises(ValidationError):
        query.group_by(Sale.kind).sum(Sale.amount)
    assert query.on_misfit("skip").group_by(Sale.kind).sum(Sale.amount) == {Kind.CARD: 15}


def test_two_places_in_one_attribute(query):
    by_city = {"Oslo": 59, "Riga": 58, None: None}
    assert query.group_by(Sale.address[Address.city]).max(Sale.address[Address.zip]) == by_city
