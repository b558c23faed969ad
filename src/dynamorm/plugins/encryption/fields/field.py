"""An encrypted field as a whole: besides its values, copies of them elsewhere, their forms, and which keys they need."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import TamperedCiphertext
from dynamorm.plugin import NotReady

from ..envelope import framed, tampered, version_of
from ..needs import Need
from ..v1 import V1Need, parts_of
from ..values import bytes_to_seal, from_bytes, is_envelope_bytes, plain_bytes
from .owned import OfTenant
from .searched import SearchedField

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

COPY: Final = b"\xd9\x01"
COPY_FORMAT: Final = b"dynamorm/copy/1"
"""What begins a value that is kept elsewhere, and what is authenticated of it."""


class EncryptedField(SearchedField):
    """What stores an encrypted field."""

    # ------------------------------------------------------------------------------------------------------- elsewhere

    def elsewhere(self, wire: dict[str, Any], place: Place, purpose: bytes) -> bytes:
        """See `dynamorm.plugin.PlacedField`. With the envelope goes the name of the subject's key. Raises: NotReady."""
        tenant = self._tenant(place)
        name = b""
        if self.subject is not None:
            subject = self._subject(place)
            key = self._keys.subject(tenant.ring, subject, make=True)
            name = bytes.fromhex(self._keys.name_of_subject(tenant.ring, subject))
        else:
            key = self._keys.active(tenant.ring)
            self._note(tenant, tenant.ring, key)
            if not key.copied:
                raise NotReady(
                    f"a note in the record of the ring {tenant.ring.name}",
                    partial(self._keys.note_copies, tenant.ring, key),
                )
        bound = self._bound_elsewhere(tenant, place, purpose, name)
        sealed = key.branch.seal_value(key.version, bound, bytes_to_seal(wire, self.where))
        return COPY + bytes((len(name),)) + name + sealed

    def from_elsewhere(self, data: bytes, place: Place, purpose: bytes) -> dict[str, Any]:
        """See `dynamorm.plugin.PlacedField`. Raises: NotReady, TamperedCiphertext, KeyUnavailable, KeyDisabled."""
        if data[:2] != COPY or len(data) < 3:
            raise tampered().about(self.where)
        end = 3 + data[2]
        name, envelope = data[3:end], data[end:]
        version, tenant = version_of(envelope), self._tenant(place)
        if name:
            key = self._keys.of_subject(tenant.ring, name.hex())
            if key.version != version:
                raise tampered().about(self.where)
        else:
            key = self._keys.of_version(tenant.ring, version)
        bound = self._bound_elsewhere(tenant, place, purpose, name)
        try:
            return from_bytes(key.branch.open_value(bound, envelope))
        except TamperedCiphertext as error:
            raise error.about(self.where) from None

    def _bound_elsewhere(self, tenant: OfTenant, place: Place, purpose: bytes, name: bytes) -> bytes:
        whose = self.bound(place, COPY_FORMAT) + framed(tenant.ring.name.encode())
        return whose + place.framed + self._framed_attribute + framed(purpose, name)

    # -------------------------------------------------------------------------------------------------- another form

    def changes(self, item: Mapping[str, Any], place: Any) -> dict[str, dict[str, Any] | None]:
        """What is to be stored of a stored item for it to be in the form of today: by stored name, None to remove.

        Raises: NotReady, TamperedCiphertext, KeyUnavailable, KeyDisabled.
        """
        wire = plain_bytes(item.get(self.attribute))
        if wire is None or "NULL" in wire:
            return {name: None for name in self.beside_names if name in item}
        value: dict[str, Any] | None = None
        changes: dict[str, dict[str, Any] | None] = {}
        if not self._is_current(wire, place):
            value = self._opened(wire, place)
            changes[self.attribute] = self.encode(value, place)
        if self.blind is not None:
            value = self._opened(wire, place) if value is None else value
            found = self._stored_hashes(value, place)
            key = self._keys.active(self._tenant(place).blind)
            if key.other is not None and self._keys.keyring.seconds() >= key.moves_at:
                found = found[:1]  # nobody asks for the old one alone any more
            wanted = dict.fromkeys(self.blind.names) | dict(zip(self.blind.names, found, strict=False))
            for name, digest in wanted.items():
                stored = plain_bytes(item.get(name))
                if digest is None and stored is not None:
                    changes[name] = None
                elif digest is not None and stored != {"B": digest}:
                    changes[name] = {"B": digest}
        return changes

    def _is_current(self, wire: dict[str, Any], place: Any) -> bool:
        if self.option.writes_v1:
            return "M" in wire
        envelope = wire.get("B")
        if not is_envelope_bytes(envelope):
            return False
        ring = self.ring(place)
        if self.subject is not None:
            return version_of(envelope) == self._keys.subject(ring, self._subject(place), make=False).version
        return version_of(envelope) == self._keys.active(ring).version

    # ------------------------------------------------------------------------------------------------------- readiness

    def in_use(self, place: Any) -> tuple[Need, ...] | None:
        """The keys that most likely open a value in a place of which nothing else is known; None where only the item tells.

        Raises: TenantRequired.
        """
        if self.option.writes_v1:  # each value has one of its own
            return ()
        ring = self.ring(place)
        if self.subject is None:
            return (Need(ring),)
        subject = next((kind.encode() + value for name, kind, value in place.key if name == self.subject), None)
        return None if subject is None else (Need(ring.subjects), Need(ring, subject, is_subject=True))

    def needs(self, stored: dict[str, Any], place: Any) -> tuple[Any, ...]:
        """What is needed to open what is stored: see `Need`. Raises: TamperedCiphertext."""
        if self.option.accept_v1 and "M" in stored:
            return (V1Need(self._v1, parts_of(stored["M"])[0]),)
        envelope: Any = stored.get("B")
        if envelope.__class__ is str:
            envelope = b64decode(envelope[:192], validate=True)
        ring = self.ring(place)
        if self.option.plaintext_until is not None and not is_envelope_bytes(envelope):
            return (Need(ring),)
        version = version_of(envelope)
        if self.subject is not None:
            return (Need(ring.subjects), Need(ring, self._subject(place, read=True), is_subject=True))
        return (Need(ring, version),)
