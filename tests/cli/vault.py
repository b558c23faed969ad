"""A program with an audit trail and encrypted fields, as the command line opens it."""

from __future__ import annotations

import os

import dynamorm
from dynamorm import DB, Attr, ChangeTrackingConfig, Encrypted, LocalKeyProvider, Model, Presets, attr, partition_key


class Card(Model, table="cards"):
    token: Attr[str] = partition_key()
    status: Attr[str] = attr(default="new")
    number: Attr[str] = attr(Encrypted("pci"))


class Payment(Model, table="audited"):
    id: Attr[str] = partition_key()
    amount: Attr[int]


def open_db() -> DB:
    db = DB(Presets.local_development())
    db.enable_audit_log(audit_key=b"k" * 32)
    db.enable_change_tracking(Payment, ChangeTrackingConfig(fields=["amount"], store="audit-store"))
    db.set_encryption_provider(LocalKeyProvider(os.environ["VAULT_KEYS"]))
    return db


def open_bare() -> DB:
    """Neither tracking nor keys."""
    return DB(Presets.local_development())


def open_late() -> DB:
    db = open_db()
    open(os.environ["VAULT_WAITS"]).read()  # noqa: SIM115, PTH123 - until the test has come so far
    return db


def fill(db: DB, count: int = 0) -> None:
    db.tables.ensure(Payment, Card)
    with dynamorm.actor("user:42"):
        for number in range(count or 3):
            payment = db.create(Payment(id=f"p{number}", amount=5))
            db.update(payment, Payment.amount.add(1))
    for number in range(count) if count else [1]:
        db.create(Card(token=f"c{number}", number="4111111111111111"))


nothing = 5


def failing() -> DB:
    raise RuntimeError("the secret")
