"""What stores an encrypted field: a value becomes an envelope of its place, and the other way round."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ModelError, TamperedCiphertext
from dynamorm.plugin import PlacedField

from .envelope import Envelopes, framed, key_frame, place_bytes, tampered, version_of
from .keys import Keys, Opened
from .options import Encrypted
from .records import Home, Ring
from .v1 import V1, parts_of
from .values import from_bytes, to_bytes

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

MOST_TENANTS: Final = 1024
MOST_VERSIONS: Final = 64


class _Tenant:
    """What is known of a field's values of one tenant: their ring, what is authenticated of all of them, and keys."""

    __slots__ = ("active", "generation", "prefix", "ring", "versions")

    def __init__(self, ring: Ring, prefix: bytes, generation: int) -> None:
        self.ring: Ring = ring
        self.prefix: bytes = prefix
        self.generation: int = generation
        self.active: Opened | None = None
        self.versions: dict[bytes, Opened] = {}


class EncryptedField(PlacedField):
    """One field of one model. ``where`` is what it is called in errors."""

    def __init__(self, schema: Any, field: Any, option: Encrypted, keys: Keys, v1: V1, envelopes: Envelopes) -> None:
        self.option: Encrypted = option
        self.where: str = f"{schema.name}.{field.name}"
        self.attribute: str = field.stored
        self._table: str = schema.table
        self._crypto_name: str = schema.crypto_name or schema.table
        self._keys = keys
        self._envelopes = envelopes
        self._v1 = v1
        self._framed_attribute = framed(field.stored.encode())
        self._tenants: dict[str, _Tenant] = {}

    def ring(self, place: Place) -> Ring:
        """The ring of the values in a place."""
        return self._tenant(place).ring

    def _tenant(self, place: Place) -> _Tenant:
        tenant = place.scope.get("tenant", "")
        known = self._tenants.get(tenant)
        if known is None or known.generation != self._keys.generation:
            if len(self._tenants) >= MOST_TENANTS:
                self._tenants.clear()
            ring = Ring(self.home(), self.option.ring, tenant)
            prefix = place_bytes(ring.name, self._crypto_name, tenant)
            known = self._tenants[tenant] = _Tenant(ring, prefix, self._keys.generation)
        return known

    def home(self) -> Home:
        """Where the records of its keys are kept."""
        table = self._keys.keyring.provider.keyring_table
        if table is not None:
            return Home(table, ("pk", "S"), ("sk", "S"))
        partition, *rest = self.key_types
        return Home(self._table, partition, rest[0] if rest else None)

    def encode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The envelope of a value. Raises: NotReady."""
        if self.option.writes_v1:
            return self._v1.seal(self.attribute, self.option.aad_prefix, wire)
        tenant = self._tenant(place)
        key = tenant.active
        if key is None or self._keys.clock() >= key.until:
            key = tenant.active = self._keys.active(tenant.ring)
        bound = tenant.prefix + key_frame(place.key) + self._framed_attribute
        return {"B": self._envelopes.seal(key.branch, key.version, bound, to_bytes(wire))}

    def decode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The value of an envelope. Raises: NotReady, TamperedCiphertext, KeyUnavailable."""
        try:
            if self.option.accept_v1 and "M" in wire:
                return self._v1.open(self.attribute, wire["M"])
            envelope = wire.get("B")
            version = version_of(envelope)
            tenant = self._tenant(place)
            key = tenant.versions.get(version)
            if key is None or self._keys.clock() >= key.until:
                key = self._keys.of_version(tenant.ring, version)
                if len(tenant.versions) >= MOST_VERSIONS:
                    tenant.versions.clear()
                tenant.versions[version] = key
            bound = tenant.prefix + key_frame(place.key) + self._framed_attribute
            return from_bytes(self._envelopes.open(key.branch, bound, envelope))  # type: ignore[arg-type] # bytes, or it had no version
        except TamperedCiphertext:
            pass
        raise tampered().about(self.where)

    def ready(self, stored: dict[str, Any], place: Any) -> None:
        """Look whether what is stored could be opened now. Raises: NotReady, TamperedCiphertext, KeyUnavailable."""
        if self.option.accept_v1 and "M" in stored:
            self._v1.key_of(parts_of(stored["M"])[0])
            return
        envelope: Any = stored.get("B")
        if envelope.__class__ is str:
            envelope = b64decode(envelope[:192], validate=True)
        self._keys.of_version(self.ring(place), version_of(envelope))

    def operand(self, kind: str) -> Callable[[dict[str, Any], Mapping[str, str]], dict[str, Any]] | None:
        """An encrypted value is compared with nothing. Raises: ModelError."""
        raise ModelError(
            f"{self.where} is encrypted, so that no condition can compare it ({kind}): two envelopes of one value differ; load the"
            " object, or store beside it what is to be asked for",
            code="ErrEncryptedFieldNotQueryable",
        )
