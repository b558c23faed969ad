"""What strangers and mishaps may cost the program: connections, its log, its event loop, and a page that nobody wanted."""

import asyncio
import copy
import gc
import logging
import pickle
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from dynamorm.errors import ConfigError, InvalidUse
from dynamorm.plugins import Dashboard
from dynamorm.plugins.dashboard import connection, figures, server
from dynamorm.testing import FakeClock
from tests.plugins.batcher_kit import wait_until
from tests.plugins.dashboard_kit import Visitor
from tests.plugins.scripts import Payment, Scripted

MOST, ON_A_LOOP = server.MOST_CONNECTIONS, server.ON_A_LOOP


@pytest.fixture(autouse=True)
def _patience(monkeypatch):
    """Closing waits for its thread for as long as a busy machine keeps that from its turn, within an event loop too."""
    for limit in ("PATIENCE", "ON_A_LOOP"):
        monkeypatch.setattr(server, limit, 60.0)


@pytest.fixture
def served(face_kind):
    """A database with a dashboard."""
    here = Scripted(face_kind, dashboard := Dashboard(), clock=FakeClock())
    here.dashboard, here.visitor = dashboard, Visitor(dashboard.url)
    yield here
    if dashboard._server.serves:
        here.db.close()


def dial(visitor, text=b""):
    sock = socket.create_connection(("127.0.0.1", visitor.port), timeout=30)
    sock.sendall(text)
    return sock


def head(visitor, path="/", known=True):
    field = f"Authorization: Bearer {visitor.token}\r\n" if known else ""
    return f"GET {visitor.below}{path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n".encode()


def rest(sock):
    """All that comes until the other side ends."""
    found = b""
    with sock, suppress(ConnectionResetError):
        while more := sock.recv(65536):
            found += more
    return found


def knows(visitor, sock=None):
    """A connection on which the token was shown, and answered."""
    text, answer = head(visitor, "/nothing"), b""
    sock = dial(visitor) if sock is None else sock
    sock.sendall(text)
    while not answer.endswith(b"Not Found"):
        more = sock.recv(4096)
        assert more, "it was closed"
        answer += more
    assert answer.startswith(b"HTTP/1.1 404")
    return sock


def is_refused(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) != 0


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


# ---------------------------------------------------------------------------------------------------------- connections


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_strangers_hold_few_connections_and_none_of_the_owner(served, caplog, monkeypatch):
    monkeypatch.setattr(connection, "REQUEST", 3_600.0)  # no stranger goes because its time is over
    gc.collect()  # what others have left may be told in the log when it goes
    before = descriptors()
    with caplog.at_level(logging.DEBUG):
        strangers = [dial(served.visitor) for _ in range(2 * MOST)]
        assert served.visitor.ask().status == 200
    wait_until(lambda: len(served.dashboard._server._state.connections) <= MOST)
    assert descriptors() <= before + len(strangers) + MOST + 2  # both ends are in this process
    assert rest(strangers[0]) == b""  # who came first and said nothing has made place
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
    for one in strangers:
        one.close()


def test_one_who_has_shown_the_token_makes_no_place(served):
    owner = knows(served.visitor)
    strangers = [dial(served.visitor) for _ in range(2 * MOST)]
    knows(served.visitor, owner)
    for one in (owner, *strangers):
        one.close()


def test_without_place_a_connection_is_closed_at_once(served, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 2)
    owners = [knows(served.visitor) for _ in range(2)]
    assert rest(dial(served.visitor)) == b""
    for owner in owners:
        knows(served.visitor, owner).close()


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: "])
def test_who_sends_no_request_in_time_is_closed(served, monkeypatch, said):
    monkeypatch.setattr(connection, "REQUEST", 0.2)
    sock = dial(served.visitor, said)
    dripping = threading.Event()

    def drip():  # a little now and then does not count
        with suppress(OSError):
            while not dripping.wait(0.05):
                sock.sendall(b"x" if said else b"")

    threading.Thread(target=drip, daemon=True).start()
    assert rest(sock) == b""  # while it drips: else nothing would come for longer than this socket waits
    dripping.set()


def test_who_takes_no_answer_in_time_is_closed(served, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER", 0.3)
    sock = deaf(served.visitor)
    wait_until(lambda: not served.dashboard._server._state.connections)
    sock.close()


def deaf(visitor):
    """One who knows the token, asks again and again, and reads nothing, until the dashboard reads no more either."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", visitor.port))
    sock.settimeout(0.2)
    with suppress(OSError):
        while True:
            sock.sendall(head(visitor) * 100)
    return sock


def test_a_stranger_is_answered_once_on_a_connection(served):
    said = rest(dial(served.visitor, head(served.visitor, known=False) * 50))
    assert said.count(b"HTTP/1.1 401") == 1
    assert b"connection: close" in said


def test_without_descriptors_it_rests_and_says_so_once(served, caplog, monkeypatch):
    monkeypatch.setattr(server, "_PAUSE", 0.05)
    one, failures = served.dashboard._server, []
    real = one._sock

    class Full:
        def accept(self):
            failures.append(1)
            raise OSError(24, "Too many open files")

        def __getattr__(self, name):
            return getattr(real, name)

    gc.collect()  # what others have left may be told in the log when it goes
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        one._sock = Full()
        waiting = dial(served.visitor, head(served.visitor, known=False))
        wait_until(lambda: len(failures) >= 3)
        one._sock = real
        tried, took = len(failures), time.monotonic() - began
        assert rest(waiting).startswith(b"HTTP/1.1 401")  # it has waited
    assert tried <= 2 + took / 0.05
    assert [record.getMessage() for record in caplog.records] == ["serving of the plugin dashboard failed"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_closing_while_many_connect_leaves_nothing(face_kind):
    before = descriptors()
    for _ in range(5):
        here = Scripted(face_kind, dashboard := Dashboard(), clock=FakeClock())
        port, ended = Visitor(dashboard.url).port, threading.Event()

        def connect(port=port, ended=ended):
            while not ended.is_set():
                with suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), timeout=0.1).close()

        workers = [threading.Thread(target=connect) for _ in range(2)]
        for worker in workers:
            worker.start()
        time.sleep(0.02)
        here.db.close()
        ended.set()
        for worker in workers:
            worker.join(30)
        dashboard._server._thread.join(30)
        assert dashboard._server._state.connections == set()
    del here, dashboard
    wait_until(lambda: descriptors() <= before + 4)  # a loop of the face may be open


# -------------------------------------------------------------------------------------------------------------- its log


@pytest.fixture
def everything(caplog):
    """All that is logged, at the lowest of levels."""
    gc.collect()  # what others have left may be told in the log when it goes
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.NOTSET)
    with caplog.at_level(1):
        root.setLevel(logging.NOTSET)
        yield caplog
    root.setLevel(level)


def test_no_stranger_writes_into_the_log_and_no_token_is_in_it(everything, monkeypatch):
    monkeypatch.setattr(connection, "REQUEST", 2.0)
    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    visitor = Visitor(dashboard.url)
    assert visitor.ask(f"/?token={visitor.token}", known=False).status == 200
    answers = [
        rest(dial(visitor, text))
        for text in (
            b"no HTTP at all\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 100_000,
            head(visitor)[:-2] + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nzzz",
        )
    ]
    here.db.close()
    assert [record.name for record in everything.records if record.name.startswith("uvicorn")] == []
    assert visitor.token not in everything.text
    assert [record for record in everything.records if record.levelno >= logging.WARNING] == []
    assert answers[0].startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "text", [b"no HTTP at all\r\n\r\n", b"GET / HTTP/9\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n"]
)
def test_what_is_no_request_is_answered_like_others(served, text):
    answer = rest(dial(served.visitor, text))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"\r\n\r\nThis is no HTTP request.\n")
    for name in (
        b"content-security-policy: default-src 'none'",
        b"x-content-type-options: nosniff",
        b"cache-control: no-store",
    ):
        assert name in answer


@pytest.mark.parametrize(
    ("name", "value"), [("WEB_CONCURRENCY", "auto"), ("FORWARDED_ALLOW_IPS", "*"), ("PYTHONASYNCIODEBUG", "1")]
)
def test_the_environment_of_servers_is_not_its(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    assert Visitor(dashboard.url).ask().status == 200
    here.db.close()


# ------------------------------------------------------------------------------------------- a page that nobody wanted


class Bad:
    name = "bad"

    def joined(self, db):
        raise ConfigError("no")


def test_one_who_fails_to_join_can_join_again(face_kind, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        here = Scripted(face_kind, clock=FakeClock())
        dashboard = Dashboard(port=port)
        with pytest.raises(ConfigError, match="is taken by another program"):
            here.db.use(dashboard)
    here.db.use(dashboard)
    assert Visitor(dashboard.url).port == port
    here.db.close()


def test_a_database_that_did_not_take_it_shows_nothing(face_kind):
    here = Scripted(face_kind, clock=FakeClock())
    dashboard = Dashboard()
    with pytest.raises(ConfigError):
        here.db.use(dashboard, Bad())
    with pytest.raises(InvalidUse):
        _ = dashboard.url
    if dashboard._server.serves:
        visitor = Visitor(f"http://127.0.0.1:{dashboard._port}{server_path(dashboard)}/?token={dashboard._token}")
        assert {visitor.ask(path).status for path in ("/", "/panels", "/figures.json")} == {503}
    dashboard.closed(None)  # as a registration tells it
    assert is_refused(dashboard._port)
    here.db.use(dashboard)  # and it may come again
    assert Visitor(dashboard.url).ask().status == 200
    here.db.close()
    assert is_refused(dashboard._port)


def server_path(dashboard):
    from dynamorm.plugins.dashboard.guard import path_of  # the path is told by `url` alone, which refuses here

    return path_of(dashboard._token)


@pytest.mark.filterwarnings("ignore")  # of a socket that was made, and held by nothing yet
def test_an_interrupt_at_any_line_of_joining_leaves_nothing(monkeypatch):
    monkeypatch.setattr(
        "dynamorm.plugins.dashboard.serving.application", lambda *_: None
    )  # it is made of files, slowly
    gc.collect()
    here = Scripted("blocking", clock=FakeClock())
    for at in range(1, 500):
        dashboard = Dashboard()
        try:
            interrupted(lambda dashboard=dashboard: dashboard.joined(here.db.inner), at)
        except Stop:
            running = dashboard._server
            if running is not None:
                assert not running.serves, f"at line {at}"
                if running._thread.ident:
                    running._thread.join(30)
                assert running._sock.fileno() == -1
        else:
            dashboard.closed(None)
            break
    assert at > 40  # and then there were no more lines
    here.db.close()
    del dashboard, running
    gc.collect()


class Stop(BaseException):
    pass


def traced(call, seen):
    def trace(frame, event, _):
        if event == "line" and "dynamorm" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            seen()
        return trace

    before = sys.gettrace()
    gc.disable()  # lines that end the garbage of others are none of this call's
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
        gc.enable()


def interrupted(call, at):
    left = [at]

    def seen():
        left[0] -= 1
        if left[0] == 0:
            raise Stop

    traced(call, seen)


# ------------------------------------------------------------------------------------------------------------- its end


async def stands_still(work):
    """How long the event loop stood still meanwhile."""
    worst, ended = 0.0, asyncio.Event()

    async def beat():
        nonlocal worst
        last = time.monotonic()
        while not ended.is_set():
            await asyncio.sleep(0.005)
            worst, last = max(worst, time.monotonic() - last), time.monotonic()

    beating = asyncio.ensure_future(beat())
    await asyncio.sleep(0.02)
    await work()
    ended.set()
    await beating
    return worst


async def closing(db):
    await db.close()


class Slow:
    """A plugin whose figures do not come."""

    name = "slow"

    def __init__(self):
        self.reached, self.go = threading.Event(), threading.Event()

    def gauges(self):
        self.reached.set()
        self.go.wait(110)
        return {}


def test_closing_does_not_hold_up_an_event_loop(monkeypatch):
    monkeypatch.setattr(server, "ON_A_LOOP", ON_A_LOOP)
    assert ON_A_LOOP <= 0.1
    here = Scripted("async", slow := Slow(), dashboard := Dashboard(), clock=FakeClock())
    visitor = Visitor(dashboard.url)
    asking = dial(visitor, head(visitor))
    assert slow.reached.wait(30)
    assert asyncio.run(stands_still(lambda: closing(here.db.inner))) < server.PATIENCE / 2
    assert dashboard._server._thread.is_alive()
    slow.go.set()
    wait_until(lambda: not dashboard._server._thread.is_alive())
    assert is_refused(visitor.port)
    asking.close()


def test_closing_does_not_wait_for_one_who_reads_nothing(served):
    sock = deaf(served.visitor)
    began = time.monotonic()
    served.db.close()
    assert time.monotonic() - began < server.PATIENCE / 2
    wait_until(lambda: is_refused(served.visitor.port))
    sock.close()


# ----------------------------------------------------------------------------------------------------------- the figures


def test_a_text_without_bytes_breaks_nothing(face_kind):
    class Odd:
        name = "odd"

        def gauges(self):
            return {"a\ud800": 1.0}

    here = Scripted(face_kind, Odd(), dashboard := Dashboard(), clock=FakeClock())
    visitor = Visitor(dashboard.url)
    assert [visitor.ask(path).status for path in ("/", "/panels", "/figures.json")] == [200] * 3
    assert visitor.told()["gauges"]["a?"] == 1.0
    here.db.close()


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), asyncio.CancelledError()])
def test_what_a_source_raises_does_not_end_it(face_kind, error):
    class Odd:
        name = "odd"

        def gauges(self):
            raise error

    here = Scripted(face_kind, Odd(), dashboard := Dashboard(), clock=FakeClock())
    visitor = Visitor(dashboard.url)
    assert visitor.told()["gauges"] is None or visitor.told()["broken"] == {}
    assert visitor.ask().status == 200
    assert dashboard._server.serves
    here.db.close()


def test_a_clock_that_is_set_back_turns_no_line(face_kind, monkeypatch):
    now = SimpleNamespace(time=lambda: wall, monotonic=lambda: since)
    wall, since = 1_000_000.0, 50.0
    monkeypatch.setattr(figures, "time", now)
    monkeypatch.setattr("dynamorm.plugins.dashboard.seen.time", now)
    sample = Dashboard._sample
    monkeypatch.setattr(Dashboard, "_sample", lambda self: None)  # no sample but those of here
    here = Scripted(face_kind, dashboard := Dashboard(), clock=FakeClock())
    dashboard.opened(here.db.inner)
    for _ in range(4):
        since, wall = since + 5.0, wall - 100.0
        here.db.get(Payment, "p1")
        sample(dashboard)
    told = dashboard.figures()
    times = [when for when, *_ in told["history"]]
    assert times == [wall - 15.0, wall - 10.0, wall - 5.0, wall]
    assert [one["at"] for one in told["last"]] == [wall, wall - 5.0, wall - 10.0, wall - 15.0]
    assert told["at"] == wall
    here.db.close()


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_of_one_process(copied):
    with pytest.raises(InvalidUse, match="a Dashboard holds what belongs to this process"):
        copied(Dashboard())
