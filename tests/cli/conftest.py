"""The command line in this process, on the engine under test: each test has tables of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from typing import Any, NamedTuple

import pytest

from dynamorm import DB, Attr, Model, Presets, attr, gsi, partition_key, sort_key, version
from dynamorm.__main__ import main
from dynamorm.features.raw import RawTable


class Ran(NamedTuple):
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    pin: Attr[str | None] = attr(default=None, secret=True)


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    status: Attr[str] = attr(default="new")
    by_status = gsi("by-status", partition="status", sort="number")


class Counted(Model, table="counted"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    pin: Attr[str | None] = attr(default=None, secret=True)
    version: Attr[int] = version()


@pytest.fixture
def prefix(engine, monkeypatch):
    """The prefix of the tables of a test, which the environment names as it does the engine."""
    found = f"cli-{secrets.token_hex(4)}-"
    monkeypatch.setenv("DYNAMODB_ENDPOINT", engine.endpoint)
    monkeypatch.setenv("DYNAMORM_TABLE_PREFIX", found)
    return found


@pytest.fixture
def db(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as opened:
        yield opened
        opened.tables.delete(Payment, Order, Counted)


@pytest.fixture
def tables(db):
    """The tables of the two models, empty."""
    db.tables.ensure(Payment, Order)
    return db


@pytest.fixture
def run(prefix, capsys, tmp_path, monkeypatch):
    """Runs a command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # a command finds what stands in its folder

    def run(*arguments: Any) -> Ran:
        capsys.readouterr()
        code = main([str(one) for one in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Ran(code, out, err)

    return run


@pytest.fixture
def refused(run):
    """Runs a command line that is refused: one line on stderr, nothing on stdout, and the exit code that is expected."""

    def refused(code: int, *arguments: Any) -> str:
        ran = run(*arguments)
        assert (ran.code, ran.out) == (code, ""), ran
        assert ran.err.startswith("dynamorm: ")
        assert ran.err.count("\n") == 1, ran.err
        return ran.err

    return refused


@pytest.fixture
def process(prefix, tmp_path):
    """Starts a command line in a process of its own, which is ended and let go behind the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **settings: Any) -> subprocess.Popen[bytes]:
        environ = {**os.environ, **settings.pop("env", {})}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
        command = [sys.executable, "-m", "dynamorm", *map(str, arguments)]
        child = subprocess.Popen(command, cwd=tmp_path, env=environ, **pipes)
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait(60)
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def stored(db):
    """Every item of a table, as it is stored: the JSON of DynamoDB, its names in order, and the items, too."""

    def stored(table: str) -> list[str]:
        raw, found, start = RawTable(db._session, db.config.table_prefix + table), [], None
        while True:
            page = db._io.run(raw.page("Scan", {"ConsistentRead": True}, start))
            found += [json.dumps(item, sort_keys=True) for item in page.items]
            start = page.last_key
            if start is None:
                return sorted(found)

    return stored
