"""Test databases: their own tables, deleted behind them, on either face and without any pytest plugin for asyncio."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from dynamorm import DB, Attr, Model, Presets, TableSettings, partition_key
from dynamorm.errors import ConfigError, TableNotFound
from dynamorm.testing import AsyncTestDB, EmbeddedEngine, TestDB
from dynamorm.testing.db import drop_tables, local_settings

pytestmark = pytest.mark.engine


class Coin(Model, table="coins"):
    id: Attr[str] = partition_key()
    worth: Attr[int]


class Note(Model, table="notes"):
    id: Attr[str] = partition_key()


def test_a_testdb_is_a_db_with_the_tables_of_its_models():
    with TestDB(models=[Coin, Note]) as db:
        assert isinstance(db, DB)
        assert db.create(Coin(id="c1", worth=5)) == db.get(Coin, "c1")
        assert not db.exists(Note, "n1")


def test_its_tables_are_gone_afterwards():
    with TestDB(models=[Coin]) as db:
        db.tables.ensure(Note)  # made in the block
        config = db._session.config
    with DB(config) as later:
        for model in (Coin, Note):
            with pytest.raises(TableNotFound):
                later.tables.describe(model)


def test_its_tables_are_gone_after_a_failure_too():
    db = TestDB(models=[Coin])
    with pytest.raises(ZeroDivisionError), db:
        1 / 0
    with DB(db._session.config) as later, pytest.raises(TableNotFound):
        later.tables.describe(Coin)


def test_a_protected_table_and_settings_that_the_engine_lacks_are_no_hindrance():
    settings = TableSettings(deletion_protection=True, point_in_time_recovery=True)

    class Safe(Model, table="safes", settings=settings):
        id: Attr[str] = partition_key()

    with TestDB(models=[Safe]) as db:
        assert db.tables.describe(Safe).deletion_protection is True
        config = db._session.config
    with DB(config) as later:
        assert later.tables.names() == []


def test_two_testdbs_never_meet():
    with TestDB(models=[Coin]) as one, TestDB(models=[Coin]) as other:
        one.create(Coin(id="c1", worth=1))
        assert other.get(Coin, "c1") is None
        assert one._session.endpoint == other._session.endpoint  # on one engine


def test_tables_with_another_prefix_stay():
    with TestDB(models=[Coin]) as kept:
        with TestDB(models=[Coin]):
            pass
        assert kept.tables.describe(Coin).status == "ACTIVE"


def test_more_tables_than_one_answer_lists_are_deleted():
    models = [type(Coin)(f"Many{n}", (Coin,), {"__module__": __name__}, table=f"many-{n:03}") for n in range(102)]
    db = TestDB(models=models)
    with db:
        pass
    with DB(db._session.config) as later:
        assert later._io.run(drop_tables(later._session)) == 0


def test_closing_twice_is_harmless():
    db = TestDB(models=[Coin])
    with db:
        db.close()
    db.close()


def test_settings_reach_the_config():
    with TestDB(operation_timeout=3, table_prefix="mine-") as db:
        assert db._session.config.operation_timeout == 3.0
        assert db._session.config.table_prefix == "mine-"


def test_without_a_prefix_nothing_is_deleted():
    with DB(Presets.local_development()) as db, pytest.raises(ConfigError, match="table_prefix"):
        db._io.run(drop_tables(db._session))


def test_dynamodb_endpoint_names_the_engine(monkeypatch):
    monkeypatch.delenv("DYNAMORM_TEST_ENGINE", raising=False)
    with EmbeddedEngine() as engine:
        monkeypatch.setenv("DYNAMODB_ENDPOINT", engine.endpoint)
        assert local_settings().endpoint == engine.endpoint


def test_the_variable_goes_before_dynamodb_endpoint(monkeypatch):
    monkeypatch.setenv("DYNAMODB_ENDPOINT", "http://localhost:1")
    monkeypatch.setenv("DYNAMORM_TEST_ENGINE", "http://localhost:2")
    assert local_settings().endpoint == "http://localhost:2"
    monkeypatch.setenv("DYNAMORM_TEST_ENGINE", "embedded")
    assert local_settings().embedded


def test_an_unknown_engine_is_refused(monkeypatch):
    monkeypatch.setenv("DYNAMORM_TEST_ENGINE", "cassandra")
    with pytest.raises(ConfigError, match="embedded, local or a URL"):
        TestDB()


def test_another_machine_is_refused():
    with pytest.raises(ConfigError, match="this machine"):
        TestDB(endpoint="https://dynamodb.us-east-1.amazonaws.com")


def test_an_async_testdb_deletes_its_tables_too():
    async def program():
        async with AsyncTestDB(models=[Coin]) as db:
            await db.create(Coin(id="c1", worth=5))
            await db.tables.ensure(Note)
            assert (await db.get(Coin, "c1")).worth == 5
            return db._session.config

    with DB(asyncio.run(program())) as later:
        for model in (Coin, Note):
            with pytest.raises(TableNotFound):
                later.tables.describe(model)


def test_an_async_testdb_can_be_cleaned_up_without_a_loop():
    db = AsyncTestDB(models=[Coin], max_idle_connections=0)

    async def program():
        await db.tables.ensure(Coin)
        await db.create(Coin(id="c1", worth=5))

    asyncio.run(program())
    db.clean_up()
    db.clean_up()
    with DB(db._session.config) as later, pytest.raises(TableNotFound):
        later.tables.describe(Coin)


def test_the_fixture_is_a_testdb(test_db):
    test_db.tables.ensure(Coin)
    test_db.create(Coin(id="c1", worth=5))
    assert isinstance(test_db, TestDB)


def test_the_async_fixture_needs_no_plugin(async_test_db):
    async def program():
        await async_test_db.tables.ensure(Coin)
        await async_test_db.create(Coin(id="c1", worth=5))
        return await async_test_db.get(Coin, "c1")

    assert asyncio.run(program()).worth == 5


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_async_fixture_serves_anyio(async_test_db):
    await async_test_db.tables.ensure(Coin)
    async with async_test_db as db:
        assert await db.get(Coin, "c1") is None


@pytest.mark.parametrize("name", ["asyncio", "subprocess", "ssl", "http.client", "ministack", "dynamorm.testing.db"])
def test_loading_the_plugin_loads_nothing_heavy(name):
    program = f"import sys, pytest; known = set(sys.modules); import dynamorm.testing.pytest_plugin; print({name!r} in set(sys.modules) - known)"
    ran = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
