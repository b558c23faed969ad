"""What goes wrong with encrypted and ephemeral values. None of these errors has an item, and no message a value. As `retryable`."""

from __future__ import annotations

from typing import Any

from .base import DynamORMError


class EncryptionError(DynamORMError):
    """A value could be neither sealed nor opened; nothing was written."""

    code = "ErrEncryption"

    @property
    def is_final(self) -> bool:
        """Whether a value can be opened no more: its key is disabled or destroyed, or it is none. Else its key may be had, or found, later."""
        return True

    @property
    def lasts(self) -> bool:
        """Whether who asks again now is told the same: it is final, or no key of that name is on record."""
        return self.is_final


class TamperedCiphertext(EncryptionError):
    """A stored value is not what was sealed for this attribute of this item: it was changed, cut, moved or put in the clear.

    Which of these is not said. The same read will be refused again.
    """

    code = "ErrInvalidEncryptedEnvelope"


class KeyUnavailable(EncryptionError):
    """A key cannot be had now: the provider does not answer, or the key's record is not there. ``version`` names the key, if known.

    Example: ``except KeyUnavailable as error: log.warning("key %s", error.version)``
    """

    code = "ErrKeyUnavailable"
    retryable = True

    def __init__(self, message: str, *, version: str | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.version: str | None = version

    @property
    def is_final(self) -> bool:
        """False: a key that is not found may be put back, and one that cannot be had now may be had later."""
        return False

    @property
    def lasts(self) -> bool:
        """Whether it is known that there is no such key."""
        return self.version is not None


class KeyDisabled(EncryptionError):
    """A key may not be used: it was disabled, scheduled for deletion or shredded, or access to it is denied."""

    code = "ErrKeyDisabled"

    def __init__(self, message: str, *, version: str | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.version: str | None = version


class EncryptionNotConfigured(EncryptionError):
    """A model has encrypted fields, and the database no provider of keys: ``db.set_encryption_provider(...)``."""

    code = "ErrEncryptionNotConfigured"


class EphemeralGone(EncryptionError):
    """An ephemeral value is not there any more: it was revealed once, has expired, or the object was loaded from the table."""

    code = "ErrEphemeralGone"
