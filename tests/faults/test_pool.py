"""P01: a pool that is used up, and one that is used for long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dynamorm.errors import Outcome, PoolTimeout
from dynamorm.testing import answers
from tests.faults.lean import LeanServer
from tests.faults.stage import Stage
from tests.faults.verbs import VERBS, Payment
from tests.support.faces import Face

Make = Callable[..., Stage]
SLACK = 0.4
BUSY = 100
GOOD = b"HTTP/1.1 200 OK\r\nx-amz-crc32: 2745614147\r\nContent-Length: 2\r\n\r\n{}"


def stuck(here: Stage, pool: ThreadPoolExecutor, how_many: int) -> list[Any]:
    """So many calls that hold a connection each."""
    found = [pool.submit(here.db.get, Payment, "p1") for _ in range(how_many)]
    deadline = time.monotonic() + 10
    while len(here.server.requests) < how_many:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def counts(here: Stage) -> tuple[int, int, int]:
    """Slots in use, idle connections, connections alive."""
    driver = here.db.inner._io
    return driver._pool.busy, len(driver._pool.idle), len(driver._live)


def test_p01_a_hundred_stuck_requests_use_the_pool_up(stage: Make) -> None:
    """The next call fails within the connection timeout, nothing sent; when they are released all is as before."""
    here = stage(connection_timeout=0.3, request_timeout=20.0, operation_timeout=30.0)
    here.prepare(VERBS[0])
    here._forever = answers.honest().delayed(2.5)
    with ThreadPoolExecutor(BUSY) as pool:
        calls = stuck(here, pool, BUSY)
        assert counts(here) == (100, 0, 100)
        sent = len(here.server.requests)
        start = time.monotonic()
        with pytest.raises(PoolTimeout) as caught:
            here.db.get(Payment, "p1")
        elapsed = time.monotonic() - start
        error = caught.value
        assert (type(error), error.outcome, error.retryable) == (PoolTimeout, Outcome.NOT_APPLIED, True)
        assert len(here.server.requests) == sent
        here._forever = None
        assert [call.result().amount for call in calls] == [100] * BUSY
    assert here.db.get(Payment, "p1").amount == 100
    assert counts(here) == (0, 20, 20)
    assert here.server.connections == BUSY
    assert elapsed < 0.3 + SLACK


def test_p01_every_verb_meets_a_full_pool_unharmed(stage: Make) -> None:
    """Nothing sent, nothing applied, the object as before."""
    here = stage(max_connections=2, connection_timeout=0.02, request_timeout=20.0, operation_timeout=30.0)
    here.prepare(VERBS[0])
    here._forever = answers.honest().delayed(2.5)
    with ThreadPoolExecutor(2) as pool:
        calls = stuck(here, pool, 2)
        for verb in VERBS:
            run = here.run(verb)
            assert run.error is not None
            run.failed(PoolTimeout, Outcome.NOT_APPLIED, attempts=run.error.attempts, requests=0, retryable=True)
            assert run.changes == 0
        here.prepare(VERBS[0])
        for call in calls:
            call.result()
    for verb in VERBS:
        here.run(verb).succeeded(1)


def breaking(number: int, _: bytes) -> tuple[bytes, float, str]:
    """``{}``; but every so often the connection is closed, reset, or cut, or more is said than was asked for."""
    if number % 97 == 0:
        return b"", 0.0, "reset"
    if number % 53 == 0:
        return GOOD[:-1], 0.0, "close"
    if number % 31 == 0:
        return GOOD, 0.0, "close"
    return GOOD + (b"HTTP/1.1 200 OK\r\n" if number % 29 == 0 else b""), 0.0, "keep"


@pytest.fixture
def quick() -> Iterator[str]:
    """The endpoint of a lean server whose connections keep breaking."""
    with LeanServer(breaking) as server:
        yield server.endpoint


def _files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0  # noqa: PTH112, PTH208


def _long_run(face: Face, operations: int, workers: int = 8) -> None:
    """Deletes by key, which may be repeated, over connections that keep breaking."""
    driver = face.inner._io
    share = operations // workers
    face.delete(Payment, "p0")
    before = _files()

    def work(worker: int) -> None:
        if face._loop is None:
            for _ in range(share):
                face.delete(Payment, f"p{worker}")
            return

        async def body() -> None:
            for _ in range(share):
                await face.inner.delete(Payment, f"p{worker}")

        face._loop.run(body(), 3_000)

    face.concurrently(work, workers)
    assert driver._pool.busy == 0
    assert not driver._pool.waiters
    assert driver._pool.size == len(driver._pool.idle) == len(driver._live) <= workers
    time.sleep(0.1)  # the loops close what they have let go
    # Two ends for each connection: both are in this process.
    assert _files() <= before + 2 * workers


def test_p01_ten_thousand_calls_over_breaking_connections_leak_nothing(
    open_db: Callable[..., Face], quick: str
) -> None:
    """Neither slots nor sockets."""
    _long_run(open_db(quick, retry_base=0.0001), 10_000)


@pytest.mark.soak
def test_p01_a_million_calls_over_breaking_connections_leak_nothing(open_db: Callable[..., Face], quick: str) -> None:
    """The row's own figure."""
    _long_run(open_db(quick, retry_base=0.0001), 1_000_000)
