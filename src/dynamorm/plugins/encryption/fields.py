"""What stores an encrypted field: a value becomes an envelope of its place, and the other way round."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import EncryptionError, KeyDisabled, KeyUnavailable, ModelError, TamperedCiphertext, TenantRequired
from dynamorm.errors.log import logger
from dynamorm.plugin import NotReady, PlacedField, Unread

from .blind import BlindIndex
from .envelope import MAGIC, Envelopes, framed, key_frame, place_bytes, tampered, version_of
from .keys import Keys
from .needs import Need, Opened
from .options import SEALED, Encrypted
from .records import Home, Ring
from .undecryptable import Undecryptable
from .v1 import V1, V1Need, parts_of
from .values import Read, bytes_to_seal, from_bytes, is_envelope, to_bytes

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place

COPY: Final = b"\xd9\x01"
COPY_FORMAT: Final = b"dynamorm/copy/1"
"""What begins a value that is kept elsewhere, and what is authenticated of it."""
MOST_TENANTS: Final = 1024
MOST_VERSIONS: Final = 64


class _Tenant:
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


class EncryptedField(PlacedField):
    """One field of one model. ``where`` is what it is called in errors."""

    def __init__(self, schema: Any, field: Any, option: Encrypted, keys: Keys, v1: V1, envelopes: Envelopes) -> None:
        self.option: Encrypted = option
        self.where: str = f"{schema.name}.{field.name}"
        self.attribute: str = field.stored
        self.marks: bool = option.marks
        self.exact: bool = not option.bits
        self.sealed: bool = _sealed(schema, self.where, option)
        self.plaintexts: int = 0
        self.table: str = schema.table
        self.model: type[Any] = schema.model
        self._tag: str | None = schema.tag
        self.crypto_name: str = schema.crypto_name or schema.table
        self._keys = keys
        self._envelopes = envelopes
        self._v1 = v1
        self._framed_attribute = framed(field.stored.encode())
        self._tenants: dict[str, _Tenant] = {}
        self.tenant_attribute: str | None = None
        """The stored name of the attribute that says whose an item is."""
        self.subject: str | None = None
        """The stored name of the attribute whose values have keys of their own."""
        self.blind: BlindIndex | None = None
        if option.indexed:
            self.blind = BlindIndex(self.where, field.stored, self.crypto_name, option)
            self.beside_names: tuple[str, ...] = self.blind.names

    @property
    def mark(self) -> str:
        """What the record of a ring calls the field."""
        return self.mark_of(self._tag)

    def mark_of(self, tag: str | None) -> str:
        """The same of a class of the family: that of this tag."""
        return f"{self.table}/{self.attribute}" + ("" if tag is None else f"#{tag}")

    def settled(self, classes: tuple[Any, ...], expected: str, fields: Mapping[str, Any]) -> None:
        """See `dynamorm.plugin.PlacedField`. Raises: ModelError."""
        if self.blind is not None:
            self.blind.check(classes, expected)
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

    def _tenant(self, place: Place) -> _Tenant:
        tenant = self.tenant_of(place)
        known = self._tenants.get(tenant)
        if known is None or known.generation != self._keys.generation:
            if len(self._tenants) >= MOST_TENANTS:
                self._tenants.clear()
            ring = Ring(self.home(), self.option.ring, tenant)
            prefix = place_bytes(ring.name, self.crypto_name, tenant)
            known = self._tenants[tenant] = _Tenant(ring, prefix, self._keys.generation)
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

    # --------------------------------------------------------------------------------------------------------- values

    def encode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The envelope of a value. Raises: NotReady."""
        if self.option.writes_v1:
            return self._v1.seal(self.attribute, self.option.aad_prefix, wire)
        tenant = self._tenant(place)
        if self.subject is not None:
            key = self._keys.subject(tenant.ring, self._subject(place), make=True)
        else:
            active = tenant.active
            if active is None or self._keys.clock() >= active.until:
                active = self._keys.active(tenant.ring)
                self._note(tenant, tenant.ring, active)
                tenant.active = active
            key = active
        bound = tenant.prefix + key_frame(place.key) + self._framed_attribute
        return {"B": self._envelopes.seal(key.branch, key.version, bound, bytes_to_seal(wire, self.where))}

    def _note(self, tenant: _Tenant, ring: Ring, key: Opened) -> None:
        """Let the record of a ring that several tables share name this one, before anything is stored. Raises: NotReady."""
        if self._keys.keyring.provider.keyring_table is None or ring in tenant.noted:
            return
        if self.table not in key.tables:
            raise NotReady(
                f"a note in the record of the ring {ring.name}", partial(self._keys.note_table, ring, self.table)
            )
        tenant.noted.add(ring)

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
        return key.version != version_of((_plain_bytes(wire) or wire)["B"])

    def is_keyless(self, wire: dict[str, Any], place: Place) -> bool:
        """Whether the key of what is stored is gone for good. Raises: NotReady."""
        try:
            self._opened(_plain_bytes(wire) or wire, place)
        except (KeyDisabled, KeyUnavailable) as error:
            return error.lasts
        except EncryptionError:
            return False
        return False

    def _opened(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        if self.option.accept_v1 and "M" in wire:
            return self._v1.open(self.attribute, wire["M"])
        envelope: Any = wire.get("B")
        if self.option.plaintext_until is not None and not _is_envelope(envelope):
            return self._plain(wire, place)
        version = version_of(envelope)
        tenant = self._tenant(place)
        key = tenant.versions.get(version)
        if key is None or self._keys.clock() >= key.until:
            key = self._key_of(tenant, version, place)
        bound = tenant.prefix + key_frame(place.key) + self._framed_attribute
        return from_bytes(self._envelopes.open(key.branch, bound, envelope))

    def _key_of(self, tenant: _Tenant, version: bytes, place: Place) -> Opened:
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
        sealed = self._envelopes.seal(key.branch, key.version, bound, bytes_to_seal(wire, self.where))
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
            return from_bytes(self._envelopes.open(key.branch, bound, envelope))
        except TamperedCiphertext as error:
            raise error.about(self.where) from None

    def _bound_elsewhere(self, tenant: _Tenant, place: Place, purpose: bytes, name: bytes) -> bytes:
        whose = self.bound(place, COPY_FORMAT) + framed(tenant.ring.name.encode())
        return whose + key_frame(place.key) + self._framed_attribute + framed(purpose, name)

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

    # ---------------------------------------------------------------------------------------------------- blind indexes

    def beside(self, wire: dict[str, Any] | None, place: Place) -> dict[str, dict[str, Any]]:
        """The blind index of a value, by stored name. Raises: NotReady."""
        if self.blind is None or wire is None or "NULL" in wire:
            return {}
        found = self._stored_hashes(wire, place)
        return {name: {"B": value} for name, value in zip(self.blind.names, found, strict=False)}

    def _stored_hashes(self, wire: dict[str, Any], place: Any) -> list[bytes]:
        tenant = self._tenant(place)
        self._note(tenant, tenant.blind, self._keys.active(tenant.blind))
        return self._hashes(wire, place)

    def _hashes(self, wire: dict[str, Any], place: Any) -> list[bytes]:
        assert self.blind is not None  # asked for only then
        key = self._keys.active(self._tenant(place).blind)
        return self.blind.values(wire, key, self._keys.keyring.seconds() if key.other is not None else 0)

    def operand(self, kind: str) -> Callable[[dict[str, Any], Mapping[str, str]], Any] | None:
        """What is compared with the blind index; nothing else can be. Raises: ModelError."""
        if kind not in {"search", "equals"} or self.blind is None:
            raise ModelError(
                f"{self.where} is encrypted, so that no condition can compare it ({kind}): two envelopes of one value differ; "
                + (
                    "use .equals(value)"
                    if self.blind is not None
                    else "load the object, or say searchable=True and ask by .equals(value)"
                ),
                code="ErrEncryptedFieldNotQueryable",
            )
        if kind == "equals" and not self.exact:
            raise ModelError(
                f"{self.where} has a blind index of {self.option.bits} bits, which several values share: it is asked for in a"
                " query, by a term of where(...) that stands alone, and in no other condition",
                code="ErrEncryptedFieldNotQueryable",
            )
        return self._search

    def _search(self, wire: dict[str, Any], scope: Mapping[str, str]) -> dict[str, Any]:
        assert self.blind is not None  # or there would be no operand
        place: Any = Read((), lambda _: None, scope)
        if self.option.plaintext_until is not None:
            active = self._keys.active(self._tenant(place).ring)
            if self.mark not in active.complete:
                raise ModelError(
                    f"{self.where} may still be stored in the clear, where no blind index finds it: run"
                    " db.keys.reencrypt(...) to its end before",
                    code="ErrEncryptedFieldNotQueryable",
                )
        return {self.blind.names[0]: [{"B": value} for value in self._hashes(wire, place)]}

    def matches(self, left: dict[str, Any] | None, right: dict[str, Any] | None) -> bool:
        """See `dynamorm.plugin.PlacedField`."""
        if left is None or right is None or self.blind is None or isinstance(left, Unread):
            return False
        return self.blind.normal(left) == self.blind.normal(right)

    # -------------------------------------------------------------------------------------------------- another form

    def changes(self, item: Mapping[str, Any], place: Any) -> dict[str, dict[str, Any] | None]:
        """What is to be stored of a stored item for it to be in the form of today: by stored name, None to remove.

        Raises: NotReady, TamperedCiphertext, KeyUnavailable, KeyDisabled.
        """
        wire = _plain_bytes(item.get(self.attribute))
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
                stored = _plain_bytes(item.get(name))
                if digest is None and stored is not None:
                    changes[name] = None
                elif digest is not None and stored != {"B": digest}:
                    changes[name] = {"B": digest}
        return changes

    def _is_current(self, wire: dict[str, Any], place: Any) -> bool:
        if self.option.writes_v1:
            return "M" in wire
        envelope = wire.get("B")
        if not _is_envelope(envelope):
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
        if self.option.plaintext_until is not None and not _is_envelope(envelope):
            return (Need(ring),)
        version = version_of(envelope)
        if self.subject is not None:
            return (Need(ring.subjects), Need(ring, self._subject(place, read=True), is_subject=True))
        return (Need(ring, version),)


def _plain_bytes(wire: dict[str, Any] | None) -> dict[str, Any] | None:
    """A wire value whose bytes are no text."""
    if wire is not None and wire.get("B").__class__ is str:
        return {"B": b64decode(wire["B"])}
    if wire is not None and "M" in wire:
        return {"M": {name: _plain_bytes(one) for name, one in wire["M"].items()}}
    return wire


def _is_envelope(value: Any) -> bool:
    return value.__class__ is bytes and value[:4] == MAGIC


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
