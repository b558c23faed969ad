"""Delivers the events of the outbox: to the acquirer, into the books, and to the merchant.

An event comes at least once. So each of the three is done under a key that is the event's own, and is done once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx
from prometheus_client import Counter

import dynamorm
from dynamorm import AsyncDB
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.payments import Outbox, OutboxEvent, check_target

from .events import Told, told_by
from .models import Delivery, Endpoint, Payment

if TYPE_CHECKING:
    from .service import Service

LOG = logging.getLogger("payments.deliveries")
PAUSE: Final = 0.5
"""Seconds between two looks at the outbox."""
ACTOR: Final = "deliveries"
KEPT: Final = timedelta(days=90)
REFUSED: Final = 599
"""Stands for an answer that did not come."""


class Deliveries:
    """Looks for events and delivers them. Any number of processes may do so: each event is one's at a time."""

    def __init__(self, service: Service, http: httpx.AsyncClient) -> None:
        self._service = service
        self._http = http
        with dynamorm.actor(ACTOR):
            every = service.db.all_tenants(reason="events of all merchants are delivered")
        self._outbox = Outbox(every, lease=service.settings.lease)
        self._count = Counter(
            "service_deliveries", "Attempts to deliver an event, by what came of them.", ["outcome"],
            registry=service.registry,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Deliver for as long as the block lasts; what is under way at its end is repeated by whoever comes next."""
        task = asyncio.create_task(self._run(), name="deliveries")
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def once(self) -> int:
        """Deliver what is due now; how many events were delivered."""
        async with dynamorm.actor(ACTOR):
            done = await self._outbox.run(self._deliver)
        delivered: int = done.delivered
        return delivered

    async def _run(self) -> None:
        while True:
            try:
                await self.once()
            except DynamORMError as error:
                LOG.warning("the outbox cannot be read now: %s", error.safe)
            await asyncio.sleep(PAUSE)

    async def _deliver(self, event: OutboxEvent) -> tuple[int, dict[str, str]]:
        told = told_by(event)
        view = self._service.db.with_tenant(told.tenant)
        await self._instruct(view, told)
        await self._service.books.post(view, told)
        status, headers, said = await self._send(view, event)
        self._count.labels(outcome="delivered" if 200 <= status < 300 else "failed").inc()
        now = datetime.now(UTC)
        await view.put(
            Delivery(
                payment_id=told.payment["id"],
                at=now,
                event_id=event.id,
                topic=event.topic,
                attempt=event.attempts + 1,
                answer=said,
                expires_at=now + KEPT,
            )
        )
        return status, headers

    async def _instruct(self, view: AsyncDB, told: Told) -> None:
        """Tell the acquirer what was decided, under the id of the event."""
        acquirer = self._service.acquirer
        kinds: dict[str, tuple[str, Any]] = {
            "payment.captured": ("capture", told.money("captured")),
            "payment.refunded": ("refund", told.refunded),
            "payment.voided": ("void", told.money("amount")),
        }
        if told.topic in kinds:
            kind, money = kinds[told.topic]
            payment = await view.require(Payment, id=told.payment["id"])
            await acquirer.instruct(told.id, kind, payment.authorization or "", money)

    async def _send(self, view: AsyncDB, event: OutboxEvent) -> tuple[int, dict[str, str], str]:
        """Send the webhook of a merchant: the status, the headers that say when to come again, and what is noted of it."""
        endpoint = await view.get(Endpoint)
        if endpoint is None:
            return 204, {}, "no endpoint"
        try:
            url, host, extensions = await self._target(endpoint.url)
            answer = await self._http.post(
                url,
                content=event.body,
                headers={**event.headers(endpoint.secret), "host": host},
                extensions=extensions,
            )
        except ValidationError:
            return REFUSED, {}, "the address is not one that a webhook may be sent to"
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return REFUSED, {}, type(error).__name__
        again = {name: answer.headers[name] for name in ("retry-after",) if name in answer.headers}
        return answer.status_code, again, str(answer.status_code)

    async def _target(self, url: str) -> tuple[str, str, dict[str, Any]]:
        """Where to connect: to an address that was looked at, for the name may lead elsewhere a moment later."""
        parts = urlsplit(url)
        if self._service.settings.is_own(url):
            return url, parts.netloc, {}
        address = (await asyncio.to_thread(check_target, url))[0]
        shown = f"[{address}]" if ":" in address else address
        place = parts._replace(netloc=shown if parts.port is None else f"{shown}:{parts.port}")
        return place.geturl(), parts.netloc, {"sni_hostname": parts.hostname}
