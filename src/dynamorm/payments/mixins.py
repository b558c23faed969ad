"""The fields that payments have in common, to be mixed into models of one's own. The key is the model's."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from dynamorm import Attr, Json, Mixin, Unique, attr, created_at, gsi, ttl, updated_at, version

from .guards import PaymentStates
from .money import two_attributes
from .states import Status

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Index

    from .money_fields import MoneyOf


class PaymentMixin(Mixin):
    """A payment: ``amount`` in minor units and its ``currency`` (together ``money``), its state, and what of it was captured and refunded.

    ``idempotency_key`` is unique in the table. ``refunds`` are the refunded minor units by the id of the refund, at most 500;
    ``transitions`` are the other changes by their ids, and ``transition_id`` is the id of the last one. These, and ``captured``
    and ``refunded``, are changed by `transition` and `refund` alone; ``amount`` and ``currency`` change only while the payment is pending.

    Example::

        class Payment(Model, PaymentMixin, PaymentIndexes, table="payments"):
            id: Attr[str] = partition_key()
    """

    amount: Attr[int] = attr(ge=0)
    currency: Attr[str] = attr(min_length=3, max_length=3)
    status: Attr[Status] = attr(PaymentStates(), default=Status.PENDING)
    captured: Attr[int] = attr(default=0)
    refunded: Attr[int] = attr(default=0)
    refunds: Attr[dict[str, int]] = attr(default_factory=dict)
    transitions: Attr[dict[str, str]] = attr(default_factory=dict)
    transition_id: Attr[str | None] = attr(default=None)
    idempotency_key: Attr[str | None] = attr(Unique(), default=None)
    merchant_id: Attr[str | None] = attr(default=None)
    customer_id: Attr[str | None] = attr(default=None)
    settlement_date: Attr[date | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    updated_at: Attr[datetime] = updated_at()
    version: Attr[int] = version()

    money: ClassVar[MoneyOf] = two_attributes("amount", "currency")


class RefundMixin(Mixin):
    """A refund of a payment, as a record of its own. See `refund`, which writes it together with the payment.

    Example: ``class Refund(Model, RefundMixin, table="refunds"): id: Attr[str] = partition_key()``
    """

    payment_id: Attr[str]
    amount: Attr[int] = attr(ge=0)
    currency: Attr[str] = attr(min_length=3, max_length=3)
    reason: Attr[str | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()

    money: ClassVar[MoneyOf] = two_attributes("amount", "currency")


class TransactionMixin(Mixin):
    """A movement of money on an account, as a statement shows it.

    Example: ``class Movement(Model, TransactionMixin, table="movements"): id: Attr[str] = partition_key()``
    """

    account: Attr[str]
    amount: Attr[int]
    currency: Attr[str] = attr(min_length=3, max_length=3)
    kind: Attr[str]
    reference: Attr[str | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()

    money: ClassVar[MoneyOf] = two_attributes("amount", "currency")


class SettlementMixin(Mixin):
    """What a provider paid out on a day: ``amount`` is what arrived, ``fee`` what was kept, both in minor units.

    Example: ``class Settlement(Model, SettlementMixin, table="settlements"): id: Attr[str] = partition_key()``
    """

    settlement_date: Attr[date]
    amount: Attr[int]
    fee: Attr[int] = attr(default=0)
    currency: Attr[str] = attr(min_length=3, max_length=3)
    reference: Attr[str | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()

    money: ClassVar[MoneyOf] = two_attributes("amount", "currency")


class WebhookMixin(Mixin):
    """A webhook that came in. ``event_id`` is its sender's, unique in the table; ``expires_at`` lets DynamoDB delete it.

    Example: ``class Webhook(Model, WebhookMixin, table="webhooks"): id: Attr[str] = partition_key()``
    """

    event_id: Attr[str] = attr(Unique())
    topic: Attr[str]
    payload: Attr[dict[str, Any]] = attr(Json(), default_factory=dict)
    processed_at: Attr[datetime | None] = attr(default=None)
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()
    expires_at: Attr[datetime | None] = ttl(default=None)


class PaymentIndexes(Mixin):
    """The indexes that payments are looked for by: state, merchant and customer with the time, the settlement date, the key.

    The fields are those of `PaymentMixin`, or of the same names.

    Example: ``db.model(Payment).where(Payment.merchant_id == "m1").order_by("created_at", "desc").limit(20).all()``
    """

    by_status: Index = gsi("gsi-status-created", partition="status", sort="created_at")
    by_merchant: Index = gsi("gsi-merchant-created", partition="merchant_id", sort="created_at")
    by_customer: Index = gsi("gsi-customer-created", partition="customer_id", sort="created_at")
    by_settlement_date: Index = gsi("gsi-settlement-date", partition="settlement_date", sort="created_at")
    by_idempotency_key: Index = gsi("gsi-idempotency", partition="idempotency_key", projection="KEYS_ONLY")
