"""Where a webhook may be sent: to https, and to no address of one's own network, also after the name was looked up."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any, Final
from unicodedata import normalize
from urllib.parse import urlsplit

from dynamorm.errors import ValidationError

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""A gateway makes addresses of IPv4 of these, of the last 32 bits. Source: RFC 6052."""
_ISATAP: Final = 0x00005EFE
"""The 32 bits before such an address in an identifier of RFC 5214, but for its bit of being global."""
_LOCAL: Final = tuple(map(ipaddress.ip_network, ("64:ff9b:1::/48", "fec0::/10", "192.88.99.0/24")))
"""Not public, though `ipaddress` says so of some: NAT64 of a network's own (RFC 8215), site-local, and 6to4 relays (RFC 7526)."""


def check_target(url: str, *, resolve: Callable[..., Any] = socket.getaddrinfo) -> tuple[str, ...]:
    """Refuse a URL that a webhook must not be sent to, and give the addresses of its host.

    Connect to one of these addresses: a name may be another address a moment later. It looks the name up, and waits for that.

    Raises: ValidationError for what is no https URL, has a user or a password in it, the port 0, spaces or control
    characters, or a host that is not in the normal form NFKC, or leads to an address that is not public.

    Example: ``addresses = check_target("https://example.com/hook")``
    """
    host, port = None, 0
    try:
        parts = urlsplit(url)
        if parts.scheme == "https" and "@" not in parts.netloc and parts.port != 0:
            host, port = parts.hostname, parts.port or 443
    except ValueError:
        host = None
    if not host:
        raise ValidationError("a webhook is sent to an https URL without a user: https://example.com/hook", field="url")
    if not url.isprintable() or any(map(str.isspace, url)):  # a URL is cleaned of some of these before it is used
        raise ValidationError("a URL has neither spaces nor control characters: write them as %20", field="url")
    if normalize("NFKC", host) != host:
        raise ValidationError("the host of the URL is another one in its normal form: write it in that", field="url")
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the latter of a name that no name can be
        found = []
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    if not addresses:
        raise ValidationError(
            "the host of the URL has no address: is it spelled right, and known to the DNS of this machine?",
            field="url",
        )
    if not all(map(_is_public, addresses)):
        raise ValidationError(
            "the host of the URL leads to an address that is not public: webhooks go to what the internet reaches",
            field="url",
        )
    return addresses


def _is_public(address: str) -> bool:
    """Whether an address is public, and each that it stands for."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip in _NAT64:
        return _is_public(str(_last(ip)))
    if not ip.is_global or ip.is_multicast or ip.is_reserved or any(ip in network for network in _LOCAL):
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return True
    inner = _last(ip) if int(ip) >> 32 & 0xFDFFFFFF == _ISATAP else ip.sixtofour
    return inner is None or _is_public(str(inner))


def _last(ip: Any) -> ipaddress.IPv4Address:
    """The last 32 bits of an address, as one of IPv4."""
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
