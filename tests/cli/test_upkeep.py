"""``backfill``, ``cost``, ``doctor`` and ``local``."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from dynamorm import DB, Presets, VersionConflict
from dynamorm.adapters.cli import app
from dynamorm.features.raw import RawTable

from . import backfills
from .test_transfers import Source, fill, wait_for

pytestmark = pytest.mark.engine

HERE = "tests.cli.backfills"
COUNT = 300


@pytest.fixture
def source(db):
    db.tables.ensure(Source)
    fill(db, COUNT)
    yield db
    db.tables.delete(Source)


def test_a_dry_run_tells_and_changes_nothing(run, source, stored):
    before = stored("source")
    ran = run("backfill", "source", f"{HERE}:doubled", "--dry-run", "--json")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    assert (told["items"], told["changed"], told["unchanged"]) == (COUNT, 150, 150)
    assert told["attributes"] == {"double": 150, "note": 150}
    assert stored("source") == before


def test_a_function_that_forgets_to_give_its_item_back_is_told_once(run, source, stored):
    before = stored("source")
    ran = run("backfill", "source", f"{HERE}:forgetful", "--json")
    assert (ran.code, json.loads(ran.out)["unchanged"]) == (0, COUNT)
    assert ran.err.count("`return item` stores it") == 1
    assert stored("source") == before
    assert "return item" not in run("backfill", "source", f"{HERE}:nothing").err


def in_order(items):
    return sorted(items, key=lambda item: int(item["number"]["N"]))


def test_a_backfill_changes_what_the_function_changes_and_nothing_else(run, source, stored, tmp_path):
    before = [json.loads(item) for item in stored("source")]
    ran = run("backfill", "source", f"{HERE}:doubled", "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out)["changed"] == 150
    for old, new in zip(in_order(before), in_order(map(json.loads, stored("source"))), strict=True):
        number = int(old["number"]["N"])
        if number % 2 == 0:
            del old["note"]
            old["double"] = {"N": str(number * 2)}
        assert new == old
    again = json.loads(run("backfill", "source", f"{HERE}:doubled", "--json").out)
    assert (again["changed"], again["unchanged"]) == (0, COUNT)
    assert json.loads(run("backfill", "source", f"{HERE}:nothing", "--json").out)["unchanged"] == COUNT
    assert list(tmp_path.iterdir()) == []


def test_what_others_change_meanwhile_is_kept(run, source, stored, monkeypatch):
    """The function is asked again with what is stored now; an item that is gone is left."""
    raw = RawTable(source._session, source.config.table_prefix + "source")
    met, met_twice = [], []

    def meddling(item):
        name = (item["id"], item["number"])
        if item.get("note") == "by others":
            met_twice.append(item["number"])
        if name not in met:
            met.append(name)
            if item["number"] == 7:
                key = b'{"id":{"S":"p7"},"number":{"N":"7"}}'
                source._io.run(raw.delete(key, "id"))
            elif item["number"] == 8:  # an attribute that the function leaves alone
                changed = {"id": {"S": item["id"]}, "number": {"N": "8"}, "note": {"S": "by others"}}
                source._io.run(raw.put(json.dumps(changed).encode()))
            elif item["number"] < 5:
                changed = {"id": {"S": item["id"]}, "number": {"N": str(item["number"])}, "seen": {"N": "41"}}
                source._io.run(raw.put(json.dumps(changed).encode()))
        return {**item, "seen": item.get("seen", 0) + 1}

    monkeypatch.setattr(backfills, "meddling", meddling, raising=False)
    ran = run("backfill", "source", f"{HERE}:meddling", "--segments", 1, "--json")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    assert (told["changed"], told["gone"], told["refused"]) == (COUNT - 1, 1, 0)
    found = {int(item["number"]["N"]): item for item in map(json.loads, stored("source"))}
    assert 7 not in found
    assert found[8]["note"] == {"S": "by others"}
    assert met_twice == [8]
    assert all(found[number]["seen"] == {"N": "42"} for number in range(5))
    assert all(item["seen"] == {"N": "1"} for number, item in found.items() if number >= 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_backfill_that_is_stopped_goes_on(process, run, source, stored, tmp_path, number):
    child = process("backfill", "source", f"{HERE}:slow", "--segments", 2, "--rate", 60, env={"PYTHONPATH": ROOT})
    name = f".dynamorm-backfill-{source.config.table_prefix}source-{HERE}-slow.checkpoint"
    place = tmp_path / name
    wait_for(lambda: place.exists() and place.read_text().count("\n") > 1, child)
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode in {130, -9}
    ran = run("backfill", "source", f"{HERE}:slow", "--segments", 2, "--json")
    assert ran.code == 0, ran
    assert "going on behind" in ran.err
    assert json.loads(ran.out)["items"] == COUNT
    assert all(json.loads(item)["slow"] == {"BOOL": True} for item in stored("source"))


ROOT = str(Path(__file__).resolve().parents[2])


@pytest.mark.parametrize(
    ("code", "name", "says"),
    [
        (2, "tests.cli.backfills", "write module:function"),
        (2, f"{HERE}:missing", "no function 'missing'"),
        (2, f"{HERE}:number", "no function 'number'"),
        (2, "nowhere:f", "no module 'nowhere'"),
        (1, f"{HERE}:moved", "'number', which is in the key"),
        (5, f"{HERE}:failing", "raised KeyError: mend it"),
        (5, f"{HERE}:leaving", "raised SystemExit: mend it"),
        (2, f"{HERE}:wrong", "gave a list"),
        (5, f"{HERE}:unstorable", "'bad' must be"),
    ],
)
def test_a_function_that_will_not_do(run, source, stored, code, name, says):
    before = stored("source")
    ran = run("backfill", "source", name)
    assert ran.code == code, ran
    assert says in ran.err
    assert ran.out == ""
    assert stored("source") == before


def test_the_cost_of_a_table(run, refused, source):
    ran = run("cost", "source", "--reads", 1_000_000, "--writes", 1_000_000, "--json")
    assert ran.code == 0, ran
    parts = {row["part"]: row["dollars_a_month"] for row in map(json.loads, ran.lines)}
    assert (parts["reads"], parts["writes"]) == ("0.1250", "0.6250")
    assert float(parts["total"]) >= 0.75
    assert "prices of us-east-1" in ran.err
    assert "total" in run("cost", "source").out
    refused(3, "cost", "nowhere")
    refused(2, "cost", "source", "--reads", "-1")


def test_the_doctor_looks_at_each_step(run, source, refused, monkeypatch):
    ran = run("doctor", "source", "--json")
    assert ran.code == 0, ran
    found = {row["step"]: row for row in map(json.loads, ran.lines)}
    steps = ["settings", "connection", "credentials", "clock", "table", "GetItem", "BatchGetItem", "Query", "Scan"]
    assert list(found) == [*steps, "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem", "BatchWriteItem"]
    assert all(row["ok"] for row in found.values())
    assert "id (S), number (N)" in found["table"]["text"]

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
    ran = run("doctor")
    assert "ends with MPLE" in ran.out
    assert "AKIA" not in ran.out + ran.err
    assert "the-secret" not in ran.out + ran.err

    ran = run("doctor", "nowhere")
    assert ran.code == 3
    assert "FAIL table" in ran.out
    ran = run("doctor", "source", "--endpoint", "http://127.0.0.1:1")
    assert ran.code == 4
    assert "FAIL connection" in ran.out
    ran = run("doctor", "--endpoint", "http://example.com")
    assert ran.code == 4
    assert "FAIL settings" in ran.out


def test_a_service_that_refuses_is_told_with_what_to_do(run, source, engine):
    faults = getattr(engine, "faults", None)
    if faults is None:
        pytest.skip("this engine has no faults")
    with faults.error("AccessDeniedException", op="Scan"):
        ran = run("doctor", "source")
        assert ran.code == 1
        assert "FAIL Scan" in ran.out
        assert "ok   Query" in ran.out
        assert run("scan", "source").code == 1


def test_an_engine_is_served(process, prefix):
    child = process("local", "--port", 0)
    line = child.stdout.readline().decode()
    endpoint = line.split()[2].rstrip(",")
    with DB(Presets.local_development(endpoint=endpoint)) as db:
        assert db.tables.names() == []
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 130


def test_commands_of_their_own_are_listed_and_reached(run, monkeypatch):
    listed = run("--help").out
    for name in ("local", "top", "dashboard", "license", "backfill", "doctor", "cost"):
        assert f"\n  {name} " in listed
    assert app.main(["license"]) == 1, "as it is reached behind the options of the application"
    assert run("license").code == 1


def test_a_backfill_stores_the_newest_schema_version_of_every_item(run, db, stored):
    db.tables.ensure(backfills.FormerPerson)
    try:
        for number in range(20):
            db.create(backfills.FormerPerson(id=f"p{number}", name=f"Ann Lee{number}"))
        held = db.require(backfills.Person, "p3")
        db.create(backfills.Person(id="new", first="Bob"))
        told = json.loads(run("backfill", "people", f"{HERE}:newest", "--json").out)
        assert (told["changed"], told["unchanged"]) == (20, 1)
        assert all(json.loads(item)["_sv"] == {"N": "2"} for item in stored("people"))
        db.update(backfills.Person, "p3", backfills.Person.first.set("Cy"))
        found = db.require(backfills.Person, "p3")
        assert (found.first, found.last, found.version) == ("Cy", "Lee3", 2)
        held.first = "late"
        with pytest.raises(VersionConflict):
            db.save(held)
        again = json.loads(run("backfill", "people", f"{HERE}:newest", "--json").out)
        assert (again["changed"], again["unchanged"]) == (0, 21)
    finally:
        db.tables.delete(backfills.Person)
