"""Slots, threads, forks, interrupts and cancellations (P01, P02): nothing leaks, nobody starves."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from dynamorm.effects import Send, Sleep, TransportError
from dynamorm.errors import ConfigError
from dynamorm.io.aio import Aio
from dynamorm.io.blocking import Blocking
from tests.io.kit import AioFace, answer, ask, echo, read_request, request, until


def counts(driver):
    pool = driver._pool
    return pool.size, len(pool.idle), len(pool.waiters), len(driver._live)


def stuck_until(event):
    def handle(sock, _number):
        while (body := read_request(sock)) is not None:
            event.wait(10)
            sock.sendall(answer(body))

    return handle


def open_files():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def in_threads(count, work):
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_a_full_pool_is_an_error_within_the_budget_and_recovers(serve, face):
    release = threading.Event()
    server = serve(stuck_until(release))
    driver = face(server.endpoint(), connection_timeout=1.5)  # time for a hundred threads to connect
    replies = []
    threads = in_threads(100, lambda _: replies.append(driver.run(ask(timeout=20))))
    try:  # what fails here is tried once more, and these threads must not fail in another test
        until(lambda: server.accepted == 100)
        start = time.monotonic()
        with pytest.raises(TransportError) as caught:
            driver.run(ask())
        assert (caught.value.stage, caught.value.sent) == ("pool", False)
        assert time.monotonic() - start < 1.65
    finally:
        release.set()
        for thread in threads:
            thread.join()
    assert len(replies) == 100
    assert driver.run(ask()).status == 200
    until(lambda: counts(driver.driver) == (20, 20, 0, 20))
    until(lambda: server.open == 20)


def test_those_who_wait_are_served_in_the_order_in_which_they_came(serve, face):
    release, order = threading.Event(), []

    def handle(sock, _number):
        while (body := read_request(sock)) is not None:
            order.append(body)
            release.wait(10)
            sock.sendall(answer(body))

    server = serve(handle)
    driver = face(server.endpoint(), max_connections=1)
    threads = []
    for number in range(8):
        threads += in_threads(1, lambda _, n=number: driver.run(ask(request(b"%d" % n), 9)))
        until(lambda n=number: len(driver.driver._pool.waiters) == n if n else server.accepted == 1)
    release.set()
    for thread in threads:
        thread.join()
    assert order == [b"%d" % number for number in range(8)]
    assert server.accepted == 1


def test_a_waiter_gets_the_slot_of_a_connection_that_died(serve, face):
    release = threading.Event()

    def handle(sock, number):
        read_request(sock)
        if number == 1:
            release.wait(5)
        else:
            sock.sendall(answer(b"second"))

    server = serve(handle)
    driver = face(server.endpoint(), max_connections=1)
    failed, got = [], []

    def first(_):
        try:
            driver.run(ask())
        except TransportError as error:
            failed.append(error)

    threads = in_threads(1, first)
    until(lambda: server.accepted == 1)
    threads += in_threads(1, lambda _: got.append(driver.run(ask()).body))
    until(lambda: len(driver.driver._pool.waiters) == 1)
    release.set()
    for thread in threads:
        thread.join()
    assert (len(failed), got) == (1, [b"second"])


def test_a_failed_connection_leaves_no_slot_behind(face):
    import socket

    from dynamorm.wire.endpoint import Endpoint

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    driver = face(Endpoint.parse(f"http://127.0.0.1:{port}"), max_connections=2)
    for _ in range(20):
        with pytest.raises(TransportError):
            driver.run(ask())
    assert counts(driver.driver) == (0, 0, 0, 0)


def test_many_threads_share_few_connections_without_a_mix_up_or_a_leak(serve, face):
    server = serve()
    driver = face(server.endpoint(), max_connections=4)
    wrong = []

    def work(name):
        for number in range(400):
            body = b"%d:%d" % (name, number)
            if driver.run(ask(request(body), 20)).body != body:
                wrong.append(body)

    files = open_files()
    for thread in in_threads(16, work):
        thread.join()
    assert not wrong
    assert server.accepted <= 4
    size, idle, waiters, live = counts(driver.driver)
    assert (size, waiters) == (idle, 0) == (live, 0)
    assert open_files() <= files + 2 * 4


def in_child(work):
    """Run in a forked process; the exit code tells whether it returned True."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads is exactly what is tested
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        except BaseException:  # noqa: BLE001 (a child must never go on as a second pytest)
            import traceback

            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_with_connections_of_its_own(serve, face):
    server = serve()
    driver = face(server.endpoint())
    driver.run(ask(request(b"parent")))

    def child():
        if isinstance(driver, AioFace):
            reply = asyncio.run(driver.driver.run(ask(request(b"child"))))
        else:
            reply = driver.run(ask(request(b"child")))
        return reply.body == b"child" and driver.driver._pool.size == 1

    assert in_child(child) == 0
    assert server.accepted == 2
    assert driver.run(ask(request(b"again"))).body == b"again"
    assert server.accepted == 2  # the parent's connection has survived


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_holds_every_slot_does_not_hang_the_child(serve):
    release = threading.Event()
    driver = Blocking(
        serve(lambda sock, number: (stuck_until(release) if number == 1 else echo)(sock, number)).endpoint(),
        max_connections=1,
    )
    threads = in_threads(1, lambda _: driver.run(ask(timeout=9)))
    until(lambda: driver._pool.busy == 1)
    assert in_child(lambda: driver.run(ask()).status == 200) == 0
    release.set()
    threads[0].join()
    driver.close()


def test_an_interrupt_during_an_exchange_ends_its_connection(serve):
    release = threading.Event()
    server = serve(stuck_until(release))
    driver = Blocking(server.endpoint())

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            driver.run(ask(timeout=5))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert counts(driver) == (0, 0, 0, 0)
    release.set()
    driver.close()


def test_an_interrupt_while_waiting_for_a_slot_leaves_the_queue(serve):
    release = threading.Event()
    server = serve(stuck_until(release))
    driver = Blocking(server.endpoint(), max_connections=1)
    threads = in_threads(1, lambda _: driver.run(ask(timeout=9)))
    until(lambda: server.accepted == 1)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            driver.run(ask(timeout=5))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(driver._pool.waiters) == 0
    release.set()
    threads[0].join()
    assert counts(driver) == (1, 1, 0, 1)
    driver.close()


def test_another_event_loop_is_refused(serve):
    driver = Aio(serve().endpoint())

    async def first():
        await driver.run(ask())

    async def second():
        with pytest.raises(ConfigError, match="event loop"):
            await driver.run(ask())

    async def clean():
        await driver.close()

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(first())
        asyncio.run(second())
        loop.run_until_complete(clean())
    finally:
        loop.close()


async def cancelled_after(driver, turns, flow):
    """Run the flow and cancel it after so many turns of the loop; True when it had ended before."""
    task = asyncio.ensure_future(driver.run(flow))
    for _ in range(turns):
        await asyncio.sleep(0)
        if task.done():
            break
    ended = task.done()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return False
    return ended


async def settled(driver):
    for _ in range(10):
        await asyncio.sleep(0)
    size, idle, waiters, live = counts(driver)
    assert waiters == 0
    assert size == idle == live


@pytest.mark.parametrize("name", ["127.0.0.1", "db.localhost"])
def test_a_cancellation_at_any_turn_leaks_nothing(serve, name):
    server = serve()
    options = {"resolver": lambda *_: ["127.0.0.1"]} if name != "127.0.0.1" else {}

    async def main():
        ended = 0
        for turns in range(60):
            driver = Aio(server.endpoint(name), max_connections=2, **options)
            for _ in range(4):
                ended += await cancelled_after(driver, turns, ask())
                await settled(driver)
            assert (await driver.run(ask())).status == 200
            await driver.close()
            assert counts(driver) == (0, 0, 0, 0)
        await asyncio.sleep(0.01)
        return ended

    asyncio.run(main())
    until(lambda: server.open == 0)


def test_a_cancellation_while_waiting_for_a_slot_leaks_nothing(serve):
    def slow(sock, _number):
        while (body := read_request(sock)) is not None:
            time.sleep(0.002)
            sock.sendall(answer(body))

    server = serve(slow)

    async def main():
        driver = Aio(server.endpoint(), max_connections=2)
        for turns in range(0, 40, 2):
            others = [asyncio.ensure_future(driver.run(ask(request(b"%d" % n)))) for n in range(6)]
            doomed = [asyncio.ensure_future(driver.run(ask())) for _ in range(3)]
            for number, task in enumerate(doomed):
                for _ in range(turns + number):
                    await asyncio.sleep(0.0005)
                task.cancel()
            replies = await asyncio.gather(*others)
            assert [reply.body for reply in replies] == [b"%d" % n for n in range(6)]
            await asyncio.gather(*doomed, return_exceptions=True)
            await settled(driver)
            assert driver._pool.size <= 2
        await driver.close()

    asyncio.run(main())
    until(lambda: server.open == 0)


def test_a_waiter_that_is_served_and_cancelled_in_one_turn_passes_its_slot_on(serve):
    async def main():
        driver = Aio(serve().endpoint(), max_connections=1)
        await driver.run(ask())
        slot = driver._pool.take()
        waiting = [asyncio.ensure_future(driver.run(ask(request(b"%d" % n)))) for n in range(3)]
        await asyncio.sleep(0)
        driver._pool.idle.append(slot)
        driver._pool.settle(time.monotonic())
        waiting[0].cancel()  # has the connection already
        waiting[1].cancel()  # is next in the queue
        assert (await waiting[2]).body == b"2"
        for task in waiting[:2]:
            with pytest.raises(asyncio.CancelledError):
                await task
        await settled(driver)
        await driver.close()

    asyncio.run(main())


def test_a_cancellation_is_thrown_into_the_flow(serve):
    release = threading.Event()
    seen = []

    def flow():
        try:
            yield Send(request(), 5)
        except asyncio.CancelledError as error:
            seen.append("in flight")
            error.add_note("outcome: unknown")
            raise

    async def main():
        driver = Aio(serve(stuck_until(release)).endpoint())
        task = asyncio.ensure_future(driver.run(flow()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.__notes__ == ["outcome: unknown"]
        assert counts(driver) == (0, 0, 0, 0)
        await driver.close()

    asyncio.run(main())
    release.set()
    assert seen == ["in flight"]


def test_a_cancelled_gather_ends_all_its_flows(serve):
    from dynamorm.effects import Gather

    ended = []

    def flow(number):
        try:
            yield Sleep(5)
        finally:
            ended.append(number)

    def all_of_them():
        return (yield Gather([flow(number) for number in range(9)], 4))

    async def main():
        driver = Aio(serve().endpoint())
        task = asyncio.ensure_future(driver.run(all_of_them()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await driver.close()

    asyncio.run(main())
    assert sorted(ended) == [0, 1, 2, 3]


def test_an_asynchronous_call_is_awaited(serve):
    from dynamorm.effects import Call

    async def value():
        await asyncio.sleep(0)
        return threading.get_ident()

    def flow():
        return (yield Call(lambda: None, value)), (yield Call(threading.get_ident))

    async def main():
        driver = Aio(serve().endpoint())
        here, elsewhere = await driver.run(flow())
        await driver.close()
        return here == threading.get_ident(), elsewhere == threading.get_ident()

    assert asyncio.run(main()) == (True, False)


def test_a_plain_blocking_driver_loads_neither_ssl_nor_asyncio(serve):
    endpoint = serve(echo).endpoint()
    code = (
        "import sys, types\n"
        f"root = types.ModuleType('dynamorm'); root.__path__ = {[str(Path(sys.modules['dynamorm'].__file__).parent)]!r}\n"
        "sys.modules['dynamorm'] = root\n"  # the package without its public face: only what the driver itself loads
        "from dynamorm.io.blocking import Blocking\n"
        "from dynamorm.effects import Send\n"
        "from dynamorm.wire.endpoint import Endpoint\n"
        f"driver = Blocking(Endpoint.parse('http://127.0.0.1:{endpoint.port}'))\n"
        f"assert driver.exchange(Send({request()!r}, 5)).status == 200\n"
        "assert not {'ssl', 'asyncio', 'concurrent.futures', 'logging'} & set(sys.modules), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
