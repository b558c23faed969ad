"""The parts of the settings that stand alone: credentials, the connection pool, and the checks of plain values.

It must not know `Config`; import these names from `dynamorm.config.settings`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from dynamorm.arguments import check_count, check_seconds
from dynamorm.errors import ConfigError, UnknownSetting

force_set: Final[Callable[[Any, str, Any], None]] = msgspec.structs.force_setattr
"""Assign to a frozen struct while it is being made."""

MAX_SECONDS = 900.0
"""The longest time-out accepted: an AWS Lambda invocation cannot last longer either, and more is a unit mix-up.

Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""
MAX_CONNECTIONS = 10_000
"""The most connections a pool may be given: more is a slip of the finger, and beyond the usual file limits."""


class Settings(type(msgspec.Struct)):  # type: ignore[misc] # the metaclass of msgspec's structs
    """Makes the classes of settings: what is no setting is refused with the nearest name that is one."""

    if not TYPE_CHECKING:  # a checker takes the arguments from the class

        def __call__(cls, *args: Any, **given: Any) -> Any:
            """Make settings. Raises: UnknownSetting for a name, or a number of arguments, that the class does not have."""
            problem = ""
            try:
                return super().__call__(*args, **given)
            except TypeError as error:
                problem = str(error)
            known = cls.__struct_fields__
            strange = next((name for name in given if name not in known), None)
            if strange is None:
                raise UnknownSetting(f"{cls.__name__}: {problem}; its settings are {', '.join(known)}")
            from difflib import get_close_matches  # only for this message

            from .other_ways import INSTEAD  # likewise

            if cls.__name__ == "Config" and strange in INSTEAD:
                raise UnknownSetting(f"{strange} is not a setting of Config: use {INSTEAD[strange]}")
            near = get_close_matches(strange, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise UnknownSetting(f"{strange} is not a setting of {cls.__name__}: {hint}")


class Credentials(msgspec.Struct, frozen=True, metaclass=Settings):
    """An AWS access key. ``expires_at`` is in Unix seconds, None for one that does not expire.

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
