"""check: a condition on an item that a transaction does not write. It must not know how transactions are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ValidationError
from dynamorm.models.expressions.path import Condition
from dynamorm.ops.requests import check_values, finish
from dynamorm.ops.writes.draft import WriteDraft, addressed
from dynamorm.ops.writes.write import Write

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def check_write(
    context: Context, subject: Any, args: tuple[Any, ...], parts: dict[str, Any], *, condition: Condition | None
) -> Write:
    """The part of a transaction that checks one item.

    The condition is the last of ``args`` or ``condition``. Of a loaded object with a version the version is checked
    as well; by key and without a condition it is checked that the item exists.
    """
    if args and isinstance(args[-1], Condition):
        if condition is not None:
            raise ValidationError("check was given two conditions: join them with &", field="condition")
        condition, args = args[-1], args[:-1]
    draft = addressed(
        WriteDraft, context, "check", "ConditionCheck", subject, args, parts,
        takes="an object, or a model and a key, and a condition",
    )  # fmt: skip
    plan, name = draft.plan, draft.plan.codec.schema.name
    draft.condition = condition
    draft.passed()  # which raises where a rule puts a write in its place
    expects = ""
    if draft.loaded is not None and plan.version is not None:
        draft.check_version()
        expects = "version"
    elif condition is None and draft.obj is None:
        draft.terms.append(f"attribute_exists({draft.places.name(plan.partition.stored)})")
        expects = "exists"
    elif condition is None:
        why = f"{name} has no version" if plan.version is None else f"this {name} was not loaded"
        raise ValidationError(f"check has nothing to compare with, for {why}: give it a condition", field="condition")
    draft.contributed()
    said = draft.said()
    body = finish(plan.key_head, draft.key, said)
    check_values(body, said)
    return draft.write(body, _nothing, settled=True, expects=expects)


def _nothing(_: bytes | None) -> None:
    """A check changes nothing, so nothing is to be brought up to date."""
