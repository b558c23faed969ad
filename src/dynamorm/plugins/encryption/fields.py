"""What stores an encrypted field: a value becomes an envelope of its place, and the other way round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.errors import ModelError, TamperedCiphertext
from dynamorm.plugin import PlacedField

from .envelope import Envelopes, place_bytes, tampered, version_of, with_key
from .keys import Keys
from .options import Encrypted
from .records import Home, Ring
from .values import from_bytes, to_bytes

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

MOST_TENANTS = 1024


class EncryptedField(PlacedField):
    """One field of one model. ``where`` is what it is called in errors."""

    def __init__(self, schema: Any, field: Any, option: Encrypted, keys: Keys, envelopes: Envelopes) -> None:
        self.option: Encrypted = option
        self.where: str = f"{schema.name}.{field.name}"
        self.attribute: str = field.stored
        self._table: str = schema.table
        self._crypto_name: str = schema.crypto_name or schema.table
        self._keys = keys
        self._envelopes = envelopes
        self._rings: dict[str, tuple[Ring, bytes]] = {}

    def ring(self, place: Place) -> tuple[Ring, bytes]:
        """The ring of a place, and what is authenticated of all values there."""
        tenant = place.scope.get("tenant", "")
        known = self._rings.get(tenant)
        if known is None:
            if len(self._rings) >= MOST_TENANTS:
                self._rings.clear()
            ring = Ring(self._home(place), self.option.ring, tenant)
            known = self._rings[tenant] = ring, place_bytes(ring.name, self._crypto_name, tenant)
        return known

    def _home(self, place: Place) -> Home:
        table = self._keys.keyring.provider.keyring_table
        if table is not None:
            return Home(table, ("pk", "S"), ("sk", "S"))
        (name, kind, _), *rest = place.key
        return Home(self._table, (name, kind), (rest[0][0], rest[0][1]) if rest else None)

    def encode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The envelope of a value. Raises: NotReady."""
        ring, prefix = self.ring(place)
        key = self._keys.active(ring)
        bound = with_key(prefix, place.key, self.attribute)
        return {"B": self._envelopes.seal(key.branch, key.version, bound, to_bytes(wire))}

    def decode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The value of an envelope. Raises: NotReady, TamperedCiphertext, KeyUnavailable."""
        try:
            envelope = wire.get("B")
            version = version_of(envelope)
            ring, prefix = self.ring(place)
            key = self._keys.of_version(ring, version)
            bound = with_key(prefix, place.key, self.attribute)
            return from_bytes(self._envelopes.open(key.branch, bound, envelope))  # type: ignore[arg-type] # bytes, or it had no version
        except TamperedCiphertext:
            pass
        raise tampered().about(self.where)

    def operand(self, kind: str) -> Callable[[dict[str, Any], Mapping[str, str]], dict[str, Any]] | None:
        """An encrypted value is compared with nothing. Raises: ModelError."""
        raise ModelError(
            f"{self.where} is encrypted, so that no condition can compare it ({kind}): two envelopes of one value differ; load the"
            " object, or store beside it what is to be asked for",
            code="ErrEncryptedFieldNotQueryable",
        )
