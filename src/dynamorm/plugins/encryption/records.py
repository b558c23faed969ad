"""The records of keys in a table: one for each version, which is never changed, and one that names the version in use.

Nobody else writes under their keys, and no class of the table shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.json import decode

from dynamorm import Attr, Model, attr, partition_key, sort_key, version
from dynamorm.errors import ConfigError, ValidationError
from dynamorm.plugin import OF_TENANTS, KnownText, ReadRule, WriteRule, former_tenant_prefix, tenant_prefix

from .options import is_protected
from .values import text_of

if TYPE_CHECKING:
    from dynamorm.codec.replies.checked import StoredItem
    from dynamorm.ops.writes.draft import WriteDraft

ACTIVE = "ACTIVE"
MARK: Final = "~K#"
"""What the key of a record begins with, behind that of its tenant."""


class Home(NamedTuple):
    """A table in which records are kept: its name in the class, and name and type of each attribute of its key."""

    table: str
    partition: tuple[str, str]
    sort: tuple[str, str] | None


class Ring(NamedTuple):
    """The keys of one name, of one tenant (empty: of none), in one table."""

    home: Home
    name: str
    tenant: str

    @property
    def blind(self) -> Ring:
        """The ring of the keys of blind indexes, which a rotation of this one does not touch."""
        return Ring(self.home, f"bidx/{self.name}", self.tenant)

    @property
    def subjects(self) -> Ring:
        """The ring of the key that wraps the keys of subjects, and names their records."""
        return Ring(self.home, f"subject/{self.name}", self.tenant)

    @property
    def context(self) -> dict[str, str]:
        """What the provider authenticates with each key of the ring."""
        context = {"dynamorm-ring": self.name, "dynamorm-crypto": "1"}
        return {**context, "dynamorm-tenant": self.tenant} if self.tenant else context

    def key(self, what: str) -> tuple[Any, ...]:
        """The key of a record: `ACTIVE`, or ``V#`` and a version."""
        return self._key(what, tenant_prefix(self.tenant) if self.tenant else "")

    def former_key(self, what: str) -> tuple[Any, ...] | None:
        """The key that a record of the ring had before, where tenants such as this one were spelled otherwise; else None."""
        former = former_tenant_prefix(self.tenant)
        return None if not self.tenant or former == tenant_prefix(self.tenant) else self._key(what, former)

    def _key(self, what: str, prefix: str) -> tuple[Any, ...]:
        text = f"{prefix}{MARK}{self.name}"
        sort = self.home.sort
        if sort is None or sort[1] == "N":  # a number tells no records apart
            text = f"{text}#{what}"
        parts = (_of_type(self.home.partition[1], text), *(() if sort is None else (_of_type(sort[1], what),)))
        if parts[0] is None:
            raise ConfigError(
                f"the partition key of {self.home.table} is a number, which no record of a key can have: give the provider a"
                " keyring_table, whose keys pk and sk are texts"
            )
        return parts


def _of_type(kind: str, text: str) -> Any:
    return {"S": text, "B": text.encode(), "N": None}[kind] if kind != "N" or is_record(text) else 0


_NUMBERS: Final = (int, float, Decimal)
_models: dict[Home, type[Any]] = {}


def record_of(home: Home) -> type[Any]:
    """The model of the records in a table."""
    found = _models.get(home)
    if found is None:
        types: dict[str, Any] = {"S": str, "B": bytes, "N": int}
        of: Any = Attr  # to who checks types a hint is no value
        kind: Any = type(Model)
        body: dict[str, Any] = {"pk": partition_key(name=home.partition[0])}
        hints: dict[str, Any] = {"pk": of[types[home.partition[1]]]}
        if home.sort is not None:
            body["sk"] = sort_key(name=home.sort[0])
            hints["sk"] = of[types[home.sort[1]]]
        body |= {
            "key_version": attr(name="_version", default=None),
            "wrapped": attr(name="_wrapped", default=None, secret=True),
            "state": attr(name="_state", default="enabled"),
            "made": attr(name="_made", default=None),
            "other": attr(name="_other_version", default=None),
            "rotated": attr(name="_rotated", default=None),
            "retired": attr(name="_retired", default_factory=list),
            "versions": attr(name="_versions", default_factory=list),
            "since": attr(name="_since", default=None),
            "complete": attr(name="_complete", default_factory=dict),
            "tables": attr(name="_tables", default_factory=list),
            "copied": attr(name="_copied", default_factory=list),
            "position": attr(name="_position", default=None),
            "changed": version(name="_revision"),
        }
        hints |= {
            "key_version": Attr[str | None],
            "wrapped": Attr[bytes | None],
            "state": Attr[str],
            "made": Attr[str | None],
            "other": Attr[str | None],
            "rotated": Attr[int | None],
            "retired": Attr[list[str]],
            "versions": Attr[list[str]],
            "since": Attr[int | None],
            "complete": Attr[dict[str, int]],
            "tables": Attr[list[str]],
            "copied": Attr[list[str]],
            "position": Attr[bytes | None],
            "changed": Attr[int],
        }
        body |= {"__annotations__": hints, "__module__": __name__, "__qualname__": "KeyRecord"}
        found = _models[home] = kind("KeyRecord", (Model,), body, table=home.table)
    return found


def is_record(value: Any) -> bool:
    """Whether the value of a partition key is that of a record: such an item is no object of the model."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else value
    return isinstance(text, str) and (text.startswith(MARK) or (text.startswith(OF_TENANTS) and f"#{MARK}" in text))


def may_hold_records(schema: Any) -> bool:
    """Whether the table of a class other than that of the records may hold some: then no verb of it shows them, or writes them.

    The type of the partition key alone tells it. Which other classes a table has is not asked: one may be defined, or used, later.
    """
    if schema.key is None or schema.model in tuple(_models.values()):
        return False
    return schema.fields[schema.key.partition].annotation not in _NUMBERS


class OwnKeys(WriteRule):
    """Refuses to write, or delete, a record of a key by a verb: what it encrypts could not be read any more.

    A statement may write items of a class without protected fields, unless it names such a key: see `check_statement`.
    """

    in_batches: bool = True

    def __init__(self, schema: Any) -> None:
        self._name = schema.name
        self._partition = schema.fields[schema.key.partition]
        self._protects = any(map(is_protected, schema.fields.values()))

    def contribute(self, draft: WriteDraft) -> None:
        """See `dynamorm.plugin.WriteRule`. Raises: ValidationError."""
        # Bytes are written as base64, which shows nothing of them, and a stored key may have escapes.
        if b"~K#" not in draft.key and b'"B"' not in draft.key and b"\\" not in draft.key:
            return
        if _names_record(decode(draft.key).get(self._partition.stored)):
            raise ValidationError(
                f"a key of a {self._name} begins as those of the library's own records of keys do (~K#): choose another one",
                field=self._partition.name,
            )

    def allows_statement(self, text: str, values: Sequence[Mapping[str, Any]]) -> bool:
        """See `dynamorm.plugin.WriteRule`."""
        del text, values
        return not self._protects


def check_statement(table: str, text: str, values: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a statement that writes and names the key of a record, in whatever table. Raises: ValidationError."""
    if MARK in text or any(map(_holds_record, values)):
        raise ValidationError(
            "a PartiQL statement names a key of the library's own records of keys (~K#), which nobody else writes: what they"
            " encrypt could not be read any more",
            table=table or None,
        )


def _names_record(wire: Any) -> bool:
    with suppress(ValueError):  # bytes that are none are for the service to refuse
        return is_record(text_of(wire))
    return False


def _holds_record(wire: Mapping[str, Any]) -> bool:
    """Whether a parameter of a statement is the partition key of a record, or an item that has it."""
    inner = wire.get("M")
    return any(map(_names_record, inner.values())) if inner else _names_record(wire)


class NoRecords(ReadRule):
    """Leaves the records of keys out, for a class without encrypted fields: to it they are not there."""

    attributes: tuple[str, ...] | None = ()

    def __init__(self, schema: Any) -> None:
        self._key = schema.fields[schema.key.partition].stored
        self._names = frozenset(schema.fields[name].stored for name in schema.key.fields)

    def __eq__(self, other: object) -> bool:
        """Those of the classes of a family are alike."""
        return isinstance(other, NoRecords) and (self._key, self._names) == (other._key, other._names)

    def __hash__(self) -> int:
        return hash((self._key, self._names))

    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        """See `dynamorm.plugin.ReadRule`."""
        del scope
        return not is_record(text_of(item.get(self._key)))

    def known_by(self, scope: Mapping[str, str]) -> tuple[KnownText, ...]:
        """See `dynamorm.plugin.ReadRule`."""
        del scope
        return (KnownText(self._key, without=MARK),)

    def keeps_all(self, names: Sequence[str], request: bytes, scope: Mapping[str, str]) -> bool:
        """See `dynamorm.plugin.ReadRule`. Besides their key, records have only attributes whose names begin with ``_``."""
        del scope
        if self._key in names:
            return MARK.encode() not in request and b'"B"' not in request and b"\\" not in request
        return any(name not in self._names and not name.startswith("_") for name in names)
