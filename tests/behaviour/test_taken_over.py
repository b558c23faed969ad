"""`.set(P.other)` never leaves an item that cannot be read: what is taken over must fit where it comes to stand."""

import dataclasses
from typing import Any

import pytest

from dynamorm import (
    Attr,
    Codec,
    ConditionFailed,
    Json,
    Model,
    Outcome,
    TransactionCancelled,
    ValidationError,
    attr,
    partition_key,
)

from .kit import store, stored

pytestmark = pytest.mark.engine


def split(text):
    return tuple(text.split("|"))


join = "|".join


class Size(Model):
    width: Attr[int]
    height: Attr[int | None] = attr(default=3)


@dataclasses.dataclass
class Label:
    text: str


class Box(Model, table="boxes"):
    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=1)
    wish: Attr[int | None] = attr(default=5)
    text: Attr[str] = attr(default="")
    size: Attr[Size | None] = attr(default=None)
    other: Attr[Size | None] = attr(default=None)
    label: Attr[Label | None] = attr(default=None)
    numbers: Attr[list[int]] = attr(default_factory=list)
    maybe: Attr[list[int | None]] = attr(default_factory=list)
    sizes: Attr[dict[str, Size]] = attr(default_factory=dict)
    anything: Attr[Any] = attr(default=None)
    json: Attr[dict[str, int]] = attr(Json(), default_factory=dict)
    more_json: Attr[dict[str, int]] = attr(Json(), default_factory=dict)
    other_json: Attr[list[int]] = attr(Json(), default_factory=list)
    plain: Attr[dict[str, int]] = attr(default_factory=dict)
    pair: Attr[tuple[str, ...]] = attr(Codec(join, split), default=())
    more_pair: Attr[tuple[str, ...]] = attr(Codec(join, split), default=())
    lines: Attr[tuple[str, ...]] = attr(Codec("\n".join, split), default=())


MODELS = (Box,)


def by_key(db, key, update):
    db.update(Box, key, update)


def by_object(db, key, update):
    db.update(db.require(Box, key, consistent=True), update)


def by_upsert(db, key, update):
    db.upsert(Box, key, update)


def in_transaction(db, key, update):
    try:
        with db.transaction() as tx:
            tx.update(Box, key, update)
    except TransactionCancelled as error:
        raise error.reasons[0].error from None


@pytest.fixture(params=[by_key, by_object, by_upsert, in_transaction])
def update(request, db):
    return lambda key, one: request.param(db, key, one)


NONE = {
    "an attribute": (Box.count.set(Box.wish), "count", "wish"),
    "an element": (Box.count.set(Box.maybe[0]), "count", "maybe"),
    "inside": (Box.size[Size.width].set(Box.wish), "size.width", "wish"),
    "from inside": (Box.count.set(Box.size[Size.height]), "count", "size.height"),
    "an element to an element": (Box.numbers[0].set(Box.maybe[0]), "numbers", "maybe"),
    "where nothing is": (Box.text.set(Box.anything), None, None),
}


@pytest.mark.parametrize("case", NONE)
def test_none_is_not_taken_over_where_it_may_not_be(db, key, update, case):
    one, place, source = NONE[case]
    item = {
        "id": {"S": key},
        "wish": {"NULL": True},
        "maybe": {"L": [{"NULL": True}]},
        "numbers": {"L": [{"N": "1"}]},
        "size": {"M": {"width": {"N": "1"}, "height": {"NULL": True}}},
    }
    store(db, Box, item)
    with pytest.raises((ConditionFailed, ValidationError)) as caught:
        update(key, one)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    if place is not None:
        assert isinstance(caught.value, ConditionFailed)
        assert f"Box.{place}" in str(caught.value)
        assert f"Box.{source}" in str(caught.value)
        assert caught.value.item.wish is None
    assert stored(db, Box, key) == item


OTHERS = {
    "another class": Box.size.set(Box.label),
    "a list that may hold None": Box.numbers.set(Box.maybe),
    "a dict of others": Box.sizes["a"].set(Box.label),
    "anything": Box.count.set(Box.anything),
    "a part of anything": Box.numbers.set(Box.anything["list"]),
    "a text as JSON": Box.json.set(Box.text),
    "a dict as JSON": Box.json.set(Box.plain),
    "JSON as a dict": Box.plain.set(Box.json),
    "JSON as a text": Box.text.set(Box.json),
    "JSON as anything": Box.anything.set(Box.json),
    "anything as JSON": Box.json.set(Box.anything),
    "JSON of another type": Box.json.set(Box.other_json),
    "JSON where there is none": Box.json.if_not_exists(Box.text),
    "a text by a Codec": Box.pair.set(Box.text),
    "a Codec's as a text": Box.text.set(Box.pair),
    "a Codec's as anything": Box.anything.set(Box.pair),
    "another Codec's": Box.pair.set(Box.lines),
    "JSON by a Codec": Box.pair.set(Box.json),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_value_of_another_type_is_not_taken_over(wire, key, update, case, db):
    store(db, Box, {"id": {"S": key}})
    wire.clear()
    with pytest.raises(ValidationError, match="cannot take over"):
        update(key, OTHERS[case])
    assert "UpdateItem" not in wire.names
    assert "TransactWriteItems" not in wire.names


def test_what_fits_is_taken_over(db, key, update):
    db.create(Box(id=key, wish=8, size=Size(width=2), numbers=[1, 2], sizes={"a": Size(width=4)}))
    update(key, Box.count.set(Box.wish))
    update(key, Box.other.set(Box.size))
    update(key, Box.maybe.set(Box.numbers))
    update(key, Box.sizes["b"].set(Box.size))
    update(key, Box.anything.set(Box.numbers))
    update(key, Box.size.set(Box.sizes["a"]))
    update(key, Box.numbers[0].set(Box.maybe[1]))
    found = db.require(Box, key, consistent=True)
    assert (found.count, found.other, found.maybe) == (8, Size(width=2), [1, 2])
    assert (found.sizes["b"], found.anything, found.size) == (Size(width=2), [1, 2], Size(width=4))
    assert found.numbers == [2, 2]


def test_what_is_stored_in_the_same_form_is_taken_over(db, key, update):
    db.create(Box(id=key, json={"a": 1}, pair=("x", "y")))
    update(key, Box.more_json.set(Box.json))
    update(key, Box.more_pair.set(Box.pair))
    found = db.require(Box, key, consistent=True)
    assert (found.more_json, found.more_pair) == ({"a": 1}, ("x", "y"))


def test_none_is_taken_over_where_it_may_be(db, key, update):
    store(db, Box, {"id": {"S": key}, "wish": {"NULL": True}, "maybe": {"L": [{"N": "1"}]}})
    update(key, Box.maybe[0].set(Box.wish))
    assert db.require(Box, key, consistent=True).maybe == [None]
