"""Keys that belong to the library's own records: nobody else writes under them, and no class of their table shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec.json import decode

from dynamorm import schema_of
from dynamorm.errors import ValidationError
from dynamorm.plugin import ReadRule, WriteRule, family_of

from .options import Encrypted
from .records import is_record
from .secret import Ephemeral
from .values import text_of

if TYPE_CHECKING:
    from dynamorm.codec.replies.checked import StoredItem
    from dynamorm.ops.writes.draft import WriteDraft


def is_encrypted(schema: Any) -> bool:
    """Whether a model has encrypted fields that are stored."""
    return any(
        field.option(Encrypted) is not None and field.option(Ephemeral) is None for field in schema.fields.values()
    )


def shares_records(schema: Any) -> bool:
    """Whether the table of a model may hold records of keys: it, or a class of its family, has protected fields."""
    return schema.key is not None and any(
        field.options and (field.option(Encrypted) is not None or field.option(Ephemeral) is not None)
        for cls in family_of(schema.model)
        for field in schema_of(cls).fields.values()
    )


class OwnKeys(WriteRule):
    """Refuses to write, or delete, a record of a key by a verb: what it encrypts could not be read any more."""

    in_batches: bool = True

    def __init__(self, schema: Any) -> None:
        self._name = schema.name
        self._partition = schema.fields[schema.key.partition]

    def contribute(self, draft: WriteDraft) -> None:
        """See `dynamorm.plugin.WriteRule`. Raises: ValidationError."""
        if b"~K#" not in draft.key:
            return
        wire = decode(draft.key).get(self._partition.stored)
        if is_record(text_of(wire)):
            raise ValidationError(
                f"a key of a {self._name} begins as those of the library's own records of keys do (~K#): choose another one",
                field=self._partition.name,
            )


class NoRecords(ReadRule):
    """Leaves the records of keys out, for a class without encrypted fields in a table that has some."""

    attributes: tuple[str, ...] | None = ()

    def __init__(self, schema: Any) -> None:
        self._key = schema.fields[schema.key.partition].stored

    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        """See `dynamorm.plugin.ReadRule`."""
        del scope
        return not is_record(text_of(item.get(self._key)))
