"""Nested objects in a dict whose keys another program spells otherwise keep what their class does not know."""

import dataclasses
from uuid import UUID

import msgspec
import pydantic
import pytest

from dynamorm import Attr, Model, attr, partition_key, version

from .kit import store, stored

pytestmark = pytest.mark.engine

A, B = UUID("aaaaaaaa-0000-4000-8000-00000000000a"), UUID("bbbbbbbb-0000-4000-8000-00000000000b")


class Line(Model):
    n: Attr[int]
    note: Attr[str] = attr(default="")


@dataclasses.dataclass
class Plain:
    n: int
    note: str = ""


class Pyd(pydantic.BaseModel):
    n: int
    note: str = ""


class Open(pydantic.BaseModel, extra="allow"):
    n: int
    note: str = ""


class Struct(msgspec.Struct):
    n: int
    note: str = ""


class Book(Model, table="books"):
    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    model: Attr[dict[UUID, Line]] = attr(default_factory=dict)
    plain: Attr[dict[UUID, Plain]] = attr(default_factory=dict)
    pyd: Attr[dict[UUID, Pyd]] = attr(default_factory=dict)
    open: Attr[dict[UUID, Open]] = attr(default_factory=dict)
    struct: Attr[dict[UUID, Struct]] = attr(default_factory=dict)


class Versioned(Book, table="versioned-books"):
    version: Attr[int] = version()


MODELS = (Book, Versioned)
KINDS = {"model": Line, "plain": Plain, "pyd": Pyd, "open": Open, "struct": Struct}


def entry(n, **more):
    return {"M": {"n": {"N": str(n)}, "note": {"S": "x"}, "tax": {"N": "7"}, **more}}


def spelled(key):
    return str(key).upper()


@pytest.fixture(params=MODELS)
def model(request):
    return request.param


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_of_one_entry_is_changed_and_everything_else_stays(db, key, model, kind):
    store(
        db, model, {"id": {"S": key}, "version": {"N": "1"}, kind: {"M": {spelled(A): entry(1), spelled(B): entry(2)}}}
    )
    obj = db.require(model, key, consistent=True)
    getattr(obj, kind)[A].n = 5
    db.save(obj)
    assert {UUID(name): one for name, one in stored(db, model, key)[kind]["M"].items()} == {A: entry(5), B: entry(2)}
    getattr(obj, kind)[B].n = 6
    db.save(obj)
    assert {UUID(name): one for name, one in stored(db, model, key)[kind]["M"].items()} == {A: entry(5), B: entry(6)}
    found = getattr(db.require(model, key, consistent=True), kind)
    assert (found[A].n, found[B].n, len(found)) == (5, 6, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_that_is_added_leaves_the_others_whole(db, key, model, kind):
    store(db, model, {"id": {"S": key}, "version": {"N": "1"}, kind: {"M": {spelled(A): entry(1)}}})
    obj = db.require(model, key, consistent=True)
    getattr(obj, kind)[B] = KINDS[kind](n=2)
    db.save(obj)
    names = stored(db, model, key)[kind]["M"]
    assert {UUID(name): one["M"].get("tax") for name, one in names.items()} == {A: {"N": "7"}, B: None}


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_that_is_removed_leaves_the_others_whole(db, key, model, kind):
    store(
        db, model, {"id": {"S": key}, "version": {"N": "1"}, kind: {"M": {spelled(A): entry(1), spelled(B): entry(2)}}}
    )
    obj = db.require(model, key, consistent=True)
    del getattr(obj, kind)[A]
    db.save(obj)
    assert {UUID(name): one for name, one in stored(db, model, key)[kind]["M"].items()} == {B: entry(2)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", ["put", "save", "increment", "upsert"])
def test_another_change_leaves_the_entries_as_they_are(db, key, model, kind, verb):
    item = {"M": {spelled(A): entry(1), spelled(B): entry(2)}}
    store(db, model, {"id": {"S": key}, "version": {"N": "1"}, kind: item})
    obj = db.require(model, key, consistent=True)
    if verb == "increment":
        db.increment(obj, model.count)
        obj.count = 3
        db.save(obj)
    elif verb == "upsert":
        db.upsert(obj, model.count.set(3))
    else:
        obj.count = 3
        getattr(db, verb)(obj)
    found = {UUID(name): one for name, one in stored(db, model, key)[kind]["M"].items()}
    assert found == {A: entry(1), B: entry(2)}


@pytest.mark.parametrize("kind", KINDS)
def test_two_spellings_of_one_key_are_one_entry(db, key, model, kind):
    item = {"M": {spelled(A): entry(1), str(A): entry(2)}}
    store(db, model, {"id": {"S": key}, "version": {"N": "1"}, kind: item})
    obj = db.require(model, key, consistent=True)
    assert getattr(obj, kind)[A].n == 2
    getattr(obj, kind)[A].n = 5
    db.save(obj)
    found = db.require(model, key, consistent=True)
    assert getattr(found, kind)[A].n == 5
    assert stored(db, model, key)[kind]["M"][str(A)] == entry(5)
