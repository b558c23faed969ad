from __future__ import annotations

import json

import pytest

from dynamorm import DB, Attr, Model, Presets, attr, partition_key, version
from dynamorm.engine import Engine
from dynamorm.testing import Fate, FaultServer, HoldingProxy


class Applied:
    """An engine that counts, and answers with the count."""

    def __init__(self):
        self.count = 0

    def __call__(self, operation, body):
        self.count += 1
        return 200, {"Attributes": {"n": {"N": str(self.count)}}}


@pytest.fixture
def upstream():
    applied = Applied()
    with FaultServer(backend=applied) as server:
        yield server, applied


@pytest.mark.parametrize(
    ("fate", "applied", "end"),
    [(Fate.HOLD, 0, "reset"), (Fate.DROP, 0, "reset"), (Fate.LOSE, 1, "reset"), (Fate.STALL, 0, "timeout")],
)
def test_what_the_client_sees_and_what_was_applied(fate, applied, end, upstream, connect):
    server, engine = upstream
    with HoldingProxy(server.endpoint) as proxy:
        proxy.plan(fate)
        client = connect(proxy.endpoint, timeout=0.3 if end == "timeout" else 30.0).send("UpdateItem")
        assert client.drain() == b""
        assert (client.end, engine.count) == (end, applied)
        assert connect(proxy.endpoint).send("UpdateItem").answer()[0] == 200  # what is not planned is delivered


def test_a_held_request_is_delivered_byte_for_byte_when_it_is_released(upstream, connect):
    server, _ = upstream
    with HoldingProxy(server.endpoint) as proxy:
        proxy.plan(Fate.HOLD)
        connect(proxy.endpoint).send("UpdateItem", {"first": 1}).drain()
        connect(proxy.endpoint).send("PutItem").answer()
        (held,) = proxy.held
        assert json.loads(proxy.release(held).body) == {"Attributes": {"n": {"N": "2"}}}
        assert proxy.held == []
        first, second = server.requests
        assert (first.operation, second.operation) == ("PutItem", "UpdateItem")
        assert (second.head, second.body) == (held.head, held.body)
        assert [(one.request.operation, one.late) for one in proxy.deliveries] == [
            ("PutItem", False),
            ("UpdateItem", True),
        ]
        with pytest.raises(ValueError, match="not in list"):
            proxy.release(held)


def test_a_doubled_request_is_answered_and_kept(upstream, connect):
    server, engine = upstream
    with HoldingProxy(server.endpoint) as proxy:
        proxy.plan(Fate.DOUBLE)
        assert connect(proxy.endpoint).send("UpdateItem").answer()[0] == 200
        assert engine.count == 1
        proxy.release(proxy.held[0])
        assert engine.count == 2


def test_a_function_decides_and_may_release_before_the_request_is_delivered(upstream, connect):
    server, _ = upstream

    def decide(request):
        if request.operation == "PutItem":
            return Fate.HOLD
        for one in proxy.held:
            proxy.release(one)
        return Fate.DELIVER

    with HoldingProxy(server.endpoint, decide) as proxy:
        connect(proxy.endpoint).send("PutItem").drain()
        connect(proxy.endpoint).send("UpdateItem").answer()
    assert [request.operation for request in server.requests] == ["PutItem", "UpdateItem"]


def test_settle_waits_for_what_its_client_has_given_up(upstream, connect):
    server, engine = upstream
    with HoldingProxy(server.endpoint) as proxy:
        connect(proxy.endpoint).send("UpdateItem").close()
        proxy.settle()
        assert engine.count == 1


def test_clear_drops_what_is_held(upstream, connect):
    server, _ = upstream
    with HoldingProxy(server.endpoint) as proxy:
        proxy.plan(Fate.HOLD, Fate.HOLD)
        connect(proxy.endpoint).send("UpdateItem").drain()
        proxy.clear()
        assert (proxy.held, proxy.deliveries) == ([], [])
        assert connect(proxy.endpoint).send("UpdateItem").answer()[0] == 200


def test_a_held_request_reaches_an_engine_in_the_process():
    class Payment(Model, table="held-payments"):
        id: Attr[str] = partition_key()
        amount: Attr[int] = attr(default=0)
        version: Attr[int] = version()

    with (
        Engine() as engine,
        HoldingProxy(engine.address) as proxy,
        DB(Presets.local_development(endpoint=proxy.endpoint)) as db,
    ):
        db.tables.ensure(Payment)
        payment = db.create(Payment(id="p1"))
        proxy.plan(Fate.HOLD)
        db.update(payment, Payment.amount.add(5))
        assert proxy.release(proxy.held[0]).status == 400
        assert [one.late for one in proxy.deliveries][-1]
        assert db.require(Payment, "p1", consistent=True).amount == 5
