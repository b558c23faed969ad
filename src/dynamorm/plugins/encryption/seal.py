"""The seal of an item: what it stores encrypted belongs together, so that none of it can be rolled back alone.

An old envelope of the same attribute of the same item opens; the seal tells that it is not the one that was written last. Each
ring seals its own attributes, so that what becomes of the key of one ring is of no meaning to the others. There are two
attributes, so that a value that is rolled back together with one of them is found, too::

    _seal    0xD8 | version 1 | for each ring: length 1, ring | key version 16 | HMAC-SHA256 32
    _sealed  version 1 | for each ring: length 1, ring | length 4 of the rest | length 1, version of the item
             | for each attribute by name: length 2, name, digest 16

A class that knows some of the attributes checks those, and leaves the others as they were sealed. The version is the least one:
a class that knows nothing of a seal writes items, too, and moves their version on; it never moves back. An item that was rolled
back as a whole has the seal that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dynamorm.effects import Flow
from dynamorm.errors import KeyDisabled, KeyUnavailable, TamperedCiphertext
from dynamorm.plugin import NotReady, PlacedItem

from .envelope import framed, tampered
from .needs import Need
from .values import bytes_of, is_envelope, to_bytes

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

    from .fields import EncryptedField
    from .keys import Keys
    from .needs import Opened
    from .records import Ring

MARK: Final = b"\xd8\x01"
FORMAT: Final = b"dynamorm/seal/1"
SEAL: Final = "_seal"
SEALED: Final = "_sealed"
_VERSION: Final = b"\x01"
_DIGEST: Final = 16
Wires = Mapping[str, "dict[str, Any] | None"]


class ItemSeal(PlacedItem):
    """The seals of the items of one model. ``fields`` are its sealed fields, ``version`` the stored name of its version."""

    def __init__(self, where: str, version: str | None, keys: Keys) -> None:
        self._where = where
        self._version = version
        self._keys = keys
        self._rings: dict[str, list[EncryptedField]] = {}
        self._by_attribute: dict[tuple[str, str], EncryptedField] = {}
        self.names: tuple[str, ...] = ()
        self.dependent: set[str] = set()
        """Attributes that are not sealed, and whose form depends on another attribute of the item."""

    def add(self, field: EncryptedField) -> None:
        """Let the values of a field be sealed."""
        self._rings.setdefault(field.option.ring, []).append(field)
        self._by_attribute[field.option.ring, field.attribute] = field
        self.names = (SEAL, SEALED)

    @property
    def looks(self) -> tuple[str, ...]:
        """See `dynamorm.plugin.PlacedItem`."""
        names = {name for ring in self._rings for name in self._covered(ring)}
        version = () if self._version is None else (self._version,)
        return (*self.names, *sorted(names), *version, *self.dependent)

    def _covered(self, ring: str) -> tuple[str, ...]:
        return tuple(name for field in self._rings[ring] for name in (field.attribute, *field.beside_names))

    # --------------------------------------------------------------------------------------------------------- sealing

    def beside(self, attributes: Wires, place: Place) -> dict[str, dict[str, Any]]:
        """See `dynamorm.plugin.PlacedItem`."""
        return self._sealed(attributes, place, ())

    def _sealed(self, attributes: Wires, place: Any, anew: Collection[str]) -> dict[str, dict[str, Any]]:
        """The seal of an item. What fits still is left as it is, but for the rings that are sealed ``anew``."""
        sections = sections_of(attributes)
        after = dict(sections or {})
        for ring in self._rings:
            before = after.pop(ring, None)
            section = self._section(ring, attributes, before)
            if before is not None and section.digests == before.digests and ring not in anew:
                after[ring] = before
            elif section.digests:  # else there is nothing to be sealed
                after[ring] = self._signed(ring, section, place)
        if not after and not sections:
            return {}
        return {SEAL: {"B": MARK + _joined(after, "seal")}, SEALED: {"B": _VERSION + _joined(after, "sealed")}}

    def _section(self, ring: str, attributes: Wires, before: Section | None) -> Section:
        """What a ring seals of an item: what this class does not know of it stays as it was sealed."""
        known = self._covered(ring)
        digests = {} if before is None else {name: one for name, one in before.digests.items() if name not in known}
        digests |= {name: _digest(name, wire) for name in known if (wire := attributes.get(name)) is not None}
        least = b"" if before is None else before.least
        if self._version is not None:
            least = _text(attributes.get(self._version))
        return Section(b"", b"", least, digests)

    def _signed(self, ring: str, section: Section, place: Any) -> Section:
        field = self._rings[ring][0]
        key = self._keys.active(field.ring(place))
        return section._replace(
            version=key.version, mac=key.branch.seal(_authenticated(field, ring, section.sealed, place))
        )

    # -------------------------------------------------------------------------------------------------------- checking

    def check(self, attributes: Wires, place: Any) -> None:
        """See `dynamorm.plugin.PlacedItem`. Raises: TamperedCiphertext, NotReady, KeyUnavailable."""
        sections = sections_of(attributes)
        if sections is None:
            raise self._tampered()
        for ring, fields in self._rings.items():
            section = sections.get(ring)
            if section is None:
                if not all(_may_be_open(field, attributes, place) for field in fields):
                    raise self._tampered()
                continue
            key = self._key(ring, section, attributes, place)
            if key is not None:
                self._check_section(ring, section, key, attributes, place)

    def _key(self, ring: str, section: Section, attributes: Wires, place: Any) -> Opened | None:
        """The key of a section; None where it is gone, and those of the ring's values, too: each says so where it is read."""
        fields = self._rings[ring]
        try:
            return self._opened(fields[0].ring(place), section.version)
        except (KeyDisabled, KeyUnavailable) as error:
            if not error.lasts:
                raise
            for field in fields:
                wire = attributes.get(field.attribute)
                if wire is not None and "NULL" not in wire and not field.is_keyless(wire, place):
                    raise
        return None

    def _opened(self, ring: Ring, version: bytes) -> Opened:
        """The key of a version. Raises: NotReady, KeyUnavailable, KeyDisabled."""
        try:
            return self._keys.of_version(ring, version)
        except NotReady as waiting:
            raise NotReady(waiting.name, partial(self._fetched, ring, version, waiting.flow)) from None

    def _fetched(self, ring: Ring, version: bytes, flow: Callable[[], Flow[None]]) -> Flow[None]:
        """Fetch a key; that it is gone is told to who asks for it again, a moment later."""
        try:
            yield from flow()
        except (KeyDisabled, KeyUnavailable) as error:
            if not error.lasts:
                raise
            self._keys.hold((ring, version), error)

    def _check_section(self, ring: str, section: Section, key: Opened, attributes: Wires, place: Any) -> None:
        field = self._rings[ring][0]
        if not compare_digest(key.branch.seal(_authenticated(field, ring, section.sealed, place)), section.mac):
            raise self._tampered()
        for name in self._covered(ring):
            wire, digest = attributes.get(name), section.digests.get(name)
            fits = (wire is None and digest is None) or (
                wire is not None and digest is not None and compare_digest(digest, _digest(name, wire))
            )
            if not fits and not self._is_marked(ring, name, wire, place):
                raise self._tampered()
        if self._version is not None and section.least and not _is_from(attributes.get(self._version), section.least):
            raise self._tampered()

    def _is_marked(self, ring: str, name: str, wire: dict[str, Any] | None, place: Any) -> bool:
        """Whether an attribute that is not the sealed one opens in no case, and its field says that this is marked."""
        field = self._by_attribute.get((ring, name))
        return field is not None and wire is not None and field.marks and not field.opens(wire, place)

    def needs(self, attributes: Wires, place: Any) -> list[Need]:
        """The keys with which the parts of the seal are checked."""
        sections = sections_of(attributes) or {}
        return [
            Need(fields[0].ring(place), sections[ring].version)
            for ring, fields in self._rings.items()
            if ring in sections
        ]

    def changes(self, item: Wires, changes: Wires, place: Any) -> dict[str, dict[str, Any]]:
        """The seal of an item that is stored in another form; none where nothing changes. Raises: as `check`."""
        self.check(item, place)
        anew = [
            ring
            for ring, section in (sections_of(item) or {}).items()
            if ring in self._rings and self._is_former(ring, section, item, place)
        ]
        after = self._sealed({**item, **changes}, place, anew)
        return {name: wire for name, wire in after.items() if to_bytes(wire) != _stored(item.get(name))}

    def _is_former(self, ring: str, section: Section, item: Wires, place: Any) -> bool:
        """Whether a part lies under a key that is not the one in use. What nobody can check any more is left."""
        if self._key(ring, section, item, place) is None:
            return False
        return self._keys.active(self._rings[ring][0].ring(place)).version != section.version

    def _tampered(self) -> TamperedCiphertext:
        return tampered().about(self._where)


class Section(NamedTuple):
    """What one ring seals: under which version of its key, from which version of the item on, and digests by name."""

    version: bytes
    mac: bytes
    least: bytes
    digests: Mapping[str, bytes]

    @property
    def seal(self) -> bytes:
        """Its part of ``_seal``."""
        return self.version + self.mac

    @property
    def sealed(self) -> bytes:
        """What is authenticated of it."""
        entries = (
            len(name.encode()).to_bytes(2, "big") + name.encode() + one for name, one in sorted(self.digests.items())
        )
        return bytes((len(self.least),)) + self.least + b"".join(entries)


def sections_of(attributes: Wires) -> dict[str, Section] | None:
    """What each ring seals of an item, by its name; None for what is no seal."""
    seal, sealed = bytes_of(attributes.get(SEAL)), bytes_of(attributes.get(SEALED))
    if attributes.get(SEAL) is None and attributes.get(SEALED) is None:
        return {}
    if seal is None or sealed is None or seal[:2] != MARK or sealed[:1] != _VERSION:
        return None
    found: dict[str, Section] = {}
    left, rest = seal[2:], sealed[1:]
    while left or rest:
        name = left[1 : 1 + left[0]] if left else b""
        end = 1 + len(name) + 48
        at = 1 + len(name)
        length = int.from_bytes(rest[at : at + 4], "big")
        content = rest[at + 4 : at + 4 + length]
        if not name or len(left) < end or rest[:at] != left[:at] or len(content) != length or not length:
            return None
        least, digests = _content(content)
        found[name.decode("ascii", errors="replace")] = Section(left[at : at + 16], left[at + 16 : end], least, digests)
        left, rest = left[end:], rest[at + 4 + length :]
    return found


def _content(content: bytes) -> tuple[bytes, dict[str, bytes]]:
    digests: dict[str, bytes] = {}
    left = content[1 + content[0] :]
    while len(left) > 2:
        end = 2 + int.from_bytes(left[:2], "big")
        digests[left[2:end].decode(errors="replace")] = left[end : end + _DIGEST]
        left = left[end + _DIGEST :]
    return content[1 : 1 + content[0]], digests


def _joined(sections: Mapping[str, Section], what: str) -> bytes:
    parts = []
    for ring, section in sorted(sections.items()):
        parts.append(bytes((len(ring),)) + ring.encode())
        if what == "sealed":
            parts.append(len(section.sealed).to_bytes(4, "big"))
        parts.append(getattr(section, what))
    return b"".join(parts)


def _may_be_open(field: EncryptedField, attributes: Wires, place: Any) -> bool:
    """Whether a value may be without a seal: where there is none, or it may still be in the clear."""
    wire = attributes.get(field.attribute)
    return wire is None or (not is_envelope(wire) and field.takes_plaintext(place))


def _authenticated(field: EncryptedField, ring: str, sealed: bytes, place: Any) -> bytes:
    key: bytes = place.framed
    return field.bound(place, FORMAT) + key + framed(ring.encode(), sealed)


def _digest(name: str, wire: Any) -> bytes:
    return sha256(framed(name.encode(), to_bytes(wire))).digest()[:_DIGEST]


def _text(wire: dict[str, Any] | None) -> bytes:
    """A version as it is sealed."""
    number: str = "" if wire is None else wire.get("N", "")
    return number.encode() if number.isdigit() and len(number) < 40 else b""


def _is_from(wire: dict[str, Any] | None, least: bytes) -> bool:
    text = _text(wire)
    return bool(text) and least.isdigit() and int(text) >= int(least)


def _stored(wire: dict[str, Any] | None) -> bytes | None:
    return None if wire is None else to_bytes(wire)
