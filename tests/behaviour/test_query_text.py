"""The textual form of `where`: every operator of the original, in any letter case, by field name or stored name."""

from enum import Enum

import pytest

from dynamorm import DB, Attr, Model, Presets, ValidationError, attr, partition_key, sort_key

pytestmark = pytest.mark.engine


class Status(Enum):
    OPEN = "open"
    DONE = "done"


class Address(Model):
    city: Attr[str] = attr(name="c")
    lines: Attr[list[str]] = attr(default_factory=list)


class Bill(Model, table="bills"):
    owner: Attr[str] = partition_key(name="o")
    number: Attr[int] = sort_key(name="no")
    status: Attr[Status] = attr(default=Status.OPEN, name="st")
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    address: Attr[Address | None] = attr(default=None, name="ad")


MODELS = [Bill]
BILLS = [
    Bill(owner="ada", number=0),
    Bill(owner="ada", number=1, status=Status.DONE, note="paid -- late"),
    Bill(owner="ada", number=2, note="<script>", tags={"a", "b"}),
    Bill(owner="ada", number=3, note="paid", tags={"b"}, address=Address(city="Riga", lines=["x", "y"])),
    Bill(owner="bob", number=1, note="paid"),
]


@pytest.fixture(scope="module")
def bills(engine, made):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        for bill in BILLS:
            db.put(bill)


@pytest.fixture
def query(db, bills):
    return db.model(Bill).where("owner", "=", "ada")


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (("number", "=", 1), [1]),
        (("number", "==", 1), [1]),
        (("number", "eq", 1), [1]),
        (("no", "EQ", 1), [1]),  # the stored name
        (("number", "<", 1), [0]),
        (("number", "lt", 1), [0]),
        (("number", "<=", 1), [0, 1]),
        (("number", "LE", 1), [0, 1]),
        (("number", ">", 2), [3]),
        (("number", "Gt", 2), [3]),
        (("number", ">=", 2), [2, 3]),
        (("number", "GE", 2), [2, 3]),
        (("number", "BETWEEN", 1, 2), [1, 2]),
        (("number", "between", [1, 2]), [1, 2]),
        (("number", "Between", (1, 2)), [1, 2]),
        (("status", "!=", "open"), [1]),
        (("status", "<>", Status.OPEN), [1]),
        (("st", "NE", "open"), [1]),
        (("status", "IN", ["done", "open"]), [0, 1, 2, 3]),
        (("status", "in", "done"), [1]),
        (("note", "IN", "paid", "<script>"), [2, 3]),
        (("note", "NOT_IN", ["paid"]), [0, 1, 2]),
        (("note", "BEGINS_WITH", "paid"), [1, 3]),
        (("note", "starts_with", "paid"), [1, 3]),
        (("note", "CONTAINS", "script"), [2]),
        (("tags", "contains", "b"), [2, 3]),
        (("tags", "NOT_CONTAINS", "a"), [0, 1, 3]),
        (("note", "EXISTS"), [1, 2, 3]),
        (("note", "ATTRIBUTE_EXISTS", None), [1, 2, 3]),
        (("note", "not_exists"), [0]),
        (("note", "ATTRIBUTE_NOT_EXISTS"), [0]),
        (("note", "ATTRIBUTE_TYPE", "S"), [1, 2, 3]),
        (("note", "SIZE >", 4), [1, 2]),
        (("note", "size between", 4, 8), [2, 3]),
        (("tags", "SIZE =", 1), [3]),
        (("note", "=", "paid -- late"), [1]),  # a value is a value, whatever it looks like
        (("note", "=", None), [0]),
        (("address.city", "=", "Riga"), [3]),
        (("ad.c", "=", "Riga"), [3]),
        (("address.lines[1]", "=", "y"), [3]),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_an_operator_means_what_the_path_means(query, term, expected):
    assert sorted(bill.number for bill in query.where(*term).all()) == expected


def test_not_contains_is_true_only_of_what_is_there(db, query, bills):
    assert sorted(bill.number for bill in query.where("address.lines", "NOT_CONTAINS", "z").all()) == [3]
    assert sorted(bill.number for bill in query.where("note", "NOT_CONTAINS", "paid").all()) == [2]
    note = ~Bill.note.contains("paid")
    assert sorted(bill.number for bill in query.where(note).all()) == [0, 2]


def test_filter_takes_the_same_form_and_is_never_a_key_condition(query, db, wire):
    assert [bill.number for bill in query.filter("note", "=", "paid").all()] == [3]
    assert "FilterExpression" in wire.last
    wire.clear()
    with pytest.raises(ValidationError):
        query.filter("number", "=", 1).all()
    assert wire.names == []


def test_both_forms_go_together(query):
    assert [bill.number for bill in query.where(Bill.number > 1).where("note", "=", "paid").all()] == [3]


def test_an_unknown_name_is_refused_at_once_with_the_nearest(query):
    with pytest.raises(ValidationError, match="did you mean 'status'"):
        query.where("statsu", "=", "open")
    with pytest.raises(ValidationError, match="did you mean 'city'"):
        query.where("address.cty", "=", "Riga")
    with pytest.raises(ValidationError, match="no part"):
        query.where("note.city", "=", "Riga")
    with pytest.raises(ValidationError):
        query.where("", "=", "Riga")


def test_an_unknown_operator_is_refused_at_once_with_the_nearest(query):
    with pytest.raises(ValidationError, match="did you mean 'CONTAINS'") as caught:
        query.where("note", "CONTANS", "x")
    assert caught.value.code == "ErrInvalidOperator"
    with pytest.raises(ValidationError) as caught:
        query.where("note", "~~", "secret-value")
    assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    "term",
    [
        ("note",),
        ("note", "="),
        ("note", "=", 1, 2),
        ("note", 5, 1),
        ("number", "BETWEEN", 1),
        ("number", "BETWEEN", [1, 2, 3]),
        ("note", "IN"),
        ("note", "IN", []),
        ("note", "EXISTS", "yes"),
        ("note", "ATTRIBUTE_TYPE", "TEXT"),
    ],
    ids=str,
)
def test_the_wrong_number_of_values_is_refused_at_once(query, wire, term):
    wire.clear()
    with pytest.raises(ValidationError):
        query.where(*term)
    assert wire.names == []
