"""What both drivers need of the operating system: names, addresses, socket options, readiness, and forks.

It must not know HTTP or the pool.
"""

from __future__ import annotations

import _socket
import os
import select
import socket
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from dynamorm.effects import TransportError
from dynamorm.wire.endpoint import Endpoint, address_refused

NAME_TTL: Final = 30.0
"""Seconds a look-up is believed. A connection's age counts from its look-up, so an old answer dies within `MAX_AGE`."""

_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})
"""What the system says of a name that does not exist. It says other things of a name server that does not answer."""

KEEPALIVE: Final = 30
"""Seconds of silence after which the system probes whether the other side still lives."""

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""Turns a host and a port into IP addresses, best first; may block; raises OSError."""

Ready: TypeAlias = Callable[[float], Any]
"""Waits up to so many milliseconds; true when there is something to read, or the connection ended."""


class _Socket(socket.socket):
    """A socket that closes itself, and without a warning, when an exception came before anybody could hold it."""

    __slots__ = ()
    __del__ = _socket.socket.close  # a built-in function: nothing can interrupt it


class Addresses(Struct, frozen=True):
    """The addresses of a host, and the monotonic time at which they were asked for."""

    ips: tuple[str, ...]
    born: float


def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask the operating system."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


class Lookup:
    """One look-up in a daemon thread: a resolver that hangs holds up neither a caller's budget nor the exit."""

    __slots__ = ("_callbacks", "_outcome", "started")

    def __init__(self, started: float) -> None:
        self.started: float = started
        self._outcome: Addresses | TransportError | None = None
        self._callbacks: deque[Callable[[], object]] = deque()

    def result(self) -> Addresses:
        """Return the addresses or raise what went wrong; only after the end."""
        outcome = self._outcome
        if isinstance(outcome, Addresses):
            return outcome
        if outcome is None:
            raise TransportError("dns", "the name look-up did not end in time", sent=False)
        failure = TransportError(outcome.stage, outcome.detail, sent=False, fatal=outcome.fatal)
        failure.misconfigured = outcome.misconfigured
        raise failure

    def when_done(self, callback: Callable[[], object]) -> None:
        """Call back, perhaps from the look-up's thread, perhaps at once."""
        self._callbacks.append(callback)
        if self._outcome is not None:
            self._call_back()

    def wait(self, seconds: float) -> bool:
        """Block until the end; False when it did not come in time."""
        bell = threading.Lock()
        bell.acquire()
        self.when_done(bell.release)
        return bell.acquire(timeout=max(0.0, seconds))

    def finish(self, outcome: Addresses | TransportError) -> None:
        """Set the outcome and call back."""
        self._outcome = outcome
        self._call_back()

    def _call_back(self) -> None:
        """Each is called once, whichever thread comes first. No lock: an exception may come anywhere."""
        while self._callbacks:
            try:
                callback = self._callbacks.popleft()
            except IndexError:
                return
            callback()


class Names:
    """The addresses of one endpoint: looked up once for all who wait, checked, and believed for `NAME_TTL`."""

    def __init__(self, endpoint: Endpoint, resolve: Resolve | None, patience: float) -> None:
        self._endpoint = endpoint
        self._resolve = resolve or system_resolve
        self._patience = patience
        self._fixed: tuple[str, ...] = ()
        if endpoint.is_address:
            self._fixed = (endpoint.host,)
        elif endpoint.is_loopback and resolve is None:
            self._fixed = ("127.0.0.1", "::1")
        self.reset()

    def reset(self) -> None:
        """Forget everything: look-ups under way in a parent process never end here."""
        self._known: Addresses | None = None
        self._running: dict[str, Lookup] = {}  # by host: the one under way

    def known(self, now: float) -> Addresses | None:
        """Return what needs no look-up."""
        if self._fixed:
            return Addresses(self._fixed, now)
        addresses = self._known
        return addresses if addresses is not None and now - addresses.born < NAME_TTL else None

    def lookup(self, now: float) -> Lookup:
        """Join the look-up under way, or start one; one that has hung for too long is not joined."""
        lookup, host = Lookup(now), self._endpoint.host
        try:
            running = self._running.setdefault(host, lookup)  # one step: of all who come at once, one starts it
            if running is not lookup:
                if now - running.started < self._patience:
                    return running
                self._running[host] = lookup
            threading.Thread(target=self._run, args=(lookup,), name="dynamorm-dns", daemon=True).start()
        except BaseException as error:
            self._end(lookup, TransportError("dns", str(error), sent=False))
            if not no_more_threads(error):
                raise
        return lookup

    def _run(self, lookup: Lookup) -> None:
        endpoint = self._endpoint
        try:
            ips = self._resolve(endpoint.host, endpoint.port)
            outcome = self._checked(ips, lookup.started)
        except Exception as error:  # noqa: BLE001 (whatever a resolver raises, its waiters must be told)
            outcome = TransportError("dns", f"{endpoint.host}: {error}", sent=False)
            outcome.misconfigured = isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
        self._end(lookup, outcome)

    def _end(self, lookup: Lookup, outcome: Addresses | TransportError) -> None:
        if self._running.get(self._endpoint.host) is lookup:
            self._running.pop(self._endpoint.host, None)
        if isinstance(outcome, Addresses) and (self._known is None or self._known.born <= outcome.born):
            self._known = outcome
        lookup.finish(outcome)

    def _checked(self, ips: Sequence[str], born: float) -> Addresses | TransportError:
        host = self._endpoint.host
        reasons = {ip: address_refused(ip, loopback_ok=self._endpoint.is_loopback) for ip in ips}
        allowed = tuple(ip for ip, reason in reasons.items() if reason is None)
        if allowed:
            return Addresses(allowed, born)
        if not reasons:
            nowhere = TransportError("dns", f"{host} has no address", sent=False)
            nowhere.misconfigured = True
            return nowhere
        return TransportError("forbidden", f"{host}: {next(iter(reasons.values()))}", sent=False, fatal=True)


def new_socket(ip: str) -> socket.socket:
    """Return a TCP socket for this address's family: no delay for small writes, probes for dead peers."""
    # A library that has put its own sockets in place of the system's (gevent) is to get those.
    kind = _Socket if issubclass(socket.socket, _socket.socket) else socket.socket
    sock = kind(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):  # not everywhere
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), KEEPALIVE)
    return sock


def hang_up(sock: socket.socket) -> None:
    """End a connection that another thread waits for: it finds the end of the stream. TLS is not told, for it would answer."""
    with suppress(OSError):  # it has ended
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def no_more_threads(error: BaseException) -> bool:
    """Whether the system refused to start a thread."""
    return isinstance(error, RuntimeError) and "new thread" in str(error)


def share_of(left: float, addresses_left: int) -> float:
    """Seconds the next address may take: a silent one must not use up what the others need."""
    return min(left, max(left / addresses_left, 1.0))


def readiness(fileno: int) -> Ready:
    """Return a function that waits until there is something to read."""
    if not hasattr(select, "poll"):  # Windows
        return lambda ms: select.select([fileno], [], [], ms / 1000)[0]
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return poll.poll


def wait_writable(fileno: int, seconds: float) -> bool:
    """Wait until there is room to write."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([], [fileno], [], seconds)[1])
    poll = select.poll()
    poll.register(fileno, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))


_OWN: Final = frozenset({"dynamorm", "socket", "ssl", "asyncio", "selectors", "threading"})


def is_foreign(error: BaseException, *parts: object) -> bool:
    """Whether a signal's handler raised it, or something else that interrupts a call, and not the call itself.

    A handler may raise anything, a TimeoutError or another OSError too: it is no answer of the network, and is passed on.
    It comes from code that is neither ours, nor the standard library's, nor that of ``parts`` (the event loop).
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    modules = [trace.tb_frame.f_globals.get("__name__") or "", socket.socket.__module__]
    modules += [type(part).__module__ for part in parts]
    origin, *others = (name.partition(".")[0] for name in modules)
    return origin not in _OWN and origin not in others


class Forkable(Protocol):
    """What holds sockets that a child process must not touch."""

    def forked(self) -> None:
        """Start again in a child process, with no lock and no connection of the parent."""


_forkables: weakref.WeakSet[Forkable] = weakref.WeakSet()


def watch_forks(forkable: Forkable) -> None:
    """Have ``forked`` called in every child process."""
    _forkables.add(forkable)


def disown(fileno: int) -> None:
    """Release a parent's connection without sending a byte or a FIN: the number stays valid but reaches nothing."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        os.dup2(null, fileno, inheritable=False)
    finally:
        os.close(null)


def _after_fork() -> None:
    for forkable in list(_forkables):
        forkable.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
