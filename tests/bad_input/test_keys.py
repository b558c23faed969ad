"""Keys that cannot be: too few or many parts, wrong names and types, empty, too long."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dynamorm import Attr, Model, ValidationError, attr, gsi, partition_key, sort_key
from dynamorm.errors import NumberPrecision

from .conftest import SECRET


class One(Model, table="one"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    group: Attr[str | None] = attr(default=None)
    by_group = gsi("by-group", partition="group")


class Two(Model, table="two"):
    order: Attr[str] = partition_key(name="o")
    number: Attr[int] = sort_key()
    text: Attr[str] = attr(default="")


class Texts(Model, table="texts"):
    a: Attr[str] = partition_key()
    b: Attr[str] = sort_key()
    text: Attr[str] = attr(default="")


class Bytes(Model, table="bytes"):
    digest: Attr[bytes] = partition_key()
    at: Attr[datetime] = sort_key()
    text: Attr[str] = attr(default="")


READS = ["get", "require", "exists", "delete", "update", "upsert"]


def ask(db, verb, model, *key, **parts):
    if verb in ("update", "upsert"):
        return getattr(db, verb)(model, *key, model.text.set("x"), **parts)
    return getattr(db, verb)(model, *key, **parts)


@pytest.mark.parametrize("verb", READS)
@pytest.mark.parametrize(
    ("model", "key", "parts", "words"),
    [
        (One, (), {}, ("One", "id")),
        (One, (SECRET, SECRET), {}, ("One", "id", "got 2")),
        (Two, (SECRET,), {}, ("Two", "order and number", "got 1")),
        (Two, (SECRET, 1, 2), {}, ("Two", "got 3")),
        (Two, (), {"order": SECRET}, ("Two", "order, number")),
        (Two, (), {"order": SECRET, "nubmer": 1}, ("Two", "number", "nubmer")),
        (Two, (), {"o": SECRET, "number": 1}, ("Two", "order, number")),
        (Two, (SECRET,), {"number": 1}, ("Two", "order, number")),
        (Two, (SECRET, "1"), {}, ("Two.number", "int")),
        (Two, (5, 1), {}, ("Two.order", "str")),
        (Two, (None, 1), {}, ("Two.order", "str", "None")),
        (Two, (SECRET, True), {}, ("Two.number", "int")),
        (Two, (SECRET, 1.5), {}, ("Two.number", "int")),
        (One, (("a",),), {}, ("One.id", "str", "tuple")),
        (One, ("",), {}, ("One.id", "not empty")),
        (One, ("x" * 2049,), {}, ("One.id", "2048", "2049")),
        (One, ("ä" * 1025,), {}, ("One.id", "2048", "2050")),
        (One, ("\ud800",), {}, ("One", "Unicode")),
        (Texts, ("a", ""), {}, ("Texts.b", "not empty")),
        (Texts, ("a", "x" * 1025), {}, ("Texts.b", "1024", "1025")),
        (Bytes, (b"", datetime(2024, 1, 1, tzinfo=UTC)), {}, ("Bytes.digest", "not empty")),
        (Bytes, (b"x" * 2049, datetime(2024, 1, 1, tzinfo=UTC)), {}, ("Bytes.digest", "2048")),
        (Bytes, (b"x", datetime(2024, 1, 1)), {}, ("Bytes.at", "time zone")),
        (Bytes, ("x", datetime(2024, 1, 1, tzinfo=UTC)), {}, ("Bytes.digest", "bytes")),
    ],
)
def test_a_wrong_key_is_refused_by_every_verb(db, refused, verb, model, key, parts, words):
    refused(ValidationError, lambda: ask(db, verb, model, *key, **parts), *words)


@pytest.mark.parametrize("verb", READS)
def test_a_key_number_of_39_digits_is_refused(db, refused, verb):
    refused(NumberPrecision, lambda: ask(db, verb, Two, "o", 10**38 + 1), "Two.number", "38")


@pytest.mark.parametrize("verb", ["create", "put", "save", "delete", "update"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: One(id=""), ("One.id", "not empty")),
        (lambda: One(id="x" * 2049), ("One.id", "2048")),
        (lambda: One(id=None), ("One.id", "str")),
        (lambda: One(id=5), ("One.id", "str")),
        (lambda: Two(order="o", number=Decimal("1.5")), ("Two.number", "int")),
        (lambda: Texts(a="a", b="x" * 1025), ("Texts.b", "1024")),
    ],
    ids=["empty", "long", "none", "type", "fraction", "long sort key"],
)
def test_an_object_with_a_wrong_key_is_refused_by_every_verb(db, refused, verb, make, words):
    obj = make()
    args = (type(obj).text.set("x"),) if verb == "update" else ()
    refused(ValidationError, lambda: getattr(db, verb)(obj, *args), *words)


def test_the_longest_keys_pass(db, server):
    server.clear()
    db.get(One, "x" * 2048)
    db.get(Texts, "ä" * 1024, "x" * 1024)
    assert len(server.requests) == 2


def test_a_too_long_key_of_an_index_is_refused(db, refused):
    refused(ValidationError, lambda: db.create(One(id="x", group="x" * 2049)), "One.group", "2048")
    refused(ValidationError, lambda: db.update(One, "x", One.group.set("x" * 2049)), "One.group", "2048")


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        (lambda: (), ("Two", "without terms", "allow_scan")),
        (lambda: (Two.number == 1,), ("Two", "number", "gsi(", "allow_scan")),
        (lambda: (Two.order == 5,), ("Two.order", "str")),
        (lambda: (Two.order == SECRET, Two.number > "1"), ("Two.number", "int")),
        (lambda: (Two.order == SECRET, One.text == SECRET), ("text", "One", "Two")),
        (lambda: (Two.order == "",), ("Two.order", "not empty")),
        (lambda: ("order = 'x'",), ("condition", "str")),
        (lambda: (True,), ("condition", "bool")),
        (lambda: (Two.order,), ("condition", "order")),
    ],
)
@pytest.mark.parametrize("end", ["all", "first"])
def test_a_query_without_a_proper_key_is_refused(db, refused, conditions, words, end):
    def ask():
        query = db.model(Two).where(*conditions())
        return getattr(query, end)()

    refused(ValidationError, ask, *words)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, None, "5"])
@pytest.mark.parametrize("method", ["limit", "page_size"])
def test_a_limit_is_a_whole_number_of_one_or_more(db, refused, method, count):
    query = db.model(Two).where(Two.order == "x")
    refused(ValidationError, lambda: getattr(query, method)(count), method, "1 or more")


def test_a_direction_is_asc_or_desc(db, refused):
    query = db.model(Two).where(Two.order == "x")
    refused(ValidationError, lambda: query.order_by("number", "down"), "'asc' or 'desc'")


def test_an_unknown_index_is_named_with_the_known_ones(db, refused):
    query = db.model(One).where(One.group == "x")
    refused(ValidationError, lambda: query.index("by-gruop").all(), "One", "'by-gruop'", "'by-group'")
