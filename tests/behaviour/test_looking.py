"""Plugins that only look: the beginning and the end of verbs and of requests, on both faces."""

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from contextvars import ContextVar

import pytest

from dynamorm import AsyncDB, Attr, Model, Presets, attr, partition_key, sort_key, version
from dynamorm.effects import TransportError
from dynamorm.errors import AlreadyExists, ConfigError, DynamORMError, OutcomeUnknown, PluginRefused, Throttled
from dynamorm.plugin import Plugin, service_error
from dynamorm.testing import FakeReply, FaultServer, answers, failure, reply
from dynamorm.wire import retry
from tests.faults.scripted import Scripted

pytestmark = pytest.mark.engine

WHO = ContextVar("who", default="nobody")


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Payment, Order]
ITEM = {"id": {"S": "p1"}, "amount": {"N": "5"}, "version": {"N": "1"}}
FOUND = reply({"Item": ITEM})
THROTTLED = failure("ThrottlingException")


class Diary:
    """Notes all that it sees, in order."""

    def __init__(self, name="diary"):
        self.name = name
        self.seen = []

    def began(self, operation):
        operation.notes[self] = WHO.get()
        self.seen.append(("began", operation.verb))

    def ended(self, operation, error):
        self.seen.append(("ended", operation.verb, operation.notes[self], type(error).__name__))

    def call_began(self, call):
        self.seen.append(("call began", call.name, call.server.port > 0))

    def observed(self, call, reply, error):
        self.seen.append(("observed", call.name, service_error(reply)))

    def retried(self, call, error):
        self.seen.append(("retried", call.name))

    def call_ended(self, call, error):
        self.seen.append(("call ended", call.name, type(error).__name__))

    def take(self):
        """What was seen since the last look; whatever began has ended."""
        seen, self.seen = self.seen, []
        counts = Counter(what for what, *_ in seen)
        assert counts["began"] == counts["ended"]
        assert counts["call began"] == counts["call ended"]
        return seen


@pytest.fixture
def scripted(face_kind):
    """Makes databases over a script, with plugins."""
    retry._buckets.clear()
    made = []

    def make(script, *plugins, **settings):
        made.append(Scripted(face_kind, script, **settings))
        made[-1].db.inner.use(*plugins)
        return made[-1].db

    yield make
    for each in made:
        each.db.close()


def test_what_is_seen_of_a_verb(scripted):
    diary = Diary()
    db = scripted([THROTTLED, FOUND], diary)
    token = WHO.set("me")
    try:
        db.get(Payment, "p1")
    finally:
        WHO.reset(token)
    assert diary.take() == [
        ("began", "get"),
        ("call began", "GetItem", True),
        ("observed", "GetItem", "ThrottlingException"),
        ("retried", "GetItem"),
        ("observed", "GetItem", None),
        ("call ended", "GetItem", "NoneType"),
        ("ended", "get", "me", "NoneType"),
    ]


def test_each_has_notes_of_its_own(scripted):
    seen = []

    class Noting(Diary):
        def ended(self, operation, error):
            seen.append(dict(operation.notes))

    one, two = Noting("one"), Noting("two")
    db = scripted(lambda _: FOUND, one, two)
    db.get(Payment, "p1")
    db.get(Payment, "p1")
    assert seen == [{one: "nobody", two: "nobody"}] * 4


@pytest.mark.parametrize(
    ("script", "error", "call_error"),
    [
        (lambda _: THROTTLED, Throttled, "Throttled"),
        (lambda _: failure("AccessDeniedException"), DynamORMError, "AccessDenied"),
        (lambda _: failure("ConditionalCheckFailedException", Item=ITEM), AlreadyExists, None),
        (lambda _: reply({"Item": 7}), OutcomeUnknown, None),
        (lambda _: TransportError("receive", "reset", sent=True), OutcomeUnknown, None),
        (lambda _: TransportError("certificate", "not ours", sent=False, fatal=True), DynamORMError, "ConnectFailed"),
    ],
)
def test_each_way_in_which_a_request_ends(scripted, script, error, call_error):
    diary = Diary()
    db = scripted(script, diary, operation_timeout=1.0)
    with suppress(error):
        db.create(Payment(id="p1"))
    seen = diary.take()
    ends = [one for one in seen if one[0] == "call ended"]
    assert seen[-1][0] == "ended"
    if call_error is not None:
        assert ends[0][2] == call_error


def test_an_interrupt_is_an_end():
    diary = Diary()
    stage = Scripted("blocking", lambda _: KeyboardInterrupt())
    stage.db.inner.use(diary)
    with pytest.raises(KeyboardInterrupt):
        stage.db.create(Payment(id="p1"))
    assert [one[-1] for one in diary.take() if one[0] in {"call ended", "ended"}] == ["KeyboardInterrupt"] * 2


def test_a_cancelled_task_is_an_end():
    diary = Diary()

    async def main(server):
        async with AsyncDB(Presets.local_development(endpoint=server.endpoint, request_timeout=60)) as db:
            db.use(diary)
            task = asyncio.create_task(db.create(Payment(id="p1")))
            while not server.requests:  # noqa: ASYNC110 - it is no event of asyncio
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with FaultServer(lambda _: answers.json({}).delayed(60)) as server:
        asyncio.run(main(server))
    assert [one[-1] for one in diary.take() if one[0] in {"call ended", "ended"}] == ["CancelledError"] * 2


def test_what_is_refused_before_it_is_sent_does_not_begin(scripted):
    class Refusing(Plugin):
        def admit(self, call):
            assert call.server.address == "127.0.0.1"
            raise RuntimeError

    diary = Diary()
    db = scripted([], diary, Refusing())
    with pytest.raises(PluginRefused):
        db.get(Payment, "p1")
    assert [what for what, *_ in diary.take()] == ["began", "observed", "ended"]


def test_the_order_of_several(scripted):
    seen = []

    class Noting(Diary):
        def __getattribute__(self, name):
            if name in {"began", "ended", "call_began", "call_ended"}:
                return lambda *_: seen.append((name, self.name))
            return super().__getattribute__(name)

    db = scripted([FOUND], Noting("outer"), Noting("inner"))
    db.get(Payment, "p1")
    assert seen == [
        ("began", "outer"), ("began", "inner"), ("call_began", "outer"), ("call_began", "inner"),
        ("call_ended", "inner"), ("call_ended", "outer"), ("ended", "inner"), ("ended", "outer"),
    ]  # fmt: skip


@pytest.mark.parametrize("hook", ["began", "ended", "call_began", "call_ended"])
def test_a_hook_that_fails_changes_nothing(scripted, caplog, hook):
    class Failing(Diary):
        pass

    def fail(*_):
        raise RuntimeError("out of order")

    failing, diary = Failing("failing"), Diary()
    setattr(failing, hook, fail)
    failing.ended = fail if hook == "ended" else lambda *_: None
    db = scripted(lambda _: FOUND, failing, diary)
    with caplog.at_level(logging.WARNING, "dynamorm"):
        for _ in range(3):
            assert db.get(Payment, "p1").amount == 5
    assert len(diary.take()) == 15
    assert any(
        "failing failed" in record.getMessage() or "failing for calls" in record.getMessage()
        for record in caplog.records
    )
    if hook in {"began", "ended"}:
        assert len(caplog.records) == 1  # once a minute


def test_it_may_come_late(plugged, key):
    db = plugged()
    view = db.scoped(tenant="t1")
    db.create(Payment(id=key))
    diary = Diary()
    db.use(diary)
    db.get(Payment, key)
    view.get(Payment, key)
    assert [one for one in diary.take() if one[0] in {"began", "call began"}] == [
        ("began", "get"), ("call began", "GetItem", True),
    ] * 2  # fmt: skip


def test_every_verb_and_every_request_begins_and_ends(plugged, key):
    diary = Diary()
    db = plugged(diary)
    assert db.batch_write(puts=[Order(customer=key, number=n) for n in range(60)]).ok
    query = db.model(Order).where(Order.customer == key)
    assert len(list(query.page_size(25))) == 60
    for _ in query.page_size(5):
        break
    with pytest.raises(AlreadyExists):
        [db.create(Payment(id=key)) for _ in range(2)]
    db.tables.describe(Payment)
    assert query.delete_all(confirm=True) == 60
    seen = diary.take()
    assert sum(one[0] == "call began" for one in seen) >= 3 + 3 + 1 + 2 + 1 + 3


@pytest.mark.parametrize(("hook", "slip"), [("call_ended", "call_end"), ("call_began", "call_begun")])
def test_a_slip_is_told(plugged, hook, slip):
    class Slip:
        name = "slip"

        def ended(self, operation, error):
            pass

    setattr(Slip, slip, lambda self, call: None)
    with pytest.raises(ConfigError, match=f"did you mean {hook}"):
        plugged(Slip())


@pytest.mark.parametrize("hook", ["began", "call_began", "call_ended"])
def test_a_coroutine_is_refused(plugged, hook):
    async def looks(*_):
        pass

    diary = Diary()
    setattr(diary, hook, looks)
    with pytest.raises(ConfigError, match="coroutine"):
        plugged(diary)


def test_the_name_of_a_refusal():
    assert service_error(None) is None
    assert service_error(FOUND) is None
    assert service_error(THROTTLED) == "ThrottlingException"
    assert service_error(FakeReply(503, b"<html>")) == "503"
    assert service_error(FakeReply(400, b'{"__type":"a#b c"}')) == "400"
