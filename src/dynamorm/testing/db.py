"""Test databases: a `DB` or `AsyncDB` with tables of its own on a local engine, which are deleted behind it."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Self

from dynamorm.config.settings import Config, Presets
from dynamorm.effects import Flow
from dynamorm.errors import ConfigError
from dynamorm.faces.aio.db import AsyncDB
from dynamorm.faces.blocking.db import DB
from dynamorm.features.tables.changes import remove
from dynamorm.features.tables.look import Patience, names
from dynamorm.session import Session
from dynamorm.testing.engines import SHORT_RUN, DynamoDBLocal

ENGINE_VARIABLE = "DYNAMORM_TEST_ENGINE"

_PATIENCE = 60.0  # seconds for a table that is busy with something else

_lock = threading.Lock()
_local: Any = None
_memory: Any = None


class TestDB(DB):
    """A `DB` for one test. Its tables are its own, and are deleted when it is closed.

    It runs on the engine that ``DYNAMORM_TEST_ENGINE`` names: ``memory`` (inside this process, `dynamorm.engine`), ``embedded``,
    ``local`` (DynamoDB Local, found through ``DYNAMODB_LOCAL_HOME``) or a URL on this machine. Without it, on the engine at ``DYNAMODB_ENDPOINT``; without that
    too, on the embedded engine (the ``local`` extra), which all test databases of a process share. It never talks to
    another machine. A random ``table_prefix`` keeps tests that run at the same time apart.

    The tables of ``models`` are made when the ``with`` block begins; make others with ``db.tables.ensure``.
    ``extensions``, the plugins, are passed on to `DB`, ``settings`` to `Presets.local_development`. ``db.use`` may come in the
    block too, before the first call; ``db.tables.ensure`` is one.

    Raises: ConfigError when there is no such engine.

    Example::

        def test_refund():
            with TestDB(models=[Payment]) as db:
                db.create(Payment(id="p1", amount=500))
    """

    __test__ = False  # its name makes pytest take it for a class of tests

    def __init__(self, *, models: Iterable[type] = (), extensions: tuple[Any, ...] = (), **settings: Any) -> None:
        self._models = tuple(models)
        self._open = True
        super().__init__(local_settings(**settings), extensions=extensions)
        self._io.told = True  # a test has nothing else to do in its loop

    def __enter__(self) -> Self:
        if self._session.plugins:  # which may add to what a table is made of
            self._make_tables(self)
        else:
            with DB(self._session.config) as maker:  # so that this one is unused, and takes plugins
                self._make_tables(maker)
        return self

    def _make_tables(self, maker: DB) -> None:
        for model in self._models:
            maker.tables.ensure(model, skip_unavailable=True)

    def close(self) -> None:
        """Delete the tables and close the connections. A second call does nothing.

        Example: ``db.close()``, or use the TestDB as a context manager.
        """
        if not self._open:
            return
        self._open = False
        try:
            self._io.run(drop_tables(self._session))
        finally:
            super().close()


class AsyncTestDB(AsyncDB):
    """An `AsyncDB` for one test; everything else is as with `TestDB`.

    Example::

        async def test_refund():
            async with AsyncTestDB(models=[Payment]) as db:
                await db.create(Payment(id="p1", amount=500))
    """

    __test__ = False

    def __init__(self, *, models: Iterable[type] = (), extensions: tuple[Any, ...] = (), **settings: Any) -> None:
        self._models = tuple(models)
        self._open = True
        super().__init__(local_settings(**settings), extensions=extensions)

    async def __aenter__(self) -> Self:
        if self._session.plugins:  # which may add to what a table is made of
            await self._make_tables(self)
        else:
            async with AsyncDB(self._session.config) as maker:  # so that this one is unused, and takes plugins
                await self._make_tables(maker)
        return self

    async def _make_tables(self, maker: AsyncDB) -> None:
        for model in self._models:
            await maker.tables.ensure(model, skip_unavailable=True)

    async def close(self) -> None:
        """Delete the tables and close the connections. A second call does nothing.

        Example: ``await db.close()``, or use the AsyncTestDB as a context manager.
        """
        if not self._open:
            return
        self._open = False
        try:
            await self._io.run(drop_tables(self._session))
        finally:
            await super().close()

    def clean_up(self) -> None:
        """Delete the tables without an event loop, as a blocking fixture must. A second call does nothing.

        Connections that the loop has not closed are left to it: prefer `close` where there is a loop.

        Example: ``db.clean_up()`` after ``asyncio.run(program(db))``
        """
        if not self._open:
            return
        self._open = False
        with DB(self._session.config) as db:
            db._io.run(drop_tables(db._session))  # noqa: SLF001 - the faces share their tables


def local_settings(**settings: Any) -> Config:
    """The settings of a test database: a local engine, and a table prefix that no other test has.

    Raises: ConfigError when ``DYNAMORM_TEST_ENGINE`` names no engine, or it cannot be started.

    Example: ``DB(local_settings(operation_timeout=1))``, which deletes no tables
    """
    settings.setdefault("table_prefix", f"test-{secrets.token_hex(8)}-")
    settings.setdefault("cursor_key", secrets.token_bytes(32))  # without one, the first cursor comes with a warning
    if "endpoint" not in settings and "engine" not in settings:
        settings.update(_engine())
    return Presets.local_development(**settings)


def _engine() -> dict[str, Any]:
    """What ``DYNAMORM_TEST_ENGINE`` says about the endpoint; nothing when it is not set."""
    name = os.environ.get(ENGINE_VARIABLE, "").strip()
    if not name:
        return {}
    if name == "embedded":
        return {"endpoint": None}  # also where DYNAMODB_ENDPOINT names another
    if name == "local":
        return {"endpoint": _dynamodb_local()}
    if name == "memory":
        return {"engine": _in_memory()}
    if "://" in name:
        return {"endpoint": name}
    raise ConfigError(
        f"{ENGINE_VARIABLE}={name[:60]!r} is not memory, embedded, local or a URL such as http://localhost:8000"
    )


def _in_memory() -> Any:
    """The engine inside this process, one for all test databases: their tables have prefixes of their own."""
    global _memory  # noqa: PLW0603 - one engine for the whole process
    with _lock:
        if _memory is None:
            _memory = import_module("dynamorm.engine").Engine()  # only for who asks for it
            atexit.register(_memory.close)
    return _memory


def _dynamodb_local() -> str:
    """Where the DynamoDB Local of this process answers. It is started once, and ends with the process."""
    global _local  # noqa: PLW0603 - one engine for the whole process
    with _lock:
        if _local is None:
            _local = DynamoDBLocal(jvm=SHORT_RUN)
            atexit.register(_local.stop)
    return str(_local.endpoint)


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
