"""What an engine holds stays whole: restores, refusals, interruptions, and uses that are not allowed."""

import pytest

from dynamorm.engine import Engine
from dynamorm.errors import ConfigError

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
