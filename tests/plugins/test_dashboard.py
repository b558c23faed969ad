"""The dashboard on both faces: what it tells, what it never tells, when it begins and ends."""

import gc
import logging
import os
import socket
import threading
import time
import weakref
from contextlib import suppress

import pytest

from dynamorm import DB, CircuitBreakerConfig, Presets
from dynamorm.errors import AlreadyExists, ConfigError, DynamORMError, InvalidUse
from dynamorm.plugins import CircuitBreaker, CostPlugin, Dashboard, HotKeys
from dynamorm.plugins.dashboard import plugin as dashboard_plugin
from dynamorm.plugins.dashboard import server as dashboard_server
from dynamorm.plugins.dashboard.seen import LAST, SLOWEST, Seen
from dynamorm.testing import FakeClock, failure, reply
from tests.plugins.batcher_kit import wait_until
from tests.plugins.dashboard_kit import Visitor
from tests.plugins.scripts import FOUND, THROTTLED, Order, Payment, Scripted

SECRET = "hunter2-s3cr3t"
PATHS = ("/", "/panels", "/figures.json")


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """Closing waits for its thread for as long as a busy machine keeps that from its turn, within an event loop too."""
    for limit in ("PATIENCE", "ON_A_LOOP"):
        monkeypatch.setattr(dashboard_server, limit, 60.0)


@pytest.fixture
def opened(face_kind):
    """Opens a database with a dashboard and other plugins, over a script."""
    made = []

    def opening(*plugins, answer=FOUND):
        here = Scripted(face_kind, *plugins, Dashboard(), answer=answer, clock=FakeClock())
        here.dashboard = next(one for one in here.db.inner.plugins if isinstance(one, Dashboard))
        here.visitor = Visitor(here.dashboard.url)
        made.append(here)
        return here

    yield opening
    for here in made:
        if here.dashboard._server.serves:
            here.db.close()


def is_refused(port):
    """Whether nobody listens any more."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


# ------------------------------------------------------------------------------------------------------- what it tells


def test_it_tells_what_the_plugins_have_seen(opened):
    others = (
        CircuitBreaker(CircuitBreakerConfig()),
        CostPlugin(region="us-east-1"),
        HotKeys(every=1),
    )
    units = {"TableName": "payments", "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}
    here = opened(*others, answer=reply({"ConsumedCapacity": units}))
    view = here.db.scoped(tenant="t1")
    for _ in range(3):
        view.get(Payment, "p1")
    here.db.create(Payment(id="p2"))
    here.answer = failure(
        "ConditionalCheckFailedException", message="no", Item={"id": {"S": "p2"}, "version": {"N": "1"}}
    )
    with pytest.raises(AlreadyExists):
        here.db.create(Payment(id="p2"))
    told = here.visitor.told()
    assert told["broken"] == {}
    assert told["region"] == "us-east-1"
    rows = {(row["verb"], row["model"]): row for row in told["metrics"]["verbs"]}
    assert {name: row["count"] for name, row in rows.items()} == {("get", "Payment"): 3, ("create", "Payment"): 2}
    assert told["metrics"]["outcomes"] == {"ok": 4.0, "rejected": 1.0}
    assert told["metrics"]["attempts"] == {"condition": 1.0, "ok": 4.0}
    assert told["breaker"] == {"read": "closed", "write": "closed", "streams": "closed"}
    cost = {(row["model"], row["scope"]): row for row in told["cost"]["rows"]}
    assert cost["Payment", "tenant=t1"]["read"] == 3.0
    assert cost["Payment", ""]["dollars"] > 0
    assert told["cost"]["dollars"] == pytest.approx(sum(row["dollars"] for row in cost.values()))
    assert told["hot_keys"][0]["hash"] == others[2].hash_of("p1")
    assert told["gauges"]["retry_tokens"] > 0
    newest = told["last"][0]
    assert {name: newest[name] for name in ("verb", "model", "table", "outcome", "error", "attempts")} == {
        "verb": "create", "model": "Payment", "table": "payments", "outcome": "rejected", "error": "AlreadyExists", "attempts": 1
    }  # fmt: skip
    assert len(told["last"]) == len(told["slowest"]) == 5
    page = here.visitor.ask("/").text
    for text in ("Payment", "tenant=t1", "rejected", "AlreadyExists", others[2].hash_of("p1"), "closed", "us-east-1"):
        assert text in page


def test_it_says_what_would_switch_on_the_rest(opened):
    here = opened()
    told = here.visitor.told()
    assert (told["breaker"], told["cost"], told["hot_keys"]) == (None, None, None)
    page = here.visitor.ask("/").text
    for text in ("db.use(CostPlugin())", "db.use(HotKeys())", "Config(circuit_breaker=CircuitBreakerConfig())"):
        assert text in page


def test_attempts_are_those_of_the_verb(opened):
    answers = [THROTTLED, THROTTLED, FOUND]
    here = opened(answer=lambda _: answers.pop(0))
    here.db.get(Payment, "p1")
    assert here.visitor.told()["last"][0]["attempts"] == 3


def test_it_may_come_late_and_views_show_in_it(face_kind):
    here = Scripted(face_kind, clock=FakeClock())
    view = here.db.scoped(tenant="t1")
    view.get(Payment, "p1")
    here.db.use(dashboard := Dashboard())
    visitor = Visitor(dashboard.url)
    view.get(Payment, "p1")
    assert [one["verb"] for one in visitor.told()["last"]] == ["get"]
    assert visitor.told()["metrics"]["window"]["count"] == 1
    assert dashboard in here.db.plugins
    assert view.plugins == here.db.plugins
    here.db.view(tenant="t2").close()
    assert visitor.ask().status == 200
    here.db.close()


def test_figures_are_counted_from_the_first_verb_where_nobody_asks_for_the_url(face_kind):
    here = Scripted(face_kind, dashboard := Dashboard(), clock=FakeClock())
    here.db.get(Payment, "p1")
    here.db.get(Payment, "p1")
    assert dashboard.figures()["metrics"]["window"]["count"] >= 1
    assert len(dashboard.figures()["last"]) == 2
    here.db.close()


@pytest.mark.engine
def test_on_an_engine(open_db, engine, face_kind):
    dashboard = Dashboard()
    db = open_db(engine.endpoint, extensions=(CostPlugin(), dashboard), table_prefix=f"dashboard-{face_kind}-")
    visitor = Visitor(dashboard.url)
    db.tables.create(Order)
    db.put(Order(customer="c1", number=1))
    assert db.model(Order).where(Order.customer == "c1").one().number == 1
    told = visitor.told()
    assert [one["verb"] for one in told["last"]] == ["one", "put"]
    assert told["gauges"]["pool_connections_max"] == 100
    assert told["cost"]["write"] >= 1
    assert visitor.ask("/").status == 200


# -------------------------------------------------------------------------------------------------- what it never tells


class Broken:
    """A plugin whose every word is a secret."""

    name = "hot keys"

    def top(self, count):
        raise ValueError(SECRET)

    def gauges(self):
        raise ValueError(SECRET)


class Refusing:
    name = "refusing"

    def operation(self, next):
        def verb(operation):
            result = yield from next(operation)
            if operation.verb == "exists":
                raise RuntimeError(SECRET)
            return result

        return verb


def test_no_key_no_value_and_no_message_is_told(opened):
    item = {"id": {"S": SECRET}, "version": {"N": "1"}}
    here = opened(Broken(), Refusing(), CostPlugin(region="us-east-1"), answer=reply({}))
    calls = [
        lambda db: db.get(Payment, SECRET),
        lambda db: db.require(Payment, SECRET),
        lambda db: db.get(SECRET, "p1"),
        lambda db: db.get([SECRET], "p1"),
        lambda db: db.get(Payment, SECRET, SECRET),
        lambda db: db.put(Order(customer=SECRET, number=1)),
        lambda db: db.model(Order).where(Order.customer == SECRET).all(),
        lambda db: db.exists(Payment, "p1"),
        lambda db: db.partiql(f"SELECT * FROM payments WHERE id = '{SECRET}'"),
    ]
    for call in calls:
        with suppress(DynamORMError, RuntimeError, AttributeError):
            call(here.db)
    here.answer = failure("ConditionalCheckFailedException", message=SECRET, Item=item)
    with pytest.raises(AlreadyExists):
        here.db.create(Payment(id=SECRET))
    here.answer = failure("ValidationException", message=SECRET)
    with suppress(DynamORMError):
        here.db.get(Payment, SECRET)
    told = here.visitor.told()
    assert told["broken"] == {"hot_keys": "ValueError"}
    assert {one["verb"] for one in told["last"]} >= {"get", "require", "put", "all", "exists", "create"}
    assert {"RuntimeError", "AlreadyExists", "InvalidUse"} <= {one["error"] for one in told["last"]}
    for path in PATHS:
        answer = here.visitor.ask(path)
        assert answer.status == 200
        assert SECRET not in answer.text
    assert SECRET not in repr(here.dashboard.figures())


def test_the_token_is_in_no_answer_and_in_no_repr(opened):
    here = opened()
    for path in (*PATHS, "/dashboard.js", "/nothing"):
        assert here.visitor.token not in here.visitor.ask(path).text
    assert here.visitor.token not in repr(here.dashboard)


def test_an_error_is_not_kept(opened):
    here = opened(answer=failure("ValidationException", message="no"))
    with pytest.raises(DynamORMError) as caught:
        here.db.get(Payment, "p1")
    kept = weakref.ref(caught.value)
    del caught
    gc.collect()
    assert kept() is None


# ------------------------------------------------------------------------------------------------------- broken figures


class Strange:
    """Stands for a plugin, and tells what nobody should."""

    def __init__(self, name, **members):
        self.name = name
        for member, value in members.items():
            setattr(type(self), member, value)  # it is looked for in the class

    def ended(self, operation, error):
        pass


def strange(name, **members):
    return type("Strange", (Strange,), {})(name, **members)


def test_each_part_is_good_where_another_one_is_broken(opened):
    def fail(*_):
        raise RuntimeError("broken")

    numbers = {"nan": float("nan"), "inf": float("-inf"), "huge": 1e300, "<b>": 1}
    here = opened(
        strange("circuit breaker", states={"read": "no state"}),
        strange("cost", prices_for=fail),
        strange("hot keys", top=lambda self, count: [object()]),
        strange("numbers", gauges=lambda self: numbers),
    )
    here.db.get(Payment, "p1")
    told = here.visitor.told()
    assert told["broken"].keys() == {"breaker", "cost", "hot_keys"}
    assert (told["breaker"], told["cost"], told["hot_keys"]) == (None, None, None)
    assert told["gauges"]["nan"] is None
    assert told["metrics"]["window"]["count"] == 1
    page = here.visitor.ask("/").text
    assert page.count("These figures could not be read") == 3
    assert "&lt;b&gt;" in page
    assert "<b>" not in page.replace("<b>all</b>", "")


def test_a_page_that_cannot_be_made_is_a_plain_answer(opened, monkeypatch, caplog):
    here = opened()

    def fail(*_):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(dashboard_plugin, "figures_of", fail)
    with caplog.at_level(logging.WARNING, logger="dynamorm"):
        answer = here.visitor.ask("/")
    assert (answer.status, answer.text) == (500, "The figures could not be shown.\n")
    assert "the page of the plugin dashboard failed" in caplog.text


def test_a_plugin_of_another_kind_may_be_called_metrics(opened, caplog):
    with caplog.at_level(logging.WARNING, logger="dynamorm"):
        here = opened(strange("metrics"))
        assert here.db.get(Payment, "p1").amount == 100
    assert here.visitor.told()["metrics"] is None
    assert "the dashboard is without figures of verbs" in caplog.text
    assert here.visitor.ask("/").status == 200


# ------------------------------------------------------------------------------------------------ its beginning, its end


def test_it_ends_with_the_database(face_kind):
    here = Scripted(face_kind, dashboard := Dashboard(), clock=FakeClock())
    visitor = Visitor(dashboard.url)
    here.db.get(Payment, "p1")
    assert visitor.ask().status == 200
    thread = dashboard._server._thread
    began = time.monotonic()
    here.db.close()
    assert time.monotonic() - began < 30  # nothing is under way: there is nobody to have patience with
    assert not thread.is_alive()
    assert is_refused(visitor.port)
    with pytest.raises(InvalidUse, match="until its database is closed"):
        _ = dashboard.url
    assert repr(dashboard) == "<Dashboard that does not serve>"


def test_it_ends_with_a_database_that_was_never_used(face_kind):
    here = Scripted(face_kind, dashboard := Dashboard(), clock=FakeClock())
    port = Visitor(dashboard.url).port
    here.db.close()
    assert is_refused(port)
    dashboard.closed(here.db)


def test_it_ends_with_a_database_that_nobody_closes():
    db = DB(Presets.local_development(endpoint="http://127.0.0.1:9"), extensions=(dashboard := Dashboard(),))
    port = Visitor(dashboard.url).port
    del db
    gc.collect()
    dashboard._server._thread.join(30)
    assert is_refused(port)
    assert dashboard.figures() is None


def test_a_request_that_is_under_way_is_answered_when_the_database_is_closed(opened):
    reached, go = threading.Event(), threading.Event()

    def gauges(self):
        reached.set()
        assert go.wait(30)
        return {"late": 1}

    here = opened(strange("slow", gauges=gauges))
    answers = []
    asking = threading.Thread(target=lambda: answers.append(here.visitor.ask("/figures.json")))
    asking.start()
    assert reached.wait(30)
    closing = threading.Thread(target=here.dashboard.closed, args=(None,))
    closing.start()
    go.set()
    asking.join(30)
    closing.join(30)
    assert answers[0].status == 200
    assert answers[0].json()["gauges"]["late"] == 1.0
    assert is_refused(here.visitor.port)


def test_closing_does_not_wait_for_a_request_without_end(opened, monkeypatch, caplog):
    for limit in ("PATIENCE", "ON_A_LOOP"):
        monkeypatch.setattr(dashboard_server, limit, 0.1)
    reached, go, ended = threading.Event(), threading.Event(), []

    def gauges(self):
        reached.set()
        go.wait(60)
        ended.append(True)
        return {}

    here = opened(strange("stuck", gauges=gauges))
    asking = threading.Thread(target=lambda: suppressed(here.visitor.ask), daemon=True)
    asking.start()
    assert reached.wait(30)
    with caplog.at_level(logging.WARNING, logger="dynamorm"):
        here.db.close()
    assert not ended
    assert "the dashboard has not ended" in caplog.text
    go.set()
    here.dashboard._server._thread.join(30)
    assert is_refused(here.visitor.port)
    asking.join(30)


def suppressed(function):
    with suppress(OSError):
        function()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_process_serves_nothing():
    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    visitor = Visitor(dashboard.url)
    here.db.get(Payment, "p1")
    held = socket.create_connection(("127.0.0.1", visitor.port), timeout=60)
    known = f"Host: localhost\r\nAuthorization: Bearer {visitor.token}\r\n\r\n"
    held.sendall(f"GET {visitor.below}/nothing HTTP/1.1\r\n{known}".encode())
    answer = b""
    while not answer.endswith(b"Not Found"):
        answer += held.recv(4096)
    waiting, done = os.pipe()
    child = os.fork()
    if child == 0:  # it lives on, with all that it has of its parent's
        os.close(done)
        try:
            good = not dashboard._server.serves and dashboard.figures()["last"] == []
            with suppress(InvalidUse):
                good = not dashboard.url
            here.db.get(Payment, "p1")
            dashboard.closed(None)
            os.read(waiting, 1)
        finally:
            os._exit(0 if good else 1)
    os.close(waiting)
    assert visitor.ask().status == 200
    here.db.close()
    wait_until(lambda: is_refused(visitor.port))  # as soon as the child has had its turn, and goes on
    assert held.recv(1) == b""  # the parent has closed it, and the child does not hold it
    held.close()
    os.close(done)
    assert os.waitpid(child, 0)[1] == 0


def test_a_dashboard_shows_one_database(opened, face_kind):
    here = opened()
    other = Scripted(face_kind, clock=FakeClock())
    with pytest.raises(ConfigError, match="a Dashboard shows one database"):
        other.db.use(here.dashboard)
    with pytest.raises(ConfigError, match="two plugins are called dashboard"):
        here.db.use(Dashboard())
    other.db.close()


def test_a_port_that_is_taken_refuses_the_plugin_alone(opened, face_kind):
    taken = opened().visitor.port
    other = Scripted(face_kind, clock=FakeClock())
    with pytest.raises(ConfigError, match=f"port {taken} is taken by another program: port=0 takes a free one"):
        other.db.use(Dashboard(port=taken))
    assert other.db.get(Payment, "p1").amount == 100
    other.db.close()


@pytest.mark.parametrize("host", ["999.1.1.1", "no such host", "b\0d", "é" * 70])
def test_a_host_that_is_none_is_a_config_error(host):
    here = Scripted("blocking", clock=FakeClock())
    with pytest.raises(ConfigError, match="cannot listen on the host"):
        here.db.use(Dashboard(host, token="x" * 20, allow_remote=True))
    here.db.close()


@pytest.mark.engine
def test_the_page_is_asked_while_verbs_run(open_db, engine, face_kind):
    dashboard = Dashboard()
    plugins = (CostPlugin(region="us-east-1"), HotKeys(every=1), dashboard)
    db = open_db(engine.endpoint, extensions=plugins, table_prefix=f"dashboard-busy-{face_kind}-")
    visitor = Visitor(dashboard.url)
    db.tables.create(Payment)
    stop, failed = threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                db.get(Payment, "p1")
            except DynamORMError as error:
                failed.append(error)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    answers = [visitor.ask(path) for _ in range(5) for path in PATHS]
    wait_until(lambda: visitor.told()["metrics"]["outcomes"].get("ok", 0) > LAST)
    stop.set()
    for worker in workers:
        worker.join(30)
    assert {answer.status for answer in answers} == {200}
    assert not failed
    told = visitor.told()
    assert told["broken"] == {}
    assert len(told["last"]) == LAST
    assert told["metrics"]["outcomes"]["ok"] > LAST


def test_many_ask_at_once(opened):
    here = opened()
    with socket.socket() as idle:
        idle.connect(("127.0.0.1", here.visitor.port))  # one that says nothing
        answers = []
        asking = [
            threading.Thread(target=lambda: answers.append(here.visitor.ask("/panels").status)) for _ in range(30)
        ]
        for one in asking:
            one.start()
        for one in asking:
            one.join(30)
    assert answers == [200] * 30


# ------------------------------------------------------------------------------------------------------- what was seen


class Verb:
    """An operation that has ended."""

    def __init__(self, took, verb="get"):
        self.took, self.verb = took, verb
        self.model, self.table, self.index, self.notes = Payment, "payments", None, {}


def test_the_slowest_are_kept_in_fixed_space():
    seen = Seen()
    for number in range(1_000):
        seen.ended(Verb((number * 7919 % 1_000) / 1_000), None)
    assert [one["seconds"] for one in seen.slowest()] == [(999 - place) / 1_000 for place in range(SLOWEST)]
    assert len(seen.last()) == LAST
    assert seen.last()[0]["seconds"] == (999 * 7919 % 1_000) / 1_000


def test_slow_verbs_of_long_ago_make_place(monkeypatch):
    now = [1_000.0]
    monkeypatch.setattr("dynamorm.plugins.dashboard.seen.time.monotonic", lambda: now[0])
    seen = Seen()
    for _ in range(SLOWEST):
        seen.ended(Verb(5.0), None)
    now[0] += 599.0
    seen.ended(Verb(0.1), None)
    assert {one["seconds"] for one in seen.slowest()} == {5.0}
    now[0] += 2.0
    assert seen.slowest() == []
    seen.ended(Verb(0.1), None)
    assert [one["seconds"] for one in seen.slowest()] == [0.1]
