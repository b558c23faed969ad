"""For local development alone: a merchant who receives webhooks, and an acquirer who settles. Leave it out of a copy."""

from __future__ import annotations

import json
import secrets
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from dynamorm.payments import sign_webhook, verify_webhook

from .access import Caller
from .charges import payment_of
from .models import Endpoint
from .page.routes import signed_in
from .problems import Problem
from .service import Service, Serving

router = APIRouter(include_in_schema=False)


async def settle_by(service: Service, http: httpx.AsyncClient, tenant: str, payment: str, kind: str) -> int:
    """Do what the acquirer does: send a signed webhook. Gives the status of the answer."""
    body = json.dumps({"type": f"payment.{kind}", "tenant": tenant, "payment": payment}).encode()
    headers = sign_webhook(service.settings.acquirer_secrets[0], id=f"evt_{secrets.token_hex(12)}", body=body)
    answer = await http.post("/webhooks/acquirer", content=body, headers=headers)
    return answer.status_code


@router.get("/play/dashboard")
async def dashboard(_: Annotated[Caller, Depends(signed_in)], service: Serving) -> Response:
    """Lead to the live figures of the process, which have a place and a token of their own."""
    if service.dashboard is None:
        raise Problem(404, "not-found", "there is none: it was started without")
    return RedirectResponse(service.dashboard.url, 303)


@router.post("/play/receiver/{tenant}")
async def receive(tenant: str, request: Request, service: Serving) -> Response:
    """Be the merchant: check the signature, and say thanks."""
    endpoint = await service.db.with_tenant(tenant).get(Endpoint)
    if endpoint is None:
        return Response(status_code=410)
    verify_webhook(endpoint.secret, request.headers, await request.body())
    return Response(status_code=200)


@router.post("/play/{kind}/{id}")
async def act(
    kind: str, id: str, request: Request, asking: Annotated[Caller, Depends(signed_in)], service: Serving
) -> Response:
    """Let the acquirer settle or dispute a payment, from the page."""
    if kind not in ("settled", "disputed"):
        raise Problem(404, "not-found", "there is none")
    if "x-page" not in request.headers:  # no form of another site can send it
        raise Problem(403, "page", "this is for the page alone")
    payment = await payment_of(asking.view, id)
    transport = httpx.ASGITransport(app=request.app)
    async with httpx.AsyncClient(transport=transport, base_url=service.settings.url) as http:
        status = await settle_by(service, http, asking.tenant, payment.id, kind)
    if status >= 400:
        raise Problem(status, "play", "the payment is in no state for this")
    return Response(status_code=204)
