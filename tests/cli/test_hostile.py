"""What stands in a table, and in a file of somebody else, acts neither on the terminal nor on the machine."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from contextlib import contextmanager

import pytest

from dynamorm.adapters.cli.ends import Stop
from dynamorm.adapters.cli.formats import csvs, ion, jsonl
from dynamorm.adapters.cli.out import Out, shown, visible
from dynamorm.adapters.cli.plain import NotAnItem, item_of

from .conftest import Payment

pytestmark = [pytest.mark.engine, pytest.mark.skipif(sys.platform == "win32", reason="it has no modes of files")]

ACTING = (
    "\x1b[2J\x1b[1;1H", "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07", "\x9b31m", "\r\n2026-11-01 paid", "\x08" * 20, "\x7f",
    "\u202egpj.exe", "\u2066a\u2069", "\u200b", "\ufeff", "\u2028", "\U000e0041", "\x00",
)  # fmt: skip
"""What a terminal acts on: it clears, names its window, fills the clipboard, turns texts round; and what is not seen."""


def is_plain(text):
    return all(one.isprintable() or one == "\n" for one in text)


@pytest.mark.parametrize("text", ACTING)
def test_items_are_shown_as_json_that_says_the_same(run, tables, text):
    key = f"k{text}"
    tables.create(Payment(id=key, note=f"before {text} after"))
    for arguments in (("get", "payments", key), ("scan", "payments"), ("scan", "payments", "--dynamodb-json")):
        ran = run(*arguments)
        assert ran.code == 0
        assert is_plain(ran.out)
        assert len(ran.lines) == 1
        found = json.loads(ran.out)["note"]
        assert (found["S"] if isinstance(found, dict) else found) == f"before {text} after"


@pytest.mark.parametrize("text", ACTING)
def test_what_is_said_to_people_is_one_line_of_letters(run, text, capsys):
    for arguments in (("get", f"no{text}table", "x"), ("import", f"payments{text}", f"file{text}.jsonl", "--yes")):
        ran = run(*arguments)
        assert ran.code != 0
        assert is_plain(ran.err)
    out = Out()
    out.line(f"table {text}")
    out.row(table=text, found=[text])
    out.table(["name"], [[text]])
    Out(json=True).row(table=text)
    told = capsys.readouterr().out
    assert is_plain(told)
    assert json.loads(told.splitlines()[-1]) == {"table": text}


def test_texts_of_every_language_are_shown_as_they_are():
    for text in ("straße €5", "日本語", "żółć", "🙂", "العربية", ""):
        assert visible(text) == shown(text) == text


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet", "dynamodb-json", "ion"])
def test_what_is_exported_is_for_who_exports(run, tables, tmp_path, format, open_umask):
    tables.create(Payment(id="p1", note="n"))
    where = tmp_path / "mine"
    where.mkdir(0o700)
    assert run("export", "payments", where / "out", "--format", format).code == 0
    found = modes(where)
    assert len(found) > 2
    assert not [name for name, mode in found.items() if mode & 0o077], found


def test_a_checkpoint_and_the_parts_of_an_export_are_for_who_exports(run, tables, tmp_path, monkeypatch, open_umask):
    from dynamorm.adapters.cli.transfer import exporting

    seen = {}

    def stop(*_):
        seen.update(modes(tmp_path / "out.jsonl.parts"))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_finish", stop)
    tables.create(Payment(id="p1"))
    assert run("export", "payments", "out.jsonl").code == 5
    assert len(seen) >= 4
    assert not [name for name, mode in seen.items() if mode & 0o077], seen


def test_a_link_under_the_name_of_an_unfinished_file_is_not_followed(run, tables, tmp_path):
    tables.create(Payment(id="p1"))
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out.jsonl.manifest.json.partial").symlink_to(victim)
    assert run("export", "payments", "out.jsonl").code == 0
    assert victim.read_text() == "precious"


# ------------------------------------------------------------------------------------------------------------- imports


class TooSlow(BaseException):
    pass


@contextmanager
def in_time(seconds=2.0):
    """So many seconds of the processor for what is inside."""

    def stop(number, frame):
        raise TooSlow

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize(
    "value",
    [
        b"0x" + b"F" * 100_000, b"9" * 100_000, b"9" * 100_000 + b".", b"1_0" * 50_000, b"0b" + b"1" * 100_000,
        b"[" * 900 + b"]" * 900, b"[" * 50_000, b"{a:" * 900 + b"1." + b"}" * 900, b"1d99999999999999", b"x::" * 5_000 + b"1.",
        b'"' + b'\\"' * 50_000, b"{{" * 50_000, b"'" + b"\\'" * 50_000,
    ],
)  # fmt: skip
def test_a_line_of_ion_that_is_no_item_is_refused_at_once(value):
    pytest.importorskip("amazon.ion")
    with in_time():
        assert isinstance(ion.item_of(b"$ion_1_0 {Item:{a:" + value + b"}}\n"), NotAnItem)


@pytest.mark.parametrize(
    "wire",
    [
        {"S": "F" * 5_000},
        {"S": '"\\' + "0" * 5_000},
        {"B": "A" * 8_000},
        {"N": "1" * 38},
        {"M": {"F" * 2_000: {"S": "0"}}},
    ],
)
def test_long_texts_names_and_bytes_are_no_numbers(wire):
    pytest.importorskip("amazon.ion")
    assert ion.item_of(ion.line_of({"id": {"S": "1"}, "a": wire})) == {"id": {"S": "1"}, "a": wire}


@pytest.mark.parametrize("levels", [500, 900, 1_200, 100_000])
def test_json_of_many_levels_is_refused(levels):
    deep = "[" * levels + "]" * levels
    with in_time(), pytest.raises(NotAnItem, match="too deeply"):
        item_of('{"id": "1", "a": ' + deep + "}")


def test_an_item_of_many_levels_ends_no_import(run, tables, tmp_path):
    lines = ['{"id": "p1"}', '{"id": "p2", "note": ' + "[" * 900 + "]" * 900 + "}", '{"id": "p3"}']
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    ran = run("import", "payments", "in.jsonl", "--yes")
    assert ran.code == 1
    assert "too deeply" in ran.err
    assert tables.exists(Payment, "p1")
    assert tables.exists(Payment, "p3")


def test_a_line_without_an_end_is_read_up_to_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(csvs, "_LONGEST", 1_000)
    monkeypatch.setattr(jsonl, "LONGEST", 1_000)
    path = tmp_path / "long"
    path.write_bytes(b"id\n" + b"x" * 100_000)
    records = csvs._records(path)
    assert next(records) == "id"
    with pytest.raises(Stop, match="too long"):
        next(records)
    path.write_bytes(b'id\n"' + b"x\n" * 100_000)
    records = csvs._records(path)
    next(records)
    with pytest.raises(Stop, match="not closed"):
        next(records)
