"""Bad input to every command: one line that says what to do, an exit code, and no traceback."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dynamorm.__main__ import main

from . import vault
from .every import CARD, COMMANDS, DB, FUNCTION, OFFLINE, OWN, PAYMENT, commands, numbers
from .test_transfers import Source, Target, fill

pytestmark = pytest.mark.engine

ROOT = str(Path(__file__).resolve().parents[2])
ASKING = sorted(COMMANDS.keys() - OFFLINE)
PLAIN = sorted(COMMANDS.keys() - OWN)


@pytest.fixture
def here(run, prefix, tmp_path, monkeypatch):
    """Files in the folder of the test that are something else than what they are taken for."""
    monkeypatch.setenv("VAULT_KEYS", str(tmp_path / "keys"))
    for name, content in {
        "lines.jsonl": '{"id":"a"}\n',
        "empty.csv": "",
        "open.csv": 'id,amount\n"a,1\n',
        "twice.csv": "id,id\na,b\n",
        "no.parquet": "PAR1",
        "manifest.jsonl": '{"id":"a"}\n',
        "manifest.jsonl.manifest.json": "{",
        "other.jsonl": '{"id":"a"}\n',
        "other.jsonl.manifest.json": '{"format":"csv","table":"t","items":1,"bytes":11,"md5":""}',
        "foreign.checkpoint": '{"dynamorm":1,"command":"other"}\n',
        "mine.txt": "my own notes\n",
    }.items():
        Path(name).write_text(content)
    Path("folder.jsonl").mkdir()
    return prefix


def test_every_command_is_looked_at():
    assert commands().keys() == COMMANDS.keys()


@pytest.mark.whole
@pytest.mark.parametrize("name", PLAIN)
def test_options_of_a_command_that_are_none(refused, here, name):
    arguments = (*name.split(), *COMMANDS[name])
    assert "No such option" in refused(2, *arguments, "--no-such-option")
    for option, least in numbers(commands()[name]).items():
        for wrong in ("x", "", "nan", least - 1):
            assert f"see `dynamorm {name} --help`" in refused(2, *arguments, option, wrong)
    if COMMANDS[name] and name not in {"doctor", "models generate"}:
        assert "Missing" in refused(2, *name.split())


@pytest.mark.whole
@pytest.mark.parametrize("name", ASKING)
def test_where_nothing_is_reached(run, here, monkeypatch, name):
    monkeypatch.setenv("DYNAMODB_ENDPOINT", "http://127.0.0.1:1")
    ran = run(*name.split(), *COMMANDS[name])
    assert ran.code == 4, ran
    said = ran.err.splitlines()[-1]
    assert said.startswith("dynamorm: ")
    assert "doctor" in said or name == "doctor"
    assert not [path for path in Path().iterdir() if path.name.startswith(".dynamorm")], "nothing was done"


@pytest.mark.whole
@pytest.mark.parametrize("name", sorted({*ASKING} - {"tables list", "tables plan", "tables apply", "tables check"}))
def test_a_table_that_is_missing(run, here, name):
    ran = run(*name.split(), *COMMANDS[name])
    assert ran.code == 3, ran
    if name != "doctor":
        assert "does not exist" in ran.err.splitlines()[-1]
    assert not [path for path in Path().iterdir() if path.name.startswith(".dynamorm")], "nothing was done"


@pytest.mark.whole
@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize(
    ("option", "wrong", "says"),
    [
        ("--endpoint", "nonsense", "must begin with https://"),
        ("--endpoint", "http://", "needs a host"),
        ("--region", "x y", "region holds a space"),
        ("--profile", "nobody", "no profile 'nobody'"),
        ("--prefix", "a b", "table_prefix holds a space"),
    ],
    ids=lambda one: one,
)
def test_options_of_where_that_will_not_do(run, here, name, option, wrong, says):
    if "--db" in COMMANDS[name]:
        pytest.skip("the program says where")
    ran = run(*name.split(), *COMMANDS[name], option, wrong)
    assert ran.code == 4, ran
    assert says in ran.out + ran.err
    assert ran.err.splitlines()[-1].startswith("dynamorm: ")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("code", "says", "arguments"),
    [
        (1, "no JSON", ("put", "target", "{")),
        (1, "is a JSON object", ("put", "target", "[]")),
        (1, "NaN", ("put", "target", '{"id":"a","number":NaN}')),
        (1, "twice", ("put", "target", '{"id":"a","id":"b"}')),
        (1, "'x' has a $SS", ("put", "target", '{"id":"a","number":1,"x":{"$SS":5}}')),
        (1, " key", ("put", "target", '{"id":"a"}')),
        (2, "is empty", ("put", "", "{}")),
        (2, "give SK", ("get", "target", "a")),
        (2, "is a number", ("get", "target", "a", "x")),
        (2, "--yes", ("delete", "target", "a", "1")),
        (3, "has no index 'none'", ("query", "target", "a", "--index", "none")),
        (3, "has no index 'none'", ("scan", "target", "--index", "none")),
        (2, "no module 'nowhere'", ("get", "T", "a", "--models", "nowhere")),
        (2, "no model with a table", ("get", "T", "a", "--models", "tests.cli.every")),
        (2, "has no model for 'T'", ("get", "T", "a", "--models", "tests.spread.shop")),
        (2, "no model 'total' with a table", ("get", "T", "a", "--models", "tests.spread.shop:total")),
        (2, "there already", ("export", "target", "mine.txt", "--format", "jsonl")),
        (2, "no folder nowhere", ("export", "target", "nowhere/x.jsonl")),
        (2, "no folder mine.txt", ("export", "target", "mine.txt/x.jsonl")),
        (2, "tells no format", ("export", "target", "x")),
        (2, "none of jsonl", ("export", "target", "x", "--format", "xml")),
        (2, "none of threads", ("export", "target", "x.jsonl", "--on", "moon")),
        (3, "has no index 'none'", ("export", "target", "x.jsonl", "--index", "none")),
        (1, "look at the path", ("export", "target", "/proc/x.jsonl")),
        (2, "there is no none.jsonl", ("import", "target", "none.jsonl", "--yes")),
        (2, "--yes", ("import", "target", "lines.jsonl")),
        (1, "has no manifest-files.json", ("import", "target", "folder.jsonl", "--yes")),
        (1, "has no manifest-files.json", ("import", "target", "folder.jsonl", "--yes", "--format", "ion")),
        (2, "is no folder", ("import", "target", "lines.jsonl", "--yes", "--format", "ion")),
        (1, "is empty", ("import", "target", "empty.csv", "--yes")),
        (1, "a quote that is not closed", ("import", "target", "open.csv", "--yes")),
        (1, "two columns 'id'", ("import", "target", "twice.csv", "--yes")),
        (1, "no Parquet", ("import", "target", "no.parquet", "--yes")),
        (1, "is no manifest", ("import", "target", "manifest.jsonl", "--yes")),
        (2, "is csv, by its manifest", ("import", "target", "other.jsonl", "--yes")),
        (2, "NAME=TYPE", ("import", "target", "lines.jsonl", "--yes", "--types", "x")),
        (
            2,
            "a command with another",
            ("import", "target", "lines.jsonl", "--yes", "--checkpoint", "foreign.checkpoint"),
        ),
        (2, "is no checkpoint", ("import", "target", "lines.jsonl", "--yes", "--checkpoint", "mine.txt")),
        (2, "is no checkpoint", ("import", "target", "lines.jsonl", "--yes", "--checkpoint", "mine.txt", "--restart")),
        (1, "look at the path", ("import", "target", "lines.jsonl", "--yes", "--checkpoint", "nowhere/x")),
        (2, "onto itself", ("copy", "target", "target", "--yes")),
        (2, "--yes", ("copy", "target", "source")),
        (4, "doctor", ("copy", "target", "source", "--yes", "--to-endpoint", "http://127.0.0.1:1")),
        (4, "no profile", ("copy", "target", "source", "--yes", "--to-profile", "nobody")),
        (2, "a command with another", ("copy", "target", "source", "--yes", "--checkpoint", "foreign.checkpoint")),
        (2, "is no checkpoint", ("copy", "target", "source", "--yes", "--checkpoint", "mine.txt")),
        (2, "write module:function", ("backfill", "target", "x")),
        (2, "no function 'nothing'", ("backfill", "target", "tests.cli.every:nothing")),
        (2, "leave --models out", ("backfill", "target", FUNCTION, "--models", "x")),
        (2, "is no checkpoint", ("backfill", "target", FUNCTION, "--checkpoint", "mine.txt")),
        (2, "a command with another", ("backfill", "target", FUNCTION, "--checkpoint", "foreign.checkpoint")),
        (2, "no module 'x'", ("audit", "verify", "x", *DB)),
        (2, "no model 'path'", ("audit", "verify", "os:path", *DB)),
        (2, "are not tracked", ("audit", "verify", CARD, *DB)),
        (2, "leave SK out", ("audit", "history", PAYMENT, "a", "b", *DB)),
        (2, "is no checkpoint", ("audit", "verify", PAYMENT, *DB, "--checkpoint", "mine.txt")),
        (2, "there already", ("audit", "export", PAYMENT, "mine.txt", *DB)),
        (1, "look at the path", ("audit", "export", PAYMENT, "nowhere/x", *DB)),
        (2, "write module:name", ("keys", "reencrypt", CARD, "--db", "x", "--yes")),
        (2, "--yes", ("keys", "reencrypt", CARD, *DB)),
        (2, "no encrypted field", ("keys", "reencrypt", PAYMENT, *DB, "--yes")),
        (2, "a command with another", ("keys", "reencrypt", CARD, *DB, "--yes", "--checkpoint", "foreign.checkpoint")),
        (2, "no model with Encrypted('none')", ("keys", "rotate", "none", CARD, *DB, "--yes")),
        (4, "no price is known", ("cost", "target", "--region", "mars-1")),
        (2, "is none of", ("models", "export", "tests.spread.shop", "--format", "xml")),
        (2, "neither cloudformation", ("tables", "export", "tests.spread.shop", "--format", "xml")),
        (2, "no module 'nowhere'", ("tables", "plan", "nowhere")),
        (2, "no name of a Python module", ("init", "a b")),
        (2, "no path", ("init", "../x")),
        (1, "folder.jsonl", ("init", "folder.jsonl/x")),
    ],
    ids=lambda one: "-".join(one)[:60] if isinstance(one, tuple) else "",
)
def test_what_will_not_do(run, here, db, code, says, arguments):
    db.tables.ensure(Source, Target)
    with vault.open_db() as program:
        program.tables.ensure(vault.Payment, vault.Card)
        ran = run(*arguments)
        program.tables.delete(vault.Payment, vault.Card, force=True)
    db.tables.delete(Source, Target)
    if arguments[0] == "init" and code == 1:
        assert ran.code in {1, 2}
    else:
        assert ran.code == code, ran
        assert says in ran.err, ran
    (line,) = [one for one in ran.err.splitlines() if "without a licence" not in one]
    assert line.startswith("dynamorm: ")
    assert "should not happen" not in line
    assert ran.out == ""
    assert Path("mine.txt").read_text() == "my own notes\n"


@pytest.mark.parametrize(
    ("code", "says", "arguments"),
    [
        (2, "invalid int value", ("local", "--port", "x")),
        (1, "from 0 to 65535", ("local", "--port", "70000")),
        (2, "invalid choice", ("local", "--durability", "x")),
        (1, "cannot be used", ("local", "--file", "/no/such/db")),
        (1, "no file of an engine", ("local", "--file", "mine.txt")),
        (2, "unrecognized arguments", ("local", "--no-such-option")),
        (2, "is http://127.0.0.1", ("top", "x")),
        (2, "needs the URL", ("top",)),
        (1, "does not answer", ("top", "http://127.0.0.1:1/?token=x", "--once")),
        (2, "from 0.2 to 60", ("top", "--every", "0")),
        (2, "unrecognized arguments", ("top", "--no-such-option")),
        (2, "invalid int value", ("dashboard", "--port", "x")),
        (2, "0 ... 65535", ("dashboard", "--port", "70000")),
        (2, "unrecognized arguments", ("dashboard", "--no-such-option")),
        (1, "there is no licence", ("license",)),
        (1, "cannot be read", ("license", "--file", "none")),
        (2, "unrecognized arguments", ("license", "--no-such-option")),
    ],
)
@pytest.mark.whole
def test_commands_of_their_own(here, capsys, code, says, arguments):
    capsys.readouterr()
    try:
        found = main(list(arguments))
    except SystemExit as end:
        found = end.code
    out, err = capsys.readouterr()
    assert (found, out) == (code, ""), err
    assert says in err
    assert err.count("\n") == 1, err


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").exists(), reason="rights are of no meaning to root")
def test_a_file_that_may_not_be_read(run, here, db):
    db.tables.ensure(Target)
    if os.geteuid() != 0:
        Path("lines.jsonl").chmod(0)
        assert "look at the path and its rights" in run("import", "target", "lines.jsonl", "--yes").err
    assert "look at the path" in run("import", "target", "/proc/self/mem", "--format", "jsonl", "--yes").err
    db.tables.delete(Target)


def limited(*arguments, folder, most=60_000):
    """Run a command that can write no file of more bytes: what it meets is what a full disk is."""
    return subprocess.run(
        [sys.executable, "-m", "dynamorm", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ROOT, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )


@pytest.mark.parametrize("on", ["threads", "processes"])
@pytest.mark.whole
def test_a_disk_that_is_full_is_told_and_gone_on_with(run, here, db, stored, tmp_path, on):
    db.tables.ensure(Source, Target)
    fill(db, 800, size=400)
    ran = limited("export", "source", "items.jsonl", "--on", on, "--workers", 2, folder=tmp_path)
    assert (ran.returncode, ran.stdout) == (5, ""), ran
    (line,) = ran.stderr.splitlines()
    assert "make room; stopped half-way, the same command goes on" in line
    assert not Path("items.jsonl").exists()
    assert run("export", "source", "items.jsonl", "--on", on).code == 0
    assert run("import", "target", "items.jsonl", "--yes").code == 0
    assert stored("target") == stored("source")
    db.tables.delete(Source, Target)


def test_an_output_that_takes_nothing(run, here, db, tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    db.tables.ensure(Source)
    fill(db, 40)
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "dynamorm", "scan", "source"]
        ran = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran
    assert "No space left" in ran.stderr
    db.tables.delete(Source)
