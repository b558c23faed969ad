"""Waiting for an answer: within its time, however the bytes come and whatever signals come in between."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from dynamorm.effects import TransportError
from dynamorm.io.blocking import Blocking
from tests.io.kit import answer, ask, read_request, request

pytestmark = pytest.mark.once  # lines and instructions differ between versions: shown on one of them so far

timers = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")


def silent_after(answers):
    """A handler that answers so many requests, and then no more."""

    def handle(sock, _number):
        for _ in range(answers):
            if (body := read_request(sock)) is None:
                return
            sock.sendall(answer(body))
        read_request(sock)
        time.sleep(10)

    return handle


@contextlib.contextmanager
def signals(every: float):
    """A handler that does nothing, called so often."""
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, every, every)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def late(driver: Blocking, timeout: float) -> float:
    """Seconds until a request without an answer has failed."""
    start = time.monotonic()
    with pytest.raises(TransportError) as caught:
        driver.run(ask(timeout=timeout))
    assert (caught.value.stage, caught.value.sent) == ("timeout", True)
    return time.monotonic() - start


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_it_fails_in_time(serve, answers):
    driver = Blocking(serve(silent_after(answers)).endpoint())
    for _ in range(answers):
        driver.run(ask(timeout=3))
    assert 0.25 <= late(driver, 0.3) < 0.6
    driver.close()


def test_an_answer_in_pieces_has_no_more_time_than_a_whole_one(serve):
    def handle(sock, number):
        for _ in range(2):
            sock.sendall(answer(read_request(sock)))
        read_request(sock)
        for byte in answer(b"slow" * 100):
            sock.sendall(bytes([byte]))
            time.sleep(0.05)

    driver = Blocking(serve(handle).endpoint())
    for _ in range(2):
        driver.run(ask(timeout=0.4))
    assert 0.35 <= late(driver, 0.4) < 0.7
    driver.close()


@timers
@pytest.mark.parametrize("answers", [0, 3])
def test_signals_do_not_prolong_the_wait(serve, answers):
    driver = Blocking(serve(silent_after(answers)).endpoint())
    with signals(0.02):
        for _ in range(answers):
            driver.run(ask(timeout=3))
        assert 0.25 <= late(driver, 0.3) < 0.6
    driver.close()


@timers
def test_a_handler_that_was_installed_after_many_calls_does_not_prolong_the_next(serve):
    """Whoever looks for handlers now and then misses the one that was installed since the last look."""
    code = """
import signal, sys, time
from dynamorm.effects import Send, TransportError
from dynamorm.io.blocking import Blocking
from dynamorm.wire.endpoint import Endpoint

driver = Blocking(Endpoint.parse(sys.argv[1]))
data = bytes.fromhex(sys.argv[2])
for _ in range(450):
    driver.exchange(Send(data, 0.3))
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
start = time.monotonic()
try:
    driver.exchange(Send(data, 0.3))
except TransportError as error:
    print(error.stage, time.monotonic() - start)
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    place = f"http://127.0.0.1:{serve(silent_after(450)).port}"
    command = [sys.executable, "-c", code, place, request().hex()]  # a process of its own: pytest has handlers
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    stage, seconds = ran.stdout.split()
    assert stage == "timeout"
    assert 0.25 <= float(seconds) < 0.6


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to a thread here")
def test_signals_that_another_thread_gets_do_not_prolong_its_wait(serve):
    """The system gives a signal to any thread when the main one has not dealt with the last; a program may do so too."""
    driver = Blocking(serve(silent_after(3)).endpoint())
    took: list[float] = []

    def work() -> None:
        for _ in range(3):
            driver.run(ask(timeout=3))
        took.append(late(driver, 0.3))

    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        end = time.monotonic() + 5
        while thread.is_alive() and time.monotonic() < end:
            signal.pthread_kill(thread.ident, signal.SIGUSR1)
            time.sleep(0.02)
        thread.join(15)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert 0.25 <= took[0] < 0.6
    driver.close()
