"""The setting ``cursor_key``: the secrets that seal cursors, and the check that they are secrets.

It must not know how a cursor is made (`dynamorm.ops.queries.cursor`), nor `Config`.
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


class CursorKeys:
    """The secrets of ``cursor_key``. The first seals, all open; none is ever shown.

    Example: ``CursorKeys.of(secrets.token_bytes(32))``
    """

    __slots__ = ("secrets",)

    secrets: tuple[bytes, ...]

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self.secrets = secrets

    @classmethod
    def of(cls, given: Any) -> CursorKeys:
        """The secrets of a setting: bytes or base64 text, or several of them, the newest first.

        Raises: ConfigError, which never shows what was given.
        """
        if isinstance(given, CursorKeys):
            return given
        several: Iterable[Any] = (given,) if isinstance(given, (bytes, bytearray, str)) else _several(given)
        found = tuple(_secret(one) for one in several)
        if not found:
            raise ConfigError(f"cursor_key is empty: leave it out, or give a secret; {_FIX}")
        return cls(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CursorKeys) and self.secrets == other.secrets

    def __hash__(self) -> int:
        return hash(self.secrets)

    def __repr__(self) -> str:
        return "'***'"


def _several(given: Any) -> Iterable[Any]:
    if not isinstance(given, (list, tuple)):
        raise ConfigError(f"cursor_key must be bytes, base64 text, or a list of these, not {type(given).__name__}")
    return given


def _secret(given: Any) -> bytes:
    found = bytes(given) if isinstance(given, (bytes, bytearray)) else _decoded(given)
    if len(found) < SHORTEST:
        raise ConfigError(f"cursor_key holds a secret of {len(found)} bytes, {SHORTEST} are needed; {_FIX}")
    return found


def _decoded(given: Any) -> bytes:
    if not isinstance(given, str):
        raise ConfigError(f"cursor_key must be bytes, base64 text, or a list of these, not {type(given).__name__}")
    from base64 import b64decode  # only for secrets given as text

    text = given.strip().rstrip("=").replace("-", "+").replace("_", "/")
    found: bytes | None = None
    with suppress(ValueError):  # the exception may hold the secret, so ours is raised outside
        found = b64decode(text + "=" * (-len(text) % 4), validate=True)
    if found is None:
        raise ConfigError(f"cursor_key is no base64 text (a secret that is not text is given as bytes); {_FIX}")
    return found
