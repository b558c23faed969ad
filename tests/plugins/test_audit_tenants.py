"""Tracked models of tenants and registered classes: what is gone is made again, and a view of all tenants writes and reads chains."""

import dataclasses
import uuid
import warnings

import pydantic
import pytest

from dynamorm import (
    Attr,
    Model,
    Presets,
    Tenant,
    Unique,
    actor,
    adapters,
    attr,
    composite,
    gsi,
    partition_key,
    sort_key,
)
from dynamorm.errors import TenantRequired, ValidationError
from dynamorm.plugins.tenancy import Tenancy
from tests.support.faces import Face

from .audit_kit import KEY, tracking

pytestmark = pytest.mark.engine

STORE = "audit-tenants-log"


class Txn(Model, table="audit-tenants-txn"):
    pk: Attr[str] = partition_key(composite("tenant_id", "number"))
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    number: Attr[str]
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="open")
    status_key: Attr[str] = attr(composite("tenant_id", "status"), init=False)
    by_status = gsi("gsi-status", partition="status_key", sort="amount")


class Whole(Model, table="audit-tenants-whole"):
    tenant_id: Attr[str] = partition_key(Tenant(), init=False)
    number: Attr[str] = sort_key()
    amount: Attr[int] = attr(default=0)
    mail: Attr[str | None] = attr(Unique(), default=None)


class Prefixed(Model, table="audit-tenants-prefixed"):
    number: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant(prefix=True), init=False)
    amount: Attr[int] = attr(default=0)


class Shared(Model, table="audit-tenants-shared"):
    number: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    amount: Attr[int] = attr(default=0)


class Parts(Model, table="audit-tenants-parts"):
    """Of no tenant; its key is made of fields, and so is that of an index."""

    pk: Attr[str] = partition_key(composite("user", "day"))
    user: Attr[str]
    day: Attr[int]
    amount: Attr[int] = attr(default=0)
    kept: Attr[str] = attr(default="k", immutable=True)
    index_key: Attr[str] = attr(composite("day", "amount"), init=False)
    by_amount = gsi("gsi-amount", partition="index_key")


@dataclasses.dataclass
class Plain:
    id: str
    amount: int = 0


class Checked(pydantic.BaseModel):
    id: str
    amount: int = pydantic.Field(default=0, alias="theAmount")
    model_config = pydantic.ConfigDict(populate_by_name=True)


adapters.register(Plain, table="audit-tenants-plain", partition="id")
adapters.register(Checked, table="audit-tenants-checked", partition="id")

TRACKED = {
    Txn: ["amount", "status"],
    Whole: ["amount", "mail"],
    Prefixed: ["amount"],
    Shared: ["amount"],
    Parts: ["amount", "user", "kept"],
    Plain: ["amount"],
    Checked: ["amount"],
}


def track(db):
    for model, fields in TRACKED.items():
        db.enable_change_tracking(model, tracking(fields, store=STORE))


@pytest.fixture
def db(engine, face_kind):
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix="tenants-")
    face = Face(face_kind, config, extensions=(Tenancy(),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the model whose keys are shared
        track(face)
        face.tables.ensure(*TRACKED)
    with actor("user:1"):
        yield face
    face.close()


@pytest.fixture
def key():
    return uuid.uuid4().hex


@pytest.fixture
def mine(key):
    return f"t-{key}"


OF_TENANTS = [Txn, Whole, Prefixed, Shared]


def parts_of(model, key):
    return {"number": key} if model is Txn else {}, () if model is Txn else (key,)


@pytest.mark.parametrize("model", OF_TENANTS)
def test_what_is_gone_is_made_again_in_its_tenants_view(db, key, mine, model):
    view, (parts, keys) = db.with_tenant(mine), parts_of(model, key)
    view.create(model(number=key, amount=1))
    view.update(model, *keys, model.amount.set(2), **parts)
    view.delete(model, *keys, **parts)
    first = view.audit.history(model, *keys, **parts)[0]
    assert view.audit.as_of(model, *keys, first.at, **parts).complete
    restored = view.audit.restore(model, *keys, version=2, **parts)
    assert (restored.item.tenant_id, restored.item.amount, restored.left_out) == (mine, 2, ())
    found = view.require(model, *keys, **parts)
    assert (found.tenant_id, found.number, found.amount) == (mine, key, 2)
    if model is Txn:
        assert found.status_key == f"{mine}#open"
        assert [one.number for one in view.model(Txn).where(Txn.status == "open").all()] == [key]
    assert view.audit.verify(model, *keys, **parts).ok
    assert [one.op for one in view.audit.history(model, *keys, **parts)] == ["create", "update", "delete", "create"]


def test_a_key_of_parts_is_restored_by_its_parts_and_by_its_text(db, key):
    for keys, parts in (((), {"user": key, "day": 7}), ((f"{key}#7",), {})):
        db.put(Parts(user=key, day=7, amount=1))
        version = db.audit.history(Parts, *keys, **parts)[-1].version
        db.update(Parts, *keys, Parts.amount.set(2), **parts)
        restored = db.audit.restore(
            Parts, *keys, version=version, **parts
        )  # a part of the key, and what is kept, stays
        assert (restored.fields, restored.left_out, restored.item.amount) == (("amount",), (), 1)
        db.delete(Parts, *keys, **parts)
        restored = db.audit.restore(Parts, *keys, version=version, **parts)
        assert (restored.item.user, restored.item.day, restored.item.amount) == (key, 7, 1)
        assert db.require(Parts, f"{key}#7").index_key == "7#1"
        assert db.audit.verify(Parts, *keys, **parts).ok
        db.delete(Parts, *keys, **parts)


def test_what_no_record_tells_is_named(db, key):
    db.create(Untold(id=key, amount=1, note="n"))
    db.delete(Untold, key)
    assert not db.audit.as_of(Untold, key, db.audit.history(Untold, key)[0].at).complete
    with pytest.raises(ValidationError, match="they do not tell note; "):
        db.audit.restore(Untold, key, version=1)


class Untold(Model, table="audit-tenants-untold"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    note: Attr[str]


TRACKED[Untold] = ["amount"]


@pytest.mark.parametrize("model", [Plain, Checked])
def test_a_registered_class_is_restored(db, key, model):
    db.create(model(id=key, amount=1))
    found = db.require(model, key)
    found.amount = 2
    db.save(found)
    restored = db.audit.restore(model, key, version=1)
    assert (restored.fields, restored.item.amount, db.require(model, key).amount) == (("amount",), 1, 1)
    db.delete(model, key)
    assert db.audit.restore(model, key, version=2).item.amount == 2
    found = db.require(model, key)
    assert (type(found), found.amount) == (model, 2)
    assert db.audit.verify(model, key).ok


# ------------------------------------------------------------------------------------------------------------ all tenants


@pytest.mark.parametrize("model", OF_TENANTS)
def test_a_view_of_all_tenants_writes_into_the_chain_of_the_tenant(db, key, mine, model):
    every, view, (parts, keys) = db.all_tenants(reason="repair"), db.with_tenant(mine), parts_of(model, key)
    obj = model(number=key, amount=1)
    obj.tenant_id = mine
    every.create(obj)
    obj.amount = 2
    every.save(obj)
    with every.transaction() as tx:
        tx.update(obj, model.amount.add(1))
    every.put(obj)
    obj.amount = 9
    every.put(obj)
    every.delete(obj)
    told = view.audit.history(model, *keys, **parts)
    assert [one.op for one in told] == ["create", "update", "update", "update", "delete"]
    assert [one.changes[0].new for one in told] == [1, 2, 3, 9, None]
    assert view.audit.verify(model, *keys, **parts).ok


KEYED = [
    (Txn, lambda mine, key: (f"{mine}#{key}",)),
    (Whole, lambda mine, key: (mine, key)),
    (Shared, lambda mine, key: (key,)),
]


@pytest.mark.parametrize(("model", "key_of"), KEYED)
def test_a_view_of_all_tenants_writes_and_reads_by_key(db, key, mine, model, key_of, tmp_path):
    every, view, full = db.all_tenants(reason="repair"), db.with_tenant(mine), key_of(mine, key)
    view.create(model(number=key, amount=1))
    every.update(model, *full, model.amount.set(2), condition=model.tenant_id == mine)
    assert [one.op for one in every.audit.history(model, *full)] == ["create", "update"]
    assert every.audit.verify(model, *full).ok
    restored = every.audit.restore(model, *full, version=1)
    assert (restored.item.amount, restored.item.tenant_id) == (1, mine)
    assert every.audit.export(tmp_path / "records", model, *full) == 3
    parts, keys = parts_of(model, key)
    assert view.audit.verify(model, *keys, **parts).ok
    every.delete(model, *full, condition=model.tenant_id == mine)
    if model is Shared:  # nothing says any more whose it was
        with pytest.raises(ValidationError, match="kept by tenant"):
            every.audit.history(model, *full)
        return
    assert every.audit.restore(model, *full, version=2).item.amount == 2
    assert view.audit.verify(model, *keys, **parts).checked == 5


def test_the_database_itself_has_no_tenant(db, key):
    for call in (db.audit.history, db.audit.verify):
        with pytest.raises(TenantRequired):
            call(Shared, key)
    assert len(KEY) == 32
