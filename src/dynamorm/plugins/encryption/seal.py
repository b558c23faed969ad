"""The seal of an item: what it stores encrypted, and its version, belong together, so that none of it can be rolled back alone.

An old envelope of the same attribute of the same item opens; the seal, ``_seal``, tells that it is not the one that was written
last::

    0xD8 | version 1 | key version 16 | HMAC-SHA256 32 | length 1, ring | for each attribute by name: length 2, name, digest 16

A class that knows some of the attributes checks those. An item that was rolled back as a whole has the seal that fits.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import KeyDisabled, KeyUnavailable, TamperedCiphertext
from dynamorm.plugin import PlacedItem

from .envelope import framed, key_frame, tampered
from .records import Ring
from .undecryptable import lasts
from .values import to_bytes

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

    from .fields import EncryptedField
    from .keys import Keys

MARK: Final = b"\xd8\x01"
FORMAT: Final = b"dynamorm/seal/1"
SEAL: Final = "_seal"
_HEAD: Final = 2 + 16 + 32
_DIGEST: Final = 16
Wires = Mapping[str, "dict[str, Any] | None"]


class ItemSeal(PlacedItem):
    """The seals of the items of one model. ``fields`` are its sealed fields, ``version`` the stored name of its version."""

    def __init__(self, where: str, version: str | None, keys: Keys) -> None:
        self._where = where
        self._version = version
        self._keys = keys
        self.fields: dict[str, EncryptedField] = {}
        self.names: tuple[str, ...] = ()
        self.dependent: set[str] = set()
        """Attributes that are not sealed, and whose form depends on another attribute of the item."""

    def add(self, field: EncryptedField) -> None:
        """Let the values of a field be sealed."""
        self.fields[field.attribute] = field
        self.names = (SEAL,)

    @property
    def looks(self) -> tuple[str, ...]:
        """See `dynamorm.plugin.PlacedItem`."""
        return (*self.names, *self._covered(), *self.dependent)

    @property
    def marks(self) -> bool:
        """Whether every field says that what cannot be opened is marked."""
        return all(field.marks for field in self.fields.values())

    def _covered(self) -> tuple[str, ...]:
        names = {name for field in self.fields.values() for name in (field.attribute, *field.beside_names)}
        return tuple(sorted(names if self._version is None else {*names, self._version}))

    def beside(self, attributes: Wires, place: Place) -> dict[str, dict[str, Any]]:
        """See `dynamorm.plugin.PlacedItem`."""
        if not self.fields:
            return {}
        field = min(self.fields.values(), key=lambda one: one.option.ring)
        ring = field.ring(place)
        key = self._keys.active(ring)
        known = self._covered()
        # What this class does not know of the item stays as it was sealed.
        before = _Parts.of(attributes.get(SEAL))
        digests = {} if before is None else {name: one for name, one in before.digests.items() if name not in known}
        digests |= {name: _digest(name, wire) for name in known if (wire := attributes.get(name)) is not None}
        rest = bytes((len(ring.name),)) + ring.name.encode()
        for name, digest in sorted(digests.items()):
            rest += len(name.encode()).to_bytes(2, "big") + name.encode() + digest
        return {SEAL: {"B": MARK + key.version + key.branch.seal(_authenticated(field, place, rest)) + rest}}

    # -------------------------------------------------------------------------------------------------------- checking

    def check(self, attributes: Wires, place: Any) -> None:
        """See `dynamorm.plugin.PlacedItem`. Raises: TamperedCiphertext, NotReady, KeyUnavailable, KeyDisabled."""
        if not self.fields:
            return
        if attributes.get(SEAL) is None and self._is_open(attributes, place):
            return
        parts = _Parts.of(attributes.get(SEAL))
        if parts is None:
            raise self._tampered()
        try:
            key = self._keys.of_version(self._ring(parts, place), parts.version)
        except (KeyDisabled, KeyUnavailable) as error:
            if self.marks and lasts(error):
                return  # each of its values is marked
            raise
        field = next(iter(self.fields.values()))
        if not compare_digest(key.branch.seal(_authenticated(field, place, parts.rest)), parts.mac):
            raise self._tampered()
        for name in self._covered():
            wire, digest = attributes.get(name), parts.digests.get(name)
            fits = (wire is None and digest is None) or (
                wire is not None and digest is not None and compare_digest(digest, _digest(name, wire))
            )
            if not fits and not self._is_marked(name, wire, place):
                raise self._tampered()

    def _ring(self, parts: _Parts, place: Any) -> Ring:
        ring = next(iter(self.fields.values())).ring(place)
        return ring._replace(name=parts.ring)

    def _is_marked(self, name: str, wire: dict[str, Any] | None, place: Any) -> bool:
        """Whether an attribute that is not the sealed one opens in no case, and its field says that this is marked."""
        field = self.fields.get(name)
        return field is not None and wire is not None and field.marks and not field.opens(wire, place)

    def _is_open(self, attributes: Wires, place: Any) -> bool:
        """Whether an item may be without a seal: where nothing of it is encrypted, or it may still hold plaintext."""
        fields = self.fields.values()
        return all(attributes.get(field.attribute) is None or field.takes_plaintext(place) for field in fields)

    def ready(self, attributes: Wires, place: Any) -> None:
        """Look whether the seal could be checked now. Raises: NotReady, KeyUnavailable, KeyDisabled."""
        parts = _Parts.of(attributes.get(SEAL))
        if parts is not None:
            self._keys.of_version(self._ring(parts, place), parts.version)

    def changes(self, item: Wires, changes: Wires, place: Any) -> dict[str, dict[str, Any]]:
        """The seal of an item that is stored in another form; none where nothing changes. Raises: as `check`."""
        self.check(item, place)
        parts = _Parts.of(item.get(SEAL))
        if parts is not None and not changes and self._keys.active(self._ring(parts, place)).version == parts.version:
            return {}
        return self.beside({**item, **changes}, place)

    def _tampered(self) -> TamperedCiphertext:
        return tampered().about(self._where)


class _Parts:
    """What a seal consists of."""

    __slots__ = ("digests", "mac", "rest", "ring", "version")

    def __init__(self, data: bytes) -> None:
        self.version: bytes = data[2:18]
        self.mac: bytes = data[18:_HEAD]
        self.rest: bytes = data[_HEAD:]
        self.ring: str = self.rest[1 : 1 + self.rest[0]].decode("ascii", errors="replace")
        self.digests: dict[str, bytes] = {}
        left = self.rest[1 + self.rest[0] :]
        while len(left) > 2:
            end = 2 + int.from_bytes(left[:2], "big")
            self.digests[left[2:end].decode(errors="replace")] = left[end : end + _DIGEST]
            left = left[end + _DIGEST :]

    @classmethod
    def of(cls, wire: dict[str, Any] | None) -> _Parts | None:
        """The parts of a stored seal; None for what is none."""
        value: Any = None if wire is None else wire.get("B")
        if isinstance(value, str):
            try:
                value = b64decode(value, validate=True)
            except ValueError:
                return None
        if not isinstance(value, bytes) or len(value) <= _HEAD or value[:2] != MARK:
            return None
        return cls(value)


def _authenticated(field: EncryptedField, place: Any, rest: bytes) -> bytes:
    return field.bound(place, FORMAT) + key_frame(place.key) + framed(rest)


def _digest(name: str, wire: Any) -> bytes:
    return sha256(framed(name.encode(), to_bytes(wire))).digest()[:_DIGEST]
