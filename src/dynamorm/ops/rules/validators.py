"""What validators of several fields are to saves and updates: one that changes a field of theirs must tell all of them.

The codec asks them about whole objects. It must not know how a write is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import read_object
from dynamorm.models.schema.checks import ask
from dynamorm.models.schema.overriding import override
from dynamorm.ops.updates.draft import UpdateDraft
from dynamorm.ops.writes.save_draft import SaveDraft
from dynamorm.plugin import WriteRule

from .inputs import rely, values_after

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Schema
    from dynamorm.ops.writes.draft import WriteDraft


class ValidatorsRule(WriteRule):
    """An update passes the validators by the values that it leaves; without a version, a save relies on what it does not change."""

    verbs: tuple[str, ...] = ("save", "update")

    def __init__(self, schema: Schema) -> None:
        self._checks = schema.checks
        self.looks_at: tuple[str, ...] | None = tuple({name: None for one in schema.checks for name in one.fields})

    @override
    def contribute(self, draft: WriteDraft) -> None:
        if isinstance(draft, UpdateDraft):
            for check in self._checks:
                what = f"the validator {check.name} looks at {', '.join(check.fields)} together"
                values = values_after(draft, check.fields, what)
                if values is not None:
                    ask(draft.plan.codec.schema.name, check, _holding(draft.plan.model, values))
        elif isinstance(draft, SaveDraft) and draft.plan.version is None:
            stored = read_object(draft.loaded or b"{}")
            plans = draft.plan.codec.plans
            for check in self._checks:
                names = {plans[name].stored for name in check.fields}
                if not names.isdisjoint(draft.changes):
                    rely(draft, {name: stored.get(name) for name in names - draft.changes.keys()})


def _holding(model: type[Any], values: dict[str, Any]) -> Any:
    """An object that has these fields and no others."""
    obj: Any = object.__new__(model)
    for name, value in values.items():
        object.__setattr__(obj, name, value)
    return obj
