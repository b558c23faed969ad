"""Every update expression of the public API, against the state it must leave."""

from decimal import Decimal
from typing import Any

import pytest

from dynamorm import Attr, ConditionFailed, Model, ValidationError, attr, partition_key

from .kit import store, stored

pytestmark = pytest.mark.engine


class Address(Model):
    city: Attr[str]
    zip: Attr[str | None] = attr(default=None, name="z")
    visits: Attr[int] = attr(default=0)


class Box(Model, table="boxes"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    rate: Attr[Decimal | None] = attr(default=None)
    note: Attr[str | None] = attr(default=None, name="n")
    backup: Attr[str | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=list)
    more: Attr[list[str] | None] = attr(default=None)
    matrix: Attr[list[list[int]]] = attr(default_factory=list)
    flags: Attr[set[str]] = attr(default_factory=set)
    numbers: Attr[set[int]] = attr(default_factory=set)
    blobs: Attr[frozenset[bytes]] = attr(default_factory=frozenset)
    address: Attr[Address | None] = attr(default=None)
    homes: Attr[list[Address]] = attr(default_factory=list)
    counts: Attr[dict[str, int]] = attr(default_factory=dict)
    extra: Attr[Any] = attr(default=None)


MODELS = [Box]

START = {
    "amount": 10,
    "rate": Decimal("1.5"),
    "note": "first",
    "tags": ["a", "b"],
    "matrix": [[1], [2, 3]],
    "flags": {"x", "y"},
    "numbers": {1, 2},
    "blobs": frozenset({b"\0"}),
    "counts": {"a": 1, "b": 2},
    "extra": {"deep": [1, {"k": "v"}]},
}


def start():
    return START | {
        "address": Address(city="Riga", zip="1010", visits=1),
        "homes": [Address(city="A"), Address(city="B")],
    }


CASES = {
    "set": (lambda: [Box.amount.set(6)], {"amount": 6}),
    "set to the empty text": (lambda: [Box.note.set("")], {"note": ""}),
    "set none removes": (lambda: [Box.note.set(None)], {"note": None}),
    "set from another path": (lambda: [Box.backup.set(Box.note)], {"backup": "first"}),
    "set uses the old value": (
        lambda: [Box.note.set("second"), Box.backup.set(Box.note)],
        {"note": "second", "backup": "first"},
    ),
    "set a list": (lambda: [Box.tags.set(["z"])], {"tags": ["z"]}),
    "set a set": (lambda: [Box.flags.set({"q"})], {"flags": {"q"}}),
    "set a nested model": (lambda: [Box.address.set(Address(city="Oslo"))], {"address": Address(city="Oslo")}),
    "set a map": (lambda: [Box.counts.set({"z": 26})], {"counts": {"z": 26}}),
    "set an empty set": (lambda: [Box.flags.set(set())], {"flags": set()}),
    "add": (lambda: [Box.amount.add(5)], {"amount": 15}),
    "add a negative": (lambda: [Box.amount.add(-25)], {"amount": -15}),
    "add a decimal": (lambda: [Box.rate.add(Decimal("0.25"))], {"rate": Decimal("1.75")}),
    "add to a set": (lambda: [Box.flags.add({"y", "z"})], {"flags": {"x", "y", "z"}}),
    "add to a set of numbers": (lambda: [Box.numbers.add({3})], {"numbers": {1, 2, 3}}),
    "add to a set of bytes": (lambda: [Box.blobs.add({b"\1"})], {"blobs": frozenset({b"\0", b"\1"})}),
    "delete from a set": (lambda: [Box.flags.delete({"x", "q"})], {"flags": {"y"}}),
    "delete the last of a set": (lambda: [Box.numbers.delete({1, 2})], {"numbers": set()}),
    "remove": (lambda: [Box.note.remove()], {"note": None}),
    "if_not_exists on what exists": (lambda: [Box.note.if_not_exists("new")], {}),
    "if_not_exists on what is missing": (lambda: [Box.backup.if_not_exists("new")], {"backup": "new"}),
    "if_not_exists from a path": (lambda: [Box.backup.if_not_exists(Box.note)], {"backup": "first"}),
    "append": (lambda: [Box.tags.append("c")], {"tags": ["a", "b", "c"]}),
    "prepend": (lambda: [Box.tags.prepend("c")], {"tags": ["c", "a", "b"]}),
    "append_or_create on a list": (lambda: [Box.tags.append_or_create("c")], {"tags": ["a", "b", "c"]}),
    "append_or_create on nothing": (lambda: [Box.more.append_or_create("c")], {"more": ["c"]}),
    "append a list is one element": (lambda: [Box.matrix.append([4, 5])], {"matrix": [[1], [2, 3], [4, 5]]}),
    "append a nested model": (
        lambda: [Box.homes.append(Address(city="C"))],
        {"homes": [Address(city="A"), Address(city="B"), Address(city="C")]},
    ),
    "nested set": (lambda: [Box.address[Address.city].set("Oslo")], {"address": ("city", "Oslo")}),
    "nested set by stored name": (lambda: [Box.address[Address.zip].set("0150")], {"address": ("zip", "0150")}),
    "nested remove": (lambda: [Box.address[Address.zip].remove()], {"address": ("zip", None)}),
    "nested set none": (lambda: [Box.address[Address.zip].set(None)], {"address": ("zip", None)}),
    "nested add": (lambda: [Box.address[Address.visits].add(2)], {"address": ("visits", 3)}),
    "map entry": (lambda: [Box.counts["b"].set(20), Box.counts["c"].set(3)], {"counts": {"a": 1, "b": 20, "c": 3}}),
    "map entry add": (lambda: [Box.counts["a"].add(4), Box.counts["n"].add(1)], {"counts": {"a": 5, "b": 2, "n": 1}}),
    "map entry remove": (lambda: [Box.counts["a"].remove()], {"counts": {"b": 2}}),
    "list index": (lambda: [Box.tags[0].set("z")], {"tags": ["z", "b"]}),
    "list index remove": (lambda: [Box.tags[0].remove()], {"tags": ["b"]}),
    "list index beyond the end appends": (lambda: [Box.tags[9].set("z")], {"tags": ["a", "b", "z"]}),
    "list in a list": (lambda: [Box.matrix[1][0].set(9)], {"matrix": [[1], [9, 3]]}),
    "nested in a list": (
        lambda: [Box.homes[1][Address.city].set("Z")],
        {"homes": [Address(city="A"), Address(city="Z")]},
    ),
    "inside a document": (
        lambda: [Box.extra["deep"][1]["k"].set("w"), Box.extra["deep"][0].set(None)],
        {"extra": {"deep": [None, {"k": "w"}]}},
    ),
    "all clauses at once": (
        lambda: [
            Box.note.remove(),
            Box.amount.add(1),
            Box.flags.delete({"x"}),
            Box.backup.set("b"),
            Box.numbers.add({9}),
        ],
        {"note": None, "amount": 11, "flags": {"y"}, "backup": "b", "numbers": {1, 2, 9}},
    ),
}


def expected(key, change):
    values = start()
    for name, value in change.items():
        if name == "address" and isinstance(value, tuple):
            setattr(values["address"], *value)
        else:
            values[name] = value
    return Box(id=key, **values)


@pytest.mark.parametrize("case", CASES)
def test_an_update_leaves_the_state_it_says(db, key, case):
    make, change = CASES[case]
    box = db.create(Box(id=key, **start()))
    assert db.update(box, *make()) is box
    assert box == expected(key, change)
    assert db.get(Box, key, consistent=True) == box


def test_add_and_delete_on_nothing(db, key):
    store(db, Box, {"id": {"S": key}})
    db.update(Box, key, Box.amount.add(3), Box.flags.add({"a"}), Box.numbers.delete({1}))
    assert stored(db, Box, key)["amount"] == {"N": "3"}
    assert stored(db, Box, key)["flags"] == {"SS": ["a"]}
    assert "numbers" not in stored(db, Box, key)


@pytest.mark.parametrize("update", [lambda: Box.more.append("x"), lambda: Box.more.prepend("x")])
def test_append_to_a_missing_list_is_refused_with_a_typed_error(db, key, update):
    db.create(Box(id=key))
    with pytest.raises(ValidationError):
        db.update(Box, key, update())


def test_an_empty_set_is_stored_as_null_by_an_update(db, key):
    db.create(Box(id=key, flags={"a"}))
    db.update(Box, key, Box.flags.set(set()))
    assert stored(db, Box, key)["flags"] == {"NULL": True}


def test_elements_can_be_added_to_a_set_that_is_empty(db, key):
    box = db.create(Box(id=key))
    assert db.update(box, Box.flags.add({"a"})).flags == {"a"}


@pytest.mark.parametrize("absent", [True, False])
def test_a_set_is_found_empty_whether_it_is_null_or_not_there(db, key, absent):
    db.create(Box(id=key))
    if absent:
        db.update(Box, key, Box.flags.remove())
    assert db.update(Box, key, Box.note.set("n"), condition=Box.flags == set()).note == "n"
    assert db.update(Box, key, Box.flags.add({"a"}), condition=Box.flags == set()).flags == {"a"}
    with pytest.raises(ConditionFailed):
        db.update(Box, key, Box.flags.add({"b"}), condition=Box.flags == set())


def test_an_element_can_be_appended_to_a_list_that_is_empty(db, key):
    box = db.create(Box(id=key))
    assert db.update(box, Box.tags.append("a")).tags == ["a"]


def test_elements_can_be_deleted_from_a_set_that_is_empty(db, key):
    box = db.create(Box(id=key))
    assert db.update(box, Box.flags.delete({"a"})).flags == set()


def test_an_appended_element_is_appended_once_however_often_the_verb_is_asked_for(db, key, wire):
    box = db.create(Box(id=key))
    wire.clear()
    for letter in "abc":
        db.update(box, Box.tags.append_or_create(letter))
    assert box.tags == ["a", "b", "c"]
    assert set(wire.names) == {"TransactWriteItems", "GetItem"}  # not repeatable and no version: token transactions


def test_repeatable_updates_without_a_version_are_single_requests(db, key, wire):
    box = db.create(Box(id=key, flags={"z"}))
    wire.clear()
    db.update(box, Box.note.set("x"), Box.backup.if_not_exists("b"), Box.rate.remove())
    assert wire.names == ["UpdateItem"]


@pytest.mark.parametrize("change", [Box.flags.add({"a"}), Box.flags.delete({"z"})])
def test_elements_of_a_set_are_changed_under_a_token(db, key, wire, change):
    """A copy that comes late would undo what somebody else has done to the set, and was told is done."""
    box = db.create(Box(id=key, flags={"z"}))
    wire.clear()
    db.update(box, change)
    assert wire.names == ["TransactWriteItems", "GetItem"]
