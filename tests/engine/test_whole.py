"""What an engine holds stays whole: restores, refusals, interruptions, and uses that are not allowed."""

import gc
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref

import pytest

from dynamorm.engine import Engine
from dynamorm.errors import ConfigError, InvalidUse

from .conftest import Asked, Failed, index, table


@pytest.fixture(params=["memory", "file"])
def engine(request, tmp_path):
    with Engine(None if request.param == "memory" else tmp_path / "dev.db") as made:
        yield made


def make(ask, name="items"):
    """A table of five items, whose index has all of them."""
    ask.CreateTable(**table(name, "id", types={"g": "S"}, on_global=[index("by_g", "g")]))
    for number in range(5):
        put(ask, str(number), name)


def put(ask, key, name="items"):
    ask.PutItem(TableName=name, Item={"id": {"S": key}, "g": {"S": "g"}})


def keys(ask, name="items", of=None):
    """The keys of the items of a table, or of one of its indexes."""
    found = ask.Scan(TableName=name, **({"IndexName": of} if of else {}))
    return sorted(item["id"]["S"] for item in found["Items"])


FIVE = list("01234")


def test_a_table_that_a_restore_brought_back_outlives_what_is_deleted_later(engine, ask):
    make(ask)
    make(ask, "other")
    start = engine.snapshot()
    ask.DeleteTable(TableName="items")
    engine.restore(start)
    del start
    ask.DeleteTable(TableName="other")
    assert keys(ask) == keys(ask, of="by_g") == FIVE
    put(ask, "5")
    assert keys(ask) == keys(ask, of="by_g") == [*FIVE, "5"]


def test_an_index_that_a_restore_brought_back_outlives_what_is_deleted_later(engine, ask):
    make(ask)
    make(ask, "other")
    start = engine.snapshot()
    ask.UpdateTable(TableName="items", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by_g"}}])
    engine.restore(start)
    del start
    ask.DeleteTable(TableName="other")
    put(ask, "5")
    assert keys(ask, of="by_g") == [*FIVE, "5"]


def test_what_a_snapshot_has_outlives_what_is_deleted_until_it_is_released(engine, ask):
    make(ask)
    make(ask, "other")
    make(ask, "third")
    start = engine.snapshot()
    ask.DeleteTable(TableName="items")
    ask.DeleteTable(TableName="other")
    engine.restore(start)
    assert keys(ask) == keys(ask, "other") == FIVE
    ask.DeleteTable(TableName="items")
    del start
    before = len(engine._store.numbers)
    ask.DeleteTable(TableName="third")
    assert len(engine._store.numbers) == before - 4  # the items and the index of each of both
    assert keys(ask, "other") == FIVE


def test_an_update_of_a_table_that_is_refused_changes_nothing(engine, ask):
    make(ask)
    make(ask, "other")
    wrong = {"Update": {"IndexName": "nope", "OnDemandThroughput": {"MaxReadRequestUnits": 1}}}
    for first in (
        {"Delete": {"IndexName": "by_g"}},
        {"Create": index("new", "g")},
    ):
        numbers = set(engine._store.numbers)
        with pytest.raises(Failed, match="nope"):
            ask.UpdateTable(TableName="items", GlobalSecondaryIndexUpdates=[first, wrong])
        assert engine._store.numbers == numbers
    ask.DeleteTable(TableName="other")
    put(ask, "5")
    assert keys(ask, of="by_g") == [*FIVE, "5"]


def test_a_snapshot_of_another_engine_is_refused_and_changes_nothing(engine, ask):
    make(ask)
    with Engine() as other:
        far = Asked(other)
        make(far)
        put(far, "far")
        theirs = other.snapshot()
        put(far, "later")
        with pytest.raises(ConfigError, match="another engine"):
            engine.restore(theirs)
        assert keys(ask) == FIVE
        assert keys(far) == [*FIVE, "far", "later"]
        other.restore(theirs)
        assert keys(far) == [*FIVE, "far"]


def test_a_closed_engine_refuses_everything(engine, ask, tmp_path):
    make(ask)
    start = engine.snapshot()
    engine.close()
    for use in (
        engine.snapshot,
        lambda: engine.restore(start),
        engine.expire_now,
        lambda: engine.save(tmp_path / "copy.db"),
        lambda: engine.session_of("key"),
        lambda: engine.denial("ListTables", b"{}", "key"),
        lambda: engine.handle("TrentService.ListKeys", b"{}"),
        lambda: engine.handle("", b"Action=GetCallerIdentity"),
        lambda: engine.handle("ListTables", b"{}"),
        engine.serve,
    ):
        with pytest.raises(ConfigError, match="closed"):
            use()
    assert not (tmp_path / "copy.db").exists()


def keys_and_index(ask):
    return keys(ask), keys(ask, of="by_g")


class Interrupted(BaseException):
    """What a handler of a signal raises."""


def interrupted(at, work):
    """Do a work that is interrupted at a line of the engine. Returns whether it went on to its end."""
    lines = 0

    def trace(frame, event, arg):
        nonlocal lines
        if os.sep + "engine" + os.sep not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return None
        lines += event == "line"
        if lines == at:
            sys.settrace(None)
            raise Interrupted
        return trace

    sys.settrace(trace)
    try:
        work()
    except Interrupted:
        return False
    finally:
        sys.settrace(None)
    return True


def every_line(work, step=5):
    """Numbers of lines, some apart, until a work is not interrupted any more."""
    at, done = 0, False
    while not done:
        at += step
        done = interrupted(at, work)
        yield at
    assert at > 30


def test_an_index_is_made_whole_or_not_at_all(engine, ask):
    make(ask)

    def update():
        ask.UpdateTable(
            TableName="items",
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "g")],
            GlobalSecondaryIndexUpdates=[{"Create": index("new", "g")}],
        )

    start = engine.snapshot()
    for _ in every_line(update):
        found = ask.DescribeTable(TableName="items")["Table"]["GlobalSecondaryIndexes"]
        if any(one["IndexName"] == "new" for one in found):
            assert keys(ask, of="new") == FIVE
        put(ask, "5")
        engine.restore(start)
    assert keys_and_index(ask) == (FIVE, FIVE)


def test_a_deleted_table_is_whole_or_gone(engine, ask):
    make(ask)
    start = engine.snapshot()
    for _ in every_line(lambda: ask.DeleteTable(TableName="items")):
        if ask.ListTables()["TableNames"]:
            assert keys_and_index(ask) == (FIVE, FIVE)
        else:
            with pytest.raises(Failed, match="not found"):
                keys(ask)
        engine.restore(start)
    assert keys_and_index(ask) == (FIVE, FIVE)


@pytest.mark.parametrize("target", range(3))
def test_a_restore_that_is_interrupted_leaves_every_snapshot_as_it_is(engine, ask, target):
    make(ask)
    snapshots = [engine.snapshot()]
    expected = [FIVE]
    for change in ("5", "6"):
        put(ask, change)
        ask.DeleteItem(TableName="items", Key={"id": {"S": "1"}})
        snapshots.append(engine.snapshot())
        expected.append(keys(ask))
    put(ask, "7")
    snapshots.append(engine.snapshot())
    expected.append(keys(ask))
    for _ in every_line(lambda: engine.restore(snapshots[target])):
        held = keys(ask)
        assert held in (expected[target], expected[3])
        assert keys(ask, of="by_g") == held
        put(ask, "8")
        for number in (1, 0, 2, 3):
            engine.restore(snapshots[number])
            assert keys_and_index(ask) == (expected[number], expected[number])


KILLED = textwrap.dedent(
    """
    import json, os, sys
    from dynamorm.engine import Engine
    from dynamorm.engine.store.file import FileStore
    engine = Engine(sys.argv[1])
    class Killing:
        def __init__(self, connection):
            self.connection, self.left = connection, 1500
        def execute(self, sql, *values):
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), 9)
            return self.connection.execute(sql, *values)
    engine._store._connection = Killing(engine._store._connection)
    engine.handle("UpdateTable", sys.argv[2].encode())
    """
)


def test_a_process_that_is_killed_while_it_makes_an_index_leaves_none(tmp_path):
    path = tmp_path / "dev.db"
    with Engine(path) as engine:
        ask = Asked(engine)
        make(ask)
        for number in range(3000):
            put(ask, f"more{number}")
    request = {
        "TableName": "items",
        "GlobalSecondaryIndexUpdates": [{"Create": index("new", "g")}],
        "AttributeDefinitions": [{"AttributeName": "g", "AttributeType": "S"}],
    }
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), json.dumps(request)], check=False)
    assert done.returncode == -signal.SIGKILL
    with Engine(path) as engine:
        ask = Asked(engine)
        found = ask.DescribeTable(TableName="items")["Table"]["GlobalSecondaryIndexes"]
        assert [one["IndexName"] for one in found] == ["by_g"]
        ask.UpdateTable(**request)
        count = 0
        page = {"LastEvaluatedKey": None}
        while "LastEvaluatedKey" in page:
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if page["LastEvaluatedKey"] else {}
            page = ask.Scan(TableName="items", IndexName="new", Select="COUNT", **start)
            count += page["Count"]
        assert count == 3005


def beside(folder):
    return sorted(one.name for one in folder.iterdir() if not one.name.startswith("dev.db"))


@pytest.mark.parametrize("kind", ["text", "database", "link", "leftover"])
def test_an_engine_is_saved_into_a_new_file_alone(engine, ask, tmp_path, kind):
    make(ask)
    path = tmp_path / "copy.db"
    there = path
    if kind == "text":
        path.write_text("precious")
    elif kind == "database":
        with Engine(path):
            pass
    elif kind == "link":
        path.symlink_to(tmp_path / "nothing")
    else:
        there = tmp_path / "copy.db-wal"  # SQLite would take it for a part of the new file
        there.write_text("precious")
    before = None if kind == "link" else there.read_bytes()
    names = beside(tmp_path)
    with pytest.raises(ConfigError, match=r"copy\.db.* exists"):
        engine.save(path)
    assert before is None or there.read_bytes() == before
    assert beside(tmp_path) == names


def test_an_engine_is_not_saved_where_no_file_can_be(engine, ask, tmp_path):
    with pytest.raises(ConfigError, match="is a folder"):
        engine.save(tmp_path)
    with pytest.raises(ConfigError, match="no folder"):
        engine.save(tmp_path / "nowhere" / "copy.db")
    with pytest.raises(ConfigError, match="cannot be written"):
        engine.save(tmp_path / ("x" * 300))
    if engine._store.path is not None:
        with pytest.raises(ConfigError, match="exists"):
            engine.save(engine._store.path)
    assert beside(tmp_path) == []


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")  # what is interrupted where it would be closed
def test_a_saved_file_that_exists_is_whole(engine, ask, tmp_path):
    make(ask)
    number = 0

    def save():
        nonlocal number
        number += 1
        engine.save(tmp_path / f"copy{number}.db")

    for _ in every_line(save, 11):
        path = tmp_path / f"copy{number}.db"
        if path.exists():
            with Engine(path) as saved:
                assert keys_and_index(Asked(saved)) == (FIVE, FIVE)
            path.unlink()
            path.with_name(f"{path.name}.lock").unlink()
        assert all(name.endswith(".part") for name in beside(tmp_path))  # one that was interrupted while it was deleted
        assert len(beside(tmp_path)) < 3
    gc.collect()  # what was interrupted, while its warning is expected: another test would be blamed for it


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such signals on this system")
def test_a_handler_of_a_signal_that_asks_amid_a_request_is_refused(engine, ask):
    make(ask)
    acknowledged = refused = 0
    over = False

    def add():
        nonlocal acknowledged
        ask.UpdateItem(
            TableName="items",
            Key={"id": {"S": "0"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        acknowledged += 1

    def handler(*_):
        nonlocal refused
        try:
            add()
        except InvalidUse:
            refused += 1
        # The next one comes only now: on a busy machine, handlers would else interrupt each other without an end.
        if not over:
            signal.setitimer(signal.ITIMER_REAL, 0.0007)

    former = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0007)
        until = time.process_time() + 20
        while refused < 20 and time.process_time() < until:
            add()
    finally:
        over = True  # a signal of just now, whose handler runs behind the next line, would set the timer again
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    assert refused >= 20
    assert ask.GetItem(TableName="items", Key={"id": {"S": "0"}})["Item"]["n"] == {"N": str(acknowledged)}


def test_no_use_of_an_engine_is_let_in_amid_a_request_of_the_same_thread(engine, ask, tmp_path):
    make(ask)
    start = engine.snapshot()
    uses = [
        engine.snapshot,
        lambda: engine.restore(start),
        engine.expire_now,
        lambda: engine.save(tmp_path / "copy.db"),
        lambda: engine.session_of("key"),
        lambda: engine.denial("ListTables", b"{}", "key"),
        lambda: engine.handle("TrentService.ListKeys", b"{}"),
        lambda: engine.handle("ListTables", b"{}"),
        engine.close,
    ]
    met = 0

    def now():
        nonlocal met
        for use in uses:
            with pytest.raises(InvalidUse, match="same thread"):
                use()
            met += 1
        return time.time()

    engine._core.now = now
    put(ask, "5")
    del engine._core.now
    assert met >= len(uses)
    assert keys(ask) == [*FIVE, "5"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_never_has_half_of_a_request_of_another_thread():
    with Engine() as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        stop = threading.Event()

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                ask.TransactWriteItems(
                    TransactItems=[
                        {"Put": {"TableName": "items", "Item": {"id": {"S": str(key)}, "n": {"N": str(number)}}}}
                        for key in range(60)
                    ]
                )

        switching = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        thread = threading.Thread(target=write)
        thread.start()
        codes = set()
        try:
            for _ in range(50):
                child = os.fork()
                if child == 0:  # pragma: no cover - another process
                    code = 1
                    try:
                        found = ask.Scan(TableName="items")["Items"]
                        code = 0 if len({one["n"]["N"] for one in found}) <= 1 and len(found) in (0, 60) else 2
                    finally:
                        os._exit(code)
                codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        finally:
            stop.set()
            thread.join()
            sys.setswitchinterval(switching)
        assert codes == {0}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_waiting_at_forks_keeps_no_engine():
    engine = Engine()
    gone = weakref.ref(engine)
    if os.fork() == 0:  # pragma: no cover - another process
        os._exit(0)
    os.wait()
    del engine
    gc.collect()
    assert gone() is None
