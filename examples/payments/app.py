"""Puts the application together: what is asked in which order is all here."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from dynamorm.payments import IdempotencyMiddleware

from . import charges, play, problems, refunds, vault, webhooks
from .access import Access
from .page import routes as page
from .service import Service


def make_app(service: Service) -> FastAPI:
    """The application. Routes below ``/v1`` are for who has an API key; those that change something ask for an Idempotency-Key."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None, None]:
        async with service:
            yield

    api = FastAPI(title="Payments")
    for router in (vault.router, charges.router, refunds.router, webhooks.router):
        api.include_router(router)
    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.include_router(webhooks.incoming)
    app.include_router(page.router)
    if service.settings.is_local:
        app.include_router(play.router)
    for one in (api, app):
        one.state.service = service
        problems.install(one)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Figures for Prometheus, which name no merchant. Let nobody outside reach this address."""
        return Response(generate_latest(service.registry), media_type=CONTENT_TYPE_LATEST)

    # From outside to inside: who asks, then whether it was asked before, then the routes. A key for repetitions is the merchant's: so
    # one that comes again after the API key was replaced is known, too.
    once = IdempotencyMiddleware(
        api,
        db=lambda scope: scope["state"]["caller"].view,
        principal=lambda scope: scope["state"]["caller"].tenant,
        scope="payments-api",
        lease=service.settings.lease,
    )
    app.mount("/v1", Access(once, lambda: service.db))
    return app
