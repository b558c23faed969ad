"""Where requests go: an endpoint's URL as the wire needs it, and the last check of an address.

The rules for URLs and addresses are `dynamorm.config.endpoint`'s alone. It must not resolve names or open anything.
"""

from __future__ import annotations

from msgspec import Struct

from dynamorm.config.endpoint import forbidden_address, ipv4_octets, is_aws_host, parse_endpoint


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
        """Whether the host is an IP address, which needs no look-up; the parser lets only addresses hold a colon."""
        return ":" in self.host or ipv4_octets(self.host) is not None

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Split an endpoint URL: scheme, host and an optional port, nothing else.

        Raises: `ConfigError` for anything else, and for an address that is never contacted.
        """
        parts = parse_endpoint(url)
        header = parts.url.partition("://")[2]
        return cls(parts.scheme, parts.host, parts.port, header, is_aws_host(parts.host), parts.loopback)


def address_refused(ip: str, *, loopback_ok: bool) -> str | None:
    """Why this IP address is never contacted, or None. Private networks are fine: VPC endpoints live there.

    ``loopback_ok`` is for an endpoint whose name itself says loopback; a public name that resolves to this machine
    is an attack or a mistake.
    """
    reason = forbidden_address(ip, loopback_ok=loopback_ok)
    return None if reason is None else f"{ip}: {reason}"
