"""One connection of the blocking driver: opening it within a deadline, and the less usual ends of its calls.

It must not know HTTP or the pool.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from dynamorm.effects import TransportError
from dynamorm.io import net
from dynamorm.io.tls import handshake_failure, odd_protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from ssl import SSLContext

    from dynamorm.io.proxy import Proxy
    from dynamorm.io.tls import TLSSettings
    from dynamorm.wire.endpoint import Endpoint


class Connection:
    """One socket, which never blocks. ``used`` tells that it has carried an exchange already.

    ``last_id`` is the request id of its last answer that had one. ``born`` is when its address was looked up.
    """

    __slots__ = (
        "born", "fileno", "last_id", "ready", "recv", "send", "sock", "tls", "used", "want_read", "want_write",
    )  # fmt: skip

    used: bool
    tls: bool

    def __init__(self, sock: socket.socket, born: float) -> None:
        self.sock: socket.socket = sock
        self.send: Callable[..., int] = sock.send
        self.recv: Callable[..., bytes] = sock.recv
        self.fileno: int = sock.fileno()
        self.ready: net.Ready = net.readiness(self.fileno)
        self.born: float = born
        self.last_id: bytes | None = None
        self.used = self.tls = False
        self.want_read: tuple[type[OSError], ...] = ()
        self.want_write: tuple[type[OSError], ...] = (BlockingIOError,)

    def close(self) -> None:
        """End it at once."""
        self.sock.close()

    def over_tls(self) -> Connection:
        """Take into account that TLS may hold bytes back, and may have to read in order to write."""
        import ssl

        pending, ready = self.sock.pending, self.ready  # type: ignore[attr-defined]  # an SSLSocket by now
        self.ready = lambda ms: pending() or ready(ms)
        self.want_read = (ssl.SSLWantReadError,)
        self.want_write = (BlockingIOError, ssl.SSLWantWriteError)
        self.tls = True
        return self

    def not_sent(self, error: OSError) -> int:
        """The bytes that a failed call has sent: none.

        What failed is met again in `send_rest`, which tells "not now" from "never"; only what is no failure of the call
        is raised.
        """
        if net.is_foreign(error):
            raise error
        return 0

    def send_rest(self, data: bytes, count: int, deadline: float) -> None:
        """Send what the first call left, for as long as there is time."""
        view = memoryview(data)
        while count < len(data):
            # TLS may have written a part of a record although it reports nothing as sent.
            sent, left = count > 0 or self.tls, deadline - monotonic()
            if left <= 0:
                raise TransportError("timeout", "the request could not be sent in time", sent=sent)
            try:
                count += self.send(view[count:])
            except self.want_read:
                self.ready(left * 1000)
            except self.want_write:
                net.wait_writable(self.fileno, left)
            except OSError as error:
                if net.is_foreign(error):
                    raise
                raise TransportError("send", str(error), sent=sent, fresh=not self.used) from error

    def not_received(self, error: OSError, deadline: float, *, started: bool) -> None:
        """Return when ``recv`` only wants to be called again, else raise what happened."""
        if isinstance(error, self.want_read):
            return
        if net.is_foreign(error):
            raise error
        if isinstance(error, BlockingIOError):
            return
        if isinstance(error, self.want_write):
            net.wait_writable(self.fileno, max(0.0, deadline - monotonic()))
            return
        detail, fresh = str(error) or type(error).__name__, started or not self.used
        raise TransportError("receive", detail, sent=True, fresh=fresh) from error


def dial(
    endpoint: Endpoint, names: net.Names, tls: TLSSettings | None, deadline: float, proxy: Proxy | None = None
) -> Connection:
    """Look up, connect, shake hands; ``names`` are the proxy's where there is one.

    Raises: `TransportError`, always with ``sent=False``.
    """
    context = None if tls is None else tls.context()  # reads files: before there is anything to clean up
    addresses = _look_up(names, deadline)
    sock = _connect(addresses.ips, endpoint.port if proxy is None else proxy.endpoint.port, deadline)
    try:
        if proxy is not None:
            _open_tunnel(sock, proxy, endpoint, deadline)
        if context is not None:
            sock = _shake_hands(sock, context, endpoint.host, deadline)
        sock.setblocking(False)
        connection = Connection(sock, addresses.born)
        return connection if context is None else connection.over_tls()
    except BaseException:
        sock.close()
        raise


def _open_tunnel(sock: socket.socket, proxy: Proxy, endpoint: Endpoint, deadline: float) -> None:
    tunnel = proxy.tunnel_to(endpoint)
    try:
        sock.settimeout(max(0.001, deadline - monotonic()))
        sock.sendall(tunnel.question)
        while not tunnel.feed(sock.recv(4096)):
            sock.settimeout(max(0.001, deadline - monotonic()))
    except OSError as error:
        if net.is_foreign(error):
            raise
        raise tunnel.failed(f"did not answer ({error})") from error


def _shake_hands(sock: socket.socket, context: SSLContext, host: str, deadline: float) -> socket.socket:
    sock.settimeout(max(0.001, deadline - monotonic()))  # zero would mean: do not wait at all
    try:
        secured = context.wrap_socket(sock, server_hostname=host)
    except (OSError, ValueError) as error:
        if net.is_foreign(error):
            raise
        raise handshake_failure(error, host) from error
    try:
        odd = odd_protocol(secured.selected_alpn_protocol())
        if odd is not None:
            raise odd  # noqa: TRY301 - the socket is closed below, whatever is raised
    except BaseException:
        secured.close()
        raise
    return secured


def _look_up(names: net.Names, deadline: float) -> net.Addresses:
    now = monotonic()
    addresses = names.known(now)
    if addresses is not None:
        return addresses
    lookup = names.lookup(now)
    lookup.wait(deadline - now)
    return lookup.result()


def _connect(ips: tuple[str, ...], port: int, deadline: float) -> socket.socket:
    """Try the addresses in order, leaving time for each."""
    failure: OSError = TimeoutError("timed out")
    for index, ip in enumerate(ips):
        left = deadline - monotonic()
        if left <= 0:
            break
        try:
            return _connect_one(ip, port, net.share_of(left, len(ips) - index))
        except OSError as error:
            if net.is_foreign(error):
                raise
            failure = error
    raise TransportError("connect", f"{', '.join(ips)} port {port}: {failure}", sent=False) from failure


def _connect_one(ip: str, port: int, seconds: float) -> socket.socket:
    sock = net.new_socket(ip)
    try:
        sock.settimeout(seconds)
        sock.connect((ip, port))
    except BaseException:
        sock.close()
        raise
    return sock
