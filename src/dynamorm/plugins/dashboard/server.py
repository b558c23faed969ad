"""`Server`: listens on a port and answers in one daemon thread of its own, whatever the face of the database is.

Uvicorn speaks HTTP, on an event loop of that thread; its own `uvicorn.Server` is not used: that writes into the log of the
program, and looks ten times a second whether it is to end.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from dynamorm.errors import ConfigError
from dynamorm.log import FailureLog, logger

if TYPE_CHECKING:
    from .guard import Application

PATIENCE: Final = 2.0
"""Seconds that the end waits for requests that are under way."""
MOST_CONNECTIONS: Final = 100


class _Quiet(H11Protocol):
    """Leaves out the access log: it is that of the program, where the program is served by uvicorn itself."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.access_log = False


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens: whoever connects waits until somebody answers. Raises: ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the port of a dashboard that has just ended
        made.bind((host, port))
        made.listen(MOST_CONNECTIONS)
    except (OSError, ValueError, TypeError) as error:  # these two: a name that none can be
        made.close()
        if getattr(error, "errno", None) == errno.EADDRINUSE:
            why = f"port {port} is taken by another program: port=0 takes a free one"
        else:
            why = f"{getattr(error, 'strerror', None) or type(error).__name__}"
        raise ConfigError(f"Dashboard cannot listen on the host {host!r}: {why}") from error
    made.setblocking(False)
    return made


class Server:
    """Serves ``application`` on ``sock``, and calls ``tick`` every ``interval`` seconds, until `stop`."""

    def __init__(
        self, sock: socket.socket, application: Application, tick: Callable[[], None], interval: float
    ) -> None:
        self._sock = sock
        self._config = Config(
            application,
            http=_Quiet,
            ws="none",
            lifespan="off",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=MOST_CONNECTIONS,
        )
        self._tick = tick
        self._interval = interval
        self._state = ServerState()
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
            try:
                loop.call_soon_threadsafe(wake.set)
            except RuntimeError:  # it has ended
                return

    def stop(self) -> None:
        """End it: nobody is answered any more, and what is under way has two seconds."""
        self.ask_to_stop()
        if self._thread.ident is None:
            self._sock.close()
        elif self._thread is not threading.current_thread():
            self._thread.join(PATIENCE + 0.5)
            if self._thread.is_alive():
                logger.warning("the dashboard has not ended within %s s: a request is still under way", PATIENCE + 0.5)

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
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the program goes on without a page
            FailureLog("dashboard", "serving")(error)
        finally:
            self._sock.close()

    async def _serve(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._wake = wake = asyncio.Event()
        self._config.load()

        def protocol() -> asyncio.Protocol:
            return _Quiet(config=self._config, server_state=self._state, app_state={}, _loop=loop)

        listener = await loop.create_server(protocol, sock=self._sock)
        try:
            while not self._ending.is_set():
                self._tick()
                try:
                    await asyncio.wait_for(wake.wait(), self._interval)
                except TimeoutError:
                    continue
        finally:
            listener.close()
            await self._finish()

    async def _finish(self) -> None:
        """Let the requests that are under way end, within the time for it, and close all connections."""
        for connection in tuple(self._state.connections):
            connection.shutdown()
        if tasks := tuple(self._state.tasks):
            await asyncio.wait(tasks, timeout=PATIENCE)
        await asyncio.sleep(0)
        for connection in tuple(self._state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
