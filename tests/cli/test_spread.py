"""Long commands on threads, processes and a cluster: a worker that is killed loses nothing, and doubles nothing."""

from __future__ import annotations

import json
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import psutil
import pytest

from dynamorm.adapters import whole_tables

from . import backfills, vault
from .test_transfers import FORMATS, Source, Target, fill

pytestmark = pytest.mark.engine

ROOT = str(Path(__file__).resolve().parents[2])
COUNT = 1_500
RATE = ("--rate", 500)
"""Items a second: three seconds, in which a worker is found and killed."""
DB = ("--db", "tests.cli.vault:open_db")
PAYMENT, CARD = "tests.cli.vault:Payment", "tests.cli.vault:Card"


@pytest.fixture
def source(db):
    db.tables.ensure(Source, Target)
    fill(db, COUNT, size=20)
    yield db
    db.tables.delete(Source, Target)


@pytest.fixture
def killing(process):
    """Runs a command whose workers are processes, and kills one of them while it works."""

    def killing(*arguments):
        child = process(*arguments, "--on", "processes", "--workers", 2, "--json", env={"PYTHONPATH": ROOT})
        kill_one(child.pid, child)
        out, err = child.communicate(timeout=100)
        assert b"Traceback" not in err, err.decode()
        assert child.returncode == 0, err.decode()
        return json.loads(out.splitlines()[-1])

    return killing


def kill_one(pid, child):
    """Kill a worker of a command that has a connection to the engine: it has begun with its work."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert child.poll() is None, child.communicate()
        for one in psutil.Process(pid).children(recursive=True):
            try:
                if "spawn_main" in " ".join(one.cmdline()) and one.net_connections():
                    one.kill()
                    return
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.01)
    pytest.fail("no worker began")


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_goes_to_a_file_and_comes_back_by_processes(run, source, stored, name):
    on = ("--on", "processes", "--workers", 2)
    ran = run("export", "source", "items.out", "--format", name, "--segments", 3, *on, "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out)["items"] == COUNT
    assert "read units" in ran.err
    ran = run("import", "target", "items.out", "--format", name, "--yes", *on, "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out) | {"table": ""} == {"table": "", "read": COUNT, "written": COUNT, "refused": 0}
    assert stored("target") == stored("source")


def test_an_export_whose_worker_is_killed(killing, run, source, stored):
    told = killing("export", "source", "items.jsonl", "--segments", 4, *RATE)
    assert told["items"] == COUNT
    assert len({*Path("items.jsonl").read_text().splitlines()}) == COUNT
    assert run("import", "target", "items.jsonl", "--yes").code == 0
    assert stored("target") == stored("source")


def test_an_import_whose_worker_is_killed(killing, run, source, stored):
    assert run("export", "source", "items.jsonl").code == 0
    told = killing("import", "target", "items.jsonl", "--yes", *RATE)
    assert (told["read"], told["written"], told["refused"]) == (COUNT, COUNT, 0)
    assert stored("target") == stored("source")


def test_a_copy_whose_worker_is_killed(killing, source, stored):
    told = killing("copy", "source", "target", "--yes", "--segments", 3, *RATE)
    assert (told["read"], told["written"]) == (COUNT, COUNT)
    assert stored("target") == stored("source")


def test_a_backfill_whose_worker_is_killed(killing, source, stored):
    told = killing("backfill", "source", "tests.cli.backfills:once", "--segments", 3, *RATE)
    assert told["items"] == COUNT
    found = [json.loads(item) for item in stored("source")]
    assert {item["times"]["N"] for item in found} == {"1"}


@pytest.fixture
def program(prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("VAULT_KEYS", str(tmp_path / "keys"))
    with vault.open_db() as db:
        vault.fill(db, 60)
        yield db
        db.tables.delete(vault.Payment, vault.Card, force=True)


@pytest.mark.parametrize("on", ["threads", "processes"])
def test_keys_are_written_anew_and_records_verified_in_segments(run, program, prefix, on):
    where = ("--on", on, "--workers", 2, "--segments", 3, *DB, "--json")
    assert run("keys", "rotate", "pci", CARD, *DB, "--yes").code == 0
    ran = run("keys", "reencrypt", CARD, "--yes", *where)
    told = json.loads(ran.out)
    assert (told["items"], told["rewritten"], told["failed"]) == (60, 60, 0), ran
    again = json.loads(run("keys", "reencrypt", CARD, "--yes", *where).out)
    assert (again["items"], again["rewritten"]) == (60, 0)
    assert program.require(vault.Card, "c7").number == "4111111111111111"
    ran = run("audit", "verify", PAYMENT, *where)
    assert ran.code == 0, ran
    assert "60 items" in ran.err


def test_functions_do_what_commands_do(source, stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = source.config.replace(engine=None)
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2, get_context("spawn")) as processes:
        done = whole_tables.export("source", "items.csv", segments=3, on=processes, config=config)
        assert done["items"] == COUNT
        assert whole_tables.import_("target", "items.csv", on=threads, config=config)["written"] == COUNT
        assert stored("target") == stored("source")
        assert whole_tables.copy("target", "source", on="threads", config=config)["written"] == COUNT
        assert whole_tables.backfill("source", backfills.once, on=processes, config=config)["changed"] == COUNT
        with pytest.raises(whole_tables.Stop, match="there already"):
            whole_tables.export("source", "items.csv", on=threads, config=config)
        with pytest.raises(whole_tables.Stop, match="is none of") as refused:
            whole_tables.export("source", "x.csv", on="nowhere", config=config)
    assert refused.value.code == 2


def test_functions_go_on_and_begin_anew_as_commands_do(source, stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = source.config.replace(engine=None)
    whole_tables.export("source", "items.jsonl", config=config)
    Path("far.txt").write_text("of somebody else\n")
    with pytest.raises(whole_tables.Stop, match=r"far\.txt"):
        whole_tables.import_("target", "items.jsonl", checkpoint="far.txt", config=config)
    assert Path("far.txt").read_text() == "of somebody else\n"
    with pytest.raises(whole_tables.Stop, match="rate=0"):
        whole_tables.import_("target", "items.jsonl", rate=0, config=config)
    with pytest.raises(whole_tables.Stop, match="patience=-1"):
        whole_tables.import_("target", "items.jsonl", patience=-1, config=config)
    assert stored("target") == []
    done = whole_tables.import_("target", "items.jsonl", rate=1e6, restart=True, checkpoint="far", config=config)
    assert done["written"] == COUNT
    assert stored("target") == stored("source")


@pytest.mark.parametrize(
    ("on", "says"),
    [
        ("nowhere", "is none of threads, processes, dask:ADDRESS"),
        ("dask", "is none of"),
        ("dask:", "is none of"),
        ("processes:2", "is none of"),
    ],
)
def test_who_is_to_do_it_is_checked(refused, source, on, says):
    assert says in refused(2, "export", "source", "x.jsonl", "--on", on)
    assert "--workers" in refused(2, "export", "source", "x.jsonl", "--workers", 0)


def test_a_cluster_that_does_not_answer(refused, source, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("dynamorm.adapters.cli.transfer.executors._PATIENCE", "1s")
    assert "no Dask scheduler answers" in refused(4, "export", "source", "x.jsonl", "--on", "dask:tcp://127.0.0.1:1")
    assert "no Dask scheduler answers" in refused(4, "export", "source", "x.jsonl", "--on", "dask:nothing at all")


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_a_dask_cluster_whose_workers_are_killed(process, run, source, program, stored):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=None, silence_logs=50
    ) as cluster:
        on = ("--on", f"dask:{cluster.scheduler_address}", "--workers", 2, "--json")

        def killing(*arguments):
            child = process(*arguments, *on, env={"PYTHONPATH": ROOT})
            worker = next(iter(cluster.workers.values()))
            before = worker.pid
            wait_until(lambda: cluster.scheduler_info["workers"] and executed(cluster) > 0)
            psutil.Process(before).kill()
            out, err = child.communicate(timeout=100)
            assert b"Traceback" not in err, err.decode()
            assert child.returncode == 0, err.decode()
            wait_until(lambda: len(cluster.scheduler_info["workers"]) == 2)
            return json.loads(out.splitlines()[-1])

        def executed(cluster):
            return sum(len(state.processing) + len(state.has_what) for state in cluster.scheduler.workers.values())

        assert killing("export", "source", "items.jsonl", "--segments", 4, "--rate", 600)["items"] == COUNT
        told = killing(
            "import", "target", "items.jsonl", "--yes", "--rate", 100
        )  # at 600 it may be over before it is seen
        assert (told["read"], told["written"], told["refused"]) == (COUNT, COUNT, 0)
        assert stored("target") == stored("source")
        assert killing("backfill", "target", "tests.cli.backfills:once", "--rate", 100)["items"] == COUNT
        assert {json.loads(item)["times"]["N"] for item in stored("target")} == {"1"}
        assert run("keys", "rotate", "pci", CARD, *DB, "--yes").code == 0
        told = json.loads(run("keys", "reencrypt", CARD, "--yes", *DB, *on).out)
        assert (told["items"], told["rewritten"]) == (60, 60)
        assert run("audit", "verify", PAYMENT, *DB, *on).code == 0


def wait_until(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
