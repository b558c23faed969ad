"""The options of fields: plain data, checked where they are written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

from dynamorm.errors import EncryptionNotConfigured, ModelError

from .secret import Ephemeral

OnDecryptError = Literal["raise", "mark"]
SEALED: Final = frozenset({"pci"})
"""Rings whose items are sealed unless the field says otherwise."""


class Bits:
    """A blind index of ``n`` bits, 8 to 63: several values share one, so that it tells less of them.

    What it finds too much is left out after decrypting.

    Example: ``Encrypted("pii", searchable=Bits(16))``
    """

    __slots__ = ("n",)

    def __init__(self, n: int) -> None:
        if n.__class__ is not int or not 8 <= n <= 63:
            raise ModelError("Bits(n) takes 8 to 63 bits")
        self.n: int = n

    def __repr__(self) -> str:
        return f"Bits({self.n})"


class Full:
    """A blind index of full length, also for a type of few values: who sees the table sees which items share one.

    Example: ``Encrypted("pii", searchable=Full())``
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "Full()"


class Encrypted:
    """Field option: the value is stored encrypted, under the keys of a ring, and bound to its item.

    ``ring`` is the name of the keys: ``"pci"``, ``"pii"``. A model's ring and table are part of what is authenticated, so
    neither can be changed without writing each item again; the name of the class and other fields are not.

    ``searchable=True`` stores a blind index beside it, a keyed hash, by which ``Card.number.equals(...)`` finds it; `Bits` and
    `Full` say how long it is. ``normalize`` is called with the value before it is hashed (not before it is stored).
    ``seal=True``, which is the default of the ring ``pci``, binds the encrypted attributes and the version of an item together.
    ``on_decrypt_error="mark"`` gives an `Undecryptable` in the place of a value that cannot be opened.
    ``plaintext_until`` (with a time zone): until then values that were stored in the clear are read, too.
    ``subject="customer_id"``: each value of that field has a key of its own, which `KeyActions.shred` destroys.

    ``accept_v1=True`` also reads the envelopes of the Go library, which are bound to the attribute alone: they can be moved from
    item to item. ``envelope="v1"`` writes them too, with ``aad_prefix``, the name that the library had.

    Raises: ModelError.

    Example: ``card_number: Attr[str] = attr(Encrypted("pci"))``
    """

    __slots__ = (
        "aad_prefix",
        "accept_v1",
        "marks",
        "normalize",
        "plaintext_until",
        "ring",
        "seal",
        "searchable",
        "subject",
        "writes_v1",
    )
    secret = True
    shown = "<encrypted>"
    unpickled = True

    def __init__(
        self,
        ring: str,
        *,
        searchable: bool | Bits | Full = False,
        normalize: Callable[[Any], Any] | None = None,
        seal: bool | None = None,
        on_decrypt_error: OnDecryptError = "raise",
        plaintext_until: datetime | None = None,
        subject: str | None = None,
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
        self.searchable: Bits | Full | bool = _searchable(searchable, normalize)
        self.normalize: Callable[[Any], Any] | None = normalize
        self.seal: bool | None = _seal(seal, shared=self.accept_v1)
        if str(on_decrypt_error) not in {"raise", "mark"}:
            raise ModelError('on_decrypt_error of Encrypted is "raise" or "mark"')
        self.marks: bool = on_decrypt_error == "mark"
        self.plaintext_until: datetime | None = _until(plaintext_until)
        self.subject: str | None = _subject(subject, shared=self.accept_v1)

    @property
    def indexed(self) -> bool:
        """Whether a blind index is stored beside the value."""
        return self.searchable is not False

    @property
    def bits(self) -> int:
        """The bits of the blind index; 0 for full length."""
        return self.searchable.n if isinstance(self.searchable, Bits) else 0

    def indexed_as(self, stored: str) -> str:
        """The attribute that a key of an index has for the one that is stored so."""
        return f"_bi_{stored}" if self.indexed else stored

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


def _searchable(given: Any, normalize: Any) -> Any:
    if given.__class__ is not bool and not isinstance(given, (Bits, Full)):
        raise ModelError("searchable of Encrypted is True, False, Bits(n) or Full()")
    if normalize is not None and (given is False or not callable(normalize) or not getattr(normalize, "__name__", "")):
        raise ModelError(
            "normalize of Encrypted is a function with a name, which is a part of the blind index, and goes with searchable"
        )
    if normalize is not None and normalize.__name__ == "<lambda>":
        raise ModelError(
            "normalize of Encrypted is a part of the blind index by its name, and a lambda has none: write a def"
        )
    return given


def _seal(given: Any, *, shared: bool) -> bool | None:
    if given is not None and given.__class__ is not bool:
        raise ModelError("seal of Encrypted is True, False or None")
    if given and shared:
        raise ModelError(
            "seal=True goes with no envelope of the Go library: what that writes would break the seal of the item"
        )
    return False if shared else given


def _subject(given: Any, *, shared: bool) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not given or shared:
        raise ModelError("subject of Encrypted is the name of a field, and goes with no envelope of the Go library")
    return given


def _until(given: Any) -> datetime | None:
    if given is None:
        return None
    if not isinstance(given, datetime) or given.tzinfo is None:
        raise ModelError(
            "plaintext_until of Encrypted is a datetime with a time zone: datetime(2026, 1, 1, tzinfo=UTC)"
        )
    return given.astimezone(UTC)


def is_protected(field: Any) -> bool:
    """Whether the values of a field are shown nowhere: it is encrypted, or ephemeral."""
    return field.option(Encrypted) is not None or field.option(Ephemeral) is not None


def is_encrypted(field: Any) -> bool:
    """Whether a field is stored encrypted: one that is ephemeral is not stored at all."""
    return field.option(Encrypted) is not None and field.option(Ephemeral) is None
