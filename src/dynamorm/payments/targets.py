"""Where a webhook may be sent: to https, and to no address of one's own network, also after the name was looked up."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from dynamorm.errors import ValidationError


def check_target(url: str, *, resolve: Callable[..., Any] = socket.getaddrinfo) -> tuple[str, ...]:
    """Refuse a URL that a webhook must not be sent to, and give the addresses of its host.

    Connect to one of these addresses: a name may be another address a moment later. It looks the name up, and waits for that.

    Raises: ValidationError for what is no https URL, has a user or a password in it, or leads to an address that is not public.

    Example: ``addresses = check_target("https://example.com/hook")``
    """
    host, port = None, 0
    try:
        parts = urlsplit(url)
        if parts.scheme == "https" and "@" not in parts.netloc:
            host, port = parts.hostname, parts.port or 443
    except ValueError:
        host = None
    if not host:
        raise ValidationError("a webhook is sent to an https URL without a user: https://example.com/hook", field="url")
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except OSError:
        found = []
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    if not addresses:
        raise ValidationError("the host of the URL has no address", field="url")
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
        if not ip.is_global or ip.is_multicast or (inner is not None and not inner.is_global):
            raise ValidationError("the host of the URL is an address that is not public", field="url")
    return addresses
