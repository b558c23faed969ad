"""Updates of items of an older schema version: refused, for an update names some attributes and would mix two forms.

Used only by models with a schema version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import decoded, parts_of
from dynamorm.errors import DynamORMError
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.upgrades import SCHEMA_ATTRIBUTE
from dynamorm.ops.updates.draft import UpdateDraft
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from dynamorm.codec.upgrades import Upgrades
    from dynamorm.ops.writes.draft import WriteDraft

_REASON = "an update of it would mix two forms"


class SchemaVersionRule(WriteRule):
    """An update happens only to an item of the newest schema version; one that makes its item stores that version."""

    verbs: tuple[str, ...] = ("update",)
    in_batches: bool = True  # a batch replaces whole items

    def __init__(self, upgrades: Upgrades) -> None:
        self._upgrades = upgrades

    @override
    def transform(self, draft: WriteDraft) -> None:
        if draft.loaded is not None and self._upgrades.is_former(draft.loaded):
            raise self._upgrades.not_upgraded(_REASON)

    @override
    def contribute(self, draft: WriteDraft) -> None:
        assert isinstance(draft, UpdateDraft)  # of no other verb
        if draft.loaded is not None and draft.plan.version is not None:
            return  # it is as it was loaded
        upgrades, places = self._upgrades, draft.places
        tag = places.name(SCHEMA_ATTRIBUTE)
        term = f"{tag} = {places.value(upgrades.tag)}"
        if not upgrades.chain:
            term = f"(attribute_not_exists({tag}) OR {term})"
        elif draft.upsert:
            term = f"(attribute_not_exists({places.name(draft.plan.partition.stored)}) OR {term})"
        draft.terms.append(term)
        if draft.whole is not None:
            draft.whole.wires[SCHEMA_ATTRIBUTE] = upgrades.tag
        draft.say_why(self._told(draft))

    def _told(self, draft: WriteDraft) -> Callable[..., DynamORMError]:
        upgrades, codec = self._upgrades, draft.plan.codec

        def told(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
            part = None if raw is None else parts_of(raw).get(SCHEMA_ATTRIBUTE)
            if raw is None:
                return earlier()
            try:
                version = upgrades.version_of(None if part is None else decoded(part))
            except DynamORMError:  # of a newer program
                version = 0
            if version == upgrades.newest:
                return earlier()
            return upgrades.not_upgraded(_REASON, lambda: codec.decode_shown(raw), **info)

        return told
