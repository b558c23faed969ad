"""Proxies that the environment names: which one an endpoint is reached through, and the two lines of HTTP CONNECT.

TLS is spoken with the endpoint itself, through the tunnel: a proxy sees its name and nothing of a request. Loaded only
with ``Config(trust_env=True)``. It moves no bytes and must not know sockets.
"""

from __future__ import annotations

import os
from base64 import b64encode
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from dynamorm.effects import TransportError
from dynamorm.errors import ConfigError
from dynamorm.wire.endpoint import Endpoint

MAX_HEAD: Final = 16 * 1024
"""Bytes of a proxy's answer that are read before the attempt ends."""

_FORM: Final = "write HTTPS_PROXY as http://host:port or http://user:password@host:port"


class Proxy(NamedTuple):
    """An HTTP proxy. ``credentials`` is the value of the header, a secret, or empty.

    Example: ``Proxy(Endpoint.parse("http://proxy.internal:3128"))``
    """

    endpoint: Endpoint
    credentials: str = ""

    def tunnel_to(self, endpoint: Endpoint) -> Tunnel:
        """A tunnel to an endpoint, which is to be opened."""
        return Tunnel(self, endpoint)

    def __repr__(self) -> str:
        return f"Proxy({self.endpoint.host_header})"


def proxy_for(endpoint: Endpoint) -> Proxy | None:
    """The proxy of HTTPS_PROXY (or ALL_PROXY) for an endpoint; None for this machine and for hosts in NO_PROXY.

    A variable in lower case goes before the one in upper case. Raises: `ConfigError` for a proxy that is not HTTP's.
    """
    if not endpoint.secure or endpoint.is_loopback:
        return None
    url = _variable("https_proxy") or _variable("all_proxy")
    return None if not url or _is_excepted(endpoint, _variable("no_proxy")) else parse(url)


def _variable(name: str) -> str:
    return os.environ.get(name, os.environ.get(name.upper(), "")).strip()


def _is_excepted(endpoint: Endpoint, listed: str) -> bool:
    """Whether NO_PROXY has the host, a domain or network it is in, one of them with the port, or ``*``."""
    for entry in listed.lower().replace(",", " ").split():
        name, port = _entry(entry)
        if entry == "*" or (name and port in {"", str(endpoint.port)} and _covers(name, endpoint)):
            return True
    return False


def _entry(entry: str) -> tuple[str, str]:
    """Name and port of an entry; an IPv6 address has a port only after brackets."""
    if entry.startswith("["):
        address, _, port = entry[1:].partition("]")
        return address, port.removeprefix(":")
    if entry.count(":") > 1:
        return entry, ""
    name, _, port = entry.removeprefix("*.").removeprefix(".").partition(":")
    return name, port


def _covers(name: str, endpoint: Endpoint) -> bool:
    """Whether an entry is the host, a domain it is in, its address, or a network that has its address (10.0.0.0/8)."""
    if endpoint.host == name or endpoint.host.endswith(f".{name}"):
        return True
    if not endpoint.is_address:
        return False
    from ipaddress import ip_address, ip_network  # only for an endpoint that is an address

    try:
        return ip_address(endpoint.host) in ip_network(name, strict=False)
    except ValueError:
        return False


def parse(url: str) -> Proxy:
    """Split a proxy's URL. Raises: `ConfigError`, without the credentials in its text."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        user, at, place = parts.netloc.rpartition("@")
        endpoint = Endpoint.parse(f"http://{place}") if parts.scheme == "http" else None
    except ValueError:
        raise ConfigError(f"the proxy of the environment has no valid address: {_FORM}") from None
    except ConfigError as error:
        raise ConfigError(f"the proxy of the environment: {error.message}; {_FORM}") from None
    if endpoint is None:
        raise ConfigError(f"a proxy spoken to by {parts.scheme} is not supported: {_FORM}")
    if not at:
        return Proxy(endpoint)
    return Proxy(endpoint, "Basic " + b64encode(unquote(user).encode()).decode())


class Tunnel:
    """One tunnel: send `question`, then `feed` the answer until it returns True; then it reaches the endpoint."""

    __slots__ = ("_head", "_proxy", "question")

    def __init__(self, proxy: Proxy, endpoint: Endpoint) -> None:
        named = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
        place = f"{named}:{endpoint.port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if proxy.credentials:
            lines.append(f"Proxy-Authorization: {proxy.credentials}")
        self._proxy = proxy
        self._head = b""
        self.question: bytes = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    def feed(self, data: bytes) -> bool:
        """Take bytes of the answer; whether the tunnel is open. Raises: `TransportError`."""
        self._head += data
        head, end, surplus = self._head.partition(b"\r\n\r\n")
        if not end:
            if not data:
                raise self.failed("closed the connection instead of an answer")
            if len(head) > MAX_HEAD:
                raise self.failed("sent no end of its answer")
            return False
        version, _, status = head.partition(b"\r\n")[0].partition(b" ")
        code = status[:3].decode("latin-1")
        if version not in (b"HTTP/1.1", b"HTTP/1.0") or not code.isdecimal():
            raise self.failed("sent no HTTP answer")
        if code == "407":
            raise self.failed(f"wants other credentials (407): {_FORM}", fatal=True)
        if code[0] != "2":
            raise self.failed(f"answered {code}", fatal=code[0] == "4")
        if surplus:  # nothing has been sent to the endpoint yet
            raise self.failed("sent more than its answer")
        return True

    def failed(self, problem: str, *, fatal: bool = False) -> TransportError:
        """The error of a tunnel that was not opened: nothing of the request was sent."""
        where = self._proxy.endpoint.host_header
        return TransportError("connect", f"the proxy {where} {problem}", sent=False, fatal=fatal)
