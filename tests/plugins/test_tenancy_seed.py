"""The lines of the original about tenants, as they are written here."""

from datetime import datetime

import pytest

from dynamorm import (
    Attr,
    Mixin,
    Model,
    Presets,
    Tenant,
    attr,
    composite,
    created_at,
    gsi,
    partition_key,
    sort_key,
)
from tests.support.faces import Face

pytestmark = pytest.mark.engine


class TenantAware(Mixin):
    tenant_id: Attr[str] = attr(Tenant())
    by_tenant = gsi("gsi-tenant", partition="tenant_id")


class Customer(TenantAware, Model, table="seed-customers"):
    id: Attr[str] = partition_key()
    name: Attr[str] = attr(default="")


class Transaction(Model, table="seed-transactions"):
    pk: Attr[str] = partition_key(composite("tenant_id", "transaction_id"))
    sk: Attr[str] = sort_key(composite("created_at"))
    tenant_id: Attr[str] = attr(Tenant())
    transaction_id: Attr[str]
    created_at: Attr[datetime] = created_at()


@pytest.mark.filterwarnings("ignore:the partition key of Customer")
def test_all_queries_automatically_include_the_tenant(engine, face_kind):
    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint))
    face.enable_multi_tenancy()
    face.tables.ensure(Customer, Transaction)

    db = face.with_tenant(f"merchant-1-{face_kind}")
    db.put(Customer(id=f"c1-{face_kind}", name="Ada"))
    other = face.with_tenant(f"merchant-2-{face_kind}")
    other.put(Customer(id=f"c2-{face_kind}"))
    assert [one.name for one in db.model(Customer).all()] == ["Ada"]
    assert db.model(Customer).where("name", "=", "Ada").count() == 1
    assert other.model(Customer).where("name", "=", "Ada").count() == 0
    assert other.get(Customer, f"c1-{face_kind}") is None

    made = db.create(Transaction(transaction_id="t1"))
    assert made.pk == f"merchant-1-{face_kind}#t1"
    assert [one.transaction_id for one in db.model(Transaction).where("transaction_id", "=", "t1").all()] == ["t1"]
    assert other.model(Transaction).where("transaction_id", "=", "t1").all() == []
    face.close()
