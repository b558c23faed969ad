"""Where requests may be sent: the rules for endpoint URLs and addresses, as pure functions.

It must not resolve names or open sockets; whoever does asks `forbidden_address` about each answer. The parsers of the
standard library cost milliseconds to import, so the usual forms (an IPv4 address, a plain URL) are read without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from msgspec import Struct

from dynamorm.config.partitions import dynamodb_host, is_aws_host, is_dual_stack, is_service_host, streams_host
from dynamorm.errors import ConfigError

__all__ = [
    "METADATA_HOSTS",
    "EndpointURL",
    "default_endpoint",
    "forbidden_address",
    "host_allowed",
    "ipv4_octets",
    "is_aws_host",
    "parse_endpoint",
    "region_of",
    "streams_endpoint",
]

METADATA_HOSTS = frozenset(
    {"metadata", "metadata.goog", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)
"""Names that clouds give to the service that hands out instance credentials. Never a database."""

_SERVICE_LABELS = frozenset(
    {"dynamodb", "dynamodb-fips", "ddb", "ddb-fips", "streams-dynamodb", "streams-dynamodb-fips"}
)
_METADATA_ADDRESSES = ("100.100.100.200", "168.63.129.16", "192.0.0.192")
"""Metadata services outside the link-local range: Alibaba, Azure, Oracle."""
_METADATA_NETWORKS = ("fd00:ec2::/32", "fd20:ce::/64", "fd00:c1::/32", "fd00:42::/32")
"""Those over IPv6: AWS's, Google's, Oracle's, Scaleway's."""
_EMBEDDING = ("64:ff9b::/96", "64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96")
"""Networks whose last 32 bits are an IPv4 address that is reached through them: NAT64 (RFC 6052, RFC 8215), addresses that are
compatible with IPv4 (RFC 4291), and those that SIIT translates (RFC 2765)."""
_METADATA = "it belongs to a cloud's instance metadata service"
_LINK_LOCAL = "it is link-local, where clouds keep the instance metadata service"
_MULTICAST = "it is a multicast address"
_RESERVED = "it is a reserved address"
_UNSPECIFIED = "it is not a real address (for this machine use 127.0.0.1)"
_THIS_MACHINE = "it is this machine itself"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


class EndpointURL(Struct, frozen=True):
    """A checked endpoint: ``scheme`` is http or https, ``host`` lower case without brackets, ``port`` always set."""

    scheme: str
    host: str
    port: int
    loopback: bool

    @property
    def url(self) -> str:
        """The endpoint in one spelling, without a default port.

        Example: ``parse_endpoint("HTTPS://Localhost:443/").url == "https://localhost"``
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port == _DEFAULT_PORTS[self.scheme] else f':{self.port}'}"


def host_allowed(host: str, allow_list: Sequence[str]) -> bool:
    """Whether ``host`` is a service of AWS's, or named in ``allow_list`` (exact names, or ``*.suffix`` for names below a suffix).

    Example: ``host_allowed("db.corp.example", ("*.corp.example",))`` is True.
    """
    if is_service_host(host):
        return True
    return any(
        host == entry or (entry.startswith("*.") and host.endswith(entry[1:]) and len(host) >= len(entry))
        for entry in map(str.lower, allow_list)
    )


def forbidden_address(address: str, *, loopback_ok: bool) -> str | None:
    """Why an IP address must never be contacted, or None when it may be.

    Ask this about every address a name resolves to: a name that suddenly points at the metadata service or at the
    own machine is an attack on the credentials (DNS rebinding). Link-local, multicast, reserved, unspecified and
    metadata addresses are always refused; loopback ones unless ``loopback_ok``.

    Source: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html (169.254.169.254 and
    fd00:ec2::254), https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html (169.254.170.2).

    Example: ``forbidden_address("169.254.169.254", loopback_ok=True)`` returns a text.
    """
    plain = address.partition("%")[0]
    octets = ipv4_octets(plain)
    if octets is None:
        return _forbidden_ipv6(plain, loopback_ok=loopback_ok)
    if plain in _METADATA_ADDRESSES:
        return _METADATA
    first, second = octets[:2]
    if (first, second) == (169, 254):
        return _LINK_LOCAL
    if 224 <= first < 240:
        return _MULTICAST
    if first == 0:
        return _UNSPECIFIED
    if first >= 240:  # the broadcast address too
        return _RESERVED
    return _THIS_MACHINE if first == 127 and not loopback_ok else None


def ipv4_octets(text: str) -> list[int] | None:
    """The four numbers of an IPv4 address in its only canonical form, or None for any other text.

    Example: ``ipv4_octets("127.0.0.1") == [127, 0, 0, 1]``; ``"127.1"``, ``"010.0.0.1"`` and names are None.
    """
    parts = text.split(".")
    if len(parts) != 4 or not all(0 < len(one) <= 3 and one.isascii() and one.isdigit() for one in parts):
        return None
    octets = [int(one) for one in parts]
    return octets if max(octets) < 256 and ".".join(map(str, octets)) == text else None


def _forbidden_ipv6(address: str, *, loopback_ok: bool) -> str | None:
    """As `forbidden_address`, for what is no IPv4 address."""
    import ipaddress  # milliseconds that only IPv6 has to pay

    try:
        ip = ipaddress.IPv6Address(address)
    except ValueError:
        return "it is not an IP address"
    if ip.is_unspecified:
        return _UNSPECIFIED
    if ip.is_loopback:
        return None if loopback_ok else _THIS_MACHINE
    inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
    if inner is None and (_is_isatap(ip) or any(ip in ipaddress.IPv6Network(one) for one in _EMBEDDING)):
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inner is not None:
        return forbidden_address(str(inner), loopback_ok=loopback_ok)
    if any(ip in ipaddress.IPv6Network(one) for one in _METADATA_NETWORKS):
        return _METADATA
    if ip.is_link_local:
        return _LINK_LOCAL
    if ip.is_multicast:
        return _MULTICAST
    return None


def _is_isatap(ip: Any) -> bool:
    """Whether an IPv6 address holds one of IPv4 behind ``:0:5efe:`` (RFC 5214)."""
    return (int(ip) >> 32) & 0xFDFFFFFF == 0x5EFE


def parse_endpoint(url: str) -> EndpointURL:
    """Take an endpoint URL apart and refuse every form that could mean something else than it seems.

    Refused: other schemes than http and https, user names and passwords, paths, queries, fragments, spaces and
    control characters, host names outside ASCII, odd spellings of IP addresses, metadata and link-local hosts.

    Raises `ConfigError`. The message repeats the URL only when it cannot hold a password.

    Example: ``parse_endpoint("http://localhost:8000") == EndpointURL("http", "localhost", 8000, True)``
    """
    shown = "given" if "@" in url or len(url) > 300 else repr(url)
    if not url.isascii() or any(c <= " " or c in "\x7f\\" for c in url):
        raise _bad(shown, "holds a space, a control character, a backslash or a letter outside ASCII")
    usual = _usual(url)
    if usual is not None:
        scheme, host, port = usual
        host = _without_root(host)
        return EndpointURL(scheme, host, port, _check_host(host, shown, bracketed=False))
    from urllib.parse import urlsplit  # milliseconds that the usual form need not pay

    try:
        parts = urlsplit(url)
        number = parts.port
    except ValueError:
        raise _bad(shown, "is not a URL with a port from 1 to 65535") from None
    if parts.scheme not in {"http", "https"} or not url[len(parts.scheme) :].startswith("://"):
        if "://" not in url and "@" not in url:
            raise _bad(
                shown, f"must begin with https://, or with http:// for an emulator on this machine: 'http://{url}'"
            )
        raise _bad(shown, "must begin with https://")
    if "@" in parts.netloc:
        raise _bad(shown, "holds a user name or password; requests are signed instead, so pass credentials=")
    if parts.path not in {"", "/"} or "?" in url or "#" in url:
        raise _bad(shown, "has a path, query or fragment; DynamoDB has none")
    host = _without_root((parts.hostname or "").lower())
    if not host or number == 0:
        raise _bad(shown, "needs a host, and a port from 1 to 65535 if any")
    if parts.netloc.endswith(":"):
        raise _bad(shown, "ends in a colon without a port")
    loopback = _check_host(host, shown, bracketed=parts.netloc.startswith("["))
    return EndpointURL(parts.scheme, host, number or _DEFAULT_PORTS[parts.scheme], loopback)


def _usual(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of ``https://host``, ``https://host:port`` and the like; None for what needs a parser."""
    scheme, _, rest = url.partition("://")
    host, colon, port = rest.removesuffix("/").partition(":")
    if scheme not in _DEFAULT_PORTS or not host or not _LABEL.issuperset(host.replace(".", "")):
        return None
    if not colon:
        return scheme, host, _DEFAULT_PORTS[scheme]
    return (scheme, host, int(port)) if port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536 else None


def _without_root(host: str) -> str:
    """The name without the dot of DNS's root: ``db.example.com.`` is ``db.example.com``."""
    return host[:-1] if host.endswith(".") and "." in host[:-1] else host


def _check_host(host: str, shown: str, *, bracketed: bool) -> bool:
    """Refuse what is not a plain name or address; say whether it is this machine."""
    last = host.rpartition(".")[2]
    if bracketed or last.isdigit() or last.startswith("0x"):  # what a resolver would read as a number
        if "%" in host:
            raise _bad(shown, "has an IPv6 zone, which only link-local addresses need")
        reason = forbidden_address(host, loopback_ok=True)
        if reason is not None:
            raise _bad(shown, f"is never contacted: {reason}")
        return forbidden_address(host, loopback_ok=False) is not None
    labels = host.split(".")
    if len(host) > 253 or not all(map(_is_label, labels)):
        raise _bad(shown, "does not name a host")
    if host in METADATA_HOSTS:
        raise _bad(shown, "is never contacted: it is the name of an instance metadata service")
    return last == "localhost"  # also with labels before it (RFC 6761)


def _is_label(label: str) -> bool:
    return 0 < len(label) <= 63 and _LABEL.issuperset(label) and "-" not in {label[0], label[-1]}


def region_of(host: str) -> str | None:
    """The Region inside one of AWS's own DynamoDB host names, or None when the name does not say.

    Understands the plain, FIPS, dual-stack, account and VPC forms.
    Source: https://docs.aws.amazon.com/general/latest/gr/ddb.html

    Example: ``region_of("vpce-1-2.dynamodb.eu-west-1.vpce.amazonaws.com") == "eu-west-1"``
    """
    if is_aws_host(host):
        labels = host.split(".")
        for before, label in pairwise(labels):
            if before in _SERVICE_LABELS and label.count("-") >= 2:
                return label
    return None


def default_endpoint(region: str) -> str:
    """DynamoDB's public endpoint in a Region.

    Source: https://docs.aws.amazon.com/general/latest/gr/ddb.html

    Example: ``default_endpoint("cn-north-1") == "https://dynamodb.cn-north-1.amazonaws.com.cn"``
    """
    return f"https://{dynamodb_host(region)}"


def streams_endpoint(url: str) -> str:
    """Where the streams of an endpoint's tables are read: AWS has hosts of their own for it, any other host serves both.

    A VPC or account endpoint of DynamoDB does not serve streams: those are read at the Region's public endpoint.
    Source: https://docs.aws.amazon.com/general/latest/gr/ddb.html

    Example: ``streams_endpoint("https://dynamodb.eu-west-1.amazonaws.com") == "https://streams.dynamodb.eu-west-1.amazonaws.com"``
    """
    host = parse_endpoint(url).host
    region = region_of(host)
    if region is None:
        return url
    return f"https://{streams_host(region, fips='-fips' in host, dual_stack=is_dual_stack(host))}"


def _bad(shown: str, why: str) -> ConfigError:
    return ConfigError(f"endpoint {shown} {why}. Example: endpoint='https://dynamodb.eu-west-1.amazonaws.com'")
