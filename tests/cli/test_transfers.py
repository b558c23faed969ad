"""Whole tables to files and back, and from table to table: killed at any time, nothing is lost, and nothing comes twice."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dynamorm import DB, Attr, Model, Presets, partition_key, sort_key
from dynamorm.adapters.cli.settings import Table
from dynamorm.adapters.cli.transfer import exporting
from dynamorm.engine.shared import SharedEngine
from dynamorm.features.raw import RawTable

pytestmark = pytest.mark.engine


class Source(Model, table="source"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


class Target(Model, table="target"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


FORMATS = ("jsonl", "csv", "parquet", "dynamodb-json", "ion")
COUNT = 400


def fill(db, count=COUNT, size=40):
    raw = RawTable(db._session, db.config.table_prefix + "source")
    items = [
        json.dumps(
            {
                "id": {"S": f"p{number % 37}"},
                "number": {"N": str(number)},
                "note": {"S": ("", "=1", "a,b", 'é"')[number % 4] * size},
                "mixed": ({"S": "x"}, {"N": "1.5"}, {"NULL": True})[number % 3],
                "tags": {"SS": ["a", "b"]},
            }
        ).encode()
        for number in range(count)
    ]
    for at in range(0, count, 25):
        assert db._io.run(raw.write(items[at : at + 25], ("id", "number"))) == []


@pytest.fixture
def source(db):
    db.tables.ensure(Source, Target)
    fill(db)
    yield db
    db.tables.delete(Source, Target)


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_goes_to_a_file_and_comes_back(run, source, stored, name):
    ran = run("export", "source", "items.out", "--format", name, "--segments", 3, "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out)["items"] == COUNT
    assert "read units" in ran.err
    assert "on demand" in ran.err
    assert not Path("items.out.parts").exists()
    ran = run("import", "target", "items.out", "--format", name, "--yes", "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out) | {"table": ""} == {"table": "", "read": COUNT, "written": COUNT, "refused": 0}
    assert stored("target") == stored("source")
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_table_makes_an_empty_file(run, db, name):
    db.tables.ensure(Source, Target)
    assert run("export", "source", "none", "--format", name).code == 0
    ran = run("import", "target", "none", "--format", name, "--yes", "--json")
    assert (ran.code, json.loads(ran.out)["read"]) == (0, 0)
    db.tables.delete(Source, Target)


def test_the_format_follows_from_the_name(run, refused, source):
    assert run("export", "source", "items.csv").code == 0
    assert Path("items.csv").read_text().startswith("id,mixed:S,mixed:N,note,number,tags\n")
    assert "give --format" in refused(2, "export", "source", "items.txt")
    assert "none of jsonl" in refused(2, "export", "source", "items", "--format", "xml")


def test_an_export_has_what_s3_exports_have(run, source):
    assert run("export", "source", "items", "--format", "dynamodb-json").code == 0
    summary = json.loads(Path("items/manifest-summary.json").read_text())
    assert (summary["itemCount"], summary["outputFormat"]) == (COUNT, "DYNAMODB_JSON")
    files = [json.loads(line) for line in Path("items/manifest-files.json").read_text().splitlines()]
    assert sum(file["itemCount"] for file in files) == COUNT
    names = {Path(file["dataFileS3Key"]).name for file in files}
    assert {path.name for path in Path("items/data").iterdir()} == names
    with gzip.open(next(Path("items/data").iterdir())) as lines:
        assert json.loads(next(lines))["Item"]["tags"] == {"SS": ["a", "b"]}


def test_what_is_there_is_not_written_over(refused, run, source):
    Path("items.jsonl").write_text("mine")
    assert "there already" in refused(2, "export", "source", "items.jsonl")
    assert Path("items.jsonl").read_text() == "mine"
    assert "no folder" in refused(2, "export", "source", "nowhere/items.jsonl")
    assert "does not exist" in refused(3, "export", "nowhere", "x.jsonl")
    assert "--yes" in refused(2, "import", "target", "items.jsonl")
    assert "there is no" in refused(2, "import", "target", "missing.jsonl", "--yes")
    assert "no folder" in refused(2, "import", "target", "items.jsonl", "--format", "dynamodb-json", "--yes")


def test_a_damaged_file_stores_nothing(run, refused, source, stored):
    for name in ("items.jsonl", "items.csv", "items.parquet"):
        run("export", "source", name)
        path = Path(name)
        whole = path.read_bytes()
        path.write_bytes(whole[:-100])
        assert "not what its manifest says" in refused(1, "import", "target", name, "--yes")
        path.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
        assert "not what its manifest says" in refused(1, "import", "target", name, "--yes")
    run("export", "source", "items", "--format", "dynamodb-json", "--segments", 1)
    (data,) = Path("items/data").iterdir()
    whole = data.read_bytes()
    data.write_bytes(whole[:-10])
    assert "not what manifest-files.json says" in refused(1, "import", "target", "items", "--yes")
    data.unlink()
    assert "is missing" in refused(1, "import", "target", "items", "--yes")
    data.write_bytes(whole)
    manifest = Path("items/manifest-files.json")
    manifest.write_text(manifest.read_text().replace(f'"itemCount":{COUNT}', '"itemCount":1'))
    assert "manifest-files.md5 says" in refused(1, "import", "target", "items", "--yes")
    Path("items/manifest-files.md5").unlink()
    assert "says 400 items" in refused(1, "import", "target", "items", "--yes")
    Path("x.parquet").write_bytes(b"no parquet")
    assert "no Parquet" in refused(1, "import", "target", "x.parquet", "--yes")
    assert stored("target") == []


def test_items_that_are_refused_are_counted_and_named_by_number(run, source, stored):
    lines = [
        '{"id":"a","number":1}',
        "no json",
        '{"id":"b"}',
        '{"id":"c","number":"text"}',
        '{"id":"d","number":2,"big":"' + "x" * 410_000 + '"}',
        '{"id":"e","number":3}',
        '{"id":"a","number":1,"last":true}',
    ]
    Path("items.jsonl").write_text("\n".join(lines))
    ran = run("import", "target", "items.jsonl", "--yes", "--json")
    assert ran.code == 1
    assert json.loads(ran.out) | {"table": ""} == {"table": "", "read": 7, "written": 3, "refused": 4}
    for number, why in ((2, "no JSON"), (3, "no 'number'"), (4, "Type mismatch"), (5, "size")):
        assert re.search(rf"item {number} was refused: .*{why}", ran.err), ran.err
    assert "xxx" not in ran.err
    assert "text" not in ran.err
    assert [json.loads(item) for item in stored("target")] == [
        {"id": {"S": "a"}, "number": {"N": "1"}, "last": {"BOOL": True}},
        {"id": {"S": "e"}, "number": {"N": "3"}},
    ]


@pytest.mark.parametrize("on", ["threads", "processes"])
def test_items_of_one_key_are_stored_in_the_order_of_the_file(run, source, stored, on):
    """Many chunks of which each two have keys in common, and more workers than chunks under way."""
    lines = [json.dumps({"id": f"k{at % 61}", "number": 1, "at": at}) for at in range(1_500)]
    Path("items.jsonl").write_text("\n".join(lines))
    ran = run("import", "target", "items.jsonl", "--yes", "--on", on, "--workers", 3, "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out)["written"] == 1_500
    found = {json.loads(item)["id"]["S"]: int(json.loads(item)["at"]["N"]) for item in stored("target")}
    assert found == {f"k{at % 61}": at for at in range(1_500)}
    Path("first.jsonl").write_text("\n".join(line.replace('"k', '"new') for line in lines))
    ran = run("import", "target", "first.jsonl", "--yes", "--if-absent", "--on", on, "--workers", 3, "--json")
    assert (ran.code, json.loads(ran.out)["written"]) == (1, 61), ran
    found = [json.loads(item) for item in stored("target")]
    assert {int(item["at"]["N"]) for item in found if item["id"]["S"].startswith("new")} == {*range(61)}


def test_with_if_absent_nothing_is_replaced_and_its_own_items_count_as_done(run, source, stored):
    run("export", "source", "items.jsonl")
    assert run("import", "target", "items.jsonl", "--yes", "--if-absent").code == 0
    before = stored("target")
    ran = run("import", "target", "items.jsonl", "--yes", "--if-absent", "--json")
    assert (ran.code, json.loads(ran.out)["written"]) == (0, COUNT)
    Path("more.jsonl").write_text('{"id":"p0","number":0,"note":"mine"}\n{"id":"new","number":1}\n')
    ran = run("import", "target", "more.jsonl", "--yes", "--if-absent", "--json")
    assert (ran.code, json.loads(ran.out)["refused"]) == (1, 1)
    assert "another item with its key" in ran.err
    assert len(stored("target")) == len(before) + 1


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_that_is_killed_goes_on(process, run, source, stored, tmp_path, name):
    """Killed when a part of it counts, and once more while it goes on: the file is whole, once."""
    fill(source, 1200, size=200)
    arguments = ("export", "source", "items.out", "--format", name, "--segments", 3)
    first = process(*arguments, "--rate", 120)  # ten seconds, of which a part takes five
    wait_for(lambda: done(tmp_path / "items.out.parts") > 0, first)
    first.kill()
    first.wait(60)
    second = process(*arguments, "--rate", 120)
    assert b"going on behind" in second.stderr.readline()
    second.kill()
    second.wait(60)
    assert not (tmp_path / "items.out").exists()
    ran = run(*arguments, "--json")
    assert ran.code == 0, ran
    assert re.search(r"going on behind [\d,]+ items", ran.err)
    assert json.loads(ran.out)["items"] == 1200
    assert run("import", "target", "items.out", "--format", name, "--yes").code == 0
    assert stored("target") == stored("source")


def done(folder):
    try:
        lines = (folder / "checkpoint.jsonl").read_text().splitlines()[1:]
    except FileNotFoundError:
        return 0
    return sum(json.loads(line)["items"] for line in lines if line.endswith("}"))


def wait_for(true, child):
    end = time.monotonic() + 60
    while not true():
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_import_that_is_stopped_goes_on(process, run, source, stored, tmp_path, number):
    fill(source, 4000, size=2)
    run("export", "source", "items.jsonl")
    place = tmp_path / f".items.jsonl.import-{source.config.table_prefix}target.checkpoint"
    child = process("import", "target", "items.jsonl", "--yes", "--rate", 800)  # five seconds
    wait_for(lambda: place.exists() and place.read_text().count("\n") > 1, child)
    child.send_signal(number)
    err = child.communicate(timeout=60)[1].decode()
    if number == signal.SIGKILL:
        assert child.returncode == -9
    else:
        assert child.returncode == 130
        assert "interrupted: the same command goes on" in err
        assert "Traceback" not in err
    assert 0 < len(stored("target")) < 4000
    ran = run("import", "target", "items.jsonl", "--yes", "--json")
    assert ran.code == 0
    assert "going on behind" in ran.err
    assert json.loads(ran.out) | {"table": ""} == {"table": "", "read": 4000, "written": 4000, "refused": 0}
    assert stored("target") == stored("source")
    assert not place.exists()


def stopped_import(process, stored, tmp_path, prefix):
    place = tmp_path / f".items.jsonl.import-{prefix}target.checkpoint"
    child = process("import", "target", "items.jsonl", "--yes", "--rate", 800)  # five seconds
    wait_for(lambda: place.exists() and place.read_text().count("\n") > 1, child)
    child.kill()
    child.wait(60)
    # What the killed process had sent may still be at work in a server of many threads: wait for as long as more comes.
    before, now = -1, len(stored("target"))
    while now != before:
        time.sleep(1)
        before, now = now, len(stored("target"))


def test_an_import_never_goes_on_in_a_table_that_was_made_anew(process, run, refused, source, stored, tmp_path):
    fill(source, 4000, size=2)
    run("export", "source", "items.jsonl")
    stopped_import(process, stored, tmp_path, source.config.table_prefix)
    source.tables.delete(Target)
    source.tables.ensure(Target)
    told = refused(2, "import", "target", "items.jsonl", "--yes")
    assert "another table" in told
    assert "--restart" in told
    assert stored("target") == []
    assert run("import", "target", "items.jsonl", "--yes", "--restart").code == 0
    assert stored("target") == stored("source")


def test_a_table_is_known_by_its_account_and_its_id_and_not_by_its_endpoint(source, engine):
    """Two accounts have tables of one name at one endpoint, and one server has several names."""
    target = Table(source, "target")
    assert Table(source, "target").place == target.place != Table(source, "source").place
    other_name = engine.endpoint.replace("127.0.0.1", "localhost")
    with DB(Presets.local_development(endpoint=other_name, table_prefix=source.config.table_prefix)) as db:
        assert (Table(db, "target").place == target.place) == (target.shape.id is not None)  # DynamoDB Local gives none
    source.tables.delete(Target)
    source.tables.ensure(Target)
    assert Table(source, "target").place != target.place


def test_an_export_tells_when_its_first_run_began(process, run, source, tmp_path):
    fill(source, 800, size=200)
    before = datetime.now(UTC)
    child = process("export", "source", "items", "--format", "dynamodb-json", "--segments", 2, "--rate", 80)
    wait_for(lambda: done(tmp_path / "items.parts") > 0, child)
    child.kill()
    child.wait(60)
    stopped = datetime.now(UTC)
    assert run("export", "source", "items", "--format", "dynamodb-json", "--segments", 2).code == 0
    summary = json.loads(Path("items/manifest-summary.json").read_text())
    began, ended = (datetime.fromisoformat(summary[name]) for name in ("startTime", "endTime"))
    assert before - timedelta(milliseconds=1) <= began < stopped <= ended + timedelta(milliseconds=1)
    assert summary["exportTime"] == summary["startTime"]


def test_two_runs_never_share_a_checkpoint(process, run, refused, source, stored, tmp_path):
    fill(source, 2000, size=60)
    child = process("export", "source", "items.jsonl", "--segments", 2, "--rate", 300)
    place = tmp_path / "items.jsonl.parts/checkpoint.jsonl"
    wait_for(lambda: place.exists() and place.stat().st_size > 0, child)
    told = refused(2, "export", "source", "items.jsonl", "--segments", 2)
    assert "in use" in told
    assert "in use" in refused(2, "export", "source", "items.jsonl", "--segments", 2, "--restart")
    child.kill()
    child.wait(60)
    assert run("export", "source", "items.jsonl", "--segments", 2).code == 0
    assert len(Path("items.jsonl").read_text().splitlines()) == 2000
    place = tmp_path / f".items.jsonl.import-{source.config.table_prefix}target.checkpoint"
    child = process("import", "target", "items.jsonl", "--yes", "--rate", 300)
    wait_for(lambda: place.exists() and place.stat().st_size > 0, child)
    assert "in use" in refused(2, "import", "target", "items.jsonl", "--yes")
    child.kill()
    child.wait(60)
    assert run("import", "target", "items.jsonl", "--yes").code == 0
    assert stored("target") == stored("source")


def test_a_folder_of_somebody_else_is_left_alone(refused, source, tmp_path):
    folder = tmp_path / "items.jsonl.parts"
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    for more in ((), ("--restart",)):
        assert "is of no export" in refused(2, "export", "source", "items.jsonl", *more)
    assert (folder / "mine.txt").read_text() == "mine"


def test_what_an_export_left_behind_its_end_makes_no_old_file(run, source, tmp_path, monkeypatch):
    """The command was killed after the file had got its name, and before its parts were gone."""
    with monkeypatch.context() as patched:
        patched.setattr(exporting.shutil, "rmtree", lambda *_, **__: None)
        assert run("export", "source", "items.jsonl").code == 0
    assert (tmp_path / "items.jsonl.parts").is_dir()
    Path("items.jsonl").unlink()
    Path("items.jsonl.manifest.json").unlink(missing_ok=True)
    fill(source, COUNT + 1)
    ran = run("export", "source", "items.jsonl", "--json")
    assert (ran.code, json.loads(ran.out)["items"]) == (0, COUNT + 1)
    assert not (tmp_path / "items.jsonl.parts").exists()


def test_work_goes_on_where_nobody_reads_what_is_told_beside_it(process, run, source, stored):
    fill(source, 4000, size=2)
    run("export", "source", "items.jsonl")
    reading, writing = os.pipe()
    child = process("import", "target", "items.jsonl", "--yes", "--rate", 600, stderr=writing)
    os.close(writing)
    os.close(reading)
    assert child.wait(60) == 0
    assert stored("target") == stored("source")
    reading, writing = os.pipe()
    os.close(reading)
    child = process("get", "nowhere", "x", stderr=writing)
    os.close(writing)
    assert child.wait(60) == 3


def test_a_pipe_is_no_file_of_csv(refused, source, tmp_path):
    os.mkfifo(tmp_path / "items.csv")
    assert "save it first" in refused(2, "import", "target", "items.csv", "--yes")


def test_a_run_with_other_arguments_is_refused(process, run, refused, source, tmp_path):
    child = process("export", "source", "items.jsonl", "--segments", 2, "--rate", 50)
    wait_for(
        lambda: done(tmp_path / "items.jsonl.parts") > 0 or (tmp_path / "items.jsonl.parts/checkpoint.jsonl").exists(),
        child,
    )
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130
    told = refused(2, "export", "source", "items.jsonl", "--segments", 3)
    assert "another segments" in told
    assert "--restart" in told
    assert run("export", "source", "items.jsonl", "--segments", 3, "--restart").code == 0


def test_a_part_that_was_changed_is_found(process, run, source, tmp_path):
    fill(source, 800, size=200)
    child = process("export", "source", "items.jsonl", "--segments", 2, "--rate", 80)
    folder = tmp_path / "items.jsonl.parts"
    wait_for(lambda: done(folder) > 0, child)
    child.kill()
    child.wait(60)
    line = json.loads((folder / "checkpoint.jsonl").read_text().splitlines()[1])
    part = folder / "data" / line["part"]
    part.write_bytes(b"x" + part.read_bytes()[1:])
    ran = run("export", "source", "items.jsonl", "--segments", 2)
    assert ran.code == 1
    assert "was changed since it was written" in ran.err.splitlines()[-1]
    assert not (tmp_path / "items.jsonl").exists()


def test_a_table_is_copied_there_and_elsewhere(run, refused, source, stored, tmp_path):
    assert "--yes" in refused(2, "copy", "source", "target")
    ran = run("copy", "source", "target", "--yes", "--json", "--segments", 3)
    assert ran.code == 0, ran
    assert json.loads(ran.out) | {"table": ""} == {"table": "", "read": COUNT, "written": COUNT, "refused": 0}
    assert stored("target") == stored("source")
    assert list(tmp_path.iterdir()) == []
    assert "onto itself" in refused(2, "copy", "source", "source", "--yes")
    assert "does not exist" in refused(3, "copy", "source", "nowhere", "--yes")
    with (
        SharedEngine() as other,
        DB(Presets.local_development(endpoint=other.endpoint, table_prefix="there-")) as elsewhere,
    ):
        elsewhere.tables.ensure(Target)
        ran = run("copy", "source", "target", "--to-endpoint", other.endpoint, "--to-prefix", "there-", "--yes")
        assert ran.code == 0, ran
        assert elsewhere.model(Target).allow_scan().count() == COUNT


def test_a_copy_that_is_killed_goes_on(process, run, source, stored, tmp_path):
    fill(source, 2000, size=200)
    arguments = ("copy", "source", "target", "--yes", "--segments", 2)
    child = process(*arguments, "--rate", 600)
    prefix = source.config.table_prefix
    place = tmp_path / f".dynamorm-copy-{prefix}source-{prefix}target.checkpoint"
    wait_for(lambda: place.exists() and place.read_text().count("\n") > 1, child)
    child.kill()
    child.wait(60)
    ran = run(*arguments, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["read"] == 2000
    assert stored("target") == stored("source")


def test_a_busy_service_is_waited_for_and_then_left_with_a_way_back(run, source, tmp_path, engine, monkeypatch, stored):
    """Of an engine that refuses everything for a while, and for good."""
    faults = getattr(engine, "faults", None)
    if faults is None:
        pytest.skip("this engine has no faults")
    run("export", "source", "items.jsonl")
    with faults.throttle(op="BatchWriteItem", times=30):
        assert run("import", "target", "items.jsonl", "--yes").code == 0
    assert stored("target") == stored("source")
    with faults.throttle(op="Scan"):
        ran = run("export", "source", "again.jsonl", "--patience", 0)
    assert ran.code == 5, ran
    assert "stopped half-way, the same command goes on" in ran.err
    assert run("export", "source", "again.jsonl").code == 0
    shutil.rmtree(tmp_path / "again.jsonl.parts", ignore_errors=True)


def test_types_of_columns_can_be_given(run, refused, source, stored):
    Path("items.csv").write_text("id,number,amount\na,1,2.5\n")
    assert run("import", "target", "items.csv", "--yes", "--types", "amount=N").code == 0
    assert json.loads(stored("target")[0])["amount"] == {"N": "2.5"}
    assert "NAME=TYPE" in refused(2, "import", "target", "items.csv", "--yes", "--types", "amount=X")
