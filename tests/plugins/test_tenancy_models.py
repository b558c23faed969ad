"""Tenants of models of each kind: families in one table, stored names, classes of other libraries, system items."""

from dataclasses import dataclass

import pydantic
import pytest

from dynamorm import Attr, Model, Presets, Tenant, Unique, attr, composite, partition_key, sort_key
from dynamorm.adapters import fields, register
from dynamorm.errors import TenantError, TenantMismatch
from dynamorm.plugins.tenancy import Tenancy
from dynamorm.streams import decode, decode_event
from tests.support.faces import Face

from .tenancy_kit import outcome

pytestmark = pytest.mark.engine


class Animal(Model, table="tenancy-animals", discriminator="kind"):
    pk: Attr[str] = partition_key(composite("tenant_id", "zoo"))
    sk: Attr[str] = sort_key()
    tenant_id: Attr[str] = attr(Tenant(), name="tid")
    zoo: Attr[str] = attr(default="z")


class Cat(Animal):
    lives: Attr[int] = attr(default=9)


class Dog(Animal):
    name: Attr[str | None] = attr(Unique(), default=None)


@dataclass
class Parcel:
    id: str
    merchant: str = ""
    weight: int = 0


class Bill(pydantic.BaseModel):
    number: str
    merchant: str = ""
    amount: int = 0


register(Parcel, table="tenancy-parcels", partition="id", options={"merchant": [Tenant(prefix=True)]})
register(Bill, table="tenancy-bills", partition="merchant", sort="number", options={"merchant": [Tenant()]})


@pytest.fixture
def db(engine, face_kind):
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=f"{face_kind}-")
    face = Face(face_kind, config, extensions=(Tenancy(),))
    face.tables.ensure(Animal, Parcel, Bill)
    yield face
    face.tables.delete(Animal, Parcel, Bill)
    face.close()


def test_a_family_of_classes_is_of_its_tenants(db):
    a, b = db.with_tenant("a"), db.with_tenant("b")
    for view in (a, b):
        view.create(Cat(sk="1"))
        view.create(Dog(sk="2", name="rex"))
    assert [type(one) for one in a.model(Animal).where(Animal.zoo == "z").all()] == [Cat, Dog]
    assert {one.tenant_id for one in b.model(Animal).where(Animal.zoo == "z").all()} == {"b"}
    assert isinstance(a.get(Animal, "a#z", "1"), Cat)
    assert a.find_by_unique(Dog, name="rex").tenant_id == "a"
    for verb in (
        lambda: a.get(Dog, "b#z", "2"),
        lambda: a.get(Animal, "b#z", "2"),
        lambda: a.delete(Animal, "b#z", "2"),
    ):
        assert outcome(verb) is TenantMismatch
    a.delete(Animal, "a#z", "2")
    assert b.find_by_unique(Dog, name="rex").tenant_id == "b"
    buckets = b.model(Animal).where(Animal.zoo == "z").collect(Cat, Dog)
    assert (len(buckets[Cat]), len(buckets[Dog])) == (1, 1)


def test_classes_of_other_libraries_have_tenants(db):
    a, b = db.with_tenant("a"), db.with_tenant("b")
    parcel, bill = a.create(Parcel("1", weight=3)), a.create(Bill(number="1", amount=5))
    b.create(Parcel("1", weight=4))
    assert (parcel.merchant, bill.merchant) == ("a", "a")
    assert (a.get(Parcel, "1").weight, b.get(Parcel, "1").weight) == (3, 4)
    assert a.update(Bill, "1", fields(Bill).amount.add(2)).amount == 7
    assert [one.amount for one in a.model(Bill).all()] == [7]
    assert b.model(Bill).all() == []
    assert outcome(lambda: b.save(bill)) is TenantMismatch
    assert outcome(lambda: b.put(Bill(number="1", merchant="a"))) is TenantMismatch


def test_no_key_looks_like_one_of_the_library(db):
    a = db.with_tenant("a")
    assert outcome(lambda: a.create(Parcel("~K#pci"))) is TenantError
    assert outcome(lambda: a.get(Parcel, "~U#x")) is TenantError


def test_readers_of_streams_pass_over_system_items(db):
    def record(key, **more):
        image = {"id": {"S": key}, **more}
        return {
            "eventID": "1",
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": {"id": {"S": key}},
                "NewImage": image,
                "SequenceNumber": "1",
                "StreamViewType": "NEW_IMAGE",
            },
        }

    keys = ["T#a#~K#pci#1", "~U#T#a#Parcel#x", "T#a#1", "T#b#1"]
    records = [record(key, merchant={"S": key[2]}, weight={"N": "1"}) for key in keys]
    view = db.inner.view(tenant="a")
    assert [decode(one, Parcel, db=view).is_system for one in records[:3]] == [True, True, False]
    assert decode(records[2], Parcel, db=view).new == Parcel("1", "a", 1)
    with pytest.raises(TenantMismatch):
        decode(records[3], Parcel, db=view)
    every = db.inner.all_tenants(reason="stream")
    assert [one.new.merchant for one in decode_event({"Records": records}, Parcel, db=every)] == ["a", "b"]
