"""Updates and conditions that cannot be: refused before the wire, with the field and what to do instead."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from dynamorm import (
    Attr,
    Json,
    Model,
    ValidationError,
    attr,
    created_at,
    partition_key,
    sort_key,
    updated_at,
    version,
)
from dynamorm.errors import ExpressionTooLarge

from .conftest import SECRET


class Inner(Model):
    city: Attr[str] = attr(default="")


class Other(Model, table="other"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    title: Attr[str] = attr(default="")


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    at: Attr[int] = sort_key()
    needed: Attr[str] = attr()
    text: Attr[str] = attr(default="")
    number: Attr[int] = attr(default=0)
    amount: Attr[Decimal] = attr(default=Decimal(0))
    ratio: Attr[float] = attr(default=0.0)
    note: Attr[str | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=list)
    flags: Attr[set[str]] = attr(default_factory=set)
    inner: Attr[Inner | None] = attr(default=None)
    json: Attr[dict[str, int]] = attr(Json(), default_factory=dict)
    doc: Attr[Any] = attr(default=None)
    fixed: Attr[str] = attr(default="", immutable=True)
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()
    version: Attr[int] = version()


T = Thing

UPDATES = {
    "partition key": (lambda: T.id.set(SECRET), ("id", "key")),
    "sort key": (lambda: T.at.add(1), ("at", "key")),
    "version": (lambda: T.version.set(5), ("version", "leave it out")),
    "created_at": (T.made.remove, ("made", "leave it out")),
    "updated_at": (T.changed.remove, ("changed", "leave it out")),
    "immutable": (lambda: T.fixed.set(SECRET), ("fixed", "immutable")),
    "condition instead of update": (lambda: T.number > 5, ("condition=",)),
    "attribute instead of update": (lambda: T.number, ("number", ".set(")),
    "foreign model": (lambda: Other.text.set(SECRET), ("text", "Other", "Thing")),
    "foreign operand": (lambda: T.text.set(Other.title), ("title", "Other", "Thing")),
    "wrong type": (lambda: T.number.set(SECRET), ("Thing.number", "int")),
    "wrong element": (lambda: T.tags.append(5), ("tags", "str")),
    "wrong nested": (lambda: T.inner[Inner.city].set(5), ("inner", "str")),
    "none as an element": (lambda: T.tags[0].set(None), ("tags",)),
    "none appended": (lambda: T.tags.append(None), ("tags",)),
    "not unicode": (lambda: T.text.set("\ud800"), ("Thing", "Unicode")),
    "a required attribute removed": (T.needed.remove, ("needed",)),
    "a required attribute set to none": (lambda: T.needed.set(None), ("needed",)),
    "float added to an int": (lambda: T.number.add(1.5), ("number",)),
    "decimal added to an int": (lambda: T.number.add(Decimal("1.5")), ("number",)),
    "float added to a decimal": (lambda: T.amount.add(0.1), ("amount", "Decimal")),
    "float set on a decimal": (lambda: T.amount.set(0.1), ("amount", "Decimal")),
    "nan added": (lambda: T.ratio.add(float("nan")), ("ratio", "finite")),
    "number added to a text": (lambda: T.text.add(1), ("text",)),
    "set added to a number": (lambda: T.number.add({"x"}), ("number",)),
    "append to a text": (lambda: T.text.append("x"), ("text",)),
    "set from an attribute of another type": (lambda: T.text.set(T.number), ("text", "number")),
    "wrong elements of a set": (lambda: T.flags.add({1}), ("flags", "str")),
}


@pytest.mark.parametrize("case", UPDATES)
@pytest.mark.parametrize("how", ["key", "object", "upsert"])
def test_an_update_that_cannot_be_is_refused(db, refused, case, how):
    make, words = UPDATES[case]
    calls = {
        "key": lambda: db.update(Thing, "x", 1, make()),
        "object": lambda: db.update(Thing(id="x", at=1, needed="n"), make()),
        "upsert": lambda: db.upsert(Thing, "x", 1, make()),
    }
    refused(ValidationError, calls[how], *words)


BUILT = {
    "add of a text": (lambda: T.number.add("5"), ("number", "str")),
    "add of a bool": (lambda: T.number.add(True), ("number", "bool")),
    "add of none": (lambda: T.number.add(None), ("number",)),
    "add of an empty set": (lambda: T.flags.add(set()), ("flags", "empty")),
    "add of a list": (lambda: T.flags.add(["x"]), ("flags", "set", "list")),
    "delete of an empty set": (lambda: T.flags.delete(set()), ("flags", "empty")),
    "delete of a text": (lambda: T.flags.delete("x"), ("flags", "set")),
    "if_not_exists none": (lambda: T.note.if_not_exists(None), ("note", "None")),
    "negative index": (lambda: T.tags[-1], ("tags", "0 or more")),
    "slice": (lambda: T.tags[1:2], ("tags", "slices")),
    "empty map key": (lambda: T.inner[""], ("inner", "empty")),
    "float index": (lambda: T.tags[1.5], ("tags", "float")),
    "inside json": (lambda: T.json["a"], ("json", "JSON")),
    "order with none": (lambda: T.number > None, ("number", "None")),
    "between with none": (lambda: T.number.between(None, 5), ("number", "None")),
    "in_ of nothing": (lambda: T.number.in_([]), ("number", "1 to 100")),
    "in_ of too many": (lambda: T.number.in_(range(101)), ("number", "100", "101")),
    "in_ of a text": (lambda: T.text.in_(SECRET), ("text", "list", "str")),
    "in_ of a number": (lambda: T.number.in_(5), ("number", "list", "int")),
    "unknown type": (lambda: T.text.attribute_type("X"), ("text", "NULL")),
    "size with a text": (lambda: T.text.size() > "5", ("text", "int")),
}


@pytest.mark.parametrize("case", BUILT)
def test_what_cannot_be_is_refused_where_it_is_written(refused, case):
    make, words = BUILT[case]
    refused(ValidationError, make, *words)


CONDITIONS = {
    "bool": (lambda: Thing(id="x", at=1, needed="n", number=6).number > 5, ("bool", "class")),
    "none-like": (lambda: 0, ("int",)),
    "text": (lambda: "number > 5", ("str",)),
    "attribute": (lambda: T.number, ("number", "== True")),
    "update": (lambda: T.number.set(5), ("number", "update()")),
    "foreign model": (lambda: Other.text == SECRET, ("text", "Other", "Thing")),
    "foreign model in a group": (lambda: (T.number == 5) & (Other.text == SECRET), ("text", "Other", "Thing")),
    "foreign model beside an own attribute of that name": (
        lambda: (T.text == "a") & (Other.text == SECRET),
        ("text", "Other", "Thing"),
    ),
    "foreign operand": (lambda: T.text == Other.title, ("title", "Other", "Thing")),
    "not unicode": (lambda: T.text == "\ud800", ("Thing", "Unicode")),
    "wrong type": (lambda: T.number == SECRET, ("number", "int")),
    "wrong type in in_": (lambda: T.number.in_([1, SECRET]), ("number", "int")),
    "wrong nested type": (lambda: T.inner[Inner.city] == 5, ("inner", "str")),
    "itself": (lambda: T.number == T.number, ("number", "itself")),
    "naive time": (lambda: T.made < datetime(2024, 1, 1), ("made", "time zone")),
}


@pytest.mark.parametrize("case", CONDITIONS)
@pytest.mark.parametrize("verb", ["update", "upsert", "put", "delete", "delete object"])
def test_a_condition_that_cannot_be_is_refused_by_every_verb(db, refused, case, verb):
    make, words = CONDITIONS[case]
    calls = {
        "update": lambda: db.update(Thing, "x", 1, T.text.set("x"), condition=make()),
        "upsert": lambda: db.upsert(Thing, "x", 1, T.text.set("x"), condition=make()),
        "put": lambda: db.put(Thing(id="x", at=1, needed="n"), condition=make()),
        "delete": lambda: db.delete(Thing, "x", 1, condition=make()),
        "delete object": lambda: db.delete(Thing(id="x", at=1, needed="n"), condition=make()),
    }
    refused(ValidationError, calls[verb], *words)


def test_conditions_are_not_combined_with_the_words_of_python():
    for combine in (
        lambda: (T.number > 1) and (T.number < 5),
        lambda: (T.number > 1) or (T.number < 5),
        lambda: not (T.number > 1),
        lambda: 1 < T.number < 5,
    ):
        with pytest.raises(TypeError, match="combine conditions with"):
            combine()
    with pytest.raises(ValidationError, match="bool"):
        (T.number > 1) & True


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda db: db.update(Thing(id="x", at=1, needed="n")), ("Thing", ".set(")),
        (lambda db: db.update(Thing, "x", 1), ("Thing", ".set(")),
        (lambda db: db.upsert(Thing, "x", 1), ("Thing", ".set(")),
        (lambda db: db.update(Thing, "x", 1, condition=T.number == 1), ("Thing", ".set(")),
        (lambda db: db.update(Thing, "x", 1, T.text.set("a"), "y"), ("str",)),
        (lambda db: db.update(Thing(id="x", at=1, needed="n"), T.text.set("a"), id="x"), ("not both",)),
        (lambda db: db.delete(Thing(id="x", at=1, needed="n"), "x", 1), ("not both",)),
        (lambda db: db.update(Thing, "x", 1, T.text.set("a"), T.text.set("b")), ("text", "twice")),
        (lambda db: db.update(Thing, "x", 1, T.inner.remove(), T.inner[Inner.city].set("b")), ("inner.city", "inside")),
        (lambda db: db.put(Thing(id="x", at=1, needed="n"), returning="new"), ("'old'", "'new'")),
        (lambda db: db.delete(Thing, "x", 1, returning="new"), ("'old'", "'new'")),
        (lambda db: db.update(Thing, "x", 1, T.text.set("a"), returning="all_new"), ("'updated_new'", "'all_new'")),
        (lambda db: db.update(Thing, "x", 1, T.text.set("a"), returning=["old"]), ("'updated_new'", "'old'")),
    ],
    ids=range(13),
)
def test_a_call_that_says_nothing_or_too_much_is_refused(db, refused, call, words):
    refused(ValidationError, lambda: call(db), *words)


def test_a_result_that_cannot_be_had_is_refused_by_the_name_of_its_argument(db):
    for call in (
        lambda: db.put(Thing(id="x", at=1, needed="n"), returning="new"),
        lambda: db.delete(Thing, "x", 1, returning="new"),
    ):
        with pytest.raises(ValidationError) as caught:
            call()
        assert caught.value.field == "returning"


def test_expressions_over_the_limits_are_refused_with_the_limit(db, refused):
    many = T.number == 0
    for number in range(160):
        many &= T.number != number
    refused(ExpressionTooLarge, lambda: db.update(Thing, "x", 1, T.text.set("a"), condition=many), "300")
    long = T.doc["a" * 10] == 1
    for number in range(400):
        long |= T.doc[f"{number:0200d}"]["x"]["y"]["z"] == number
    refused(ExpressionTooLarge, lambda: db.delete(Thing, "x", 1, condition=long), "limit")


def test_values_of_over_two_megabytes_are_refused_together(db, refused):
    texts = [f"{number:04d}" * 2**16 for number in range(9)]  # of 256 KB each
    enormous = T.text.in_(texts)
    thing = Thing(id="x", at=1, needed="n")
    for call in (
        lambda: db.update(Thing, "x", 1, T.number.set(1), condition=enormous),
        lambda: db.put(thing, condition=enormous),
        lambda: db.delete(Thing, "x", 1, condition=enormous),
        lambda: db.update(Thing, "x", 1, *(T.doc[f"k{at}"].set(text) for at, text in enumerate(texts))),
        lambda: db.model(Thing).where(T.id == "x").filter(enormous).all(),
    ):
        refused(ExpressionTooLarge, call, "2097152")
