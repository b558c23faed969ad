"""Append-only lists: what a save sends of one that has grown, and what is refused. Used only by models that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ModelError, ValidationError
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import AppendOnly, Field
from dynamorm.ops.writes.save_draft import SaveDraft
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.ops.writes.draft import WriteDraft


class AppendOnlyRule(WriteRule):
    """Lists that only grow: a put is refused, and a save appends what an object's list has gained."""

    verbs: tuple[str, ...] = ("put", "save")

    def __init__(self, plan: ModelRequests) -> None:
        """Raises: ModelError when an append-only attribute is no list."""
        codec = plan.codec
        self.fields: list[Field] = [field for field in codec.schema.fields.values() if field.option(AppendOnly)]
        for field in self.fields:
            if codec.plans[field.name].shape.tag != "L":
                raise ModelError(f"{codec.schema.name}.{field.name} is AppendOnly, which needs a list: Attr[list[...]]")

    @override
    def transform(self, draft: WriteDraft) -> None:
        if draft.verb == "put":
            raise self._no_put(draft.plan)
        if isinstance(draft, SaveDraft):
            draft.tails = self._tails(draft)

    @override
    def check_batch(self, plan: ModelRequests) -> None:
        raise self._no_put(plan)

    def _tails(self, draft: SaveDraft) -> dict[str, dict[str, Any]]:
        """What each changed list has gained, as a list to append.

        Raises: ValidationError when it was changed in any other way, or there is no version to make the append happen once.
        """
        plan, codec = draft.plan, draft.plan.codec
        tails: dict[str, dict[str, Any]] = {}
        for field in self.fields:
            if field.stored not in draft.changes:
                continue
            name = f"{codec.schema.name}.{field.name}"
            if plan.version is None:
                raise ValidationError(
                    f"{name} is append-only, and without a version a save could append twice: declare version:"
                    f" Attr[int] = version(), or use db.update(obj, {name}.append(x))",
                    field=field.name,
                )
            stored = codec.stored(draft.obj, field.stored)
            if stored is None or "L" not in stored:
                continue  # there was no list: it is set as a whole
            old = draft.before.get(field.stored, {}).get("L", [])
            new = (draft.changes[field.stored] or {}).get("L", [])
            if len(new) <= len(old) or new[: len(old)] != old:
                raise ValidationError(
                    f"{name} is append-only, and was changed elsewhere than at its end: append to it, and leave the rest",
                    field=field.name,
                )
            tails[field.stored] = {"L": new[len(old) :]}
        return tails

    def _no_put(self, plan: ModelRequests) -> ValidationError:
        """The error for a put, which would replace the list with whatever others have appended to it."""
        name = plan.codec.schema.name
        lists = ", ".join(f"{name}.{field.name}" for field in self.fields)
        return ValidationError(f"{lists} is append-only, and a put would replace it: use db.create or db.save")
