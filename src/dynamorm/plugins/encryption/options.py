"""The options of fields: plain data, checked where they are written."""

from __future__ import annotations

from typing import Any, Literal

from dynamorm.errors import EncryptionNotConfigured, ModelError

OnDecryptError = Literal["raise", "mark"]


class Encrypted:
    """Field option: the value is stored encrypted, under the keys of a ring, and bound to its item.

    ``ring`` is the name of the keys: ``"pci"``, ``"pii"``. A model's ring and table are part of what is authenticated, so
    neither can be changed without writing each item again; the name of the class and other fields are not.

    ``accept_v1=True`` also reads the envelopes of the Go library, which are bound to the attribute alone: they can be moved from
    item to item. ``envelope="v1"`` writes them too, with ``aad_prefix``, the name that the library had.

    Raises: ModelError.

    Example: ``card_number: Attr[str] = attr(Encrypted("pci"))``
    """

    __slots__ = ("aad_prefix", "accept_v1", "ring", "writes_v1")
    secret = True
    shown = "<encrypted>"
    unpickled = True

    def __init__(
        self,
        ring: str,
        *,
        envelope: Literal["v1"] | None = None,
        aad_prefix: Literal["theorydb", "dynamorm"] = "theorydb",
        accept_v1: bool = False,
    ) -> None:
        self.ring: str = _ring(ring)
        if (
            envelope not in {None, "v1"}
            or aad_prefix not in {"theorydb", "dynamorm"}
            or accept_v1.__class__ is not bool
        ):
            raise ModelError(
                'Encrypted takes envelope="v1" or None, aad_prefix="theorydb" or "dynamorm", and accept_v1=True or False'
            )
        self.writes_v1: bool = envelope == "v1"
        self.accept_v1: bool = accept_v1 or self.writes_v1
        self.aad_prefix: str = aad_prefix

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
