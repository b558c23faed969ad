"""omit_empty: empty values are left out, alike in create, put, save and update, and nothing else is touched."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from dynamorm import Attr, Model, ValidationError, attr, gsi, partition_key

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
    at: Attr[datetime] = attr(default=datetime(1, 1, 1, tzinfo=UTC))
    kept: Attr[str] = attr(default="", omit_empty=False)


class Sparse(Model, table="sparse"):
    id: Attr[str] = partition_key()
    group: Attr[str | None] = attr(default=None)
    text: Attr[str] = attr(default="")
    flags: Attr[set[str]] = attr(default_factory=set)
    place: Attr[str] = attr(default="")
    by_group = gsi("by-group", partition="group")
    by_place = gsi("by-place", partition="place")


class Gated(Model, table="gated"):
    id: Attr[str] = partition_key()
    status: Attr[str] = attr(default="open")
    maybe: Attr[str | None] = attr(default="open")
    group: Attr[str | None] = attr(default=None)
    blob: Attr[bytes] = attr(default=b"x")
    by_status = gsi("by-status", partition="status", sort="maybe")
    by_blob = gsi("by-blob", partition="blob", sort="group")


class Limits(Model, table="limits", omit_empty=True):
    id: Attr[str] = partition_key()
    active: Attr[bool] = attr(default=True)
    daily: Attr[int] = attr(default=1000)
    name: Attr[str] = attr(default="nobody")
    note: Attr[str | None] = attr(default="none yet")
    tags: Attr[list[str]] = attr(default_factory=lambda: ["new"])
    blob: Attr[bytes] = attr(default=b"x")
    rate: Attr[Decimal] = attr(default=Decimal("0.5"))


MODELS = [Lean, Sparse, Gated, Limits]
FULL = {
    "text": "x", "number": 1, "rate": Decimal("0.5"), "done": True, "tags": ["a"], "data": {"k": 1}, "flags": {"f"},
    "inner": Inner(a="x"), "at": datetime(2024, 1, 1, tzinfo=UTC), "kept": "k",
}  # fmt: skip
EMPTY = {
    "text": "", "number": 0, "rate": Decimal(0), "done": False, "tags": [], "data": {}, "flags": set(),
    "inner": None, "at": datetime(1, 1, 1, tzinfo=UTC), "kept": "",
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


@pytest.mark.parametrize(("field", "empty"), [("group", None), ("place", "")])
def test_an_empty_key_of_an_index_is_left_out(db, key, field, empty):
    path = getattr(Sparse, field)
    sparse = db.create(Sparse(id=key, **{field: empty}))
    assert field not in stored(db, Sparse, key)
    db.update(sparse, path.set(key))
    assert db.model(Sparse).where(path == key).all() == [sparse]
    db.update(sparse, path.set(empty))
    assert field not in stored(db, Sparse, key)
    assert db.model(Sparse).where(path == key).all() == []
    setattr(sparse, field, key)
    db.save(sparse)
    setattr(sparse, field, empty)
    db.save(sparse)
    assert field not in stored(db, Sparse, key)


WRITES = {
    "create": lambda db, obj, _: db.create(obj),
    "put": lambda db, obj, _: db.put(obj),
    "save": lambda db, obj, _: db.save(obj),
    "update": lambda db, obj, path: db.update(obj, path.set(getattr(obj, path.name))),
    "upsert": lambda db, obj, path: db.update(type(obj), obj.id, path.set(getattr(obj, path.name)), upsert=True),
    "batch": lambda db, obj, _: db.batch_write(puts=[obj]),
}


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize(
    ("field", "value"), [("status", ""), ("maybe", ""), ("maybe", None), ("blob", b""), ("group", "")]
)
def test_an_empty_key_of_an_index_that_would_read_as_something_else_is_refused(db, wire, key, verb, field, value):
    gated = Gated(id=key, **{field: value})
    with pytest.raises(ValidationError, match=rf"Gated\.{field} must not be") as caught:
        WRITES[verb](db, gated, getattr(Gated, field))
    assert caught.value.field == field
    assert wire.calls == []


@pytest.mark.parametrize("verb", ["create", "put", "save", "batch"])
def test_an_empty_value_reads_back_as_it_was_written_whatever_the_default(db, key, verb):
    limits = Limits(id=key, active=False, daily=0, name="", note=None, tags=[], blob=b"", rate=Decimal(0))
    WRITES[verb](db, limits, None)
    assert db.get(Limits, key, consistent=True) == limits
    assert db.model(Limits).where(Limits.id == key).all() == [limits]


def test_an_empty_value_that_is_set_reads_back_whatever_the_default(db, key):
    db.create(Limits(id=key))
    db.update(Limits, key, Limits.active.set(False), Limits.daily.set(0), Limits.name.set(""), Limits.tags.set([]))
    found = db.get(Limits, key, consistent=True)
    assert (found.active, found.daily, found.name, found.tags) == (False, 0, "", [])
    found.active, found.daily = True, 1000
    db.save(found)
    found.active, found.daily = False, 0
    db.save(found)
    assert db.get(Limits, key, consistent=True) == found


def test_a_map_of_empty_values_is_stored(db, key):
    lean = db.create(Lean(id=key, data={"k": 0, "m": {}}, inner=Inner()))
    assert stored(db, Lean, key)["data"] == {"M": {"k": {"N": "0"}, "m": {"M": {}}}}
    assert db.get(Lean, key, consistent=True) == lean
