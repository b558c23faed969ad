"""`db.metrics()` and `db.gauges()`: figures of a database without any dependency, on both faces."""

import asyncio
import json
import os
import threading
import time
from contextlib import suppress
from email.utils import formatdate

import pytest

from dynamorm import DB, AsyncDB, Attr, HighThroughput, Model, Presets, attr, deadline, partition_key, sort_key, version
from dynamorm.errors import (
    AlreadyExists,
    ConfigError,
    DeadlineExceeded,
    NotFound,
    OutcomeUnknown,
    TamperedCursor,
    Throttled,
    Unavailable,
    ValidationError,
)
from dynamorm.plugins import Metrics
from dynamorm.testing import EngineBackend, FaultServer, answers
from tests.plugins.batcher_kit import wait_until
from tests.support.memory import over_http

pytestmark = pytest.mark.engine


class Payment(Model, table="metrics-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="metrics-orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Payment, Order]


@pytest.fixture(scope="module")
def engine(engine):
    """Figures of the pool need connections."""
    return over_http(engine)


@pytest.fixture(scope="module")
def prefix():
    return "metrics-test-"


def test_the_seeds_lines(plugged, key):
    db = plugged()
    metrics = db.metrics()
    db.create(Payment(id=key))
    for _ in range(9):
        db.get(Payment, key)
    assert metrics is db.metrics()
    assert metrics.qps() == pytest.approx(10, abs=9.5)
    assert 0.0 < metrics.avg_latency() < 5.0
    assert 0.0 < metrics.percentile(0.5) <= metrics.percentile(0.99) < 5.0
    assert metrics.error_rate() == 0.0
    metrics.custom.record("payment_success_rate", ok=True)
    metrics.custom.record("payment_success_rate", ok=False)
    assert metrics.custom["payment_success_rate"] == 0.5


def test_it_may_be_asked_for_late_and_then_counts_from_there(plugged, key):
    db = plugged()
    db.create(Payment(id=key))
    view = db.scoped(tenant="t1")
    metrics = db.metrics()
    assert metrics.total().count == 0
    assert metrics.percentile(0.99) == metrics.avg_latency() == metrics.qps() == 0.0
    db.get(Payment, key)
    view.get(Payment, key)
    later = db.scoped(tenant="t2")
    later.get(Payment, key)
    assert metrics.total().count == 3
    assert view.metrics() is later.metrics() is metrics


def test_the_setting_counts_from_the_first_verb_on(plugged, key):
    db = plugged(metrics=True)
    db.create(Payment(id=key))
    assert db.metrics().total().count == 1
    assert db.metrics().attempts() == {"ok": 1}


def test_by_model_verb_and_table(plugged, made, key):
    db = plugged()
    metrics = db.metrics()
    payment = db.create(Payment(id=key))
    db.put(Order(customer=key, number=1))
    with suppress(AlreadyExists):
        db.create(Payment(id=key))
    db.save(payment)
    list(db.model(Order).where(Order.customer == key))
    with db.transaction() as tx:
        tx.put(Order(customer=key, number=2))
    db.transact_get([(Payment, key), (Order, key, 1)])
    assert {name: one.count for name, one in metrics.by_model().items()} == {"": 1, "Order": 3, "Payment": 3}
    assert {name: one.count for name, one in metrics.by_verb().items()} == {
        "create": 2, "iterate": 1, "put": 1, "save": 1, "transact_get": 1, "transaction": 1
    }  # fmt: skip
    assert {name: one.count for name, one in metrics.by_table().items()} == {
        "": 1, f"{made}metrics-orders": 3, f"{made}metrics-payments": 3
    }  # fmt: skip
    assert {name: one.count for name, one in metrics.by_verb_and_model().items()} == {
        ("create", "Payment"): 2, ("iterate", "Order"): 1, ("put", "Order"): 1, ("save", "Payment"): 1,
        ("transact_get", ""): 1, ("transaction", "Order"): 1,
    }  # fmt: skip
    assert metrics.by_model()["Payment"].outcomes == {"ok": 2, "rejected": 1}
    assert metrics.by_model()["Payment"].percentile(0.99) > 0


def test_what_is_refused_is_no_error(plugged, key):
    db = plugged()
    metrics = db.metrics()
    db.create(Payment(id=key))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    with pytest.raises(NotFound):
        db.require(Payment, f"{key}-missing")
    with pytest.raises(ValidationError):
        db.get(Payment, 5)
    assert metrics.outcomes() == {"ok": 1, "rejected": 3}
    assert metrics.error_rate() == 0.0


class Script:
    """Answers that are given next; behind them the one for ever, or what the engine answers."""

    def __init__(self):
        self.answers, self.forever = [], None
        self.before = []  # what is called, once each, before a request is answered

    def __call__(self, request):
        if self.before:
            self.before.pop()()
        return self.answers.pop(0) if self.answers else self.forever


@pytest.fixture
def scripted(engine, plugged):
    """A script, and a database at a server that answers by it."""
    script = Script()
    with FaultServer(script, backend=EngineBackend(engine.endpoint)) as server:

        def make(**settings):
            settings = {"max_attempts": 2, "retry_base": 0.001, "throttle_base": 0.001, **settings}
            return script, plugged(endpoint=server.endpoint, **settings)

        yield make


def outcome_of(db, metrics, call):
    before = metrics.outcomes()
    error = None
    try:
        call()
    except Exception as raised:  # noqa: BLE001 - what it is is asserted by the tests
        error = raised
    after = metrics.outcomes()
    (outcome,) = (name for name in after if after[name] != before.get(name, 0))
    return outcome, type(error)


def test_outcomes_attempts_and_retries_of_faults(scripted, key):
    script, db = scripted()
    metrics = db.metrics()
    throttle = answers.error("ThrottlingException", 400)
    broken = answers.error("InternalServerError", 500)
    script.answers = [throttle] * 2
    assert outcome_of(db, metrics, lambda: db.get(Payment, key)) == ("throttled", Throttled)
    script.answers = [broken] * 2
    found = outcome_of(db, metrics, lambda: db.get(Payment, key))
    assert found[0] == "unavailable"
    assert issubclass(found[1], Unavailable)
    script.answers = [answers.error("AccessDeniedException", 400)]
    assert outcome_of(db, metrics, lambda: db.get(Payment, key))[0] == "denied"
    assert metrics.error_rate() == pytest.approx(2 / 3)
    assert metrics.attempts() == {"denied": 1, "server_error": 2, "throttled": 2}
    assert metrics.retries() == {"server_error": 1, "throttled": 1}


def test_a_cursor_that_somebody_made_up_is_no_fault_of_the_service(plugged):
    db = plugged(cursor_key=b"c" * 32)
    metrics = db.metrics()
    query = db.model(Payment).allow_scan().limit(1)
    assert outcome_of(db, metrics, lambda: query.cursor("made up").page()) == ("rejected", TamperedCursor)
    assert metrics.error_rate() == 0.0


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (answers.json({"Item": {}}, crc="bad"), "checksum"),
        (answers.html(), "malformed"),
        (answers.empty(), "malformed"),
        (answers.error("TransactionConflictException", 400), "conflict"),
        (answers.silence(), "receive"),
    ],
    ids=["checksum", "html", "empty", "conflict", "silence"],
)
def test_what_an_attempt_came_to(scripted, key, answer, kind):
    script, db = scripted()
    metrics = db.metrics()
    script.answers = [answer]
    db.get(Payment, key)
    assert metrics.attempts() == {kind: 1, "ok": 1}
    assert metrics.retries() == {kind: 1}
    assert metrics.outcomes() == {"ok": 1}


def test_an_unknown_outcome(scripted, key):
    script, db = scripted(operation_timeout=2)
    metrics = db.metrics()
    script.forever = answers.reset().applied()
    with pytest.raises(OutcomeUnknown):
        db.create(Payment(id=key))
    assert metrics.outcomes() == {"unknown": 1}
    assert metrics.error_rate() == 0.0
    assert metrics.snapshot()["unknown_outcomes"] == 1


def test_a_deadline_is_unavailable(plugged, key):
    db = plugged()
    metrics = db.metrics()
    if db.kind == "blocking":
        with deadline(1e-6), pytest.raises(DeadlineExceeded):
            db.get(Payment, key)
    else:

        async def late():
            with deadline(1e-6):
                await db.inner.get(Payment, key)

        with pytest.raises(DeadlineExceeded):
            db._loop.run(late())
    assert metrics.outcomes() == {"unavailable": 1}


def test_a_cancelled_verb_is_cancelled():
    async def main():
        with FaultServer(lambda _: answers.silence("stall")) as silent:
            async with AsyncDB(Presets.local_development(endpoint=silent.endpoint)) as db:
                metrics = db.metrics()
                tasks = [
                    asyncio.create_task(db.get(Payment, "p1")),
                    asyncio.create_task(db.put(Order(customer="c", number=1))),
                ]
                async with asyncio.timeout(30):
                    while len(silent.requests) < 2:  # noqa: ASYNC110 - another thread takes them
                        await asyncio.sleep(0.005)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                return metrics

    metrics = asyncio.run(main())
    assert metrics.outcomes() == {"cancelled": 1, "unknown": 1}  # the write may have been applied
    assert metrics.attempts() == {"abandoned": 2}


def test_units(plugged, made, key):
    db = plugged(metrics=True)
    db.create(Payment(id=key))
    db.get(Payment, key)
    db.get(Payment, key, consistent=True)
    units = db.metrics().consumed_units()
    assert units[f"{made}metrics-payments", None] == (1.5, 1.0)
    (row,) = db.metrics().snapshot()["consumed_units"]
    assert row == {"table": f"{made}metrics-payments", "index": None, "read": 1.5, "write": 1.0}


def test_the_snapshot_is_plain_data(plugged, key):
    db = plugged(metrics=True)
    db.metrics().custom.define("broken", lambda: 1 / 0)
    db.metrics().custom.define("seven", lambda: 7)
    db.create(Payment(id=key))
    found = json.loads(json.dumps(db.metrics().snapshot()))
    assert found["total"]["count"] == found["models"]["Payment"]["count"] == found["verbs"]["create"]["count"] == 1
    assert found["attempts"] == {"ok": 1}
    assert found["custom"] == {"broken": None, "seven": 7}
    assert found["gauges"]["pool_idle"] == 1
    assert key not in json.dumps(found)


def test_gauges_of_a_pool_that_is_too_small(scripted, key):
    script, db = scripted(performance=HighThroughput(max_connections=1, max_idle_connections=1))
    script.before = [lambda: wait_until(lambda: db.gauges()["pool_waiting"] == 3)]
    script.forever = answers.honest().delayed(0.1)
    db.concurrently(lambda _: db.get(Payment, key), 4)
    gauges = db.gauges()
    assert gauges["pool_waits"] == 3
    assert 0.5 < gauges["pool_wait_seconds"] < 90
    assert (gauges["pool_connections_max"], gauges["pool_busy"], gauges["pool_idle"]) == (1, 0, 1)
    assert gauges["pool_waiting"] == 0
    assert gauges["retry_tokens"] <= 500
    assert gauges["clock_skew_seconds"] == 0.0
    assert db.scoped(tenant="t1").gauges() == gauges


def test_the_gauge_of_the_clock_is_what_was_measured_also_where_it_is_not_applied(plugged):
    db = plugged()
    skew = db.inner._session.channel.skew
    for second in range(3):
        skew.observe(formatdate(1_000_120 + second, usegmt=True).encode(), 1_000_000 + second, 1_000_000 + second)
    assert db.gauges()["clock_skew_seconds"] == pytest.approx(120, abs=1.1)
    assert skew.skew == 0


def test_gauges_of_plugins(plugged, caplog):
    class Queue:
        name = "queue"

        def gauges(self):
            return {"queue_length": 3}

    class Broken:
        name = "broken"

        def gauges(self):
            raise RuntimeError

    db = plugged(Queue(), Broken())
    for _ in range(3):
        assert db.gauges()["queue_length"] == 3.0
    assert caplog.text.count("gauges of the plugin broken failed") == 1  # and not again within a minute


@pytest.mark.once
def test_threads_lose_nothing(plugged, key):
    db = plugged()
    metrics = db.metrics()
    db.put(Order(customer=key, number=1))
    stop = threading.Event()

    def read():
        while not stop.is_set():
            metrics.snapshot()

    reader = threading.Thread(target=read)
    reader.start()
    db.concurrently(lambda _: [db.get(Order, key, 1) for _ in range(100)], 8)
    stop.set()
    reader.join()
    assert metrics.total().count == metrics.attempts()["ok"] == 801


def test_another_plugin_of_this_name(plugged):
    class Mine:
        name = "metrics"

        def ended(self, operation, error):
            pass

    db = plugged(Mine())
    with pytest.raises(ConfigError, match="two plugins are called metrics"):
        db.metrics()


def test_many_ask_for_it_at_once(plugged, key):
    db = plugged()
    assert len({id(found) for found in db.concurrently(lambda _: db.metrics(), 16)}) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_process_starts_anew(engine, made, key):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        metrics = db.metrics()
        metrics.custom.record("rate", ok=False)
        db.get(Payment, key)
        child = os.fork()
        if child == 0:
            good = metrics.total().count == 0
            db.get(Payment, key)
            good = good and metrics.total().count == 1 and metrics.custom["rate"] == 1.0
            os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert metrics.total().count == 1


# ------------------------------------------------------------------------------------------------- the figures themselves


class Clock:
    """A clock that is set."""

    def __init__(self):
        self.now = 1000.5

    def __call__(self):
        return self.now


class Verb:
    """An operation that has ended."""

    def __init__(self, clock, took=0.01, verb="get", model=Payment, table="t"):
        self.verb, self.model, self.table, self.took, self.started, self.scope = (
            verb,
            model,
            table,
            took,
            clock() - took,
            {},
        )


def test_windows():
    clock = Clock()
    metrics = Metrics(clock=clock)
    for second in range(100):
        clock.now = 1000.5 + second
        for _ in range(5):
            metrics.ended(Verb(clock), None)
        metrics.ended(Verb(clock, took=1.0), Unavailable("gone"))
    assert metrics.qps() == pytest.approx(6.0, rel=0.1)
    assert metrics.error_rate() == pytest.approx(1 / 6)
    assert metrics.window().count == 360
    assert metrics.total().count == 600
    clock.now += 20
    assert metrics.qps() == 0.0
    assert metrics.window().count == 240
    clock.now += 50
    assert (metrics.window().count, metrics.error_rate(), metrics.percentile(0.5), metrics.avg_latency()) == (
        0,
        0,
        0,
        0,
    )
    assert metrics.by_model() == {}
    assert metrics.total().outcomes == {"ok": 500, "unavailable": 100}


def test_series_without_end_are_other():
    clock = Clock()
    metrics = Metrics(clock=clock, most_series=500)
    models = [type(f"Model{number}", (), {}) for number in range(300)]
    for model in models:
        metrics.ended(Verb(clock, model=model, table=model.__name__), None)
    assert metrics.total().count == 300
    by_model, by_table = metrics.by_model(), metrics.by_table()
    assert len(by_model) == len(by_table) == 101
    assert by_model["other"].count == by_table["other"].count == 200


def test_labels_are_at_most_2000():
    clock = Clock()
    metrics = Metrics(clock=clock)

    class Call:
        name = "GetItem"

    for number in range(2500):
        metrics.ended(Verb(clock, model=type(f"Model{number}", (), {}), table=f"t{number}"), None)
        Call.table = f"t{number}"
        metrics.observed(Call, None, None)
        metrics.retried(Call, Unavailable("gone"))
    assert max(map(len, (metrics.by_model(), metrics.by_table(), metrics._attempts, metrics._retries))) <= 2000
    assert metrics.attempts() == {"abandoned": 2500}


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.0, 0.0, 99, 99.0, "0.99", None, True, float("nan")])
def test_a_share_is_between_0_and_1(share):
    hint = "write 0.99" if share == 99 else "between 0 and 1"
    with pytest.raises(ValidationError, match=hint):
        Metrics().percentile(share)


def test_custom_figures():
    custom = Metrics().custom
    custom.define("payment_success_rate")
    assert custom["payment_success_rate"] == 1.0
    custom.define("seven", lambda: 7)
    assert dict(custom) == {"payment_success_rate": 1.0, "seven": 7}
    assert "seven" in custom
    with pytest.raises(KeyError, match="did you mean 'payment_success_rate'"):
        custom["payment_sucess_rate"]
    with pytest.raises(KeyError, match=r"custom\.define"):
        custom["zzz"]
    with pytest.raises(ValidationError, match="another name"):
        custom.record("seven", ok=True)
    custom.define("seven")
    custom.record("seven", ok=False)
    assert custom["seven"] == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda custom: custom.define("", lambda: 1),
        lambda custom: custom.define(5, lambda: 1),
        lambda custom: custom.define("x" * 201),
        lambda custom: custom.define("x", 5),
        lambda custom: custom.record("x", 1),
        lambda custom: custom.record("x", None),
        lambda custom: custom.record(None, ok=True),
    ],
)
def test_custom_figures_of_wrong_kinds(call):
    with pytest.raises(ValidationError):
        call(Metrics().custom)


def test_a_function_of_a_custom_figure_is_plain_and_gives_a_number():
    custom = Metrics().custom

    async def later():
        return 1

    with pytest.raises(ValidationError, match="coroutine"):
        custom.define("later", later)
    custom.define("text", lambda: "many")
    with pytest.raises(ValidationError, match="gave no number but str"):
        custom["text"]
    custom.define("broken", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        custom["broken"]


def test_it_costs_little(figure):
    clock = time.monotonic
    metrics = Metrics()
    verb = Verb(clock, took=0.00123)
    best = 1.0
    for _ in range(50):
        start = time.perf_counter()
        for _ in range(1000):
            metrics.ended(verb, None)
        best = min(best, (time.perf_counter() - start) / 1000)
    figure(f"metrics: {best * 1e6:.2f} us to take in a verb")
    assert best < 20e-6  # 0.5 µs where nobody else is on the machine


@pytest.mark.parametrize("share", [1, 1.0, 100])
def test_the_greatest_is_no_percentile(share):
    with pytest.raises(ValidationError, match=r"the greatest is not kept; write 0\.999") as caught:
        Metrics().percentile(share)
    assert "0.01" not in str(caught.value)


def test_a_function_of_a_figure_takes_nothing():
    with pytest.raises(ValidationError, match=r"custom\.define is called with \(\), and takes \(name\)"):
        Metrics().custom.define("length", lambda name: 1)


def test_a_second_one_beside_the_setting_is_told_of_it(plugged):
    db = plugged(metrics=True)
    with pytest.raises(ConfigError, match=r"already, by Config\(metrics=\.\.\.\); leave one of the two out"):
        db.use(Metrics())
