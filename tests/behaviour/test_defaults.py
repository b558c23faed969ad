"""Defaults: no two objects hold the same changeable one, however they were made or read."""

import dataclasses
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import pydantic
import pytest

from dynamorm import Attr, Model, attr, partition_key, version
from dynamorm.adapters import register
from dynamorm.errors import ModelError

from .kit import store

pytestmark = pytest.mark.engine


class Inner(Model):
    tags: Attr[list[str]] = attr(default_factory=list)


class Part(pydantic.BaseModel):
    tags: list[str] = []


@dataclasses.dataclass(eq=False)
class Loose:
    tags: list[str] = dataclasses.field(default_factory=list)


class Line(NamedTuple):
    sku: str = ""
    tags: list[str] = []


class Point(msgspec.Struct):
    x: int = 0
    tags: list[str] = []


@dataclasses.dataclass
class Leg:
    way: Loose = Loose()  # noqa: RUF009 - what is tested


class Person(pydantic.BaseModel):
    id: str
    items: list[str] = []
    known: dict[str, list[str]] = {"a": []}
    marks: set[str] = {"new"}
    part: Part = Part()
    version: int = 0


register(Person, table="persons", partition="id", version="version")


class Journey(Model, table="journeys"):
    id: Attr[str] = partition_key()
    line: Attr[Line] = attr(default_factory=Line)
    leg: Attr[Leg] = attr(default_factory=Leg)
    point: Attr[Point] = attr(default_factory=Point)
    inner: Attr[Inner] = attr(default_factory=Inner)
    version: Attr[int] = version()


MODELS = [Person, Journey]


def test_a_changed_default_of_a_read_object_is_saved_and_shown_nowhere_else(db, key):
    for name in ("ann", "bob"):
        store(db, Person, {"id": {"S": key + name}, "version": {"N": "0"}})
    ann, bob = (db.get(Person, key + name, consistent=True) for name in ("ann", "bob"))
    ann.items.append("x")
    ann.known["a"].append("x")
    ann.marks.add("x")
    ann.part.tags.append("x")
    db.save(ann)
    assert db.get(Person, key + "ann", consistent=True) == ann
    fresh = Person(id=key + "bob")
    assert bob == fresh == db.get(Person, key + "bob", consistent=True)
    assert fresh.items == []


@pytest.mark.parametrize("read", ["query", "scan", "batch", "snapshot"])
def test_objects_of_one_reply_share_no_default(db, key, read):
    keys = [key + str(number) for number in range(3)]
    for one in keys:
        store(db, Person, {"id": {"S": one}})
    found = {
        "query": lambda: [db.model(Person).where("id", "=", one).one() for one in keys],
        "scan": lambda: [one for one in db.model(Person).allow_scan().all() if one.id in keys],
        "batch": lambda: db.batch_get(Person, keys),
        "snapshot": lambda: db.transact_get([(Person, one) for one in keys]),
    }[read]()
    found[0].items.append("x")
    found[0].known["a"].append("x")
    assert [one.items for one in found[1:]] == [[], []]
    assert [one.known for one in found[1:]] == [{"a": []}, {"a": []}]


def test_classes_inside_an_object_share_no_default(db, key):
    empty: dict[str, Any] = {"M": {}}
    for name in ("a", "b"):
        store(db, Journey, {"id": {"S": key + name}, "line": empty, "leg": empty, "point": empty, "inner": empty})
    one, other = (db.get(Journey, key + name, consistent=True) for name in ("a", "b"))
    for value in (one.line, one.leg.way, one.point, one.inner):
        value.tags.append("x")
    assert [value.tags for value in (other.line, other.leg.way, other.point, other.inner)] == [[], [], [], []]
    db.save(one)
    fresh = db.get(Journey, key + "a", consistent=True)
    assert [value.tags for value in (fresh.line, fresh.leg.way, fresh.point, fresh.inner)] == [["x"]] * 4


@pytest.mark.parametrize("value", [Inner(), Part(), Point(), Loose(), ([],), {"a": 1}, Line(), bytearray(b"x")])
def test_a_changeable_default_is_refused_where_it_is_declared(value):
    with pytest.raises(ModelError, match=r"as default would be shared by all objects: use default_factory"):
        attr(default=value)


@pytest.mark.parametrize("value", [(), ("a", (1, None)), frozenset({"a"}), Decimal(1), 1j, b"x", int])
def test_an_unchanging_default_is_kept(value):
    assert attr(default=value).default is value


def test_a_default_of_an_unknown_class_is_copied_for_each_object():
    class Color:
        def __init__(self) -> None:
            self.parts = [1]

    given = Color()

    class Holder(Model):
        color: Attr[Any] = attr(default=given)

    one, other = Holder(), Holder()
    one.color.parts.append(2)
    assert (other.color.parts, given.parts, Holder().color.parts) == ([1], [1], [1])


def test_what_a_registered_classs_own_constructor_would_share_is_refused():
    with pytest.raises(ModelError, match=r"Leg\.way: a Loose as default would be shared"):
        register(Leg)
