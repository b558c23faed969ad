"""`Engine`: DynamoDB inside the process. Bytes come in, bytes go out."""

from __future__ import annotations

import os
import sqlite3
import threading
from secrets import token_hex
from types import TracebackType
from typing import Final, Self
from weakref import WeakValueDictionary

from dynamorm.engine.core import ACCOUNT, REGION, Core, Settings
from dynamorm.engine.dispatch import OPERATIONS
from dynamorm.engine.expiry import Sweeper, expire
from dynamorm.engine.kms import service as kms
from dynamorm.engine.kms import sts
from dynamorm.engine.kms.service import TARGET
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.shapes.legacy import LEGACY, modern
from dynamorm.engine.shapes.requests import known, reader
from dynamorm.engine.shapes.strict import refuse_duplicates
from dynamorm.engine.store.store import Store
from dynamorm.engine.store.undo import Version
from dynamorm.errors import ConfigError

_DURABILITIES: Final = ("process", "power")


_engines: WeakValueDictionary[str, Engine] = WeakValueDictionary()


def _after_fork() -> None:
    for engine in list(_engines.values()):
        engine.forked()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def engine_at(address: str) -> Engine | None:
    """The engine of this process with an address, None without one.

    Example: ``engine_at(engine.address) is engine``
    """
    return _engines.get(address)


class Snapshot:
    """What an engine held at one time. It costs what was written since, for as long as it is kept.

    Example: ``start = engine.snapshot(); ...; engine.restore(start)``
    """

    __slots__ = ("_version",)

    def __init__(self, version: Version) -> None:
        self._version = version

    def __repr__(self) -> str:
        return "<Snapshot of an Engine>"


class Engine:
    """DynamoDB's data plane and control plane, in this process: one account, one Region.

    Without ``path`` everything is kept in memory; with it, in one file of SQLite. ``durability``: ``"process"`` loses nothing when
    the process is killed, ``"power"`` nothing when the machine stops. ``creating``: seconds for which new tables and indexes are
    CREATING. ``ttl_lag``: seconds after which expired items are deleted by themselves, at the next request; left out: never, as
    DynamoDB may take days; `expire_now` deletes them at once. ``region`` and ``account`` are those of ARNs.

    An engine serves any number of databases, of both faces, and threads. A file serves one engine at a time.

    Raises: ConfigError for a file that cannot be used, which is left as it is.

    Example::

        with Engine() as engine, DB(Config(engine=engine)) as db:
            db.tables.create(Payment)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        durability: str = "process",
        creating: float = 0.0,
        ttl_lag: float | None = None,
        region: str = REGION,
        account: str = ACCOUNT,
    ) -> None:
        if durability not in _DURABILITIES:
            raise ConfigError(f"durability is 'process' or 'power', not {durability!r}")
        settings = Settings(creating=creating, ttl_lag=ttl_lag, region=region, account=account)
        self._lock = threading.RLock()
        self._closed = False
        self._store = Store(path, durability)
        self._core = Core(self._store, settings)
        self._core.due = Sweeper(self._core)
        self.region: str = region
        """The Region of ARNs."""
        self.address: str = f"http://engine-{token_hex(6)}.localhost:8000"
        """An endpoint inside this process: ``Config(endpoint=engine.address)`` reaches the engine. Nothing is sent there."""
        _engines[self.address] = self

    @property
    def closed(self) -> bool:
        """Whether the engine was closed."""
        return self._closed

    def handle(
        self, operation: str, body: bytes, *, strict: bool = False, access_key: str | None = None
    ) -> tuple[int, bytes]:
        """Answer one request: the HTTP status and the body.

        ``operation`` is a name, with or without what precedes it in ``X-Amz-Target``; that of KMS begins with ``TrentService.``,
        and a form for STS has none: its answer is XML. It never raises for a request, however it is made. ``strict``: members
        that come twice are refused too, as they are by the service; the library sends none. ``access_key`` is that of who asks.

        Raises: ConfigError once the engine is closed.

        Example: ``engine.handle("GetItem", b'{"TableName": "t", "Key": {"id": {"S": "1"}}}')``
        """
        if self._closed:
            raise ConfigError("this engine was closed")
        try:
            work = OPERATIONS.get(operation)
            if work is None:
                if operation.startswith(TARGET) or not operation:
                    return self._other(operation, body, access_key)
                operation = operation.rpartition(".")[2]
                work = OPERATIONS.get(operation)
                if work is None:
                    raise _unknown(operation)
            if strict:
                refuse_duplicates(body)
            request = reader(operation)(body)
            if not LEGACY.isdisjoint(request):
                modern(request)
            with self._lock:
                core = self._core
                if core.due is not None:
                    core.due()
                return 200, work(core, request)
        except Refusal as refusal:
            return refusal.status, refusal.body()
        except sqlite3.Error as error:
            if self._closed:
                raise ConfigError("this engine was closed") from error
            return 500, Refusal("InternalServerError", f"the store failed: {error}", status=500).body()

    def _other(self, target: str, body: bytes, access_key: str | None) -> tuple[int, bytes]:
        """The answer to a request of KMS or STS."""
        with self._lock:
            if target:
                return kms.answered(self._core, target.removeprefix(TARGET), body)
            return sts.answered(self._core, body, access_key)

    def snapshot(self) -> Snapshot:
        """What the engine holds now, to `restore`; nothing is copied.

        Example: ``start = engine.snapshot()``
        """
        with self._lock:
            return Snapshot(self._store.snapshot())

    def restore(self, snapshot: Snapshot) -> None:
        """Make everything as it was: tables, items, streams. The cost goes by what differs. A snapshot may be restored again.

        Example: ``engine.restore(start)``
        """
        with self._lock:
            self._store.restore(snapshot._version)  # noqa: SLF001 - a snapshot is nothing else
            self._core.refresh()

    def expire_now(self) -> int:
        """Delete every item whose time has come, as DynamoDB does within days. Returns how many there were.

        Example: ``engine.expire_now()``
        """
        with self._lock:
            return expire(self._core)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into a new file, for ``Engine(path)``.

        Example: ``engine.save("dev.db")``
        """
        with self._lock:
            self._store.save(path)

    def close(self) -> None:
        """End the engine; what was in memory is gone. A second call does nothing.

        Example: ``engine.close()``
        """
        with self._lock:
            if not self._closed:
                self._closed = True
                self._store.close()

    def forked(self) -> None:
        """Begin again in a child process: memory was copied with it, a file is the parent's.

        Example: none is needed, for every fork calls it.
        """
        self._lock = threading.RLock()
        self._closed = self._closed or self._store.path is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unknown(operation: str) -> Refusal:
    if known(operation):
        return Refusal("UnknownOperationException", f"this engine has no {operation} yet: see docs/engines.md")
    return Refusal("UnknownOperationException", "")
