"""What keeps the files of a spool to one process, and from being read: its lock, and its encryption."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from dynamorm.errors import ConfigError, IntegrityError


def locked(path: Path) -> int:
    """Take a directory for this process. Raises: ConfigError, OSError."""
    try:
        import fcntl  # a system without it has no spool
    except ImportError:
        raise ConfigError("a spool needs a system with flock, which this one has not: use no spool_dir") from None
    check_own(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise ConfigError(
            f"the spool {path.parent} is in use, by another batcher or process: give each a spool_dir of its own"
        ) from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def check_own(path: Path) -> None:
    """Refuse a file of a spool that this user has not made: what stands in it would be written to tables. Links are no such files.

    Raises: IntegrityError, OSError.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise IntegrityError(
            f"the file {path} was not made by this user: look where it comes from, move it away, and keep the spool in a"
            " directory that nobody else can write to"
        )


def sync_directory(directory: Path) -> None:
    """Wait until the names of the files are on the disk."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


_SECRET = 32
"""Bytes of a spool's secret."""


def secret_of(directory: Path) -> bytes:
    """The secret of a spool, made with its first use: by it the tokens of its writes are known again.

    Raises: IntegrityError for a file that is not as it was written; OSError.
    """
    path = directory / "secret"
    check_own(path)
    if not path.exists():
        made = directory / "secret.new"
        made.unlink(missing_ok=True)  # of a process that was killed
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            os.write(fd, os.urandom(_SECRET))
            os.fsync(fd)
        finally:
            os.close(fd)
        made.replace(path)
        sync_directory(directory)
    secret = path.read_bytes()
    if len(secret) != _SECRET:
        raise IntegrityError(
            f"the file {path} is damaged: restore it, or remove it; without it, what the spool has written before counts as"
            " somebody else's, and is not replaced by what is left in it"
        )
    return secret


class Seal:
    """AES-256-GCM: a record cannot be read, changed or moved without the key."""

    def __init__(self, aead: Any, wrong: type[Exception]) -> None:
        self._aead = aead
        self.Wrong: type[Exception] = wrong

    def encrypt(self, data: bytes, place: bytes) -> bytes:
        """The nonce, and what is sealed with it."""
        nonce = os.urandom(12)
        sealed: bytes = nonce + self._aead.encrypt(nonce, data, place)
        return sealed

    def decrypt(self, data: bytes, place: bytes) -> bytes:
        """What was sealed for this place. Raises: ``Wrong``."""
        opened: bytes = self._aead.decrypt(data[:12], data[12:], place)
        return opened


def sealing(key: bytes | None) -> Seal | None:
    """What seals records with a key; nothing without one. Raises: ConfigError."""
    if key is None:
        return None
    try:
        from cryptography.exceptions import InvalidTag  # only for spools with a key
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # likewise
    except ImportError as error:
        raise ConfigError("spool_key needs the cryptography package: pip install 'dynamorm-py[spool]'") from error
    return Seal(AESGCM(key), InvalidTag)
