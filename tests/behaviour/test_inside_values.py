"""Values inside an item, past a save: after an increment, under keys that others spell otherwise, in documents."""

import dataclasses
from typing import Any
from uuid import UUID, uuid4

import pytest

from dynamorm import Attr, Model, Outcome, ValidationError, attr, partition_key

from .kit import store, stored

pytestmark = pytest.mark.engine


@dataclasses.dataclass
class Line:
    sku: str
    qty: int = 1


class Basket(Model, table="baskets"):
    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    lines: Attr[list[Line]] = attr(default_factory=list)


class Votes(Model, table="votes"):
    id: Attr[str] = partition_key()
    by_user: Attr[dict[UUID, int]] = attr(default_factory=dict)


class Numbered(Model, table="numbered"):
    id: Attr[str] = partition_key()
    names: Attr[dict[int, str]] = attr(default_factory=dict)
    deep: Attr[list[dict[int, list[str]]]] = attr(default_factory=list)


class Paper(Model, table="papers"):
    id: Attr[str] = partition_key()
    doc: Attr[Any] = attr(default_factory=lambda: {"text": "x", "list": [1], "tags": {"a"}, "n": 1, "map": {}})


MODELS = (Basket, Votes, Numbered, Paper)


def test_an_increment_lets_nested_objects_keep_what_they_do_not_know(db, key):
    store(db, Basket, {"id": {"S": key}, "lines": {"L": [{"M": {"sku": {"S": "a"}, "tax": {"N": "7"}}}]}})
    basket = db.require(Basket, key)
    assert db.increment(basket, Basket.count) == 1
    basket.lines.append(Line("b"))
    db.save(basket)
    first, _ = stored(db, Basket, key)["lines"]["L"]
    assert first["M"]["tax"] == {"N": "7"}
    assert stored(db, Basket, key)["count"] == {"N": "1"}


SPELLED = [f"{number:+d}" for number in range(12)]
"""Twelve texts of whole numbers that are spelled otherwise than ours; DynamoDB gives the entries of a map in any order."""


@pytest.mark.parametrize("text", SPELLED)
def test_an_entry_whose_key_another_program_spelled_otherwise_is_replaced(db, key, text):
    store(db, Numbered, {"id": {"S": key}, "names": {"M": {text: {"S": "old"}, "77": {"S": "other"}}}})
    item = db.require(Numbered, key)
    assert item.names == {int(text): "old", 77: "other"}
    item.names[int(text)] = "new"
    db.save(item)
    assert stored(db, Numbered, key)["names"] == {"M": {str(int(text)): {"S": "new"}, "77": {"S": "other"}}}
    assert db.require(Numbered, key) == item


@pytest.mark.parametrize("turned", [False, True], ids=["theirs first", "ours first"])
@pytest.mark.parametrize("text", SPELLED)
def test_of_two_spellings_of_a_key_ours_is_read(db, key, text, turned):
    names = {text: {"S": "theirs"}, str(int(text)): {"S": "ours"}}
    if turned:  # which matters to an engine that keeps the order
        names = dict(reversed(names.items()))
    deep = [{"M": {name: {"L": [one]} for name, one in names.items()}}]
    store(db, Numbered, {"id": {"S": key}, "names": {"M": names}, "deep": {"L": deep}})
    item = db.require(Numbered, key)
    assert item.names == {int(text): "ours"}
    assert item.deep == [{int(text): ["ours"]}]
    del item.names[int(text)]
    db.save(item)
    assert stored(db, Numbered, key)["names"] == {"M": {}}


def test_an_entry_that_was_set_by_key_is_read_beside_another_spelling(db, key):
    for _ in range(8):
        user = uuid4()
        store(db, Votes, {"id": {"S": key}, "by_user": {"M": {str(user).upper(): {"N": "1"}}}})
        assert db.update(Votes, key, Votes.by_user[str(user)].set(2)).by_user == {user: 2}
        votes = db.require(Votes, key)
        votes.by_user[user] = 3
        db.save(votes)
        assert db.require(Votes, key).by_user == {user: 3}
        assert stored(db, Votes, key)["by_user"] == {"M": {str(user): {"N": "3"}}}


WRONG = {
    "add": Paper.doc["text"].add(1),
    "append": Paper.doc["text"].append("y"),
    "prepend": Paper.doc["map"].prepend("y"),
    "append_or_create": Paper.doc["n"].append_or_create("y"),
    "add to a set": Paper.doc["list"].add({"y"}),
    "add to another set": Paper.doc["tags"].add({1}),
    "delete": Paper.doc["text"].delete({"y"}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_change_that_does_not_fit_the_default_of_a_document_is_refused(db, key, wrong):
    store(db, Paper, {"id": {"S": key}})
    with pytest.raises(ValidationError, match=r"Paper\.doc") as caught:
        db.update(Paper, key, WRONG[wrong])
    assert caught.value.outcome is Outcome.NOT_APPLIED
    with pytest.raises(ValidationError, match=r"Paper\.doc"), db.transaction() as tx:
        tx.update(Paper, key, WRONG[wrong])
    assert stored(db, Paper, key) == {"id": {"S": key}}
