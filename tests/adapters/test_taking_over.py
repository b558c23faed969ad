"""An object takes over what is stored, whatever its class asks of assignments: all of it, or nothing. On both faces."""

import dataclasses
from functools import cached_property
from typing import Annotated

import attrs
import msgspec
import pydantic
import pytest

from dynamorm import Attr, Model, attr, field_validator, partition_key, version
from dynamorm.adapters import fields, register
from dynamorm.errors import Outcome, ValidationError, VersionConflict

pytestmark = pytest.mark.engine


@attrs.define
class AttrsOrder:
    id: str
    first: str = "1"
    fixed: int = attrs.field(default=5, on_setattr=attrs.setters.frozen)
    least: int = attrs.field(default=5, validator=attrs.validators.ge(5))
    seen: int = attrs.field(default=0, init=False, on_setattr=attrs.setters.frozen)
    last: str = "1"
    version: int = attrs.field(default=0, on_setattr=attrs.setters.frozen)

    @cached_property
    def joined(self):
        return f"{self.first}-{self.fixed}-{self.last}"


@attrs.define(slots=False)
class DictAttrsOrder(AttrsOrder):
    @cached_property
    def shown(self):
        return f"<{self.joined}>"


class PydanticOrder(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(validate_assignment=True)

    id: str
    first: str = "1"
    fixed: Annotated[int, pydantic.Field(frozen=True)] = 5
    least: int = 5
    last: str = "1"
    version: Annotated[int, pydantic.Field(frozen=True)] = 0

    @pydantic.field_validator("least")
    @classmethod
    def at_least(cls, value):
        assert value >= 5
        return value

    @cached_property
    def joined(self):
        return f"{self.first}-{self.fixed}-{self.last}"


@dataclasses.dataclass
class DataclassOrder:
    id: str
    first: str = "1"
    fixed: int = 5
    least: int = 5
    last: str = "1"
    version: int = 0

    @cached_property
    def joined(self):
        return f"{self.first}-{self.fixed}-{self.last}"


class StructOrder(msgspec.Struct, dict=True):
    id: str
    first: str = "1"
    fixed: int = 5
    least: int = 5
    last: str = "1"
    version: int = 0

    @cached_property
    def joined(self):
        return f"{self.first}-{self.fixed}-{self.last}"


@dataclasses.dataclass
class Refusing:
    """Its own way of setting lets nobody change ``fixed``."""

    id: str
    first: str = "1"
    fixed: int = 5
    last: str = "1"
    version: int = 0

    def __setattr__(self, name, value):
        if name == "fixed" and getattr(self, "__dict__", {}).get(name, value) != value:
            raise RuntimeError("it is fixed")
        super().__setattr__(name, value)


class Always(Model, table="taking-always", validate="always"):
    id: Attr[str] = partition_key()
    first: Attr[str] = attr(default="1")
    fixed: Attr[int] = attr(default=5)
    least: Attr[int] = attr(default=5)
    last: Attr[str] = attr(default="1")
    version: Attr[int] = version()

    @field_validator("least")
    def at_least(value):
        if value < LEAST[0]:
            raise ValueError("too little")
        return value


LEAST = [0]
KINDS = (AttrsOrder, DictAttrsOrder, PydanticOrder, DataclassOrder, StructOrder)
for kind in (*KINDS, Refusing):
    register(kind, table=f"taking-{kind.__name__}", partition="id", version="version")


@pytest.fixture(params=(*KINDS, Always), ids=lambda cls: cls.__name__)
def Order(request):
    return request.param


@pytest.fixture
def orders(db, Order):
    db.tables.delete(Order)
    db.tables.ensure(Order)
    yield db
    db.tables.delete(Order)


def values(order):
    return order.first, order.fixed, order.last, order.version


def test_what_is_stored_is_taken_over_whatever_the_class_asks_of_assignments(orders, Order):
    F = fields(Order) if Order is not Always else Order
    order = orders.create(Order(id="1"))
    orders.update(Order, "1", F.first.set("2"), F.fixed.set(6), F.least.set(7), F.last.set("2"))
    assert orders.refresh(order) is order
    assert values(order) == ("2", 6, "2", 1)
    assert orders.update(order, F.fixed.set(7)) is order
    assert values(order) == ("2", 7, "2", 2)
    order.last = "3"
    orders.save(order)
    assert values(order) == ("2", 7, "3", 3)
    assert orders.patch(order, {"fixed": 8}) is order
    assert values(orders.require(Order, "1")) == values(order) == ("2", 8, "3", 4)
    assert orders.save(order) is order
    assert values(order)[-1] == 4


def test_a_cached_property_is_computed_anew(orders, Order):
    if Order is Always:
        return
    F = fields(Order)
    order = orders.create(Order(id="1"))
    assert order.joined == "1-5-1"
    orders.update(Order, "1", F.first.set("2"))
    orders.refresh(order)
    assert order.joined == "2-5-1"
    orders.update(order, F.last.set("3"))
    assert order.joined == "2-5-3"
    orders.refresh(order)
    orders.refresh(order)  # none was asked for meanwhile
    assert order.joined == "2-5-3"


def test_what_was_stored_under_other_rules_is_taken_over(db):
    db.tables.delete(Always)
    db.tables.ensure(Always)
    LEAST[:] = [0]
    order = db.create(Always(id="1"))
    db.update(Always, "1", Always.first.set("2"), Always.least.set(1))
    LEAST[:] = [5]
    try:
        db.refresh(order)
        assert (order.first, order.least, order.version) == ("2", 1, 1)
    finally:
        LEAST[:] = [0]


def test_where_a_setter_of_the_class_itself_refuses_the_object_stays_as_it_was(db):
    db.tables.delete(Refusing)
    db.tables.ensure(Refusing)
    F = fields(Refusing)
    order = db.create(Refusing("1"))
    db.update(Refusing, "1", F.first.set("2"), F.fixed.set(9), F.last.set("2"))
    with pytest.raises(ValidationError, match=r"refused what is stored, and is as it was.*RuntimeError"):
        db.refresh(order)
    assert values(order) == ("1", 5, "1", 0)
    order.last = "mine"
    with pytest.raises(VersionConflict):  # it does not know what it would overwrite
        db.save(order)
    other = db.require(Refusing, "1")
    with pytest.raises(RuntimeError) as caught:  # of an update that was applied
        db.update(other, F.first.set("3"), F.fixed.set(10))
    assert caught.value.outcome is Outcome.APPLIED
    assert values(other) == ("2", 9, "2", 1)
    assert values(db.require(Refusing, "1")) == ("3", 10, "2", 2)
