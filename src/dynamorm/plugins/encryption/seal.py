"""The seal of an item: what it stores encrypted, and its version, belong together, so that none of it can be rolled back alone.

An old envelope of the same attribute of the same item opens; the seal tells that it is not the one that was written last. For
each ring there is one, ``_seal_<ring>``::

    0xD8 | version 1 | key version 16 | HMAC-SHA256 32 | for each attribute by name: length 2, name, digest 16

A class that knows some of the attributes checks those. An item that was rolled back as a whole has the seal that fits.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import KeyDisabled, KeyUnavailable, TamperedCiphertext
from dynamorm.plugin import PlacedItem

from .envelope import framed, key_frame, tampered
from .undecryptable import lasts
from .values import to_bytes

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

    from .fields import EncryptedField
    from .keys import Keys

MARK: Final = b"\xd8\x01"
FORMAT: Final = b"dynamorm/seal/1"
PREFIX: Final = "_seal_"
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

    def add(self, field: EncryptedField) -> None:
        """Let the values of a field be sealed."""
        self.fields[field.attribute] = field
        self.names = tuple(sorted({PREFIX + field.option.ring for field in self.fields.values()}))

    @property
    def looks(self) -> tuple[str, ...]:
        """See `dynamorm.plugin.PlacedItem`."""
        return (*self.names, *self._covered(self.fields.values()))

    def _covered(self, fields: Iterable[EncryptedField]) -> tuple[str, ...]:
        names = {name for field in fields for name in (field.attribute, *field.beside_names)}
        return tuple(sorted(names if self._version is None else {*names, self._version}))

    def beside(self, attributes: Wires, place: Place) -> dict[str, dict[str, Any]]:
        """See `dynamorm.plugin.PlacedItem`."""
        return {name: {"B": self._seal(name, attributes, place)} for name in self.names}

    def _fields_of(self, name: str) -> list[EncryptedField]:
        return [field for field in self.fields.values() if PREFIX + field.option.ring == name]

    def _seal(self, name: str, attributes: Wires, place: Place) -> bytes:
        fields = self._fields_of(name)
        key = self._keys.active(fields[0].ring(place))
        known = self._covered(fields)
        digests = {one: digest for one, digest in _entries(attributes.get(name)).items() if one not in known}
        digests |= {one: _digest(one, wire) for one in known if (wire := attributes.get(one)) is not None}
        entries = b"".join(
            len(one.encode()).to_bytes(2, "big") + one.encode() + digest for one, digest in sorted(digests.items())
        )
        return MARK + key.version + key.branch.seal(_sealed(fields[0], place, entries)) + entries

    def changes(self, item: Wires, changes: Wires, place: Any) -> dict[str, dict[str, Any]]:
        """The seals of an item that is stored in another form; none where nothing changes. Raises: as `check`."""
        self.check(item, place)
        is_current = all(
            (_bytes(item.get(name)) or b"")[2:18] == self._keys.active(self._fields_of(name)[0].ring(place)).version
            for name in self.names
            if item.get(name) is not None or any(item.get(field.attribute) for field in self._fields_of(name))
        )
        return {} if is_current and not changes else self.beside({**item, **changes}, place)

    def check(self, attributes: Wires, place: Any) -> None:
        """See `dynamorm.plugin.PlacedItem`. Raises: TamperedCiphertext, NotReady, KeyUnavailable, KeyDisabled."""
        for name in self.names:
            fields = self._fields_of(name)
            stored = _bytes(attributes.get(name))
            if stored is None and self._is_open(fields, attributes, place):
                continue
            if stored is None or len(stored) < _HEAD or stored[:2] != MARK:
                raise self._tampered()
            try:
                key = self._keys.of_version(fields[0].ring(place), stored[2:18])
            except (KeyDisabled, KeyUnavailable) as error:
                if all(field.marks for field in fields) and lasts(error):
                    continue  # each of its values is marked
                raise
            if not compare_digest(key.branch.seal(_sealed(fields[0], place, stored[_HEAD:])), stored[18:_HEAD]):
                raise self._tampered()
            self._check_entries(fields, _entries(attributes.get(name)), attributes, place)

    def _check_entries(
        self, fields: list[EncryptedField], entries: dict[str, bytes], attributes: Wires, place: Any
    ) -> None:
        """Compare what is stored with the entries of a seal that holds."""
        marked = {field.attribute: field for field in fields if field.marks}
        for name in self._covered(fields):
            wire, entry = attributes.get(name), entries.get(name)
            if (wire is None) != (entry is None) or (
                wire is not None and entry is not None and not compare_digest(entry, _digest(name, wire))
            ):
                field = marked.get(name)
                if wire is None or field is None or field.opens(wire, place):
                    raise self._tampered()

    @property
    def marks(self) -> bool:
        """Whether every field says that what cannot be opened is marked."""
        return all(field.marks for field in self.fields.values())

    def _is_open(self, fields: list[EncryptedField], attributes: Wires, place: Any) -> bool:
        """Whether an item may be without a seal: where nothing of it is encrypted, or it may still hold plaintext."""
        return all(attributes.get(field.attribute) is None or field.takes_plaintext(place) for field in fields)

    def ready(self, attributes: Wires, place: Any) -> None:
        """Look whether the seals could be checked now. Raises: NotReady, KeyUnavailable."""
        for name in self.names:
            stored = _bytes(attributes.get(name))
            if stored is not None and len(stored) >= _HEAD:
                self._keys.of_version(self._fields_of(name)[0].ring(place), stored[2:18])

    def _tampered(self) -> TamperedCiphertext:
        return tampered().about(self._where)


def _sealed(field: EncryptedField, place: Any, entries: bytes) -> bytes:
    return field.bound(place, FORMAT) + key_frame(place.key) + framed(entries)


def _digest(name: str, wire: Any) -> bytes:
    return sha256(framed(name.encode(), to_bytes(wire))).digest()[:_DIGEST]


def _bytes(wire: dict[str, Any] | None) -> bytes | None:
    """The bytes of a binary attribute; empty for what is none, None for what is not there."""
    if wire is None:
        return None
    value = wire.get("B", b"")
    try:
        return b64decode(value, validate=True) if isinstance(value, str) else bytes(value)
    except ValueError:
        return b""


def _entries(wire: dict[str, Any] | None) -> dict[str, bytes]:
    """The digests of a seal by name; none of what is no seal."""
    data = (_bytes(wire) or b"")[_HEAD:]
    found: dict[str, bytes] = {}
    while len(data) > 2:
        length = int.from_bytes(data[:2], "big")
        found[data[2 : 2 + length].decode(errors="replace")] = data[2 + length : 2 + length + _DIGEST]
        data = data[2 + length + _DIGEST :]
    return found
