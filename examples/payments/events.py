"""What the service tells: an event leaves in the transaction of the change that it tells of, or not at all."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from dynamorm import AsyncDB
from dynamorm.payments import Money, Outbox, OutboxEvent

from .bodies import payment_body, refund_body
from .models import Payment, Refund


class Told(NamedTuple):
    """An event as it is read again."""

    id: str
    topic: str
    tenant: str
    payment: dict[str, Any]
    refund: dict[str, Any] | None

    def money(self, name: str) -> Money:
        """An amount of the payment, such as "captured"."""
        return Money.minor(self.payment[name], self.payment["currency"])

    @property
    def refunded(self) -> Money:
        """What this event gives back."""
        return Money.minor(self.refund["amount"] if self.refund else 0, self.payment["currency"])


def tell(
    outbox: Outbox[AsyncDB], tx: Any, topic: str, payment: Payment, *, refund: Refund | None = None, **changed: Any
) -> dict[str, Any]:
    """Put an event into a transaction, and give the payment as it is shown once that is applied: ``changed`` is what becomes new."""
    shown = {**payment_body(payment), **changed}
    body: dict[str, Any] = {"type": topic, "payment": shown}
    if refund is not None:
        body["refund"] = refund_body(refund)
    outbox.add(tx, topic, body, key=payment.id)
    return shown


def told_by(event: OutboxEvent) -> Told:
    """Read an event of the outbox."""
    body = json.loads(event.body)
    return Told(event.id, event.topic, event.tenant or "", body["payment"], body.get("refund"))
