"""What the stored form of a field depends on is taken from the item: whose it is, and its subject."""

import pytest

from dynamorm import DB, Attr, Encrypted, Model, Tenant, attr, composite, partition_key, schema_of, version
from dynamorm.errors import DynamORMError, TenantRequired
from dynamorm.plugins import EncryptionPlugin, Tenancy

from .encryption_kit import Provider

pytestmark = pytest.mark.filterwarnings("ignore:the partition key of Own")


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


@pytest.fixture
def tenants(plugged, key, face_kind):
    class Own(Model, table=f"known-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        tenant: Attr[str] = attr(Tenant())
        note: Attr[str] = attr(default="")
        number: Attr[str | None] = attr(Encrypted("pii", searchable=True), default=None)
        name: Attr[str | None] = attr(Encrypted("pii"), default=None)

    db = plugged(Tenancy(), EncryptionPlugin(Provider()))
    db.tables.create(Own)
    return Own, db.with_tenant("mine"), db.all_tenants(reason="a test of all of them"), db


def test_an_update_by_key_of_all_tenants_takes_the_tenant_from_the_item(tenants):
    Own, mine, everybody, db = tenants
    mine.create(Own(id="a", number="1"))
    everybody.update(Own, "a", Own.number.set("2"), Own.name.set("n"), condition=Own.tenant == "mine")
    found = mine.get(Own, "a")
    assert (found.number, found.name) == ("2", "n")
    mine.create(Own(id="same", number="2"))
    with DB(db.inner.config) as plain:

        class Raw(Model, table=schema_of(Own).table):
            id: Attr[str] = partition_key()
            index: Attr[bytes | None] = attr(name="_bi_number", default=None)

        raw = [plain.get(Raw, name) for name in ("a", "same")]
    assert len({row.index for row in raw}) == 1
    with everybody.transaction() as tx:
        tx.update(Own, "a", Own.number.set("3"), condition=Own.tenant == "mine")
    loaded = everybody.get(Own, "a")
    loaded.number, loaded.name = "4", "m"
    everybody.save(loaded)
    everybody.update(loaded, Own.name.set("o"))
    found = mine.get(Own, "a")
    assert (found.number, found.name) == ("4", "o")
    everybody.update(Own, "a", Own.number.remove(), condition=Own.tenant == "mine")
    assert mine.get(Own, "a").number is None


def test_an_upsert_of_all_tenants_takes_the_tenant_that_it_is_given(tenants):
    Own, mine, everybody, _db = tenants
    everybody.upsert(Own(id="b", tenant="mine"), Own.number.set("5"))
    assert mine.get(Own, "b").number == "5"


def test_nobody_knows_the_tenant_of_an_item_that_is_not_there(tenants):
    Own, mine, everybody, _db = tenants
    with pytest.raises((TenantRequired, DynamORMError)) as refused:
        everybody.update(Own, "none", Own.number.set("5"), condition=Own.tenant == "mine")
    assert refused.value.outcome == "NOT_APPLIED"
    assert mine.get(Own, "none") is None


def test_an_update_in_the_view_of_a_tenant_reads_nothing(tenants, key):
    Own, mine, _, _ = tenants
    mine.create(Own(id="a", number="1"))
    mine.update(Own, "a", Own.number.set("2"))
    plan = mine._session.plan(Own)
    assert plan.codec.depends == ()
    assert not any(type(rule).__name__ == "WholeItemRule" for rules in plan.rules.values() for rule in rules)


def test_the_key_may_say_whose_an_item_is(plugged, key, face_kind):
    class Keyed(Model, table=f"keyed-{key[:12]}-{face_kind}"):
        pk: Attr[str] = partition_key(composite("tenant", "id"))
        id: Attr[str] = attr(default="")
        tenant: Attr[str] = attr(Tenant())
        number: Attr[str | None] = attr(Encrypted("pii"), default=None)

    db = plugged(Tenancy(), EncryptionPlugin(Provider()))
    db.tables.create(Keyed)
    mine, everybody = db.with_tenant("mine"), db.all_tenants(reason="a test of all of them")
    mine.create(Keyed(id="a", number="1"))
    everybody.update(Keyed, Keyed.number.set("2"), id="a", tenant="mine")
    assert mine.get(Keyed, id="a").number == "2"


@pytest.mark.parametrize("ring", ["pii", "pci"])
def test_an_upsert_takes_the_subject_that_it_is_given(plugged, key, face_kind, ring):
    class Owned(Model, table=f"owned-{ring}-{key[:12]}-{face_kind}"):
        id: Attr[str] = partition_key()
        customer: Attr[str] = attr(immutable=True, default="c0")
        number: Attr[str | None] = attr(Encrypted(ring, subject="customer", searchable=True), default=None)
        version: Attr[int] = version()

    db = plugged(EncryptionPlugin(Provider()))
    db.tables.create(Owned)
    db.upsert(Owned(id="a", customer="c1", number="0"), Owned.number.set("1"))
    db.upsert(Owned(id="b", customer="c2"), Owned.number.set("2"))
    db.update(Owned, "c", Owned.number.set("3"), upsert=True)
    db.update(Owned, "a", Owned.number.set("4"), upsert=True)
    found = [db.get(Owned, name) for name in "abc"]
    assert [(one.customer, one.number) for one in found] == [("c1", "4"), ("c2", "2"), ("c0", "3")]
    assert [one.id for one in db.model(Owned).allow_scan().where(Owned.number.equals("2")).all()] == ["b"]
