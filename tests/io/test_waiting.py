"""Waiting for an answer: within its time, also where the socket waits by itself and where signals come in between."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from dynamorm.effects import TransportError
from dynamorm.io import blocking, net
from dynamorm.io.blocking import Blocking
from tests.io.kit import answer, ask, echo, read_request, request

linux = pytest.mark.skipif(sys.platform != "linux", reason="sockets wait by themselves on Linux only")


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


@pytest.fixture(name="sure")
def soon_sure(monkeypatch):
    """A driver looks for handlers of signals with its first chance."""
    monkeypatch.setattr(blocking, "_ENOUGH", 1)


@pytest.fixture(name="no_handlers")
def without_handlers(monkeypatch):
    """Nothing that the test runner has set up counts."""
    monkeypatch.setattr(net, "handles_signals", lambda: False)


def connection_of(driver: Blocking):
    (connection,) = driver._pool.idle
    return connection


def late(driver: Blocking, timeout: float) -> float:
    """Seconds until a request without an answer has failed."""
    start = time.monotonic()
    with pytest.raises(TransportError) as caught:
        driver.run(ask(timeout=timeout))
    assert (caught.value.stage, caught.value.sent) == ("timeout", True)
    return time.monotonic() - start


@linux
def test_a_connection_in_use_waits_by_itself(serve, sure, no_handlers):
    driver = Blocking(serve(echo).endpoint())
    driver.run(ask(timeout=3))
    assert connection_of(driver).patience == 0
    for number in range(3):
        assert driver.run(ask(request(b"%d" % number), timeout=3)).body == b"%d" % number
    assert connection_of(driver).patience == 3
    driver.close()


def test_it_fails_in_time(serve, sure, no_handlers):
    driver = Blocking(serve(silent_after(3)).endpoint())
    for _ in range(3):
        driver.run(ask(timeout=3))
    assert 0.25 <= late(driver, 0.3) < 0.6
    driver.close()


def test_an_answer_in_pieces_has_no_more_time_than_a_whole_one(serve, sure, no_handlers):
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


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_signals_do_not_prolong_the_wait(serve, sure):
    driver = Blocking(serve(silent_after(3)).endpoint())
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        for _ in range(3):
            driver.run(ask(timeout=3))
        assert 0.25 <= late(driver, 0.3) < 0.6
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    driver.close()


@linux
def test_other_threads_need_not_look_for_handlers(serve, monkeypatch):
    monkeypatch.setattr(net, "handles_signals", lambda: pytest.fail("it was asked"))
    driver = Blocking(serve(echo).endpoint())

    def work():
        for _ in range(3):
            driver.run(ask(timeout=3))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert connection_of(driver).patience == 3
    driver.close()


def test_handlers_of_signals_are_seen():
    code = (
        "import signal; from dynamorm.io.net import handles_signals as h; print(h());"
        "signal.signal(signal.SIGTERM, lambda *_: None); print(h());"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print(h())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["False", "True", "False"]
