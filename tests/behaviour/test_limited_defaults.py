"""Bounds of what an update makes of a default that is not stored, or of NULL: they hold there too."""

from typing import Any

import pytest

from dynamorm import Attr, ConditionFailed, Model, Outcome, TransactionCancelled, attr, partition_key, version
from dynamorm.errors import OutOfBounds

from .kit import change, store, stored

pytestmark = [pytest.mark.engine, pytest.mark.wide]


class Inner(Model):
    n: Attr[int] = attr(default=1, le=10)
    names: Attr[list[str]] = attr(default_factory=lambda: ["a", "b"], max_length=3)


def full() -> Inner:
    return Inner(n=9, names=["a", "b", "c"])


class Bounded(Model, table="bounded"):
    id: Attr[str] = partition_key()
    entries: Attr[dict[str, int]] = attr(default_factory=lambda: {"a": 1, "b": 2}, min_length=2, max_length=2)
    marks: Attr[set[str]] = attr(default_factory=lambda: {"a", "b"}, min_length=1, max_length=2)
    names: Attr[list[str]] = attr(default_factory=lambda: ["a", "b"], min_length=1, max_length=2)
    inner: Attr[Inner] = attr(default_factory=full)


class Versioned(Bounded, table="bounded-versioned"):
    version: Attr[int] = version()


MODELS = (Bounded, Versioned)


def by_key(db, model, key, *updates):
    db.update(model, key, *updates)


def by_upsert(db, model, key, *updates):
    db.upsert(model, key, *updates)


def by_object(db, model, key, *updates):
    db.update(db.require(model, key, consistent=True), *updates)


def told(act):
    """The error of a transaction's one operation."""
    try:
        act()
    except TransactionCancelled as error:
        raise agreeing(error) from None


def agreeing(error):
    """The error of the one operation, with which what the transaction says agrees."""
    reason = error.reasons[0].error
    assert reason.codes <= error.codes
    assert reason.message in error.message == str(error.args[0])
    return reason


def in_transaction(db, model, key, *updates):
    def act():
        with db.transaction() as tx:
            tx.update(model, key, *updates)

    told(act)


def of_object_in_transaction(db, model, key, *updates):
    def act():
        with db.transaction() as tx:
            tx.update(db.require(model, key, consistent=True), *updates)

    told(act)


@pytest.fixture(params=[by_key, by_upsert, by_object, in_transaction, of_object_in_transaction])
def update(request, db):
    return lambda *args: request.param(db, *args)


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


PAST: dict[str, Any] = {
    "entry": (lambda M: [M.entries["c"].set(3)], "max_length", "entries"),
    "entry added to": (lambda M: [M.entries["c"].add(3)], "max_length", "entries"),
    "remove an entry": (lambda M: [M.entries["a"].remove()], "min_length", "entries"),
    "add to a set": (lambda M: [M.marks.add({"c"})], "max_length", "marks"),
    "delete from a set": (lambda M: [M.marks.delete({"a", "b"})], "min_length", "marks"),
    "behind the end": (lambda M: [M.names[7].set("c")], "max_length", "names"),
    "remove elements": (lambda M: [M.names[0].remove(), M.names[1].remove()], "min_length", "names"),
    "append": (lambda M: [M.names.append("c")], "max_length", "names"),
    "inside": (lambda M: [M.inner[Inner.n].add(2)], "le", "inner.n"),
    "append inside": (lambda M: [M.inner[Inner.names].append("d")], "max_length", "inner.names"),
}


@pytest.mark.parametrize("case", PAST)
def test_a_change_of_a_default_that_leads_past_a_bound_is_refused(db, key, model, update, case):
    make, bound, field = PAST[case]
    store(db, model, {"id": {"S": key}})
    with pytest.raises(OutOfBounds) as caught:
        update(model, key, *make(model))
    error = caught.value
    assert isinstance(error, ConditionFailed)
    assert (error.bound, error.field, error.outcome) == (bound, field, Outcome.NOT_APPLIED)
    assert f"{model.__name__}.{field} must" in str(error)
    assert error.item.id == key
    assert stored(db, model, key) == {"id": {"S": key}}


UP_TO: dict[str, Any] = {
    "entry that is there": (lambda M: [M.entries["a"].set(3)], {"entries": {"a": 3, "b": 2}}),
    "one for another": (lambda M: [M.entries["a"].remove(), M.entries["c"].set(3)], {"entries": {"b": 2, "c": 3}}),
    "add what is there": (lambda M: [M.marks.add({"a"})], {"marks": {"a", "b"}}),
    "delete some": (lambda M: [M.marks.delete({"a"})], {"marks": {"b"}}),
    "element": (lambda M: [M.names[1].set("c")], {"names": ["a", "c"]}),
    "inside": (lambda M: [M.inner[Inner.n].add(1)], {"inner": Inner(n=10, names=["a", "b", "c"])}),
}


@pytest.mark.parametrize("case", UP_TO)
def test_a_change_of_a_default_up_to_a_bound_is_made(db, key, model, update, case):
    make, after = UP_TO[case]
    store(db, model, {"id": {"S": key}})
    update(model, key, *make(model))
    found = db.require(model, key, consistent=True)
    assert {name: getattr(found, name) for name in after} == after


def test_null_counts_as_nothing_and_not_as_the_default(db, key, model, update):
    store(db, model, {"id": {"S": key}, "names": {"NULL": True}, "entries": {"NULL": True}})
    update(model, key, model.names.append("c"), model.entries["x"].set(1), model.entries["y"].set(1))
    found = db.require(model, key, consistent=True)
    assert (found.names, found.entries) == (["c"], {"x": 1, "y": 1})


def test_what_is_stored_decides_and_not_what_was_loaded(db, key):
    store(db, Bounded, {"id": {"S": key}})
    loaded = db.require(Bounded, key, consistent=True)
    change(db, Bounded, (key,), "SET entries = :e", e={"M": {"z": {"N": "1"}}})
    db.update(loaded, Bounded.entries["c"].set(3))
    assert loaded.entries == {"z": 1, "c": 3}
