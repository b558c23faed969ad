"""`LoggingPlugin` over the standard library's logging and over structlog, on both faces."""

import asyncio
import io
import logging
import os
import socket
import subprocess
import sys
import uuid
from datetime import timedelta

import pytest
import structlog

from dynamorm import AsyncDB, Attr, LoggingPlugin, Model, Presets, attr, partition_key, version
from dynamorm.errors import AlreadyExists, ConfigError, NotFound, OutcomeUnknown, Throttled, ValidationError
from dynamorm.testing import EngineBackend, FaultServer, answers

pytestmark = pytest.mark.engine


class Payment(Model, table="logging-payments"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


MODELS = [Payment]


@pytest.fixture(scope="module")
def prefix():
    return "log-"


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)

    @property
    def found(self):
        return [(record.levelname, record.dynamorm["verb"], record.dynamorm["outcome"]) for record in self.records]

    @property
    def text(self):
        return "\n".join(f"{record.getMessage()} {record.dynamorm}" for record in self.records)


@pytest.fixture
def records():
    """A logger of its own and its records."""
    logger = logging.getLogger(f"test.{uuid.uuid4().hex}")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    handler = Records()
    logger.addHandler(handler)
    handler.logger = logger
    return handler


def test_levels(engine, plugged, records, key):
    script = []
    with FaultServer(lambda _: script.pop(0) if script else None, backend=EngineBackend(engine.endpoint)) as server:
        db = plugged(LoggingPlugin(records.logger), endpoint=server.endpoint, max_attempts=2, operation_timeout=2.0, throttle_base=0.001)  # fmt: skip
        db.create(Payment(id=key))
        with pytest.raises(AlreadyExists):
            db.create(Payment(id=key))
        with pytest.raises(NotFound):
            db.require(Payment, f"{key}-missing")
        with pytest.raises(ValidationError):
            db.get(Payment, 5)
        script[:] = [answers.error("ThrottlingException", 400)] * 2
        with pytest.raises(Throttled):
            db.get(Payment, key)
        script[:] = [answers.reset().applied()] * 1000
        with pytest.raises(OutcomeUnknown):
            db.create(Payment(id=f"{key}-2"))
        script.clear()
    assert records.found == [
        ("DEBUG", "create", "ok"),
        ("WARNING", "create", "rejected"),
        ("INFO", "require", "rejected"),
        ("INFO", "get", "rejected"),
        ("WARNING", "get", "throttled"),
        ("ERROR", "create", "unknown"),
    ]
    rejected, throttled = records.records[1], records.records[4]
    assert rejected.dynamorm["code"] == "ErrConditionFailed"
    assert rejected.dynamorm["error"] == "AlreadyExists"
    assert rejected.dynamorm["request_id"]
    assert throttled.dynamorm["attempts"] == 2
    assert throttled.dynamorm["table"] == "log-logging-payments"
    assert rejected.getMessage().startswith("create Payment: rejected in ")


def test_values_are_never_written(plugged, records, key):
    db = plugged(LoggingPlugin(records.logger, echo=True, slow=1e-9))
    secret = f"secret-{key}"
    db.create(Payment(id=key, note=secret, amount=987654321))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key, note=secret))
    with pytest.raises(ValidationError):
        db.create(Payment(id=key, amount=10**40 + 1))
    db.update(Payment, key, Payment.note.set(secret), condition=Payment.amount == 987654321)
    list(db.model(Payment).allow_scan().where(Payment.note == secret))
    db.partiql(f"SELECT * FROM {{table}} WHERE id = '{key}' AND amount > 987654320", model=Payment)
    written = "\n".join(f"{record.getMessage()} {getattr(record, 'dynamorm', '')}" for record in records.records)
    assert "PutItem" in written
    assert "UpdateExpression" in written
    assert "SELECT" in written
    for value in (key, secret, "987654321", "987654320"):
        assert value not in written


def test_slow_ones_are_told(plugged, records, key):
    db = plugged(LoggingPlugin(records.logger, slow=timedelta(microseconds=1)))
    db.get(Payment, key)
    assert records.found == [("WARNING", "get", "ok")]
    assert records.records[0].getMessage().endswith("ms, slow")
    assert records.records[0].dynamorm["slow"] is True


def test_nothing_is_slow_without_a_limit(plugged, records, key):
    db = plugged(LoggingPlugin(records.logger, slow=None))
    db.get(Payment, key)
    assert records.found == [("DEBUG", "get", "ok")]


def test_a_level_that_is_off_is_not_written(plugged, records, key):
    records.logger.setLevel(logging.WARNING)
    db = plugged(LoggingPlugin(records.logger))
    db.get(Payment, key)
    assert records.records == []


def test_requests_are_echoed(plugged, records, key):
    db = plugged(LoggingPlugin(records.logger, echo=True))
    db.get(Payment, key)
    request, verb = records.records
    assert request.getMessage().startswith('GetItem log-logging-payments: ok {"TableName":"log-logging-payments"')
    assert '{"id":{"S":"?"}}' in request.getMessage()
    assert request.levelname == "INFO"
    assert verb.dynamorm["verb"] == "get"


def test_a_keyed_hash_finds_records_of_one_item(plugged, records, key):
    db = plugged(LoggingPlugin(records.logger, key_secret=b"0123456789abcdef"))
    db.get(Payment, key)
    db.put(Payment(id=key))
    db.get(Payment, f"{key}-other")
    one, two, other = (record.dynamorm["key_hash"] for record in records.records)
    assert one == two != other
    assert key not in records.text


def test_a_handler_that_raises_reaches_nobody(plugged, key, records):
    class Broken(logging.Handler):
        def emit(self, record):
            raise RuntimeError("disk full")

    records.logger.addHandler(Broken())
    own = logging.getLogger("dynamorm")
    broken = Broken()
    own.addHandler(broken)
    try:
        db = plugged(LoggingPlugin(records.logger, echo=True))
        db.create(Payment(id=key))
        assert db.get(Payment, key).id == key
        with pytest.raises(AlreadyExists):
            db.create(Payment(id=key))
    finally:
        own.removeHandler(broken)


def test_a_logger_of_structlog(plugged, key):
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
    )
    db = plugged(LoggingPlugin(logger, echo=True))
    db.create(Payment(id=key))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    lines = out.getvalue().splitlines()
    assert len(lines) == 4
    assert '"verb": "create"' in lines[1]
    assert '"level": "debug"' in lines[1]
    assert '"level": "warning"' in lines[3]
    assert key not in out.getvalue()


def test_a_level_of_structlog_that_is_off(plugged, key):
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    plugged(LoggingPlugin(logger)).get(Payment, key)
    assert out.getvalue() == ""


def test_an_adapter_is_a_logger(plugged, records, key):
    plugged(LoggingPlugin(logging.LoggerAdapter(records.logger))).get(Payment, key)
    assert len(records.records) == 1


def test_a_cancelled_verb_is_told(records):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as silent:
            config = Presets.local_development(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
            async with AsyncDB(config, extensions=(LoggingPlugin(records.logger),)) as db:
                task = asyncio.create_task(db.get(Payment, "p1"))
                await asyncio.sleep(0.1)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert records.found == [("INFO", "get", "cancelled")]


def test_an_answer_cannot_begin_another_line(engine, plugged, records, key):
    forged = answers.error("ValidationException", 400, "bad\nERROR forged: line")
    with FaultServer(lambda _: forged, backend=EngineBackend(engine.endpoint)) as server:
        db = plugged(LoggingPlugin(records.logger), endpoint=server.endpoint)
        with pytest.raises(ValidationError):
            db.get(Payment, key)
    (record,) = records.records
    assert "\n" not in record.dynamorm["message"] + record.getMessage()


def test_it_may_come_late(plugged, records, key):
    db = plugged()
    db.get(Payment, key)
    db.use(LoggingPlugin(records.logger))
    db.get(Payment, key)
    assert len(records.records) == 1


LOGGER = logging.getLogger("x")


@pytest.mark.parametrize(
    "make",
    [
        lambda: LoggingPlugin(None),
        lambda: LoggingPlugin("shop"),
        lambda: LoggingPlugin(logging.Logger),
        lambda: LoggingPlugin(print),
        lambda: LoggingPlugin(LOGGER, slow=0),
        lambda: LoggingPlugin(LOGGER, slow=-1),
        lambda: LoggingPlugin(LOGGER, slow="1"),
        lambda: LoggingPlugin(LOGGER, slow=True),
        lambda: LoggingPlugin(LOGGER, echo=1),
        lambda: LoggingPlugin(LOGGER, key_secret="0123456789abcdef"),
        lambda: LoggingPlugin(LOGGER, key_secret=b"short"),
        lambda: LoggingPlugin(LOGGER, key_secret=b"x" * 65),
    ],
)
def test_what_is_refused(make):
    with pytest.raises(ConfigError):
        make()


@pytest.fixture
def requests_log():
    logger, handler = logging.getLogger("dynamorm.requests"), Records()
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_one_switch_logs_requests_without_values(plugged, requests_log, key):
    db = plugged(log_requests=True)
    db.create(Payment(id=key, note="a secret"))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    levels = [
        (record.levelname, record.dynamorm.get("operation"), record.dynamorm.get("verb"))
        for record in requests_log.records
    ]
    assert levels == [("INFO", "PutItem", None), ("INFO", "PutItem", None), ("WARNING", "PutItem", "create")]
    written = "\n".join(f"{record.getMessage()} {record.dynamorm}" for record in requests_log.records)
    assert key not in written
    assert "secret" not in written


def test_the_switch_leaves_room_for_a_logging_plugin_and_costs_nothing_unused(plugged, requests_log, records, key):
    db = plugged(LoggingPlugin(records.logger), log_requests=True)
    db.create(Payment(id=key))
    assert records.found == [("DEBUG", "create", "ok")]
    assert len(requests_log.records) == 1
    assert [plugin.name for plugin in db.inner.plugins] == ["logging", "log_requests"]
    assert plugged().inner.plugins == ()


def test_without_any_logging_set_up_the_requests_stand_on_stderr(engine, made, key):
    program = "from dynamorm import DB; db = DB(); db.tables.names(); db.close()"
    settings = {
        "DYNAMODB_ENDPOINT": engine.endpoint,
        "DYNAMORM_LOG_REQUESTS": "1",
        "DYNAMORM_ALLOW_INSECURE_LOCAL": "1",
    }
    settings |= {"DYNAMORM_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "INFO dynamorm.requests ListTables" in done.stderr


def test_the_switch_is_true_or_false():
    with pytest.raises(ConfigError, match="log_requests"):
        Presets.local_development(log_requests="yes")
