"""Deletes that only mark: the item stays, is read no more, and can be restored.

A model has a field with the option `DeletedAt` (the mixin `SoftDeleted` brings one), and the database the plugin `SoftDelete`. The scope entry
``deleted`` of a view says what is seen there: nothing of it, ``"shown"``, or ``"removed"``, where deletes remove items, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from dynamorm import Attr, Condition, Mixin, Update, attr, schema_of
from dynamorm.arguments import check_seconds
from dynamorm.errors import AlreadyExists, ConfigError, DynamORMError, MissingItem, ModelError
from dynamorm.plugin import KnownText, ReadRule, WriteRule

if TYPE_CHECKING:
    from dynamorm.codec.replies.checked import StoredItem
    from dynamorm.models.schema.schema import Field, Schema
    from dynamorm.ops.reads.read_rules import ReadDraft
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.ops.writes.draft import WriteDraft
    from dynamorm.ops.writes.write import Write

__all__ = ["DeletedAt", "SoftDelete", "SoftDeleted", "restoring"]

ENTRY: Final = "deleted"
SHOWN: Final = "shown"
REMOVED: Final = "removed"


class DeletedAt:
    """Field option, of a ``datetime | None``: when the item was deleted; None while it is not.

    ``expire_after`` also sets the model's `ttl` field with a delete, so that DynamoDB removes the item by then, and clears it with
    a restore: that field is the option's own.

    Raises: ModelError.

    Example: ``deleted_at: Attr[datetime | None] = attr(DeletedAt(expire_after=timedelta(days=30)), default=None)``
    """

    __slots__ = ("expire_after",)

    claimed_by = "db.use(SoftDelete())"

    def __init__(self, *, expire_after: float | timedelta | None = None) -> None:
        self.expire_after: timedelta | None = None
        if expire_after is not None:
            seconds = check_seconds("expire_after", expire_after, 1.0, 1e10, error=ModelError)
            self.expire_after = timedelta(seconds=seconds)

    def __repr__(self) -> str:
        return "DeletedAt()" if self.expire_after is None else f"DeletedAt(expire_after={self.expire_after!r})"


class SoftDeleted(Mixin):
    """The field ``deleted_at``, for any model whose deletes only mark.

    Example: ``class Order(SoftDeleted, Model, table="orders"): ...``
    """

    deleted_at: Attr[datetime | None] = attr(DeletedAt(), default=None)


class SoftDelete:
    """Lets deletes of models with a `DeletedAt` field mark their items, and reads leave these out.

    Example: ``db.use(SoftDelete())``
    """

    name: str = "soft_delete"
    options: tuple[type[Any], ...] = (DeletedAt,)
    reads_nothing: bool = True

    def viewed(self, before: Mapping[str, str], scope: Mapping[str, Any]) -> None:
        """See `dynamorm.plugin`. Raises: ConfigError."""
        del before
        if scope.get(ENTRY, SHOWN) not in {SHOWN, REMOVED}:
            raise ConfigError(
                'the scope entry "deleted" is "shown" or "removed": use db.with_deleted() or db.permanently()'
            )

    def write_rule(self, schema: Schema) -> WriteRule | None:
        """See `dynamorm.plugin`. Raises: ModelError."""
        field = marked_field(schema)
        return None if field is None else Marking(schema, field)

    def read_rule(self, schema: Schema) -> ReadRule | None:
        """See `dynamorm.plugin`. Raises: ModelError."""
        field = marked_field(schema)
        return None if field is None else NotDeleted(schema, field)


def marked_field(schema: Schema) -> Field | None:
    """The field of a model that says when an item was deleted; None where deletes remove. Raises: ModelError."""
    found = [field for field in schema.fields.values() if field.option(DeletedAt) is not None]
    if not found:
        return None
    field = found[0]
    if len(found) > 1:
        raise ModelError(f"{schema.name} has two fields with DeletedAt: {field.name} and {found[1].name}")
    if field.role or field.name in schema.index_fields or field.immutable or field.write_once or field.protected:
        raise ModelError(
            f"{schema.name}.{field.name} is set by deletes, so that it is no part of a key, and neither immutable, write_once nor protected"
        )
    if field.default is not None:
        raise ModelError(
            f"{schema.name}.{field.name} is None while an item is not deleted: attr(DeletedAt(), default=None)"
        )
    if field.option(DeletedAt).expire_after is not None and schema.role("ttl") is None:
        raise ModelError(f"{schema.name}.{field.name} has expire_after, which needs a ttl() field")
    return field


def restoring(model: type[Any]) -> tuple[tuple[Update, ...], Condition]:
    """The updates that bring an item back, and the condition that it is deleted. Raises: ModelError for a model whose deletes remove.

    Example: ``updates, is_deleted = restoring(Order)``
    """
    schema = schema_of(model)
    field = marked_field(schema)
    if field is None:
        raise ModelError(
            f"{schema.name} has no field with DeletedAt, so that its deletes remove: there is nothing to restore"
        )
    path: Any = getattr(model, field.name)
    updates: tuple[Update, ...] = (path.remove(),)
    ttl = schema.role("ttl")
    if ttl is not None and field.option(DeletedAt).expire_after is not None:
        updates += (getattr(model, ttl.name).remove(),)
    return updates, path != None  # noqa: E711 - a condition


class Marking(WriteRule):
    """Marks what is deleted, and refuses writes of what was."""

    verbs: tuple[str, ...] = ("create", "save", "update", "delete", "check")
    absent_is_deleted: bool = True

    def __init__(self, schema: Schema, field: Field) -> None:
        self._name = schema.name
        self._stored: str = field.stored
        self._path: Any = getattr(schema.model, field.name)
        option: DeletedAt = field.option(DeletedAt)
        ttl = schema.role("ttl")
        self._field: str = field.name
        self._ttl: Any = None if option.expire_after is None or ttl is None else getattr(schema.model, ttl.name)
        self._is_time = ttl is not None and "datetime" in str(ttl.annotation)
        self._expire_after: timedelta = option.expire_after or timedelta()

    def check_batch(self, plan: ModelRequests) -> None:
        """See `dynamorm.plugin.WriteRule`: what a batch deletes is looked at one by one."""

    def transform(self, draft: WriteDraft) -> Write | None:
        """Put the marking in the place of a delete."""
        if draft.verb != "delete" or draft.context.scope.get(ENTRY) == REMOVED:
            return None
        now = draft.context.now()
        updates = [self._path.set(now)]
        if self._ttl is not None:
            end = now + self._expire_after
            updates.append(self._ttl.set(end if self._is_time else int(end.timestamp())))
        return draft.instead("update", *draft.target, *updates)

    def contribute(self, draft: WriteDraft) -> None:
        """Let nothing be written to an item that is deleted, and say so."""
        if draft.verb == "create":
            draft.refused_by(self._taken)
        elif draft.verb != "delete" and ENTRY not in draft.context.scope:
            draft.require(self._path == None)  # noqa: E711 - a condition: missing, or NULL
            draft.refused_by(self._deleted)
        elif self._ttl is not None and self._brings_back(draft):
            draft.set(self._ttl.name, None)  # it was the delete's

    def _brings_back(self, draft: WriteDraft) -> bool:
        """Whether a save or an update of the program's own takes the mark away, and leaves the time at which the item expires."""
        changes: Any = getattr(draft, "changes", None)
        if changes:
            wire = changes.get(self._stored, {"S": ""})
            return (wire is None or "NULL" in wire) and self._ttl.stored[0] not in changes
        by_name = {update.path.parts[0].name: update for update in getattr(draft, "updates", ())}
        mark = by_name.get(self._field)
        return (
            mark is not None
            and (mark.kind == "remove" or mark.value is None)
            and self._ttl.parts[0].name not in by_name
        )

    def _taken(self, stored: dict[str, Any], info: dict[str, Any]) -> DynamORMError | None:
        if not self._is_deleted(stored):
            return None
        return AlreadyExists(
            f"a {self._name} with this key is deleted, and kept: db.restore(...) brings it back, and"
            " db.permanently().delete(...) removes it",
            **info,
        )

    def _deleted(self, stored: dict[str, Any], info: dict[str, Any]) -> DynamORMError | None:
        if not self._is_deleted(stored):
            return None
        return MissingItem(
            f"no {self._name} is stored under this key: it is deleted, and kept; db.restore(...) brings it back", **info
        )

    def _is_deleted(self, stored: dict[str, Any]) -> bool:
        wire = stored.get(self._stored)
        return wire is not None and "NULL" not in wire


class NotDeleted(ReadRule):
    """Leaves out what is deleted, but in a view that shows it."""

    filters_all: bool = True

    def __init__(self, schema: Schema, field: Field) -> None:
        self._stored: str = field.stored
        self._path: Any = getattr(schema.model, field.name)
        self.attributes: tuple[str, ...] | None = (field.stored,)

    def contribute(self, draft: ReadDraft) -> None:
        """See `dynamorm.plugin.ReadRule`."""
        if ENTRY not in draft.scope:
            draft.filter(self._path == None)  # noqa: E711 - a condition: missing, or NULL

    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        """See `dynamorm.plugin.ReadRule`."""
        if ENTRY in scope:
            return True
        wire = item.get(self._stored)
        return wire is None or "NULL" in wire

    def known_by(self, scope: Mapping[str, str]) -> tuple[KnownText, ...] | None:
        """See `dynamorm.plugin.ReadRule`."""
        return () if ENTRY in scope else None
