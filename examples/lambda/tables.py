"""The tables of the functions. In production they belong to the deployment; a function that makes none loads none of this."""

from __future__ import annotations

from dynamorm import DB
from dynamorm.payments import ensure_tables

from .models import DayTotal, Payment


def make_tables(db: DB) -> None:
    """Make the tables, and that of idempotent operations, or find them as they should be."""
    db.tables.ensure(Payment)
    db.tables.ensure(DayTotal)
    ensure_tables(db)
