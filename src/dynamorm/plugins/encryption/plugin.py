"""The plugin: it claims the options, gives the fields their form, and fetches the keys of what is read."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, KeyDisabled, KeyUnavailable, ModelError, TamperedCiphertext, TenantRequired
from dynamorm.plugin import NotReady, OfOneProcess, PlacedField, ReadRule, WriteRule, family_of, without_locals

from .ciphers import Envelopes
from .fields import EncryptedField
from .keyring import Keyring
from .keys import Keys
from .options import Encrypted, is_encrypted, is_protected
from .provider import KeyProvider
from .records import NoRecords, OwnKeys, check_statement, is_record, may_hold_records
from .rewriting.rotation import KeyActions
from .seal import ItemSeal
from .secret import Ephemeral
from .v1 import V1
from .values import Read, text_of

if TYPE_CHECKING:
    from dynamorm.codec.replies.checked import StoredItem


class EncryptionPlugin(OfOneProcess):
    """Encrypts the fields that say `Encrypted`, with keys from a provider. ``db.set_encryption_provider(...)`` registers one.

    Raises: ConfigError where ``cryptography`` is missing, and for a provider that ``Presets.production()`` refuses.

    Example: ``db.use(EncryptionPlugin(LocalKeyProvider(".keys/local")))``
    """

    name = "encryption"
    options: tuple[type[Any], ...] = (Encrypted, Ephemeral)

    def __init__(self, provider: KeyProvider) -> None:
        for moment in ("generate", "unwrap"):
            if isinstance(provider, type) or not callable(getattr(provider, moment, None)):
                raise ConfigError(
                    "a provider of keys is an object with generate and unwrap, such as KMSProvider(key_id=...) or"
                    f" LocalKeyProvider(path), not {type(provider).__name__}"
                )
        self.provider: KeyProvider = provider
        envelopes = Envelopes()
        self.keys: Keys = Keys(Keyring(provider, envelopes))
        self._v1 = V1(self.keys, envelopes)
        self.fields: dict[Any, dict[str, EncryptedField]] = {}
        self._seals: dict[Any, ItemSeal] = {}
        self._tenant_attributes: dict[Any, str] = {}
        self._schemas: dict[Any, Any] = {}

    def joined(self, db: Any) -> None:
        """See `dynamorm.plugin`. Raises: ConfigError."""
        if db.config.preset == "production" and not self.provider.is_for_production:
            raise ConfigError(
                f"Presets.production() refuses a {type(self.provider).__name__}, whose keys are on this machine: give it a"
                " KMSProvider(key_id=...)"
            )
        self.keys.keyring.database = weakref.ref(db)
        joined = getattr(self.provider, "joined", None)
        if joined is not None:
            joined(db)

    def closed(self, db: Any) -> None:
        """See `dynamorm.plugin`."""
        del db
        closed = getattr(self.provider, "closed", None)
        if closed is not None:
            closed()

    def ended(self, operation: Any, error: BaseException | None) -> None:
        """See `dynamorm.plugin`. Where a verb has failed, no variable of our frames shows a protected value."""
        del operation
        if error is not None and self.fields:
            without_locals(error)

    def field(self, schema: Any, field: Any) -> PlacedField | None:
        """See `dynamorm.plugin`. Raises: ModelError."""
        if not is_encrypted(field):
            return None
        option = field.option(Encrypted)
        made = EncryptedField(schema, field, option, self.keys, self._v1)
        of_model = self.fields.setdefault(schema.model, {})
        of_model[field.name] = made
        self._check_agreement(made)
        for other in schema.fields.values():
            if any(getattr(option, "scope_entry", None) == "tenant" for option in other.options):
                self._tenant_attributes[schema.model] = made.tenant_attribute = other.stored
        if made.sealed or option.subject is not None:
            version = None if schema.version is None else schema.version.stored
            seal = self._seals.setdefault(schema.model, ItemSeal(schema.name, version, self.keys))
            made.whole = seal
            if made.sealed:
                seal.add(made)
            else:
                seal.dependent.add(made.attribute)
        return made

    def _check_agreement(self, made: EncryptedField) -> None:
        """Refuse a field that is sealed in one class of a table, and not in another one. Raises: ModelError."""
        for other in self.all_fields():
            if (other.table, other.attribute) == (made.table, made.attribute) and other.sealed != made.sealed:
                sealed, bare = (made, other) if made.sealed else (other, made)
                self.fields.pop(made.model, None)
                raise ModelError(
                    f"{sealed.where} belongs to the seal of its item, and {bare.where} stores the same attribute of the table"
                    f" {made.table} without one, so that what it writes would break the seal: let both say seal=True, or neither"
                )

    def read_rule(self, schema: Any) -> ReadRule | None:
        """See `dynamorm.plugin`. Raises: ModelError."""
        _check_foreign(schema)
        self._schemas[schema.model] = schema
        if schema.key is None:
            return None
        if any(map(is_encrypted, schema.fields.values())):
            return Opening(self, schema)
        return NoRecords(schema) if may_hold_records(schema) else None

    def write_rule(self, schema: Any) -> WriteRule | None:
        """See `dynamorm.plugin`."""
        return OwnKeys(schema) if may_hold_records(schema) else None

    def statement(self, table: str, text: str, values: Sequence[Mapping[str, Any]]) -> None:
        """See `dynamorm.plugin`. Raises: ValidationError."""
        check_statement(table, text, values)

    def gauges(self) -> dict[str, float]:
        """See `dynamorm.plugin`."""
        fields = self.all_fields()
        return {
            "encryption_key_fetches": self.keys.fetches,
            "kms_cache_evictions": self.keys.evictions,
            "encryption_plaintext_reads": sum(field.plaintexts for field in fields),
        }

    def actions(self, run: Callable[[Any], Any], rewriting: Any) -> KeyActions[Any]:
        """What ``db.keys`` is. ``rewriting`` reads items as they are stored, and stores attributes of them anew."""
        return KeyActions(self, run, rewriting)

    def fields_of(self, model: Any) -> Sequence[EncryptedField]:
        """The encrypted fields of a model."""
        return tuple(self.fields.get(model, {}).values())

    def all_fields(self) -> Sequence[EncryptedField]:
        """The encrypted fields of all models that were used."""
        return [field for of_model in tuple(self.fields.values()) for field in tuple(of_model.values())]

    def model_of(self, table: str) -> type[Any] | None:
        """A model of a table that was used; None where none was."""
        return next((field.model for field in self.all_fields() if field.table == table), None)

    def others_of(self, model: Any) -> Sequence[Any]:
        """The schemas of classes that were used, and write the same table as a model without belonging to its family."""
        family, table = family_of(model), self._schemas[model].table
        return [schema for cls, schema in tuple(self._schemas.items()) if schema.table == table and cls not in family]

    def tenant_attribute(self, model: Any) -> str | None:
        """The stored name of the attribute that says whose an item is; None where none does."""
        return self._tenant_attributes.get(model)

    def seal_of(self, model: Any) -> ItemSeal | None:
        """What seals the items of a model; None where nothing does."""
        seal = self._seals.get(model)
        return seal if seal is not None and seal.names else None


def _check_foreign(schema: Any) -> None:
    """Refuse a class of pydantic whose errors would repeat the values of protected fields. Raises: ModelError."""
    if not hasattr(schema.model, "__pydantic_fields__"):
        return
    protected = [field.name for field in schema.fields.values() if is_protected(field)]
    if protected and not schema.model.model_config.get("hide_input_in_errors"):
        raise ModelError(
            f"{schema.name}.{protected[0]} is protected, and an error of pydantic repeats what it was given: say"
            " model_config = ConfigDict(hide_input_in_errors=True)"
        )


class Opening(ReadRule):
    """Fetches the keys of the items of an answer, checks their seals, and leaves out the library's own records."""

    attributes: tuple[str, ...] | None = ()

    def __init__(self, plugin: EncryptionPlugin, schema: Any) -> None:
        self._plugin = plugin
        self._model = schema.model
        self._key_names = tuple(schema.fields[name].stored for name in schema.key.fields)
        self._fields = plugin.fields_of(schema.model)
        self._seal = plugin.seal_of(schema.model)
        names = () if self._seal is None else self._seal.looks
        subjects = [field.subject for field in self._fields if field.subject is not None]
        tenants = [field.tenant_attribute for field in self._fields if field.tenant_attribute is not None]
        self.attributes = tuple(dict.fromkeys((*names, *subjects, *tenants)))

    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        """See `dynamorm.plugin.ReadRule`. Raises: TamperedCiphertext."""
        if is_record(text_of(item.get(self._key_names[0]))):
            return False
        if self._seal is not None and item.is_decoded:
            self._seal.check(
                {name: item.get(name) for name in self._seal.looks}, Read(self._key_names, item.get, scope)
            )
        return True

    def check_record(self, item: StoredItem, scope: Mapping[str, str]) -> None:
        """See `dynamorm.plugin.ReadRule`. Raises: TamperedCiphertext."""
        self.check(item, scope)

    def prepare(self, items: Sequence[StoredItem], scope: Mapping[str, str]) -> Flow[None]:
        """See `dynamorm.plugin.ReadRule`. What is no envelope is told where it is decoded."""
        needs: dict[Any, bool] = {}  # whether what cannot be had is marked
        for item in items:
            attributes = item.attributes
            if is_record(text_of(attributes.get(self._key_names[0]))):
                continue
            place: Any = Read(self._key_names, attributes.get, scope)
            for field in self._fields:
                stored = attributes.get(field.attribute)
                if stored is not None and "NULL" not in stored:
                    with suppress(TamperedCiphertext, ValueError, TypeError):
                        for need in field.needs(stored, place):
                            needs[need] = needs.get(need, True) and (field.marks or need.is_asked)
            for need in () if self._seal is None else self._seal.needs(attributes, place):
                needs.setdefault(need, True)  # the check tells what it means where a key is gone
        yield from self._fetched(needs)

    def foresee(self, item: StoredItem, changed: Collection[str], scope: Mapping[str, str]) -> Flow[bool]:
        """See `dynamorm.plugin.ReadRule`. Of an item that is not known, the keys in use are fetched. Raises: KeyDisabled, KeyUnavailable."""
        attributes = item.attributes
        place: Any = Read(self._key_names, attributes.get, scope)
        needs: dict[Any, bool] = {}
        marked: dict[Any, bool] = {}
        reads = False
        for field in self._fields:
            stored = attributes.get(field.attribute)
            if field.attribute in changed or (item.is_decoded and (stored is None or "NULL" in stored)):
                continue
            with suppress(TamperedCiphertext, TenantRequired, ValueError, TypeError):
                several = field.in_use(place) if stored is None else field.needs(stored, place)
                reads |= several is None
                for need in several or ():
                    # Of an item that is not known there may be no value, and no key.
                    needs[need] = needs.get(need, True) and (field.marks or need.is_asked or stored is None)
                    marked[need] = marked.get(need, True) and field.marks
        found = yield from self._fetched(needs)
        disabled = [one for need, one in found.items() if isinstance(one, KeyDisabled) and not marked[need]]
        if disabled and item.is_decoded:
            raise KeyDisabled(
                f"{disabled[0].message}, and the answer would show some: nothing was sent; an update by key with returning=None"
                " shows nothing, and changes what is not encrypted",
                version=disabled[0].version,
            )
        return reads or bool(disabled)

    def _fetched(self, needs: Mapping[Any, bool]) -> Flow[dict[Any, Any]]:
        """What is needed, each with whether one that cannot be had is marked, or why it cannot be had; it is there for a moment."""
        keys, found = self._plugin.keys, dict[Any, Any]()
        for need, marks in needs.items():
            need.doubt(keys)
            found[need] = yield from _obtained(keys, need, marks=marks)
        for need, one in found.items():  # an answer may need more keys than are kept, and for longer
            need.hold(keys, one)
        return found


def _obtained(keys: Keys, need: Any, *, marks: bool) -> Flow[Any]:
    """What is needed, or why it cannot be had, where that is marked, or told to who opens a value with it. Raises: KeyUnavailable."""
    missing: NotReady | None = None
    for _ in range(8):  # what was fetched may end before it is looked at
        try:
            if missing is not None:
                yield from missing.flow()
            return need.of(keys)
        except NotReady as waiting:
            missing = waiting
        except (KeyDisabled, KeyUnavailable) as error:
            if isinstance(error, KeyDisabled) or (marks and error.lasts):
                return error
            raise
    assert missing is not None  # or it was there
    raise KeyUnavailable(f"{missing.name} ended each time before it could be used")
