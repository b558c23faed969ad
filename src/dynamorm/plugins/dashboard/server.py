"""`Server`: listens on a port and answers in one daemon thread of its own, whatever the face of the database is.

Uvicorn speaks HTTP, see `connection`; its own `uvicorn.Server` is not used: that writes into the log of the program, looks
ten times a second whether it is to end, and accepts whatever comes, of which each takes a file descriptor of the program.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from uvicorn.server import ServerState

from dynamorm.errors import ConfigError
from dynamorm.errors.log import FailureLog, logger

from .connection import Connection, settings

if TYPE_CHECKING:
    from .guard import Application

PATIENCE: Final = 2.0
"""Seconds that the end waits for requests that are under way."""
ON_A_LOOP: Final = 0.1
"""The same where an event loop runs in the thread that ends it, and stands still meanwhile."""
MOST_CONNECTIONS: Final = 32
"""Connections that are held: each is a file descriptor of the program. A browser makes six."""
_BACKLOG: Final = 64
_PAUSE: Final = 0.5
"""Seconds without accepting, where the process has no file descriptor left."""
_GONE: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR, errno.ECONNABORTED, errno.EPROTO})


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens: whoever connects waits until somebody answers. Raises: ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the port of a dashboard that has just ended
        made.bind((host, port))
        made.listen(_BACKLOG)
        made.setblocking(False)
    except BaseException as error:
        made.close()
        if not isinstance(error, (OSError, ValueError, TypeError)):  # these two: a name that none can be
            raise
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            why = f"port {port} is taken by another program: port=0 takes a free one"
        else:
            why = f"{getattr(error, 'strerror', None) or type(error).__name__}"
        raise ConfigError(f"Dashboard cannot listen on the host {host!r}: {why}") from error
    return made


class Server:
    """Serves ``application`` on ``sock``, and calls ``tick`` every ``interval`` seconds, until `stop`."""

    def __init__(
        self, sock: socket.socket, application: Application, tick: Callable[[], None], interval: float
    ) -> None:
        self._sock = sock
        self._settings = settings(application)
        self._tick = tick
        self._interval = interval
        self._state = ServerState()
        self._failed = FailureLog("dashboard", "serving")
        self._accepting: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = threading.Event()  # asked for; the loop has one of its own
        self._wake: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="dynamorm-dashboard", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    @property
    def serves(self) -> bool:
        """Whether it answers in this process."""
        return self._thread.is_alive() and not self._ending.is_set()

    def ask_to_stop(self) -> None:
        """Let it end soon, without waiting."""
        self._ending.set()
        loop, wake = self._loop, self._wake
        if loop is not None and wake is not None:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(wake.set)

    def stop(self) -> None:
        """End it: nobody is answered any more, and what is under way has two seconds.

        Where an event loop runs in this thread, it is not held up for so long: what is under way ends without anybody who waits.
        """
        self.ask_to_stop()
        if self._thread.ident is None:
            self._sock.close()
        elif self._thread is not threading.current_thread():
            limit = ON_A_LOOP if _on_a_loop() else PATIENCE + 0.5
            self._thread.join(limit)
            if self._thread.is_alive():
                logger.warning("the dashboard has not ended within %s s: a request is still under way", limit)

    def forked(self) -> None:
        """In a child process nobody answers: let go of the parent's connections, without a word to who is there."""
        self._ending.set()
        found = [self._sock.fileno()]
        for connection in tuple(self._state.connections):
            theirs = connection.transport.get_extra_info("socket")
            found.append(-1 if theirs is None else theirs.fileno())
        null = os.open(os.devnull, os.O_RDWR)
        for fileno in found:
            if fileno >= 0:
                os.dup2(null, fileno, inheritable=False)  # the number stays taken, for objects that hold it
        os.close(null)

    def _run(self) -> None:
        try:
            if not self._ending.is_set():
                # not the loop that the program may have chosen for itself: what is done here needs a selector
                with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                    runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the program goes on without a page
            self._failed(error)
        finally:
            self._ending.set()
            self._sock.close()

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._wake = wake = asyncio.Event()
        loop.set_exception_handler(self._complain)
        loop.add_reader(self._sock, self._accept)
        try:
            while not self._ending.is_set():
                self._tick()
                with suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), self._interval)
        finally:
            self._ending.set()
            loop.remove_reader(self._sock)
            self._sock.close()
            await self._finish()

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What goes wrong with a connection may be the wish of who is there: it is told once a minute, not each time."""
        del loop
        error = context.get("exception")
        if not isinstance(error, OSError):  # it has hung up
            self._failed(error if error is not None else RuntimeError(str(context.get("message"))))

    # Connections

    def _accept(self) -> None:
        """Take one connection; where there are too many, one who has shown no token makes place for it, or it is closed."""
        assert self._loop is not None  # it has called this
        try:
            sock, _ = self._sock.accept()
        except OSError as error:
            if error.errno not in _GONE:
                self._rest(error)
            return
        if not self._has_place():
            sock.close()
            return
        sock.setblocking(False)
        task = self._loop.create_task(self._connect(sock))
        self._accepting.add(task)
        task.add_done_callback(self._accepting.discard)

    async def _connect(self, sock: socket.socket) -> None:
        try:
            assert self._loop is not None  # it runs this
            await self._loop.connect_accepted_socket(lambda: Connection(self._settings, self._state), sock)
        except BaseException:
            sock.close()
            raise

    def _has_place(self) -> bool:
        held: list[Connection] = sorted(self._state.connections, key=lambda one: one.since)  # type: ignore[arg-type] # it made them
        if len(held) + len(self._accepting) < MOST_CONNECTIONS:
            return True
        for connection in held:
            if not connection.is_known:
                connection.drop()
                self._state.connections.discard(connection)
                return True
        return False

    def _rest(self, error: OSError) -> None:
        """Accept nothing for a moment, where the process can have no more: others wait, and the program goes on."""
        assert self._loop is not None  # see `_accept`
        self._failed(error)
        self._loop.remove_reader(self._sock)
        self._loop.call_later(_PAUSE, self._go_on)

    def _go_on(self) -> None:
        if self._loop is not None and not self._ending.is_set():
            self._loop.add_reader(self._sock, self._accept)

    async def _finish(self) -> None:
        """Let the requests that are under way end, within the time for it, and close all connections."""
        if self._accepting:
            await asyncio.wait(tuple(self._accepting))
        for connection in tuple(self._state.connections):
            connection.shutdown()
        if tasks := tuple(self._state.tasks):
            await asyncio.wait(tasks, timeout=PATIENCE)
        await asyncio.sleep(0)
        for connection in tuple(self._state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
