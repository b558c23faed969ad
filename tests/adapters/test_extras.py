"""Pydantic models with ``extra="allow"``: their extra values are stored, read, changed and removed as fields are."""

from decimal import Decimal
from typing import Any

import pydantic
import pytest

from dynamorm import Attr, Model, ValidationError, VersionConflict, attr, partition_key
from dynamorm.adapters import fields, register
from tests.behaviour.kit import store, stored

pytestmark = pytest.mark.engine


class Part(pydantic.BaseModel, extra="allow"):
    sku: str
    count: int = 1


class Order(pydantic.BaseModel, extra="allow"):
    id: str
    total: int = 0
    part: Part | None = None
    parts: list[Part] = []
    version: int = 0


register(Order, table="orders", partition="id", version="version", names={"total": "t"})


class Shape(pydantic.BaseModel, extra="allow"):
    id: str


class Circle(Shape):
    radius: int = 1


register(Shape, table="shapes", partition="id", discriminator="kind")
register(Circle, tag="circle")


class Box(Model, table="boxes"):
    id: Attr[str] = partition_key()
    part: Attr[Part | None] = attr(default=None)
    named: Attr[dict[str, Part]] = attr(default_factory=dict)


EXTRAS: dict[str, Any] = {
    "note": "x", "rate": Decimal("0.5"), "many": [1, {"a": None}], "marks": {"a", "b"}, "blob": b"\0\xff", "none": None,
    "on": False, "zero": 0, "empty": "", "no list": [], 'weird "name': 1,
}  # fmt: skip


@pytest.fixture
def db(open_db, engine):
    import uuid

    face = open_db(engine.endpoint, table_prefix=f"{uuid.uuid4().hex[:8]}-")
    for model in (Order, Shape, Box):
        face.tables.create(model)
    return face


def _in_transaction(db, obj):
    with db.transaction() as tx:
        tx.put(obj)


WRITES = {
    "create": lambda db, obj: db.create(obj), "put": lambda db, obj: db.put(obj), "save": lambda db, obj: db.save(obj),
    "batch": lambda db, obj: db.batch_write(puts=[obj]), "transaction": _in_transaction,
}  # fmt: skip
READS = {
    "get": lambda db, id_: db.get(Order, id_, consistent=True),
    "query": lambda db, id_: db.model(Order).where("id", "=", id_).one(),
    "scan": lambda db, id_: db.model(Order).allow_scan().one(),
    "batch": lambda db, id_: db.batch_get(Order, [id_])[0],
    "snapshot": lambda db, id_: db.transact_get([(Order, id_)])[0],
}


@pytest.mark.parametrize("write", WRITES)
def test_they_are_read_as_they_were_written(db, write):
    order = Order(id="o1", total=5, **EXTRAS)
    WRITES[write](db, order)
    assert stored(db, Order, "o1")["note"] == {"S": "x"}
    for read in READS.values():
        found = read(db, "o1")
        assert found.__pydantic_extra__ == EXTRAS
        assert (found, found.note) == (order, "x")


def test_a_save_writes_just_those_that_changed(db):
    order = db.create(Order(id="o1", **EXTRAS))
    found = db.get(Order, "o1", consistent=True)
    found.note = "new"
    found.fresh = [1]
    del found.rate
    db.save(found)
    wanted = {**EXTRAS, "note": "new", "fresh": [1]}
    del wanted["rate"]
    assert db.get(Order, "o1", consistent=True).__pydantic_extra__ == wanted == found.__pydantic_extra__
    del found.many
    db.put(found)
    assert "many" not in stored(db, Order, "o1")
    order.note = "stale"
    with pytest.raises(VersionConflict):
        db.save(order)


def test_what_another_program_stored_is_there(db):
    store(db, Order, {"id": {"S": "o1"}, "t": {"N": "5"}, "theirs": {"L": [{"BOOL": True}]}})
    found = db.get(Order, "o1", consistent=True)
    assert (found.theirs, found.total) == ([True], 5)
    found.total = 6
    db.save(found)
    assert stored(db, Order, "o1")["theirs"] == {"L": [{"BOOL": True}]}


def test_an_update_brings_them_up_to_date(db):
    order = db.create(Order(id="o1", note="x"))
    store(db, Order, stored(db, Order, "o1") | {"note": {"S": "theirs"}})
    db.update(order, fields(Order).total.add(1))
    assert (order.note, order.total) == ("theirs", 1)


@pytest.mark.parametrize("holder", [Order, Box])
def test_inside_another_value_they_are_kept_too(db, holder):
    part = Part(sku="a", tax=Decimal("0.5"), more={"k": [1]})
    obj = holder(
        id="o1", part=part, **({"parts": [part, Part(sku="b")]} if holder is Order else {"named": {"k": part}})
    )
    db.create(obj)
    found = db.get(holder, "o1", consistent=True)
    assert (found, found.part.tax) == (obj, Decimal("0.5"))
    found.part.tax = Decimal(1)
    db.save(found)
    assert stored(db, holder, "o1")["part"]["M"]["tax"] == {"N": "1"}
    assert db.get(holder, "o1", consistent=True) == found


def test_a_family_keeps_them(db):
    circle = db.create(Circle(id="c", radius=2, colour="red"))
    found = db.get(Shape, "c", consistent=True)
    assert (found, type(found), found.colour) == (circle, Circle, "red")


@pytest.mark.parametrize(
    ("extras", "name"),
    [({"ratio": 0.5}, "ratio"), ({"obj": object()}, "obj"), ({"t": 1}, "t"), ({"_wt": b"x"}, "_wt"), ({"big": 10**40 + 1}, "big")],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_and_named(db, extras, name):
    for call in (db.create, db.put):
        with pytest.raises(ValidationError, match=f"Order.{name}") as caught:
            call(Order(id="o1", **extras))
        assert caught.value.field == name
    assert stored(db, Order, "o1") is None
