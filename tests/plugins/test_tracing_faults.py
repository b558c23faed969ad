"""Tracing of what goes wrong on the way: attempts, retries, lost answers, and what is found out later. No sockets."""

import asyncio
import json
import time

import pytest

from dynamorm import DB, AsyncDB, Attr, Model, Presets, attr, partition_key, version
from dynamorm.effects import TransportError
from dynamorm.errors import ConfigError, ConnectFailed, DynamORMError, Outcome, OutcomeUnknown, PluginRefused, Throttled
from dynamorm.plugin import Plugin
from dynamorm.testing import FakeReply, failure, reply
from dynamorm.wire import retry
from tests.faults.scripted import Scripted

from .spans import Spans, failed, is_below

THROTTLED = failure("ThrottlingException", message="Rate exceeded")
BROKEN = failure("InternalServerError", 500)
ITEM = {"id": {"S": "p1"}, "amount": {"N": "5"}, "version": {"N": "1"}}
LOST = TransportError("receive", "connection reset", sent=True)


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


@pytest.fixture
def spans():
    return Spans()


@pytest.fixture
def scripted(face_kind, spans):
    """Makes a database over a script, with tracing."""
    retry._buckets.clear()
    made = []

    def make(script, *plugins, **settings):
        made.append(Scripted(face_kind, script, **settings))
        db = made[-1].db
        db.inner.use(spans.plugin(), *plugins)
        return db

    yield make
    for each in made:
        each.db.close()


def attributes(span):
    """Without those that each request has."""
    plain = ("db.system", "db.operation.name", "db.collection", "aws.dynamodb.table_names", "server.", "cloud.")
    return {name: value for name, value in span.attributes.items() if not name.startswith(plain)}


def test_retries_are_counted_by_their_class(scripted, spans):
    db = scripted([THROTTLED, BROKEN, THROTTLED, reply({"Item": ITEM})])
    assert db.get(Payment, "p1").amount == 5
    verb, (request,) = spans.one()
    assert not failed(verb)
    assert not failed(request)
    assert attributes(request) == {
        "aws.request_id": "TEST",
        "dynamorm.attempts": 4,
        "dynamorm.retries.throttled": 2,
        "dynamorm.retries.server_error": 1,
    }
    assert [(event.name, dict(event.attributes)) for event in request.events] == [
        ("retry", {"dynamorm.retry.class": word, "dynamorm.attempts": number})
        for number, word in enumerate(("throttled", "server_error", "throttled"), 1)
    ]
    assert not verb.events


def test_one_attempt_is_not_counted(scripted, spans):
    db = scripted([reply({"Item": ITEM})])
    db.get(Payment, "p1")
    _, (request,) = spans.one()
    assert attributes(request) == {"aws.request_id": "TEST"}


def test_throttled_to_the_end(scripted, spans):
    db = scripted(lambda _: THROTTLED)
    with pytest.raises(Throttled) as caught:
        db.get(Payment, "p1")
    verb, (request,) = spans.one()
    assert failed(verb)
    assert failed(request)
    assert request.attributes["dynamorm.attempts"] == caught.value.attempts
    assert request.attributes["dynamorm.retries.throttled"] == caught.value.attempts - 1
    assert request.attributes["error.type"] == request.attributes["db.response.status_code"] == "ThrottlingException"
    assert verb.attributes["error.type"] == "dynamorm.errors.Throttled"
    assert verb.status.description == caught.value.safe
    (event,) = verb.events
    assert event.attributes["exception.message"] == caught.value.safe


def test_no_connection(scripted, spans):
    db = scripted(lambda _: TransportError("certificate", "self-signed", sent=False, fatal=True))
    with pytest.raises(ConnectFailed):
        db.get(Payment, "p1")
    verb, (request,) = spans.one()
    for span in (verb, request):
        assert failed(span)
        assert span.attributes["error.type"] == "dynamorm.errors.ConnectFailed"
        assert "db.response.status_code" not in span.attributes
        assert "aws.request_id" not in span.attributes


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>502</html>", "502"),
        (b'{"__type":"com.example#Two Words"}', "502"),
        (b'{"__type":"' + b"x" * 101 + b'"}', "502"),
        (b'{"__type":"com.amazonaws#InternalServerError"}', "InternalServerError"),
    ],
)
def test_what_has_no_name_of_the_service_has_its_status(scripted, spans, body, code):
    db = scripted(lambda _: FakeReply(502, body))
    with pytest.raises(DynamORMError):
        db.get(Payment, "p1")
    _, (request,) = spans.one()
    assert failed(request)
    assert request.attributes["db.response.status_code"] == request.attributes["error.type"] == code


def test_a_lost_write_is_found_out_below_its_verb(scripted, spans):
    """By the request that settles it in the verb, and by one that the program asks for long afterwards."""
    answering = False

    def script(request):
        if not answering:
            return LOST
        ring = {"_wt": {"B": "AAAA"}}
        return reply({"Item": ITEM | ring}) if request.operation == "GetItem" else reply({})

    db = scripted(script, operation_timeout=2.0)
    with spans.own.start_as_current_span("mine") as mine, pytest.raises(OutcomeUnknown) as caught:
        db.create(Payment(id="p1"))
    found = spans.ours()
    verb, *requests = found
    assert is_below(verb, mine)
    assert all(is_below(request, verb) for request in requests)
    assert failed(verb)
    assert verb.attributes["dynamorm.outcome"] == "UNKNOWN"
    assert verb.attributes["error.type"] == "dynamorm.errors.OutcomeUnknown"
    assert requests[0].attributes["dynamorm.attempts"] > 1
    assert requests[0].attributes["dynamorm.retries.receive"] >= 1
    answering = True
    with spans.own.start_as_current_span("later"):
        caught.value.resolve()
    later = spans.ours()
    assert later
    assert all(is_below(request, verb) for request in later)
    assert {request.attributes["dynamorm.purpose"] for request in later} == {"settle"}


def test_a_write_that_had_been_applied_is_no_error(scripted, spans):
    """The answer was lost, and the second attempt is refused by what the first one has written."""
    sent = []

    def script(request):
        sent.append(request)
        if len(sent) == 1:
            return LOST
        return failure("ConditionalCheckFailedException", Item=json.loads(sent[0].body)["Item"])

    db = scripted(script)
    assert db.create(Payment(id="p1")).id == "p1"
    verb, (request,) = spans.one()
    assert not failed(verb)
    assert not failed(request)
    assert attributes(request) == {
        "aws.request_id": "TEST", "dynamorm.attempts": 2, "dynamorm.retries.receive": 1,
    }  # fmt: skip


class Refusing(Plugin):
    """Refuses each attempt behind the first ``free`` ones."""

    name = "refusing"

    def __init__(self, free):
        self.free = free

    def admit(self, call):
        self.free -= 1
        if self.free < 0:
            raise RuntimeError("no")


def test_what_is_refused_before_it_is_sent_has_no_request(scripted, spans):
    db = scripted([], Refusing(0))
    with pytest.raises(PluginRefused):
        db.get(Payment, "p1")
    verb, requests = spans.one()
    assert requests == []
    assert failed(verb)
    assert verb.attributes["error.type"] == "dynamorm.errors.PluginRefused"


def test_a_second_attempt_that_is_refused(scripted, spans):
    db = scripted([BROKEN], Refusing(1))
    with pytest.raises(PluginRefused):
        db.get(Payment, "p1")
    verb, (request,) = spans.one()
    assert failed(request)
    assert failed(verb)


def test_a_verb_that_a_plugin_answers_has_no_request(scripted, spans):
    class Answering:
        name = "answering"

        def around(self, call):
            def answered(op):
                return (yield from op.read(b'{"Item":{"id":{"S":"p1"},"version":{"N":"1"}}}'))

            return answered

    db = scripted([], Answering())
    assert db.get(Payment, "p1").id == "p1"
    verb, requests = spans.one()
    assert requests == []
    assert not failed(verb)


def test_a_request_that_a_plugin_copies(scripted, spans):
    class Keeping:
        name = "keeping"

        def around(self, call):
            def kept(op):
                _, result = yield from call(op.with_wire())
                return result

            return kept

    db = scripted([THROTTLED, reply({"Item": ITEM})], Keeping())
    assert db.get(Payment, "p1").id == "p1"
    _, (request,) = spans.one()
    assert request.attributes["dynamorm.attempts"] == 2


def test_one_call_that_a_plugin_makes_twice_at_once(scripted, spans):
    """They cannot be told apart: one of them is seen, and no span is left open."""
    from dynamorm.effects import Gather

    class Twice:
        name = "twice"

        def around(self, call):
            def both(op):
                first, _ = yield Gather([call(op), call(op)], 2)
                return first

            return both

    db = scripted(lambda _: reply({"Item": ITEM}), Twice())
    assert db.get(Payment, "p1").id == "p1"
    _, requests = spans.one()
    assert len(requests) in {1, 2}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, GeneratorExit, SystemExit])
def test_an_interrupt_ends_the_spans(spans, stop):
    retry._buckets.clear()

    stage = Scripted("blocking", lambda _: stop())
    db = stage.db
    db.inner.use(spans.plugin())
    with pytest.raises(stop):
        db.create(Payment(id="p1"))
    verb, (request,) = spans.one()
    for span in (verb, request):
        assert span.attributes["error.type"] == stop.__name__
        assert not failed(span)
        assert not span.events


def test_a_closed_database(spans):
    """Nothing is left open."""

    async def main():
        async with AsyncDB(config) as db:
            db.use(spans.plugin())
        with pytest.raises(ConfigError):
            await db.get(Payment, "p1")

    config = Presets.local_development(endpoint="http://127.0.0.1:9")
    with DB(config) as db:
        db.use(spans.plugin())
    with pytest.raises(ConfigError):
        db.get(Payment, "p1")
    asyncio.run(main())
    assert {span.attributes["error.type"] for span in spans.ours()} <= {"dynamorm.errors.ConfigError"}


def test_an_outcome_that_is_known_tells_nothing(scripted, spans):
    db = scripted([failure("AccessDeniedException")])
    with pytest.raises(DynamORMError) as caught:
        db.create(Payment(id="p1"))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    verb, _ = spans.one()
    assert "dynamorm.outcome" not in verb.attributes


def test_an_error_that_cannot_say_what_is_safe(scripted, spans):
    """The span ends all the same."""

    class Strange(DynamORMError):
        @property
        def safe(self):
            raise RuntimeError("out of order")

    class Refuses(Plugin):
        def pre_query(self, ctx, query):
            raise Strange("strange")

    db = scripted([], Refuses())
    with pytest.raises(Strange):
        db.get(Payment, "p1")
    verb, requests = spans.one()
    assert requests == []
    assert verb.attributes["error.type"].endswith("Strange")


def test_kinds_of_spans_are_bounded(spans):
    from dynamorm.plugins.tracing import plugin as module

    plugin = spans.plugin()
    for number in range(3 * module.MAX_KNOWN):
        plugin._learned(number, module.Kind(str(number), {}))
    assert len(plugin._kinds) <= module.MAX_KNOWN


def test_time_is_that_of_the_verb(scripted, spans):
    before = time.time_ns()
    scripted([reply({"Item": ITEM})]).get(Payment, "p1")
    verb, (request,) = spans.one()
    assert before <= verb.start_time <= request.start_time <= request.end_time <= verb.end_time <= time.time_ns()
