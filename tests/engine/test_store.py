"""Snapshots, files and durability of the engine."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

from dynamorm.engine import Engine, engine_at
from dynamorm.engine.store import memory
from dynamorm.engine.store.file import FileStore
from dynamorm.engine.store.memory import MemoryStore
from dynamorm.errors import ConfigError

from .conftest import Asked, table


def put(ask, key, value="v", name="items"):
    ask.PutItem(TableName=name, Item={"id": {"S": key}, "v": {"S": value}})


def held(ask, name="items"):
    """What a table holds, in as many pages as that takes."""
    found, start = {}, {}
    while True:
        page = ask.Scan(TableName=name, **start)
        found |= {one["id"]["S"]: one["v"]["S"] for one in page["Items"]}
        if "LastEvaluatedKey" not in page:
            return found
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def test_a_snapshot_is_restored_as_often_as_one_likes(engine, ask):
    ask.CreateTable(**table("items", "id"))
    put(ask, "a")
    start = engine.snapshot()
    for _ in range(3):
        put(ask, "a", "changed")
        put(ask, "b")
        engine.restore(start)
        assert held(ask) == {"a": "v"}


def test_snapshots_are_restored_in_any_order(engine, ask):
    ask.CreateTable(**table("items", "id"))
    rng = random.Random(5)
    kept = []
    for step in range(300):
        if rng.random() < 0.15:
            kept.append((engine.snapshot(), held(ask)))
        if kept and rng.random() < 0.2:
            snapshot, expected = rng.choice(kept)
            engine.restore(snapshot)
            assert held(ask) == expected
        if len(kept) > 6:
            del kept[rng.randrange(len(kept))]
        key = str(rng.randrange(20))
        if rng.random() < 0.7:
            put(ask, key, str(step))
        else:
            ask.DeleteItem(TableName="items", Key={"id": {"S": key}})
    for snapshot, expected in rng.sample(kept, len(kept)):
        engine.restore(snapshot)
        assert held(ask) == expected


def test_a_snapshot_brings_back_tables_that_were_deleted_and_made_anew(engine, ask):
    ask.CreateTable(**table("items", "id"))
    put(ask, "a")
    older = engine.snapshot()
    ask.DeleteTable(TableName="items")
    ask.CreateTable(**table("items", "id"))
    put(ask, "b")
    newer = engine.snapshot()
    ask.DeleteTable(TableName="items")
    assert ask.ListTables()["TableNames"] == []
    engine.restore(newer)
    assert held(ask) == {"b": "v"}
    engine.restore(older)
    assert held(ask) == {"a": "v"}
    engine.restore(newer)
    assert held(ask) == {"b": "v"}


def test_a_snapshot_that_nobody_holds_costs_nothing(engine, ask):
    ask.CreateTable(**table("items", "id"))
    engine.snapshot()
    put(ask, "a")
    assert engine._store.versions.last() is None


def test_the_cost_of_a_restore_goes_by_what_was_written(engine, ask):
    ask.CreateTable(**table("items", "id"))
    for number in range(2000):
        put(ask, str(number))
    start = engine.snapshot()
    put(ask, "1", "changed")
    engine.restore(start)
    assert start._version.rows == {}
    assert held(ask)["1"] == "v"


def test_a_file_keeps_everything(tmp_path):
    path = tmp_path / "dev.db"
    with Engine(path) as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        put(ask, "a")
        token = {
            "ClientRequestToken": "t",
            "TransactItems": [{"Put": {"TableName": "items", "Item": {"id": {"S": "b"}, "v": {"S": "v"}}}}],
        }
        ask.TransactWriteItems(**token)
    with Engine(path, durability="power") as engine:
        ask = Asked(engine)
        assert held(ask) == {"a": "v", "b": "v"}
        ask.DeleteItem(TableName="items", Key={"id": {"S": "b"}})
        ask.TransactWriteItems(**token)  # the same token: nothing is written again
        assert held(ask) == {"a": "v"}
        engine.save(tmp_path / "copy.db")
    with Engine(tmp_path / "copy.db") as engine:
        assert held(Asked(engine)) == {"a": "v"}


def test_a_file_serves_one_engine_at_a_time(tmp_path):
    with Engine(tmp_path / "dev.db"), pytest.raises(ConfigError, match="in use by another engine"):
        Engine(tmp_path / "dev.db")
    Engine(tmp_path / "dev.db").close()


def foreign(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE notes (text)")
    other.close()


def half(path):
    with Engine(path) as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        for number in range(200):
            put(ask, str(number), "x" * 500)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def newer(path):
    Engine(path).close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version=99")
    other.close()


def text(path):
    path.write_text("no database at all\n" * 100)


@pytest.mark.parametrize("spoil", [foreign, half, newer, text], ids=lambda one: one.__name__)
def test_a_file_that_is_no_engines_is_refused_and_left_as_it_is(tmp_path, spoil):
    path = tmp_path / "some.db"
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"some\.db"):
        Engine(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be used for an engine"):
        Engine(tmp_path / "nowhere" / "dev.db")


def test_a_failing_disk_is_an_error_and_applies_nothing(tmp_path):
    with Engine(tmp_path / "dev.db") as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        put(ask, "a")
        engine._store._connection.execute("PRAGMA max_page_count=1")
        for number in range(200):
            status, body = engine.handle(
                "PutItem",
                json.dumps({"TableName": "items", "Item": {"id": {"S": f"k{number}"}, "v": {"S": "x" * 900}}}).encode(),
            )
            if status != 200:
                break
        assert status == 500
        assert json.loads(body)["__type"].endswith("InternalServerError")
        assert f"k{number}" not in held(ask)
        assert held(ask)["a"] == "v"


def test_a_wrong_durability_is_refused():
    with pytest.raises(ConfigError, match="durability"):
        Engine(durability="none")


def test_a_closed_engine_says_so():
    engine = Engine()
    engine.close()
    engine.close()
    assert engine.closed
    with pytest.raises(ConfigError, match="closed"):
        engine.handle("ListTables", b"{}")


def test_an_engine_is_found_by_its_address():
    engine = Engine()
    assert engine_at(engine.address) is engine
    assert engine_at("http://engine-000000000000.localhost:8000") is None
    engine.close()


WRITER = textwrap.dedent(
    """
    import json, sys
    from dynamorm.engine import Engine
    engine = Engine(sys.argv[1])
    number = int(sys.argv[2])
    while True:
        number += 1
        writes = [{"Put": {"TableName": "items", "Item": {"id": {"S": f"{number}-{half}"}, "v": {"S": "v"}}}} for half in "ab"]
        status, body = engine.handle("TransactWriteItems", json.dumps({"TransactItems": writes}).encode())
        assert status == 200, body
        print(number, flush=True)
    """
)


@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path, kills):
    path, acknowledged = tmp_path / "dev.db", 0
    with Engine(path) as engine:
        Asked(engine).CreateTable(**table("items", "id"))
    rng = random.Random(7)
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(acknowledged + 1000)], stdout=subprocess.PIPE
        )
        lines = [process.stdout.readline()]
        time.sleep(rng.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
        process.wait()
        process.stdout.close()
        seen = [int(line) for line in lines if line.strip()]
        acknowledged = seen[-1]
        with Engine(path) as engine:
            ids = set(held(Asked(engine)))
        assert {f"{number}-{half}" for number in seen for half in "ab"} <= ids
        assert all(f"{one[:-1]}{'b' if one[-1] == 'a' else 'a'}" in ids for one in ids)  # no transaction by halves


@pytest.mark.parametrize("make", [MemoryStore, FileStore])
def test_maps_are_ordered_by_their_bytes(make, monkeypatch):
    monkeypatch.setattr(memory, "MOST", 8)  # blocks of few keys: there are many
    monkeypatch.setattr(memory, "STEP", 3)
    rng = random.Random(3)
    store = make()
    of = store.map()
    keys = [os.urandom(size) for size in (1, 2, 3, 9, 20) for _ in range(20)]
    known = {}
    for step in range(3000):
        key = rng.choice(keys)
        new = (step, b"%d" % step) if rng.random() < 0.6 else None
        store.apply([(of, key, known.get(key), new)])
        if new is None:
            known.pop(key, None)
        else:
            known[key] = new
        assert of.get(key) == new
        if step % 10 == 0:
            low, high = sorted((rng.choice([b"", *keys]), rng.choice([*keys, b"\xff" * 30])))
            expected = [(key, *known[key]) for key in sorted(known) if low <= key < high]
            assert list(of.range(low, high)) == expected
            assert list(of.range(low, high, backwards=True)) == expected[::-1]
            assert of.find_size(low, high) == sum(size for _, size, _ in expected)
            assert of.counted() == (len(known), sum(size for size, _ in known.values()))
    for key, row in known.items():
        store.apply([(of, key, row, None)])
    assert list(of.range(b"", b"\xff" * 30)) == list(of.range(b"", b"\xff" * 30, backwards=True)) == []
    store.close()


@pytest.mark.parametrize("at", range(1, 30))
def test_changes_in_memory_are_made_together_or_not_at_all(at, monkeypatch):
    monkeypatch.setattr(memory, "MOST", 4)
    store = MemoryStore()
    of = store.map()
    before = {b"%d" % number: (number, b"old") for number in range(10)}
    store.apply([(of, key, None, row) for key, row in before.items()])
    calls = 0

    def interrupted(frame, event, arg):
        nonlocal calls
        calls += event == "line"
        if calls == at:
            sys.settrace(None)
            raise KeyboardInterrupt
        return interrupted if frame.f_code.co_filename == memory.__file__ else None

    changes = [(of, b"%d" % number, before.get(b"%d" % number), (1, b"new")) for number in range(5, 15)]
    changes[2] = (of, b"2", before[b"2"], None)
    sys.settrace(interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.make(changes)
    sys.settrace(None)
    assert list(of.range(b"", b"\xff")) == [(key, *before[key]) for key in sorted(before)]
    assert {key: of.get(key) for key in before} == before
    store.close()


def test_memory_and_a_file_answer_alike(tmp_path):
    rng = random.Random(11)
    with Engine() as one, Engine(tmp_path / "dev.db") as other:

        def both(operation, **request):
            body = json.dumps(request).encode()
            answers = [engine.handle(operation, body) for engine in (one, other)]
            assert answers[0] == answers[1]
            return json.loads(answers[0][1])

        for engine in (one, other):
            Asked(engine).CreateTable(**table("items", "pk", "sk"))
        for number in range(60):
            size = rng.choice([10, 1000, 390_000])
            item = {"pk": {"S": "p"}, "sk": {"S": f"{number:03}"}, "v": {"S": "x" * size}}
            both("PutItem", TableName="items", Item=item)
        for limit in (1, 2, 7, 60, 61, 500, None):
            for forward in (True, False):
                request = {
                    "TableName": "items",
                    "KeyConditionExpression": "pk = :p",
                    "ExpressionAttributeValues": {":p": {"S": "p"}},
                    "ScanIndexForward": forward,
                    **({"Limit": limit} if limit else {}),
                }
                found, pages = [], 0
                while True:
                    page = both("Query", **request)
                    assert len(page["Items"]) == page["Count"] <= (limit or 60)
                    assert len(json.dumps(page["Items"])) < 1024 * 1024 + 10_000
                    found += [item["sk"]["S"] for item in page["Items"]]
                    pages += 1
                    if "LastEvaluatedKey" not in page:
                        break
                    request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
                assert found == sorted(found, reverse=not forward)
                assert len(found) == 60
                assert pages > 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_process_has_a_copy_of_memory_and_leaves_the_file_to_its_parent(tmp_path):
    with Engine() as memory, Engine(tmp_path / "dev.db") as file:
        for engine in (memory, file):
            Asked(engine).CreateTable(**table("items", "id"))
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            code = 1
            try:
                put(Asked(memory), "child")
                assert held(Asked(memory)) == {"child": "v"}
                try:
                    file.handle("ListTables", b"{}")
                except ConfigError:
                    code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert held(Asked(memory)) == {}
        put(Asked(file), "parent")


def test_a_folder_is_no_file_of_an_engine(tmp_path):
    with pytest.raises(ConfigError, match="is a folder"):
        Engine(tmp_path)
    assert not tmp_path.with_name(f"{tmp_path.name}.lock").exists()
