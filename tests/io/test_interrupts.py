"""An exception at any line of an exchange, as a signal's handler may raise it: it reaches the caller, and nothing leaks."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from dynamorm.effects import Gather, Sleep, TransportError
from dynamorm.io.aio import Aio
from dynamorm.io.blocking import Blocking
from dynamorm.io.tls import TLSSettings
from dynamorm.wire import pool
from tests.io.injecting import Interrupt, Noted, TimeLimit, at_every_line, raising, run_once
from tests.io.kit import answer, ask, echo, read_request, request, until
from tests.support.certificates import Authority

pytestmark = pytest.mark.once  # lines and instructions differ between versions: shown on one of them so far

SLOTS = 2
RARELY = pytest.mark.soak
"""The kind of the exception makes little difference: what a test of a minute shows, the others repeat."""


def whole(driver, at):
    """Every slot can be had, and no more; and so many exchanges go on at once (which is tried now and then)."""
    those = driver._pool
    assert (those.busy, len(driver._live), len(those.waiters)) == (0, len(those.idle), 0), at
    slots = [those.take() for _ in range(SLOTS + 1)]
    assert [slot is None for slot in slots] == [False] * SLOTS + [True], at
    for slot in slots[:-1]:
        those.drop(slot)
    if at % 10:
        assert driver.run(ask(request(b"again"))).body == b"again", at
    else:
        with ThreadPoolExecutor(SLOTS) as threads:
            bodies = [b"%d" % number for number in range(SLOTS)]
            replies = threads.map(lambda body: driver.run(ask(request(body), 5)), bodies)
            assert [reply.body for reply in replies] == bodies, at
    assert those.busy == 0, at


def exchange_over(driver, before=None, after=None):
    """A scenario: an exchange, and then a look at the pool."""
    try:
        if before is not None:
            before(driver)
        at = yield lambda: driver.run(ask(timeout=2))
        whole(driver, at)
        if after is not None:
            after(driver)
        yield
    finally:
        driver.close()


def warm(driver):
    driver.run(ask())


def warm_twice(driver):
    """Two idle connections."""
    held = driver._pool.take()
    driver.run(ask())
    driver._pool.drop(held)
    other = driver._pool.idle.pop()
    driver.run(ask())
    driver._pool.idle.append(other)


ERRORS = pytest.mark.parametrize(
    "error", [Interrupt, pytest.param(TimeLimit, marks=RARELY), pytest.param(ValueError, marks=RARELY)]
)


@ERRORS
def test_at_any_line_of_an_exchange_over_a_used_connection(serve, error):
    server = serve()
    at_every_line(lambda: exchange_over(Blocking(server.endpoint(), max_connections=SLOTS), warm), error)


@ERRORS
def test_at_any_line_of_an_exchange_over_a_new_connection(serve, error):
    server = serve()
    at_every_line(lambda: exchange_over(Blocking(server.endpoint(), max_connections=SLOTS)), error)


@ERRORS
def test_at_any_line_of_an_exchange_that_looks_up_a_name(serve, error):
    server = serve()

    def scenario():
        options = {"resolver": lambda *_: ["127.0.0.1"], "connection_timeout": 1.0}
        yield from exchange_over(Blocking(server.endpoint("db.localhost"), max_connections=SLOTS, **options))

    at_every_line(scenario, error)


def test_at_any_line_while_the_pool_is_put_in_order(serve):
    server = serve()
    at_every_line(
        lambda: exchange_over(Blocking(server.endpoint(), max_connections=SLOTS, max_idle=1), warm_twice), Interrupt
    )


def test_at_any_line_of_an_exchange_whose_idle_connection_was_closed(serve):
    def handle(sock, number):
        if number == 1:
            sock.sendall(answer(read_request(sock)))
        else:
            echo(sock, number)

    def scenario():
        server = serve(handle)

        def before(driver):
            warm(driver)
            until(lambda: server.open == 0)

        yield from exchange_over(Blocking(server.endpoint(), max_connections=SLOTS), before)
        server.close()

    def whole_run():
        at_every_line(scenario, Interrupt, step=3)

    # The first connection of each driver ends after its first answer; all later ones stay.
    whole_run()


@ERRORS
def test_at_any_line_of_an_exchange_whose_answer_comes_in_pieces(serve, error):
    def handle(sock, _number):
        while (body := read_request(sock)) is not None:
            whole_one = answer(body, b"x-amzn-RequestId: %d\r\n" % random.getrandbits(60))
            sock.sendall(whole_one[:20])
            time.sleep(0.001)
            sock.sendall(whole_one[20:])

    server = serve(handle)
    at_every_line(lambda: exchange_over(Blocking(server.endpoint(), max_connections=SLOTS), warm), error)


def test_at_any_line_of_an_exchange_that_fails(serve):
    """Also where the first exception is being dealt with."""

    def handle(sock, _number):
        while (body := read_request(sock)) is not None:
            if body == b"{}":
                return  # without an answer
            sock.sendall(answer(body))

    server = serve(handle)

    def before(driver):
        driver.run(ask(request(b"warm")))

    def scenario():
        driver = Blocking(server.endpoint(), max_connections=SLOTS)

        def work():
            with suppress(TransportError):
                driver.run(ask())

        try:
            before(driver)
            at = yield work
            whole_of_others(driver, at)
            yield
        finally:
            driver.close()

    def whole_of_others(driver, at):
        assert (driver._pool.busy, len(driver._live)) == (0, len(driver._pool.idle)), at
        assert driver.run(ask(request(b"again"))).body == b"again"

    at_every_line(scenario, Interrupt)


@ERRORS
def test_at_any_line_over_tls(serve, tmp_path, error):
    authority = Authority(tmp_path)
    server = serve(context=authority.context("127.0.0.1"))

    def scenario():
        settings = TLSSettings(ca_bundle=authority.bundle)
        settings.context()
        yield from exchange_over(Blocking(server.endpoint(scheme="https"), max_connections=SLOTS, tls=settings), warm)

    at_every_line(scenario, error, step=2)


def held_by_another(driver, begun, release):
    """Another thread holds every slot, and gives one back when told."""

    def hold():
        slots = [driver._pool.take() for _ in range(SLOTS)]
        begun.set()
        release.wait(5)
        driver._pool.drop(slots.pop())
        time.sleep(0.002)
        slots.pop()  # forgotten

    thread = threading.Thread(target=hold)
    thread.start()
    begun.wait(5)
    return thread


@ERRORS
def test_at_any_line_of_one_who_waits(serve, error):
    server = serve()

    def scenario():
        driver = Blocking(server.endpoint(), max_connections=SLOTS)
        begun, release = threading.Event(), threading.Event()
        thread = held_by_another(driver, begun, release)
        threading.Timer(0.003, release.set).start()
        try:
            at = yield lambda: driver.run(ask(timeout=2))
            thread.join(5)
            whole(driver, at)
            yield
        finally:
            driver.close()

    at_every_line(scenario, error)


def test_at_any_line_of_one_who_gives_to_those_who_wait(serve):
    """They get their slot all the same: at the latest when they look by themselves."""
    server = serve()

    def scenario():
        driver = Blocking(server.endpoint(), max_connections=1)
        driver.run(ask())
        got = []
        waiting = [
            threading.Thread(target=lambda n=n: got.append(driver.run(ask(request(b"%d" % n), 5)).body))
            for n in range(2)
        ]
        later = list(waiting)
        connection = driver._pool.idle[0].connection
        send = connection.send

        def send_when_others_wait(data):
            connection.send = send
            while later:
                later.pop().start()
            until(lambda: len(driver._pool.waiters) == 2)
            return send(data)

        connection.send = send_when_others_wait
        try:
            at = yield lambda: driver.run(ask())
            connection.send = send
            while later:
                later.pop().start()
            for thread in waiting:
                thread.join(5)
            assert sorted(got) == [b"0", b"1"], at
            assert driver._pool.busy == 0, at
            yield
        finally:
            driver.close()

    at_every_line(scenario, Interrupt)


@pytest.mark.parametrize("warmed", [True, False], ids=["used", "new"])
def test_at_any_instruction_of_an_exchange(serve, warmed):
    """Between a call and the storing of what it returned there is nobody who could give it back."""
    server = serve()

    def scenario():
        driver = Blocking(server.endpoint(), max_connections=SLOTS)
        try:
            if warmed:
                driver.run(ask())
            at = yield lambda: driver.run(ask(timeout=2))
            assert (driver._pool.busy, len(driver._live)) == (0, len(driver._pool.idle)), at
            assert len([driver._pool.take() for _ in range(SLOTS)]) == SLOTS
            yield
        finally:
            driver.close()

    at_every_line(scenario, Interrupt, opcodes=True, step=1 if warmed else 2)


def test_at_any_line_of_a_gather_it_ends(serve):
    """Nobody waits for a flow that was never begun, and none goes on after the exception is raised."""
    server = serve()

    def scenario():
        driver = Blocking(server.endpoint())
        running = []

        def one():
            running.append(1)
            yield Sleep(0.0005)
            running.pop()

        def all_of_them():
            return (yield Gather([one() for _ in range(4)], 3))

        try:
            at = yield lambda: driver.run(all_of_them())
            end = time.monotonic() + 5
            assert len(running) <= 1, at  # the one that was interrupted itself
            assert len(driver.run(all_of_them())) == 4, at
            assert time.monotonic() < end
            yield
        finally:
            driver.close()

    at_every_line(scenario, Interrupt)


def open_files():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it may come while an object is freed
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
@pytest.mark.parametrize("error", [Interrupt, KeyboardInterrupt, TimeLimit])
def test_a_thousand_real_signals_leak_nothing(serve, error):
    dice = random.Random(10)
    server = serve()
    driver = Blocking(server.endpoint(), max_connections=SLOTS)
    driver.run(ask())
    files = open_files()
    interrupts = 0
    with raising(error) as armed:
        while interrupts < 1_000:
            try:
                armed[0] = True
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.00001, 0.0006))
                driver.run(ask(timeout=5))
                armed[0] = False
            except error:
                interrupts += 1
            armed[0] = False
    whole(driver, interrupts)
    driver.close()
    until(lambda: server.open == 0)
    assert open_files() <= files


# ------------------------------------------------------------------------------------------------------------- asyncio


async def many(driver, count):
    replies = await asyncio.gather(*[driver.run(ask(request(b"%d" % n), 5)) for n in range(count)])
    return [reply.body for reply in replies]


def aio_at_every_line(make, error, before=None, during=None):
    """As `at_every_line`; where the loop itself called the interrupted code, the loop hears of it."""
    with Noted() as noted:
        at, kept = 1, []
        while True:
            driver = make()
            if before is not None:
                noted.loop.run_until_complete(before(driver))
            noted.noted.clear()
            work = driver.run(ask(timeout=2)) if during is None else during(driver)
            reached, caught = run_once(lambda w=work: noted.loop.run_until_complete(w), error, at)
            kept.append(caught)
            noted.settle()
            if reached and caught is None:  # the answer had come; the loop keeps quiet about an OSError of a transport
                assert error is TimeLimit or any(type(context.get("exception")) is error for context in noted.noted), at
            elif reached:
                assert type(caught) is error, (at, caught)
            those = driver._pool
            assert (those.busy, len(driver._live), len(those.waiters)) == (0, len(those.idle), 0), at
            assert driver._open <= set(driver._live), at
            assert noted.loop.run_until_complete(many(driver, SLOTS + 1)) == [b"0", b"1", b"2"], at
            noted.loop.run_until_complete(driver.close())
            if not reached:
                assert caught is None
                break
            at += 1
        assert at > 30


async def used(driver):
    await driver.run(ask())


@pytest.mark.parametrize("error", [Interrupt, KeyboardInterrupt, TimeLimit])
@pytest.mark.parametrize("before", [used, None], ids=["used", "new"])
def test_at_any_line_of_an_asyncio_exchange(serve, error, before):
    server = serve()
    aio_at_every_line(lambda: Aio(server.endpoint(), max_connections=SLOTS), error, before)


def test_at_any_line_of_an_asyncio_exchange_that_looks_up_a_name(serve):
    server = serve()
    options = {"resolver": lambda *_: ["127.0.0.1"], "connection_timeout": 1.0}
    aio_at_every_line(lambda: Aio(server.endpoint("db.localhost"), max_connections=SLOTS, **options), Interrupt)


def test_at_any_line_of_an_asyncio_exchange_over_tls(serve, tmp_path):
    authority = Authority(tmp_path)
    server = serve(context=authority.context("127.0.0.1"))
    settings = TLSSettings(ca_bundle=authority.bundle)
    settings.context()
    aio_at_every_line(lambda: Aio(server.endpoint(scheme="https"), max_connections=SLOTS, tls=settings), Interrupt)


@pytest.mark.parametrize("error", [Interrupt, TimeLimit])
def test_at_any_line_of_an_asyncio_exchange_that_waits(serve, monkeypatch, error):
    """For slots that were lost: it sees by itself that they are free."""
    monkeypatch.setattr(pool, "LOOK", 0.001)
    server = serve()

    async def during(driver):
        slots = []
        try:
            slots.extend(driver._pool.take() for _ in range(SLOTS))
            task = asyncio.ensure_future(driver.run(ask(timeout=2)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            slots.clear()  # forgotten
        await task

    aio_at_every_line(lambda: Aio(server.endpoint(), max_connections=SLOTS), error, during=during)


def test_a_cancellation_at_any_wait_of_those_who_share_one_slot(serve):
    server = serve()

    async def main():
        for turns in range(40):
            driver = Aio(server.endpoint(), max_connections=1)
            tasks = [asyncio.ensure_future(driver.run(ask(request(b"%d" % n), 5))) for n in range(4)]
            for _ in range(turns):
                await asyncio.sleep(0)
            tasks[turns % 3].cancel()
            tasks[(turns + 1) % 3].cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert tasks[3].result().body == b"3"
            assert (driver._pool.busy, len(driver._pool.waiters)) == (0, 0)
            await driver.close()

    asyncio.run(main())
    until(lambda: server.open == 0)
