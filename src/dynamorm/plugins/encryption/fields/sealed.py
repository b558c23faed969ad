"""The values of an encrypted field: a value becomes an envelope of its place, and the other way round."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import EncryptionError, KeyDisabled, KeyUnavailable, TamperedCiphertext
from dynamorm.errors.log import logger
from dynamorm.plugin import Unread

from ..envelope import tampered, version_of
from ..needs import Opened
from ..options import Encrypted
from ..undecryptable import Undecryptable
from ..v1 import V1
from ..values import bytes_to_seal, from_bytes, is_envelope, is_envelope_bytes, plain_bytes
from .owned import OfTenant, OwnedField

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

    from ..keys import Keys

MOST_VERSIONS: Final = 64


class SealedField(OwnedField):
    """A field whose values are sealed and opened."""

    def __init__(self, schema: Any, field: Any, option: Encrypted, keys: Keys, v1: V1) -> None:
        super().__init__(schema, field, option, keys)
        self.plaintexts: int = 0
        self._v1 = v1
        self._writes_v1 = option.writes_v1
        self._takes_others = option.accept_v1 or option.plaintext_until is not None

    def encode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The envelope of a value. Raises: NotReady."""
        if self._writes_v1:
            return self._v1.seal(self.attribute, self.option.aad_prefix, wire)
        keys, tenant = self._keys, self._tenants.get(place.scope.get("tenant"))
        if tenant is None or tenant.generation != keys.generation:
            tenant = self._tenant(place)
        key: Opened | None
        if self.subject is not None:
            key = keys.subject(tenant.ring, self._subject(place), make=True)
        else:
            key = tenant.active
            if key is None or keys.clock() >= key.until:
                key = keys.active(tenant.ring)
                self._note(tenant, tenant.ring, key)
                tenant.active = key
        bound = tenant.prefix + place.framed + self._framed_attribute
        return {"B": key.branch.seal_value(key.version, bound, bytes_to_seal(wire, self.where))}

    def decode(self, wire: dict[str, Any], place: Place) -> dict[str, Any] | Unread:
        """The value of an envelope. Raises: NotReady, TamperedCiphertext, KeyUnavailable, KeyDisabled."""
        error: EncryptionError
        try:
            return self._opened(wire, place)
        except TamperedCiphertext:
            error = tampered().about(self.where)
        except (KeyDisabled, KeyUnavailable) as unusable:
            error = unusable
        if self.option.marks and error.lasts:
            return Undecryptable(wire, error)
        raise error

    def opens(self, wire: dict[str, Any], place: Place) -> bool:
        """Whether what is stored opens in its place. Raises: NotReady."""
        if wire.get("B").__class__ is str:
            wire = {"B": b64decode(wire["B"])}
        try:
            self._opened(wire, place)
        except EncryptionError:
            return False
        return True

    def is_of_others(self, wire: dict[str, Any], place: Place) -> bool:
        """Whether the key of a subject's value is none of this tenant's. Raises: NotReady."""
        try:
            key = self._keys.subject(self.ring(place), self._subject(place), make=False)
        except KeyDisabled:
            return False
        except KeyUnavailable as error:
            if not error.lasts:
                raise
            return True
        return key.version != version_of((plain_bytes(wire) or wire)["B"])

    def is_keyless(self, wire: dict[str, Any], place: Place) -> bool:
        """Whether the key of what is stored is gone for good. Raises: NotReady."""
        try:
            self._opened(plain_bytes(wire) or wire, place)
        except (KeyDisabled, KeyUnavailable) as error:
            return error.lasts
        except EncryptionError:
            return False
        return False

    def _opened(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        if self._takes_others:
            if self.option.accept_v1 and "M" in wire:
                return self._v1.open(self.attribute, wire["M"])
            if self.option.plaintext_until is not None and not is_envelope_bytes(wire.get("B")):
                return self._plain(wire, place)
        envelope: Any = wire.get("B")
        version = version_of(envelope)
        keys, tenant = self._keys, self._tenants.get(place.scope.get("tenant"))
        if tenant is None or tenant.generation != keys.generation:
            tenant = self._tenant(place)
        key = tenant.versions.get(version)
        if key is None or keys.clock() >= key.until:
            key = self._key_of(tenant, version, place)
        bound = tenant.prefix + place.framed + self._framed_attribute
        return from_bytes(key.branch.open_value(bound, envelope))

    def _key_of(self, tenant: OfTenant, version: bytes, place: Place) -> Opened:
        if self.subject is not None:
            key = self._keys.subject(tenant.ring, self._subject(place, read=True), make=False)
            if key.version != version:
                raise tampered()
        else:
            key = self._keys.of_version(tenant.ring, version)
        if len(tenant.versions) >= MOST_VERSIONS:
            tenant.versions.clear()
        tenant.versions[version] = key
        return key

    # ------------------------------------------------------------------------------------------------------- plaintext

    def is_plain(self, wire: dict[str, Any]) -> bool:
        """Whether what is stored is no envelope."""
        return not (is_envelope(wire) or (self.option.accept_v1 and "M" in wire))

    def takes_plaintext(self, place: Place) -> bool:
        """Whether a value that was stored in the clear is read. Raises: NotReady."""
        until = self.option.plaintext_until
        if until is None or self._keys.keyring.now() >= until:
            return False
        try:
            return self.mark not in self._keys.active(self.ring(place), make=False).complete
        except KeyUnavailable as error:
            if not error.lasts:
                raise
            return True  # nothing was ever encrypted with a key of it

    def _plain(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        if not self.takes_plaintext(place):
            raise tampered()
        if not self.plaintexts:
            logger.warning("%s was read in the clear: db.keys.reencrypt(...) encrypts what is stored so", self.where)
        self.plaintexts += 1
        return wire
