"""refresh, patch, save_all, populate and the loader beside tenants, encrypted fields, unique values and an audit trail, on both faces."""

import asyncio

import pytest

from dynamorm import DB, Attr, Audit, Model, Presets, Tenant, Unique, attr, composite, partition_key, version
from dynamorm.errors import ActorRequired, DuplicateKey, TenantMismatch, TenantRequired, ValidationError
from dynamorm.plugins import EncryptionPlugin
from dynamorm.wire.acting import actor
from tests.support.faces import Face

from .encryption_kit import PAN, Card, RawCard, Records

pytestmark = pytest.mark.engine


class Order(Model, table="guarded-orders"):
    pk: Attr[str] = partition_key(composite("tenant", "id"))
    tenant: Attr[str] = attr(Tenant())
    id: Attr[str]
    parent: Attr[str | None] = attr(default=None)
    mail: Attr[str | None] = attr(Unique(), default=None)
    note: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()


class Signed(Model, table="guarded-signed"):
    id: Attr[str] = partition_key()
    note: Attr[str | None] = attr(default=None)
    by: Attr[str | None] = attr(Audit("updated_by"), default=None)
    version: Attr[int] = version()


@pytest.fixture(scope="module")
def prefix():
    return "guarded-"


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.enable_multi_tenancy()
        for model in (RawCard, Records, Order):
            db.tables.create(model)
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.enable_audit_log()
        db.tables.create(Signed)
    return prefix


@pytest.fixture
def tenants(engine, made, face_kind):
    """A face over the views of two tenants."""
    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made))
    face.enable_multi_tenancy()
    yield face, face.scoped(tenant="a"), face.scoped(tenant="b")
    face.close()


def loaded(db, model, *key, **parts):
    """What a loader gives for one key."""
    loader = db.loader()
    if db.kind == "blocking":
        return loader.get(model, *key, **parts)

    async def one():
        return (await asyncio.gather(loader.get(model, *key, **parts), loader.get(model, *key, **parts)))[1]

    return db._loop.run(one())


def test_each_is_of_its_tenant(tenants, key):
    _, a, b = tenants
    mine, theirs = a.create(Order(id=key, note="a")), b.create(Order(id=key, note="b"))
    assert a.patch(Order, {"note": "changed"}, id=key).tenant == "a"
    assert (a.refresh(mine).note, b.refresh(theirs).note) == ("changed", "b")
    child = Order(id=f"{key}-1", parent=key)
    assert a.save_all([child]).ok
    assert a.populate([child], {"id": Order.parent}, Order)[child].note == "changed"
    assert (loaded(a, Order, id=key).note, loaded(b, Order, id=key).note) == ("changed", "b")
    assert b.populate([child], {"id": Order.parent}, Order)[child].note == "b"
    assert loaded(b, Order, id=f"{key}-1") is None


def test_what_is_of_another_tenant_is_refused(tenants, key):
    db, a, b = tenants
    mine = a.create(Order(id=key))
    mine.note = "x"
    with pytest.raises(TenantMismatch):
        b.refresh(mine)
    with pytest.raises(TenantMismatch):
        b.patch(mine, {"note": "y"})
    assert isinstance(b.save_all([mine]).failed[0].error, TenantMismatch)
    assert a.get(Order, id=key).note is None
    with pytest.raises(ValidationError):
        a.patch(Order, {"tenant": "b"}, id=key)
    with pytest.raises(TenantRequired):
        db.patch(Order, {"note": "y"}, id=key)


def test_unique_values_go_along(tenants, key):
    _, a, _ = tenants
    a.create(Order(id=f"{key}-1", mail=f"{key}@1"))
    a.create(Order(id=f"{key}-2", mail=f"{key}@2"))
    with pytest.raises(DuplicateKey):
        a.patch(Order, {"mail": f"{key}@2"}, id=f"{key}-1")
    assert a.patch(Order, {"mail": f"{key}@3"}, id=f"{key}-1").mail == f"{key}@3"
    assert a.find_by_unique(Order, mail=f"{key}@3").id == f"{key}-1"
    free = Order(id=f"{key}-4", mail=f"{key}@1")  # it was given up
    taken = Order(id=f"{key}-5", mail=f"{key}@2")
    result = a.save_all([free, taken])
    assert result.written == [free]
    assert isinstance(result.failed[0].error, DuplicateKey)


def test_encrypted_fields_stay_so(plugged, keys, key):
    db = plugged(EncryptionPlugin(keys))
    card = db.create(Card(token=key, number=PAN, holder={"name": "Ann", "zip": 12}))
    other = db.patch(Card, key, {"number": "4111", "last4": "4111"})
    assert (other.number, db.refresh(card).number) == ("4111", "4111")
    raw = db.get(RawCard, key)
    assert b"4111" not in raw.number
    card.holder = {"name": "Bea", "zip": 1}
    assert db.save_all([card]).ok
    assert b"Bea" not in db.get(RawCard, key).holder
    assert db.refresh(other).holder == {"name": "Bea", "zip": 1}
    assert loaded(db, Card, key).number == "4111"
    assert db.populate([card], Card.token, Card)[card].number == "4111"


def test_who_acts_is_written_down(engine, made, face_kind, key):
    db = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made))
    try:
        db.enable_audit_log()
        with actor("user:1"):
            signed = db.create(Signed(id=key))
        with actor("user:2"):
            assert db.patch(Signed, key, {"note": "x"}).by == "user:2"
        with actor("user:3"):
            signed = db.refresh(signed)
            signed.note = "y"
            assert db.save_all([signed]).ok
        assert db.get(Signed, key).by == "user:3"
        with pytest.raises(ActorRequired):
            db.patch(Signed, key, {"note": "z"})
        signed.note = "z"
        assert isinstance(db.save_all([signed]).failed[0].error, ActorRequired)
    finally:
        db.close()
