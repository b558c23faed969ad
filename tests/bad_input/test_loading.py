"""What cannot be refreshed, patched, saved side by side or populated: one clear error, and nothing is sent."""

import pytest

from dynamorm import Attr, Model, ValidationError, attr, partition_key, sort_key, version
from dynamorm.errors import DynamORMError, InvalidUse

from .conftest import SECRET


class Inner(Model):
    city: Attr[str]


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    size: Attr[int] = attr(default=0, ge=0)
    text: Attr[str] = attr(default="")
    inner: Attr[Inner | None] = attr(default=None)
    other: Attr[str | None] = attr(default=None)
    fixed: Attr[str] = attr(default="", protected=True)
    version: Attr[int] = version()


class Two(Model, table="twos"):
    order: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), ("patch of Thing", "mapping", "NoneType")),
        (("k",), ("patch of Thing", "mapping", "not str")),
        (("k", [("text", SECRET)]), ("mapping", "not list")),
        (("k", {}), ("patch of Thing", "no change", "leave the call out")),
        (("k", {"inner": {}}), ("patch of Thing", "no change")),
        (("k", {"txt": SECRET}), ("'txt'", "no field of Thing", "did you mean 'text'")),
        (("k", {"inner": {"cty": SECRET}}), ("'cty'", "no field of Thing.inner", "did you mean 'city'")),
        (("k", {5: SECRET}), ("names fields by text", "not by int")),
        (("k", {"size": SECRET}), ("Thing.size", "int")),
        (("k", {"text": None}), ("Thing.text", "None")),
        (("k", {"id": SECRET}), ("id:", "part of the key")),
        (("k", {"version": 5}), ("version:", "leave it out")),
        (("k", {"fixed": SECRET}), ("fixed:", "allow")),
        (("k", "l", {"text": SECRET}), ("Thing", "got 2")),
    ],
)
def test_changes_that_cannot_be_are_refused(db, refused, args, words):
    refused(ValidationError, lambda: db.patch(Thing, *args), *words)


def test_a_transaction_refuses_changes_that_cannot_be(db, refused):
    def changed():
        with db.transaction() as tx:
            tx.patch(Thing, "k", {"txt": SECRET})

    refused(ValidationError, changed, "'txt'", "did you mean 'text'")


def test_refresh_takes_an_object(db, refused):
    refused(InvalidUse, lambda: db.refresh(Thing), "refresh", "Thing", "db.get")
    refused(InvalidUse, lambda: db.refresh(SECRET), "str is not a model")


@pytest.mark.parametrize(
    ("objs", "words"),
    [
        (SECRET, ("save_all", "not str", "[obj]")),
        (Thing(id="a"), ("save_all", "not Thing", "[obj]")),
        (Thing, ("save_all", "[obj]")),
        ([Thing(id="a"), SECRET], ("objs[1]", "str")),
        ([Thing(id="a"), None], ("objs[1]",)),
        ([Thing(id="a"), Thing(id="b"), Thing(id="a")], ("objs[2]", "objs[0]", "once")),
    ],
)
def test_objects_that_cannot_be_saved_side_by_side_are_refused(db, refused, objs, words):
    refused(DynamORMError, lambda: db.save_all(objs), *words)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "4", None])
def test_concurrency_is_a_positive_whole_number(db, refused, concurrency):
    refused(ValidationError, lambda: db.save_all([Thing(id="a")], concurrency=concurrency), "concurrency")
    refused(
        ValidationError,
        lambda: db.populate([Thing(id="a", other="b")], Thing.other, Thing, concurrency=concurrency),
        "concurrency",
    )


@pytest.mark.parametrize(
    ("objs", "field", "model", "words"),
    [
        (SECRET, Thing.other, Thing, ("populate", "not str", "[obj]")),
        (None, Thing.other, Thing, ("populate", "NoneType")),
        ([Thing(id="a")], "other", Thing, ("populate", "Order.customer_id", "Thing")),
        ([Thing(id="a")], Thing.inner[Inner.city], Thing, ("populate", "Order.customer_id")),
        ([Thing(id="a", other="x")], Thing.other, Two, ("key of Two", "order, number", "1 fields")),
        ([Thing(id="a", other="x")], (Thing.other, Thing.text), Two, ("objs[0]", "Two.number", "int")),
        ([Thing(id="a", other="x")], {"order": Thing.other}, Two, ("objs[0]", "order, number")),
        ([Thing(id="a", other="")], Thing.other, Thing, ("objs[0]", "Thing.id", "not empty")),
        ([Thing(id="a"), 5], Thing.other, Thing, ("objs[1]", "int", "'other'")),
        ([Thing(id="a")], Thing.size, Thing, ("objs[0]", "Thing.id", "str")),
    ],
)
def test_references_that_cannot_be_are_refused(db, refused, objs, field, model, words):
    refused(ValidationError, lambda: db.populate(objs, field, model), *words)


@pytest.mark.parametrize("concurrency", [0, -1, 1.5, True, "4", None])
def test_a_loader_has_a_positive_whole_number_of_requests(db, refused, concurrency):
    refused(ValidationError, lambda: db.loader(concurrency=concurrency), "concurrency")


@pytest.mark.parametrize(
    ("model", "key", "words"),
    [(Thing, (5,), ("Thing.id", "str")), (Two, (SECRET,), ("Two", "got 1")), (SECRET, ("k",), ("str is not a model",))],
)
def test_a_get_of_a_loader_that_cannot_be_is_refused(db, refused, model, key, words):
    def asked():
        found = db.loader().get(model, *key)
        return found if db.kind == "blocking" else db._loop.run(found)

    refused(DynamORMError, asked, *words)
