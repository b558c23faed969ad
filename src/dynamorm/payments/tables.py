"""The tables of this package, which belong to no model of a program."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from dynamorm.errors import ConfigError
from dynamorm.plugins import record_model


def ensure_tables(db: Any, /) -> Any:
    """Create the table in which `DB.idempotent` keeps its records, unless it is there. Of an `AsyncDB` it is awaited.

    Its name is ``Config(idempotency_table=...)`` behind the ``table_prefix``; DynamoDB forgets records by the attribute ``exp``. The
    table belongs to one Region: copies that follow later would let an operation run twice.

    Raises: ModelError for a table of that name with other keys; ConfigError for a global table whose copies follow later; TenantError
    on a view of a tenant.

    Example: ``ensure_tables(db)``, or ``await ensure_tables(db)``
    """
    made = db.tables.ensure(record_model(db.config.idempotency_table))
    return _of_one_region_later(made) if isawaitable(made) else _of_one_region(made)


async def _of_one_region_later(made: Any) -> Any:
    return _of_one_region(await made)


def _of_one_region(table: Any) -> Any:
    """The table, unless its copies in other Regions follow later. Raises: ConfigError."""
    if table.replicas and table.multi_region_consistency != "STRONG":
        raise ConfigError(
            f"the table {table.name} has copies in {', '.join(table.replicas)} that follow later, so that an operation could run in two"
            " Regions at once: keep the records of idempotent operations in a table of one Region, or in a global table with strong"
            " consistency"
        )
    return table
