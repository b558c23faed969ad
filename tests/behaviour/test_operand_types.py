"""Sizes of empty sets, and comparisons that an attribute's type does not have: refused before the wire."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dynamorm import Attr, Json, Model, ValidationError, attr, partition_key

from .kit import store

pytestmark = pytest.mark.engine


class Inner(Model):
    flags: Attr[set[str]] = attr(default_factory=set)
    on: Attr[bool] = attr(default=False)


class Box(Model, table="boxes"):
    id: Attr[str] = partition_key()
    tags: Attr[set[str]] = attr(default_factory=set)
    numbers: Attr[frozenset[int] | None] = attr(default=None)
    inner: Attr[Inner] = attr(default_factory=Inner)
    lines: Attr[list[str]] = attr(default_factory=list)
    note: Attr[str] = attr(default="")
    blob: Attr[bytes] = attr(default=b"")
    at: Attr[datetime | None] = attr(default=None)
    count: Attr[int] = attr(default=0)
    rate: Attr[Decimal | None] = attr(default=None)
    on: Attr[bool] = attr(default=False)
    data: Attr[dict[str, Any]] = attr(default_factory=dict)
    json: Attr[dict[str, Any]] = attr(Json(), default_factory=dict)
    free: Attr[Any] = attr(default=None)


MODELS = [Box]

SIZES = {
    "== 0": (lambda size: size == 0, {0}), "!= 0": (lambda size: size != 0, {2}), "!= 2": (lambda size: size != 2, {0}),
    "< 1": (lambda size: size < 1, {0}), "<= 0": (lambda size: size <= 0, {0}), "> 0": (lambda size: size > 0, {2}),
    ">= 0": (lambda size: size >= 0, {0, 2}), ">= 2": (lambda size: size >= 2, {2}),
    "between 0 and 1": (lambda size: size.between(0, 1), {0}), "between 1 and 2": (lambda size: size.between(1, 2), {2}),
    "not > 0": (lambda size: ~(size > 0), {0}), "not == 0": (lambda size: ~(size == 0), {2}),
    "== count": (lambda size: size == Box.count, {0, 2}), "> count": (lambda size: size > Box.count, set()),
    "!= count": (lambda size: size != Box.count, set()), "between counts": (lambda size: size.between(0, Box.count), {0, 2}),
}  # fmt: skip
PLACES = {"tags": lambda: Box.tags, "numbers": lambda: Box.numbers, "inner": lambda: Box.inner[Inner.flags]}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("place", PLACES)
def test_an_empty_set_has_the_size_0(db, key, name, place):
    build, sizes = SIZES[name]
    condition = build(PLACES[place]().size())
    for number, flags in enumerate([set(), {"a", "b"}]):
        numbers = frozenset({1, 2}) if flags else frozenset()
        db.create(Box(id=f"{key}{number}", tags=flags, numbers=numbers, inner=Inner(flags=flags), count=len(flags)))
    absent = {"id": {"S": f"{key}2"}, "inner": {"M": {}}, "count": {"N": "0"}}
    store(db, Box, absent)
    found = {
        number
        for number in range(3)
        if db.model(Box).where(Box.id == f"{key}{number}").filter(condition, Box.count >= 0).exists()
    }
    assert found == {number for number, size in enumerate((0, 2, 0)) if size in sizes}


REFUSED = {
    "a bool": lambda: Box.on < True,
    "a bool inside": lambda: Box.inner[Inner.on] >= True,
    "a list": lambda: Box.lines < ["a"],
    "a set": lambda: Box.tags >= {"a"},
    "a map": lambda: Box.data.between({}, {"a": 1}),
    "a free bool": lambda: Box.free > True,
    "a free list": lambda: Box.free.between([], [1]),
    "a free entry": lambda: Box.data["k"] < {"a": 1},
    "another attribute without an order": lambda: Box.count < Box.on,
    "an attribute of another type": lambda: Box.count < Box.note,
    "the size of a number": lambda: Box.count.size() == 1,
    "the size of a decimal": lambda: Box.rate.size() > 0,
    "the size of a bool": lambda: Box.on.size() == 1,
    "a size and a text": lambda: Box.tags.size() > Box.note,
    "the prefix of a number": lambda: Box.count.begins_with("1"),
    "the prefix of a list": lambda: Box.lines.begins_with("a"),
    "the prefix of a set": lambda: Box.tags.begins_with("a"),
    "bytes of a text": lambda: Box.note.begins_with(b"a"),
    "a text of bytes": lambda: Box.blob.begins_with("a"),
}


@pytest.mark.parametrize("build", REFUSED.values(), ids=REFUSED)
def test_what_a_type_does_not_have_is_refused_before_the_wire(db, wire, key, build):
    for call in (
        lambda: db.model(Box).where(Box.id == key).filter(build()).all(),
        lambda: db.model(Box).allow_scan().filter(build()).all(),
        lambda: db.update(Box, key, Box.note.set("x"), condition=build()),
        lambda: db.put(Box(id=key), condition=build()),
        lambda: db.delete(Box, key, condition=build() | (Box.note == "x")),
    ):
        with pytest.raises(ValidationError) as caught:
            call()
        assert caught.value.request_id is None
        assert caught.value.field is not None
    assert wire.calls == []


def test_what_a_type_has_is_asked(db, key):
    db.create(Box(id=key, note="abc", blob=b"abc", at=datetime(2024, 5, 1, tzinfo=UTC), count=2, rate=Decimal(1), free=5, data={"k": "x"}))  # fmt: skip
    asked = (
        Box.note.begins_with("ab") & Box.blob.begins_with(b"ab") & Box.at.begins_with("2024-") & (Box.count > Box.rate)
        & (Box.note.size() == 3) & (Box.data.size() == 1) & (Box.lines.size() == 0) & Box.free.between(1, 9)
        & (Box.data["k"] < "z") & (Box.json.size() == 2) & (Box.at < datetime.now(UTC)) & (Box.note.size() > Box.count)
    )  # fmt: skip
    assert db.model(Box).where(Box.id == key).filter(asked).exists()
