"""Webhooks in, from the acquirer: verified, and each done once. And where those of a merchant are sent to."""

from __future__ import annotations

import asyncio

import pydantic
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

import dynamorm
from dynamorm.errors import ValidationError
from dynamorm.payments import Status, check_target, transition, verify_webhook

from .access import Asking
from .bodies import AcquirerEvent, NewEndpoint
from .charges import payment_of
from .events import tell
from .models import Endpoint
from .problems import Problem
from .service import Serving
from .settings import new_secret

incoming = APIRouter(tags=["webhooks"])
router = APIRouter(tags=["webhooks"])

AFTER = {"payment.settled": Status.SETTLED, "payment.disputed": Status.DISPUTED}
BEFORE = {Status.SETTLED: (Status.CAPTURED,), Status.DISPUTED: (Status.CAPTURED, Status.SETTLED, Status.PARTIALLY_REFUNDED)}  # fmt: skip


@incoming.post("/webhooks/acquirer", status_code=204)
async def acquirer(request: Request, service: Serving) -> Response:
    """Take a webhook. 400: it is not by the acquirer, was changed, or is old. What came before is answered again, and not done."""
    body = await request.body()
    id = verify_webhook(service.settings.acquirer_secrets, request.headers, body)  # of the bytes, before they are read
    try:
        event = AcquirerEvent.model_validate_json(body)
    except pydantic.ValidationError:
        raise Problem(422, "invalid", "this webhook is of no kind that is known here") from None
    view = service.db.with_tenant(event.tenant)
    after = AFTER[event.type]
    async with dynamorm.actor("acquirer"), view.idempotent(id, payload=None, scope="webhook") as op:
        if not op.replayed:
            payment = await payment_of(view, event.payment)
            if payment.status not in BEFORE[after]:
                raise Problem(409, "forbidden-transition", f"the payment is {payment.status.value}")
            with op.transaction() as tx:
                await transition(view, payment, after, tx=tx)
                tell(service.outbox, tx, event.type, payment, status=after.value)
    return Response(status_code=204)


@router.put("/endpoint")
async def set_endpoint(body: NewEndpoint, asking: Asking, service: Serving) -> JSONResponse:
    """Say where webhooks are sent to. The answer has the secret that they are signed with; a new address keeps it."""
    if not service.settings.is_own(body.url):
        try:
            await asyncio.to_thread(check_target, body.url)
        except ValidationError:
            raise Problem(422, "target", "webhooks are sent to an https address that is public") from None
    found = await asking.view.get(Endpoint)
    endpoint = Endpoint(url=body.url, secret=new_secret() if found is None else found.secret)
    await asking.view.put(endpoint)
    return JSONResponse({"url": endpoint.url, "secret": endpoint.secret})
