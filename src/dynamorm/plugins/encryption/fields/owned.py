"""Whose the values of an encrypted field are: the ring of their tenant, their subject, and what is authenticated of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ModelError, TenantRequired
from dynamorm.plugin import NotReady, PlacedField

from ..envelope import framed, place_bytes, tampered
from ..needs import Opened
from ..options import SEALED, Encrypted
from ..records import Home, Ring
from ..values import to_bytes

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

    from ..keys import Keys

MOST_TENANTS: Final = 1024


class OfTenant:
    """What is known of a field's values of one tenant: their ring, what is authenticated of all of them, and keys."""

    __slots__ = ("active", "blind", "generation", "noted", "prefix", "ring", "versions")

    def __init__(self, ring: Ring, prefix: bytes, generation: int) -> None:
        self.ring: Ring = ring
        self.prefix: bytes = prefix
        self.generation: int = generation
        self.active: Opened | None = None
        self.blind: Ring = ring.blind
        self.noted: set[Ring] = set()
        self.versions: dict[bytes, Opened] = {}


class OwnedField(PlacedField):
    """One field of one model. ``where`` is what it is called in errors."""

    def __init__(self, schema: Any, field: Any, option: Encrypted, keys: Keys) -> None:
        self.option: Encrypted = option
        self.where: str = f"{schema.name}.{field.name}"
        self.attribute: str = field.stored
        self.marks: bool = option.marks
        self.sealed: bool = _sealed(schema, self.where, option)
        self.table: str = schema.table
        self.model: type[Any] = schema.model
        self._tag: str | None = schema.tag
        self.crypto_name: str = schema.crypto_name or schema.table
        self._keys = keys
        self._framed_attribute = framed(field.stored.encode())
        self._tenants: dict[str | None, OfTenant] = {}
        self.tenant_attribute: str | None = None
        """The stored name of the attribute that says whose an item is."""
        self.subject: str | None = None
        """The stored name of the attribute whose values have keys of their own."""

    @property
    def mark(self) -> str:
        """What the record of a ring calls the field."""
        return self.mark_of(self._tag)

    def mark_of(self, tag: str | None) -> str:
        """The same of a class of the family: that of this tag."""
        return f"{self.table}/{self.attribute}" + ("" if tag is None else f"#{tag}")

    def settled(self, classes: tuple[Any, ...], expected: str, fields: Mapping[str, Any]) -> None:
        """See `dynamorm.plugin.PlacedField`. Raises: ModelError."""
        del classes, expected
        if self.option.subject is None:
            return
        field = fields.get(self.option.subject)
        if field is None or (field.options and field.option(Encrypted) is not None):
            raise ModelError(f"{self.where}: the subject {self.option.subject!r} is no field that is stored as it is")
        keys = {name for name, _ in self.key_types}
        if not (field.immutable or field.stored in keys):
            raise ModelError(
                f"{self.where}: the subject {field.name} must not change: let it be immutable=True, or a part of the key"
            )
        self.subject = field.stored

    def depends_on(self, scope: Mapping[str, str]) -> tuple[str, ...]:
        """See `dynamorm.plugin.PlacedField`."""
        keys = {name for name, _ in self.key_types}
        needed = (self.subject, None if "tenant" in scope else self.tenant_attribute)
        return tuple(name for name in needed if name is not None and name not in keys)

    def ring(self, place: Place) -> Ring:
        """The ring of the values in a place."""
        return self._tenant(place).ring

    def tenant_of(self, place: Place) -> str:
        """Whose an item is: as the view says, or as its own attribute does. Raises: TenantRequired."""
        tenant = place.scope.get("tenant")
        if tenant is not None or self.tenant_attribute is None:
            return tenant or ""
        wire = place.attribute(self.tenant_attribute)
        if wire is None or not wire.get("S"):
            raise TenantRequired(
                f"{self.where} is encrypted with keys of a tenant, and nothing here tells whose the item is: use"
                " db.with_tenant(...), or an object that says it"
            )
        found: str = wire["S"]
        return found

    def _tenant(self, place: Place) -> OfTenant:
        tenant = self.tenant_of(place)
        known = self._tenants.get(tenant)
        if known is None or known.generation != self._keys.generation:
            if len(self._tenants) >= MOST_TENANTS:
                self._tenants.clear()
            ring = Ring(self.home(), self.option.ring, tenant)
            prefix = place_bytes(ring.name, self.crypto_name, tenant)
            known = self._tenants[tenant] = OfTenant(ring, prefix, self._keys.generation)
            if not tenant and self.tenant_attribute is None:
                self._tenants[None] = known  # as a scope without a tenant names it
        return known

    def home(self) -> Home:
        """Where the records of its keys are kept."""
        table = self._keys.keyring.provider.keyring_table
        if table is not None:
            return Home(table, ("pk", "S"), ("sk", "S"))
        partition, *rest = self.key_types
        return Home(self.table, partition, rest[0] if rest else None)

    def bound(self, place: Place, form: bytes) -> bytes:
        """What is authenticated of everything of this model and tenant, for another purpose."""
        return framed(form, self.crypto_name.encode(), self.tenant_of(place).encode())

    def _note(self, tenant: OfTenant, ring: Ring, key: Opened) -> None:
        """Let the record of a ring that several tables share name this one, before anything is stored. Raises: NotReady."""
        if self._keys.keyring.provider.keyring_table is None or ring in tenant.noted:
            return
        if self.table not in key.tables:
            raise NotReady(
                f"a note in the record of the ring {ring.name}", partial(self._keys.note_table, ring, self.table)
            )
        tenant.noted.add(ring)

    def _subject(self, place: Place, *, read: bool = False) -> bytes:
        """The bytes of the subject of an item. Raises: ModelError where it has none; TamperedCiphertext of one that was ``read``."""
        assert self.subject is not None  # asked for only then
        for name, kind, value in place.key:
            if name == self.subject:
                return kind.encode() + value
        wire = place.attribute(self.subject)
        if wire is None or "NULL" in wire:
            if read:
                raise tampered()
            raise ModelError(f"{self.where}: the subject {self.option.subject} has no value, so that there is no key")
        return to_bytes(wire)


def _sealed(schema: Any, where: str, option: Encrypted) -> bool:
    """Whether the field belongs to the seal of its item. Raises: ModelError."""
    if option.seal and not schema.write_tokens:
        raise ModelError(
            f"{where}: seal=True goes with no table that others write too (write_tokens=False): what they write would break the"
            " seal of the item"
        )
    if option.seal is None:
        return option.ring in SEALED and bool(schema.write_tokens)
    return option.seal
