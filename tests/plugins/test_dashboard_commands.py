"""``python -m dynamorm top``, ``python -m dynamorm.dashboard`` and its demo."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest

import dynamorm.__main__
from dynamorm import DB, Presets
from dynamorm.plugins import CostPlugin, Dashboard, HotKeys
from dynamorm.plugins.dashboard import command, shop, top
from dynamorm.testing import FakeClock
from tests.plugins.dashboard_kit import Visitor
from tests.plugins.scripts import Payment, Scripted


@pytest.fixture
def served():
    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    here.db.get(Payment, "p1")
    yield dashboard
    here.db.close()


@pytest.fixture
def answering():
    """Serves one answer to whatever is asked, and notes who has asked."""
    servers = []

    def serving(status, body=b"", **headers):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append((self.path, self.headers["Authorization"]))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        asked = []
        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", asked

    yield serving
    for server in servers:
        server.shutdown()
        server.server_close()


def test_one_frame(served, capsys):
    assert dynamorm.__main__.main(["top", served.url, "--once"]) == 0
    shown = capsys.readouterr().out
    for text in ("us-east-1", "Payment", "get", "Last operations", "db.use(HotKeys())"):
        assert text in shown


def test_frame_after_frame(served, capsys, monkeypatch):
    frames = []

    def sleep(seconds):
        frames.append(seconds)
        if len(frames) == 2:
            served.closed(None)
        if len(frames) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(top.time, "sleep", sleep)
    assert top.main([served.url, "--every", "0.5"]) == 130
    assert frames == [0.5] * 3
    shown = capsys.readouterr().out
    assert "does not answer" in shown  # the database was closed meanwhile, and it goes on asking
    assert "Ctrl-C ends" in shown


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1:8000", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "//x", "http://[::1", "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/", "http://127.0.0.1:x/", "http://127.0.0.1/a b", "http://127.0.0.1/\x01", "http://\u0130.example/",
        "http://127.0.0.1/?token=\u20ac",
    ],
)  # fmt: skip
def test_what_is_no_url(capsys, url):
    assert top.main([url, "--once"]) == 2
    assert "the URL of a dashboard is http://" in capsys.readouterr().err


@pytest.mark.parametrize("every", ["0", "61", "nan", "soon"])
def test_what_is_no_interval(capsys, every):
    with pytest.raises(SystemExit):
        top.main(["http://127.0.0.1", "--every", every])
    assert "seconds from 0.2 to 60" in capsys.readouterr().err


def test_a_wrong_token_is_said_and_not_shown(served, capsys):
    wrong = served.url.replace("token=", "token=hunter2")
    assert top.main([wrong, "--once"]) == 1
    said = capsys.readouterr().err
    assert "answers 401: the URL needs the token" in said
    assert "hunter2" not in said
    assert Visitor(served.url).token not in said


def test_nobody_answers(capsys):
    here = Scripted("blocking", dashboard := Dashboard(), clock=FakeClock())
    url = dashboard.url
    here.db.close()
    assert top.main([url, "--once"]) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"at": 1}', b"\xff", b'"text"'])
def test_another_program_answers(answering, capsys, body):
    url, _ = answering(200, body)
    assert top.main([f"{url}/?token=x", "--once"]) == 1
    assert "dashboard" in capsys.readouterr().err


def test_the_url_of_the_environment_and_of_the_input(served, capsys, monkeypatch):
    """Others on the machine see the arguments of a command."""
    monkeypatch.setenv("DYNAMORM_DASHBOARD_URL", served.url)
    assert top.main(["--once"]) == 0
    assert "Last operations" in capsys.readouterr().out
    monkeypatch.delenv("DYNAMORM_DASHBOARD_URL")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{served.url}\n"))
    assert top.main(["-", "--once"]) == 0
    assert "Last operations" in capsys.readouterr().out
    assert top.main(["--once"]) == 2
    assert "set DYNAMORM_DASHBOARD_URL to what dashboard.url tells" in capsys.readouterr().err


@pytest.mark.parametrize(
    "said",
    [
        b"no HTTP\r\n\r\n",
        b"HTTP/1.1 two hundred\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"",
        b"\xff" * 70_000,
    ],
)
def test_what_is_no_server_of_http(capsys, said):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            sock, _ = server.accept()
            with sock, suppress(OSError):
                sock.recv(65536)
                sock.sendall(said)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        assert top.main([f"http://127.0.0.1:{server.getsockname()[1]}/?token=x", "--once"]) == 1
        serving.join(10)
    assert "does not answer as a dashboard" in capsys.readouterr().err


def test_figures_of_another_shape(answering, capsys):
    told = dict.fromkeys(top._PARTS, 7)
    url, _ = answering(200, msgspec.json.encode(told))
    assert top.main([f"{url}/?token=x", "--once"]) == 1
    assert "not of a dashboard of this version" in capsys.readouterr().err


def run_top(url, **environment):
    program = [sys.executable, "-m", "dynamorm", "top", "--once"]
    return program, os.environ | {"DYNAMORM_DASHBOARD_URL": url} | environment


def test_a_terminal_with_few_letters(served):
    program, environment = run_top(served.url, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    ran = subprocess.run(program, capture_output=True, env=environment, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b"Last operations" in ran.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_is_full_is_no_traceback(served, tmp_path):
    program, environment = run_top(served.url)
    dashboard = [sys.executable, "-m", "dynamorm.dashboard"]
    local = os.environ | {"DYNAMODB_ENDPOINT": "http://127.0.0.1:9", "DYNAMORM_PRESET": "local_development"}
    for arguments, variables in ((program, environment), (dashboard, local)):
        with Path("/dev/full").open("wb") as full:
            ran = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, env=variables, check=False, timeout=30)
        assert (ran.returncode, ran.stderr) == (1, b"the output cannot be written: No space left on device\n")


def test_the_token_goes_nowhere_else(answering, capsys, monkeypatch):
    other, asked_there = answering(200, b"{}")
    url, asked_here = answering(302, Location=f"{other}/figures.json")
    monkeypatch.setenv("http_proxy", other)
    assert top.main([f"{url}/below/?token=secret-token", "--once"]) == 1
    assert asked_here == [("/below/figures.json", "Bearer secret-token")]
    assert asked_there == []
    assert "answers 302" in capsys.readouterr().err


def test_without_rich(served, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert top.main([served.url, "--once"]) == 2
    assert 'pip install "dynamorm-py[top]"' in capsys.readouterr().err


def test_it_needs_no_starlette_to_look(served):
    """The terminal may be on another machine than the program, with rich alone."""
    program = (
        "import sys; sys.modules['starlette'] = sys.modules['uvicorn'] = None\n"
        "from dynamorm.__main__ import main; raise SystemExit(main(['top', sys.argv[1], '--once']))"
    )
    ran = subprocess.run([sys.executable, "-c", program, served.url], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "Last operations" in ran.stdout


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["--help"], 0)])
def test_the_commands_are_told(capsys, arguments, status):
    assert dynamorm.__main__.main(arguments) == status
    told = "".join(capsys.readouterr())
    assert all(f"  {name} " in told for name in ("dashboard", "license", "top"))


def test_a_command_that_is_not_there_is_told(capsys):
    assert dynamorm.__main__.main(["nothing"]) == 2
    assert "No such command 'nothing'" in capsys.readouterr().err


@pytest.mark.engine
def test_the_dashboard_of_the_environment(engine, monkeypatch, capsys):
    monkeypatch.setenv("DYNAMODB_ENDPOINT", engine.endpoint)
    monkeypatch.setenv("DYNAMORM_PRESET", "local_development")
    ended, told = threading.Event(), []

    class Ended:
        """Ends the command after some questions, and looks at the page before."""

        def wait(self, seconds):
            if len(told) == 3:
                ended.set()
            url = capsys.readouterr().out.partition("the dashboard is at ")[2].partition("\n")[0]
            told.append(Visitor(url).told() if url else None)
            return ended.is_set()

    assert command.main([], Ended()) == 0
    assert set(told[0]["metrics"]["attempts"]) == {"ok"}  # it has asked for the names of the tables, page by page
    assert told[0]["breaker"]["read"] == "closed"


def test_settings_that_are_missing(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert command.main([], threading.Event()) == 2
    said = capsys.readouterr().err
    assert said.startswith("refused: ")
    assert said.endswith("(--demo needs no settings)\n")
    assert command.main(["--port", "70000"], threading.Event()) == 2
    assert "port of Dashboard" in capsys.readouterr().err


@pytest.mark.engine
def test_the_shop_of_the_demo(engine, monkeypatch):
    monkeypatch.setattr(shop, "PAUSE", 0.0)
    done = threading.Event()
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix="demo-test-")
    plugins = (CostPlugin(), HotKeys(every=1), dashboard := Dashboard())
    with DB(config, extensions=plugins) as db:
        running = threading.Thread(target=shop.run, args=(db, done))
        running.start()
        while (
            running.is_alive() and (dashboard.figures()["metrics"] or {"window": {"count": 0}})["window"]["count"] < 60
        ):
            done.wait(0.05)
        done.set()
        running.join(20)
        told = dashboard.figures()
    assert told["broken"] == {}
    assert {row["scope"] for row in told["cost"]["rows"]} >= {"tenant=blue", "tenant=green"}
    assert told["hot_keys"]
    assert set(told["metrics"]["outcomes"]) <= {"ok", "rejected"}


@pytest.mark.engine
def test_the_demo_writes_to_no_endpoint_of_the_environment(engine, monkeypatch, capsys):
    prefix = f"demo-{os.urandom(4).hex()}-"
    monkeypatch.setenv("DYNAMODB_ENDPOINT", engine.endpoint)
    monkeypatch.setenv("DYNAMORM_TABLE_PREFIX", prefix)
    seen = []

    def run(db, ended):
        db.tables.ensure(shop.Payment, shop.Order)
        db.put(shop.Payment(id="p1"))
        seen.append(db.config.table_prefix + db.require(shop.Payment, "p1").id)

    monkeypatch.setattr(shop, "run", run)
    assert command.main(["--demo"], threading.Event()) == 0, capsys.readouterr()
    assert seen == ["p1"]
    with DB(Presets.local_development()) as db:
        assert [name for name in db.tables.names() if name.startswith(prefix)] == []
        assert "dashboard-demo-payments" not in db.tables.names()


@pytest.mark.engine
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped(engine, number):
    environment = os.environ | {"DYNAMODB_ENDPOINT": engine.endpoint, "DYNAMORM_PRESET": "local_development"}
    arguments = [sys.executable, "-m", "dynamorm.dashboard", "--port", "0"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            first = process.stdout.readline()
            assert first.startswith("the dashboard is at http://127.0.0.1:")
            assert Visitor(first.split()[-1]).ask("/").status == 200
            process.send_signal(number)
            _, complaints = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, complaints) == (130 if number == signal.SIGINT else 0, "")
