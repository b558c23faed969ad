"""The threads of a gather: they stay for the next one, are no more than were needed, and end by themselves."""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar

import pytest

from dynamorm.effects import Gather, Sleep
from dynamorm.io import gather
from dynamorm.io.blocking import Blocking
from dynamorm.wire.endpoint import Endpoint


@pytest.fixture(name="driver")
def a_driver():
    driver = Blocking(Endpoint.parse("http://127.0.0.1:9"))
    yield driver
    driver.close()


def hands() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "dynamorm-gather"]


def wait_until(condition) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def at_once(count: int, seconds: float = 0.0):
    """A flow that gathers so many, and returns the threads that ran them."""

    def one():
        yield Sleep(seconds)
        return threading.get_ident()

    return (yield Gather([one() for _ in range(count)], count))


def test_the_next_gather_finds_the_threads_of_the_last(driver):
    before, begun = len(hands()), []

    def one():
        begun.append(threading.get_ident())
        end = time.monotonic() + 30
        while len(begun) < 4 and time.monotonic() < end:  # each stays until all are there
            yield Sleep(0.002)
        return threading.get_ident()

    def all_at_once():
        return (yield Gather([one() for _ in range(4)], 4))

    first = set(driver.run(all_at_once()))
    assert len(first) == 4
    for _ in range(20):
        assert set(driver.run(at_once(4, 0.01))) <= first | {thread.ident for thread in hands()}
    assert len(hands()) - before <= 6  # three, and a few where one was late


def test_flows_that_end_at_once_do_not_pile_up_threads(driver):
    before = len(hands())
    for _ in range(500):
        driver.run(at_once(4))
    assert len(hands()) - before <= 6


def test_gathers_of_several_threads_share_them(driver):
    failures = []

    def work():
        for _ in range(50):
            if len(driver.run(at_once(5, 0.001))) != 5:
                failures.append("a result is missing")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert not any(thread.is_alive() for thread in threads)


def test_threads_end_when_nothing_comes(monkeypatch, driver):
    monkeypatch.setattr(gather, "STAY", 0.05)
    before = set(hands())
    driver.run(at_once(4, 0.02))
    wait_until(lambda: set(hands()) <= before)
    assert len(driver.run(at_once(4, 0.02))) == 4


def test_closing_the_driver_ends_them():
    driver = Blocking(Endpoint.parse("http://127.0.0.1:9"))
    before = set(hands())
    driver.run(at_once(4, 0.02))
    driver.close()
    wait_until(lambda: set(hands()) <= before)


def test_without_more_threads_the_callers_own_does_it_all(monkeypatch, driver):
    def no_more(_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    assert driver.run(at_once(4)) == [threading.get_ident()] * 4


def test_the_context_of_the_caller_is_that_of_each_flow(driver):
    place: ContextVar[str] = ContextVar("place", default="nowhere")

    def one():
        yield Sleep(0.02)
        return place.get()

    def both():
        return (yield Gather([one(), one()], 2))

    for name in ("here", "there"):
        place.set(name)
        assert driver.run(both()) == [name] * 2


def test_an_interrupt_ends_what_is_under_way_before_it_is_raised(driver):
    ended = []

    def slow():
        yield Sleep(0.05)
        ended.append("slow")

    def interrupted():
        raise KeyboardInterrupt
        yield

    def both():
        return (yield Gather([slow(), interrupted()], 2))

    with pytest.raises(KeyboardInterrupt):
        driver.run(both())
    then = list(ended)
    time.sleep(0.1)
    assert ended == then
