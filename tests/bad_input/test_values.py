"""Values that cannot be stored: refused before the wire, with class and field, never with the value."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest

from dynamorm import Attr, Json, Model, ValidationError, attr, partition_key, ttl, version
from dynamorm.errors import ItemTooLarge, NumberPrecision, UnknownArgument

from .conftest import SECRET


class Mood(Enum):
    GOOD = "good"


class Inner(Model):
    city: Attr[str]


class Line(Model):
    id: Attr[str]
    order: Attr[str]
    amount: Attr[int]


@dataclass
class Card:
    last4: str


def _even(value):
    if value % 2:
        raise ValueError("must be even")
    return value


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    number: Attr[int] = attr(default=0)
    amount: Attr[Decimal] = attr(default=Decimal(0))
    ratio: Attr[float] = attr(default=0.0)
    done: Attr[bool] = attr(default=False)
    blob: Attr[bytes] = attr(default=b"")
    at: Attr[datetime | None] = attr(default=None)
    day: Attr[date | None] = attr(default=None)
    uuid: Attr[UUID | None] = attr(default=None)
    mood: Attr[Mood | None] = attr(default=None)
    literal: Attr[Literal["x", "y"]] = attr(default="x")
    tags: Attr[list[str]] = attr(default_factory=list)
    flags: Attr[set[str]] = attr(default_factory=set)
    pair: Attr[tuple[str, int] | None] = attr(default=None)
    map: Attr[dict[str, int]] = attr(default_factory=dict)
    inner: Attr[Inner | None] = attr(default=None)
    card: Attr[Card | None] = attr(default=None)
    any: Attr[Any] = attr(default=None)
    json: Attr[Any] = attr(Json(), default=None)
    expires: Attr[datetime | None] = ttl(default=None)
    small: Attr[int] = attr(default=5, ge=1, lt=10)
    code: Attr[str] = attr(default="abc", pattern="[a-z]+", min_length=1, max_length=5)
    even: Attr[int] = attr(default=0, validators=(_even,))
    version: Attr[int] = version()


def nested(depth):
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


WRONG = [
    ("text", 5, "str"),
    ("text", None, "str"),
    ("text", b"x", "str"),
    ("text", "\ud800", "Unicode"),
    ("number", SECRET, "int"),
    ("number", 1.5, "int"),
    ("number", True, "int"),
    ("number", None, "int"),
    ("number", Decimal("1.5"), "int"),
    ("amount", 0.1, "Decimal"),
    ("amount", SECRET, "Decimal"),
    ("amount", True, "Decimal"),
    ("amount", Decimal("NaN"), "finite"),
    ("amount", Decimal("Infinity"), "finite"),
    ("amount", Decimal("-Infinity"), "finite"),
    ("ratio", float("nan"), "finite"),
    ("ratio", float("inf"), "finite"),
    ("ratio", SECRET, "float"),
    ("done", 1, "bool"),
    ("done", SECRET, "bool"),
    ("blob", SECRET, "bytes"),
    ("at", datetime(2024, 1, 1), "time zone"),
    ("at", SECRET, "datetime"),
    ("at", date(2024, 1, 1), "datetime"),
    ("day", datetime(2024, 1, 1, tzinfo=UTC), "date"),
    ("day", SECRET, "date"),
    ("uuid", SECRET, "UUID"),
    ("mood", SECRET, "Mood"),
    ("mood", "good", "Mood"),
    ("literal", SECRET, "Literal"),
    ("tags", SECRET, "list"),
    ("tags", [SECRET, 5], "str"),
    ("tags", ["a", None], "str"),
    ("flags", [SECRET], "set"),
    ("flags", {1}, "str"),
    ("pair", ("a",), "tuple"),
    ("pair", (SECRET, SECRET), "int"),
    ("map", {SECRET: SECRET}, "int"),
    ("map", {5: 5}, "str"),
    ("map", {"": 5}, "empty"),
    ("any", {"deep": [{"": 5}]}, "empty"),
    ("inner", SECRET, "Inner"),
    ("inner", {"city": SECRET}, "Inner"),
    ("card", SECRET, "Card"),
    ("any", object(), "any"),
    ("any", {"deep": [0.5, object()]}, "any"),
    ("any", datetime(2024, 1, 1), "any"),
    ("any", {1: SECRET}, "any"),
    ("any", nested(40), "any"),
    ("json", object(), "json"),
    ("json", float("nan"), "json"),
    ("expires", datetime(2024, 1, 1), "time zone"),
    ("expires", SECRET, "datetime"),
    ("small", 0, "1"),
    ("small", 10, "10"),
    ("code", "UPPER", "pattern"),
    ("code", "", "1"),
    ("code", "toolong", "5"),
    ("even", 3, "even"),
]


@pytest.mark.parametrize(("field", "value", "word"), WRONG, ids=range(len(WRONG)))
def test_a_value_that_does_not_fit_is_refused(db, refused, field, value, word):
    thing = Thing(id="x", **{field: value})
    for verb in (db.create, db.put, db.save):
        error = refused(ValidationError, lambda verb=verb: verb(thing), "Thing", word)
        if word != "Unicode":
            assert f"Thing.{field}" in str(error) or f"'{field}'" in str(error)
        assert getattr(thing, field) is value


@pytest.mark.parametrize(("field", "value", "word"), WRONG, ids=range(len(WRONG)))
def test_a_value_that_does_not_fit_is_refused_by_update_too(db, refused, field, value, word):
    if value is not None and value != "good":  # the value of an Enum's member may stand for it in an expression
        refused(ValidationError, lambda: db.update(Thing, "x", getattr(Thing, field).set(value)), "Thing", word)


@pytest.mark.parametrize("value", [10**38 + 1, -(10**38) - 1, 123456789 * 10**30 + 1])
def test_a_number_of_39_digits_is_refused(db, refused, value):
    error = refused(NumberPrecision, lambda: db.create(Thing(id="x", number=value)), "Thing.number", "38", "39")
    assert error.field == "number"
    refused(NumberPrecision, lambda: db.create(Thing(id="x", amount=Decimal(value))), "Thing.amount", "38")
    refused(NumberPrecision, lambda: db.update(Thing, "x", Thing.number.add(value)), "number", "38")
    refused(NumberPrecision, lambda: db.update(Thing, "x", Thing.number.set(value)), "number", "38")


@pytest.mark.parametrize("value", [Decimal("1E126"), Decimal("1E-131"), Decimal("9.999E+500"), Decimal("-1E126")])
def test_a_number_out_of_range_is_refused(db, refused, value):
    refused(NumberPrecision, lambda: db.create(Thing(id="x", amount=value)), "Thing.amount", "1E-130", "9.99E+125")
    refused(NumberPrecision, lambda: db.update(Thing, "x", Thing.amount.set(value)), "amount")
    refused(NumberPrecision, lambda: db.create(Thing(id="x", any=[value])), "Thing.any")


def test_a_gigantic_int_is_refused_quickly(db, refused):
    refused(NumberPrecision, lambda: db.create(Thing(id="x", number=1 << 10_000_000)), "Thing.number")
    refused(NumberPrecision, lambda: db.create(Thing(id="x", any=1 << 10_000_000)), "Thing.any")


@pytest.mark.parametrize("verb", ["create", "put", "save"])
def test_an_item_over_400_kb_is_refused_with_size_limit_and_key(db, refused, verb):
    thing = Thing(id="x", text=SECRET * 30_000)
    error = refused(ItemTooLarge, lambda: getattr(db, verb)(thing), "Thing", "key: id", "409600")
    assert error.limit == 409_600
    assert error.size > 409_600
    assert str(error.size) in str(error)
    assert thing.version == 0


def test_a_loaded_object_that_grew_over_400_kb_is_refused_with_size_limit_and_key(db, refused):
    thing = db.create(Thing(id="x"))
    thing.text = SECRET * 30_000
    error = refused(ItemTooLarge, lambda: db.save(thing), "Thing", "key: id", "409600")
    assert error.size > error.limit == 409_600
    assert thing.version == 0


def test_an_update_with_a_value_over_400_kb_is_refused_with_the_limit(db, refused):
    value = SECRET * 30_000
    error = refused(ItemTooLarge, lambda: db.update(Thing, "x", Thing.text.set(value)), "Thing.text", "409600")
    assert error.limit == 409_600


def test_an_item_of_exactly_400_kb_passes_the_check(db, server):
    thing = Thing(id="x")
    small = db.inner._session.plan(Thing).codec
    from dynamorm.engine.sizes import item_size

    overhead = item_size(small.encode(thing)) + len("_wt") + 8
    server.clear()
    db.create(Thing(id="x", text="x" * (409_600 - overhead)))
    assert len(server.requests) == 1
    with pytest.raises(ItemTooLarge):
        db.create(Thing(id="x", text="x" * (409_601 - overhead)))


def test_an_object_without_a_value_is_explained(db, refused):
    thing = Thing(id="x")
    del thing.text
    refused(ValidationError, lambda: db.create(thing), "Thing.text", "no value")


def test_unknown_arguments_of_a_constructor_are_refused_with_the_nearest_name(refused):
    error = refused(ValidationError, lambda: Thing(id="x", txt=SECRET), "Thing", "'txt'", "did you mean 'text'")
    assert isinstance(error, TypeError)
    assert error.field == "txt"


def test_a_typo_is_named_before_the_argument_it_was_meant_for(refused):
    refused(UnknownArgument, lambda: Line(id="x", order=SECRET, amuont=4), "'amuont'", "did you mean 'amount'")
    with pytest.raises(TypeError, match="missing 2 required keyword-only arguments: 'id' and 'order'"):
        Line(amount=1)


def test_missing_and_positional_arguments_of_a_constructor_are_type_errors():
    with pytest.raises(TypeError, match=r"Thing\.__init__\(\) missing 1 required keyword-only argument: 'id'"):
        Thing()
    with pytest.raises(TypeError, match="positional"):
        Thing("x")


def test_an_object_takes_no_attribute_that_is_no_field():
    with pytest.raises(AttributeError):
        Thing(id="x").txt = 5
