"""`ensure_tables`: the tables that the parts of `dynamorm.payments` keep things in."""

from __future__ import annotations

from typing import Any

from .ledger_items import LedgerBalance, LedgerEntry
from .outbox_items import OutboxEvent, OutboxQueue
from .two_faces import Steps, on_both

MODELS: tuple[type[Any], ...] = (LedgerBalance, LedgerEntry, OutboxEvent, OutboxQueue)
"""Whose tables they are."""


@on_both
def ensure_tables(db: Any) -> Steps[None]:
    """Make the tables of `Ledger` and `Outbox`, where they are not there.

    They are of one Region: not to be made global tables, whose replicas agree only later.

    Example: ``ensure_tables(db)``
    """
    for model in MODELS:
        yield db.tables.ensure(model)
