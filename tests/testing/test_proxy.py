from __future__ import annotations

import json
import threading
import time
import zlib

import boto3
import pytest
from botocore.config import Config

from dynamorm.testing import Fault, FaultServer, LossyProxy
from dynamorm.testing.proxy import QUICK_FAULTS, WRITES


def boto(endpoint, attempts=1):
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": attempts}, max_pool_connections=20, read_timeout=10),
    )


@pytest.fixture(scope="module")
def table(engine):
    client = boto(engine.endpoint)
    client.create_table(
        TableName="proxied",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield client
    client.delete_table(TableName="proxied")


UPDATE = {
    "TableName": "proxied",
    "UpdateExpression": "ADD n :one",
    "ExpressionAttributeValues": {":one": {"N": "1"}},
}


def add(client, key):
    return client.update_item(Key={"pk": {"S": key}}, **UPDATE)


def count(client, key):
    item = client.get_item(TableName="proxied", Key={"pk": {"S": key}}, ConsistentRead=True).get("Item")
    return int(item["n"]["N"]) if item else 0


class Applied:
    """An engine that only counts."""

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
    ("fault", "applied", "end"),
    [
        (Fault.RESET_NOT_APPLIED, 0, "reset"),
        (Fault.RESET_APPLIED, 1, "reset"),
        (Fault.RESET_MID_REPLY, 1, "reset"),
        (Fault.CUT_REPLY, 1, "eof"),
    ],
)
def test_a_lost_reply(fault, applied, end, upstream, connect):
    server, engine = upstream
    with LossyProxy(server.endpoint, loss=1.0, faults=[fault]) as proxy:
        client = connect(proxy.endpoint).send("UpdateItem")
        data = client.drain()
        assert (client.end, engine.count) == (end, applied)
        assert b'"n":{"N":"1"}}}' not in data
        assert proxy.counts == {fault: 1}
        assert proxy.faulted == 1


@pytest.mark.parametrize(
    ("fault", "applied", "status"),
    [
        (Fault.SHORT_REPLY, 1, {200}),
        (Fault.BAD_CRC, 1, {200}),
        (Fault.FLIPPED_BIT, 1, {200}),
        (Fault.HTML, 1, {200}),
        (Fault.HTML_NOT_APPLIED, 0, {200}),
        (Fault.ERROR_APPLIED, 1, {500, 503}),
        (Fault.ERROR_NOT_APPLIED, 0, {500, 503}),
        (Fault.THROTTLE, 0, {400}),
    ],
)
def test_a_spoiled_reply(fault, applied, status, upstream, connect):
    server, engine = upstream
    with LossyProxy(server.endpoint, loss=1.0, faults=[fault]) as proxy:
        got, headers, body = connect(proxy.endpoint).send("UpdateItem").answer()
    assert got in status
    assert engine.count == applied
    if fault in {Fault.SHORT_REPLY, Fault.BAD_CRC, Fault.FLIPPED_BIT}:
        assert headers["x-amz-crc32"] != str(zlib.crc32(body))
    if fault is Fault.THROTTLE:
        assert json.loads(body)["__type"].endswith("#ThrottlingException")


@pytest.mark.parametrize(("fault", "least", "most"), [(Fault.DUPLICATE, 2, 4), (Fault.LATE_DUPLICATE, 2, 2)])
def test_a_request_is_delivered_several_times(fault, least, most, upstream, connect):
    server, engine = upstream
    with LossyProxy(server.endpoint, loss=1.0, faults=[fault], late=0.2) as proxy:
        began = time.monotonic()
        assert connect(proxy.endpoint).send("UpdateItem").answer()[0] == 200
        before, took = engine.count, time.monotonic() - began
        proxy.settle()
        assert least <= engine.count <= most
        assert engine.count == 1 + proxy.counts["repeated"]
        if fault is Fault.LATE_DUPLICATE:
            assert before == 1 or took > 0.2  # this machine kept the client from its turn until the copy had come
            first, copy = server.requests
            assert copy.time - first.time > 0.19


def test_a_held_request_is_applied_after_its_client_saw_a_reset(upstream, connect):
    server, engine = upstream
    with LossyProxy(server.endpoint, loss=1.0, faults=[Fault.LATE], late=0.3) as proxy:
        client = connect(proxy.endpoint).send("UpdateItem")
        assert client.drain() == b""
        assert client.end == "reset"
        proxy.settle()
        assert engine.count == 1
        assert proxy.counts == {Fault.LATE: 1, "repeated": 1}


def test_a_copy_arrives_after_another_clients_write(upstream, connect):
    server, _ = upstream
    with LossyProxy(
        server.endpoint, loss=1.0, faults=[Fault.LATE_DUPLICATE], operations=["PutItem"], late=0.2
    ) as proxy:
        client = connect(proxy.endpoint)
        client.send("PutItem").answer()
        client.send("UpdateItem").answer()
        proxy.settle()
    first, *rest = server.requests
    assert [first.operation, *sorted(request.operation for request in rest)] == ["PutItem", "PutItem", "UpdateItem"]
    update, copy = sorted(rest, key=lambda request: request.operation, reverse=True)
    assert copy.time - first.time > 0.19
    assert copy.time > update.time or update.time - first.time > 0.2  # this machine kept the client from its turn


def test_replies_are_delayed_and_drip(upstream, connect):
    server, _ = upstream
    for fault in (Fault.DELAY, Fault.DRIP):
        with LossyProxy(server.endpoint, loss=1.0, faults=[fault], delay=0.3, drip=500) as proxy:
            began = time.monotonic()
            assert connect(proxy.endpoint).send().answer()[0] == 200
            assert time.monotonic() - began >= 0.25


def test_only_the_operations_named_meet_faults(upstream, connect):
    server, _ = upstream
    with LossyProxy(server.endpoint, loss=1.0, faults=[Fault.HTML], operations=WRITES) as proxy:
        client = connect(proxy.endpoint)
        assert b"html" not in client.send("GetItem").answer()[2]
        assert b"html" in client.send("PutItem").answer()[2]
        assert proxy.counts == {"passed": 1, Fault.HTML: 1}


def test_the_share_can_be_changed_and_paused(upstream, connect):
    server, _ = upstream
    with LossyProxy(server.endpoint, loss=1.0, faults=[Fault.HTML]) as proxy:
        client = connect(proxy.endpoint)
        with proxy.pause():
            assert proxy.loss == 0
            assert b"html" not in client.send().answer()[2]
        assert proxy.loss == 1
        paused = proxy.pause()
        paused.resume()
        assert b"html" in client.send().answer()[2]
        proxy.set_loss(0)
        assert b"html" not in client.send().answer()[2]


def test_the_same_seed_decides_the_same(upstream, connect):
    server, _ = upstream

    def run(seed):
        with LossyProxy(server.endpoint, seed=seed, loss=0.5, faults=[Fault.HTML, Fault.THROTTLE]) as proxy:
            client = connect(proxy.endpoint)
            return [client.send().answer()[::2] and client.send().answer()[0] for _ in range(20)]

    assert run(3) == run(3)
    assert run(3) != run(4)


@pytest.mark.parametrize(
    "options", [{"loss": 1.5}, {"loss": -0.1}, {"faults": ()}, {"upstream": "http://example.com:80"}]
)
def test_unusable_settings_are_refused(options):
    with pytest.raises(ValueError, match=r"share|fault|127\.0\.0\.1"):
        LossyProxy(**({"upstream": "http://127.0.0.1:1"} | options))


def test_an_engine_that_is_gone_is_a_bad_gateway(connect):
    with FaultServer() as gone:
        endpoint = gone.endpoint
    with LossyProxy(endpoint, loss=0) as proxy:
        assert connect(proxy.endpoint).send().answer()[0] == 502
        assert proxy.counts["upstream failed"] == 1


def test_boto3_works_through_it_unchanged(table, engine):
    with LossyProxy(engine.endpoint, loss=0) as proxy:
        client = boto(proxy.endpoint)
        for _ in range(5):
            add(client, "calm")
    assert count(table, "calm") == 5


def test_boto3_applies_an_add_twice_when_the_reply_is_lost(table, engine):
    with LossyProxy(engine.endpoint, seed=1, loss=0.3, faults=[Fault.RESET_APPLIED], operations=WRITES) as proxy:
        client = boto(proxy.endpoint, attempts=8)
        for _ in range(50):
            add(client, "drift")
        assert proxy.counts[Fault.RESET_APPLIED] > 0
        assert count(table, "drift") == 50 + proxy.counts[Fault.RESET_APPLIED]


def believable(status, headers, body):
    """What a careful client accepts as success; boto3 accepts a web page."""
    if status != 200 or headers.get("x-amz-crc32") != str(zlib.crc32(body)):
        return False
    return isinstance(json.loads(body), dict)


def test_2000_operations_of_eight_writers_take_seconds_and_tokens_keep_the_sum(table, engine, connect):
    gave_up = []
    began = time.process_time()
    with LossyProxy(engine.endpoint, seed=5, loss=0.15, faults=QUICK_FAULTS, operations=WRITES) as proxy:

        def add_once(client, writer, turn):
            update = UPDATE | {"Key": {"pk": {"S": f"hot{turn % 4}"}}}
            body = {"TransactItems": [{"Update": update}], "ClientRequestToken": f"w{writer}-{turn}"}
            for _ in range(30):
                try:
                    if believable(*client.send("TransactWriteItems", body).answer()):
                        return client
                except (OSError, AssertionError):
                    client = connect(proxy.endpoint)
            gave_up.append((writer, turn))
            return client

        def work(writer):
            client = connect(proxy.endpoint)
            for turn in range(250):
                client = add_once(client, writer, turn)

        threads = [threading.Thread(target=work, args=(writer,)) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        proxy.settle()
        seconds = time.process_time() - began
        assert not gave_up
        assert all(proxy.counts[fault] > 0 for fault in QUICK_FAULTS)
        assert proxy.counts.get("upstream failed", 0) == 0
    assert sum(count(table, f"hot{number}") for number in range(4)) == 2000
    assert seconds < 60
