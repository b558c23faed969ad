"""What a derived field is to the writes of its model: it is stored anew with what it is made of, or the write is refused.

Loaded with the first model that has one. It must not know how a write is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import read_object
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.models.schema.overriding import override
from dynamorm.ops.updates.draft import UpdateDraft
from dynamorm.ops.writes.save_draft import SaveDraft
from dynamorm.plugin import WriteRule

from .inputs import decoded, rely, values_after

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Field
    from dynamorm.ops.writes.draft import WriteDraft


class DerivedRule(WriteRule):
    """One derived field."""

    verbs: tuple[str, ...] = ("create", "put", "save", "update")
    in_batches: bool = True
    behind_plugins: bool = True  # it sees what rules of plugins set

    def __init__(self, field: Field, names: tuple[str, ...], by: Callable[..., Any]) -> None:
        self._field = field
        self._names = names
        self._by = by
        self._what = f"{field.name} is derived of {', '.join(names)}"

    @override
    def contribute(self, draft: WriteDraft) -> None:
        if isinstance(draft, UpdateDraft):
            self._update(draft)
            return
        plans = [draft.plan.codec.plans[name] for name in self._names]
        stored = {plan.stored for plan in plans}
        if isinstance(draft, SaveDraft):
            if not draft.changes.keys() & {self._field.stored, *stored}:
                return
            before = read_object(draft.loaded or b"{}")
            rely(draft, {name: before.get(name) for name in stored - draft.changes.keys()})
        wires = draft.after(*self._names)
        values = {
            plan.name: getattr(draft.obj, plan.name)
            if plan.hook is not None
            else decoded(draft, plan, wires[plan.stored])
            for plan in plans
        }
        self._set(draft, values)

    def _update(self, draft: UpdateDraft) -> None:
        own = f"{draft.plan.codec.schema.name}.{self._field.name}"
        names = " and ".join(self._names)
        if any(update.path.field.stored == self._field.stored for update in draft.updates):
            raise ValidationError(
                f"{own} is derived of {names}: update those, and it changes with them", field=self._field.name
            )
        values = values_after(draft, self._names, self._what)
        if values is not None:
            self._set(draft, values)
        elif draft.whole is not None:
            raise ValidationError(
                f"{own} is derived of {names}, and an upsert may make the item: set {names} in it, too, or create the object",
                field=self._names[0],
            )

    def _set(self, draft: WriteDraft, values: Mapping[str, Any]) -> None:
        name, failed = self._field.name, ""
        value: Any = None
        try:
            value = self._by(*[values[one] for one in self._names])
        except DynamORMError:
            raise
        except Exception as error:  # noqa: BLE001 - its text may hold a value
            failed = type(error).__name__
        if failed:
            raise ValidationError(
                f"{draft.plan.codec.schema.name}.{name} cannot be derived of {' and '.join(self._names)} ({failed})",
                field=name,
            )
        draft.set(name, value)
