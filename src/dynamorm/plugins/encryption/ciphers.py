"""`Envelopes`: what seals and opens, where the ``cryptography`` package is installed."""

from __future__ import annotations

from os import urandom
from typing import TYPE_CHECKING, Any

from dynamorm.errors import ConfigError

if TYPE_CHECKING:
    from .branch import BranchKey


class Envelopes:
    """Seals and opens. It holds what it needs of the ``cryptography`` package, which is imported once.

    Raises: ConfigError where that is not installed.
    """

    def __init__(self) -> None:
        try:
            from .branch import AESGCM, BranchKey, InvalidTag  # only who encrypts needs the package
        except ImportError as error:
            raise ConfigError(
                "encryption needs the cryptography package: pip install 'dynamorm-py[encryption]'"
            ) from error
        self.branch: type[BranchKey] = BranchKey
        self.cipher: Any = AESGCM
        self.wrong: type[Exception] = InvalidTag

    @staticmethod
    def random(count: int) -> bytes:
        """So many random bytes."""
        return urandom(count)

    def seal(
        self,
        branch: BranchKey | bytes,
        version: bytes,
        place: bytes,
        plain: bytes,
        *,
        salt: bytes = b"",
        nonce: bytes = b"",
    ) -> bytes:
        """The envelope of a value. ``salt`` and ``nonce`` are drawn, but for test vectors: both, or none."""
        branch = self.branch(branch) if isinstance(branch, bytes) else branch
        return branch.seal_value(version, place, plain, salt + nonce)

    def open(self, branch: BranchKey | bytes, place: bytes, envelope: bytes) -> bytes:
        """The value of an envelope. Raises: TamperedCiphertext."""
        branch = self.branch(branch) if isinstance(branch, bytes) else branch
        return branch.open_value(place, envelope)
