"""Composite keys of registered classes: the same for pydantic models, dataclasses, attrs classes and Structs, on both faces."""

import dataclasses

import attrs
import msgspec
import pydantic
import pytest

from dynamorm import composite, gsi
from dynamorm.adapters import fields, register
from dynamorm.errors import InvalidAttribute, ModelError, ValidationError, VersionConflict

SETTINGS = {
    "partition": "pk",
    "sort": "sk",
    "version": "version",
    "composites": {
        "pk": composite("shop"),
        "sk": composite("ORDER#{number:06d}"),
        "open_by": composite("shop", "state"),
    },
    "names": {"open_by": "gsi1"},
    "indexes": {"by_state": gsi("by-state", partition="open_by", sort="number")},
}


class PydanticOrder(pydantic.BaseModel):
    shop: str
    number: int
    state: str | None = None
    version: int = 0


@dataclasses.dataclass
class DataclassOrder:
    shop: str
    number: int
    state: str | None = None
    version: int = 0


@dataclasses.dataclass(slots=True, weakref_slot=True)
class SlotsOrder:
    shop: str
    number: int
    state: str | None = None
    version: int = 0


@attrs.define
class AttrsOrder:
    shop: str
    number: int
    state: str | None = None
    version: int = 0


class StructOrder(msgspec.Struct, weakref=True):
    shop: str
    number: int
    state: str | None = None
    version: int = 0


ORDERS = (PydanticOrder, DataclassOrder, SlotsOrder, AttrsOrder, StructOrder)
for order in ORDERS:
    register(order, table=f"composite-{order.__name__}", **SETTINGS)


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
class TestKeys:
    def test_the_key_is_made_of_the_fields_and_read_by_parts(self, orders, Order):
        made = orders.create(Order(shop="s#1", number=7, state="open"))
        assert (made.pk, made.sk, made.open_by) == ("s%231", "ORDER#000007", "s%231#open")
        assert orders.get(Order, shop="s#1", number=7) == made
        assert orders.get(Order, made.pk, made.sk) == made
        assert orders.get(Order, shop="s#1", number=8) is None

    def test_the_key_of_an_index_goes_along_with_every_write(self, orders, Order):
        F = fields(Order)

        def seen(state):
            return [
                one.number
                for one in orders.model(Order).index(F.by_state).where(F.shop == "s1", F.state == state).all()
            ]

        for number in (1, 2, 3):
            orders.create(Order(shop="s1", number=number, state="open"))
        one, two, three = (orders.require(Order, shop="s1", number=number) for number in (1, 2, 3))
        one.state = "paid"
        orders.save(one)
        orders.update(two, F.state.set("paid"))
        orders.update(three, F.state.remove())
        assert (seen("open"), seen("paid")) == ([], [1, 2])
        with orders.transaction() as tx:
            tx.update(two, F.state.set("open"))
            tx.delete(one)
        assert (seen("open"), seen("paid")) == ([2], [])
        result = orders.batch_write(puts=[Order(shop="s1", number=4, state="open")], deletes=[three])
        assert result.ok
        assert seen("open") == [2, 4]

    def test_a_changed_key_and_what_is_not_known_are_refused(self, orders, Order):
        F = fields(Order)
        order = orders.create(Order(shop="s1", number=1, state="open"))
        other = orders.require(Order, shop="s1", number=1)
        order.shop = "s2"
        with pytest.raises(ValidationError, match="shop is part of the key and was changed"):
            orders.save(order)
        with pytest.raises(ValidationError, match=r"sk is computed from number|number is part of the key"):
            orders.update(other, F.number.set(5))
        with pytest.raises(ValidationError, match="is computed from shop, state: update those"):
            orders.update(other, F.open_by.set("x"))
        orders.update(Order, other.pk, other.sk, F.state.set("paid"))  # the shop is known from the key
        with pytest.raises(VersionConflict):
            orders.update(other, F.state.set("late"))

    def test_a_query_names_the_parts(self, orders, Order):
        F = fields(Order)
        for number in (1, 20, 3):
            orders.create(Order(shop="s1", number=number))
        found = orders.model(Order).where(F.shop == "s1", F.number >= 3).all()
        assert [one.number for one in found] == [3, 20]
        part = orders.model(Order).where(F.shop == "s1").select("state").first()
        assert part.state is None

    def test_a_query_begins_behind_a_new_object(self, orders, Order):
        F = fields(Order)
        for number in (1, 2, 3, 10):
            orders.create(Order(shop="s1", number=number, state="open"))
        table = orders.model(Order).where(F.shop == "s1")
        index = orders.model(Order).index(F.by_state).where(F.shop == "s1", F.state == "open")
        for query in (table, index):
            for start in (Order(shop="s1", number=2, state="open"), query.all()[1]):
                assert [one.number for one in query.start_after(start).all()] == [3, 10]
        with pytest.raises(ValidationError, match="without a value of open_by"):
            index.start_after(Order(shop="s1", number=2)).all()
        with pytest.raises(ValidationError, match="the conditions on"):
            index.start_after(Order(shop="s1", number=2, state="paid")).all()


class TestRefused:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (
                {"partition": "pk", "composites": {"pk": "shop"}},
                r"composites\['pk'\] is a composite\(\.\.\.\), not a str",
            ),
            (
                {"partition": "id", "composites": {"id": composite("name")}},
                "composites names 'id', which the class has",
            ),
            ({"partition": "pk", "composites": composite("id")}, "composites is a dict by name"),
            ({"partition": "pk", "composites": {"pk": composite("nme")}}, "no field of Thing; did you mean 'name'"),
            ({"partition": "pk", "composites": {"pk": composite("maybe")}}, "may be None, and a primary key"),
            ({"partition": "id", "composites": {"x": composite("name")}, "secret": ["x"]}, "secret names 'x'"),
            ({"partition": "id", "options": {"id": [composite("name")]}}, r"leave the field out, and say composites="),
        ],
    )
    def test_composites_that_cannot_be(self, settings, message):
        @attrs.define
        class Thing:
            id: str
            name: str
            maybe: str | None = None

        with pytest.raises(ModelError, match=message):
            register(Thing, table="things", **settings)

    def test_an_attrs_class_that_cannot_be_a_model(self):
        @attrs.frozen
        class Frozen:
            id: str

        @attrs.define
        class Taking:
            id: str
            other: str = attrs.field(default=attrs.Factory(lambda self: self.id, takes_self=True))

        @attrs.define
        class Lacking:
            id: str
            other: str = attrs.field(init=False)

        @attrs.define(weakref_slot=False)
        class Bare:
            id: str

        @attrs.define
        class Sharing:
            id: str
            tags: list[str] = []  # noqa: RUF008 - what is refused

        for cls, message in (
            (Frozen, "frozen"),
            (Taking, "a factory that takes the object"),
            (Lacking, "no argument of the constructor and has no default"),
            (Bare, "no room for what is known"),
            (Sharing, "would be shared by all objects"),
        ):
            with pytest.raises(ModelError, match=message):
                register(cls, table="refused", partition="id")

    def test_a_name_that_is_none(self):
        with pytest.raises(InvalidAttribute, match="did you mean 'pk'"):
            fields(AttrsOrder).pkk


@attrs.define
class Line:
    sku: str
    _count: int = 1


@attrs.define
class Cart:
    id: str
    lines: list[Line] = attrs.Factory(list)
    _note: str | None = attrs.field(default=None, metadata={"also_read": ("Note",)})
    seen: int = attrs.field(default=0, init=False, validator=attrs.validators.ge(0))
    doubled: int = attrs.field(default=1, converter=int)


register(Cart, table="attrs-carts", partition="id")


@pytest.mark.engine
def test_attrs_classes_with_private_names_and_inside_one_another(db):
    db.tables.delete(Cart)
    db.tables.ensure(Cart)
    cart = Cart(id="c1", lines=[Line("a", 2), Line("b")], note="n", doubled="4")
    cart.seen = 3
    db.create(cart)
    found = db.require(Cart, "c1")
    assert found == cart
    assert (found.lines[0]._count, found._note, found.seen, found.doubled) == (2, "n", 3, 4)
    found.lines[1]._count = 5
    db.save(found)
    assert db.require(Cart, "c1").lines[1]._count == 5
    db.tables.delete(Cart)
