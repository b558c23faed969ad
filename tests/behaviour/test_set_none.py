"""``.set(None)`` stores what `create` and `save` store for None, on every way of writing; what forbids None is refused."""

import dataclasses
from typing import Any

import pydantic
import pytest

from dynamorm import Attr, Json, Model, ValidationError, attr, gsi, partition_key
from dynamorm.adapters import fields, register

from .kit import store, stored

pytestmark = pytest.mark.engine


class Inner(Model):
    city: Attr[str]
    zip: Attr[str | None] = attr(default=None)
    floor: Attr[int | None] = attr(default=3)
    lift: Attr[bool] = attr(default=True)


@dataclasses.dataclass
class Plain:
    name: str = "n"
    size: int | None = 4


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    maybe: Attr[int | None] = attr(default=None, name="m")
    ten: Attr[int | None] = attr(default=10)
    made: Attr[list[str] | None] = attr(default_factory=lambda: ["a"])
    alias: Attr[str | None] = attr(default=None, also_read=("Alias",))
    any: Attr[Any] = attr(default=None)
    five: Attr[Any] = attr(default=5)
    text: Attr[Any] = attr(Json(), default=None)
    inner: Attr[Inner] = attr(default_factory=lambda: Inner(city="Riga"))
    plain: Attr[Plain] = attr(default_factory=Plain)
    inners: Attr[list[Inner | None]] = attr(default_factory=lambda: [Inner(city="Oslo")])
    counts: Attr[dict[str, int | None]] = attr(default_factory=lambda: {"a": 1})
    # None of these allows None, or has a way to store it.
    name: Attr[str] = attr(default="x")
    required: Attr[int]
    numbers: Attr[dict[str, int]] = attr(default_factory=lambda: {"a": 1})
    flags: Attr[set[str]] = attr(default_factory=set)
    some: Attr[set[str] | None] = attr(default_factory=lambda: {"a"})
    group: Attr[str] = attr(default="g")
    group_or: Attr[str | None] = attr(default="g")
    maybe_group: Attr[str | None] = attr(default=None)
    groups = gsi("groups", partition="group")
    groups_or = gsi("groups-or", partition="group_or")
    maybe_groups = gsi("maybe-groups", partition="maybe_group")


class Person(pydantic.BaseModel):
    id: str
    points: int | None = 5
    name: str = "x"


register(Person, table="people", partition="id")
P = fields(Person)

MODELS = [Thing, Person]
T = Thing

ALLOWED = {
    "default none": lambda: T.maybe,
    "another default": lambda: T.ten,
    "another factory": lambda: T.made,
    "other names": lambda: T.alias,
    "a document": lambda: T.any,
    "a document with a default": lambda: T.five,
    "json": lambda: T.text,
    "the key of an index": lambda: T.maybe_group,
    "nested": lambda: T.inner[Inner.zip],
    "nested, another default": lambda: T.inner[Inner.floor],
    "of a dataclass": lambda: T.plain["size"],
    "an element": lambda: T.inners[0],
    "an entry": lambda: T.counts["a"],
    "a new entry": lambda: T.counts["b"],
}
REFUSED = {
    "a text": (lambda: T.name, "remove()"),
    "a required number": (lambda: T.required, "allow None"),
    "a set": (lambda: T.flags, "remove()"),
    "a set with a default": (lambda: T.some, "NULL is the empty set"),
    "the key of an index": (lambda: T.group, "remove()"),
    "the key of an index with a default": (lambda: T.group_or, "index"),
    "nested": (lambda: T.inner[Inner.lift], "remove()"),
    "nested, required": (lambda: T.inner[Inner.city], "allow None"),
    "of a dataclass": (lambda: T.plain["name"], "remove()"),
    "an entry": (lambda: T.numbers["a"], "remove()"),
}


def thing(key):
    return Thing(
        id=key, required=1, maybe=1, ten=2, made=["b"], alias="b", any=1, five=6, text={"a": 1}, maybe_group="h",
        inner=Inner(city="C", zip="z", floor=1, lift=False), plain=Plain("p", 1),
    )  # fmt: skip


def written(db, key, way, path):
    """Set it to None, and the object as it is then read."""
    made = db.create(thing(key))
    if way == "update":
        db.update(Thing, key, path.set(None))
    elif way == "object":
        assert db.update(made, path.set(None)) == db.require(Thing, key, consistent=True)
    elif way == "upsert":
        db.upsert(Thing, key, path.set(None), Thing.required.set(1))
    else:
        with db.transaction() as tx:
            tx.update(Thing, key, path.set(None))
    return db.require(Thing, key, consistent=True)


def value_at(obj, path):
    """What an object holds at a place."""
    for part in path.parts:
        name = getattr(part, "name", part)
        obj = getattr(obj, name) if isinstance(name, str) and not isinstance(obj, dict) else obj[name]
    return obj


@pytest.mark.parametrize("way", ["update", "object", "upsert", "transaction"])
@pytest.mark.parametrize("case", ALLOWED)
def test_none_is_read_back_as_none(db, key, case, way):
    path = ALLOWED[case]()
    assert value_at(written(db, key, way, path), path) is None


@pytest.mark.parametrize("case", [name for name in ALLOWED if name not in {"an element", "an entry", "a new entry"}])
def test_it_is_stored_as_create_stores_it(db, key, case):
    path = ALLOWED[case]()
    written(db, key, "update", path)
    other = thing(key + "2")
    place = other
    for part in path.parts[:-1]:
        place = getattr(place, part.name)
    setattr(place, getattr(path.parts[-1], "name", path.parts[-1]), None)
    db.create(other)
    found, wanted = (stored(db, Thing, one) for one in (key, key + "2"))
    root = path.field.stored
    assert found.get(root) == wanted.get(root)


@pytest.mark.parametrize("way", ["update", "object", "upsert", "transaction"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_forbids_none_is_refused_with_the_remedy(db, key, wire, case, way):
    make, remedy = REFUSED[case]
    obj = db.create(thing(key))
    wire.clear()

    def refused():
        if way == "transaction":
            with db.transaction() as tx:
                tx.update(obj, make().set(None))
        elif way == "upsert":
            db.upsert(Thing, key, make().set(None))
        else:
            db.update(*((obj,) if way == "object" else (Thing, key)), make().set(None))

    with pytest.raises(ValidationError) as caught:
        refused()
    assert wire.names == []
    assert remedy in caught.value.message
    assert make().parts[-1].name in caught.value.message if hasattr(make().parts[-1], "name") else True
    assert db.require(Thing, key, consistent=True) == obj


def test_a_registered_class_has_the_same_rule(db, key):
    db.create(Person(id=key))
    db.update(Person, key, P.points.set(None))
    assert db.require(Person, key, consistent=True).points is None
    with pytest.raises(ValidationError, match=r"Person\.name cannot be None"):
        db.update(Person, key, P.name.set(None))


def test_none_is_not_read_from_another_name(db, key):
    store(db, Thing, {"id": {"S": key}, "required": {"N": "1"}, "Alias": {"S": "old"}})
    assert db.update(Thing, key, T.alias.set(None)).alias is None


def test_remove_takes_the_attribute_away(db, key):
    db.create(thing(key))
    assert db.update(Thing, key, T.name.remove(), T.ten.remove()).ten == 10
    assert not {"name", "ten"} & stored(db, Thing, key).keys()
