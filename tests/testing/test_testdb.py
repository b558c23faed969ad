"""Test databases: their own tables, deleted behind them, on either face and without any pytest plugin for asyncio."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import subprocess
import sys
import threading
import time
import warnings

import pytest

from dynamorm import DB, AsyncDB, Attr, Model, Presets, TableSettings, partition_key
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError, TableNotFound
from dynamorm.testing import AsyncTestDB, Ministack, TestDB
from dynamorm.testing.db import drop_tables, local_settings

pytestmark = pytest.mark.engine


class Coin(Model, table="coins"):
    id: Attr[str] = partition_key()
    worth: Attr[int]


class Note(Model, table="notes"):
    id: Attr[str] = partition_key()


@pytest.fixture(autouse=True)
def _one_engine(monkeypatch, engine):
    """The databases of a test share the engine under test, so that one can look what another has left."""
    monkeypatch.setenv("DYNAMORM_TEST_ENGINE", engine.endpoint)


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


def test_a_thousand_isolated_databases_take_less_than_20_seconds(figure, monkeypatch):
    monkeypatch.setenv("DYNAMORM_TEST_ENGINE", "memory")

    def test(number):
        with TestDB() as db:
            assert db.get(Coin, "c1") is None
            db.create(Coin(id="c1", worth=number))
            assert db.require(Coin, "c1").worth == number

    test(0)  # what is loaded once
    begun = time.process_time()
    for number in range(200):
        test(number)
    taken = (time.process_time() - begun) * 5
    figure(f"a thousand test databases of their own: {taken:.1f} s of processor time")
    assert taken < 20


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
    with Ministack() as engine:
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
    with pytest.raises(ConfigError, match="memory, embedded, local, ministack, or a URL"):
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


def test_a_cursor_comes_without_a_warning():
    gc.collect()  # what others have left warns when it goes
    with TestDB(models=[Coin]) as db, warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(3):
            db.create(Coin(id=f"c{number}", worth=number))
        page = db.model(Coin).allow_scan().limit(2).page()
        rest = db.model(Coin).allow_scan().limit(2).cursor(page.cursor).page()
        assert {coin.id for coin in (*page.items, *rest.items)} == {"c0", "c1", "c2"}
    one, two = local_settings(), local_settings()
    assert one.cursor_key != two.cursor_key


def test_a_cursor_key_of_ones_own_is_kept():
    key = b"k" * 32
    with TestDB(cursor_key=key) as db:
        assert db.config.cursor_key.secrets == (key,)


def test_an_app_in_another_loop_opens_the_same_tables_with_its_settings():
    async def app(config):
        async with AsyncDB(config) as db:
            await db.create(Coin(id="c1", worth=5))

    with TestDB(models=[Coin]) as db:
        thread = threading.Thread(target=lambda: asyncio.run(app(db.config)))
        thread.start()
        thread.join()
        assert db.require(Coin, "c1").worth == 5


CHILD = """
from dynamorm import DB, Attr, Model, Presets, partition_key

class Coin(Model, table="coins-of-a-child"):
    id: Attr[str] = partition_key()
    worth: Attr[int]

db = DB(Presets.local_development())
db.tables.ensure(Coin)
db.create(Coin(id="c1", worth=5))
print(db.config.endpoint)
"""


def test_a_child_process_with_the_local_preset_meets_the_same_engine():
    class Coin(Model, table="coins-of-a-child"):
        id: Attr[str] = partition_key()
        worth: Attr[int]

    with DB(Presets.local_development()) as db:
        ran = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=False, timeout=60)
        assert ran.stdout.strip() == db.config.endpoint, ran.stderr
        assert db.require(Coin, "c1").worth == 5
        db.tables.delete(Coin)


def test_an_engine_that_has_ended_is_not_waited_for(monkeypatch):
    env = {**os.environ, "_DYNAMORM_EMBEDDED_ENGINE": "http://127.0.0.1:9"}
    ran = subprocess.run(
        [sys.executable, "-c", CHILD], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.stdout.startswith("http://127.0.0.1:"), ran.stderr
    assert ran.stdout.strip() != "http://127.0.0.1:9"


FORKING = """
import os, sys
from dynamorm import DB, Attr, Model, Presets, partition_key

class Coin(Model, table="coins-of-a-fork"):
    id: Attr[str] = partition_key()

db = DB(Presets.local_development())
db.tables.ensure(Coin)
db.create(Coin(id="c1"))
for call in (True, False):
    child = os.fork()
    if child == 0:
        if call:
            assert db.exists(Coin, "c1")
            db.close()
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert db.exists(Coin, "c1")
db.tables.delete(Coin)
db.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
def test_forked_children_leave_no_warning_and_do_not_end_the_engine():
    env = {name: value for name, value in os.environ.items() if name != "_DYNAMORM_EMBEDDED_ENGINE"}
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-c", FORKING], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "ResourceWarning" not in ran.stderr


def surface(cls):
    """The public members that a class has by itself, with the arguments of its methods."""
    own = {name: member for name, member in vars(cls).items() if not name.startswith("_") and name != "clean_up"}
    return {
        name: None if isinstance(member, property) else list(inspect.signature(member).parameters)
        for name, member in own.items()
    }


def test_both_test_databases_offer_the_same():
    assert surface(TestDB) == surface(AsyncTestDB)
    assert list(inspect.signature(TestDB).parameters) == list(inspect.signature(AsyncTestDB).parameters)


@pytest.mark.parametrize("kind", [TestDB, AsyncTestDB])
def test_an_engine_that_was_found_at_an_endpoint_outlives_the_database(kind, monkeypatch):
    """It is somebody else's."""
    monkeypatch.delenv("DYNAMORM_TEST_ENGINE", raising=False)
    with Engine() as engine:
        monkeypatch.setenv("DYNAMODB_ENDPOINT", engine.address)
        for place in ({}, {"endpoint": engine.address}):
            if kind is TestDB:
                TestDB(**place).close()
            else:
                asyncio.run(AsyncTestDB(**place).close())
            assert not engine.closed
