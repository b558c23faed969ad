"""Refunds: never more than was captured, by however many at once."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from dynamorm.payments import Money, Status, refund

from .access import Asking
from .bodies import NewRefund, refund_body
from .charges import payment_of
from .events import tell
from .models import Refund
from .problems import Problem
from .service import Operating, Serving, new_id

router = APIRouter(tags=["refunds"])


@router.post("/payments/{id}/refunds", status_code=201)
async def give_back(id: str, body: NewRefund, asking: Asking, op: Operating, service: Serving) -> JSONResponse:
    """Give a part back, or all of it. The acquirer is told behind the commit: nothing is given back that was refused here."""
    payment = await payment_of(asking.view, id)
    if payment.status is Status.DISPUTED and not body.ends_dispute:
        raise Problem(
            409, "disputed", "the payment is disputed, and a refund ends that: say so by ends_dispute, which is true"
        )
    entry = Refund(
        id=new_id("ref"), payment_id=payment.id, amount=body.amount, currency=payment.currency, reason=body.reason
    )
    money = Money.minor(body.amount, payment.currency)
    with op.transaction() as tx:
        stored = await refund(asking.view, payment, money, id=entry.id, record=entry, tx=tx)
        total = stored.refunded + body.amount
        status = Status.REFUNDED if total == stored.captured else Status.PARTIALLY_REFUNDED
        tell(
            service.outbox,
            tx,
            "payment.refunded",
            stored,
            refund=entry,
            status=status.value,
            refunded=total,
        )
    return JSONResponse(refund_body(entry), 201)
