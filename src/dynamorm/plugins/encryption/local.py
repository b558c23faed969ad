"""`LocalKeyProvider`: a key in a file of this machine, for development and tests."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, KeyDisabled
from dynamorm.plugin import OfOneProcess

from .ciphers import Envelopes
from .envelope import framed

_MARK: Final = b"dynamorm local keys 1\n"


class LocalKeyProvider(OfOneProcess):
    """Wraps data keys with a key that is kept in a file, which is made with the first use, for its owner alone (0600).

    It is for development and tests: ``Presets.production()`` refuses it, for whoever has the file has every key. Without the file
    nothing can be read any more.

    Raises: ConfigError for a file that is no such key, or that others may read; where ``cryptography`` is missing.

    Example: ``db.set_encryption_provider(LocalKeyProvider(".keys/local"))``
    """

    grace: float = 0.0
    is_for_production: bool = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        ttl: float = 300.0,
        max_keys: int = 1000,
        keyring_table: str | None = None,
    ) -> None:
        self.ttl: float = ttl
        self.max_keys: int = max_keys
        self.keyring_table: str | None = keyring_table
        self._envelopes = Envelopes()
        self._path = Path(path)
        self._cipher: Any = self._envelopes.cipher(_key_in(self._path))

    def generate(self, context: Mapping[str, str]) -> Flow[tuple[bytes, bytes]]:
        """See `KeyProvider`."""
        plain, nonce = os.urandom(32), os.urandom(12)
        return plain, nonce + self._cipher.encrypt(nonce, plain, _associated(context))
        yield  # it waits for nothing

    def unwrap(self, wrapped: bytes, context: Mapping[str, str]) -> Flow[bytes]:
        """See `KeyProvider`."""
        try:
            plain: bytes = self._cipher.decrypt(wrapped[:12], wrapped[12:], _associated(context))
        except (self._envelopes.wrong, ValueError):
            pass
        else:
            return plain
        raise KeyDisabled(
            f"a key of this table was not wrapped by the key in the file {self._path.name}, or for something else"
        )
        yield  # as above

    def __repr__(self) -> str:
        return f"LocalKeyProvider({str(self._path)!r})"


def _associated(context: Mapping[str, str]) -> bytes:
    return framed(*(part.encode() for pair in sorted(context.items()) for part in pair))


def _key_in(path: Path) -> bytes:
    """The key in a file, which is made where it is not there. Raises: ConfigError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _make(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise ConfigError(f"the file of keys {path} may be read by others than its owner: chmod 600 {path}")
    data = path.read_bytes()
    if len(data) != len(_MARK) + 32 or not data.startswith(_MARK):
        raise ConfigError(f"the file {path} holds no keys of a LocalKeyProvider: give the path of one, or of no file")
    return data[len(_MARK) :]


def _make(path: Path) -> None:
    """Put a new key into the file, complete or not at all; of two processes the first one's stays."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(fd, _MARK + os.urandom(32))
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        with suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename it leaves the file of another process as it is
    finally:
        draft.unlink()
