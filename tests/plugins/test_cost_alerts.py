"""Cost alerts: when they are due, who is told, and what happens when that fails."""

import logging
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from dynamorm import Attr, Model, partition_key
from dynamorm.errors import ConfigError, ValidationError
from dynamorm.plugins.cost import CostAlert, CostPlugin
from dynamorm.plugins.cost.ledger import REPORTED, Part
from dynamorm.plugins.cost.watcher import Watcher
from tests.behaviour.conftest import key, made, plugged, prefix  # noqa: F401 - fixtures

pytestmark = pytest.mark.engine

HOUR = 3600.0


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()


MODELS = [Payment]


class Clock:
    def __init__(self, *when):
        self.now = datetime(*when, tzinfo=UTC).timestamp()

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock(2026, 11, 10)


def spend(plugin, clock, dollars):
    """Take units for so many dollars of writes, without sending them."""
    units = float(Decimal(dollars) / Decimal("0.000000625"))
    plugin.ledger.note((clock.now, REPORTED, "PutItem", "put", Payment, {}, [Part("a-table", None, 0.0, units)]))


def alerts(db, plugin):
    return [alert for _, alert in plugin._watcher.alerts.due(db.estimate_monthly_cost())]


def due(db, plugin):
    """What is due now, without the watcher."""
    return [(alert.kind, alert.threshold) for alert in alerts(db, plugin)]


@pytest.fixture
def by_hand(monkeypatch):
    """No watcher looks by itself, not even once: a look of its own would take an alert away at whatever moment it comes."""
    for begin in ("_start_thread", "_start_task"):
        monkeypatch.setattr(Watcher, begin, lambda self: setattr(self, "_changed", threading.Event()))


@pytest.fixture
def watched(plugged, clock, by_hand):  # noqa: F811
    """A database whose watcher never looks by itself: the test does."""
    plugin = CostPlugin(clock=clock, monotonic=clock, interval=86_400.0)
    db = plugged(plugin)

    def opened(limit=100, callback=None):
        db.set_cost_alert(limit, callback=callback)
        assert due(db, plugin) == []  # the first look
        return db, plugin

    return opened


def test_each_threshold_is_said_once_in_a_month(watched, clock):
    db, plugin = watched()
    assert due(db, plugin) == []
    clock.now += 100
    spend(plugin, clock, 49)
    assert due(db, plugin) == []
    spend(plugin, clock, 1)
    assert due(db, plugin) == [("actual", 50)]
    assert due(db, plugin) == []
    spend(plugin, clock, 70)
    assert due(db, plugin) == [("actual", 80), ("actual", 100)]
    spend(plugin, clock, 700)
    assert due(db, plugin) == []


def test_nothing_is_forecast_before_ten_minutes(watched, clock):
    db, plugin = watched()
    clock.now += 599
    spend(plugin, clock, "0.2")
    assert due(db, plugin) == []
    clock.now += 1
    assert due(db, plugin) == [("forecast", 50), ("forecast", 80), ("forecast", 100)]


def test_a_month_has_at_most_six(watched, clock):
    db, plugin = watched()
    clock.now += HOUR
    spend(plugin, clock, 5000)
    assert len(due(db, plugin)) == 6
    db.set_cost_alert(1)
    assert due(db, plugin) == [], "also where the limit is changed"


def test_the_same_limit_again_says_nothing_again(watched, clock):
    db, plugin = watched()
    clock.now += 100
    spend(plugin, clock, 60)
    assert due(db, plugin) == [("actual", 50)]
    db.set_cost_alert(Decimal("100.00"))
    assert due(db, plugin) == []


def test_a_new_month_begins_anew_in_utc(watched, clock):
    db, plugin = watched()
    clock.now = datetime(2026, 11, 30, 23, 59, 30, tzinfo=UTC).timestamp()
    plugin.ledger.reset()
    spend(plugin, clock, 60)
    assert due(db, plugin) == [("actual", 50)]
    spend(plugin, clock, 30)
    clock.now += 31
    spend(plugin, clock, 55)
    (alert,) = alerts(db, plugin)
    assert (alert.kind, alert.threshold, alert.month) == ("actual", 50, "2026-12")
    assert 55 <= alert.amount < 56, "what was spent in November is November's"


def test_a_wall_clock_that_jumps_takes_nothing_from_a_month(plugged, clock, by_hand):  # noqa: F811
    wall = [clock.now]
    plugin = CostPlugin(clock=lambda: wall[0], monotonic=clock, interval=86_400.0)
    db = plugged(plugin)
    db.set_cost_alert(100)
    assert due(db, plugin) == []
    spend(plugin, clock, 60)
    assert due(db, plugin) == [("actual", 50)]
    for years in (70, -56, -1):
        wall[0] += years * 365 * 86_400
        clock.now += 1
        spend(plugin, clock, 7)
        due(db, plugin)  # what is said of a wrong month is said of it
        wall[0] -= years * 365 * 86_400
        clock.now += 1
    assert plugin._watcher.alerts.actual(db.estimate_monthly_cost())[1] == pytest.approx(Decimal(81))
    clock.now += 1
    spend(plugin, clock, 30)
    assert ("actual", 100) in due(db, plugin)
    clock.now += 40 * 86_400
    wall[0] += 40 * 86_400
    spend(plugin, clock, 55)
    (alert,) = [alert for alert in alerts(db, plugin) if alert.kind == "actual"]
    assert (alert.threshold, alert.month) == (50, "2026-12")


def test_a_process_that_starts_in_1970_has_the_right_month_once_its_clock_is_set(plugged, clock, by_hand):  # noqa: F811
    wall = [30.0]
    plugin = CostPlugin(clock=lambda: wall[0], monotonic=clock, interval=86_400.0)
    db = plugged(plugin)
    db.set_cost_alert(100)
    assert due(db, plugin) == []
    spend(plugin, clock, 60)
    assert [(one.threshold, one.month) for one in alerts(db, plugin)] == [(50, "1970-01")]
    wall[0] = datetime(2026, 11, 10, tzinfo=UTC).timestamp()
    assert alerts(db, plugin) == [], "it was said already"
    spend(plugin, clock, 25)
    (alert,) = alerts(db, plugin)
    assert (alert.threshold, alert.month, alert.amount) == (80, "2026-11", pytest.approx(Decimal(85)))


def test_a_reset_of_the_report_is_none_of_the_month(watched, clock):
    db, plugin = watched()
    clock.now += 100
    spend(plugin, clock, 60)
    db.costs().reset()
    assert due(db, plugin) == [("actual", 50)]


def test_what_tables_cost_is_a_part_of_the_actual_amount(watched, clock):
    db, plugin = watched()
    estimate = db.estimate_monthly_cost()

    class Estimate:
        fixed = Decimal(730)

    clock.now = plugin.ledger.born + 10 * HOUR
    assert plugin._watcher.alerts.actual(Estimate) == ("2026-11", 10)
    assert estimate.fixed >= 0


def test_the_callback_is_called_beside_the_verbs(plugged, clock, key):  # noqa: F811
    plugin = CostPlugin(clock=clock, monotonic=clock, interval=0.02)
    db = plugged(plugin)
    told, threads = [], []

    def callback(alert):
        told.append(alert)
        threads.append(threading.current_thread())

    db.set_cost_alert(1000, callback=callback)
    spend(plugin, clock, 600)
    assert until(lambda: told)
    time.sleep(0.1)
    (alert,) = told
    assert isinstance(alert, CostAlert)
    assert (alert.limit, alert.threshold, alert.kind, alert.month) == (1000, 50, "actual", "2026-11")
    assert alert.amount == pytest.approx(Decimal(600))
    assert str(alert) == "2026-11 has cost 600.00 dollars: 50 % of the limit of 1000.00"
    assert threads[0] is not threading.current_thread()
    db.put(Payment(id=key))


def test_a_coroutine_is_awaited_on_the_asyncio_face_and_refused_on_the_blocking_one(plugged, clock, face_kind):  # noqa: F811
    plugin = CostPlugin(clock=clock, monotonic=clock, interval=0.02)
    db = plugged(plugin)
    told = []

    async def callback(alert):
        told.append(alert.threshold)
        raise RuntimeError("of the program")

    if face_kind == "blocking":
        with pytest.raises(ConfigError, match="use AsyncDB"):
            db.set_cost_alert(1, callback=callback)
        return
    db.set_cost_alert(1, callback=callback)
    spend(plugin, clock, 1)
    assert until(lambda: len(told) == 3)
    assert told == [50, 80, 100]


def test_a_callback_that_fails_disturbs_nobody(plugged, clock, key, caplog):  # noqa: F811
    plugin = CostPlugin(clock=clock, monotonic=clock, interval=0.02)
    db = plugged(plugin)
    told = []

    def callback(alert):
        told.append(alert.threshold)
        raise RuntimeError("of the program")

    db.set_cost_alert(1, callback=callback)
    spend(plugin, clock, "0.6")
    assert until(lambda: told == [50])
    spend(plugin, clock, "0.6")
    assert until(lambda: told == [50, 80, 100])
    assert "the callback of a cost alert failed" in caplog.text
    db.put(Payment(id=key))


def test_without_a_callback_a_warning_is_logged(plugged, clock, caplog):  # noqa: F811
    plugin = CostPlugin(clock=clock, monotonic=clock, interval=0.02)
    db = plugged(plugin)
    with caplog.at_level(logging.WARNING, logger="dynamorm"):
        db.set_cost_alert(10)
        spend(plugin, clock, 9)
        assert until(lambda: "80 % of the limit" in caplog.text)


def test_the_watcher_ends_with_the_database(engine, made, face_kind, clock):  # noqa: F811
    from dynamorm import Presets
    from tests.support.faces import Face

    plugin = CostPlugin(clock=clock, monotonic=clock, interval=0.02)
    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made), extensions=(plugin,))
    told, before = [], watchers()
    face.set_cost_alert(1, callback=told.append)
    time.sleep(0.1)
    face.close()
    assert until(lambda: not watchers() - before)
    spend(plugin, clock, 5)
    time.sleep(0.1)
    assert told == []


def test_a_callback_may_close_the_database(plugged, clock):  # noqa: F811
    plugin = CostPlugin(clock=clock, monotonic=clock, interval=0.02)
    db = plugged(plugin)
    closed = threading.Event()

    def callback(_):
        if db.kind == "blocking":
            db.close()
        closed.set()

    db.set_cost_alert(1, callback=callback)
    spend(plugin, clock, 5)
    assert closed.wait(30)


def test_a_look_that_fails_is_followed_by_another(plugged, clock, caplog):  # noqa: F811
    plugin = CostPlugin(clock=clock, monotonic=clock, interval=0.02)
    db = plugged(plugin)
    told = []
    broken = [True]
    prices_for = plugin.prices_for

    def sometimes(config):
        if broken[0]:
            raise RuntimeError
        return prices_for(config)

    db.set_cost_alert(1, callback=told.append)
    plugin.prices_for = sometimes
    spend(plugin, clock, "0.6")
    assert until(lambda: "the costs could not be looked at" in caplog.text)
    broken[0] = False
    assert until(lambda: told)


@pytest.mark.parametrize(
    "limit", [0, -1, -0.5, True, None, "1000", float("nan"), float("inf"), Decimal("NaN"), Decimal(0), [], 0.0]
)
def test_limits_that_are_none(plugged, limit):  # noqa: F811
    db = plugged(CostPlugin())
    with pytest.raises(ValidationError, match="limit is an amount of US dollars above 0"):
        db.set_cost_alert(limit)


@pytest.mark.parametrize(("limit", "exact"), [(1000, "1000"), (0.1, "0.1"), (Decimal("5.50"), "5.50")])
def test_a_limit_is_exact(plugged, limit, exact):  # noqa: F811
    plugin = CostPlugin()
    plugged(plugin).set_cost_alert(limit)
    assert plugin._watcher.alerts.rule.limit == Decimal(exact)


def test_an_alert_is_set_on_the_database(plugged):  # noqa: F811
    plugin = CostPlugin()
    view = plugged(plugin).view(tenant="t1")
    with pytest.raises(ConfigError, match="on the database itself"):
        view.set_cost_alert(5)
    assert plugin._watcher is None


def test_a_refused_alert_leaves_the_one_before(watched, clock):
    db, plugin = watched(limit=100)
    for limit, callback in ((0, None), (5, "print")):
        with pytest.raises(ValidationError):
            db.set_cost_alert(limit, callback=callback)
    clock.now += 100
    spend(plugin, clock, 60)
    assert due(db, plugin) == [("actual", 50)]


def test_a_callback_that_is_none(plugged):  # noqa: F811
    db = plugged(CostPlugin())
    with pytest.raises(ValidationError, match="callback is a function"):
        db.set_cost_alert(5, callback="print")


def test_the_seeds_lines(plugged, key):  # noqa: F811
    db = plugged()
    db.put(Payment(id=key))
    cost = db.estimate_monthly_cost()
    assert f"Estimated monthly cost: ${format(cost, '.2f')}\n".startswith("Estimated monthly cost: $")
    db.set_cost_alert(1000)


def watchers():
    """The threads that look at costs; one that an earlier test has ended may take a moment to go."""
    return {one for one in threading.enumerate() if one.name == "dynamorm-cost" and one.is_alive()}


def until(happened, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(IndexError):
            if happened():
                return True
        time.sleep(0.01)
    return False
