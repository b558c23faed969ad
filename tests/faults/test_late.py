"""W18, W19: answers that come too late, too slowly or never."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from dynamorm import Attr, Model, partition_key, version
from dynamorm.errors import ConnectFailed, DeadlineExceeded, Outcome, OutcomeUnknown
from dynamorm.testing import Answer, answers
from tests.faults.lean import LeanServer
from tests.faults.stage import Stage
from tests.faults.verbs import AGAIN, READS, VERBS, Payment
from tests.support.faces import Face

Make = Callable[..., Stage]
SLACK = 0.3
"""The row asks for 50 ms; that holds on an idle machine. Beside other work a thread may wait longer for its turn."""

OPERATIONS = 10_000
TASKS = 50


def test_w18_a_late_answer_never_reaches_another_request(open_db: Callable[..., Face]) -> None:
    """Ten thousand reads of different keys, of which one in fifty is answered about when its time is up, or after."""
    dice = random.Random(18)

    def respond(_: int, body: bytes) -> tuple[bytes, float, str]:
        key = body.split(b'"S":"')[1].split(b'"')[0]
        item = b'{"Item":{"id":{"S":"%b"},"amount":{"N":"%b"},"version":{"N":"1"}}}' % (key, key)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(item)
        return head + item, dice.uniform(0.2, 0.5) if dice.random() < 0.02 else 0.0, "keep"

    seen: Counter[str] = Counter()

    def work(worker: int) -> None:
        for turn in range(OPERATIONS // TASKS):
            key = str(worker * 1_000_000 + turn)
            try:
                found = db.get(Payment, key)
            except (DeadlineExceeded, ConnectFailed):  # on a busy machine a new connection may come too late as well
                seen["late"] += 1
            else:
                assert (found.id, found.amount) == (key, int(key))
                seen["answered"] += 1

    with LeanServer(respond) as server:
        limits = {"max_connections": TASKS, "max_idle_connections": TASKS}
        db = open_db(server.endpoint, max_attempts=1, request_timeout=0.25, **limits)
        db.concurrently(work, TASKS)
        assert seen["late"] + seen["answered"] == OPERATIONS
        assert seen["late"] > 50
        assert seen["answered"] > OPERATIONS * 0.9
        time.sleep(0.5)  # the last late answers find nobody
        pool = db.inner._io._pool
        assert pool.busy == 0
        assert len(db.inner._io._live) == pool.size <= TASKS


def test_w18_a_reply_that_comes_after_its_time_is_asked_for_again(stage: Make) -> None:
    """On another connection; applied once."""
    here = stage(request_timeout=0.15)
    for verb in (*READS, *AGAIN):
        run = here.run(verb, answers.honest().delayed(0.4)).succeeded(2)
        assert run.connections[0] not in run.connections[1:]
        assert 0.14 <= run.elapsed < 0.15 + SLACK


SOME = [verb for verb in VERBS if verb.name in {"get", "create", "update_key", "put_old"}]
SLOW = {
    "drip": answers.honest().drip(20),
    "stall_before_an_answer": answers.silence("stall").applied(),
    "stall_mid_headers": answers.honest().cut("mid-headers").then("stall"),
    "stall_after_headers": answers.honest().cut("after-headers").then("stall"),
    "stall_mid_body": answers.honest().cut("mid-body").then("stall"),
    "stall_in_a_chunk": answers.honest().chunked(8).cut("mid-body").then("stall"),
}


@pytest.mark.parametrize("slow", SLOW.values(), ids=list(SLOW))
def test_w19_a_slow_answer_is_given_up_at_the_request_timeout(stage: Make, slow: Answer) -> None:
    """By the wall clock, whatever trickles in; what it costs beside the waiting is measured on a good answer."""
    calm, here = stage(), stage(max_attempts=1, request_timeout=0.2, operation_timeout=0.25)
    for verb in SOME if slow is SLOW["drip"] else SOME[::2]:
        overhead = calm.run(verb).succeeded(1).elapsed
        run = here.run(verb, slow)
        if verb.safety == "read":
            run.failed(DeadlineExceeded, Outcome.NOT_APPLIED, attempts=1, retryable=True)
        else:
            if run.error is not None:  # else there was time for a look, which has found the write
                run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1)
            assert run.changes == 1
        assert 0.19 <= run.elapsed < 0.2 + overhead + SLACK


def test_w19_each_attempt_has_its_own_timeout_and_the_operation_its_own(stage: Make) -> None:
    """Four attempts of 0.1 s; or as many as the operation's time allows."""
    run = stage(request_timeout=0.1).run(READS[0], forever=SLOW["drip"])
    run.failed(DeadlineExceeded, Outcome.NOT_APPLIED, attempts=4)
    assert 0.39 <= run.elapsed < 0.4 + SLACK
    run = stage(request_timeout=0.2, operation_timeout=0.5).run(READS[0], forever=SLOW["drip"])
    run.failed(DeadlineExceeded, Outcome.NOT_APPLIED)
    assert run.elapsed < 0.5 + SLACK


@pytest.mark.parametrize("verb", SOME, ids=lambda verb: verb.name)
def test_w19_a_server_that_does_not_read_is_given_up_at_the_request_timeout(stage: Make, verb: Any) -> None:
    """Its window is soon zero; the request is larger than what the system takes in advance."""
    here = stage(welcome=lambda _: "stall", max_attempts=1, request_timeout=0.2, operation_timeout=0.25)
    run = here.run(verb)
    if verb.safety == "read":
        run.failed(DeadlineExceeded, Outcome.NOT_APPLIED, attempts=1, requests=0)
    else:
        run.failed(OutcomeUnknown, Outcome.UNKNOWN, attempts=1, requests=0)
    assert 0.19 <= run.elapsed < 0.2 + SLACK


class Bulky(Model, table="payments"):
    """An item of 380 kB."""

    id: Attr[str] = partition_key()
    pad: Attr[str]
    version: Attr[int] = version()


def test_w19_a_large_request_to_a_server_that_does_not_read(stage: Make) -> None:
    """More than the buffers hold: a part of it has left, so the outcome is unknown."""
    here = stage(welcome=lambda _: "stall", max_attempts=1, request_timeout=0.3, operation_timeout=0.35)
    for write in (here.db.create, here.db.put, lambda item: here.db.put(item, returning="old")):
        start = time.monotonic()
        with pytest.raises(OutcomeUnknown) as caught:
            write(Bulky(id="p1", pad="x" * 380_000))
        assert caught.value.outcome is Outcome.UNKNOWN
        assert 0.29 <= time.monotonic() - start < 0.3 + SLACK
