"""What the service stores. Everything that belongs to a merchant has its tenant in the key."""

from __future__ import annotations

from datetime import datetime

from dynamorm import (
    Attr,
    Encrypted,
    Ephemeral,
    Model,
    Secret,
    Tenant,
    Unique,
    attr,
    composite,
    created_at,
    gsi,
    partition_key,
    sort_key,
    ttl,
    version,
)
from dynamorm.payments import PaymentMixin, RefundMixin


class Payment(Model, PaymentMixin, table="service-payments"):
    """A payment. ``order`` is the merchant's own reference, ``authorization`` the acquirer's.

    ``settled``: its money has arrived. That is no part of the status alone, for a payment that is refunded stays so.
    """

    pk: Attr[str] = partition_key(composite("tenant_id", "id"), init=False)
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    id: Attr[str]
    order: Attr[str]
    card: Attr[str]
    authorization: Attr[str | None] = attr(default=None)
    settled: Attr[bool] = attr(default=False)
    status_key: Attr[str] = attr(composite("tenant_id", "status"), init=False)
    by_time = gsi("by-time", partition="tenant_id", sort="created_at")
    by_status = gsi("by-status", partition="status_key", sort="created_at")


class Refund(Model, RefundMixin, table="service-refunds"):
    """A refund of a payment."""

    pk: Attr[str] = partition_key(composite("tenant_id", "id"), init=False)
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    id: Attr[str]


class Card(Model, table="service-cards"):
    """A card in the vault: its number is encrypted, and found by a keyed hash; its CVV is stored nowhere."""

    pk: Attr[str] = partition_key(composite("tenant_id", "token"), init=False)
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    token: Attr[str]
    number: Attr[str] = attr(Encrypted("pci", searchable=True), Unique())
    cvv: Attr[Secret | None] = attr(Encrypted("pci"), Ephemeral(), default=None)
    last4: Attr[str]
    exp_month: Attr[int]
    exp_year: Attr[int]
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()


class Endpoint(Model, table="service-endpoints"):
    """Where the webhooks of a merchant are sent, and the secret that they are signed with."""

    tenant_id: Attr[str] = partition_key(Tenant(), init=False)
    url: Attr[str]
    secret: Attr[str] = attr(Encrypted("webhooks"))
    version: Attr[int] = version()


class Delivery(Model, table="service-deliveries"):
    """One attempt to deliver an event. ``at`` and the event's id are its place; it is forgotten after 90 days."""

    pk: Attr[str] = partition_key(composite("tenant_id", "payment_id"), init=False)
    place: Attr[str] = sort_key(composite("at", "event_id"), init=False)
    tenant_id: Attr[str] = attr(Tenant(), init=False)
    payment_id: Attr[str]
    at: Attr[datetime]
    event_id: Attr[str]
    topic: Attr[str]
    attempt: Attr[int]
    answer: Attr[str]
    expires_at: Attr[datetime | None] = ttl(default=None)


class ApiKey(Model, table="service-keys"):
    """Whose requests these are. Stored is the SHA-256 of a key, which is 32 random bytes; never the key."""

    digest: Attr[str] = partition_key()
    id: Attr[str]
    tenant: Attr[str]


MODELS: tuple[type[Model], ...] = (Payment, Refund, Card, Endpoint, Delivery, ApiKey)
