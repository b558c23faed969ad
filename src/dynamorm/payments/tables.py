"""`ensure_tables`: the tables that the parts of `dynamorm.payments` keep things in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ConfigError
from dynamorm.plugins import record_model

from .ledger import LedgerBalance, LedgerEntry
from .outbox import OutboxEvent, OutboxQueue
from .two_faces import Steps, on_both

if TYPE_CHECKING:
    from dynamorm.codec.replies.table_description import TableDescription

MODELS: tuple[type[Any], ...] = (LedgerBalance, LedgerEntry, OutboxEvent, OutboxQueue)
"""Whose tables they are."""


@on_both
def ensure_tables(db: Any) -> Steps[TableDescription]:
    """Make the tables of `Ledger`, `Outbox` and `DB.idempotent`, where they are not there. Of an `AsyncDB` it is awaited.

    Returns the description of the last. Its name is ``Config(idempotency_table=...)`` behind the ``table_prefix``; DynamoDB forgets its records by the
    attribute ``exp``. All are of one Region: not to be made global tables, whose replicas agree only later, so that an operation would
    run twice.

    Raises: ModelError for a table of that name with other keys; ConfigError for a global table whose copies follow later; TenantError
    on a view of a tenant.

    Example: ``ensure_tables(db)``, or ``await ensure_tables(db)``
    """
    made: TableDescription = yield db.tables.ensure(record_model(db.config.idempotency_table))
    _check_region(made)
    for model in MODELS:
        _check_region((yield db.tables.ensure(model)))
    return made


def _check_region(table: Any) -> None:
    """Refuse a table whose copies in other Regions follow later. Raises: ConfigError."""
    if table.replicas and table.multi_region_consistency != "STRONG":
        raise ConfigError(
            f"the table {table.name} has copies in {', '.join(table.replicas)} that follow later, so that an operation could run in two"
            " Regions at once: keep the tables of payments in one Region, or in global tables with strong consistency"
        )
