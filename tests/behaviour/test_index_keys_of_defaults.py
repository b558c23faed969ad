"""The key of an index is made of what is shown: of the default of a part that is not stored, too."""

from typing import Any

import pytest

from dynamorm import Attr, ConditionFailed, Model, TransactionCancelled, attr, composite, gsi, partition_key, version

from .kit import store, stored

pytestmark = pytest.mark.engine


class Task(Model, table="tasks"):
    id: Attr[str] = partition_key()
    state: Attr[str] = attr(default="open")
    weight: Attr[int] = attr(default=1)
    note: Attr[str | None] = attr(default=None)
    by_state: Attr[str] = attr(composite("state", "weight"))
    index = gsi("by-state", partition="by_state", sort="id")


class Versioned(Model, table="versioned-tasks"):
    id: Attr[str] = partition_key()
    state: Attr[str] = attr(default="open")
    weight: Attr[int] = attr(default=1)
    note: Attr[str | None] = attr(default=None)
    by_state: Attr[str] = attr(composite("state", "weight"))
    version: Attr[int] = version()
    index = gsi("by-state", partition="by_state", sort="id")


class Sparse(Model, table="sparse-tasks"):
    id: Attr[str] = partition_key()
    state: Attr[str] = attr(default="", omit_empty=True)
    owner: Attr[str | None] = attr(default=None)
    weight: Attr[int] = attr(default=1)
    by_state: Attr[str] = attr(composite("state", "weight"))
    by_owner: Attr[str] = attr(composite("owner", "weight"))
    first = gsi("by-state", partition="by_state", sort="id")
    second = gsi("by-owner", partition="by_owner", sort="id")


MODELS = (Task, Versioned, Sparse)


def save(db, obj, **values):
    for name, value in values.items():
        setattr(obj, name, value)
    db.save(obj)


def saved_in_transaction(db, obj, **values):
    for name, value in values.items():
        setattr(obj, name, value)
    with db.transaction() as tx:
        tx.save(obj)


def updates(obj, values):
    return [getattr(type(obj), name).set(value) for name, value in values.items()]


def update(db, obj, **values):
    db.update(obj, *updates(obj, values))


def updated_in_transaction(db, obj, **values):
    with db.transaction() as tx:
        tx.update(obj, *updates(obj, values))


@pytest.fixture(params=[save, saved_in_transaction, update, updated_in_transaction])
def write(request, db):
    return lambda obj, **values: request.param(db, obj, **values)


@pytest.fixture(params=[Task, Versioned])
def model(request):
    return request.param


@pytest.mark.parametrize("key_is_stored", [True, False])
def test_a_part_that_is_not_stored_counts_as_its_default(db, key, model, write, key_is_stored):
    item: dict[str, Any] = {"id": {"S": key}, "state": {"S": "open"}}
    store(db, model, item | ({"by_state": {"S": "open#1"}} if key_is_stored else {}))
    write(db.require(model, key, consistent=True), state=key)
    assert stored(db, model, key)["by_state"] == {"S": f"{key}#1"}
    assert [one.id for one in db.model(model).where(model.state == key, model.weight == 1)] == [key]


def test_a_part_that_is_removed_counts_as_its_default(db, key, model):
    task = db.create(model(id=key, state="closed", weight=7))
    db.update(task, model.state.remove())
    assert (task.state, stored(db, model, key)["by_state"]) == ("open", {"S": "open#7"})


def test_what_was_stored_meanwhile_is_a_conflict(db, key):
    store(db, Task, {"id": {"S": key}, "by_state": {"S": "open#1"}})
    task = db.require(Task, key, consistent=True)
    db.update(Task, key, Task.state.set("open"), Task.weight.set(5))
    with pytest.raises(ConditionFailed):
        db.update(task, Task.state.set("closed"))
    assert stored(db, Task, key)["by_state"] == {"S": "open#5"}


def test_an_item_leaves_the_index_where_a_new_one_would_not_be_in_it(db, key):
    item = db.create(Sparse(id=key, state="open", owner="ann"))
    db.update(item, Sparse.state.set(""), Sparse.owner.set(None))
    found = stored(db, Sparse, key)
    assert "by_state" not in found
    assert "by_owner" not in found
    again = db.create(Sparse(id=f"{key}-2", state="open", owner="ann"))
    db.update(again, Sparse.state.remove(), Sparse.owner.remove())
    assert not {"by_state", "by_owner"} & stored(db, Sparse, f"{key}-2").keys()


@pytest.mark.parametrize("by", ["upsert", "transaction"])
def test_an_upsert_of_an_object_makes_no_key_that_its_item_is_not_under(db, key, by):
    def upsert(obj):
        if by == "upsert":
            db.upsert(obj, Task.note.set("n"))
        else:
            with db.transaction() as tx:
                tx.update(obj, Task.note.set("n"), upsert=True)

    before = {"id": {"S": key}, "state": {"S": "open"}, "by_state": {"S": "open#1"}}
    store(db, Task, before)
    with pytest.raises((ConditionFailed, TransactionCancelled), match="weight"):
        upsert(Task(id=key, weight=2))
    assert stored(db, Task, key) == before
    upsert(Task(id=key, weight=1))
    assert stored(db, Task, key) == before | {"weight": {"N": "1"}, "note": {"S": "n"}}
    upsert(Task(id=f"{key}-2", weight=2))
    assert stored(db, Task, f"{key}-2")["by_state"] == {"S": "open#2"}
