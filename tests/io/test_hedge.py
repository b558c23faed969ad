"""`Hedge` on both drivers: the first result counts, the other flow is closed, nothing is lost or left behind."""

import asyncio
import gc
import signal
import threading
import time
from datetime import timedelta

import pytest

from dynamorm import deadline
from dynamorm.effects import Acquire, Call, Gather, Hedge, Send, Sleep, TransportError
from dynamorm.errors import InvalidUse, ValidationError
from dynamorm.io.aio import Aio
from dynamorm.io.blocking import Blocking
from dynamorm.testing import FakeClock, Late, ScriptedDriver, reply
from dynamorm.wire.deadlines import remaining
from dynamorm.wire.limiter import Limiter
from tests.io.injecting import raising
from tests.io.kit import answer, ask, read_request, request, until


class Flows:
    """Makes flows, and notes how each ended."""

    def __init__(self):
        self.ends = {}

    def sleeper(self, name, seconds, result=None, error=None):
        how = "closed"
        try:
            yield Sleep(seconds)
            if error is not None:
                raise error
            how = "returned"
            return name if result is None else result
        except Exception:
            how = "failed"
            raise
        finally:
            self.ends[name] = how


def hedged(*args, **named):
    return (yield Hedge(*args, **named))


def unneeded():
    raise AssertionError("no second flow is needed")


@pytest.fixture
def driver(face, serve):
    return face(serve().endpoint())


def test_a_fast_one_has_no_second(driver):
    flows = Flows()
    assert driver.run(hedged(flows.sleeper("first", 0), unneeded, 5.0)) == ("first", False)
    assert flows.ends == {"first": "returned"}


def test_the_second_of_a_slow_one(driver):
    flows = Flows()
    begun = time.monotonic()
    flow = hedged(flows.sleeper("first", 30), lambda: flows.sleeper("second", 0.01), timedelta(milliseconds=20))
    assert driver.run(flow) == ("second", True)
    assert time.monotonic() - begun < 5
    until(lambda: flows.ends == {"first": "closed", "second": "returned"})


def test_the_first_may_still_be_first(driver):
    flows = Flows()
    assert driver.run(hedged(flows.sleeper("first", 0.05), lambda: flows.sleeper("second", 30), 0.01)) == (
        "first",
        False,
    )
    until(lambda: flows.ends == {"first": "returned", "second": "closed"})


def test_what_fails_waits_for_the_other(driver):
    flows = Flows()
    for fails in ("first", "second"):
        flow = hedged(
            flows.sleeper(
                "first", 0.05 if fails == "first" else 0.1, error=KeyError("1") if fails == "first" else None
            ),
            lambda fails=fails: flows.sleeper(
                "second", 0.1 if fails == "first" else 0.01, error=KeyError("2") if fails == "second" else None
            ),
            0.01,
        )
        assert driver.run(flow) == (("second", True) if fails == "first" else ("first", False))


def test_when_both_fail_the_first_tells_why(driver):
    flows = Flows()
    flow = hedged(
        flows.sleeper("first", 0.05, error=KeyError("1")),
        lambda: flows.sleeper("second", 0.01, error=KeyError("2")),
        0.01,
    )
    with pytest.raises(KeyError, match="1"):
        driver.run(flow)
    assert flows.ends == {"first": "failed", "second": "failed"}


def test_one_that_fails_at_once_has_no_second(driver):
    with pytest.raises(KeyError, match="1"):
        driver.run(hedged(Flows().sleeper("first", 0, error=KeyError("1")), unneeded, 5.0))


def test_an_error_of_what_makes_the_second_is_raised(driver):
    flows = Flows()

    def broken():
        raise KeyError("made")

    with pytest.raises(KeyError, match="made"):
        driver.run(hedged(flows.sleeper("first", 30), broken, 0.01))
    until(lambda: flows.ends == {"first": "closed"})


def test_the_answer_of_a_slow_server_is_not_waited_for(face, serve):
    """The connection of the first one is ended, that of the second one used again."""
    hold = threading.Event()

    def handler(sock, number):
        while (body := read_request(sock)) is not None:
            if number == 1 and body == b"slow":
                hold.wait(20)
            sock.sendall(answer(body))

    server = serve(handler)
    driver = face(server.endpoint())
    driver.run(ask())  # the connection that is used first
    begun = time.monotonic()
    flow = hedged(ask(request(b"slow"), 20), lambda: ask(request(b"again")), 0.02)
    result, by_second = driver.run(flow)
    assert (result.body, by_second) == (b"again", True)
    assert time.monotonic() - begun < 5
    hold.set()
    until(lambda: server.ended == 1)  # nobody reads its late answer
    for _ in range(20):
        assert driver.run(ask(request(b"next"))).body == b"next"
    assert server.accepted == 2


def test_no_late_answer_reaches_another_request(face, serve):
    def handler(sock, number):
        while (body := read_request(sock)) is not None:
            if body.endswith(b"0"):
                time.sleep(0.02)
            sock.sendall(answer(body))

    server = serve(handler)
    driver = face(server.endpoint(), max_connections=8)

    def one(number):
        body = b"%d" % number
        result, _ = yield Hedge(ask(request(body)), lambda: ask(request(body)), 0.004)
        return result.body == body

    for begin in range(0, 400, 40):
        results = driver.run(hedges(one, range(begin, begin + 40)))
        assert results == [True] * 40


def hedges(one, numbers):
    return (yield Gather([one(number) for number in numbers], 10))


def test_a_place_of_a_limiter_that_the_loser_holds_is_free(driver):
    limiter = Limiter(2)

    def holding(seconds):
        with (yield Acquire(limiter)):
            yield Sleep(seconds)
            return seconds

    assert driver.run(hedged(holding(30), lambda: holding(0), 0.02)) == (0, True)
    until(lambda: (limiter.held, limiter.waiting) == (0, 0))


def test_the_deadline_of_the_caller_holds_in_both(face, serve):
    seen = []

    def noting(seconds):
        seen.append(remaining())
        yield Sleep(seconds)

    if face.name == "blocking":
        driver = face(serve().endpoint())
        with deadline(50):
            driver.run(hedged(noting(30), lambda: noting(0), 0.02))
    else:

        async def main():
            driver = Aio(serve().endpoint())
            with deadline(50):
                await driver.run(hedged(noting(30), lambda: noting(0), 0.02))
            await driver.close()

        asyncio.run(main())
    assert len(seen) == 2
    assert all(40 < left <= 50 for left in seen)


def test_calls_gathers_and_hedges_inside(driver):
    def inner(name, seconds):
        yield Sleep(seconds)
        first = yield Call(lambda: name)
        both = yield Gather([ask(request(b"a")), ask(request(b"b"))], 2)
        nested, _ = yield Hedge(ask(request(b"c")), unneeded, 5.0)
        return first, [one.body for one in (*both, nested)]

    result = driver.run(hedged(inner("first", 30), lambda: inner("second", 0), 0.01))
    assert result == (("second", [b"a", b"b", b"c"]), True)


def test_the_second_may_think_better_of_it(driver):
    flows = Flows()
    assert driver.run(hedged(flows.sleeper("first", 0.05), lambda: None, 0.01)) == ("first", False)
    assert ScriptedDriver().run(hedged(flows.sleeper("first", 3), lambda: None, 1)) == ("first", False)


def test_many_at_once(driver):
    flows = Flows()

    def one(number):
        result, _ = yield Hedge(
            flows.sleeper((number, 1), 0.05 if number % 3 else 0), lambda: flows.sleeper((number, 2), 0), 0.01
        )
        return result[0]

    assert driver.run(hedges(one, range(60))) == list(range(60))
    until(lambda: all(end in {"closed", "returned"} for end in flows.ends.values()))


# -------------------------------------------------------------------------------------------- cancelled and interrupted


@pytest.mark.parametrize("steps", range(12))
def test_a_cancelled_one_closes_both(serve, steps):
    flows = Flows()

    async def main():
        driver = Aio(serve().endpoint())
        task = asyncio.create_task(
            driver.run(hedged(flows.sleeper("first", 30), lambda: flows.sleeper("second", 30), 0.0))
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        if steps > 6:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert set(flows.ends.values()) <= {"closed"}
        assert len(asyncio.all_tasks()) == 1
        await driver.close()

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may come while an object is freed
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_interrupts_of_a_thread_that_waits_for_two(serve):
    def handler(sock, number):
        while (body := read_request(sock)) is not None:
            if number % 3 == 0:
                time.sleep(0.02)
            sock.sendall(answer(body))

    server = serve(handler)
    driver = Blocking(server.endpoint(), max_connections=10)
    interrupts = 0

    def until_it_comes(
        armed,
    ):  # however fast the machine is; a call, for the end of a loop may stand outside of its "try"
        while armed[0]:
            driver.run(hedged(ask(), ask, 0.002))

    with raising(KeyboardInterrupt) as armed:
        for number in range(150):
            try:
                armed[0] = True
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + 0.00005 * (number % 60))
                until_it_comes(armed)
            except KeyboardInterrupt:
                interrupts += 1
            armed[0] = False
    assert interrupts > 20
    gc.collect()
    until(lambda: driver.pool.busy == 0)
    assert driver.run(ask()).body == b"{}"
    driver.close()


def test_without_any_thread_it_is_done_without(serve, monkeypatch):
    def none(*_, **__):
        raise RuntimeError("can't start new thread")

    driver = Blocking(serve().endpoint())
    monkeypatch.setattr(threading.Thread, "start", none)
    assert driver.run(hedged(Flows().sleeper("first", 0), unneeded, 5.0)) == ("first", False)
    driver.close()


# ----------------------------------------------------------------------------------------------------- the fake driver


def test_on_a_fake_clock():
    clock, flows = FakeClock(), Flows()
    driver = ScriptedDriver(clock=clock)
    begun = clock.monotonic()
    assert driver.run(hedged(flows.sleeper("first", 30), lambda: flows.sleeper("second", 1), 2)) == ("second", True)
    assert clock.monotonic() - begun == 3
    assert flows.ends == {"first": "closed", "second": "returned"}
    assert driver.run(hedged(flows.sleeper("first", 1), unneeded, 2)) == ("first", False)
    with pytest.raises(KeyError, match="1"):
        driver.run(
            hedged(flows.sleeper("a", 3, error=KeyError("1")), lambda: flows.sleeper("b", 9, error=KeyError("2")), 2)
        )
    assert driver.run(hedged(flows.sleeper("a", 3, error=KeyError("1")), lambda: flows.sleeper("b", 9), 2)) == (
        "b",
        True,
    )


def test_requests_on_a_fake_clock():
    driver = ScriptedDriver([Late(reply({"slow": 1}), 1.0), reply({"fast": 1})])
    get = b"POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\nHost: h\r\n\r\n{}"

    def one():
        return (yield Send(get, 2.0)).body

    assert driver.run(hedged(one(), one, 0.1)) == (b'{"fast":1}', True)
    assert driver.clock.monotonic() == 1_000.1


# ------------------------------------------------------------------------------------------------------------ bad use


def test_bad_arguments():
    with pytest.raises(ValidationError, match=r"after is 0 \.\.\. 1000000000 seconds"):
        Hedge(ask(), ask, -1)
    with pytest.raises(ValidationError, match=r"after is 0 \.\.\. 1000000000 seconds"):
        Hedge(ask(), ask, "1")
    with pytest.raises(InvalidUse, match="takes a flow"):
        Hedge(ask, ask, 1)
    with pytest.raises(InvalidUse, match="give a function that makes it"):
        Hedge(ask(), ask(), 1)
    with pytest.raises(InvalidUse, match="`yield Hedge"):
        list(Hedge(ask(), ask, 1))
    assert TransportError("timeout", "x", sent=True).misconfigured is False
