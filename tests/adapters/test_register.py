"""Registered classes have every feature of a Model: verbs, conditions, versions, loaded state, changes."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar

import attrs
import msgspec
import pydantic
import pytest

from dynamorm import Codec, Json, gsi, lsi
from dynamorm.adapters import fields, register
from dynamorm.adapters.states import WeakStates
from dynamorm.errors import (
    AlreadyExists,
    ConditionFailed,
    ItemTooLarge,
    MissingItem,
    ModelError,
    ValidationError,
    VersionConflict,
)
from dynamorm.models.schema.schema import schema_of


class Status(Enum):
    NEW = "new"
    PAID = "paid"


class Line(pydantic.BaseModel):
    sku: str
    count: int = 1


SETTINGS: dict[str, Any] = {
    "partition": "shop",
    "sort": "number",
    "version": "version",
    "created_at": "made",
    "updated_at": "changed",
    "ttl": "expires",
    "names": {"note": "n"},
    "omit_empty": ["tags"],  # an empty set is stored as NULL otherwise, and nothing can be added to NULL
    "indexes": {
        "by_status": gsi("by-status", partition="status", sort="number"),
        "by_total": lsi("by-total", sort="total"),
    },
}


class PydanticOrder(pydantic.BaseModel):
    shop: str
    number: int
    total: Decimal = pydantic.Field(default=Decimal(0), ge=0)
    status: Status = Status.NEW
    tags: set[str] = pydantic.Field(default_factory=set)
    lines: list[Line] = []
    note: str | None = None
    expires: datetime | None = None
    version: int = 0
    made: datetime | None = None
    changed: datetime | None = None


@dataclasses.dataclass
class DataclassOrder:
    shop: str
    number: int
    total: Annotated[Decimal, msgspec.Meta(ge=0)] = Decimal(0)
    status: Status = Status.NEW
    tags: set[str] = dataclasses.field(default_factory=set)
    lines: list[Line] = dataclasses.field(default_factory=list)
    note: str | None = None
    expires: datetime | None = None
    version: int = dataclasses.field(default=0, init=False)
    made: datetime | None = dataclasses.field(default=None, init=False)
    changed: datetime | None = dataclasses.field(default=None, init=False)


@dataclasses.dataclass(slots=True, weakref_slot=True)
class SlotsOrder:
    shop: str
    number: int
    total: Decimal = Decimal(0)
    status: Status = Status.NEW
    tags: set[str] = dataclasses.field(default_factory=set)
    lines: list[Line] = dataclasses.field(default_factory=list)
    note: str | None = None
    expires: datetime | None = None
    version: int = 0
    made: datetime | None = None
    changed: datetime | None = None


@attrs.define
class AttrsOrder:
    shop: str
    number: int
    total: Annotated[Decimal, msgspec.Meta(ge=0)] = Decimal(0)
    status: Status = Status.NEW
    tags: set[str] = attrs.Factory(set)
    lines: list[Line] = attrs.Factory(list)
    note: str | None = None
    expires: datetime | None = None
    version: int = attrs.field(default=0, init=False)
    made: datetime | None = attrs.field(default=None, init=False)
    changed: datetime | None = attrs.field(default=None, init=False)


class StructOrder(msgspec.Struct, weakref=True, kw_only=True):
    shop: str
    number: int
    total: Decimal = Decimal(0)
    status: Status = Status.NEW
    tags: set[str] = msgspec.field(default_factory=set)
    lines: list[Line] = []
    note: str | None = None
    expires: datetime | None = None
    version: int = 0
    made: datetime | None = None
    changed: datetime | None = None


class DictStructOrder(StructOrder, dict=True):
    pass


ORDERS = (PydanticOrder, DataclassOrder, SlotsOrder, AttrsOrder, StructOrder, DictStructOrder)
for order in ORDERS:
    register(order, table=f"orders-{order.__name__}", **SETTINGS)


@pytest.fixture(params=ORDERS, ids=lambda cls: cls.__name__)
def Order(request):
    return request.param


@pytest.fixture
def orders(db, Order):
    db.tables.delete(Order)
    db.tables.ensure(Order)
    yield db
    db.tables.delete(Order)


@pytest.mark.engine
class TestVerbs:
    def test_what_is_created_is_read_back_with_every_type(self, orders, Order):
        order = Order(
            shop="s1",
            number=1,
            total=Decimal("12.50"),
            tags={"a", "b"},
            lines=[Line(sku="x", count=2)],
            note="hello",
            expires=datetime(2030, 1, 1, tzinfo=UTC),
        )
        assert orders.create(order) is order
        assert (order.version, type(order.made), type(order.changed)) == (0, datetime, datetime)
        found = orders.get(Order, "s1", 1)
        assert type(found) is Order
        assert found == order
        with pytest.raises(AlreadyExists):
            orders.create(Order(shop="s1", number=1))

    def test_save_writes_only_the_change_under_the_version(self, orders, Order):
        orders.create(Order(shop="s1", number=1, total=Decimal(5)))
        mine, other = orders.require(Order, "s1", 1), orders.require(Order, "s1", 1)
        mine.note = "mine"
        orders.save(mine)
        assert mine.version == 1
        other.status = Status.PAID
        with pytest.raises(VersionConflict) as refused:
            orders.save(other)
        assert refused.value.item == mine
        assert other.version == 0
        mine.note = None
        orders.save(mine)
        assert orders.require(Order, shop="s1", number=1).note is None

    def test_an_unchanged_object_is_not_sent(self, orders, Order):
        orders.create(Order(shop="s1", number=1))
        found = orders.require(Order, "s1", 1)
        orders.save(found)
        assert orders.require(Order, "s1", 1).version == 0

    def test_updates_and_conditions(self, orders, Order):
        F = fields(Order)
        order = orders.create(Order(shop="s1", number=1, total=Decimal(5)))
        orders.update(order, F.total.add(Decimal("2.5")), F.tags.add({"x"}), condition=F.status == Status.NEW)
        assert (order.total, order.tags, order.version) == (Decimal("7.5"), {"x"}, 1)
        with pytest.raises(ConditionFailed):
            orders.update(order, F.note.set("no"), condition=F["total"] > 100)
        fresh = orders.update(Order, "s1", 1, F.lines.append_or_create(Line(sku="y")), F.note.set("n"))
        assert (fresh.lines, fresh.note, fresh.version) == ([Line(sku="y")], "n", 2)
        with pytest.raises(VersionConflict):
            orders.update(order, F.note.remove())
        with pytest.raises(MissingItem):
            orders.update(Order, "s1", 2, F.note.set("n"))
        made = orders.upsert(Order, "s1", 2, F.total.set(Decimal(1)))
        assert (made.number, made.total, made.version) == (2, Decimal(1), 0)

    def test_put_and_delete(self, orders, Order):
        first = orders.create(Order(shop="s1", number=1, note="first"))
        assert orders.put(Order(shop="s1", number=1, note="second"), returning="old") == first
        with pytest.raises(VersionConflict):
            orders.delete(orders.update(Order, "s1", 1, fields(Order).note.set("3")) and first)
        orders.delete(orders.require(Order, "s1", 1))
        assert not orders.exists(Order, "s1", 1)

    def test_queries(self, orders, Order):
        F = fields(Order)
        for number in range(5):
            orders.create(Order(shop="s1", number=number, total=Decimal(9 - number)))
        found = orders.model(Order).where(F.shop == "s1", F.number >= 2).order_by("number", "desc").all()
        assert [order.number for order in found] == [4, 3, 2]
        assert len(orders.model(Order).index(F.by_status).where(F.status == Status.NEW).all()) == 5
        first = orders.model(Order).index("by-total").where(F.shop == "s1").first()
        assert first.number == 4
        first.note = "loaded by a query"
        assert orders.save(first).version == 1

    def test_bounds_in_annotations_are_checked_before_the_wire(self, orders, Order):
        if Order in (SlotsOrder, StructOrder, DictStructOrder):
            pytest.skip("declared without bounds")
        order = orders.create(Order(shop="s1", number=1, total=Decimal(5)))
        order.total = Decimal(-1)
        with pytest.raises(ValidationError, match="total must be >= 0"):
            orders.save(order)

    def test_what_cannot_be_stored_is_refused(self, orders, Order):
        with pytest.raises(ItemTooLarge):
            orders.create(Order(shop="s1", number=1, note="x" * 500_000))
        order = Order(shop="s1", number=1)
        order.note = 5
        with pytest.raises(ValidationError, match="note"):
            orders.create(order)

    def test_unknown_attributes_survive(self, orders, Order):
        @register(table=schema_of(Order).table, partition="shop", sort="number", version="version")
        @dataclasses.dataclass
        class Narrow:
            shop: str
            number: int
            version: int = 0
            more: str | None = None

        orders.create(Order(shop="s1", number=1, note="kept"))
        narrow = orders.require(Narrow, "s1", 1)
        narrow.more = "added"
        orders.save(narrow)
        assert orders.require(Order, "s1", 1).note == "kept"


class TestState:
    @pytest.fixture
    def loaded(self, orders, Order):
        orders.create(Order(shop="s1", number=1))
        return orders.require(Order, "s1", 1)

    @pytest.mark.engine
    def test_the_state_does_not_show(self, loaded, Order):
        fresh = Order(shop="s1", number=1)
        fresh.made, fresh.changed = loaded.made, loaded.changed
        assert loaded == fresh
        assert fresh == loaded
        assert repr(loaded) == repr(fresh)
        if dataclasses.is_dataclass(Order):
            assert dataclasses.asdict(loaded) == dataclasses.asdict(fresh)
        elif attrs.has(Order):
            assert attrs.asdict(loaded) == attrs.asdict(fresh)
        elif Order is PydanticOrder:
            assert loaded.model_dump() == fresh.model_dump()
            assert loaded.model_dump_json() == fresh.model_dump_json()
            assert dict(loaded) == dict(fresh)
            assert loaded.model_fields_set >= {"shop", "number"}
        else:
            assert msgspec.json.encode(loaded) == msgspec.json.encode(fresh)

    @pytest.mark.engine
    def test_a_copy_with_a_dict_is_loaded_too(self, loaded, orders, Order):
        if Order not in (PydanticOrder, DataclassOrder):
            pytest.skip("msgspec copies fields only, and a weak reference stays behind: a copy is a new object")
        for copied in (copy.copy(loaded), copy.deepcopy(loaded), pickle.loads(pickle.dumps(loaded))):
            fresh = orders.require(Order, "s1", 1)
            orders.put(fresh)  # the version moves on, so a copy that knows its version is refused
            copied.note = "copy"
            with pytest.raises(VersionConflict):
                orders.save(copied)

    @pytest.mark.engine
    def test_model_copy_is_an_update_of_the_same_item(self, orders):
        orders.tables.ensure(PydanticOrder)
        orders.put(PydanticOrder(shop="s2", number=1))
        changed = orders.require(PydanticOrder, "s2", 1).model_copy(update={"note": "changed"})
        orders.save(changed)
        assert orders.require(PydanticOrder, "s2", 1).note == "changed"

    def test_weak_states_end_with_their_objects(self):
        states = WeakStates()
        order = SlotsOrder(shop="s", number=1)
        states.set(order, b"1")
        states.set(order, b"2")
        assert (states.get(order), len(states)) == (b"2", 1)
        assert states.get(SlotsOrder(shop="s", number=1)) is None
        del order
        gc.collect()
        assert len(states) == 0

    def test_weak_states_can_be_forgotten(self):
        states = WeakStates()
        order = SlotsOrder(shop="s", number=1)
        states.set(order, b"1")
        states.set(order, None)
        assert states.get(order) is None


class TestRefused:
    def test_a_struct_without_room_for_the_state(self):
        class Bare(msgspec.Struct):
            id: str

        with pytest.raises(ModelError, match=r"dict=True or weakref=True"):
            register(Bare, table="bare", partition="id")

    def test_a_slots_dataclass_without_weak_references(self):
        @dataclasses.dataclass(slots=True)
        class Bare:
            id: str

        with pytest.raises(ModelError, match=r"weakref_slot=True"):
            register(Bare, table="bare", partition="id")

    def test_frozen_classes(self):
        @dataclasses.dataclass(frozen=True)
        class A:
            id: str

        class B(pydantic.BaseModel, frozen=True):
            id: str

        class C(msgspec.Struct, frozen=True, dict=True):
            id: str

        for cls in (A, B, C):
            with pytest.raises(ModelError, match="frozen"):
                register(cls, table="frozen", partition="id")

    def test_a_class_of_no_kind(self):
        class Plain:
            id: str

        with pytest.raises(ModelError, match="no pydantic model, dataclass or msgspec Struct, nor an attrs class"):
            register(Plain, table="plain", partition="id")

    def test_an_instance(self):
        with pytest.raises(ModelError, match="takes a class"):
            register(5, table="plain", partition="id")

    def test_twice(self):
        with pytest.raises(ModelError, match="is a model already"):
            register(PydanticOrder, table="orders", partition="shop")

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"partition": "idd"}, "partition names 'idd', which is no field; did you mean 'id'"),
            ({"partition": "id", "names": {"nme": "n"}}, "names names 'nme'"),
            ({"partition": "id", "secret": "name"}, r"write \['name'\]"),
            ({"partition": "id", "sort": "id"}, "a field has one role"),
            ({"partition": "id", "partitoin": "id"}, "no setting 'partitoin'; did you mean 'partition'"),
            ({}, "no partition key"),
            ({"partition": "id", "indexes": [gsi("by-x", partition="x")]}, "names 'x', which is no field"),
            ({"partition": "id", "naming": "camelcase"}, "did you mean 'camelCase'"),
            ({"partition": "id", "names": {"name": "id"}}, "both stored as 'id'"),
            ({"partition": "id", "tag": "t"}, "needs discriminator="),
        ],
    )
    def test_settings_that_cannot_work(self, settings, message):
        @dataclasses.dataclass
        class Thing:
            id: str
            name: str

        with pytest.raises(ModelError, match=message):
            register(Thing, table="things", **settings)
        with pytest.raises(TypeError):
            schema_of(Thing)

    def test_crossed_aliases(self):
        class Crossed(pydantic.BaseModel):
            id: str = pydantic.Field(alias="name")
            name: str

        with pytest.raises(ModelError, match="alias of id is the name of another field"):
            register(Crossed, table="crossed", partition="id")


class TestFields:
    def test_a_name_that_is_none_is_explained(self):
        with pytest.raises(AttributeError, match="did you mean 'total'"):
            fields(PydanticOrder).totl

    def test_names_are_listed(self):
        assert list(fields(PydanticOrder))[:3] == ["shop", "number", "total"]
        assert {"total", "by_status"} <= set(dir(fields(PydanticOrder)))
        assert fields(PydanticOrder) is fields(PydanticOrder)

    def test_a_class_that_is_not_registered(self):
        with pytest.raises(TypeError, match=r"dynamorm\.adapters\.register"):
            fields(int)


@pytest.mark.engine
class TestSpecial:
    def test_aliases_defaults_private_attributes_and_validators_of_pydantic(self, db):
        @register(
            table="aliased",
            partition="id",
            options={"secret": [Codec(pydantic.SecretStr.get_secret_value, pydantic.SecretStr)]},
        )
        class Aliased(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(validate_assignment=True)
            id: str = pydantic.Field(alias="ID")
            secret: pydantic.SecretStr
            kind: Literal["a", "b"] = "a"
            _cache: int = pydantic.PrivateAttr(default=7)

            @pydantic.computed_field
            @property
            def shown(self) -> str:
                return self.id.upper()

        db.tables.ensure(Aliased)
        db.put(Aliased(ID="x", secret="hush"))
        found = db.require(Aliased, "x")
        assert (found.secret.get_secret_value(), found._cache, found.shown) == ("hush", 7, "X")
        db.save(found)
        assert found == Aliased(ID="x", secret="hush")

    def test_options_and_flags(self, db):
        @register(
            table="optioned", partition="id", options={"data": [Json()]}, omit_empty=["note"], immutable=["owner"]
        )
        @dataclasses.dataclass
        class Optioned:
            id: str
            owner: str
            data: dict[str, Any]
            note: str = ""

        db.tables.ensure(Optioned)
        db.put(Optioned("x", "me", {"b": [1], "a": None}))
        found = db.require(Optioned, "x")
        assert (found.data, found.note) == ({"a": None, "b": [1]}, "")
        assert db.exists(Optioned, "x")
        found.owner = "you"
        with pytest.raises(ValidationError, match="immutable"):
            db.save(found)

    def test_a_family_is_told_apart_by_its_discriminator(self, db):
        @register(table="shapes", partition="id", discriminator="kind")
        class Shape(pydantic.BaseModel):
            id: str

        @register(tag="circle")
        class Circle(Shape):
            radius: int

        @register
        class Square(Shape):
            side: int

        db.tables.ensure(Shape)
        db.put(Circle(id="c", radius=2))
        db.put(Square(id="s", side=3))
        assert db.require(Shape, "c") == Circle(id="c", radius=2)
        assert db.require(Shape, "s") == Square(id="s", side=3)

    def test_text_annotations_are_resolved_where_the_class_stands(self, db):
        class Local(Enum):
            ONE = 1

        @register(table="local", partition="id")
        @dataclasses.dataclass
        class Item:
            id: str
            local: Local = Local.ONE

        db.tables.ensure(Item)
        db.put(Item("x"))
        assert db.require(Item, "x").local is Local.ONE

    def test_a_registered_class_inside_another_and_its_paths(self, db):
        @register
        @dataclasses.dataclass
        class Address:
            city: str
            zip: str | None = None

        @register(table="people", partition="id", naming="camelCase")
        @dataclasses.dataclass
        class Customer:
            id: str
            home_address: Address

        db.tables.ensure(Customer)
        db.put(Customer("x", Address("Riga")))
        place = fields(Customer).home_address[fields(Address).city]
        changed = db.update(Customer, "x", place.set("Tartu"), condition=place == "Riga")
        assert changed == Customer("x", Address("Tartu"))
        assert schema_of(Customer).fields["home_address"].stored == "homeAddress"

    def test_a_generic_pydantic_model(self, db):
        T = TypeVar("T")

        class Box(pydantic.BaseModel, Generic[T]):
            id: str
            content: T

        IntBox = register(Box[int], table="boxes", partition="id")
        db.tables.ensure(IntBox)
        db.put(IntBox(id="x", content=5))
        assert db.require(IntBox, "x").content == 5

    def test_a_constructor_that_refuses_is_one_typed_error_without_the_value(self, db):
        @register(table="picky", partition="id")
        @dataclasses.dataclass
        class Picky:
            id: str
            word: str = "good"

            def __post_init__(self):
                if self.word != "good":
                    raise RuntimeError(self.word)

        db.tables.ensure(Picky)
        bad = Picky("y")
        bad.word = "topsecret"
        db.put(bad)
        with pytest.raises(ValidationError, match="Picky refused the stored item") as refused:
            db.get(Picky, "y")
        assert "topsecret" not in repr(refused.value.__context__) + str(refused.value)
