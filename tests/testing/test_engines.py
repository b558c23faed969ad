from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading

import boto3
import pytest
from botocore.config import Config

from dynamorm.errors import ConfigError
from dynamorm.testing import DynamoDBLocal, Ministack
from dynamorm.testing import engine as engine_module


def client(running, service="dynamodb"):
    return boto3.client(
        service,
        endpoint_url=running.endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def addresses(port):
    """The local addresses that listen on a port, in the hexadecimal of /proc/net/tcp."""
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return {f[1].split(":")[0] for f in fields if f[3] == "0A" and int(f[1].split(":")[1], 16) == port}


def test_the_embedded_engine_answers_as_soon_as_it_is_there(engine):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", engine.endpoint)
    assert client(engine).list_tables()["TableNames"] == []


@pytest.mark.skipif(not pathlib.Path("/proc/net/tcp").exists(), reason="reads Linux's table of sockets")
def test_the_embedded_engine_listens_on_loopback_only(engine):
    assert addresses(engine.port) == {"0100007F"}


def test_kms_and_sts_are_offered_too(engine):
    assert client(engine, "sts").get_caller_identity()["Account"]
    assert client(engine, "kms").list_keys()["Keys"] == []


def test_stop_ends_the_process_and_removes_its_folder():
    running = Ministack()
    folder = running._folder
    assert listening(running.port)
    running.stop()
    assert not listening(running.port)
    assert not folder.exists()
    assert running.pid is None
    running.stop()


def test_it_outlives_the_thread_that_started_it():
    started = []
    thread = threading.Thread(target=lambda: started.append(Ministack()))
    thread.start()
    thread.join()
    with started[0] as running:
        assert client(running).list_tables()["TableNames"] == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None])
def test_it_ends_with_its_parent_however_that_ends(how, until):
    program = """
        import sys, time
        from dynamorm.testing.engines import Ministack
        engine = Ministack()
        print(engine.port, engine._folder, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with parent:
        port, folder = parent.stdout.readline().decode().split()
        port = int(port)
        assert listening(port)
        if how is not None:
            parent.send_signal(how)
        parent.stdin.close()
        parent.wait(10)
    until(lambda: not listening(port) and not pathlib.Path(folder).exists())


def test_a_taken_port_is_tried_no_further(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [taken.getsockname()[1]]
        real = engine_module._free_port
        monkeypatch.setattr(engine_module, "_free_port", lambda: ports.pop() if ports else real())
        with Ministack() as running:
            assert running.port != taken.getsockname()[1]


def test_a_stranger_on_the_port_is_not_taken_for_the_engine(monkeypatch, engine):
    ports = [engine.port]
    real = engine_module._free_port
    monkeypatch.setattr(engine_module, "_free_port", lambda: ports.pop() if ports else real())
    with Ministack() as running:
        assert running.port != engine.port


def test_a_failed_start_shows_what_the_engine_said(monkeypatch):
    monkeypatch.setattr(Ministack, "_command", lambda self: ["--module", "no_such_module_anywhere"])
    with pytest.raises(ConfigError, match="No module named no_such_module_anywhere"):
        Ministack()


def test_an_engine_that_never_answers_is_given_up(monkeypatch, until):
    pids = []
    monkeypatch.setattr(Ministack, "_command", lambda self: [sys.executable, "-c", "import time; time.sleep(60)"])
    monkeypatch.setattr(engine_module, "lists_tables", pids.append)
    with pytest.raises(ConfigError, match="did not answer in time"):
        Ministack(start_timeout=1.0)
    assert pids


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'ministack"):
        Ministack()


def test_dynamodb_local_wants_its_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("DYNAMODB_LOCAL_HOME", raising=False)
    with pytest.raises(ConfigError, match="DYNAMODB_LOCAL_HOME"):
        DynamoDBLocal()
    with pytest.raises(ConfigError, match=r"no DynamoDBLocal\.jar in"):
        DynamoDBLocal(tmp_path)


def test_dynamodb_local_wants_java(monkeypatch, tmp_path):
    (tmp_path / "DynamoDBLocal.jar").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="java"):
        DynamoDBLocal(tmp_path)


@pytest.mark.local
def test_dynamodb_local_runs_and_ends(until):
    with DynamoDBLocal() as running:
        assert client(running).list_tables()["TableNames"] == []
        port = running.port
    until(lambda: not listening(port))


@pytest.mark.local
def test_dynamodb_local_ends_when_its_watchdog_is_killed(until):
    with DynamoDBLocal() as running:
        os.kill(running.pid, signal.SIGKILL)
        until(lambda: not listening(running.port))


def test_engines_load_without_pytest_or_any_other_part_of_the_library():
    program = """
        import sys, dynamorm
        before = set(sys.modules)
        import dynamorm.testing.engines
        loaded = set(sys.modules) - before
        print(*(name for name in loaded if name.startswith("dynamorm")))
        assert not loaded & {"asyncio", "boto3", "pytest", "_pytest", "ministack"}
    """
    path = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.check_output([sys.executable, "-c", textwrap.dedent(program)], env=path, text=True).split()
    ours = {"dynamorm.errors", "dynamorm.testing", "dynamorm.testing.engine", "dynamorm.testing.engines"}
    ours.add("dynamorm.testing.watchdog")
    assert set(loaded) <= ours
