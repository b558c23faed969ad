"""Charges: a payment is authorized, captured or voided. What a route changes is applied with its answer, or not at all."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from dynamorm import AsyncDB, Secret
from dynamorm.errors import ValidationError
from dynamorm.payments import Money, Status, currencies, transition

from .access import Asking
from .bodies import NewCapture, NewPayment, payment_body
from .events import tell
from .life import life_of
from .models import Payment
from .problems import Problem
from .service import Operating, Serving, new_id
from .vault import card_of, check_not_expired

router = APIRouter(tags=["payments"])
ID = re.compile(r"pay_[0-9a-f]{24}")
Limit = Annotated[int, Query(ge=1, le=100)]


async def payment_of(view: AsyncDB, id: str) -> Payment:
    """A payment of this merchant. Raises: Problem, the same for one of somebody else and for none."""
    payment = await view.get(Payment, id=id, consistent=True) if ID.fullmatch(id) else None
    if payment is None:
        raise Problem(404, "not-found", "there is no such payment")
    return payment


@router.post("/payments", status_code=201)
async def charge(body: NewPayment, asking: Asking, op: Operating, service: Serving) -> JSONResponse:
    """Charge a card. 402: it was declined; the payment is kept as one that has failed. 422: it has expired; the acquirer is not asked.

    The acquirer reserves the amount in a step: it is asked with the same key after a crash, and reserves once. The money is taken
    behind the commit, by the event: so nothing is ever taken for a payment that is not written down.
    """
    card = await card_of(asking.view, body.card)
    check_not_expired(card.exp_month, card.exp_year)
    card.cvv = None if body.cvv is None else Secret(body.cvv)  # stored and shown nowhere
    approval = await op.step("authorize", lambda key: service.acquirer.authorize(key, card, body.money))
    status = Status.FAILED
    if approval["approved"]:
        status = Status.CAPTURED if body.capture else Status.AUTHORIZED
    payment = Payment(
        id=new_id("pay"),
        order=body.order,
        card=card.token,
        amount=body.amount,
        currency=body.currency,
        status=status,
        captured=body.amount if status is Status.CAPTURED else 0,
        authorization=approval["authorization"],
    )
    with op.transaction() as tx:
        tx.create(payment)
        shown = tell(service.outbox, tx, f"payment.{status.value}", payment)
    return JSONResponse(shown, 402 if status is Status.FAILED else 201)


@router.post("/payments/{id}/capture")
async def capture(id: str, body: NewCapture, asking: Asking, op: Operating, service: Serving) -> JSONResponse:
    """Take what was reserved, or a part of it."""
    payment = await payment_of(asking.view, id)
    amount = payment.amount if body.amount is None else body.amount
    if amount > payment.amount:
        raise Problem(422, "out-of-bounds", "this is more than was reserved")
    if payment.status is not Status.AUTHORIZED:
        raise Problem(409, "forbidden-transition", f"a payment that is {payment.status.value} cannot be captured")
    money = Money.minor(amount, payment.currency)
    with op.transaction() as tx:
        await transition(asking.view, payment, Status.CAPTURED, amount=money, tx=tx)
        shown = tell(service.outbox, tx, "payment.captured", payment, status="captured", captured=amount)
    return JSONResponse(shown)


@router.post("/payments/{id}/void")
async def void(id: str, asking: Asking, op: Operating, service: Serving) -> JSONResponse:
    """Let go of what was reserved."""
    payment = await payment_of(asking.view, id)
    if payment.status is not Status.AUTHORIZED:
        raise Problem(409, "forbidden-transition", f"a payment that is {payment.status.value} cannot be voided")
    with op.transaction() as tx:
        await transition(asking.view, payment, Status.VOIDED, tx=tx)
        shown = tell(service.outbox, tx, "payment.voided", payment, status="voided")
    return JSONResponse(shown)


@router.get("/payments")
async def payments(
    asking: Asking, status: Status | None = None, limit: Limit = 20, cursor: str | None = None
) -> JSONResponse:
    """The payments of this merchant, the newest first. A cursor is sealed: it is good for this list of this merchant alone."""
    query = asking.view.model(Payment).order_by("created_at", "desc").limit(limit)
    if status is not None:
        query = query.where(Payment.status == status)
    page = await (query if cursor is None else query.cursor(cursor)).page()
    return JSONResponse({"payments": [payment_body(one) for one in page], "cursor": page.cursor})


@router.get("/payments/{id}")
async def payment(id: str, asking: Asking) -> JSONResponse:
    """A payment."""
    return JSONResponse(payment_body(await payment_of(asking.view, id)))


@router.get("/payments/{id}/life")
async def life(id: str, asking: Asking, service: Serving) -> JSONResponse:
    """A payment with its postings, who has changed it, and what was told of it."""
    return JSONResponse(await life_of(asking, service, await payment_of(asking.view, id)))


@router.get("/balances/{currency}")
async def balances(currency: str, asking: Asking, service: Serving) -> JSONResponse:
    """The balances of this merchant, in minor units; below zero is a credit."""
    try:
        currencies.exponent(currency)
    except ValidationError:
        raise Problem(404, "not-found", "there is no such currency") from None
    return JSONResponse(await service.books.balances(asking.view, currency))
