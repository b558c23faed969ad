"""The records of keys in a table: one for each version, which is never changed, and one that names the version in use.

Nobody else writes under their keys, and no class of the table shows them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from msgspec.json import decode

from dynamorm import Attr, Model, attr, partition_key, schema_of, sort_key, version
from dynamorm.errors import ConfigError, InvalidUse, PartialItem, ValidationError
from dynamorm.plugin import OF_TENANTS, ReadRule, WriteRule, family_of, former_tenant_prefix, tenant_prefix

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


def may_hold_records(schema: Any, tables: Collection[str]) -> bool:
    """Whether the table of a class other than that of the records may hold some: then no verb of it shows them, or writes them.

    That is one of ``tables``, or one for which any class has protected fields.
    """
    if schema.key is None or schema.model in _models.values():
        return False
    several = (*family_of(schema.model), *_classes(Model))
    return schema.table in tables or any(_protects(cls, schema.table) for cls in several)


def _protects(cls: type[Any], table: str) -> bool:
    try:
        schema = schema_of(cls)
    except (InvalidUse, PartialItem):
        return False
    return schema.table == table and any(map(is_protected, schema.fields.values()))


def _classes(root: type[Any]) -> list[type[Any]]:
    below: list[type[Any]] = type.__subclasses__(root)
    return [cls for one in below for cls in (one, *_classes(one))]


class OwnKeys(WriteRule):
    """Refuses to write, or delete, a record of a key by a verb: what it encrypts could not be read any more."""

    in_batches: bool = True

    def __init__(self, schema: Any) -> None:
        self._name = schema.name
        self._partition = schema.fields[schema.key.partition]

    def contribute(self, draft: WriteDraft) -> None:
        """See `dynamorm.plugin.WriteRule`. Raises: ValidationError."""
        if (
            b"~K#" not in draft.key and b'{"B":' not in draft.key
        ):  # bytes are written as base64, which shows nothing of them
            return
        wire = decode(draft.key).get(self._partition.stored)
        if is_record(text_of(wire)):
            raise ValidationError(
                f"a key of a {self._name} begins as those of the library's own records of keys do (~K#): choose another one",
                field=self._partition.name,
            )


class NoRecords(ReadRule):
    """Leaves the records of keys out, for a class without encrypted fields whose table may hold some: to it they are not there."""

    attributes: tuple[str, ...] | None = ()

    def __init__(self, schema: Any) -> None:
        self._key = schema.fields[schema.key.partition].stored

    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        """See `dynamorm.plugin.ReadRule`."""
        del scope
        return not is_record(text_of(item.get(self._key)))
