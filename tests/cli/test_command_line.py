"""What every command does: options, exit codes, streams, signals, and what is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import dynamorm
from dynamorm.__main__ import main

from .conftest import Payment

pytestmark = pytest.mark.engine


def test_options_stand_in_front_of_a_command_or_behind_it(run, tables, prefix, monkeypatch, engine):
    tables.put(Payment(id="p1"))
    monkeypatch.delenv("DYNAMORM_TABLE_PREFIX")
    monkeypatch.delenv("DYNAMODB_ENDPOINT")
    where = ("--endpoint", engine.endpoint, "--region", "eu-west-1", "--prefix", prefix)
    assert run(*where, "get", "payments", "p1").code == 0
    assert run("get", "payments", "p1", *where).code == 0
    assert run(*where, "get", "--prefix", "other-", "payments", "p1").code == 3


def test_wrong_usage_is_one_line_with_where_to_look(refused):
    assert "Did you mean 'get'" in refused(2, "gte")
    assert "see `dynamorm get --help`" in refused(2, "get")
    assert "requires an argument" in refused(2, "--region")
    assert "No such option" in refused(2, "scan", "t", "--colour")
    assert "see `dynamorm scan --help`" in refused(2, "scan", "t", "--limit", "0")


def test_the_version_is_shown(run):
    assert run("--version") == (0, f"dynamorm {dynamorm.__version__}\n", "")


@pytest.mark.parametrize("name", ["license", "top", "dashboard", "local"])
def test_commands_of_their_own_say_which_options_they_do_not_take(refused, name):
    told = refused(2, "--json", "--endpoint", "http://127.0.0.1:1", name)
    assert f"{name} takes no --endpoint, --json" in told


def test_help_is_asked_for_or_given(run):
    assert run("--help").code == 0
    assert run().code == 2
    for name in ("get", "put", "delete", "query", "scan"):
        ran = run(name, "--help")
        assert ran.code == 0
        assert "--endpoint" in ran.out


def test_nothing_to_reach(refused, monkeypatch, tmp_path):
    told = refused(4, "get", "payments", "p1", "--endpoint", "http://127.0.0.1:1")
    assert "--endpoint" in told
    told = refused(4, "get", "payments", "p1", "--endpoint", "http://example.com")
    assert "https" in told
    monkeypatch.delenv("DYNAMODB_ENDPOINT")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    assert "Region" in refused(4, "get", "payments", "p1")
    assert "profile" in refused(4, "get", "payments", "p1", "--profile", "nobody")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    told = refused(4, "get", "payments", "p1", "--region", "us-east-1")
    assert "AWS_ACCESS_KEY_ID" in told


def test_an_error_never_shows_an_items_values(refused, tables):
    told = refused(1, "put", "payments", '{"id":"p1","card":{"$B":"4111111111111111!"}}')
    assert "4111111111111111" not in told


def test_with_debug_the_place_is_shown(run, capsys):
    code = main(["get", "nowhere", "p1", "--debug"])
    told = capsys.readouterr().err
    assert code == 3
    assert "Traceback" in told
    assert told.splitlines()[-1].startswith("dynamorm: ")


def test_a_closed_pipe_ends_silently(process, tables):
    for number in range(40):
        tables.put(Payment(id=f"p{number}", note="x" * 20_000))
    child = process("scan", "payments")
    child.stdout.read(10)
    child.stdout.close()
    assert child.wait(60) == 0
    assert child.stderr.read() == b""


def test_the_plainest_locale_raises_nothing(process, tables):
    tables.put(Payment(id="naïve ☃"))
    for env in ({"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}):
        out, err = process("scan", "payments", env=env).communicate(timeout=60)
        assert err == b""
        assert b"na" in out
        out, err = process("tables", "describe", "☃", env=env).communicate(timeout=60)
        assert b"Traceback" not in err
        assert err.startswith(b"dynamorm: ")


def test_no_colours_where_nobody_asked_for_them(process, tables):
    out, err = process("tables", "list", env={"NO_COLOR": "1", "FORCE_COLOR": "1"}).communicate(timeout=60)
    assert b"\x1b" not in out + err


def test_interrupted(process, tables, engine):
    for number in range(40):
        tables.put(Payment(id=f"p{number}", note="x" * 20_000))
    child = process("scan", "payments")  # it waits for somebody to read
    child.stdout.read(10)
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err == b"dynamorm: interrupted\n"


def test_without_the_extra_one_line_says_what_to_install(tmp_path):
    """``typer`` is hidden by a finder that comes first."""
    code = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'typer' else real(name, *a)\n"
        "import dynamorm.__main__ as m; m.find_spec = u.find_spec; sys.exit(m.main(['get', 't', 'p']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "pip install 'dynamorm-py[cli]'" in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_the_library_imports_nothing_of_the_command():
    code = "import dynamorm, sys; dynamorm.DB; print([n for n in sys.modules if n.split('.')[0] in ('typer', 'rich', 'click')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_result_with_json_is_one_object_per_line(run, tables):
    tables.put(Payment(id="p1"))
    for arguments in (("get", "payments", "p1"), ("scan", "payments"), ("tables", "describe", "payments")):
        for line in run(*arguments, "--json").lines:
            assert isinstance(json.loads(line), dict)
