"""The plugin: it claims the options, gives the fields their form, and fetches the keys of what is read."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, TamperedCiphertext
from dynamorm.plugin import NotReady, OfOneProcess, PlacedField, ReadRule

from .envelope import Envelopes
from .fields import EncryptedField
from .keyring import Keyring
from .keys import Keys
from .options import Encrypted
from .provider import KeyProvider
from .records import is_record
from .rotation import KeyActions
from .secret import Ephemeral
from .v1 import V1

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
        self._envelopes = Envelopes()
        self.keys: Keys = Keys(Keyring(provider))
        self._v1 = V1(self.keys, self._envelopes)
        self.fields: dict[Any, list[EncryptedField]] = {}

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

    def field(self, schema: Any, field: Any) -> PlacedField | None:
        """See `dynamorm.plugin`."""
        option = field.option(Encrypted)
        if option is None or field.option(Ephemeral) is not None:
            return None
        made = EncryptedField(schema, field, option, self.keys, self._v1, self._envelopes)
        self.fields.setdefault(schema.model, []).append(made)
        return made

    def read_rule(self, schema: Any) -> ReadRule | None:
        """See `dynamorm.plugin`."""
        fields = {
            field.stored: field
            for field in schema.fields.values()
            if field.option(Encrypted) is not None and field.option(Ephemeral) is None
        }
        if not fields or schema.key is None:
            return None
        return Opening(self, schema)

    def gauges(self) -> dict[str, float]:
        """See `dynamorm.plugin`."""
        return {"encryption_key_fetches": self.keys.fetches, "encryption_key_evictions": self.keys.evictions}

    def actions(self, run: Callable[[Any], Any]) -> KeyActions:
        """What ``db.keys`` is."""
        return KeyActions(self, run)

    def fields_of(self, model: Any) -> Sequence[EncryptedField]:
        """The encrypted fields of a model."""
        return self.fields.get(model, ())


class Opening(ReadRule):
    """Fetches the keys of the items of an answer, and leaves out the records of keys, which may lie in the same table."""

    attributes: tuple[str, ...] | None = ()

    def __init__(self, plugin: EncryptionPlugin, schema: Any) -> None:
        self._plugin = plugin
        self._model = schema.model
        self._partition = schema.fields[schema.key.partition].stored

    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        """See `dynamorm.plugin.ReadRule`."""
        del scope
        return not is_record((item.get(self._partition) or {}).get("S"))

    def prepare(self, items: Sequence[StoredItem], scope: Mapping[str, str]) -> Flow[None]:
        """See `dynamorm.plugin.ReadRule`. What is no envelope is told where it is decoded."""
        for item in items:
            attributes = item.attributes
            for field in self._plugin.fields_of(self._model):
                stored = attributes.get(field.attribute)
                if stored is None or "NULL" in stored:
                    continue
                place: Any = Read(scope)
                for _ in range(3):  # what was fetched may end before it is looked at
                    try:
                        field.ready(stored, place)
                    except NotReady as waiting:
                        missing = waiting
                    except (TamperedCiphertext, ValueError, TypeError):
                        break
                    else:
                        break
                    yield from missing.flow()


class Read:
    """Where an item that was read is stored, as far as its keys are concerned."""

    __slots__ = ("scope",)

    def __init__(self, scope: Mapping[str, str]) -> None:
        self.scope: Mapping[str, str] = scope
