"""`ensure_tables`: the tables that the parts of `dynamorm.payments` keep things in."""

from __future__ import annotations

from typing import Any

from dynamorm.plugins import record_model

from .ledger_items import LedgerBalance, LedgerEntry
from .outbox_items import OutboxEvent, OutboxQueue
from .two_faces import Steps, on_both

MODELS: tuple[type[Any], ...] = (LedgerBalance, LedgerEntry, OutboxEvent, OutboxQueue)
"""Whose tables they are."""


@on_both
def ensure_tables(db: Any) -> Steps[None]:
    """Make the tables of `Ledger`, `Outbox` and `DB.idempotent`, where they are not there. Of an `AsyncDB` it is awaited.

    The name of the last is ``Config(idempotency_table=...)`` behind the ``table_prefix``; DynamoDB forgets its records by the
    attribute ``exp``. All are of one Region: not to be made global tables, whose replicas agree only later, so that an operation would
    run twice.

    Raises: ModelError for a table of that name with other keys; TenantError on a view of a tenant.

    Example: ``ensure_tables(db)``, or ``await ensure_tables(db)``
    """
    yield db.tables.ensure(record_model(db.config.idempotency_table))
    for model in MODELS:
        yield db.tables.ensure(model)
