"""The values that fields have after an update, for what depends on several of them: they are all known, or the update is refused.

Of a loaded object they are computed from what it was loaded with, and the write happens only while that is stored; by key they are
known of the key, and of what the update sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any

from dynamorm.codec.strict import read_object
from dynamorm.errors import DynamORMError, ValidationError, VersionConflict
from dynamorm.models.expressions.path import system_path
from dynamorm.models.expressions.tree import Comparison, Condition, Node, Update, Wire

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan
    from dynamorm.ops.updates.draft import UpdateDraft
    from dynamorm.ops.writes.draft import WriteDraft

Wires = dict[str, dict[str, Any] | None]


def values_after(draft: UpdateDraft, names: Sequence[str], what: str) -> dict[str, Any] | None:
    """The values of these fields after an update, by name; None where it changes none of them.

    ``what`` is what depends on them, in words. Raises: ValidationError where they are not all known.
    """
    plans = [draft.plan.codec.plans[name] for name in names]
    changes: dict[str, list[Update]] = {plan.stored: [] for plan in plans}
    for update in (*draft.updates, *draft.more):
        if (several := changes.get(update.path.field.stored)) is not None:
            several.append(update)
    if not any(changes.values()):
        return None
    left_open = [plan.name for plan in plans if not _is_set(changes[plan.stored])]
    if not left_open:
        return {plan.name: _given(draft, plan, changes[plan.stored][0]) for plan in plans}
    changed = [plan.name for plan in plans if changes[plan.stored]]
    if draft.loaded is None or draft.whole is not None:
        return _of_key(draft, plans, changes, changed, left_open, what)
    for plan in plans:
        if plan.hook is not None and not _is_set(changes[plan.stored]):
            raise _refused(draft, changed, [plan.name], what, "is stored in a form of its own")
    wires = draft.after(*names)
    relied: Wires = {}
    before = read_object(draft.loaded)
    for plan in plans:
        if not _is_set(changes[plan.stored]):
            relied[plan.stored] = before.get(plan.stored)
    rely(draft, relied)
    return {
        plan.name: _given(draft, plan, changes[plan.stored][0])
        if _is_set(changes[plan.stored])
        else decoded(draft, plan, wires[plan.stored])
        for plan in plans
    }


def rely(draft: WriteDraft, relied: Mapping[str, dict[str, Any] | None]) -> None:
    """Let the write happen only while these attributes are stored so, where no version says it."""
    if draft.plan.version is not None or not relied:
        return
    terms: list[Condition] = [
        Comparison("attribute_not_exists", (), system_path(name))
        if wire is None
        else Comparison("=", (Wire(wire),), system_path(name))
        for name, wire in relied.items()
    ]
    draft.require(reduce(and_, terms))
    codec = draft.plan.codec

    def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
        stored = None if raw is None else read_object(raw)
        if stored is not None and any(stored.get(name) != wire for name, wire in relied.items()):
            return VersionConflict(
                f"the {codec.schema.name} was changed since it was loaded, in what this write relies on; load it again",
                old=lambda: codec.decode_shown(raw or b"{}"),
                **info,
            )
        return earlier()

    draft.say_why(tell)


def _of_key(
    draft: UpdateDraft,
    plans: list[FieldPlan],
    changes: dict[str, list[Update]],
    changed: list[str],
    left_open: list[str],
    what: str,
) -> dict[str, Any]:
    """As `values_after`, of what is known by the key alone."""
    from dynamorm.ops.rules.composite_keys import known_of  # only here: a rule of its own room

    known = known_of(draft.plan, draft.key, None, draft.obj, draft.key_parts).item
    unknown = [name for name in left_open if draft.plan.codec.plans[name].stored not in known]
    touched = next((name for name in unknown if name in changed), None)
    if touched is not None:
        raise _refused(draft, changed, unknown, what, "is left to the database, or changed in a part")
    if unknown:
        raise _refused(draft, changed, unknown, what, "is not known here")
    return {
        plan.name: _given(draft, plan, changes[plan.stored][0])
        if _is_set(changes[plan.stored])
        else decoded(draft, plan, known[plan.stored])
        for plan in plans
    }


def _is_set(updates: list[Update]) -> bool:
    """Whether a field gets one value as a whole, which is known."""
    if len(updates) != 1 or len(updates[0].path.parts) != 1:
        return False
    update = updates[0]
    if update.kind == "remove":
        return True
    return update.kind == "set" and (isinstance(update.value, Wire) or not isinstance(update.value, Node))


def _given(draft: UpdateDraft, plan: FieldPlan, update: Update) -> Any:
    """The value that an update gives a field, as it is stored."""
    if update.kind == "remove":
        return decoded(draft, plan, None)
    value = update.value
    if plan.hook is not None:
        return None if isinstance(value, Wire) else value
    wire = value.value if isinstance(value, Wire) else draft.plan.update_operand(update.path, value, "value")
    return decoded(draft, plan, wire)


def decoded(draft: WriteDraft, plan: FieldPlan, wire: dict[str, Any] | None) -> Any:
    """The value of a stored form of a field, or of the field where it is not stored."""
    if wire is not None:
        return draft.plan.codec.decode_field(plan.name, wire)
    make = plan.missing()
    return None if make is None else make()


def _refused(draft: UpdateDraft, changed: list[str], unknown: list[str], what: str, why: str) -> ValidationError:
    fix = "load the object, change it and save it"
    if draft.loaded is None and draft.whole is None:
        fix = "load the object and update that"
    names = " and ".join(unknown)
    return ValidationError(
        f"{draft.plan.codec.schema.name}: {what}; this update changes {' and '.join(changed)}, and {names} {why}: {fix}, or give"
        f" {names} a value there, too, by .set(...)",
        field=unknown[0],
    )
