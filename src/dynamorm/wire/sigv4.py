"""AWS Signature Version 4, for the one request shape DynamoDB has. It must not know sockets, clocks or retries.

Everything that repeats is kept: the signing key for a day, and for a second the time stamp, each operation's head and
two half-finished hashes. What is left per request is the body's hash, one more hash and one HMAC.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

from hashlib import sha256
from hmac import digest as hmac_digest
from time import gmtime, strftime
from typing import TYPE_CHECKING

from dynamorm.config.settings import Credentials
from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from hashlib import _Hash  # exists for type checkers only

CONTENT_TYPE = "application/x-amz-json-1.0"
TARGET_PREFIX = "DynamoDB_20120810"
STREAMS_TARGET_PREFIX = "DynamoDBStreams_20120810"
USER_AGENT = "dynamorm-py"

_ALGORITHM = "AWS4-HMAC-SHA256"
_IPAD = bytes(b ^ 0x36 for b in range(256))
_OPAD = bytes(b ^ 0x5C for b in range(256))


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """Derive the key that signs everything of one day, Region and service.

    Example: ``signing_key(secret, "20150830", "us-east-1", "dynamodb")`` (32 bytes)
    """
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac_digest(key, part.encode(), "sha256")
    return key


class _Second:
    """All that is the same for requests with one set of credentials in one second."""

    __slots__ = ("credentials", "heads", "inner", "outer", "scope", "second", "stamp")

    def __init__(self, second: int, credentials: Credentials, stamp: str, scope: str, key: bytes) -> None:
        self.second = second
        self.credentials = credentials
        self.stamp = stamp
        self.scope = scope
        padded = key.ljust(64, b"\0")  # RFC 2104; 64 is SHA-256's block size
        self.inner = sha256(padded.translate(_IPAD))
        self.inner.update(f"{_ALGORITHM}\n{stamp}\n{scope}\n".encode())
        self.outer = sha256(padded.translate(_OPAD))
        self.heads: dict[str, tuple[bytes, _Hash]] = {}


class Signer:
    """Signs requests to one host in one Region. Safe to share between threads.

    ``host_header`` is the Host header as sent, with the port when it is not the scheme's default.
    Raises `ConfigError` for a host or Region that would break the head.

    Example::

        signer = Signer("eu-west-1", "dynamodb.eu-west-1.amazonaws.com")
        data = signer.request("GetItem", body, credentials, time.time() + clock.skew)
    """

    __slots__ = ("_content_type", "_day", "_host", "_now", "_prefix", "_region", "_service")

    def __init__(
        self,
        region: str,
        host_header: str,
        service: str = "dynamodb",
        *,
        target_prefix: str = TARGET_PREFIX,
        content_type: str = CONTENT_TYPE,
    ) -> None:
        self._content_type = content_type
        for name, value in (("region", region), ("endpoint", host_header), ("service", service)):
            _check_token(name, value)
        self._region = region
        self._host = host_header
        self._service = service
        self._prefix = target_prefix
        self._now: _Second | None = None
        self._day: tuple[str, Credentials, bytes] | None = None

    def request(self, target: str, body: bytes, credentials: Credentials, now: float) -> bytes:
        """The whole signed request: ``target`` is the operation (``"PutItem"``), ``now`` Unix seconds.

        Pass the same `Credentials` object while it lasts: a different one discards the kept hashes.
        """
        kept = self._now
        if kept is None or kept.credentials is not credentials or kept.second != int(now):
            kept = self._begin(int(now), credentials)
        entry = kept.heads.get(target)
        if entry is None:
            entry = self._head(kept, target)
        canonical = entry[1].copy()
        canonical.update(sha256(body).hexdigest().encode())
        inner = kept.inner.copy()
        inner.update(canonical.hexdigest().encode())
        outer = kept.outer.copy()
        outer.update(inner.digest())
        return b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (entry[0], outer.hexdigest().encode(), len(body), body)

    def _begin(self, second: int, credentials: Credentials) -> _Second:
        """Start a new second, and a new day or set of credentials when that is due."""
        stamp = strftime("%Y%m%dT%H%M%SZ", gmtime(second))
        date = stamp[:8]
        day = self._day
        if day is None or day[0] != date or day[1] is not credentials:
            key = signing_key(credentials.secret, date, self._region, self._service)
            self._day = day = (date, credentials, key)
        scope = f"{date}/{self._region}/{self._service}/aws4_request"
        # One assignment of a finished object: a thread that still holds the old one signs correctly with it.
        self._now = kept = _Second(second, credentials, stamp, scope, day[2])
        return kept

    def _head(self, kept: _Second, target: str) -> tuple[bytes, _Hash]:
        """What precedes the signature, and the hash of the canonical request up to the body's own hash."""
        _check_token("operation", target)
        token = kept.credentials.token
        token_canonical = f"x-amz-security-token:{token}\n" if token else ""
        token_header = f"X-Amz-Security-Token: {token}\r\n" if token else ""
        signed = f"content-type;host;x-amz-date;{'x-amz-security-token;' if token else ''}x-amz-target"
        canonical = (
            f"POST\n/\n\ncontent-type:{self._content_type}\nhost:{self._host}\nx-amz-date:{kept.stamp}\n"
            f"{token_canonical}x-amz-target:{self._prefix}.{target}\n\n{signed}\n"
        )
        head = (
            f"{_common_head(self._host, self._prefix, target, self._content_type)}X-Amz-Date: {kept.stamp}\r\n{token_header}"
            f"Authorization: {_ALGORITHM} Credential={kept.credentials.key_id}/{kept.scope}, "
            f"SignedHeaders={signed}, Signature="
        )
        entry = (head.encode("ascii"), sha256(canonical.encode("ascii")))
        kept.heads[target] = entry
        return entry


class Unsigned:
    """Writes requests without a signature, for emulators on this machine (``sign_requests=False``).

    Example: ``Unsigned("localhost:8000").request("GetItem", body)``
    """

    __slots__ = ("_content_type", "_heads", "_host", "_prefix")

    def __init__(
        self, host_header: str, *, target_prefix: str = TARGET_PREFIX, content_type: str = CONTENT_TYPE
    ) -> None:
        self._content_type = content_type
        _check_token("endpoint", host_header)
        self._host = host_header
        self._prefix = target_prefix
        self._heads: dict[str, bytes] = {}

    def request(self, target: str, body: bytes, credentials: Credentials | None = None, now: float = 0.0) -> bytes:  # noqa: ARG002  (as `Signer`)
        """The whole request. ``credentials`` and ``now`` are accepted so that it can stand in for a `Signer`."""
        head = self._heads.get(target) or self._head(target)
        return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)

    def _head(self, target: str) -> bytes:
        _check_token("operation", target)
        head = _common_head(self._host, self._prefix, target, self._content_type).encode("ascii")
        return self._heads.setdefault(target, head)


class Named(Unsigned):
    """Writes requests that say whose they are, and have no signature: for an engine in this process.

    Example: ``Named("127.0.0.1:8000").request("GetItem", body, credentials)``
    """

    __slots__ = ()

    def request(self, target: str, body: bytes, credentials: Credentials | None = None, now: float = 0.0) -> bytes:  # noqa: ARG002  (as `Signer`)
        """The whole request. ``now`` is accepted so that it can stand in for a `Signer`."""
        if credentials is None:
            return super().request(target, body)
        head = self._heads.get(target) or self._head(target)
        key = credentials.key_id.encode()
        return b"%bAuthorization: Credential=%b/\r\nContent-Length: %d\r\n\r\n%b" % (head, key, len(body), body)


def _common_head(host: str, prefix: str, target: str, content_type: str) -> str:
    return (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nX-Amz-Target: {prefix}.{target}\r\n"
        f"Accept-Encoding: identity\r\nUser-Agent: {USER_AGENT}\r\n"
    )


def _check_token(name: str, value: str) -> None:
    """Refuse what could end a header line: these texts go into the head as they are."""
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigError(f"{name} is empty or holds a space, a control character or a letter outside ASCII")
