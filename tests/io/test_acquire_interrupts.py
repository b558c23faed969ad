"""An exception at any line of waiting for a place: it reaches the caller, no place is lost, and who waits gets his turn."""

import asyncio
import gc
import random
import signal
import threading
from contextlib import suppress

import pytest

from dynamorm.effects import Acquire, Sleep
from dynamorm.errors import PoolTimeout
from dynamorm.io.aio import Aio
from dynamorm.io.blocking import Blocking
from dynamorm.wire.endpoint import Endpoint
from dynamorm.wire.limiter import Limiter
from tests.io.injecting import Interrupt, Noted, TimeLimit, at_every_line, raising, run_once
from tests.io.kit import until

pytestmark = pytest.mark.once  # lines and instructions differ between versions: shown on one of them so far

NOWHERE = Endpoint.parse("http://127.0.0.1:9")
PLACES = 2


def careful(limiter, seconds=0.0, timeout=None, inside=None):
    """A flow that gives back twice, should the first time be interrupted: its exceptions may be kept."""
    permit = yield Acquire(limiter, timeout)
    try:
        try:
            yield Sleep(seconds)
            if inside is not None:
                inside.append(1)
        finally:
            permit.release()
    except BaseException:
        permit.release()
        raise


def simple(limiter, seconds=0.0):
    """A flow as it is usually written."""
    with (yield Acquire(limiter)):
        yield Sleep(seconds)


def whole(driver, limiter, at):
    """All places can be had, and no more."""
    assert (limiter.held, limiter.waiting) == (0, 0), at
    permits = [limiter.permit() for _ in range(PLACES + 1)]
    assert [permit.take() for permit in permits] == [True] * PLACES + [False], at
    for permit in permits:
        permit.release()
    driver.run(simple(limiter))
    assert (limiter.held, limiter.waiting) == (0, 0), at


@pytest.mark.parametrize("error", [Interrupt, TimeLimit, ValueError])
def test_at_any_line_of_one_who_finds_a_place(error):
    """Also where the exception is kept, and with it every frame that it came through."""

    def scenario():
        driver, limiter = Blocking(NOWHERE), Limiter(PLACES)
        try:
            at = yield lambda: driver.run(careful(limiter))
            whole(driver, limiter, at)
            yield
        finally:
            driver.close()

    at_every_line(scenario, error)


def test_at_any_instruction_of_one_who_finds_a_place():
    def scenario():
        driver, limiter = Blocking(NOWHERE), Limiter(PLACES)
        try:
            at = yield lambda: driver.run(simple(limiter))
            whole(driver, limiter, at)
            yield
        finally:
            driver.close()

    at_every_line(scenario, Interrupt, opcodes=True)


def given_back_soon(limiter):
    """Every place is held; another thread gives one back when somebody waits."""
    permits = [limiter.permit() for _ in range(PLACES)]
    assert all(permit.take() for permit in permits)
    stop = threading.Event()

    def give_back():
        while not limiter.waiting and not stop.wait(0.0002):
            pass
        while permits:
            permits.pop().release()

    thread = threading.Thread(target=give_back)
    thread.start()
    return thread, stop


@pytest.mark.parametrize("error", [Interrupt, TimeLimit])
def test_at_any_line_of_one_who_waits(error):
    def scenario():
        driver, limiter = Blocking(NOWHERE), Limiter(PLACES)
        thread, stop = given_back_soon(limiter)
        try:
            at = yield lambda: driver.run(careful(limiter))
            stop.set()
            thread.join(5)
            whole(driver, limiter, at)
            yield
        finally:
            driver.close()

    at_every_line(scenario, error)


def test_at_any_line_of_one_whose_time_is_over():
    """Also where the error is on its way."""

    def scenario():
        driver, limiter = Blocking(NOWHERE), Limiter(PLACES)
        permits = [limiter.permit() for _ in range(PLACES)]
        assert all(permit.take() for permit in permits)

        def work():
            try:
                driver.run(careful(limiter, timeout=0.0002))
            except PoolTimeout:
                return

        try:
            at = yield work
            assert (limiter.held, limiter.waiting) == (PLACES, 0), at
            for permit in permits:
                permit.release()
            whole(driver, limiter, at)
            yield
        finally:
            driver.close()

    at_every_line(scenario, Interrupt)


def twice(limiter, meanwhile):
    """A flow that gives back twice, should the first time be interrupted."""
    permit = yield Acquire(limiter)
    try:
        try:
            meanwhile()
        finally:
            permit.release()
    except BaseException:
        permit.release()
        raise


def once(limiter, meanwhile):
    """A flow as it is usually written."""
    with (yield Acquire(limiter)):
        meanwhile()


@pytest.mark.parametrize("holder", [twice, once])
def test_at_any_line_of_one_who_gives_to_those_who_wait(holder):
    """Nobody looks by himself from time to time: who is not told would wait for ever.

    Who gives back once is interrupted at any instruction. If that is before anything was done, the place is free, and the
    others are told so, when the exception goes.
    """

    def scenario():
        driver, limiter, inside = Blocking(NOWHERE), Limiter(1), []
        waiting = [threading.Thread(target=driver.run, args=(careful(limiter, inside=inside),)) for _ in range(2)]
        later = list(waiting)

        def start_the_others():
            while later:
                later.pop().start()

        def meanwhile():
            start_the_others()
            until(lambda: limiter.waiting == 2)

        try:
            at = yield lambda: driver.run(holder(limiter, meanwhile))
            start_the_others()
            for thread in waiting:
                thread.join(5)
            assert len(inside) == 2, at
            assert (limiter.held, limiter.waiting) == (0, 0), at
            yield
        finally:
            driver.close()

    at_every_line(scenario, Interrupt, opcodes=holder is once, step=2 if holder is once else 1)


def test_at_any_line_of_giving_more_places():
    def scenario():
        driver, limiter, inside = Blocking(NOWHERE), Limiter(1), []
        held = limiter.permit()
        assert held.take()
        thread = threading.Thread(target=driver.run, args=(careful(limiter, inside=inside),))
        thread.start()
        until(lambda: limiter.waiting == 1)

        def work():
            limiter.places = 2
            for _ in range(30):  # so that there are as many lines as `at_every_line` expects
                repr(limiter)

        try:
            at = yield work
            if limiter.places == 1:  # the exception came before anything was changed
                limiter.places = 2
            thread.join(5)
            assert inside == [1], at
            held.release()
            assert (limiter.held, limiter.waiting) == (0, 0), at
            yield
        finally:
            driver.close()

    at_every_line(scenario, Interrupt)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may come while an object is freed
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("error", [Interrupt, KeyboardInterrupt, TimeLimit])
def test_a_thousand_real_signals_lose_nothing(error):
    """While other threads go in and out, who must all get their turn."""
    dice = random.Random(7)
    driver, limiter = Blocking(NOWHERE), Limiter(PLACES)
    stop, interrupts, turns = threading.Event(), 0, [0, 0, 0]

    def others(number):
        while not stop.is_set():
            driver.run(simple(limiter, 0.00002))
            turns[number] += 1

    threads = [threading.Thread(target=others, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        with raising(error) as armed:
            while interrupts < 1_000:
                try:
                    armed[0] = True
                    signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.00001, 0.0004))
                    driver.run(simple(limiter))
                    armed[0] = False
                except error:
                    interrupts += 1
                armed[0] = False
    finally:
        stop.set()
        for thread in threads:
            thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
    assert min(turns) > 0
    gc.collect()
    whole(driver, limiter, interrupts)
    driver.close()


# ------------------------------------------------------------------------------------------------------------- asyncio


def aio_at_every_line(during, error):
    """Run it again and again, until no line is left; where the loop itself called the interrupted code, it hears of it."""
    with Noted() as noted:
        at, kept = 1, []
        while True:
            driver, limiter, held = Aio(NOWHERE), Limiter(PLACES), []
            kept.append(driver)  # what frees it is no part of this
            noted.noted.clear()
            work = during(driver, limiter, held)
            reached, caught = run_once(lambda w=work: noted.loop.run_until_complete(w), error, at)
            kept.append(caught)
            noted.settle()
            for permit in held:  # where the exception came while they were given back
                permit.release()
            if reached and caught is None:
                assert any(type(context.get("exception")) is error for context in noted.noted), at
            elif reached:
                assert type(caught) is error, (at, caught)
            assert (limiter.held, limiter.waiting) == (0, 0), at
            noted.loop.run_until_complete(asyncio.wait_for(driver.run(simple(limiter)), 5))
            noted.loop.run_until_complete(driver.close())
            if not reached:
                assert caught is None
                break
            at += 1
        assert at > 30


@pytest.mark.parametrize("error", [Interrupt, KeyboardInterrupt, TimeLimit])
def test_at_any_line_of_a_task_that_finds_a_place(error):
    aio_at_every_line(lambda driver, limiter, _: driver.run(careful(limiter)), error)


@pytest.mark.parametrize("error", [Interrupt, KeyboardInterrupt])
def test_at_any_line_of_a_task_that_waits(error):
    async def during(driver, limiter, held):
        held.extend(limiter.permit() for _ in range(PLACES))
        try:
            for permit in held:
                permit.take()
            task = asyncio.ensure_future(driver.run(careful(limiter)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            for permit in held:
                permit.release()
        await task

    aio_at_every_line(during, error)


def test_at_any_line_of_a_task_whose_time_is_over():
    async def during(driver, limiter, held):
        held.append(limiter.permit())
        limiter.places = 1
        held[0].take()
        with suppress(PoolTimeout):
            await driver.run(careful(limiter, timeout=0.0005))

    aio_at_every_line(during, Interrupt)
