"""Items that were there before their model had a tenant: a view of all tenants gives them one, and nobody changes it after that."""

import uuid

import pytest

from dynamorm import DB, Attr, Model, attr, partition_key, sort_key, version
from dynamorm.errors import (
    ConditionFailed,
    InvalidTenant,
    MissingItem,
    Outcome,
    TenantMismatch,
    TenantRequired,
    TransactionCancelled,
    ValidationError,
)

from .tenancy_kit import Order, Put, Shared, Txn, tenants

pytestmark = pytest.mark.engine


class OldShared(Model, table="tenancy-shared"):
    """What the table held before."""

    id: Attr[str] = partition_key()
    amount: Attr[int]
    status: Attr[str]
    tenant_id: Attr[str | None] = attr(default=None, omit_empty=True)


class OldPut(Model, table="tenancy-prefixed"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    version: Attr[int] = version()


class OldTxn(Model, table="tenancy-ledger"):
    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()
    number: Attr[str]
    at: Attr[str]
    amount: Attr[int]
    status: Attr[str]


@pytest.fixture
def db(engine, face_kind):
    face = tenants(face_kind, engine)
    yield face
    face.close()


@pytest.fixture
def every(db):
    return db.all_tenants(reason="tenants are new here")


@pytest.fixture
def names():
    name = uuid.uuid4().hex
    return f"{name}-a", f"{name}-b"


@pytest.fixture
def old(db):
    """The key of an item without a tenant."""
    key = uuid.uuid4().hex
    with DB(db.inner.config) as plain:
        plain.create(OldShared(id=key, amount=7, status="new"))
    return key


def owner(db, key):
    """The tenant that is stored, or None."""
    with DB(db.inner.config) as plain:
        return plain.require(OldShared, key, consistent=True).tenant_id


def test_an_item_without_a_tenant_is_read_as_one_of_none(every, old):
    assert every.get(Shared, old).tenant_id == ""
    assert old in {one.id for one in every.model(Shared).allow_scan().all()}


def by_save(every, obj, key, tenant):
    obj.tenant_id = tenant
    every.save(obj)


def by_update(every, obj, key, tenant):
    every.update(Shared, key, Shared.tenant_id.set(tenant))


def by_condition(every, obj, key, tenant):
    every.update(Shared, key, Shared.tenant_id.set(tenant), condition=Shared.tenant_id.not_exists())


def by_put(every, obj, key, tenant):
    obj.tenant_id = tenant
    every.put(obj)


def by_upsert(every, obj, key, tenant):
    every.update(Shared, key, Shared.tenant_id.set(tenant), upsert=True)


def in_transaction(every, obj, key, tenant):
    with every.transaction() as tx:
        tx.update(Shared, key, Shared.tenant_id.set(tenant))


def in_transaction_saved(every, obj, key, tenant):
    obj.tenant_id = tenant
    with every.transaction() as tx:
        tx.save(obj)


WAYS = [by_save, by_update, by_condition, by_put, by_upsert, in_transaction, in_transaction_saved]


@pytest.mark.parametrize("adopt", WAYS)
def test_it_is_given_a_tenant_once(db, every, old, names, adopt):
    mine, other = names
    stale = every.get(Shared, old)
    adopt(every, every.get(Shared, old), old, mine)
    assert owner(db, old) == mine
    found = db.with_tenant(mine).get(Shared, old)
    assert (found.tenant_id, found.amount) == (mine, 7)
    assert db.with_tenant(other).get(Shared, old) is None
    with pytest.raises((ConditionFailed, TransactionCancelled)) as told:
        adopt(every, stale, old, other)
    assert told.value.outcome is Outcome.NOT_APPLIED
    assert owner(db, old) == mine


@pytest.mark.parametrize("adopt", [by_update, by_put, by_upsert])
def test_the_refusal_says_whose_it_is_not(every, old, names, adopt):
    mine, other = names
    stale = every.get(Shared, old)
    by_update(every, None, old, mine)
    with pytest.raises(ConditionFailed, match="is of another tenant than the write names"):
        adopt(every, stale, old, other)


def test_a_condition_on_the_tenant_of_an_item_without_one_says_so(every, old, names):
    with pytest.raises(ConditionFailed, match="is of no tenant yet"):
        every.update(Shared, old, Shared.amount.set(1), condition=Shared.tenant_id == names[0])


def test_a_refusal_that_has_nothing_to_do_with_the_tenant_does_not_speak_of_it(every, old, names):
    mine, _ = names
    by_update(every, None, old, mine)
    obj = every.get(Shared, old)
    with pytest.raises(ConditionFailed) as other:
        every.update(obj, Shared.amount.set(1), condition=Shared.amount == 8)
    every.delete(obj)
    with pytest.raises(MissingItem) as gone:
        every.update(obj, Shared.amount.set(1))
    assert "tenant" not in f"{other.value.message}{gone.value.message}"


@pytest.mark.parametrize("tenant", ["", "~x", "T", "a\u200b", "e\u0301"])
def test_what_is_no_tenant_is_not_stored_as_one(db, every, old, tenant):
    with pytest.raises((InvalidTenant, TenantMismatch)):
        by_update(every, None, old, tenant)
    assert owner(db, old) is None


def test_a_view_of_one_tenant_adopts_nothing(db, every, old, names):
    view = db.with_tenant(names[0])
    found = every.get(Shared, old)
    with pytest.raises(ConditionFailed):
        view.update(Shared, old, Shared.tenant_id.set(names[0]))
    with pytest.raises((TenantMismatch, ConditionFailed)):
        view.save(found)
    with pytest.raises(ConditionFailed):
        view.put(Shared(id=old))
    assert owner(db, old) is None


def test_an_object_without_a_tenant_is_not_written(every, old):
    found = every.get(Shared, old)
    found.amount = 8
    for write in (every.save, every.put):
        with pytest.raises(TenantRequired):
            write(found)


def test_a_keyed_item_is_completed_by_its_own_tenant(db, every, names):
    mine, other = names
    with DB(db.inner.config) as plain:
        plain.create(OldPut(id=f"T#{mine}#k", amount=3))
    view = db.with_tenant(mine)
    found = view.get(Put, "k")
    assert view.update(Put, "k", Put.amount.add(1)).amount == 4
    found = view.get(Put, "k")
    found.amount = 5
    view.save(found)
    assert view.get(Put, "k").tenant_id == mine
    with DB(db.inner.config) as plain:
        plain.create(OldPut(id=f"T#{mine}#{mine}", amount=3))
    (stored,) = [one for one in every.model(Put).allow_scan().all() if (one.id, one.tenant_id) == (mine, "")]
    stored.tenant_id = other
    with pytest.raises(ValidationError, match="another key"):
        every.save(stored)
    with pytest.raises(ValidationError, match="another key"):
        every.update(stored, Put.tenant_id.set(other))
    stored.tenant_id = mine
    every.save(stored)
    assert view.get(Put, mine).tenant_id == mine


def test_a_key_that_holds_the_tenant_says_whose_its_item_is(db, every, names):
    mine = names[0]
    with DB(db.inner.config) as plain:
        plain.create(OldTxn(pk=f"{mine}#n", sk="0", number="n", at="0", amount=1, status="new"))
    view = db.with_tenant(mine)
    found = view.get(Txn, number="n", at="0")
    assert found.tenant_id == mine
    assert view.update(Txn, Txn.amount.set(2), number="n", at="0").amount == 2
    found = every.get(Txn, f"{mine}#n", "0")
    found.amount = 3
    every.save(found)
    assert view.get(Txn, number="n", at="0").amount == 3


# ----------------------------------------------------------------------------------------- nothing was sent, and it says so


def saved(view, obj):
    view.save(obj)


def saved_in_transaction(view, obj):
    with view.transaction() as tx:
        tx.save(obj)


@pytest.mark.parametrize("save", [saved, saved_in_transaction])
@pytest.mark.parametrize("make", [lambda: Order(number="1"), lambda: Shared(id=uuid.uuid4().hex), lambda: Put(id="p")])
def test_a_save_of_an_object_whose_tenant_was_changed_is_not_applied(db, names, save, make):
    mine, other = names
    obj = make()
    db.with_tenant(mine).create(obj)
    obj.tenant_id, obj.amount = other, 99
    with pytest.raises((TenantMismatch, ValidationError)) as told:
        save(db.with_tenant(other), obj)
    assert (told.value.outcome, told.value.retryable) == (Outcome.NOT_APPLIED, False)
