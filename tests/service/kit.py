"""What the tests of the service share: a service on an engine inside the process, and clients with the keys of its merchants."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from contextlib import asynccontextmanager

import httpx

from dynamorm import AsyncDB
from dynamorm.engine import Engine
from dynamorm.payments.outbox.items import OutboxQueue
from examples.payments.acquirer import Acquirer, Instruction
from examples.payments.app import make_app
from examples.payments.play import settle_by
from examples.payments.service import Service
from examples.payments.settings import local

PAN = "4242424242424242"
CVV = "739"
NUMBERS = itertools.count(1)


class Watched(Acquirer):
    """The acquirer, which can be told what to do before and behind an authorization."""

    def __init__(self, config):
        super().__init__(config)
        self.asked = 0
        self.before = self.behind = None

    async def authorize(self, key, card, money):
        self.asked += 1
        if self.before is not None:
            await self.before()
        given = await super().authorize(key, card, money)
        if self.behind is not None:
            await self.behind()
        return given


class Client:
    """A merchant, or a stranger."""

    def __init__(self, http, key=None):
        self.http = http
        self.headers = {} if key is None else {"authorization": f"Bearer {key}"}

    async def get(self, path, **named):
        return await self.http.get(path, headers=self.headers, **named)

    async def post(self, path, body=None, *, key="", **headers):
        """``key``: a new one if left out, None for none."""
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if key is not None:
            sent["idempotency-key"] = key or f"key-{next(NUMBERS)}"
        return await self.http.post(path, json={} if body is None else body, headers=sent)

    async def card(self, number=PAN):
        answer = await self.post("/v1/cards", {"number": number, "exp_month": 12, "exp_year": 2030})
        assert answer.status_code in (200, 201), answer.text
        return answer.json()["token"]

    async def charge(self, amount=10_000, *, key="", capture=True, order="order-1", card=None, **more):
        card = card or await self.card()
        body = {"amount": amount, "currency": "EUR", "card": card, "cvv": CVV, "order": order, "capture": capture}
        return await self.post("/v1/payments", {**body, **more}, key=key)

    async def paid(self, amount=10_000, **named):
        """The id of a new payment."""
        answer = await self.charge(amount, **named)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]


class Shop:
    """A running service, its merchants and a stranger."""

    def __init__(self, service, app, http):
        self.service = service
        self.app = app
        self.http = http
        self.acme, self.globex = (Client(http, service.settings.demo_keys[name]) for name in ("acme", "globex"))
        self.stranger = Client(http)

    @property
    def db(self):
        return self.service.db

    def view(self, tenant="acme"):
        return self.service.db.with_tenant(tenant)

    async def settle(self, id, tenant="acme", kind="settled"):
        """Let the acquirer tell that a payment was settled."""
        return await settle_by(self.service, self.http, tenant, id, kind)

    def other_side(self):
        """A database of the acquirer's."""
        return AsyncDB(self.service.settings.config)

    @staticmethod
    async def instructions(db):
        """What the acquirer was told."""
        return await db.model(Instruction).allow_scan().all()

    async def due_now(self):
        """Let what is to be tried again later be due at once."""
        for queue in await self.db.model(OutboxQueue).allow_scan().all():
            if queue.due:
                await self.db.update(OutboxQueue, queue.pk, OutboxQueue.due.set(0))

    async def delivered(self):
        """Deliver all that is due."""
        while await self.service.deliveries.once():
            pass


@asynccontextmanager
async def opened(folder, engine, *, dashboard=None, **options):
    async def itself(scope, receive, send):  # webhooks of local development come back here
        await app(scope, receive, send)

    settings = local(folder, engine=engine, **options)
    service = Service(
        settings,
        acquirer=Watched(settings.config),
        http=httpx.AsyncClient(transport=httpx.ASGITransport(app=itself), base_url=settings.url),
        dashboard=dashboard,
        works=False,
    )
    app = make_app(service)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=settings.url) as http,
    ):
        yield Shop(service, app, http)


def served(program):
    """Lets a coroutine function be a test: it is given a ``shop``, and other fixtures as it asks for them."""
    asked = inspect.signature(program)

    def test(tmp_path, **named):
        async def run():
            with Engine() as engine:
                async with opened(tmp_path, engine) as shop, asyncio.timeout(60):
                    await program(shop, **named)

        asyncio.run(run())

    test.__name__, test.__doc__, test.__module__ = program.__name__, program.__doc__, program.__module__
    test.pytestmark = getattr(program, "pytestmark", [])
    mine = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    others = [one for one in asked.parameters.values() if one.name != "shop"]
    test.__signature__ = asked.replace(parameters=[mine, *others])
    return test
