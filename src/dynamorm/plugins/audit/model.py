"""One tracked model, as its rule and its trail know it: what is tracked, whose keys, where the records are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ValidationError

from .config import DEVELOPMENT_KEY, ChangeTrackingConfig, Keys, keys_of
from .protected.writing import NONE_PROTECTED, Values
from .records import GENESIS, REVEALS, entity_of, fingerprint, genesis, partition_of, row_of, stored_row_of, value_mac
from .values import LARGEST, Wire, bytes_of, canonical

if TYPE_CHECKING:
    from .config import KeySource

CROWDED: Final = 256 * 1024
"""Bytes of values in one record, over which those of more than 256 bytes are not shown: an item has at most 400 KB."""


class Tracked:
    """A model whose changes are tracked. ``names`` are the tracked fields, ``stored`` their stored names, by name."""

    def __init__(self, schema: Any, config: ChangeTrackingConfig, source: KeySource | None) -> None:
        config.check(schema)
        self.config: ChangeTrackingConfig = config
        self.model: type[Any] = schema.model
        self.label: str = schema.name
        self.table: str = schema.table
        self.names: tuple[str, ...] = tuple(dict.fromkeys(config.fields))
        self.stored: dict[str, str] = {name: schema.fields[name].stored for name in self.names}
        self.by_stored: dict[str, str] = {stored: name for name, stored in self.stored.items()}
        self.listed: list[str] = sorted(self.by_stored)
        self.fingerprint: bytes = fingerprint(self.listed)
        self.row: type[Any] = row_of(config.store, by_day=config.checkpoints is not None)
        self.stored_row: type[Any] = stored_row_of(config.store)
        self._source: KeySource = source or DEVELOPMENT_KEY
        self._keys: dict[str | None, Keys] = {}
        self.hidden: frozenset[str] = frozenset(
            self.stored[name] for name in self.names if name in config.redact or is_hidden(schema.fields[name])
        )
        self.redacted: frozenset[str] = frozenset(self.stored[name] for name in self.names if name in config.redact)
        self.owner: str = next((field.name for field in schema.fields.values() if _is_tenant(field)), "")
        self._owner: str = schema.fields[self.owner].stored if self.owner else ""

    def tenant(
        self, scope: Mapping[str, str], *, scoped: bool = False, named: Callable[[], str | None] = lambda: None
    ) -> str | None:
        """Whose chains are meant in a view with this scope; ``named`` tells it where that is a view of all tenants.

        Raises: ValidationError where that is not said.
        """
        if not self.owner and not scoped:
            return None
        tenant = scope.get("tenant") or named()
        if not tenant:
            raise ValidationError(
                f"the records of a {self.label} are kept by tenant, and neither the view nor the item or its key says which:"
                " use the view of one, db.with_tenant(...)",
                field="tenant",
            )
        return tenant

    def named(self, codec: Any, key: Mapping[str, Wire], obj: Any, known: Mapping[str, Any]) -> str | None:
        """Whose an item is, by its object, by what else is known of it (values by field name), or by its stored key."""
        if not self.owner:
            return None
        found = getattr(obj, self.owner, None) or known.get(self.owner)
        if not found:
            wires = dict(key)
            for computed in codec.composites.values():
                if computed.stored in wires:
                    with suppress(ValidationError):  # a text that another program has written
                        wires |= computed.split(wires[computed.stored]["S"])
            found = wires.get(self._owner, {}).get("S")
        return found or None

    def keys(self, tenant: str | None) -> Keys:
        """The keys of a tenant's chains. Raises: KeyUnavailable."""
        if callable(self._source):  # it may give others later
            return keys_of(self._source, tenant)
        if tenant not in self._keys:
            self._keys[tenant] = keys_of(self._source, tenant)
        return self._keys[tenant]

    def chain(self, tenant: str | None, key: dict[str, Wire]) -> Place:
        """Where the chain of an item is."""
        entity = entity_of({name: canonical(wire) for name, wire in key.items()})
        return Place(tenant, self.table, entity)

    def shown(self, key: bytes, pk: str, n: int, stored: str, wire: Wire | None, *, largest: int = LARGEST) -> Any:
        """A value as record ``n`` holds it: as it is stored, or by a keyed digest where it is hidden or large."""
        if wire is None:
            return None
        value = bytes_of(wire)
        hidden = stored in self.hidden
        if not hidden and len(value) <= largest:
            return canonical(wire)
        digest = b64encode(value_mac(key, pk, n, stored, value)).decode()
        return {"D": [None if hidden else len(value), digest]}

    def changes(
        self,
        key: bytes,
        pk: str,
        n: int,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        values: Values | None = None,
    ) -> list[tuple[str, Any, Any]]:
        """The changes between two states, as record ``n`` holds them; ``values`` are those of a write, of which some are protected."""
        values = NONE_PROTECTED if values is None else values
        different = [
            (stored, before.get(stored), after.get(stored))
            for stored in self.listed
            if not values.same(stored, before.get(stored), after.get(stored))
        ]
        sizes = sum(values.size(stored, wire) for stored, *wires in different for wire in wires)
        largest = LARGEST if sizes <= CROWDED else 256
        return [
            (
                stored,
                values.was(stored, old) or self.shown(key, pk, n, stored, old, largest=largest),
                values.sealed(n, stored, new, largest) or self.shown(key, pk, n, stored, new, largest=largest),
            )
            for stored, old, new in different
        ]


class Place:
    """Where the chain of one item is: whose it is, and its partition in the store."""

    __slots__ = ("entity", "genesis", "pk", "table", "tenant")

    def __init__(self, tenant: str | None, table: str, entity: str, kind: str = "A") -> None:
        self.tenant: str | None = tenant
        self.table: str = table
        self.entity: str = entity
        self.pk: str = partition_of(tenant, table, entity, kind)
        self.genesis: bytes = genesis(tenant, table, entity, GENESIS if kind == "A" else REVEALS)

    @property
    def reveals(self) -> Place:
        """Where the records of the reveals of this chain are."""
        return Place(self.tenant, self.table, self.entity, "R")


def is_hidden(field: Any) -> bool:
    """Whether the values of a field are shown nowhere: it is secret, or has an option that says so of itself."""
    return bool(field.secret or any(getattr(option, "secret", False) for option in field.options))


def is_computed(field: Any) -> bool:
    """Whether a field is a key that is made of others."""
    return any(type(option).__name__ == "Composite" for option in field.options)


def _is_tenant(field: Any) -> bool:
    """Whether a field says whose an item is."""
    return any(type(option).__name__ == "Tenant" for option in field.options)
