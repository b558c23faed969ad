"""One asyncio connection: opening it within a deadline, and asking it one question at a time.

It must not know the pool.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from dynamorm.effects import TransportError
from dynamorm.io import net
from dynamorm.io.tls import handshake_failure, odd_protocol
from dynamorm.wire.http1 import Exchange, repeated

if TYPE_CHECKING:
    import socket

    from dynamorm.io.proxy import Proxy
    from dynamorm.io.tls import TLSSettings
    from dynamorm.wire.endpoint import Endpoint

_BUFFER: Final = (
    65536  # the loop's own would be 256 KB for each read, which costs more than all the rest of an exchange
)
_TICK: Final = 0.001  # a loop's clock may be that coarse: do not set a timer for less


class Connection(asyncio.BufferedProtocol):
    """One transport. ``used`` tells that it has carried an exchange already, ``closed`` that it carries no more.

    It stands in ``registry`` for as long as it has a transport. ``born`` is when its address was looked up.
    """

    __slots__ = (
        "_alarm",
        "_answer",
        "_buffer",
        "_deadline",
        "_future",
        "_last_id",
        "_loop",
        "_registry",
        "_timer",
        "_transport",
        "born",
        "closed",
        "fileno",
        "ready",
        "sock",
        "used",
    )

    used: bool
    closed: bool

    _future: asyncio.Future[Exchange]
    _deadline: float
    ready: net.Ready

    def __init__(self, loop: asyncio.AbstractEventLoop, registry: set[Connection]) -> None:
        self._loop = loop
        self._registry = registry
        self._transport: asyncio.Transport | None = None
        self._last_id: bytes | None = None
        self._answer: Exchange | None = None  # set while an answer is awaited
        self._buffer = memoryview(bytearray(_BUFFER))
        self._alarm = inf  # when the timer goes off
        self._timer: asyncio.TimerHandle | None = None
        self.fileno: int = -1
        self.sock: socket.socket | None = None
        self.born: float = 0.0
        self.used = self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._registry.add(self)
        self.fileno = transport.get_extra_info("socket").fileno()
        self.ready = net.readiness(self.fileno)
        self._transport = cast("asyncio.Transport", transport)  # last: with it the connection is complete

    def ask(self, data: bytes, deadline: float, largest: int) -> asyncio.Future[Exchange]:
        """Send a request; the future is the answer. Whoever stops waiting for it must `close` the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise TransportError("send", "the connection was closed", sent=False, fresh=not self.used)
        self._answer = Exchange(largest)
        self._future = future = self._loop.create_future()
        self._deadline = deadline
        if deadline < self._alarm:  # otherwise the timer of an earlier exchange ends first, and is then set again
            self._set_alarm()
        transport.write(data)
        return future

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 (the loop's interface)
        """Called by the loop."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop."""
        answer = self._answer
        if answer is None:  # bytes that were not asked for must not be read as the next answer
            self.close()
            return
        try:
            if not answer.feed(bytes(self._buffer[:nbytes])):
                return
            if answer.raw_id is not None:
                if answer.raw_id == self._last_id:
                    raise repeated()  # noqa: TRY301 (both failures end alike)
                self._last_id = answer.raw_id
        except (KeyboardInterrupt, SystemExit) as error:
            self._fail(error)
            raise  # they end the loop
        except BaseException as error:  # noqa: BLE001 (what a signal's handler raised goes to the task, not to the loop's log)
            self._fail(error)
            return
        if not self._future.done():
            self._future.set_result(answer)
        self._answer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.closed = True
        self._registry.discard(self)
        answer = self._answer
        if answer is None or self._future.done():
            return
        if exc is not None and (not isinstance(exc, OSError) or net.is_foreign(exc, self._loop)):
            self._fail(exc)  # raised by a signal's handler in one of our calls, or in the loop's
        elif exc is None and answer.started:
            try:
                answer.eof()
            except TransportError as error:
                self._fail(error)
        else:
            detail = str(exc or "") or "the connection was closed before an answer"
            self._fail(TransportError("receive", detail, sent=True, fresh=answer.started or not self.used))

    def close(self) -> None:
        """Close at once, whatever is under way, also when the loop is closed already."""
        self.closed = True
        self._answer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        transport = self._transport
        if transport is None:
            if self.sock is not None:
                self.sock.close()
        elif self._loop.is_closed():
            _abandon(transport)
            if self.sock is not None:
                self.sock.close()
        else:
            transport.abort()
        self._registry.discard(self)

    def _fail(self, error: BaseException) -> None:
        self.close()
        if not self._future.done():
            self._future.set_exception(error)

    def _set_alarm(self) -> None:
        """One timer serves many exchanges: setting and cancelling one for each would cost more than their parsing."""
        if self._timer is not None:
            self._timer.cancel()
        self._alarm = self._deadline
        self._timer = self._loop.call_later(max(0.0, self._deadline - monotonic()), self._rung)

    def _rung(self) -> None:
        self._timer, self._alarm = None, inf
        if self._answer is None:
            return
        if monotonic() < self._deadline - _TICK:
            self._set_alarm()
        else:
            self._fail(TransportError("timeout", "no complete answer in time", sent=True))


def _abandon(transport: asyncio.Transport) -> None:
    """End a transport whose loop is closed: it can no longer do so by itself, and would warn of that when it is freed."""
    with suppress(Exception):  # it reaches for its loop, if it is not asyncio's own
        transport.abort()
    inner = getattr(transport, "_ssl_protocol", None)
    for layer in (transport, getattr(inner, "_transport", None)):
        if getattr(layer, "_sock", None) is not None:
            layer._sock = None  # type: ignore[union-attr]  # noqa: SLF001 (asyncio has no other way)


async def dial(
    connection: Connection,
    endpoint: Endpoint,
    names: net.Names,
    tls: TLSSettings | None,
    limit: float,
    proxy: Proxy | None = None,
) -> None:
    """Look up, connect, shake hands; ``names`` are the proxy's where there is one. Who calls it closes the connection.

    Raises: `TransportError`, always with ``sent=False``.
    """
    loop = asyncio.get_running_loop()
    context = None if tls is None else tls.context()
    addresses = await _look_up(loop, names, limit)
    port = endpoint.port if proxy is None else proxy.endpoint.port
    connection.sock = sock = await _connect(loop, addresses.ips, port, limit)
    connection.born = addresses.born
    if proxy is not None:
        await _open_tunnel(loop, sock, proxy, endpoint, limit)
    host = endpoint.host if context is not None else None
    try:
        async with asyncio.timeout(limit - monotonic()):
            transport, _ = await loop.create_connection(
                lambda: connection, sock=sock, ssl=context, server_hostname=host
            )
            if connection._transport is None:  # noqa: SLF001 (the loop's call was interrupted, which it only notes)
                connection.connection_made(transport)
        if context is not None:
            _check_protocol(connection)
    except (OSError, ValueError) as error:
        if net.is_foreign(error, loop):
            raise
        raise handshake_failure(error, endpoint.host) from error


async def _open_tunnel(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, proxy: Proxy, endpoint: Endpoint, limit: float
) -> None:
    tunnel = proxy.tunnel_to(endpoint)
    try:
        async with asyncio.timeout(limit - monotonic()):
            await loop.sock_sendall(sock, tunnel.question)
            while not tunnel.feed(await loop.sock_recv(sock, 4096)):
                pass
    except OSError as error:  # TimeoutError is one
        if net.is_foreign(error, loop):
            raise
        raise tunnel.failed(f"did not answer ({str(error) or 'timed out'})") from error


def _check_protocol(connection: Connection) -> None:
    secured: Any = connection._transport.get_extra_info("ssl_object")  # type: ignore[union-attr]  # noqa: SLF001 (ours)
    odd = odd_protocol(secured.selected_alpn_protocol())
    if odd is not None:
        raise odd


async def _look_up(loop: asyncio.AbstractEventLoop, names: net.Names, limit: float) -> net.Addresses:
    """Wait for the look-up's thread, but not for longer than there is time: the thread may hang."""
    now = monotonic()
    addresses = names.known(now)
    if addresses is not None:
        return addresses
    lookup = names.lookup(now)
    ended = asyncio.Event()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    lookup.when_done(tell)
    try:
        async with asyncio.timeout(limit - now):
            await ended.wait()
    except TimeoutError as error:
        if net.is_foreign(error, loop):
            raise
    return lookup.result()


async def _connect(loop: asyncio.AbstractEventLoop, ips: tuple[str, ...], port: int, limit: float) -> socket.socket:
    """Try the addresses in order, leaving time for each."""
    failure: OSError = TimeoutError("timed out")
    for index, ip in enumerate(ips):
        left = limit - monotonic()
        if left <= 0:
            break
        try:
            return await _connect_one(loop, ip, port, net.share_of(left, len(ips) - index))
        except OSError as error:
            if net.is_foreign(error, loop):
                raise
            failure = error
    detail = f"{', '.join(ips)} port {port}: {str(failure) or 'timed out'}"
    raise TransportError("connect", detail, sent=False) from failure


async def _connect_one(loop: asyncio.AbstractEventLoop, ip: str, port: int, seconds: float) -> socket.socket:
    sock = net.new_socket(ip)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(seconds):
            await loop.sock_connect(sock, (ip, port))
    except BaseException:
        sock.close()
        raise
    return sock
