"""Bad options of a reader, where streams are read, and what the two readers have in common."""

import asyncio
import inspect
from datetime import datetime, timedelta

import pytest

import dynamorm.faces.aio.stream
import dynamorm.faces.blocking.stream
from dynamorm import DB, AsyncDB, Attr, Config, Credentials, Model, errors, partition_key
from dynamorm.config.endpoint import streams_endpoint
from dynamorm.effects import Call
from dynamorm.faces.stream_link import StreamLink
from dynamorm.ops.calls.op import Op
from dynamorm.streams import StreamCheckpoint

from ..architecture.test_parity import same_words
from .service import Checkpoint, Order


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", "first"),
        ("start", None),
        ("start", datetime(2026, 1, 1)),
        ("start", 5),
        ("on_data_loss", "ignore"),
        ("on_unknown", "ignore"),
        ("page_size", 0),
        ("page_size", 1001),
        ("page_size", True),
        ("page_size", "10"),
        ("save_every", 0),
        ("lease", 1),
        ("lease", timedelta(days=2)),
        ("poll_interval", -1),
        ("poll_interval", float("nan")),
        ("idle_timeout", "5"),
        ("idle_timeout", -0.1),
        ("consumer", ""),
        ("worker", "w" * 257),
        ("arn", 7),
    ],
)
def test_a_bad_option_is_refused_before_anything_is_sent(db, service, name, value):
    with pytest.raises(errors.ValidationError) as caught:
        db.stream(Order, **{name: value})
    assert caught.value.field == name
    assert service.calls == []


class NoTable(Model, StreamCheckpoint):
    pass


class NoFields(Model, table="checkpoints"):
    id: Attr[str] = partition_key()


@pytest.mark.parametrize(
    "checkpoint", [StreamCheckpoint, NoFields, NoTable, Order, dict, "checkpoints", Checkpoint.__class__]
)
def test_what_is_no_checkpoint_model_is_refused(db, service, checkpoint):
    with pytest.raises(errors.ModelError):
        db.stream(Order, checkpoint=checkpoint)
    assert service.calls == []


def test_a_stream_is_read_of_a_model(db, service):
    with pytest.raises(TypeError, match="not a model"):
        db.stream(dict)
    assert service.calls == []


@pytest.mark.parametrize(
    ("endpoint", "streams"),
    [
        ("https://dynamodb.eu-west-1.amazonaws.com", "https://streams.dynamodb.eu-west-1.amazonaws.com"),
        ("https://dynamodb.cn-north-1.amazonaws.com.cn", "https://streams.dynamodb.cn-north-1.amazonaws.com.cn"),
        ("https://dynamodb-fips.us-east-1.amazonaws.com", "https://streams.dynamodb-fips.us-east-1.amazonaws.com"),
        ("https://dynamodb.us-gov-west-1.amazonaws.com", "https://streams.dynamodb.us-gov-west-1.amazonaws.com"),
        ("https://dynamodb.eu-west-1.api.aws", "https://streams-dynamodb.eu-west-1.api.aws"),
        ("https://dynamodb-fips.us-east-1.api.aws", "https://streams-dynamodb-fips.us-east-1.api.aws"),
        ("https://123456789012.ddb.eu-west-1.amazonaws.com", "https://streams.dynamodb.eu-west-1.amazonaws.com"),
        ("https://vpce-1-2.dynamodb.eu-west-1.vpce.amazonaws.com", "https://streams.dynamodb.eu-west-1.amazonaws.com"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("https://db.corp.example", "https://db.corp.example"),
    ],
)
def test_where_streams_are_read(endpoint, streams):
    assert streams_endpoint(endpoint) == streams


class FakeDriver:
    def __init__(self, endpoint, **options):
        self.endpoint, self.options, self.ran, self.closed = endpoint, options, [], False

    def run(self, flow):
        self.ran.append(flow)
        return "answer"

    def close(self):
        self.closed = True


def test_on_aws_streams_have_a_driver_of_their_own_signed_for_their_host():
    with DB(Config(region="eu-west-1", credentials=Credentials("AKID", "secret"))) as db:
        link = StreamLink(db._session, FakeDriver)
        driver = link._driver
        assert driver.endpoint.host == "streams.dynamodb.eu-west-1.amazonaws.com"
        assert driver.options["tls"] is not None
        assert driver.options["max_connections"] == db._session.config.performance.max_connections
        flow = link.session.call(Op("GetRecords", "orders", b"{}", bytes))
        effect = next(flow)
        assert isinstance(effect, Call)
        assert effect.sync() == effect.async_() == "answer"
        load = next(driver.ran[0])  # the credentials
        sent = driver.ran[0].send(load.sync()).data
        assert sent.startswith(b"POST / HTTP/1.1\r\nHost: streams.dynamodb.eu-west-1.amazonaws.com\r\n")
        assert b"X-Amz-Target: DynamoDBStreams_20120810.GetRecords\r\n" in sent
        assert b"/eu-west-1/dynamodb/aws4_request" in sent
        with pytest.raises(StopIteration, match="answer"):
            flow.send("answer")
        link.close()
        assert driver.closed


def test_the_driver_of_streams_is_closed_with_the_database():
    config = Config(region="eu-west-1", credentials=Credentials("AKID", "secret"))
    with DB(config) as db:
        db.stream(Order)
        link = db.__dict__["_streams"]
        db.stream(Order)
        assert db.__dict__["_streams"] is link
        assert not link._driver._pool.closed
    assert link._driver._pool.closed

    async def program():
        async with AsyncDB(config) as db:
            db.stream(Order)
            link = db.__dict__["_streams"]
            assert not link._driver._pool.closed
        assert link._driver._pool.closed

    asyncio.run(program())


def test_a_database_that_reads_no_stream_has_no_second_driver():
    with DB(Config(region="eu-west-1", credentials=Credentials("AKID", "secret"))) as db:
        assert "_streams" not in db.__dict__


def test_another_host_serves_both_over_one_driver(db):
    link = StreamLink(db.inner._session, FakeDriver)
    assert link._driver is None
    assert link.close() is None


def test_both_readers_offer_the_same_with_the_same_words():
    blocking, asynchronous = dynamorm.faces.blocking.stream.StreamReader, dynamorm.faces.aio.stream.AsyncStreamReader
    assert (blocking.is_async, asynchronous.is_async) == (False, True)
    names = [name for name in vars(blocking) if not name.startswith("_") and name != "is_async"]
    assert ["is_async", *names] == [name for name in vars(asynchronous) if not name.startswith("_")]
    assert {"run", "commit", "stop", "close"} == set(names)
    for name in names:
        one, other = getattr(blocking, name), getattr(asynchronous, name)
        assert same_words(inspect.getdoc(one)) == same_words(inspect.getdoc(other))
        assert list(inspect.signature(one).parameters) == list(inspect.signature(other).parameters)
