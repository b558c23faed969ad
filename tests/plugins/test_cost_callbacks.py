"""What the callback of a cost alert may do: anything. The watcher stays one, and stays."""

import asyncio
import threading
import time
from decimal import Decimal
from functools import partial

import pytest

from dynamorm import AsyncDB, Presets
from dynamorm.errors import ConfigError
from dynamorm.plugins.cost import CostPlugin
from tests.behaviour.conftest import key, made, plugged, prefix  # noqa: F401 - fixtures
from tests.support.faces import Face

from .test_cost_alerts import Clock, Payment, spend, until, watchers

pytestmark = pytest.mark.engine


@pytest.fixture
def clock():
    return Clock(2026, 11, 10)


@pytest.fixture
def plugin(clock):
    return CostPlugin(clock=clock, monotonic=clock, interval=0.02)


class Own(BaseException):
    pass


@pytest.mark.parametrize("wrong", [SystemExit, asyncio.CancelledError, GeneratorExit, Own, KeyboardInterrupt])
def test_what_a_callback_raises_does_not_end_the_watcher(plugged, plugin, clock, wrong, caplog, face_kind):  # noqa: F811
    if face_kind == "asyncio" and wrong is KeyboardInterrupt:
        pytest.skip("in the thread of the loop it may be that of the program, and goes on")
    db = plugged(plugin)
    told = []

    def callback(alert):
        told.append(alert.threshold)
        raise wrong("of the program")

    db.set_cost_alert(1, callback=callback)
    spend(plugin, clock, "0.6")
    assert until(lambda: told == [50])
    spend(plugin, clock, "0.6")
    assert until(lambda: told == [50, 80, 100])
    assert "the callback of a cost alert failed" in caplog.text


@pytest.mark.parametrize("wrong", [SystemExit, asyncio.CancelledError, Own])
def test_nor_does_what_a_coroutine_raises(plugged, plugin, clock, wrong, caplog, face_kind):  # noqa: F811
    if face_kind == "blocking":
        pytest.skip("it is refused there")
    db = plugged(plugin)
    told = []

    async def callback(alert):
        told.append(alert.threshold)
        if wrong is asyncio.CancelledError:
            other = asyncio.ensure_future(asyncio.sleep(5))
            other.cancel()
            await other
        await asyncio.sleep(0)
        raise wrong("of the program")

    db.set_cost_alert(1, callback=callback)
    spend(plugin, clock, "0.6")
    assert until(lambda: told == [50])
    spend(plugin, clock, "0.6")
    assert until(lambda: told == [50, 80, 100])
    assert "the callback of a cost alert failed" in caplog.text


def test_a_callback_may_set_another_limit(plugged, plugin, clock, face_kind):  # noqa: F811
    """What is said behind that is said of the new limit, by the one watcher there is."""
    db = plugged(plugin)
    inner, told = db.inner, []
    before = watchers()

    def callback(alert):
        told.append((alert.threshold, alert.limit))
        if alert.limit == 1:
            return inner.set_cost_alert(1000, callback=callback)
        return None

    db.set_cost_alert(1, callback=callback)
    spend(plugin, clock, 900)
    assert until(lambda: len(told) == 3)
    time.sleep(0.1)
    assert told == [(50, Decimal(1)), (50, Decimal(1000)), (80, Decimal(1000))]
    assert len(watchers() - before) == (face_kind == "blocking")


def test_nobody_watches_behind_the_end_whoever_set_the_limit(engine, made, face_kind, plugin, clock):  # noqa: F811
    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made), extensions=(plugin,))
    inner, told, before = face.inner, [], watchers()

    def callback(alert):
        told.append(alert.threshold)
        return inner.set_cost_alert(alert.limit * 2, callback=callback)

    face.set_cost_alert(1, callback=callback)
    spend(plugin, clock, 600)
    assert until(lambda: len(told) == 6)
    face.close()
    assert until(lambda: not watchers() - before)
    spend(plugin, clock, 60_000)
    time.sleep(0.1)
    assert len(told) == 6
    if face_kind == "blocking":  # the loop of the other face has ended with it
        with pytest.raises(ConfigError, match="this database was closed"):
            face.set_cost_alert(5)
        assert not watchers() - before


def test_limits_that_are_set_by_many_threads_at_once_have_one_watcher(engine, made, plugin):  # noqa: F811
    face = Face(
        "blocking", Presets.local_development(endpoint=engine.endpoint, table_prefix=made), extensions=(plugin,)
    )
    before = watchers()
    face.concurrently(lambda number: face.set_cost_alert(number + 1), 8)
    assert len(watchers() - before) == 1
    face.close()
    assert until(lambda: not watchers() - before)


def test_a_coroutine_that_nobody_awaits_is_said(plugged, plugin, clock, caplog, face_kind, recwarn):  # noqa: F811
    db = plugged(plugin)
    told = []

    async def tell(alert):
        told.append(alert.threshold)

    db.set_cost_alert(1, callback=lambda alert: tell(alert))  # noqa: PLW0108 - what hides a coroutine function
    spend(plugin, clock, "0.6")
    if face_kind == "asyncio":
        assert until(lambda: told == [50])
        return
    assert until(lambda: "nobody on a blocking DB waits for: use AsyncDB" in caplog.text)
    assert not [one for one in recwarn if "never awaited" in str(one.message)]


def test_a_callback_that_never_ends_holds_up_no_end(engine, made, face_kind, plugin, clock):  # noqa: F811
    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made), extensions=(plugin,))
    begun, go_on, ended, before = threading.Event(), threading.Event(), [], watchers()

    def callback(_):
        begun.set()
        go_on.wait(60)
        ended.append(True)

    async def waiting(_):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    face.set_cost_alert(1, callback=callback if face_kind == "blocking" else waiting)
    spend(plugin, clock, 5)
    assert begun.wait(30)
    face.close()
    assert ended == [True] * (face_kind == "asyncio")  # the coroutine was cancelled; the function still waits
    go_on.set()
    assert until(lambda: ended == [True] and not watchers() - before)


def test_a_coroutine_may_close_the_database(engine, made, plugin, clock):  # noqa: F811
    """It is not cancelled by that."""
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)

    async def main():
        db = AsyncDB(config)
        db.use(plugin)
        told, closed = [], asyncio.Event()

        async def callback(alert):
            told.append(alert.threshold)
            await asyncio.gather(db.close())
            await asyncio.sleep(0.01)
            closed.set()

        await db.set_cost_alert(1, callback=callback)
        spend(plugin, clock, 5)
        await asyncio.wait_for(closed.wait(), 30)
        await asyncio.sleep(0.1)
        assert told == [50]
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("dynamorm-cost")] == []

    asyncio.run(main())


def test_a_callback_may_use_the_database(plugged, plugin, clock, key, face_kind):  # noqa: F811
    db = plugged(plugin)
    inner, told = db.inner, []

    def callback(alert):
        told.append(alert.threshold)
        inner.costs().reset()
        return inner.put(Payment(id=key))

    async def awaited(alert):
        await callback(alert)
        await inner.estimate_monthly_cost()

    db.set_cost_alert(1, callback=callback if face_kind == "blocking" else partial(awaited))
    spend(plugin, clock, 5)
    assert until(lambda: told == [50, 80, 100])
