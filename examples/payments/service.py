"""The parts of a running service, and what routes ask for."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack
from typing import Annotated, Self

import httpx
from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from dynamorm import AsyncDB
from dynamorm.payments import Outbox
from dynamorm.plugins import Dashboard
from dynamorm.plugins.idempotency import AsyncIdempotentOperation

from .acquirer import Acquirer
from .books import Books
from .database import open_database, prepare
from .deliveries import Deliveries
from .problems import Problem
from .settings import Settings


class Service:
    """All parts; they are opened with the application, and closed behind its last request.

    ``http`` sends webhooks; tests give one of their own. With ``works=False`` nothing is delivered but by `Deliveries.once`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        acquirer: Acquirer | None = None,
        http: httpx.AsyncClient | None = None,
        dashboard: Dashboard | None = None,
        works: bool = True,
    ) -> None:
        self.settings: Settings = settings
        self.registry: CollectorRegistry = CollectorRegistry()
        self.acquirer: Acquirer = acquirer or Acquirer(settings.config)
        self.dashboard: Dashboard | None = dashboard
        self._http = http
        self._works = works
        self._stack = AsyncExitStack()
        self.db: AsyncDB
        self.outbox: Outbox[AsyncDB]
        self.books: Books
        self.deliveries: Deliveries

    async def __aenter__(self) -> Self:
        """Open everything."""
        async with AsyncExitStack() as stack:
            self.db = await stack.enter_async_context(open_database(self.settings, self.registry, self.dashboard))
            stack.push_async_callback(self.acquirer.close)
            await prepare(self.db, self.settings)
            await self.acquirer.open()
            http = self._http
            if http is None:
                http = await stack.enter_async_context(httpx.AsyncClient(timeout=self.settings.lease / 3))
            self.outbox = Outbox(self.db)
            self.books = Books(self.db)
            self.deliveries = Deliveries(self, http)
            if self._works:
                await stack.enter_async_context(self.deliveries.running())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close everything."""
        await self._stack.aclose()


def new_id(kind: str) -> str:
    """An id that nobody guesses: ``pay_`` and 24 hex digits."""
    return f"{kind}_{secrets.token_hex(12)}"


async def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


async def _operation(request: Request) -> AsyncIdempotentOperation:
    """The operation of the request's key: what a route changes, it writes by ``op.transaction()``. Raises: Problem."""
    found: AsyncIdempotentOperation | None = getattr(request.state, "idempotency", None)
    if found is None:
        raise Problem(400, "key-missing", "send the header Idempotency-Key: a new one for each new request")
    return found


Serving = Annotated[Service, Depends(_service)]
Operating = Annotated[AsyncIdempotentOperation, Depends(_operation)]
