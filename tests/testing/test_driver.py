from __future__ import annotations

import gc
import json
import zlib

import pytest

from dynamorm.effects import Acquire, Call, Gather, Send, Sleep, TransportError
from dynamorm.errors import PoolTimeout
from dynamorm.testing import FakeClock, Late, ScriptedDriver, failure, reply
from dynamorm.wire.limiter import Limiter

GET = b'POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\nHost: h\r\n\r\n{"Key": 1}'


def send(timeout=1.0):
    return Send(GET, timeout)


def single(effect):
    return (yield effect)


def test_a_flow_is_driven_to_its_result():
    driver = ScriptedDriver([reply({"Item": {}})])
    assert driver.run(single(send())).body == b'{"Item":{}}'


def test_requests_are_recorded_and_taken_apart():
    driver = ScriptedDriver([reply()])
    driver.run(single(send(0.75)))
    [request] = driver.requests
    assert (request.index, request.operation, request.json, request.timeout) == (0, "GetItem", {"Key": 1}, 0.75)
    assert request.headers["host"] == "h"
    assert request.data == GET


def test_a_script_may_be_a_function_of_the_request():
    driver = ScriptedDriver(lambda request: reply({"op": request.operation}))
    assert json.loads(driver.run(single(send())).body) == {"op": "GetItem"}


def test_an_exception_is_thrown_into_the_flow():
    def flow():
        try:
            yield send()
        except TransportError as error:
            return error.stage

    assert ScriptedDriver([TransportError("connect", "refused", sent=False)]).run(flow()) == "connect"


def test_sleeping_advances_the_clock_and_takes_no_time():
    clock = FakeClock(monotonic=0.0)
    driver = ScriptedDriver(clock=clock)
    driver.run(single(Sleep(3600)))
    assert clock.monotonic() == 3600
    assert driver.sleeps == [3600]


def test_a_late_reply_takes_its_time():
    driver = ScriptedDriver([Late(reply(), 0.5)], clock=FakeClock(monotonic=0.0))
    driver.run(single(send()))
    assert driver.clock.monotonic() == 0.5


def test_a_reply_later_than_the_timeout_is_a_timeout():
    driver = ScriptedDriver([Late(reply(), 5)], clock=FakeClock(monotonic=0.0))
    with pytest.raises(TransportError) as raised:
        driver.run(single(send(1.0)))
    assert (raised.value.stage, raised.value.sent, driver.clock.monotonic()) == ("timeout", True, 1.0)


def test_call_runs_the_function_and_throws_its_error_in():
    def flow():
        value = yield Call(lambda: 7)
        try:
            yield Call(lambda: 1 / 0)
        except ZeroDivisionError:
            return value

    assert ScriptedDriver().run(flow()) == 7


def test_gather_returns_results_in_order_whoever_ends_first():
    def flow(delay):
        yield Sleep(delay)
        return delay

    driver = ScriptedDriver(clock=FakeClock(monotonic=0.0))
    assert driver.run(single(Gather([flow(3), flow(1), flow(2)], 10))) == [3, 1, 2]
    assert driver.clock.monotonic() == 3


def test_gather_runs_no_more_than_its_limit_at_once():
    running, most = 0, 0

    def flow():
        nonlocal running, most
        running += 1
        most = max(most, running)
        yield Sleep(1)
        running -= 1

    ScriptedDriver().run(single(Gather([flow() for _ in range(7)], 3)))
    assert most == 3


def test_gather_of_nothing_is_an_empty_list():
    assert ScriptedDriver().run(single(Gather([], 3))) == []


def test_gather_lets_every_started_flow_end_before_it_fails_and_starts_no_more():
    ended = []

    def good(delay):
        yield Sleep(delay)
        ended.append(delay)

    def bad():
        yield Sleep(1)
        raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        ScriptedDriver().run(single(Gather([good(2), bad(), good(3)], 2)))
    assert ended == [2]


def test_gathers_nest():
    def leaf(value):
        yield Sleep(value)
        return value

    def branch(*values):
        return (yield Gather([leaf(value) for value in values], 2))

    assert ScriptedDriver().run(single(Gather([branch(1, 2), branch(3)], 2))) == [[1, 2], [3]]


def test_a_script_that_is_too_short_fails_the_test():
    with pytest.raises(AssertionError, match="request 0, GetItem"):
        ScriptedDriver().run(single(send()))


def test_something_that_is_no_effect_fails_the_test():
    with pytest.raises(AssertionError, match="not an effect"):
        ScriptedDriver().run(single("nonsense"))


def test_a_closed_driver_refuses():
    driver = ScriptedDriver()
    driver.close()
    with pytest.raises(RuntimeError):
        driver.run(single(Sleep(1)))


def test_an_abandoned_run_leaves_nothing_for_the_next_one():
    driver = ScriptedDriver([reply({"a": 1}), reply({"b": 1})])
    assert driver.run(single(send())).body == b'{"a":1}'
    assert driver.run(single(send())).body == b'{"b":1}'


@pytest.mark.parametrize(
    ("crc", "expected"),
    [
        ("auto", str(zlib.crc32(b"{}")).encode()),
        ("bad", str(zlib.crc32(b"{}") ^ 1).encode()),
        (None, None),
        (b"1,2", b"1,2"),
    ],
)
def test_a_reply_carries_the_checksum_asked_for(crc, expected):
    assert reply(crc=crc).crc == expected


def test_bytes_are_a_body_as_they_are():
    assert reply(b"<html>", 503).body == b"<html>"


def test_a_failure_is_an_error_as_on_the_wire():
    built = failure("ThrottlingException", message="slow", retry_after=b"3000", throttlingReasons=[])
    body = json.loads(built.body)
    assert (built.status, built.retry_after) == (400, b"3000")
    assert body == {
        "__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException",
        "message": "slow",
        "throttlingReasons": [],
    }


def test_places_of_a_limiter_are_waited_for_in_order_on_the_fake_clock():
    driver, limiter, order = ScriptedDriver(), Limiter(2), []

    def flow(number):
        with (yield Acquire(limiter)):
            order.append((number, driver.clock.monotonic() - 1_000.0))
            yield Sleep(10)

    driver.run(single(Gather([flow(number) for number in range(5)], 5)))
    assert order == [(0, 0.0), (1, 0.0), (2, 10.0), (3, 10.0), (4, 20.0)]
    assert (limiter.held, limiter.waiting) == (0, 0)


def test_who_waits_for_a_place_is_not_collected_as_garbage():
    driver, limiter, order = ScriptedDriver(), Limiter(1), []

    def flow(number):
        with (yield Acquire(limiter)):
            yield Sleep(1)
            gc.collect()
            order.append(number)

    driver.run(single(Gather([flow(number) for number in range(4)], 4)))
    assert order == [0, 1, 2, 3]


def test_a_place_of_a_limiter_that_comes_too_late():
    driver, limiter = ScriptedDriver(), Limiter(1)

    def holder():
        with (yield Acquire(limiter)):
            yield Sleep(60)

    def impatient():
        try:
            yield Acquire(limiter, timeout=20)
        except PoolTimeout:
            return driver.clock.monotonic() - 1_000.0, limiter.waiting

    assert driver.run(single(Gather([holder(), impatient()], 2))) == [None, (20.0, 0)]
    assert (limiter.held, limiter.waiting) == (0, 0)


def test_a_place_that_nobody_gives_back_is_noted():
    limiter = Limiter(1)

    def twice():
        with (yield Acquire(limiter)):
            yield Acquire(limiter)

    with pytest.raises(AssertionError, match="every flow waits for a place"):
        ScriptedDriver().run(twice())
