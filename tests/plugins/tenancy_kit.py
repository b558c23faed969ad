"""Models of tenants, and databases over them, for the tests of tenancy."""

from __future__ import annotations

import warnings

from dynamorm import Attr, Model, Presets, Tenant, Unique, attr, composite, gsi, partition_key, sort_key, version
from dynamorm.errors import DynamORMError
from dynamorm.plugins.tenancy import Tenancy
from tests.support.faces import Face

IDS = ("a", "a#", "a%23", "A", "\u00e9", "e\u0301x", "a" * 128, "*", "${aws:username}", "a*", "a#b", "T#a", "t1", "t10")
"""Ids that try to be taken for one another; the last but one begins the last."""


class Txn(Model, table="tenancy-ledger"):
    """Keyed, by a composite that begins with the tenant."""

    pk: Attr[str] = partition_key(composite("tenant_id", "number"))
    sk: Attr[str] = sort_key(composite("at"))
    tenant_id: Attr[str] = attr(Tenant())
    number: Attr[str]
    at: Attr[str] = attr(default="0")
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    mail: Attr[str | None] = attr(Unique(), default=None)
    place: Attr[str | None] = attr(Unique(across_tenants=True), default=None)
    status_key: Attr[str] = attr(composite("tenant_id", "status"), init=False)
    by_status = gsi("gsi-status", partition="status_key", sort="amount")
    by_bare_status = gsi("gsi-bare-status", partition="status", sort="amount")


class Order(Model, table="tenancy-orders"):
    """Keyed: the partition key is the tenant."""

    tenant_id: Attr[str] = partition_key(Tenant())
    number: Attr[str] = sort_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Shared(Model, table="tenancy-shared"):
    """Shared-key: the seed's ``TenantAware`` with an id."""

    id: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant())
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    by_tenant = gsi("gsi-tenant", partition="tenant_id", sort="amount")
    by_status = gsi("gsi-shared-status", partition="status", sort="amount")


class Put(Model, table="tenancy-prefixed"):
    """Keyed: the library puts the tenant before the key."""

    id: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant(prefix=True))
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Plain(Model, table="tenancy-plain"):
    """Of no tenant."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


MODELS = (Txn, Order, Shared, Put, Plain)


def tenants(kind, engine, *plugins, prefix="", tables=True, **settings):
    """A database with the plugin, on one face."""
    config = Presets.local_development(
        endpoint=getattr(engine, "endpoint", engine), table_prefix=prefix, cursor_key=b"k" * 32, **settings
    )
    face = Face(kind, config, extensions=(Tenancy(), *plugins))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the model whose keys are shared
        if tables:
            face.tables.ensure(*MODELS)
        else:
            for model in MODELS:
                face.inner.view(tenant="any")._session.plan(model)
    return face


def outcome(function):
    """What a call gives, or the class of its error, which tells no item."""
    try:
        return function()
    except DynamORMError as error:
        told = error
    assert getattr(told, "item", None) is None
    return type(told)
