"""The options of fields: plain data, checked where they are written."""

from __future__ import annotations

from typing import Any, Literal

from dynamorm.errors import EncryptionNotConfigured, ModelError

OnDecryptError = Literal["raise", "mark"]


class Encrypted:
    """Field option: the value is stored encrypted, under the keys of a ring, and bound to its item.

    ``ring`` is the name of the keys: ``"pci"``, ``"pii"``. A model's ring and table are part of what is authenticated, so
    neither can be changed without writing each item again; the name of the class and other fields are not.

    Raises: ModelError.

    Example: ``card_number: Attr[str] = attr(Encrypted("pci"))``
    """

    __slots__ = ("ring",)
    secret = True
    shown = "<encrypted>"
    unpickled = True

    def __init__(self, ring: str) -> None:
        self.ring: str = _ring(ring)

    @staticmethod
    def unclaimed(where: str) -> EncryptionNotConfigured:
        """The error for a database without a provider of keys."""
        return EncryptionNotConfigured(
            f"{where} is encrypted, and this database has no provider of keys: call"
            " db.set_encryption_provider(KMSProvider(key_id=...)) right after it is made"
        )

    def __repr__(self) -> str:
        return f"Encrypted({self.ring!r})"


def _ring(ring: Any) -> str:
    if (
        not isinstance(ring, str)
        or not ring.isascii()
        or not ring.replace("-", "").replace("_", "").isalnum()
        or len(ring) > 64
    ):
        raise ModelError(
            f'the ring of Encrypted is a name of 1 to 64 letters, digits, - and _: Encrypted("pci"), not {type(ring).__name__}'
        )
    return ring
