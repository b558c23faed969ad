"""Functions of the program that the library calls: whatever they raise, it is not the failure of the verb beside which they run.

^C goes on, and so does what a signal's handler raises while one of them runs.
"""

import asyncio
import gc
import logging
import os
import signal
import threading

import pytest

from dynamorm import CircuitBreakerConfig
from dynamorm.errors import ConfigError, OutcomeUnknown, ServerError, ValidationError
from dynamorm.plugins import Bulkhead, CircuitBreaker, DevelopmentLint, LoggingPlugin
from dynamorm.plugins.breaker import BreakerState
from dynamorm.plugins.cache.config import CacheConfig
from dynamorm.plugins.metrics.custom import Custom
from dynamorm.streams import process
from dynamorm.testing import FakeClock
from tests.plugins.scripts import BROKEN, DONE, FOUND, Payment, Scripted


class Own(BaseException):
    pass


WRONG = [SystemExit, asyncio.CancelledError, GeneratorExit, Own]


def failing(wrong):
    def call(*_):
        raise wrong("of the program")

    return call


async def awaited(*_):
    pass


def coroutine(*args):
    return awaited(*args)


@pytest.fixture(autouse=True)
def _no_coroutine_is_left(recwarn):
    gc.collect()  # what earlier tests have left may warn as well
    recwarn.clear()
    yield
    assert not [one for one in recwarn if "never awaited" in str(one.message)]


def breaker_here(face_kind, hook):
    clock = FakeClock()
    breaker = CircuitBreaker(CircuitBreakerConfig(threshold=2, timeout=1), clock=clock.monotonic)
    seen = []
    breaker.listen(hook)
    breaker.listen(seen.append)
    return breaker, seen, Scripted(face_kind, breaker, clock=clock, max_attempts=3)


# ----------------------------------------------------------------------------------------------------- the breaker


@pytest.mark.parametrize("wrong", WRONG)
def test_a_listener_of_the_breaker_cuts_no_write(face_kind, wrong, caplog):
    breaker, seen, here = breaker_here(face_kind, failing(wrong))
    here.answer = BROKEN
    with pytest.raises((OutcomeUnknown, ServerError)):
        here.db.put(Payment(id="p1"))
    writes = [change for change in seen if change.scope == "write"]
    assert [change.after for change in writes] == ["open"]
    assert "a listener of the circuit breaker failed" in caplog.text
    here.clock.advance(2)
    here.answer = DONE
    for _ in range(5):
        here.db.put(Payment(id="p1"))
    assert [change.after for change in seen if change.scope == "write"] == ["open", "half-open", "closed"]
    assert breaker.states["write"] is BreakerState.CLOSED


@pytest.mark.parametrize("wrong", [*WRONG, KeyboardInterrupt])
def test_a_listener_keeps_no_place_of_a_half_open_circuit(wrong):
    clock = FakeClock()
    breaker = CircuitBreaker(CircuitBreakerConfig(threshold=1, timeout=1, max_requests=1), clock=clock.monotonic)
    here = Scripted("blocking", breaker, clock=clock, max_attempts=1, answer=BROKEN)
    with pytest.raises(ServerError):
        here.db.get(Payment, "p1")
    first = iter([True])

    def once(_):
        if next(first, False):
            raise wrong("of the program")

    breaker.listen(once)
    clock.advance(2)
    here.answer = FOUND
    if wrong is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            here.db.get(Payment, "p1")
    assert here.db.get(Payment, "p1") is not None


def test_an_interrupt_in_a_listener_goes_on_when_all_were_told(face_kind):
    if face_kind == "asyncio":
        pytest.skip("an event loop of the tests does not end with it")
    _, seen, here = breaker_here(face_kind, failing(KeyboardInterrupt))
    here.answer = BROKEN
    with pytest.raises(KeyboardInterrupt):
        here.db.put(Payment(id="p1"))
    assert [change.after for change in seen if change.scope == "write"] == ["open"]


def test_what_a_signals_handler_raises_in_a_listener_goes_on():
    def handler(number, frame):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        raise SystemExit(3)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        _, seen, here = breaker_here("blocking", lambda _: os.kill(os.getpid(), signal.SIGUSR1))
        here.answer = BROKEN
        with pytest.raises(SystemExit):
            here.db.put(Payment(id="p1"))
        assert [change.after for change in seen if change.scope == "write"] == ["open"]
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_all_listeners_are_told_in_the_same_order_also_by_one_that_changes_the_state():
    breaker = CircuitBreaker(CircuitBreakerConfig(threshold=1))
    seen = []
    breaker.listen(lambda change: breaker.reset() if change.after == "open" else None)
    breaker.listen(lambda change: seen.append(change.after))
    breaker.isolate("read")
    assert seen == ["open", "closed"]


def test_a_listener_that_does_not_come_back_holds_up_nobody_else():
    breaker = CircuitBreaker(CircuitBreakerConfig(threshold=1))
    begun, go_on, seen = threading.Event(), threading.Event(), []

    def slow(change):
        seen.append(change.after)
        begun.set()
        go_on.wait(20)

    breaker.listen(slow)
    other = threading.Thread(target=breaker.isolate, args=("read",))
    other.start()
    assert begun.wait(10)
    breaker.reset("read")
    assert breaker.states["read"] == "closed"
    assert seen == ["open"]
    go_on.set()
    other.join(10)
    assert seen == ["open", "closed"]


def test_a_listener_that_gives_a_coroutine_is_named(caplog):
    breaker = CircuitBreaker(CircuitBreakerConfig(threshold=1))
    breaker.listen(lambda change: coroutine(change))  # noqa: PLW0108 - what hides a coroutine function
    breaker.isolate("read")
    assert "gave a coroutine, which nobody awaits" in caplog.text


# ---------------------------------------------------------------------------------------------- moments of plugins


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("moment", ["began", "ended", "call_began", "call_ended", "observed", "retried"])
def test_a_moment_that_looks_on_cuts_no_write(face_kind, wrong, moment, caplog):
    class Looking:
        name = "looking"

    plugin = Looking()
    setattr(plugin, moment, failing(wrong))
    clock = FakeClock()
    here = Scripted(face_kind, plugin, clock=clock)
    here.answer = lambda _: BROKEN if here.sent < 2 else DONE
    here.db.put(Payment(id="p1"))
    assert here.sent == 2
    assert f"{moment} of the plugin looking failed" in caplog.text


@pytest.mark.parametrize("wrong", WRONG)
def test_gauges_of_a_plugin_fail_alone(wrong, caplog):
    class Telling:
        name = "telling"
        gauges = failing(wrong)

    class Waiting:
        name = "waiting"
        gauges = coroutine

    here = Scripted("blocking", Telling(), Waiting(), Bulkhead(3), clock=FakeClock())
    found = here.db.gauges()
    assert "bulkhead_held" in found
    assert "gauges of the plugin telling failed" in caplog.text
    assert "gauges of the plugin waiting failed" in caplog.text


@pytest.mark.parametrize("wrong", [*WRONG, KeyboardInterrupt])
def test_all_plugins_are_told_that_the_database_is_closed(face_kind, wrong):
    told = []

    class First:
        name = "first"

        def closed(self, db):
            told.append("first")

    class Second:
        name = "second"
        closed = failing(wrong)

    if face_kind == "asyncio" and wrong is KeyboardInterrupt:
        pytest.skip("an event loop of the tests does not end with it")
    here = Scripted(face_kind, First(), Second(), clock=FakeClock())
    here.db.get(Payment, "p1")
    if wrong in {SystemExit, GeneratorExit, Own}:
        here.db.inner.close() if face_kind == "blocking" else here.db.close()
    elif face_kind == "blocking":
        with pytest.raises(wrong):
            here.db.close()
    else:
        with pytest.raises(BaseException):  # noqa: B017 - of whichever kind the test's own loop makes of it
            here.db.close()
    assert told == ["first"]


@pytest.mark.parametrize("wrong", [SystemExit, Own])
def test_a_hook_behind_a_write_does_not_undo_its_success(face_kind, wrong, caplog):
    from dynamorm.plugin import Plugin

    class Hooked(Plugin):
        name = "hooked"
        post_query = failing(wrong)

    here = Scripted(face_kind, Hooked(), clock=FakeClock(), answer=DONE)
    here.db.put(Payment(id="p1"))
    assert "a hook of the plugin hooked failed" in caplog.text


# ------------------------------------------------------------------------------------------------------- the others


@pytest.mark.parametrize("wrong", WRONG)
def test_a_figure_of_ones_own_fails_alone(wrong):
    custom = Custom()
    custom.define("wrong", failing(wrong))
    custom.define("late", lambda: coroutine())  # noqa: PLW0108 - what hides a coroutine function
    custom.define("good", lambda: 1.0)
    assert custom.numbers() == {"wrong": None, "late": None, "good": 1.0}
    with pytest.raises(ValidationError, match="gave no number but coroutine"):
        custom["late"]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_ttl_func_that_fails_keeps_nothing(wrong, caplog):
    assert CacheConfig(ttl_func=failing(wrong)).ttl_of(Payment, set()) == 0.0
    assert "ttl_func failed for Payment" in caplog.text
    with pytest.raises(ConfigError, match="what ttl_func gives for Payment"):
        CacheConfig(ttl_func=coroutine).ttl_of(Payment, set())


@pytest.mark.parametrize("wrong", WRONG)
def test_neither_a_lint_nor_a_log_cuts_a_verb(wrong, caplog):
    lint = DevelopmentLint(many=2, tell=failing(wrong))

    class Handler(logging.Handler):
        emit = failing(wrong)

    logger = logging.getLogger("of-a-program")
    logger.propagate, logger.handlers = False, [Handler()]
    logger.setLevel(logging.DEBUG)
    here = Scripted("blocking", lint, LoggingPlugin(logger), clock=FakeClock())
    for _ in range(3):
        here.db.get(Payment, "p1")
    assert "tell of DevelopmentLint failed" in caplog.text
    assert "the logger of the LoggingPlugin failed" in caplog.text


def test_a_bulkhead_is_not_divided_by_coroutines():
    here = Scripted("blocking", bulkhead := Bulkhead(1, per=coroutine), clock=FakeClock())
    with pytest.raises(ConfigError, match="per of bulkhead gave a coroutine"):
        here.db.get(Payment, "p1")
    assert bulkhead.limiters == {}


@pytest.mark.parametrize("on_error", [*map(failing, [*WRONG, RuntimeError]), coroutine])
def test_a_batch_of_lambda_is_answered_for_whatever_on_error_does(on_error):
    event = {"Records": [{"eventSourceARN": "x", "dynamodb": {"SequenceNumber": "7"}}]}
    found = process(event, Payment, lambda _: None, on_error=on_error)
    assert found == {"batchItemFailures": [{"itemIdentifier": "7"}]}


def test_a_progress_is_no_coroutine(face_kind, caplog):
    here = Scripted(face_kind, clock=FakeClock(), answer=DONE)
    with pytest.raises(ValidationError, match="progress is a plain function"):
        here.db.batch_write([Payment(id="p1")], progress=awaited)
    here.db.batch_write([Payment(id="p1")], progress=lambda done: coroutine(done))  # noqa: PLW0108 - as above
    assert "progress gave a coroutine" in caplog.text
