"""The parts of the settings that stand alone: credentials, the connection pool, and the checks of plain values.

It must not know `Config`; import these names from `dynamorm.config.settings`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from dynamorm.arguments import Settings, check_count, check_seconds
from dynamorm.errors import ConfigError

from .other_ways import INSTEAD

force_set: Final[Callable[[Any, str, Any], None]] = msgspec.structs.force_setattr
"""Assign to a frozen struct while it is being made."""

MAX_SECONDS = 900.0
"""The longest time-out accepted: an AWS Lambda invocation cannot last longer either, and more is a unit mix-up.

Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""
MAX_CONNECTIONS = 10_000
"""The most connections a pool may be given: more is a slip of the finger, and beyond the usual file limits."""


class ConfigSettings(Settings):
    """Makes `Config`, and knows what other libraries call its settings."""

    def instead_of(cls, strange: str) -> str:  # noqa: N805 - of a metaclass
        """What to write in the place of a name that is no setting."""
        return f"use {INSTEAD[strange]}" if strange in INSTEAD else super().instead_of(strange)


class Credentials(msgspec.Struct, frozen=True, metaclass=Settings):
    """An AWS access key.

    * ``key_id``, ``secret``: the access key's id, and the secret that belongs to it.
    * ``token`` (None): the session token of temporary credentials.
    * ``expires_at`` (None): Unix seconds, None for a key that does not expire.

    The secret and the token never appear in ``repr``. Raises `ConfigError` for text that cannot be a key: such text
    usually comes from a copied line end, and could otherwise smuggle headers into a request.

    Example: ``Credentials("AKIAIOSFODNN7EXAMPLE", secret)``
    """

    key_id: str
    secret: str
    token: str | None = None
    expires_at: float | None = None

    def __post_init__(self) -> None:
        for name, text in (("key_id", self.key_id), ("secret", self.secret), ("token", self.token)):
            if name == "token" and text is None:
                continue
            if not isinstance(text, str) or not text:
                raise ConfigError(f"credentials: {name} must be a text that is not empty")
            if not text.isascii() or not text.isprintable() or " " in text:
                raise ConfigError(
                    f"credentials: {name} holds a space, a line end, a control character or a letter outside ASCII; "
                    "copy it again without the surrounding white space"
                )
        if "/" in self.key_id or "," in self.key_id:
            raise ConfigError("credentials: key_id holds a '/' or ','; it may have been mixed up with the secret")
        expires = self.expires_at
        if expires is not None and (isinstance(expires, bool) or not isinstance(expires, int | float)):
            raise ConfigError("credentials: expires_at must be Unix seconds, or None when they do not expire")

    def __repr__(self) -> str:
        token = "None" if self.token is None else "'***'"
        return f"Credentials(key_id={self.key_id!r}, secret='***', token={token}, expires_at={self.expires_at!r})"

    def __rich_repr__(self) -> Any:
        yield "key_id", self.key_id
        yield "secret", "***"
        yield "token", None if self.token is None else "***"
        yield "expires_at", self.expires_at


CredentialsProvider: TypeAlias = Callable[[], Credentials]
"""A function that fetches credentials; it may block, and is called again before they expire or when refused."""


class HighThroughput(msgspec.Struct, frozen=True, kw_only=True, metaclass=Settings):
    """The connection pool. Times are float seconds or a timedelta.

    * ``max_connections`` (100): the hard cap per pool. At 5 ms a call it carries 20,000 calls a second, more than one
      Python process makes, and is far below the usual limit of 1,024 open files.
    * ``max_idle_connections`` (20): kept open when idle, the last used first. At least this many calls can begin
      without a TLS handshake; more would only hold memory and sockets. Never more than ``max_connections``.
    * ``connection_timeout`` (5.0): for waiting on the pool, DNS, TCP and TLS together. AWS's own standard mode allows
      3.1 s for the connection alone; a lost SYN is sent again after 1 and 3 s, so 5 s outlives two lost packets.
    * ``request_timeout`` (2.0): for one attempt, to the last byte of the answer, by the wall clock. DynamoDB answers
      single items in under 10 ms; after 2 s the attempt is lost and another connection is the better bet.
    * ``idle_timeout`` (55.0): an idle connection older than this is closed rather than used: load balancers drop idle
      connections without a word after 60 s or more, and using a dropped one costs a write its certainty.
    * ``max_age`` (300.0): a connection older than this is closed after its call, so that the pool follows DNS.

    Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-smart-config-defaults.html,
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Introduction.html, RFC 6298 (SYN times).

    Raises `ConfigError`. Example: ``HighThroughput(max_connections=50, request_timeout=1.5)``
    """

    if TYPE_CHECKING:  # attributes are float seconds; arguments may be a timedelta as well

        def __init__(
            self,
            *,
            max_connections: int = 100,
            max_idle_connections: int = 20,
            connection_timeout: float | timedelta = 5.0,
            request_timeout: float | timedelta = 2.0,
            idle_timeout: float | timedelta = 55.0,
            max_age: float | timedelta = 300.0,
        ) -> None: ...

    max_connections: int = 100
    max_idle_connections: int = 20
    connection_timeout: float = 5.0
    request_timeout: float = 2.0
    idle_timeout: float = 55.0
    max_age: float = 300.0

    def __post_init__(self) -> None:
        check_count("max_connections", self.max_connections, 1, MAX_CONNECTIONS, error=ConfigError)
        check_count("max_idle_connections", self.max_idle_connections, 0, MAX_CONNECTIONS, error=ConfigError)
        for name in ("connection_timeout", "request_timeout", "idle_timeout"):
            force_set(self, name, check_seconds(name, getattr(self, name), 0.001, MAX_SECONDS, error=ConfigError))
        force_set(self, "max_age", check_seconds("max_age", self.max_age, 1.0, 86_400.0, error=ConfigError))
        if self.max_idle_connections > self.max_connections:
            force_set(self, "max_idle_connections", self.max_connections)
