"""The asyncio driver and its loop: a closed one is left for the next, closing never fails, and nobody complains."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from dynamorm.effects import Call
from dynamorm.errors import ConfigError
from dynamorm.io.aio import Aio
from dynamorm.io.tls import TLSSettings
from tests.io.kit import answer, ask, read_request, request, until
from tests.support.certificates import Authority

pytestmark = pytest.mark.once  # lines and instructions differ between versions: shown on one of them so far


def stuck(sock, _number):
    """Answer the first request; say nothing to the others."""
    sock.sendall(answer(read_request(sock)))
    read_request(sock)
    time.sleep(10)


def on_new_loop(work):
    """Run on a loop that is closed afterwards."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


@pytest.fixture(params=["http", "https"])
def endpoint_of(request, serve, tmp_path):
    """Starts a server; returns it, its endpoint and the driver's settings."""

    def start(*handler):
        if request.param == "http":
            server = serve(*handler)
            return server, server.endpoint(), {}
        authority = Authority(tmp_path)
        server = serve(*handler, context=authority.context("127.0.0.1"))
        return server, server.endpoint(scheme="https"), {"tls": TLSSettings(ca_bundle=authority.bundle)}

    return start


def test_a_driver_whose_loop_is_closed_works_on_another_with_new_connections(endpoint_of):
    server, endpoint, options = endpoint_of()
    driver = Aio(endpoint, max_connections=2, **options)
    for number in range(3):
        body = b"%d" % number
        assert on_new_loop(driver.run(ask(request(body)))).body == body
    assert server.accepted == 3
    assert (driver._pool.size, len(driver._open)) == (1, 1)
    on_new_loop(driver.close())
    until(lambda: server.open == 0)


def test_calls_that_were_under_way_when_the_loop_was_closed_hold_no_slot_of_the_next(serve):
    server = serve(lambda sock, number: stuck(sock, number) if number < 3 else sock.sendall(answer(read_request(sock))))
    driver = Aio(server.endpoint(), max_connections=2)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(driver.run(ask())) for _ in range(2)]
    loop.run_until_complete(asyncio.wait(tasks))
    tasks = [loop.create_task(driver.run(ask(timeout=9))) for _ in range(3)]  # the third waits for a slot
    loop.run_until_complete(asyncio.sleep(0.02))
    loop.close()
    assert on_new_loop(driver.run(ask())).status == 200
    assert driver._pool.busy == 0
    for task in tasks:
        task._log_destroy_pending = False  # asyncio would say what we have done on purpose
    del task, tasks
    assert driver._pool.busy == 0
    on_new_loop(driver.close())


def test_a_loop_that_is_open_is_not_left(serve):
    driver = Aio(serve().endpoint())
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(driver.run(ask()))
        with pytest.raises(ConfigError, match="event loop"):
            on_new_loop(driver.run(ask()))
        assert loop.run_until_complete(driver.run(ask())).status == 200
        loop.run_until_complete(driver.close())
    finally:
        loop.close()


def test_a_closed_driver_stays_closed_on_another_loop(serve):
    driver = Aio(serve().endpoint())
    on_new_loop(driver.run(ask()))
    on_new_loop(driver.close())
    with pytest.raises(ConfigError, match="closed"):
        on_new_loop(driver.run(ask()))


def test_closing_on_another_loop_than_the_closed_one_ends_the_connections(endpoint_of):
    server, endpoint, options = endpoint_of()
    driver = Aio(endpoint, **options)
    on_new_loop(driver.run(ask()))
    assert server.open == 1
    for _ in range(2):
        on_new_loop(driver.close())
    until(lambda: server.open == 0)


def test_closing_from_another_loop_while_the_own_one_runs_ends_the_connections(endpoint_of):
    server, endpoint, options = endpoint_of()
    driver = Aio(endpoint, **options)
    loop = asyncio.new_event_loop()
    loop.set_debug(True)  # whatever is not called from its own thread is an error then
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(driver.run(ask()), loop).result(10)
    on_new_loop(driver.close())
    until(lambda: server.open == 0)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_closing_what_was_never_used_does_nothing(serve):
    server = serve()
    on_new_loop(Aio(server.endpoint()).close())
    assert server.accepted == 0


def test_a_driver_that_nobody_refers_to_closes_its_connections(serve):
    server = serve()

    async def main():
        await Aio(server.endpoint()).run(ask())
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    until(lambda: server.open == 0)


PROGRAM = """
import asyncio, gc, sys, time
from dynamorm.effects import Call, Send
from dynamorm.io.aio import Aio
from dynamorm.io.tls import TLSSettings
from dynamorm.wire.endpoint import Endpoint

data = bytes.fromhex(sys.argv[2])
driver = Aio(Endpoint.parse(sys.argv[1]), max_connections=2, tls=TLSSettings(ca_bundle=sys.argv[3]) if sys.argv[3:] else None)

def ask():
    return (yield Send(data, 9))

def call():
    return (yield Call(lambda: time.sleep(0.3)))
"""

ENDS = {
    "run": """
async def main():
    await driver.run(ask())
    for flow in (ask(), ask(), ask(), call()):
        asyncio.ensure_future(driver.run(flow))
    await asyncio.sleep(0.05)
asyncio.run(main())
""",
    "run-and-collect": """
async def main():
    await driver.run(ask())
    for flow in (ask(), ask(), ask(), call()):
        asyncio.ensure_future(driver.run(flow))
    await asyncio.sleep(0.05)
asyncio.run(main())
del driver
gc.collect()
""",
    "close": """
loop = asyncio.new_event_loop()
loop.run_until_complete(driver.run(ask()))
tasks = [loop.create_task(driver.run(flow)) for flow in (ask(), ask(), ask(), call())]
loop.run_until_complete(asyncio.sleep(0.05))
loop.close()
for task in tasks:
    task._log_destroy_pending = False  # that a task was left is for asyncio to say, and true
del task, tasks
gc.collect()
time.sleep(0.4)
""",
    "next": """
loop = asyncio.new_event_loop()
loop.run_until_complete(driver.run(ask()))
loop.close()
async def main():
    await driver.run(ask())
    await driver.close()
asyncio.run(main())
""",
    "idle": """
asyncio.run(driver.run(ask()))
""",
    "closed-later": """
asyncio.run(driver.run(ask()))
asyncio.run(driver.close())
""",
}


@pytest.mark.parametrize("debug", ["", "1"], ids=["plain", "debug"])
@pytest.mark.parametrize("end", ENDS)
def test_a_loop_that_ends_with_requests_in_flight_is_not_complained_of(endpoint_of, tmp_path, end, debug):
    def handle(sock, _number):
        sock.sendall(answer(read_request(sock)))
        read_request(sock)
        time.sleep(2)

    _, endpoint, options = endpoint_of(handle)
    scheme = "https" if options else "http"
    place = f"{scheme}://127.0.0.1:{endpoint.port}"
    bundle = [options["tls"].ca_bundle] if options else []
    code = textwrap.dedent(PROGRAM + ENDS[end])
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, place, request().hex(), *bundle],
        capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"PYTHONASYNCIODEBUG": debug},
    )  # fmt: skip
    said = [
        line for line in ran.stderr.splitlines() if not line.startswith("Executing <")
    ]  # a slow machine, in debug mode
    assert (ran.returncode, ran.stdout, said) == (0, "", [])


def test_what_a_call_in_a_thread_raises_is_raised():
    def flow():
        try:
            yield Call(lambda: 1 // 0)
        except ZeroDivisionError:
            return "seen"

    async def main():
        from dynamorm.wire.endpoint import Endpoint

        return await Aio(Endpoint.parse("http://127.0.0.1:9")).run(flow())

    assert asyncio.run(main()) == "seen"
