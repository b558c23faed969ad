"""Selections, aggregates, parallel scans and delete_all that cannot work: one clear error, and nothing is sent."""

from typing import Any

import pytest

from dynamorm import Attr, Model, attr, gsi, partition_key, sort_key
from dynamorm.errors import ValidationError
from dynamorm.models.schema.schema import Json, Unique

from .conftest import SECRET


class Address(Model):
    city: Attr[str | None] = attr(default=None)
    lines: Attr[list[str]] = attr(default_factory=list)


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str] = attr(default="")
    tags: Attr[list[str]] = attr(default_factory=list)
    address: Attr[Address] = attr(default_factory=Address)
    settings: Attr[dict[str, Any]] = attr(Json(), default_factory=dict)
    by_note = gsi("by-note", partition="note", sort="number", projection=("amount",))


class Other(Model, table="others"):
    id: Attr[str] = partition_key()
    amount: Attr[int]


class Guarded(Model, table="guarded"):
    id: Attr[str] = partition_key()
    email: Attr[str] = attr(Unique())


@pytest.fixture
def query(db):
    return db.model(Payment).where(Payment.id == SECRET)


@pytest.mark.parametrize(
    ("select", "words"),
    [
        (["amuont"], ("amuont", "did you mean 'amount'")),
        ([], ("nothing was selected",)),
        (["address.ctiy"], ("ctiy", "did you mean 'city'")),
        (["tags.first"], ("no part",)),
        ([""], ("no field",)),
        ([5], ("select takes attributes",)),
        ([None], ("select takes attributes",)),
        ([Other.amount], ("amount", "Other", "Payment")),
        ([Payment.address[Other.amount]], ("Other", "Address")),
        ([Payment.amount["x"]], ("amount", "no part")),
        ([Payment.amount > 5], ("select takes attributes",)),
        ([Payment.address[Address.lines][2]], ("address", "select the whole list")),
    ],
)
def test_a_selection_that_the_model_does_not_have(db, refused, select, words):
    refused(ValidationError, lambda: db.get(Payment, "p", 1, select=select), *words)
    refused(ValidationError, lambda: db.require(Payment, "p", 1, select=select), *words)


def test_a_selection_of_a_query_that_the_model_does_not_have(query, refused):
    refused(ValidationError, lambda: query.select("amuont").all(), "amuont", "did you mean 'amount'")
    refused(ValidationError, query.select, "at least one")
    refused(ValidationError, lambda: query.select(Other.amount).all(), "Other")
    refused(ValidationError, lambda: query.select(5).all(), "int")


def test_a_selection_that_an_index_does_not_hold(db, refused):
    index = db.model(Payment).index(Payment.by_note).where(Payment.note == SECRET)
    refused(ValidationError, lambda: index.select("tags").all(), "tags", "by-note", "hydrate")
    refused(ValidationError, lambda: index.select("amount").hydrate().all(), "hydrate", "select")
    refused(ValidationError, lambda: index.max("tags"), "tags")


def test_too_large_a_selection(db, refused):
    every = [Payment.tags[number] for number in range(600)]
    refused(ValidationError, lambda: db.get(Payment, "p", 1, select=every), "4096")


@pytest.mark.parametrize("end", ["sum", "average"])
@pytest.mark.parametrize("field", ["note", "tags", "settings", "address", "address.city"])
def test_a_sum_of_what_is_no_number(query, refused, end, field):
    refused(ValidationError, lambda: getattr(query, end)(field), field, "no number")


@pytest.mark.parametrize("end", ["min", "max"])
@pytest.mark.parametrize("field", ["tags", "settings", "address"])
def test_an_extreme_of_what_has_no_order(query, refused, end, field):
    refused(ValidationError, lambda: getattr(query, end)(field), field, "no order")


def test_an_aggregate_of_no_field(query, refused):
    refused(ValidationError, lambda: query.sum("amuont"), "did you mean 'amount'")
    refused(ValidationError, lambda: query.sum(Other.amount), "Other")
    refused(ValidationError, lambda: query.max(None), "one attribute")


@pytest.mark.parametrize("count", [0, -1, 1_000_001, 2.5, "4", None, True])
def test_a_number_of_segments_that_dynamodb_does_not_take(db, refused, count):
    refused(ValidationError, lambda: db.model(Payment).allow_scan().segments(count).all(), "segments")


def test_a_scan_has_no_order(db, refused):
    ordered = db.model(Payment).allow_scan().segments(4).order_by("number")
    refused(ValidationError, ordered.all, "order")


def test_delete_all_without_saying_so(query, refused):
    refused(ValidationError, query.delete_all, "confirm=True")
    refused(ValidationError, lambda: query.delete_all(confirm=False), "confirm=True")
    refused(ValidationError, lambda: query.delete_all(confirm=1), "confirm=True")
    refused(ValidationError, lambda: query.delete_all(confirm=True, progress="print"), "progress")


def test_delete_all_of_a_table_without_allowing_the_scan(db, refused):
    refused(ValidationError, lambda: db.model(Payment).delete_all(confirm=True), "allow_scan")


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (lambda q: q.group_by("amuont").count(), ("amuont", "did you mean 'amount'")),
        (lambda q: q.group_by(Payment.tags).count(), ("tags", "makes no groups")),
        (lambda q: q.group_by(Other.amount).count(), ("amount", "Other")),
        (lambda q: q.group_by(5).count(), ("one attribute",)),
        (lambda q: q.group_by("note").sum("note"), ("note", "no number")),
        (lambda q: q.group_by("note").average(Payment.tags), ("tags", "no number")),
        (lambda q: q.group_by("note").max(Payment.tags), ("tags", "no order")),
        (lambda q: q.group_by(Payment.tags[0]).max(Payment.tags[1]), ("tags", "aggregate in Python")),
        (lambda q: q.group_by("note", most=0), ("most", "1 or more")),
        (lambda q: q.group_by("note", most="5"), ("most", "1 or more")),
        (lambda q: q.on_misfit("collect").group_by("note").count(), ("on_misfit", "skip")),
    ],
)
def test_groups_that_cannot_be(query, refused, group, words):
    refused(ValidationError, lambda: group(query), *words)
