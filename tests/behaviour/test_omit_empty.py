"""omit_empty: empty values are left out, alike in create, put, save and update, and nothing else is touched."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dynamorm import Attr, Model, attr, gsi, partition_key

from .kit import store, stored

pytestmark = pytest.mark.engine


class Inner(Model):
    a: Attr[str] = attr(default="", omit_empty=True)


class Lean(Model, table="lean", omit_empty=True):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    number: Attr[int] = attr(default=0)
    rate: Attr[Decimal] = attr(default=Decimal(0))
    done: Attr[bool] = attr(default=False)
    tags: Attr[list[str]] = attr(default_factory=list)
    data: Attr[dict[str, Any]] = attr(default_factory=dict)
    flags: Attr[set[str]] = attr(default_factory=set)
    inner: Attr[Inner | None] = attr(default=None)
    at: Attr[datetime | None] = attr(default=None)
    kept: Attr[str] = attr(default="", omit_empty=False)


class Sparse(Model, table="sparse"):
    id: Attr[str] = partition_key()
    group: Attr[str | None] = attr(default=None)
    text: Attr[str] = attr(default="")
    flags: Attr[set[str]] = attr(default_factory=set)
    by_group = gsi("by-group", partition="group")


MODELS = [Lean, Sparse]
FULL = {
    "text": "x", "number": 1, "rate": Decimal("0.5"), "done": True, "tags": ["a"], "data": {"k": 1}, "flags": {"f"},
    "inner": Inner(a="x"), "at": datetime(2024, 1, 1, tzinfo=UTC), "kept": "k",
}  # fmt: skip
EMPTY = {
    "text": "", "number": 0, "rate": Decimal(0), "done": False, "tags": [], "data": {}, "flags": set(),
    "inner": Inner(), "at": datetime(1, 1, 1, tzinfo=UTC), "kept": "",
}  # fmt: skip


def names(db, key):
    return set(stored(db, Lean, key)) - {"_wt"}


@pytest.mark.parametrize("verb", ["create", "put", "save"])
def test_empty_values_are_left_out(db, key, verb):
    getattr(db, verb)(Lean(id=key, **EMPTY))
    assert names(db, key) == {"id", "kept"}
    assert db.get(Lean, key, consistent=True) == Lean(id=key)


def test_values_that_are_not_empty_are_stored(db, key):
    lean = db.create(Lean(id=key, **FULL))
    assert names(db, key) == {"id", *FULL}
    assert db.get(Lean, key, consistent=True) == lean


def test_save_removes_what_became_empty(db, key):
    lean = db.create(Lean(id=key, **FULL))
    for name, value in EMPTY.items():
        setattr(lean, name, value)
    db.save(lean)
    assert names(db, key) == {"id", "kept"}


def test_save_never_touches_what_was_not_changed(db, key, wire):
    lean = db.create(Lean(id=key, **FULL))
    lean.text = "changed"
    db.save(lean)
    assert set(wire.last["ExpressionAttributeNames"].values()) == {"text", "id"}
    assert names(db, key) == {"id", *FULL}


def test_update_of_one_field_does_not_clobber_the_others(db, key):
    db.create(Lean(id=key, **FULL))
    mine = Lean(id=key)  # all its other fields are empty
    db.update(mine, Lean.text.set("new"))
    assert mine == Lean(id=key, **{**FULL, "text": "new"})
    assert names(db, key) == {"id", *FULL}


def test_update_with_an_empty_value_removes_that_attribute_only(db, key):
    db.create(Lean(id=key, **FULL))
    db.update(Lean, key, Lean.text.set(""), Lean.number.set(0), Lean.tags.set([]), Lean.flags.set(set()))
    assert names(db, key) == {"id", *FULL} - {"text", "number", "tags", "flags"}


def test_what_was_stored_empty_by_another_program_stays(db, key):
    store(db, Lean, {"id": {"S": key}, "text": {"S": ""}, "number": {"N": "0"}, "data": {"M": {}}})
    lean = db.get(Lean, key, consistent=True)
    lean.kept = "x"
    db.save(lean)
    assert names(db, key) == {"id", "text", "number", "data", "kept"}


def test_a_condition_on_an_empty_value_means_what_is_stored(db, key):
    db.create(Lean(id=key))
    fresh = db.update(Lean, key, Lean.text.set("x"), condition=(Lean.text == "") & (Lean.number == 0))
    assert fresh.text == "x"
    db.update(Lean, key, Lean.kept.set("y"), condition=(Lean.text != "") & (Lean.tags == []))


def test_empty_sets_are_stored_as_null_without_omit_empty(db, key):
    sparse = db.create(Sparse(id=key, flags=set()))
    assert stored(db, Sparse, key)["flags"] == {"NULL": True}
    assert stored(db, Sparse, key)["text"] == {"S": ""}
    assert db.get(Sparse, key, consistent=True) == sparse
    sparse.flags = {"a"}
    db.save(sparse)
    sparse.flags = set()
    db.save(sparse)
    assert stored(db, Sparse, key)["flags"] == {"NULL": True}


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_key_of_an_index_is_left_out(db, key, empty):
    sparse = db.create(Sparse(id=key, group=empty))
    assert "group" not in stored(db, Sparse, key)
    db.update(sparse, Sparse.group.set(key))
    assert db.model(Sparse).where(Sparse.group == key).all() == [sparse]
    db.update(sparse, Sparse.group.set(empty))
    assert "group" not in stored(db, Sparse, key)
    assert db.model(Sparse).where(Sparse.group == key).all() == []
    sparse.group = key
    db.save(sparse)
    sparse.group = empty
    db.save(sparse)
    assert "group" not in stored(db, Sparse, key)
