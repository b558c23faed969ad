"""Items of tenants, encrypted items, and the records of the audit trail, under keys that are made up."""

from __future__ import annotations

import warnings
from base64 import b64decode, b64encode
from datetime import date
from typing import Any

import msgspec

import dynamorm
from dynamorm import (
    Attr,
    AuditableModel,
    ChangeTrackingConfig,
    Encrypted,
    LocalKeyProvider,
    Model,
    Tenant,
    Unique,
    attr,
    composite,
    gsi,
    partition_key,
    sort_key,
    version,
)
from dynamorm.plugins import Bits
from dynamorm.plugins.audit import SignedHead, Signer

from .kit import WRITTEN, World, story


class Transaction(Model, table="golden-tenants"):
    pk: Attr[str] = partition_key(composite("tenant_id", "transaction_id"))
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    transaction_id: Attr[str]
    reference: Attr[str | None] = attr(Unique(), default=None)
    status: Attr[str] = attr(default="open")
    status_key: Attr[str] = attr(composite("tenant_id", "status"), init=False)
    by_status = gsi("by-status", partition="status_key", sort="pk")


class Order(Model, table="golden-prefixed"):
    id: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant(prefix=True), init=False)


class Invoice(Model, table="golden-keyed"):
    tenant_id: Attr[str] = partition_key(Tenant())
    number: Attr[int] = sort_key()
    version: Attr[int] = version()


class Shared(Model, table="golden-shared-key"):
    id: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    name: Attr[str] = attr(default="")


def _tenants(db, folder, kept):
    db.enable_multi_tenancy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        db.tables.ensure(Transaction, Order, Invoice, Shared)


def _tenants_read(here: World, kept):
    acme, other = here.db.with_tenant("acme"), here.db.with_tenant("b#/é")
    return {
        "by key": acme.require(Transaction, transaction_id="t1"),
        "by index": acme.model(Transaction).where(Transaction.status == "open").all(),
        "unique": [view.find_by_unique(Transaction, reference="r1") for view in (acme, other)],
        "prefixed": [view.require(Order, "o1") for view in (acme, other)],
        "keyed": [view.model(Invoice).all() for view in (acme, other)],
        "shared": [acme.get(Shared, "s1"), other.get(Shared, "s1")],
    }


@story(_tenants, _tenants_read)
def tenants(here: World):
    for name in ("acme", "b#/é"):
        view = here.db.with_tenant(name)
        view.create(Transaction(transaction_id="t1", reference="r1"))
        view.create(Order(id="o1"))
        view.create(Invoice(number=1))
    here.db.with_tenant("acme").create(Shared(id="s1", name="Ada"))


def _provider(db, folder, kept):
    """The key of the machine, as it was when the items were written."""
    path = folder / "keys"
    if kept:
        path.write_bytes(b64decode(kept["key file"]))
        path.chmod(0o600)
    db.set_encryption_provider(LocalKeyProvider(path))


def _key_file(here: World) -> str:
    return b64encode((here.folder / "keys").read_bytes()).decode()


class Card(Model, table="golden-cards"):
    token: Attr[str] = partition_key()
    last4: Attr[str]
    number: Attr[str] = attr(Encrypted("pci", searchable=True), Unique())
    holder: Attr[dict[str, Any] | None] = attr(Encrypted("pii"), default=None)
    mail: Attr[str | None] = attr(Encrypted("pii", searchable=Bits(16), normalize=str.casefold), default=None)
    limit: Attr[int] = attr(Encrypted("pii"), default=0)
    raw: Attr[bytes] = attr(Encrypted("pii", seal=True), default=b"")
    version: Attr[int] = version()
    by_number = gsi("by-number", partition="number")


class Street(Model, table="golden-subjects"):
    customer_id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    street: Attr[str] = attr(Encrypted("pii", subject="customer_id"))


class Vault(Model, table="golden-vault"):
    tenant_id: Attr[str] = partition_key(Tenant())
    id: Attr[str] = sort_key()
    secret: Attr[str] = attr(Encrypted("pii"))


def _encrypted(db, folder, kept):
    _provider(db, folder, kept)
    db.enable_multi_tenancy()
    db.tables.ensure(Card, Street, Vault)


def _encrypted_read(here: World, kept):
    db = here.db

    def clear(card: Card) -> dict[str, Any]:
        names = ("token", "last4", "number", "holder", "mail", "limit", "raw", "version")
        return {name: getattr(card, name) for name in names}

    card = db.require(Card, "t1")
    before = clear(card)
    card.limit = 7
    db.save(card)  # the seal that was stored is checked, and made anew
    return {
        "cards": [before, clear(db.require(Card, "t2"))],
        "saved": clear(db.require(Card, "t1")),
        "by index": [one.token for one in db.model(Card).where(Card.number.equals("4222222222222222")).all()],
        "by bits": [one.token for one in db.model(Card).allow_scan().where(Card.mail.equals("ADA@example.com")).all()],
        "unique": db.find_by_unique(Card, number="4111111111111111").token,
        "subject": db.require(Street, "c1", 1).street,
        "tenants": [db.with_tenant(name).require(Vault, name, "v1").secret for name in ("acme", "b")],
    }


@story(_encrypted, _encrypted_read)
def encrypted_fields(here: World):
    db = here.db
    db.create(
        Card(
            token="t1",
            last4="1111",
            number="4111111111111111",
            holder={"name": "Ada"},
            mail="Ada@Example.com",
            raw=b"\0",
        )
    )
    db.keys.rotate("pci")
    db.create(Card(token="t2", last4="2222", number="4222222222222222", limit=5))
    db.create(Street(customer_id="c1", number=1, street="Elm Street"))
    for name in ("acme", "b"):
        db.with_tenant(name).create(Vault(id="v1", secret=f"of {name}"))
    return {"key file": _key_file(here)}


AUDIT_KEY = b"k" * 32


class Payment(AuditableModel, Model, table="golden-audited"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    number: Attr[str | None] = attr(Encrypted("pci"), default=None)
    version: Attr[int] = version()


def _audited(db, folder, kept):
    _provider(db, folder, kept)
    db.enable_audit_log(audit_key=AUDIT_KEY)
    tracked = ChangeTrackingConfig(
        fields=["amount", "note", "tags", "number"], store="golden-audit-log", checkpoints=Signer.ed25519(b"p" * 32)
    )
    db.enable_change_tracking(Payment, tracked)
    db.tables.ensure(Payment)


def _audited_read(here: World, kept):
    audit = here.db.audit
    verdict = audit.verify(Payment, "p1")
    with dynamorm.actor("user:9", ip="192.0.2.9"):
        records = audit.history(Payment, "p1", reveal=True)
        payment = here.db.require(Payment, "p1")
        payment.amount = 9
        here.db.save(payment)  # the chain that was stored is gone on with
    return {
        "ok": [verdict.ok, audit.verify(Payment, "p1").ok, audit.verify(Payment, "p2").ok],
        "records": [
            [one.version, one.op, one.by, one.ip, [[change.field, change.old, change.new] for change in one.changes]]
            for one in records
        ],
        "filled in": [payment.created_by, payment.updated_by, payment.updated_ip],
        "change log": [[one.field, one.old, one.new, one.by] for one in payment.change_log],
        "as of": audit.as_of(Payment, "p1", records[0].at).values,
        "head": audit.verify_checkpoint(msgspec.json.decode(kept["head"], type=SignedHead)),
        "now": len(audit.history(Payment, "p1")),
    }


@story(_audited, _audited_read)
def audit_records(here: World):
    with dynamorm.actor("user:42", ip="203.0.113.7", user_agent="curl/8", request_id="r-1"):
        payment = here.db.create(Payment(id="p1", amount=500, tags={"b", "a"}, number="4111111111111111"))
        payment.note = "n" * 300  # of which a digest is kept
        here.db.save(payment)
        here.db.update(payment, Payment.amount.add(-50), Payment.number.set("4222222222222222"))
        here.db.create(Payment(id="p2", amount=1))
        here.db.delete(Payment, "p2")
    with dynamorm.actor("auditor:1"):
        here.db.audit.history(Payment, "p1", reveal=True)
    head = here.db.audit.checkpoint(None, date(WRITTEN.year, 5, 1))
    return {"key file": _key_file(here), "head": msgspec.json.encode(head).decode()}
