"""Webhooks in, from the acquirer: verified, and each done once. And where those of a merchant are sent to."""

from __future__ import annotations

import asyncio
from typing import Any

import pydantic
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

import dynamorm
from dynamorm import AsyncDB
from dynamorm.errors import AlreadyExists, ValidationError
from dynamorm.payments import Status, check_target, transition, verify_webhook

from .access import Asking
from .bodies import AcquirerEvent, NewEndpoint, whole
from .charges import payment_of
from .events import tell
from .models import Endpoint, Payment
from .problems import Problem
from .service import Serving
from .settings import new_secret

incoming = APIRouter(tags=["webhooks"])
router = APIRouter(tags=["webhooks"])

SETTLES = (Status.CAPTURED, Status.PARTIALLY_REFUNDED, Status.REFUNDED)
DISPUTES = (Status.CAPTURED, Status.SETTLED, Status.PARTIALLY_REFUNDED)


@incoming.post("/webhooks/acquirer", status_code=204)
async def acquirer(request: Request, service: Serving) -> Response:
    """Take a webhook. 400: it is not by the acquirer, was changed, or is old. What came before is answered again, and not done."""
    body = await whole(request)
    id = verify_webhook(service.settings.acquirer_secrets, request.headers, body)  # of the bytes, before they are read
    try:
        event = AcquirerEvent.model_validate_json(body)
    except pydantic.ValidationError:
        raise Problem(422, "invalid", "this webhook is of no kind that is known here") from None
    view = service.db.with_tenant(event.tenant)
    async with dynamorm.actor("acquirer"), view.idempotent(id, payload=None, scope="webhook") as op:
        if not op.replayed:
            payment = await payment_of(view, event.payment)
            with op.transaction() as tx:
                if event.type == "payment.settled":
                    changed = settle(tx, payment)
                else:
                    changed = await dispute(view, tx, payment)
                tell(service.outbox, tx, event.type, payment, status=changed.value)
    return Response(status_code=204)


def settle(tx: Any, payment: Payment) -> Status:
    """Write that the money has arrived: what was captured, without what was refunded before. Once, whatever its state is later.

    A payment that was refunded before stays so. Raises: Problem.
    """
    if payment.settled or payment.status not in SETTLES:
        was = "settled" if payment.settled else payment.status.value
        raise Problem(409, "forbidden-transition", f"the payment is {was}")
    if payment.status is not Status.CAPTURED:
        tx.update(payment, Payment.settled.set(True))
        return payment.status
    tx.update(payment, Payment.settled.set(True), Payment.status.set(Status.SETTLED))
    return Status.SETTLED


async def dispute(view: AsyncDB, tx: Any, payment: Payment) -> Status:
    """Write that the cardholder wants the money back. Raises: Problem."""
    if payment.status not in DISPUTES:
        raise Problem(409, "forbidden-transition", f"the payment is {payment.status.value}")
    await transition(view, payment, Status.DISPUTED, tx=tx)
    return Status.DISPUTED


@router.put("/endpoint")
async def set_endpoint(body: NewEndpoint, asking: Asking, service: Serving) -> JSONResponse:
    """Say where webhooks are sent to. The answer has the secret that they are signed with; a new address keeps it."""
    if not service.settings.is_own(body.url):
        try:
            await asyncio.to_thread(check_target, body.url)
        except ValidationError:
            raise Problem(422, "target", "webhooks are sent to an https address that is public") from None
    endpoint = await stored_endpoint(asking.view, body.url)
    return JSONResponse({"url": endpoint.url, "secret": endpoint.secret})


async def stored_endpoint(view: AsyncDB, url: str) -> Endpoint:
    """Store an address. Of many first ones at once one makes the secret, and all others keep that."""
    if await view.get(Endpoint, consistent=True) is None:
        try:
            return await view.create(Endpoint(url=url, secret=new_secret()))
        except AlreadyExists:
            pass  # another one was first
    return await view.update(Endpoint, Endpoint.url.set(url))
