"""`Engine`: DynamoDB inside the process. Bytes come in, bytes go out."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from secrets import token_hex
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from weakref import WeakValueDictionary

from dynamorm.engine.core import ACCOUNT, REGION, Core, Settings
from dynamorm.engine.dispatch import DYNAMODB, STREAMS, TARGETS
from dynamorm.engine.expiry import Sweeper, expire
from dynamorm.engine.faults import Faults
from dynamorm.engine.faulty import Faulty
from dynamorm.engine.forks import Forks
from dynamorm.engine.items.throughput import Meter
from dynamorm.engine.kms import TARGET
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.shapes.legacy import LEGACY, modern
from dynamorm.engine.shapes.requests import known, quick_reader
from dynamorm.engine.shapes.strict import refuse_duplicates
from dynamorm.engine.store.file import FileStore
from dynamorm.engine.store.memory import MemoryStore
from dynamorm.engine.store.undo import Snapshot
from dynamorm.errors import ConfigError, InvalidUse

if TYPE_CHECKING:
    from dynamorm.engine.http.server import Server

_DURABILITIES: Final = ("process", "power")


_engines: WeakValueDictionary[str, Engine] = WeakValueDictionary()


def _known_engines() -> list[Engine]:
    return [engine for one in _engines.valuerefs() if (engine := one()) is not None]


def _after_fork() -> None:
    for engine in _known_engines():
        engine.forked()


_forks: Final = Forks(lambda: [engine._lock for engine in _known_engines() if engine._store.path is None])  # noqa: SLF001 - its own engines


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def engine_at(address: str) -> Engine | None:
    """The engine of this process with an address, None without one.

    Example: ``engine_at(engine.address) is engine``
    """
    return _engines.get(address)


class Engine:
    """DynamoDB's data plane and control plane, in this process: one account, one Region.

    Without ``path`` everything is kept in memory; with it, in one file of SQLite. ``durability``: ``"process"`` loses nothing when
    the process is killed, ``"power"`` nothing when the machine stops.

    What only production shows is there when it is asked for. ``throughput="enforced"``: requests are throttled as the settings of
    tables and indexes say, and 1,000 write and 3,000 read units a second of one partition key. ``staleness``: an eventual read sees,
    as often as not, what an item was up to so many seconds ago; ``seed`` makes the dice fall alike. ``gsi_delay``: seconds by which
    global indexes are late. ``creating``: seconds for which new tables and indexes are CREATING. ``ttl_lag``: seconds after which
    expired items are deleted by themselves, at the next request; left out: never, as DynamoDB may take days; `expire_now` deletes
    them at once. ``region`` and ``account`` are those of ARNs.

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
        throughput: str = "off",
        staleness: float = 0.0,
        gsi_delay: float = 0.0,
        creating: float = 0.0,
        seed: int = 0,
        ttl_lag: float | None = None,
        region: str = REGION,
        account: str = ACCOUNT,
    ) -> None:
        if durability not in _DURABILITIES:
            raise ConfigError(f"durability is 'process' or 'power', not {durability!r}")
        settings = Settings(
            throughput=throughput,
            staleness=staleness,
            gsi_delay=gsi_delay,
            creating=creating,
            seed=seed,
            ttl_lag=ttl_lag,
            region=region,
            account=account,
        ).checked()
        self._new_lock()
        self._closed = False
        self._servers: set[Server] = set()
        self.trouble: Faulty | None = None
        """What becomes of requests that meet faults; None until `faults` are looked at."""
        self.prefixes: set[str] = set()
        """What names of tables may begin with: faults name tables without it."""
        self._store: MemoryStore | FileStore = MemoryStore() if path is None else FileStore(path, durability)
        self._core = Core(self._store, settings)
        self._core.due = Sweeper(self._core)
        if throughput == "enforced":
            self._core.meter = Meter(self._core.now)
        self.seed: int = seed
        """What dice are thrown with for eventual reads."""
        self.region: str = region
        """The Region of ARNs."""
        self.address: str = f"http://engine-{token_hex(6)}.localhost:8000"
        """An endpoint inside this process: ``Config(endpoint=engine.address)`` reaches the engine. Nothing is sent there."""
        _engines[self.address] = self
        if path is None:
            _forks.watch()

    def known_at(self, address: str) -> None:
        """Take another address, under which this process reaches the engine without a connection.

        Example: ``engine.known_at(server.endpoint)``
        """
        _engines.pop(self.address, None)
        self.address = address
        _engines[address] = self

    @property
    def closed(self) -> bool:
        """Whether the engine was closed."""
        return self._closed

    @property
    def faults(self) -> Faults:
        """The faults that requests meet, in this process and over HTTP: none until they are set.

        Example: ``engine.faults.throttle(op="PutItem", share=0.2, seed=7)``
        """
        with self._lock:
            if self.trouble is None:
                self.trouble = Faulty(self.handle, self.prefixes)
            return self.trouble.faults

    def handle(
        self, target: str, body: bytes, *, strict: bool = False, access_key: str | None = None
    ) -> tuple[int, bytes]:
        """Answer one request: the HTTP status and the body.

        ``target`` is what ``X-Amz-Target`` says; of DynamoDB's operations the bare name will do, those of KMS begin with
        ``TrentService.``, and a form for STS has none: its answer is XML. It never raises for a request, however it is made.
        ``strict``: members that come twice are refused too, as they are by the service; the library sends none. ``access_key`` is
        that of who asks. Faults are not met here: see `faults`.

        Raises: ConfigError once the engine is closed. InvalidUse where this thread is in the middle of another request: a handler
        of a signal, or a finalizer.

        Example: ``engine.handle("GetItem", b'{"TableName": "t", "Key": {"id": {"S": "1"}}}')``
        """
        if self._closed:
            raise ConfigError("this engine was closed")
        if self._is_mine():
            self._check_alone(2)
        try:
            found = TARGETS.get(target)
            if found is None:
                return self._other(target, body, access_key, strict=strict)
            operation, work = found
            if strict:
                refuse_duplicates(body)
            request = quick_reader(operation)(body)
            if not LEGACY.isdisjoint(request):
                modern(request)
            with self._lock:
                if self._closed:
                    raise ConfigError("this engine was closed")
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

    def _other(self, target: str, body: bytes, access_key: str | None, *, strict: bool) -> tuple[int, bytes]:
        """The answer to a request of KMS or STS. Raises: Refusal where it is of neither."""
        if target and not target.startswith(TARGET):
            raise _unknown(target)
        answered: tuple[int, bytes]
        with self._lock:
            self._check_open()
            if target:
                operation = target.removeprefix(TARGET)
                answered = _service("service").answered(self._core, operation, body, strict=strict)
            else:
                answered = _service("sts").answered(self._core, body, access_key)
        return answered

    def denial(self, target: str, body: bytes, access_key: str) -> tuple[int, bytes] | None:
        """The answer to a request that the policy of a session does not allow; None where it may be handled.

        ``access_key`` is that of who asks: where AssumeRole of this engine has given it out with a policy, that must allow what is
        asked for. Requests over HTTP are asked about where signatures are checked. See docs/engines.md for what is understood.

        Example: ``engine.denial("GetItem", body, credentials.access_key) or engine.handle("GetItem", body)``
        """
        with self._alone():
            self._check_open()
            found: tuple[int, bytes] | None = import_module("dynamorm.engine.access.session").denial(
                self._core, target, body, access_key
            )
        return found

    def session_of(self, access_key: str) -> Mapping[str, Any] | None:
        """The ``secret``, the ``token`` and the ``arn`` of credentials that AssumeRole of this engine gave out; None for others, and expired.

        Example: ``engine.session_of(credentials.access_key)``
        """
        with self._alone():
            self._check_open()
            found: Mapping[str, Any] | None = _service("sts").session_of(self._core, access_key)
        return found

    def serve(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        *,
        verify: bool = False,
        keys: Mapping[str, str] | None = None,
    ) -> Server:
        """Answer over HTTP too, until `Server.stop` or `close`; it returns at once. Port 0 takes one that is free.

        Requests have to be signed. With ``verify`` their signatures are checked: ``keys`` are the secrets of access key ids, and
        the Region is the engine's. Whoever reaches ``host`` may do everything, so it is this machine's own unless another is named.

        Raises: ConfigError for a port that is in use, or an address that cannot be had.

        Example: ``with engine.serve() as server: boto3.client("dynamodb", endpoint_url=server.endpoint, ...)``
        """
        self._check_open()
        make = import_module("dynamorm.engine.http.server").Server
        served: Server = make(self, port, host, verify=verify, keys=keys, ended=self._servers.discard)
        self._servers.add(served)
        return served

    def snapshot(self) -> Snapshot:
        """What the engine holds now, to `restore`; nothing is copied.

        Example: ``start = engine.snapshot()``
        """
        with self._alone():
            self._check_open()
            return self._store.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Make everything as it was: tables, items, streams. The cost goes by what differs. A snapshot may be restored again.

        Raises: ConfigError for a snapshot of another engine; nothing is changed.

        Example: ``engine.restore(start)``
        """
        with self._alone():
            self._check_open()
            try:
                self._store.restore(snapshot)
                self._core.refresh()
            except BaseException:  # a handler of signals may raise anywhere
                self._core.refresh()
                raise

    def expire_now(self) -> int:
        """Delete every item whose time has come, as DynamoDB does within days. Returns how many there were.

        Example: ``engine.expire_now()``
        """
        with self._alone():
            self._check_open()
            return expire(self._core)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into a new file, for ``Engine(path)``. A file that exists is whole, also where this is interrupted.

        Raises: ConfigError where there is a file or a folder already, or none can be made; nothing is touched.

        Example: ``engine.save("dev.db")``
        """
        with self._alone():
            self._check_open()
            self._store.save(path)

    def close(self) -> None:
        """End the engine; what was in memory is gone. A second call does nothing.

        Example: ``engine.close()``
        """
        lock = self._alone()
        for server in tuple(self._servers):
            server.stop()
        with lock:
            if not self._closed:
                self._closed = True
                self._store.close()

    def _alone(self) -> Any:
        """The lock. Raises: InvalidUse where this thread has it already."""
        if self._is_mine():
            self._check_alone(3)
        return self._lock

    def _check_alone(self, depth: int) -> None:
        """Raise InvalidUse where a frame from ``depth`` on is amid a request: a fork takes the lock, too."""
        frame: FrameType | None = sys._getframe(depth)  # noqa: SLF001 - documented for this use
        while frame is not None:
            if frame.f_code in _HOLDING and frame.f_locals.get("self") is self:
                raise InvalidUse(
                    "this engine is in the middle of a request of the same thread: a handler of a signal, or a finalizer,"
                    " leaves the work to another thread, or to a later moment"
                )
            frame = frame.f_back

    def _new_lock(self) -> None:
        self._lock: Any = threading.RLock()
        lock: Any = self._lock
        self._is_mine: Callable[[], bool] = lock._is_owned  # noqa: SLF001 - `threading.Condition` asks it, too

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError("this engine was closed")

    def forked(self) -> None:
        """Begin again in a child process: memory was copied with it, a file is the parent's.

        Example: none is needed, for every fork calls it.
        """
        self._new_lock()
        self._servers = set()  # their threads are the parent's
        self._closed = self._closed or self._store.path is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_HOLDING: Final = frozenset(
    one.__code__
    for one in (
        Engine.handle,
        Engine.denial,
        Engine.session_of,
        Engine.snapshot,
        Engine.restore,
        Engine.expire_now,
        Engine.save,
        Engine.close,
    )
)
"""What has the lock while it works."""


def _service(name: str) -> Any:
    """Another service than DynamoDB, loaded when it is asked first."""
    return import_module(f"dynamorm.engine.kms.{name}")


def _unknown(target: str) -> Refusal:
    prefix, _, operation = target.rpartition(".")
    if prefix in ("", DYNAMODB, STREAMS) and known(operation):
        return Refusal("UnknownOperationException", f"this engine has no {operation} yet: see docs/engines.md")
    return Refusal("UnknownOperationException", "")
