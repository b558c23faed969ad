"""Plugins that only look: the ends of verbs, attempts and retries; in what order, exactly once, and from when on."""

import asyncio
import logging

import pytest

from dynamorm import AsyncDB, Attr, Model, Presets, attr, partition_key, version
from dynamorm.errors import AlreadyExists, ConfigError, PluginRefused, Unavailable, ValidationError
from dynamorm.plugin import Plugin, attempt_class, without_values
from dynamorm.testing import EngineBackend, FaultServer, answers

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


MODELS = [Payment]


class Ends:
    def __init__(self, name="ends"):
        self.name, self.seen, self.took = name, [], []

    def ended(self, operation, error):
        self.seen.append((operation.verb, None if error is None else type(error).__name__))
        self.took.append(operation.took)


class Attempts:
    def __init__(self, name="attempts", log=None):
        self.name, self.log = name, [] if log is None else log

    def admit(self, call):
        self.log.append((self.name, "admit"))

    def observed(self, call, reply, error):
        self.log.append((self.name, attempt_class(reply, error)))

    def retried(self, call, error):
        self.log.append((self.name, "again", attempt_class(None, error)))


def test_each_end_once_with_what_the_caller_gets(plugged, key):
    class Refusing(Plugin):
        def pre_query(self, ctx, query):
            if ctx.verb == "exists":
                raise PermissionError

    ends = Ends()
    db = plugged(Refusing(), ends)
    db.create(Payment(id=key))
    for call in (lambda: db.create(Payment(id=key)), lambda: db.exists(Payment, key), lambda: db.get(Payment, 5)):
        with pytest.raises((AlreadyExists, PluginRefused, ValidationError)):
            call()
    for _ in db.model(Payment).where(Payment.id == key):
        pass
    assert ends.seen == [
        ("create", None), ("create", "AlreadyExists"), ("exists", "PluginRefused"), ("get", "ValidationError"), ("iterate", None)
    ]  # fmt: skip
    assert all(0 < took < 60 for took in ends.took)


def test_what_fails_there_changes_nothing_and_is_logged_once(plugged, key, caplog):
    class Broken(Ends):
        def ended(self, operation, error):
            raise RuntimeError("broken")

    ends = Ends()
    db = plugged(Broken("broken"), ends)
    db.create(Payment(id=key))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    assert len(ends.seen) == 2
    assert [record.getMessage() for record in caplog.records] == ["ended of the plugin broken failed"]


def test_the_end_of_a_cancelled_verb(engine, made, key):
    import socket

    async def main():
        ends = Ends()
        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            async with AsyncDB(Presets.local_development(endpoint=endpoint), extensions=(ends,)) as db:
                task = asyncio.create_task(db.get(Payment, key))
                await asyncio.sleep(0.1)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return ends.seen

    assert asyncio.run(main()) == [("get", "CancelledError")]


@pytest.fixture
def faulty(engine, made, face_kind):
    from tests.support.faces import Face

    faces = []

    def opened(script, *plugins, **settings):
        left = list(script)
        server = FaultServer(lambda _: left.pop(0) if left else None, backend=EngineBackend(engine.endpoint))
        config = Presets.local_development(
            endpoint=server.endpoint, table_prefix=made, retry_base=0.001, throttle_base=0.001, **settings
        )
        faces.append((Face(face_kind, config, extensions=plugins), server))
        return faces[-1][0]

    yield opened
    for face, server in faces:
        face.close()
        server.stop()


def test_attempts_of_two_plugins_are_nested(faulty, key):
    log = []
    script = [
        answers.error("ThrottlingException", 400),
        answers.json({"Item": {}}, crc="bad"),
        answers.silence(),
        answers.html(),
    ]
    db = faulty(script, Attempts("outer", log), Attempts("inner", log), max_attempts=9)
    db.get(Payment, key)
    kinds = ["throttled", "checksum", "receive", "malformed", "ok"]
    expected = []
    for before, kind in zip([None, *kinds], kinds, strict=False):
        expected += [] if before is None else [("outer", "again", before), ("inner", "again", before)]
        expected += [("outer", "admit"), ("inner", "admit"), ("inner", kind), ("outer", kind)]
    assert log == expected


def test_one_that_refuses_leaves_the_others_with_nothing(plugged, key):
    class Refusing(Attempts):
        def admit(self, call):
            raise Unavailable("cut off")

    log = []
    db = plugged(Attempts("outer", log), Refusing("refusing", log), Attempts("inner", log))
    with pytest.raises(Unavailable, match="cut off"):
        db.create(Payment(id=key))
    assert log == [("outer", "admit"), ("outer", "abandoned")]


def test_the_last_failure_is_no_retry(faulty, key):
    attempts = Attempts()
    db = faulty([answers.error("InternalServerError", 500)] * 9, attempts, max_attempts=3)
    with pytest.raises(Unavailable):
        db.get(Payment, key)
    kinds = [entry[-1] for entry in attempts.log if entry[-1] != "admit"]
    assert kinds == ["server_error"] * 5
    assert sum(entry[1] == "again" for entry in attempts.log) == 2


def test_one_that_only_looks_may_come_late_and_sees_views_too(plugged, key):
    db = plugged()
    db.create(Payment(id=key))
    view = db.scoped(tenant="t1")
    ends, attempts = Ends(), Attempts()
    db.use(ends)
    db.get(Payment, key)
    view.get(Payment, key)
    db.scoped(tenant="t2").get(Payment, key)
    assert [verb for verb, _ in ends.seen] == ["get", "get", "get"]
    with pytest.raises(ConfigError, match="may come at any time"):
        db.use(attempts)  # it admits


def test_one_that_comes_late_sees_streams_too(plugged, key):
    class Calls:
        name = "calls"

        def __init__(self):
            self.names = []

        def observed(self, call, reply, error):
            self.names.append(call.name)

    db = plugged()
    db.get(Payment, key)
    session = db.inner._session
    streams = session.streams()
    calls = Calls()
    db.use(calls)
    assert streams.channel.watch is session.channel.watch is not None
    assert streams.call is not session.call
    db.get(Payment, key)
    assert calls.names == ["GetItem"]


@pytest.mark.parametrize("moment", ["operation", "around", "write_rule", "pre_query"])
def test_one_that_does_more_comes_too_late(plugged, key, moment):
    db = plugged()
    db.get(Payment, key)
    plugin = Ends()
    setattr(plugin, moment, lambda *_: None)
    with pytest.raises(ConfigError, match="registered before the first call"):
        db.use(plugin)
    assert plugin not in db.inner._session.plugins


def test_the_plugins_that_were_there_go_on(plugged, key):
    first = Ends("first")
    db = plugged(first)
    db.get(Payment, key)
    db.use(Ends("second"))
    db.get(Payment, key)
    assert len(first.seen) == 2


def test_calls_tell_their_verb_with_whatever_it_takes(plugged, key):
    class Calls(Ends):
        def __init__(self):
            super().__init__("calls")
            self.verbs = []

        def observed(self, call, reply, error):
            self.verbs.append((call.name, call.operation.verb, call.purpose))

    calls = Calls()
    db = plugged(calls)
    db.create(Payment(id=key))
    db.update(Payment, key, Payment.amount.add(1))
    db.increment(Payment, key, Payment.amount)
    with db.transaction() as tx:
        tx.delete(Payment, key)
    assert {verb for _, verb, _ in calls.verbs} == {"create", "update", "increment", "transaction"}


def test_requests_without_values(plugged, key):
    class Bodies:
        name = "bodies"

        def __init__(self):
            self.texts = []

        def observed(self, call, reply, error):
            self.texts.append(without_values(call))

    bodies = Bodies()
    db = plugged(bodies)
    db.create(Payment(id=key, amount=31337))
    db.partiql(f"SELECT * FROM {{table}} WHERE id = '{key}' AND amount = 31337", model=Payment)
    assert '"id":{"S":"?"}' in bodies.texts[0]
    assert "WHERE id = ? AND amount = ?" in bodies.texts[1]
    assert not any(value in text for text in bodies.texts for value in (key, "31337"))


def test_a_handler_of_the_librarys_logger_that_raises_reaches_nobody(plugged, key):
    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError("disk full")

    class BrokenEnds(Ends):
        def ended(self, operation, error):
            raise RuntimeError("broken")

    handler, logger = Broken(), logging.getLogger("dynamorm")
    logger.addHandler(handler)
    try:
        plugged(BrokenEnds()).create(Payment(id=key))
    finally:
        logger.removeHandler(handler)
