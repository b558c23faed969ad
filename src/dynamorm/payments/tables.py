"""The tables of this package, which belong to no model of a program."""

from __future__ import annotations

from typing import Any

from dynamorm.plugins import record_model


def ensure_tables(db: Any, /) -> Any:
    """Create the table in which `DB.idempotent` keeps its records, unless it is there. Of an `AsyncDB` it is awaited.

    Its name is ``Config(idempotency_table=...)`` behind the ``table_prefix``; DynamoDB forgets records by the attribute ``exp``. The
    table belongs to one Region: copies that follow later would let an operation run twice.

    Raises: ModelError for a table of that name with other keys; TenantError on a view of a tenant.

    Example: ``ensure_tables(db)``, or ``await ensure_tables(db)``
    """
    return db.tables.ensure(record_model(db.config.idempotency_table))
