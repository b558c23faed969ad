"""Ctrl-C in every long command: exit code 130, one line, and a state from which the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from . import vault
from .test_transfers import Source, Target, fill, wait_for

pytestmark = pytest.mark.engine

ROOT = str(Path(__file__).resolve().parents[2])
COUNT, CARDS = 1_600, 600
DB = ("--db", "tests.cli.vault:open_db")
RATE = ("--rate", 300)
SLOW = ("--rate", 100)
LONG = {
    "export": ("export", "source", "items.jsonl", "--segments", 3, *RATE),
    "export, by processes": ("export", "source", "items.jsonl", "--segments", 3, "--on", "processes", *RATE),
    "import": ("import", "target", "in.jsonl", "--yes", *RATE),
    "import, by processes": ("import", "target", "in.jsonl", "--yes", "--on", "processes", *RATE),
    "copy": ("copy", "source", "target", "--yes", *RATE),
    "backfill": ("backfill", "source", "tests.cli.backfills:once", *RATE),
    "backfill, by processes": ("backfill", "source", "tests.cli.backfills:once", "--on", "processes", *RATE),
    "audit verify": ("audit", "verify", "tests.cli.vault:Payment", *DB, "--segments", 2, *SLOW),
    "keys reencrypt": ("keys", "reencrypt", "tests.cli.vault:Card", *DB, "--yes", "--segments", 2, *SLOW),
    "keys reencrypt, by processes": (
        *("keys", "reencrypt", "tests.cli.vault:Card", *DB, "--yes", "--segments", 2),
        *("--on", "processes", *SLOW),
    ),
}


@pytest.fixture
def source(db, prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("VAULT_KEYS", str(tmp_path / "keys"))
    db.tables.ensure(Source, Target)
    yield db
    db.tables.delete(Source, Target)


def checkpoints(folder):
    """The lines behind the first of all checkpoints that are there."""
    found = [*folder.glob(".*checkpoint"), *folder.glob("*.parts/checkpoint.jsonl")]
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in found)


@pytest.mark.parametrize("name", LONG)
def test_a_long_command_goes_on(process, run, source, stored, tmp_path, name):
    vaulted = name.startswith(("audit", "keys"))
    if vaulted:
        program = vault.open_db()
        vault.fill(program, CARDS)
        if name.startswith("keys"):
            assert run("keys", "rotate", "pci", "tests.cli.vault:Card", *DB, "--yes").code == 0
    else:
        fill(source, COUNT, size=10)
        if name.startswith("import"):
            assert run("export", "source", "in.jsonl").code == 0
    # An export has no line before its first part is written, which takes five seconds: it is stopped while it writes that.
    # One that had not read its first page by then, on a busy machine, has none either: it is begun once more.
    ready = (lambda: [*tmp_path.rglob("*.part")]) if name.startswith("export") else (lambda: checkpoints(tmp_path))
    for pause in (0.3, 1.0, 3.0):
        child = process(*LONG[name], "--json", env={"PYTHONPATH": ROOT})
        wait_for(ready, child)
        time.sleep(pause)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
        assert child.returncode == 130, err
        told = [line for line in err.decode().splitlines() if "without a licence" not in line]
        assert told[-1] == "dynamorm: interrupted: the same command goes on"
        assert "Traceback" not in err.decode()
        if checkpoints(tmp_path):
            break
        assert not ready()
    assert checkpoints(tmp_path) > 0
    again = [one for one in LONG[name] if one not in {"--rate", 300, 100}]
    ran = run(*again, "--json")
    assert "going on behind" in ran.err
    if vaulted:
        assert ran.code == (0 if name.startswith("audit") else 5), ran  # the rotation was just now
        assert f"{CARDS} items" in ran.err
        if name.startswith("keys"):
            told = json.loads(ran.out)
            assert (told["items"], told["failed"]) == (CARDS, 0)
            assert CARDS <= told["rewritten"] <= CARDS
        program.tables.delete(vault.Payment, vault.Card, force=True)
        program.close()
        return
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    assert told.get("items", told.get("read")) == COUNT
    if name.startswith("export"):
        assert run("import", "target", "items.jsonl", "--yes").code == 0
    if name.startswith("backfill"):
        assert {json.loads(item)["times"]["N"] for item in stored("source")} == {"1"}
    else:
        assert stored("target") == stored("source")
    assert checkpoints(tmp_path) == 0


def test_an_export_of_records_begins_anew(process, run, source, tmp_path):
    """It leaves nothing behind that the same command would meet."""
    program = vault.open_db()
    vault.fill(program, CARDS)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # opening the database waits for somebody to write, so it is stopped for sure before its end
    child = process(
        "audit", "export", "tests.cli.vault:Payment", "records.jsonl", "--db", "tests.cli.vault:open_late",
        env={"PYTHONPATH": ROOT, "VAULT_WAITS": str(fifo)},
    )  # fmt: skip
    with fifo.open("w") as wanted:
        wanted.write("x")
    time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode in {130, 0}, err
    assert b"Traceback" not in err
    if child.returncode == 130:
        assert not [*tmp_path.glob("records*")]
        ran = run("audit", "export", "tests.cli.vault:Payment", "records.jsonl", *DB, "--json")
        assert (ran.code, json.loads(ran.out)["records"]) == (0, 2 * CARDS)
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 2 * CARDS
    program.tables.delete(vault.Payment, vault.Card, force=True)
    program.close()


def test_a_scan_into_a_pipe(process, source):
    fill(source, 400, size=300)
    child = process("scan", "source")  # it waits for somebody to read
    child.stdout.read(10)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, b"dynamorm: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["local", "dashboard"])
def test_a_server_ends(process, prefix, name, number):
    child = process(name, *(("--port", 0) if name == "local" else ("--demo",)))
    assert b"127.0.0.1" in child.stdout.readline()
    child.send_signal(number)
    _, err = child.communicate(timeout=60)
    assert child.returncode == (130 if number == signal.SIGINT else 0), err
    assert b"Traceback" not in err


def test_the_figures_in_the_terminal_end(process, prefix):
    with socket.create_server(("127.0.0.1", 0)) as slow:
        slow.settimeout(60)
        child = process("top", f"http://127.0.0.1:{slow.getsockname()[1]}/?token=x")
        asked, _ = slow.accept()
        child.send_signal(signal.SIGINT)
        asked.close()
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, b"")
