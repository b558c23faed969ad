"""Test databases: a `DB` or `AsyncDB` with tables of its own on a local engine, which are deleted behind it."""

from __future__ import annotations

import inspect
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable
from copy import copy
from typing import Any, Self

from dynamorm.config.settings import Config, Presets
from dynamorm.effects import Flow
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError
from dynamorm.faces.aio.db import AsyncDB
from dynamorm.faces.blocking.db import DB
from dynamorm.faces.drivers import asyncio_driver, blocking_driver
from dynamorm.features.tables.changes import remove
from dynamorm.features.tables.look import Patience, names
from dynamorm.session import Session
from dynamorm.testing.fixtures.dump import dump
from dynamorm.testing.fixtures.load import load
from dynamorm.testing.kit.faulty_engine import FaultyEngine
from dynamorm.testing.named_engines import child_engine
from dynamorm.testing.own_tables import OwnTables
from dynamorm.wire.endpoint import Endpoint

ENGINE_VARIABLE = "DYNAMORM_TEST_ENGINE"

_PATIENCE = 60.0  # seconds for a table that is busy with something else


class TestDB(DB):
    """A `DB` for one test. Its tables are its own, and are deleted when it is closed.

    ``engine`` is the one to use: a `dynamorm.engine.Engine`, or anything that has an ``endpoint`` on this machine. Without it the
    variable ``DYNAMORM_TEST_ENGINE`` names one: ``memory`` (an `Engine` of its own for each test database), ``embedded`` (the one
    that all databases of `Presets.local_development` share in a process), ``local`` (DynamoDB Local, found through
    ``DYNAMODB_LOCAL_HOME``), ``ministack`` or a URL on this machine. Without both it is the engine at ``DYNAMODB_ENDPOINT``, else
    ``memory``. It never talks to another machine. A random ``table_prefix`` keeps tests apart that share an engine. With ``table_prefix=""`` on an
    `Engine` that is given, its tables are used as they are, and left: `Engine.restore` makes them as they were.

    The tables of ``models`` are made when the ``with`` block begins, and any other with the first request for its items.
    ``extensions``, the plugins, are passed on to `DB`, ``settings`` to `Presets.local_development`. ``db.use`` may come in the
    block too, before the first call; ``db.tables.ensure`` is one.

    Raises: ConfigError when there is no such engine.

    Example::

        def test_refund():
            with TestDB(models=[Payment]) as db:
                db.create(Payment(id="p1", amount=500))
    """

    __test__ = False  # its name makes pytest take it for a class of tests

    def __init__(
        self, engine: Any = None, *, models: Iterable[type] = (), extensions: tuple[Any, ...] = (), **settings: Any
    ) -> None:
        self._models = tuple(models)
        self._open = True
        self._former: list[Any] = []
        config = local_settings(**_with_engine(engine, settings))
        super().__init__(config, extensions=(*extensions, OwnTables(self._models)))
        self._engine_is_given = hasattr(engine, "faults")
        self._engine = engine_of(self.config, engine, self._move)
        self._own_engine = None if engine is not None else config.engine  # not one that was found at an endpoint
        self._io.told = True  # a test has nothing else to do in its loop

    @property
    def engine(self) -> Any:
        """The engine of this database, with its ``faults``; see `dynamorm.engine.faults.Faults`.

        Example: ``test_db.engine.faults.throttle(op="PutItem", times=2)``
        """
        return self._engine

    @property
    def plugins(self) -> tuple[Any, ...]:
        """The plugins that were registered, outermost first.

        Example: ``[plugin.name for plugin in db.plugins]``
        """
        return _registered(self._session.plugins)

    def load_fixture(self, path: str | os.PathLike[str], *, models: Iterable[type] = ()) -> dict[str, list[Any]]:
        """Store the records of a YAML or JSON file: class names, or ``table:`` names, each with its list of records.

        They are checked as a whole before the first one is written. Returns the objects, by the names in the file. Where several
        models have one name, the caller's own is meant, unless ``models`` says another. See the guide's page on testing.

        Raises: ValidationError with file and line of each mistake; AlreadyExists for a key that is taken.

        Example: ``db.load_fixture("testdata/payments.yaml")``
        """
        models = (*models, *self._models)
        found: dict[str, list[Any]] = self._io.run(load(self._session, path, models, inspect.currentframe()))
        return found

    def dump_fixture(self, path: str | os.PathLike[str], models: Iterable[type], *, plaintext: bool = False) -> None:
        """Write the items of ``models`` to a file that `load_fixture` reads: YAML, or JSON where its name ends so.

        The same items give the same text. Fields that are never stored are left out.

        Raises: ValidationError for a model with encrypted fields, unless ``plaintext``.

        Example: ``db.dump_fixture("testdata/payments.yaml", [Payment])``
        """
        self._io.run(dump(self._session, path, models, plaintext=plaintext))

    def __enter__(self) -> Self:
        if self.plugins:  # which may add to what a table is made of
            self._make_tables(self)
        else:
            with DB(self._session.config) as maker:  # so that this one is unused, and takes plugins
                self._make_tables(maker)
        return self

    def _make_tables(self, maker: DB) -> None:
        for model in self._models:
            maker.tables.ensure(model, skip_unavailable=True)

    def _move(self, endpoint: str) -> None:
        """Go another way to the engine from now on."""
        self._former.append(self._io)
        self._io = _moved(self._own, endpoint, blocking_driver.open_driver)
        self._io.told = True

    def close(self) -> None:
        """Delete the tables and close the connections. A second call does nothing.

        Example: ``db.close()``, or use the TestDB as a context manager.
        """
        if not self._open:
            return
        self._open = False
        _mended(self._engine)
        try:
            if _leaves_tables(self.config, self._own_engine):
                self._io.run(drop_tables(self._session))
        finally:
            super().close()
            for driver in self._former:
                driver.close()
            _closed(self._engine, self._own_engine, engine_is_given=self._engine_is_given)


class AsyncTestDB(AsyncDB):
    """An `AsyncDB` for one test; everything else is as with `TestDB`.

    Example::

        async def test_refund():
            async with AsyncTestDB(models=[Payment]) as db:
                await db.create(Payment(id="p1", amount=500))
    """

    __test__ = False

    def __init__(
        self, engine: Any = None, *, models: Iterable[type] = (), extensions: tuple[Any, ...] = (), **settings: Any
    ) -> None:
        self._models = tuple(models)
        self._open = True
        self._former: list[Any] = []
        config = local_settings(**_with_engine(engine, settings))
        super().__init__(config, extensions=(*extensions, OwnTables(self._models)))
        self._engine_is_given = hasattr(engine, "faults")
        self._engine = engine_of(self.config, engine, self._move)
        self._own_engine = None if engine is not None else config.engine  # not one that was found at an endpoint

    @property
    def engine(self) -> Any:
        """The engine of this database, with its ``faults``; see `dynamorm.engine.faults.Faults`.

        Example: ``async_test_db.engine.faults.throttle(op="PutItem", times=2)``
        """
        return self._engine

    @property
    def plugins(self) -> tuple[Any, ...]:
        """The plugins that were registered, outermost first.

        Example: ``[plugin.name for plugin in db.plugins]``
        """
        return _registered(self._session.plugins)

    def load_fixture(
        self, path: str | os.PathLike[str], *, models: Iterable[type] = ()
    ) -> Awaitable[dict[str, list[Any]]]:
        """Store the records of a YAML or JSON file; everything else is as with `TestDB.load_fixture`.

        Example: ``await db.load_fixture("testdata/payments.yaml")``
        """
        flow = load(self._session, path, (*models, *self._models), inspect.currentframe())
        found: Awaitable[dict[str, list[Any]]] = self._io.run(flow)
        return found

    async def dump_fixture(
        self, path: str | os.PathLike[str], models: Iterable[type], *, plaintext: bool = False
    ) -> None:
        """Write the items of ``models`` to a file; everything else is as with `TestDB.dump_fixture`.

        Example: ``await db.dump_fixture("testdata/payments.yaml", [Payment])``
        """
        await self._io.run(dump(self._session, path, models, plaintext=plaintext))

    async def __aenter__(self) -> Self:
        if self.plugins:  # which may add to what a table is made of
            await self._make_tables(self)
        else:
            async with AsyncDB(self._session.config) as maker:  # so that this one is unused, and takes plugins
                await self._make_tables(maker)
        return self

    async def _make_tables(self, maker: AsyncDB) -> None:
        for model in self._models:
            await maker.tables.ensure(model, skip_unavailable=True)

    def _move(self, endpoint: str) -> None:
        """Go another way to the engine from now on."""
        self._former.append(self._io)
        self._io = _moved(self._own, endpoint, asyncio_driver.open_driver)

    async def close(self) -> None:
        """Delete the tables and close the connections. A second call does nothing.

        Example: ``await db.close()``, or use the AsyncTestDB as a context manager.
        """
        if not self._open:
            return
        self._open = False
        _mended(self._engine)
        try:
            if _leaves_tables(self.config, self._own_engine):
                await self._io.run(drop_tables(self._session))
        finally:
            await super().close()
            for driver in self._former:
                await driver.close()
            _closed(self._engine, self._own_engine, engine_is_given=self._engine_is_given)

    def clean_up(self) -> None:
        """Delete the tables without an event loop, as a blocking fixture must. A second call does nothing.

        Connections that the loop has not closed are left to it: prefer `close` where there is a loop.

        Example: ``db.clean_up()`` after ``asyncio.run(program(db))``
        """
        if not self._open:
            return
        self._open = False
        _mended(self._engine)
        try:
            if _leaves_tables(self.config, self._own_engine):
                with DB(self._session.config) as db:
                    db._io.run(drop_tables(db._session))  # noqa: SLF001 - the faces share their tables
        finally:
            _closed(self._engine, self._own_engine, engine_is_given=self._engine_is_given)


def _registered(plugins: tuple[Any, ...]) -> tuple[Any, ...]:
    """The plugins without the one that every test database has."""
    return tuple(plugin for plugin in plugins if not isinstance(plugin, OwnTables))


def engine_of(config: Config, engine: Any, move: Callable[[str], None]) -> Any:
    """The engine of a test database: the one it was given, where that has faults of its own; else one over HTTP."""
    if not hasattr(engine, "faults"):
        inside = config.engine
        engine = inside if hasattr(inside, "faults") else FaultyEngine(config.resolve_endpoint(), inside)
    if isinstance(engine, FaultyEngine):
        engine.follow(move, config.table_prefix)
    elif isinstance(engine, Engine):
        engine.prefixes.add(config.table_prefix)
    return engine


def _with_engine(engine: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a database on an engine. Raises: ConfigError for what is no engine, or an engine and an endpoint."""
    if engine is None:
        return settings
    if "endpoint" in settings:
        raise ConfigError("give either an engine or an endpoint")
    if callable(getattr(engine, "handle", None)) and isinstance(getattr(engine, "address", None), str):
        return {**settings, "engine": engine}
    endpoint = getattr(engine, "endpoint", None)
    if not isinstance(endpoint, str):
        raise ConfigError(
            f"engine= takes an Engine of dynamorm.engine, or what has an endpoint, not {type(engine).__name__}"
        )
    return {**settings, "endpoint": endpoint}


def _moved(session: Session, endpoint: str, open_driver: Callable[[Session], Any]) -> Any:
    """The driver of a session whose engine is asked at another endpoint from now on."""
    session.endpoint = Endpoint.parse(endpoint)
    way = copy(session)
    way.config = session.config.replace(endpoint=endpoint, engine=None)
    driver = open_driver(way)
    session.run = driver.run
    return driver


def _mended(engine: Any) -> None:
    """Let an engine have no faults any more, so that tables can be deleted."""
    if isinstance(engine, FaultyEngine):
        engine.mend()
    elif isinstance(engine, Engine) and engine.trouble is not None:
        engine.faults.clear()


def _leaves_tables(config: Config, own: Any) -> bool:
    """Whether tables would be left that are to be deleted.

    They are not in an engine that ends with the database, nor in one that has ended; and without a prefix, in an engine inside
    the process, they are those of whoever gave that.
    """
    engine = config.engine
    return own is None and (engine is None or (bool(config.table_prefix) and not engine.closed))


def _closed(engine: Any, own: Any, *, engine_is_given: bool) -> None:
    """End what a test database has begun: a proxy in front of its engine, and an engine of its ``own``."""
    try:
        if isinstance(engine, FaultyEngine) and not engine_is_given:
            engine.close()
    finally:
        if own is not None:
            own.close()


def local_settings(**settings: Any) -> Config:
    """The settings of a test database: a local engine, and a table prefix that no other test has.

    Raises: ConfigError when ``DYNAMORM_TEST_ENGINE`` names no engine, or it cannot be started.

    Example: ``DB(local_settings(operation_timeout=1))``, which deletes no tables
    """
    settings.setdefault("cursor_key", secrets.token_bytes(32))  # without one, the first cursor comes with a warning
    if "endpoint" not in settings and "engine" not in settings:
        settings.update(_engine())
        if "engine" in settings:  # which nobody shares
            settings.setdefault("table_prefix", "")
    settings.setdefault("table_prefix", f"test-{secrets.token_hex(8)}-")
    return Presets.local_development(**settings)


def _engine() -> dict[str, Any]:
    """What ``DYNAMORM_TEST_ENGINE`` says about the engine; nothing when it is not set."""
    name = os.environ.get(ENGINE_VARIABLE, "").strip()
    if not name:
        elsewhere = os.environ.get("DYNAMODB_ENDPOINT", "").strip()
        return {} if elsewhere else {"engine": Engine()}
    if name == "memory":
        return {"engine": Engine()}
    if name == "embedded":
        return {"endpoint": None}  # also where DYNAMODB_ENDPOINT names another
    if name in ("local", "ministack"):
        return {"endpoint": child_engine(name).endpoint}
    if "://" in name:
        return {"endpoint": name}
    raise ConfigError(
        f"{ENGINE_VARIABLE}={name[:60]!r} is none of memory, embedded, local, ministack, or a URL such as http://localhost:8000"
    )


def drop_tables(session: Session) -> Flow[int]:
    """Delete every table with the session's prefix, whoever made it, protected or not. Returns how many there were.

    Raises: ConfigError without a prefix, which would mean every table there is.
    """
    prefix = session.config.table_prefix
    if not prefix:
        raise ConfigError("a test database deletes the tables with its table_prefix: give it one")
    found: list[str] = yield from names(session)
    for name in found:
        yield from remove(session, name, Patience(session, _PATIENCE), force=True)
    return len(found)
