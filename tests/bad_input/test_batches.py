"""Batches that cannot be: one clear error that names the place, and nothing is sent."""

import pytest

from dynamorm import Attr, Model, ValidationError, attr, partition_key, sort_key
from dynamorm.errors import DynamORMError, ItemTooLarge

from .conftest import SECRET


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    size: Attr[int] = attr(default=0, ge=0)
    text: Attr[str] = attr(default="")


class Two(Model, table="twos"):
    order: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


def things(count):
    return [Thing(id=f"t{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("model", "keys", "words"),
    [
        (Thing, SECRET, ("keys", "Thing", "not a str", "[key]")),
        (Thing, {"id": SECRET}, ("Thing", "not a dict")),
        (Thing, 5, ("Thing", "not a int")),
        (Thing, None, ("Thing", "NoneType")),
        (Thing, ["a", 5], ("keys[1]", "Thing.id", "str")),
        (Thing, ["a", "b", ""], ("keys[2]", "Thing.id", "not empty")),
        (Thing, [(SECRET, SECRET)], ("keys[0]", "got 2")),
        (Two, [("a", 1), SECRET], ("keys[1]", "Two", "got 1")),
        (Two, [{"order": SECRET}], ("keys[0]", "order, number")),
        (Two, [{"order": SECRET, "numbr": 1}], ("keys[0]", "numbr")),
        (Two, [("a", "1")], ("keys[0]", "Two.number", "int")),
        (Thing, ["a", None], ("keys[1]", "Thing.id")),
    ],
)
def test_keys_that_cannot_be_are_refused(db, refused, model, keys, words):
    refused(ValidationError, lambda: db.batch_get(model, keys), *words)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "4", None])
def test_concurrency_is_a_positive_whole_number(db, refused, concurrency):
    refused(ValidationError, lambda: db.batch_get(Thing, ["a"], concurrency=concurrency), "concurrency")
    refused(ValidationError, lambda: db.batch_write(things(1), concurrency=concurrency), "concurrency")


@pytest.mark.parametrize(
    ("puts", "words"),
    [
        (Thing(id=SECRET), ("puts", "not a Thing", "[obj]")),
        (SECRET, ("puts", "not a str")),
        ({"id": SECRET}, ("puts", "not a dict")),
        (None, ("puts", "NoneType")),
        ([*things(3), SECRET], ("puts[3]", "str", "Model")),
        ([{"id": SECRET}], ("puts[0]", "dict", "Model")),
        ([*things(2), Thing], ("puts[2]", "Thing(")),
        ([*things(30), Thing(id=SECRET, size=-1)], ("puts[30]", "Thing.size")),
        ([Thing(id=SECRET, size="5")], ("puts[0]", "Thing.size", "int")),
        ([Thing(id="")], ("puts[0]", "Thing.id", "not empty")),
        ([(Thing, SECRET)], ("puts[0]", "tuple")),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_sent(db, refused, puts, words):
    refused(ValidationError, lambda: db.batch_write(puts), *words)


def test_an_item_over_400_kilobytes_keeps_its_own_error(db, refused):
    error = refused(
        ItemTooLarge, lambda: db.batch_write([*things(5), Thing(id="x", text="x" * 410_000)]), "puts[5]", "409600"
    )
    assert error.size > error.limit == 409_600


@pytest.mark.parametrize(
    ("deletes", "words"),
    [
        (Thing(id=SECRET), ("deletes", "not a Thing", "[obj]")),
        ([SECRET], ("deletes[0]", "str")),
        ([(Thing,)], ("deletes[0]", "model and its key")),
        ([()], ("deletes[0]", "model and its key")),
        ([(Thing, SECRET, SECRET)], ("deletes[0]", "got 2")),
        ([(Thing, "a"), (Thing, 5)], ("deletes[1]", "Thing.id")),
        ([(SECRET, "a")], ("deletes[0]", "str")),
        ([(Two, {"order": SECRET})], ("deletes[0]", "order, number")),
        ([Thing(id="")], ("deletes[0]", "Thing.id")),
    ],
)
def test_what_cannot_be_deleted_is_refused_before_anything_is_sent(db, refused, deletes, words):
    refused(ValidationError, lambda: db.batch_write(things(3), deletes), *words)


def test_a_key_in_both_lists_is_refused(db, refused):
    refused(ValidationError, lambda: db.batch_write(things(3), [(Thing, "t9"), (Thing, "t1")]), "puts[1]", "deletes[1]")
    refused(ValidationError, lambda: db.batch_write(things(1), things(1)), "puts[0]", "deletes[0]")


def test_a_class_that_is_no_model_is_refused(db, refused):
    refused((DynamORMError, TypeError), lambda: db.batch_get(dict, ["a"]), "dict")
    refused((DynamORMError, TypeError), lambda: db.batch_get(Thing(id=SECRET), ["a"]), "Thing")
