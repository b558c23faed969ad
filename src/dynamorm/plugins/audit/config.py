"""`ChangeTrackingConfig`: what of a model is tracked, and where the records are. And the keys of chains."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

from dynamorm.errors import ConfigError, InvalidUse, KeyUnavailable, ModelError

from .option import Audit
from .values import joined

if TYPE_CHECKING:
    from .checkpoints import Signer

KeySource: TypeAlias = bytes | Sequence[bytes] | Callable[[str | None], bytes | Sequence[bytes]]
"""A key of at least 32 bytes; several, of which the first makes new records and all verify; or a function that gives these."""

SHORTEST: Final = 32

_TABLE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{3,255}")

DEVELOPMENT_KEY: Final = hashlib.sha256(b"dynamorm/audit/development key, known to everybody").digest()
"""The key without one: it keeps chains readable from run to run, and everybody knows it."""


@dataclass(frozen=True)
class ChangeTrackingConfig:
    """What `DB.enable_change_tracking` keeps of a model.

    Args:
        fields: the names of the fields whose changes are recorded.
        store: the name of the table of the records, without the ``table_prefix``; several models may share one.
        redact: those of the fields whose values no record shows; it shows that they have changed. Fields that are ``secret``, or
            have an option that hides them, are so always.
        audit_key: the key of the chain, at least 32 random bytes; a list of them, of which the first makes new records and all
            verify; or a function of the tenant (None: without) that gives either. Without one that of `DB.enable_audit_log` is used.
        on_external: what a write does that finds the item changed by somebody else: ``"record"`` records that, ``"refuse"``
            raises `AuditChainBroken`.
        ttl_deletes: ``"external"`` lets a model with a ttl field be tracked: DynamoDB deletes its items without a record, and
            the next create of one records that.
        checkpoints: a `Signer`, which lets `AuditTrail.checkpoint` sign the records of a day; it costs an index of the store.

    One with a key cannot be pickled, for a pickle would hold the key in the clear. Raises: ConfigError.

    Example: ``ChangeTrackingConfig(fields=["amount", "status"], store="audit-log-table", audit_key=key)``
    """

    fields: Sequence[str]
    store: str
    redact: Sequence[str] = ()
    audit_key: KeySource | None = field(default=None, repr=False)
    on_external: Literal["record", "refuse"] = "record"
    ttl_deletes: Literal["external"] | None = None
    checkpoints: Signer | None = None

    def __post_init__(self) -> None:
        for name in ("fields", "redact"):
            names: Any = getattr(self, name)
            if isinstance(names, str) or not all(isinstance(one, str) for one in names):
                raise ConfigError(f'{name} of ChangeTrackingConfig are names of fields: {name}=["amount"]')
        if not self.fields:
            raise ConfigError("fields of ChangeTrackingConfig are the fields to track, and there is none")
        store: object = self.store
        if not isinstance(store, str) or not _TABLE_NAME.fullmatch(store):
            raise ConfigError(
                "store of ChangeTrackingConfig is the name of a table, without the table_prefix: 3 to 255 of A-Z a-z 0-9 _ - ."
            )
        if extra := sorted(set(self.redact) - set(self.fields)):
            raise ConfigError(f"redact names {extra[0]!r}, which is none of the fields that are tracked")
        if self.on_external not in {"record", "refuse"}:
            raise ConfigError('on_external of ChangeTrackingConfig is "record" or "refuse"')
        if self.ttl_deletes not in {None, "external"}:
            raise ConfigError('ttl_deletes of ChangeTrackingConfig is "external" or None')
        check_source(self.audit_key)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.audit_key is not None and not callable(self.audit_key):
            raise InvalidUse(
                "a ChangeTrackingConfig with an audit_key cannot be pickled, for a pickle would hold the key: make it anew on the"
                " other side, or give audit_key a function"
            )
        return super().__reduce_ex__(protocol)

    def __copy__(self) -> Self:
        return self  # nothing of it changes

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def check(self, schema: Any) -> None:
        """Refuse what cannot be kept of a model. Raises: ModelError."""
        if self.store == schema.table:
            raise ModelError(
                f"store of ChangeTrackingConfig is the table of {schema.name} itself: records are kept in a table of their own,"
                " which nobody else writes"
            )
        for name in self.fields:
            if name not in schema.fields:
                known = ", ".join(sorted(schema.fields))
                raise ModelError(f"change tracking of {schema.name} names {name!r}, which is no field; known: {known}")
            if why := _not_tracked(schema.fields[name]):
                raise ModelError(f"{schema.name}.{name} {why}, so that it cannot be tracked: leave it out of fields")
        if schema.role("ttl") is not None and self.ttl_deletes is None:
            raise ModelError(
                f"items of {schema.name} expire, and DynamoDB deletes them without a record: say"
                ' ChangeTrackingConfig(ttl_deletes="external") where that may be'
            )
        for stored in ("_an", "_ah", "_as"):
            if any(stored in {one.stored, *one.also_read} for one in schema.fields.values()):
                raise ModelError(f"{schema.name} has a field stored as {stored}, which change tracking stores itself")


def _not_tracked(field: Any) -> str:
    """Why a field cannot be tracked; empty for one that can."""
    if field.role not in {"", "ttl"} or any(type(option).__name__ == "Composite" for option in field.options):
        return "is made by the library with each write"
    if any(isinstance(option, Audit) for option in field.options):
        return "is filled in by the library with each write"
    if field.also_read:
        return "may be stored under several names (also_read)"
    return "" if getattr(field, "unstored", None) is None else "is never stored"


class Keys:
    """The keys of the chains of one tenant: the first makes records, and each is known by its id."""

    __slots__ = ("_by_id", "key", "kid")

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.key: bytes = keys[0]
        self.kid: str = kid_of(keys[0])
        self._by_id: dict[str, bytes] = {kid_of(key): key for key in keys}

    @property
    def every(self) -> tuple[bytes, ...]:
        """All of them, the newest first."""
        return tuple(self._by_id.values())

    def of(self, kid: str) -> bytes:
        """The key with this id. Raises: KeyUnavailable."""
        try:
            return self._by_id[kid]
        except KeyError:
            raise KeyUnavailable(
                "a record was made with an audit key that is not known here: give it to audit_key beside the newer ones",
                version=kid,
            ) from None


def keys_of(source: KeySource, tenant: str | None) -> Keys:
    """The keys of a tenant. Raises: ConfigError, KeyUnavailable."""
    given: Any = source(tenant) if callable(source) else source
    keys = [given] if isinstance(given, (bytes, bytearray)) else list(given or ())
    if not keys:
        raise KeyUnavailable("audit_key gave no key for this tenant", version=None)
    for key in keys:
        _check_key(key)
    return Keys([bytes(key) for key in keys])


def check_source(source: Any) -> None:
    """Refuse what is no key. Raises: ConfigError."""
    if source is None or callable(source):
        return
    keys = [source] if isinstance(source, (bytes, bytearray, str)) else source
    if not isinstance(keys, Sequence) or not keys:
        raise ConfigError("audit_key is a key of at least 32 bytes, a list of them, or a function that gives one")
    for key in keys:
        _check_key(key)


def kid_of(key: bytes) -> str:
    """What a key is called in records: it tells nothing of the key."""
    return hashlib.sha256(joined(b"dynamorm/audit/kid/1", key)).hexdigest()[:16]


def _check_key(key: Any) -> None:
    if not isinstance(key, (bytes, bytearray)) or len(key) < SHORTEST:
        got = f"{len(key)} bytes" if isinstance(key, (bytes, bytearray)) else type(key).__name__
        raise ConfigError(f"audit_key has at least {SHORTEST} bytes, random ones (secrets.token_bytes(32)), got {got}")
