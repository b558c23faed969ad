"""Tenants: a view of one tenant reads and writes that tenant's items alone, and without a tenant nothing is done.

Example::

    class Transaction(Model, table="ledger"):
        pk: Attr[str] = partition_key(composite("tenant_id", "transaction_id"))
        tenant_id: Attr[str] = attr(Tenant())
        transaction_id: Attr[str]


    db.enable_multi_tenancy()
    merchant = db.with_tenant("merchant-1")
    merchant.create(Transaction(transaction_id="t1"))
    merchant.get(Transaction, transaction_id="t1")
"""

from __future__ import annotations

from .option import Tenant
from .plugin import Tenancy
from .policy import session_policy
from .recording import AllTenantsRecord
from .scopes import tenant_scope

__all__ = ["AllTenantsRecord", "Tenancy", "Tenant", "session_policy", "tenant_scope"]
