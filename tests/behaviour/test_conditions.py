"""Every condition of the public API is true and false of the items it should be, as DynamoDB sees it."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum

import pytest

from dynamorm import Attr, ConditionFailed, Model, attr, partition_key

from .kit import store

pytestmark = pytest.mark.engine


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Place(Model):
    city: Attr[str]
    floor: Attr[int] = attr(default=0)


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    fee: Attr[int] = attr(default=0)
    rate: Attr[Decimal] = attr(default=Decimal(0))
    text: Attr[str | None] = attr(default=None)
    other: Attr[str | None] = attr(default=None)
    null: Attr[str | None] = attr(default=None)
    done: Attr[bool] = attr(default=False)
    blob: Attr[bytes] = attr(default=b"")
    tags: Attr[list[str]] = attr(default_factory=list)
    flags: Attr[set[str]] = attr(default_factory=set)
    marks: Attr[set[int]] = attr(default_factory=set)
    place: Attr[Place | None] = attr(default=None)
    mood: Attr[Mood] = attr(default=Mood.GOOD)
    seen: Attr[datetime | None] = attr(default=None)
    touched: Attr[str] = attr(default="")


MODELS = [Thing]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
T = Thing

TRUE = {
    "equal": lambda: T.amount == 5,
    "not equal": lambda: T.amount != 6,
    "less": lambda: T.amount < 6,
    "less or equal": lambda: T.amount <= 5,
    "greater": lambda: T.amount > 4,
    "greater or equal": lambda: T.amount >= 5,
    "between, both ends": lambda: T.amount.between(5, 5),
    "in": lambda: T.amount.in_([1, 5]),
    "in a generator": lambda: T.amount.in_(number for number in range(10)),
    "in with none, missing": lambda: T.other.in_(["x", None]),
    "text order": lambda: T.text > "hell",
    "begins with": lambda: T.text.begins_with("hel"),
    "contains a part": lambda: T.text.contains("ell"),
    "contains an element of a list": lambda: T.tags.contains("b"),
    "contains an element of a set": lambda: T.flags.contains("x"),
    "contains a number of a set": lambda: T.marks.contains(2),
    "exists": T.text.exists,
    "not exists": T.other.not_exists,
    "null exists": T.null.exists,
    "missing is none": lambda: T.other == None,  # noqa: E711 - the way the public API spells it
    "null is none": lambda: T.null == None,  # noqa: E711
    "a value is not none": lambda: T.text != None,  # noqa: E711
    "size of a text": lambda: T.text.size() == 5,
    "size of a list": lambda: T.tags.size() > 1,
    "size of a set": lambda: T.flags.size() <= 2,
    "size of bytes": lambda: T.blob.size().between(3, 3),
    "size compared with a path": lambda: T.text.size() == T.amount,
    "type S": lambda: T.text.attribute_type("S"),
    "type N": lambda: T.amount.attribute_type("N"),
    "type B": lambda: T.blob.attribute_type("B"),
    "type BOOL": lambda: T.done.attribute_type("BOOL"),
    "type L": lambda: T.tags.attribute_type("L"),
    "type M": lambda: T.place.attribute_type("M"),
    "type SS": lambda: T.flags.attribute_type("SS"),
    "type NS": lambda: T.marks.attribute_type("NS"),
    "type NULL": lambda: T.null.attribute_type("NULL"),
    "bool": lambda: T.done == True,  # noqa: E712
    "bytes": lambda: T.blob == b"\0\1\2",
    "bytes order": lambda: T.blob < b"\0\2",
    "decimal": lambda: T.rate == Decimal("1.50"),
    "whole set": lambda: T.flags == {"y", "x"},
    "whole list": lambda: T.tags == ["a", "b"],
    "whole nested model": lambda: T.place == Place(city="Riga", floor=3),
    "nested": lambda: T.place[Place.city] == "Riga",
    "nested order": lambda: T.place[Place.floor] >= 3,
    "list index": lambda: T.tags[1] == "b",
    "list index beyond the end": T.tags[7].not_exists,
    "enum": lambda: T.mood == Mood.BAD,
    "enum by value": lambda: T.mood == "bad",
    "enum in": lambda: T.mood.in_([Mood.GOOD, Mood.BAD]),
    "time": lambda: T.seen == NOON,
    "time order": lambda: T.seen < datetime(2024, 5, 1, 12, 0, 0, 1, tzinfo=UTC),
    "path with path": lambda: T.amount > T.fee,
    "path equals path": lambda: T.text == T.touched,
    "between paths": lambda: T.fee.between(1, T.amount),
    "and": lambda: (T.amount == 5) & (T.fee == 2),
    "or": lambda: (T.amount == 9) | (T.fee == 2),
    "not": lambda: ~(T.amount == 9),
    "not not": lambda: ~~(T.amount == 5),
    "or of and": lambda: (T.amount == 5) & (T.fee == 2) | (T.amount == 9) & (T.fee == 9),
    "and of or": lambda: ((T.amount == 9) | (T.fee == 2)) & ((T.amount == 5) | (T.fee == 9)),
    "not of and": lambda: ~((T.amount == 5) & (T.fee == 9)),
    "not of none": lambda: ~(T.text == None),  # noqa: E711
    "none in a group": lambda: (T.other == None) & (T.null == None) & (T.text != None),  # noqa: E711
    "unequal is true of the missing": lambda: T.other != "x",
}
FALSE = {
    "order is false of the missing": lambda: T.other < "x",
    "equal is false of the missing": lambda: T.other == "x",
    "a value is none": lambda: T.text == None,  # noqa: E711
    "missing is not none": lambda: T.other != None,  # noqa: E711
    "null is not none": lambda: T.null != None,  # noqa: E711
    "none in a group": lambda: (T.text == None) & (T.amount == 5),  # noqa: E711
    "a or b and c": lambda: ((T.amount == 5) | (T.fee == 9)) & (T.text == "nope"),
    "in with none": lambda: T.text.in_(["x", None]),
}
assert not TRUE.keys() & FALSE.keys() - {"none in a group"}


def item(key):
    return Thing(
        id=key, amount=5, fee=2, rate=Decimal("1.5"), text="hello", done=True, blob=b"\0\1\2", tags=["a", "b"],
        flags={"x", "y"}, marks={1, 2}, place=Place(city="Riga", floor=3), mood=Mood.BAD, seen=NOON, touched="hello",
    )  # fmt: skip


@pytest.fixture
def thing(db, key):
    """An item in which ``null`` is stored as NULL and ``other`` is missing."""
    wire = db.inner._session.plan(Thing).codec.encode(item(key))
    store(db, Thing, {**_jsonable(wire), "null": {"NULL": True}})
    return key


def _jsonable(wire):
    import msgspec

    return msgspec.json.decode(msgspec.json.encode(wire))


def holds(db, key, condition):
    try:
        db.update(Thing, key, Thing.done.set(True), condition=condition)
    except ConditionFailed:
        return False
    return True


@pytest.mark.parametrize("name", TRUE)
def test_a_true_condition_holds_and_its_opposite_does_not(db, thing, name):
    assert holds(db, thing, TRUE[name]())
    assert not holds(db, thing, ~TRUE[name]())


@pytest.mark.parametrize("name", FALSE)
def test_a_false_condition_does_not_hold_and_its_opposite_does(db, thing, name):
    assert not holds(db, thing, FALSE[name]())
    assert holds(db, thing, ~FALSE[name]())


@pytest.mark.parametrize("verb", ["put", "delete", "delete object", "update object", "upsert"])
def test_every_verb_takes_a_condition(db, thing, verb):
    loaded = db.get(Thing, thing, consistent=True)
    calls = {
        "put": lambda condition: db.put(item(thing), condition=condition),
        "delete": lambda condition: db.delete(Thing, thing, condition=condition),
        "delete object": lambda condition: db.delete(loaded, condition=condition),
        "update object": lambda condition: db.update(loaded, T.fee.set(7), condition=condition),
        "upsert": lambda condition: db.upsert(Thing, thing, T.fee.set(7), condition=condition),
    }
    with pytest.raises(ConditionFailed) as caught:
        calls[verb]((T.amount == 9) | (T.text == None))  # noqa: E711
    assert caught.value.item.amount == 5
    calls[verb]((T.amount == 5) | (T.text == None))  # noqa: E711


def test_a_hundred_values_of_in_and_three_hundred_operators_are_accepted(db, thing):
    assert holds(db, thing, T.amount.in_([*range(100, 199), 5]))
    many = T.amount == 5
    for _ in range(100):
        many &= T.fee == 2
    assert holds(db, thing, many)


def test_a_condition_is_a_value_that_can_be_used_twice(db, thing):
    condition = (T.amount == 5) & T.text.exists()
    assert holds(db, thing, condition)
    assert holds(db, thing, condition)
    assert holds(db, thing, condition | (T.fee == 9))
