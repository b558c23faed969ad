"""Where requests go: the parts of an endpoint's URL as the wire needs them, and the last check of an address.

The rules for URLs and addresses are `dynamorm.config_endpoint`'s. Pure text and number work; it must not
resolve names or open anything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dynamorm.config_endpoint import forbidden_address, ipv4_octets, is_aws_host
from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from ipaddress import IPv6Address

# Not with re.IGNORECASE: the pattern would take ten times as long to compile, and U+017F for an s.
_URL: Final = re.compile(
    r"(?P<scheme>[Hh][Tt][Tt][Pp][Ss]?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
)


class Endpoint(Struct, frozen=True):
    """A parsed endpoint.

    ``host`` has no brackets, no trailing dot and is lower case; ``host_header`` is what HTTP and the signature say;
    ``is_aws`` tells that the host is one of AWS's; ``is_loopback`` that the *name* is this machine, before any DNS.

    Example: ``Endpoint.parse("https://dynamodb.eu-west-1.amazonaws.com").host_header``
    """

    scheme: str
    host: str
    port: int
    host_header: str
    is_aws: bool
    is_loopback: bool

    @property
    def secure(self) -> bool:
        """Whether TLS is spoken."""
        return self.scheme == "https"

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address, which needs no look-up."""
        return _is_address(self.host)

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Split an endpoint URL: scheme, host and an optional port, nothing else.

        Raises: `ConfigError` for anything else, and for an address that is never contacted.
        """
        found = _URL.fullmatch(url)
        port = None if found is None else int(found["port"] or (443 if found["scheme"].lower() == "https" else 80))
        if found is None or port is None or not 0 < port < 65536:
            raise ConfigError(f"endpoint {_shown(url)!r} is not of the form https://host or https://host:port")
        scheme, host = found["scheme"].lower(), found["host"].lower().strip("[]").rstrip(".")
        named = f"[{host}]" if ":" in host else host
        loopback = _is_loopback(host)
        if found["host"].startswith("[") and not _is_address(host):
            raise ConfigError(f"endpoint {_shown(url)!r}: {host!r} is not an IPv6 address")
        refused = address_refused(host, loopback_ok=loopback) if _is_address(host) else None
        if refused:
            raise ConfigError(f"endpoint {_shown(url)!r} is never contacted: {refused}")
        header = named if port == (443 if scheme == "https" else 80) else f"{named}:{port}"
        return cls(scheme, host, port, header, is_aws_host(host), loopback)


def address_refused(ip: str, *, loopback_ok: bool) -> str | None:
    """Why this IP address is never contacted, or None. Private networks are fine: VPC endpoints live there.

    ``loopback_ok`` is for an endpoint whose name itself says loopback; a public name that resolves to this machine
    is an attack or a mistake.
    """
    reason = forbidden_address(ip, loopback_ok=loopback_ok)
    if reason is None and ip.partition(".")[0].isdigit() and int(ip.partition(".")[0]) >= 240:
        reason = "it is a reserved address"  # 240.0.0.0/4 and the broadcast address
    return None if reason is None else f"{ip}: {reason}"


def _is_address(host: str) -> bool:
    """Whether the host is an IP address. Only canonical forms: ``127.1`` and ``0x7f000001`` are names."""
    return ipv4_octets(host) is not None or _ipv6(host) is not None


def _ipv6(host: str) -> IPv6Address | None:
    if ":" not in host:
        return None
    from ipaddress import IPv6Address  # milliseconds that only IPv6 has to pay

    try:
        return IPv6Address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761: always this machine
        return True
    octets, address = ipv4_octets(host), _ipv6(host)
    return (octets is not None and octets[0] == 127) or (address is not None and address.is_loopback)


def _shown(url: str) -> str:
    """The URL without credentials that somebody may have put into it."""
    return re.sub(r"//[^/@]*@", "//***@", url)[:200]
