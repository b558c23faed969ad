"""The life of a payment: what the page shows, and the route ``/life``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .access import Caller
from .bodies import payment_body
from .models import Delivery, Payment

if TYPE_CHECKING:
    from .service import Service


async def life_of(asking: Caller, service: Service, payment: Payment) -> dict[str, Any]:
    """A payment, its postings, the records of its audit trail, and each attempt to deliver an event of it."""
    records = await asking.view.audit.history(Payment, id=payment.id)
    attempts = await asking.view.model(Delivery).where(Delivery.payment_id == payment.id).limit(100).all()
    return {
        "payment": payment_body(payment),
        "postings": await service.books.entries(asking, payment),
        "audit": [
            {
                "number": record.version,
                "what": record.op,
                "by": record.by,
                "at": record.at.isoformat(),
                "changes": [
                    {"field": change.field, "old": _plain(change.old), "new": _plain(change.new)}
                    for change in record.changes
                ],
            }
            for record in records
        ],
        "deliveries": [
            {
                "event": one.event_id,
                "topic": one.topic,
                "attempt": one.attempt,
                "answer": one.answer,
                "at": one.at.isoformat(),
            }
            for one in attempts
        ],
    }


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, str)) else str(value)
