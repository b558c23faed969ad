"""The settings ``cursor_key`` and ``idempotency_key``: secrets of the program, and the check that they are secrets.

It must not know what is made of them, nor `Config`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from dynamorm.errors import ConfigError

SHORTEST: Final = 32
"""Bytes of a secret: those of an AES-256 key, so that the secret is no easier to guess than what is made of it."""
_FIX: Final = (
    "make one with: python -c 'import secrets, base64; print(base64.b64encode(secrets.token_bytes(32)).decode())'"
)


class SecretKeys:
    """The secrets of a setting. The first one makes what is new, all of them know what there is; none is ever shown.

    Example: ``SecretKeys.of(secrets.token_bytes(32), "cursor_key")``
    """

    __slots__ = ("secrets",)

    secrets: tuple[bytes, ...]

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self.secrets = secrets

    @classmethod
    def of(cls, given: Any, setting: str) -> SecretKeys:
        """The secrets that a setting was given: bytes or base64 text, or several of them, the newest first.

        Raises: ConfigError, which never shows what was given.
        """
        if isinstance(given, SecretKeys):
            return given
        several: Iterable[Any] = (given,) if isinstance(given, (bytes, bytearray, str)) else _several(given, setting)
        found = tuple(_secret(one, setting) for one in several)
        if not found:
            raise ConfigError(f"{setting} is empty: leave it out, or give a secret; {_FIX}")
        return cls(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKeys) and self.secrets == other.secrets

    def __hash__(self) -> int:
        return hash(self.secrets)

    def __repr__(self) -> str:
        return "'***'"


def _several(given: Any, setting: str) -> Iterable[Any]:
    if not isinstance(given, (list, tuple)):
        raise ConfigError(f"{setting} must be bytes, base64 text, or a list of these, not {type(given).__name__}")
    return given


def _secret(given: Any, setting: str) -> bytes:
    found = bytes(given) if isinstance(given, (bytes, bytearray)) else _decoded(given, setting)
    if len(found) < SHORTEST:
        raise ConfigError(f"{setting} holds a secret of {len(found)} bytes, {SHORTEST} are needed; {_FIX}")
    return found


def _decoded(given: Any, setting: str) -> bytes:
    if not isinstance(given, str):
        raise ConfigError(f"{setting} must be bytes, base64 text, or a list of these, not {type(given).__name__}")
    from base64 import b64decode  # only for secrets given as text

    text = given.strip().rstrip("=").replace("-", "+").replace("_", "/")
    found: bytes | None = None
    with suppress(ValueError):  # the exception may hold the secret, so ours is raised outside
        found = b64decode(text + "=" * (-len(text) % 4), validate=True)
    if found is None:
        raise ConfigError(f"{setting} is no base64 text (a secret that is not text is given as bytes); {_FIX}")
    return found
