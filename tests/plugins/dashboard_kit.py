"""What the tests of the dashboard share: a client, a shop over a fake clock, and a browser."""

from __future__ import annotations

import http.client
import random
import shutil
from contextlib import suppress
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from dynamorm import Attr, CircuitBreakerConfig, Model, attr, partition_key, sort_key, version
from dynamorm.errors import DynamORMError
from dynamorm.plugins import CircuitBreaker, CostPlugin, Dashboard, HotKeys, Metrics
from dynamorm.plugins.dashboard import figures, seen
from dynamorm.testing import FakeClock, failure, reply
from tests.plugins.scripts import Scripted


class Answer:
    """What a request was answered."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.text = answer.read().decode()

    def json(self) -> Any:
        return msgspec.json.decode(self.text)


class Visitor:
    """Asks a dashboard, with its token as a bearer unless it is told otherwise."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)
        self.below = parts.path.rstrip("/")
        self.token = parse_qs(parts.query)["token"][0]

    def ask(
        self, path: str = "/", method: str = "GET", *, known: bool = True, below: str | None = None, **headers: str
    ) -> Answer:
        """``below`` the path of the dashboard, unless it is told otherwise."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if known:
            fields.setdefault("Authorization", f"Bearer {self.token}")
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, (self.below if below is None else below) + path, headers=fields)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def told(self) -> Any:
        return self.ask("/figures.json").json()


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    total: Attr[int] = attr(default=0)


_UNITS = {"CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}


class Shop:
    """Ten minutes of a busy shop, within a second, the same each time: for the pictures, and for what is seen of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, minutes: float = 10.0) -> None:
        self.clock = clock = FakeClock(1_767_258_000.0)
        self.dice = random.Random(11)
        for module in (figures, seen):
            monkeypatch.setattr(module, "time", SimpleNamespace(time=clock.time, monotonic=clock.monotonic))
        monkeypatch.setattr(figures.os, "getpid", lambda: 4711)
        self.dashboard = Dashboard()
        plugins = (
            CircuitBreaker(CircuitBreakerConfig(), clock=clock.monotonic),
            CostPlugin(region="us-east-1", clock=clock.time),
            HotKeys(every=1, secret=b"0123456789abcdef", clock=clock.monotonic),
            Metrics(clock=clock.monotonic),
            self.dashboard,
        )
        here = Scripted("blocking", *plugins, answer=self._answer, clock=clock)
        here.driver.pool = SimpleNamespace(  # type: ignore[attr-defined] # the driver of a script has none
            size=9, idle=range(3), waiters=(), waits=14, waited=0.183, max_connections=100
        )
        self.db = here.db.inner
        self.views = [self.db.view(tenant=name) for name in ("blue", "green")]
        until = clock.time() + 60 * minutes
        while clock.time() < until:
            self._five_seconds()

    def _five_seconds(self) -> None:
        end = self.clock.time() + 5.0
        phase = self.clock.time() / 97.0
        gap = 0.09 + 0.05 * ((phase % 1.0) - 0.5)
        while self.clock.time() < end:
            with suppress(DynamORMError):
                self._one()
            self.clock.advance(self.dice.expovariate(1 / gap))
        self.dashboard._sample()

    def _one(self) -> None:
        dice, db = self.dice, self.dice.choice(self.views)
        customer = "c0" if dice.random() < 0.3 else f"c{dice.randrange(60)}"
        lot = dice.random()
        if lot < 0.45:
            db.get(Payment, f"p{dice.randrange(300)}")
        elif lot < 0.6:
            db.put(Order(customer=customer, number=dice.randrange(10**6)))
        elif lot < 0.75:
            db.model(Order).where(Order.customer == customer).limit(5).all()
        elif lot < 0.9:
            db.create(Payment(id=f"p{dice.randrange(300)}"))
        elif lot < 0.95:
            db.delete(Order, customer, dice.randrange(10**6))
        else:
            with db.transaction() as tx:
                tx.put(Order(customer=customer, number=1))
                tx.put(Payment(id="t1"))

    def _late(self) -> float:
        return self.dice.uniform(0.02, 0.09) if self.dice.random() < 0.02 else 0.0

    def _answer(self, request: Any) -> Any:
        self.clock.advance(0.0028 * self.dice.lognormvariate(0.3, 0.45) + self._late())
        lot = self.dice.random()
        if lot < 0.001:
            return failure("InternalServerError", 500)
        if lot < 0.004:
            return failure("ThrottlingException", message="Throughput exceeds the current capacity")
        name = request.headers["x-amz-target"].rpartition(".")[2]
        body: dict[str, Any] = msgspec.json.decode(request.data.partition(b"\r\n\r\n")[2])
        if name == "PutItem" and b"attribute_not_exists" in request.data and lot < 0.05:
            message = "The conditional request failed"
            return failure(
                "ConditionalCheckFailedException",
                message=message,
                Item={"id": body["Item"]["id"], "version": {"N": "7"}},
            )
        table = "orders" if b"orders" in request.data else "payments"
        body = {"ConsumedCapacity": {"TableName": table, **_UNITS}}
        if name == "Query":
            body |= {"Items": [], "Count": 0, "ScannedCount": 0}
        if name.startswith("Transact"):
            body = {}
        return reply(body)


def browser(tmp_path: Any) -> Any:
    """Chromium without a window. It speaks to nobody but the pages that a test opens."""
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--disable-lcd-text",
        "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
        "--force-color-profile=srgb", "--font-render-hinting=none", "--no-proxy-server", f"--user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=str(shutil.which("chromedriver")))
    return webdriver.Chrome(options=options, service=service)
