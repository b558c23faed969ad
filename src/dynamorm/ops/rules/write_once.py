"""Attributes that keep their value: immutable, write-once and protected ones. Used only by models that have one.

What can be known is refused before the wire, everything else by a condition. None is no value: a write-once attribute
that holds it has not been written yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial, reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.library_attributes import sorted_sets
from dynamorm.codec.strict import read_object
from dynamorm.codec.types.document import normal
from dynamorm.errors import ConditionFailed, DynamORMError, ValidationError
from dynamorm.models.expressions.check import PROTECTED
from dynamorm.models.expressions.path import Path, system_path
from dynamorm.models.expressions.tree import Comparison, Condition, Location, Update, Wire
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import Field
from dynamorm.ops.updates.draft import UpdateDraft
from dynamorm.ops.writes.draft import WriteDraft
from dynamorm.ops.writes.save_draft import SaveDraft
from dynamorm.ops.writes.write import Write, explain_refusal
from dynamorm.plugin import WriteRule

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

Wires = Mapping[str, dict[str, Any] | None]
"""By stored name: what a write stores of the attributes that keep their value; None for nothing."""

_FIX: Final = "create a new object instead"


class WriteOnceRule(WriteRule):
    """What keeps its value is refused where it is changed, and is a condition where only the database knows."""

    verbs: tuple[str, ...] = ("put", "save", "update")
    silent_of_sets: bool = (
        True  # says nothing of an update that only sets attributes that keep no value: see `known_sets`
    )

    @override
    def transform(self, draft: WriteDraft) -> None:
        if draft.verb == "put":
            draft.require(check_put(draft.plan, draft.obj, draft.loaded), lasting=True)
            draft.explain.append(partial(explain, wires=wires_of(draft.plan, draft.obj)))

    @override
    def contribute(self, draft: WriteDraft) -> None:
        plan = draft.plan
        if isinstance(draft, SaveDraft):
            first = check_save(plan, draft.obj, draft.changes)
            wires = None if first is None else wires_of(plan, draft.obj)
        elif isinstance(draft, UpdateDraft):
            first = check_update(plan, draft.updates)
            wires = None if first is None else wires_in(plan, draft.updates)
        else:
            return
        if first is not None and wires is not None:
            draft.require(first, lasting=True)
            draft.explain.append(partial(explain, wires=wires))

    @override
    def check_batch(self, plan: ModelRequests) -> None:
        name = plan.codec.schema.name
        fields = ", ".join(f"{name}.{field.name}" for field in plan.kept)
        raise ValidationError(
            f"{fields} keeps its value, and a batch replaces items without looking: use db.create, db.put or a transaction",
            field=plan.kept[0].name,
            code=PROTECTED,
        )


def check_save(plan: ModelRequests, obj: Any, changes: Mapping[str, Any]) -> Condition | None:
    """Refuse a loaded object whose kept attributes were changed; the condition that what it writes once is not there yet.

    Raises: ValidationError naming the field.
    """
    first: list[Condition] = []
    for field in plan.kept:
        if field.stored not in changes:
            continue
        if not _only_once(field) or _is_value(_loaded(plan, obj, field)):
            raise _changed(plan, field)
        first.append(_missing(field))
    # With a version nobody has written it since.
    return reduce(and_, first) if first and plan.version is None else None


def check_put(plan: ModelRequests, obj: Any, loaded: bytes | None) -> Condition:
    """The condition under which an object may replace what is stored: there is nothing, or its kept attributes agree.

    Raises: ValidationError naming the field that a loaded object has changed.
    """
    codec = plan.codec
    if loaded is not None:
        check_save(plan, obj, codec.changes(obj))
    terms: list[Condition] = []
    for field in plan.kept:
        wire = codec.encode_field(field.name, getattr(obj, field.name))
        if loaded is not None:  # as it was read: another program may write the same in another way, or not at all
            loaded_wire = _loaded(plan, obj, field)
            wire = loaded_wire if _is_value(loaded_wire) or not _only_once(field) else wire
        equal = _equal(field, wire)
        terms.append(_missing(field) | equal if _may_lack(plan, field, wire) else equal)
    return Comparison("attribute_not_exists", (), _path(plan.partition)) | reduce(and_, terms)


def check_update(plan: ModelRequests, updates: Iterable[Update]) -> Condition | None:
    """The condition that the write-once attributes of an update have no value yet, or this very one."""
    terms: list[Condition] = []
    for update in updates:
        field = update.path.field
        if update.kind != "set" or not field.write_once:
            continue
        if isinstance(update.value, Location):
            terms.append(_missing(field) | Comparison("=", (update.value,), update.path))
            continue
        wire = plan.update_operand(update.path, update.value, "value")
        if not _is_value(wire):
            raise _changed(plan, field)
        terms.append(_missing(field) | _equal(field, wire))
    return reduce(and_, terms) if terms else None


def explain(write: Write, wires: Wires) -> None:
    """Say of a write that was refused because of a kept attribute which one it was. ``wires``: what it would store."""
    plan = write.plan

    def tell(raw: bytes | None, info: dict[str, Any], earlier: Callable[[], DynamORMError]) -> DynamORMError:
        stored = {} if raw is None else read_object(raw)
        for field in plan.kept if raw is not None else ():
            stored_wire = _stored_in(stored, field)
            if field.stored in wires and _differs(plan, field, stored_wire, wires[field.stored]):
                return ConditionFailed(
                    f"{plan.codec.schema.name}.{field.name} is {_what(field)}, and another value is stored: {_FIX}",
                    code=PROTECTED,
                    old=lambda: plan.codec.decode_shown(raw or b"{}"),
                    **info,
                )
        return earlier()

    explain_refusal(write, tell)


def wires_of(plan: ModelRequests, obj: Any) -> Wires:
    """What an object stores of the attributes that keep their value."""
    return {field.stored: plan.codec.encode_field(field.name, getattr(obj, field.name)) for field in plan.kept}


def wires_in(plan: ModelRequests, updates: Iterable[Update]) -> Wires:
    """What updates store of the attributes that are written once."""
    return {
        update.path.field.stored: plan.update_operand(update.path, update.value, "value")
        for update in updates
        if update.kind == "set" and update.path.field.write_once and not isinstance(update.value, Location)
    }


def _changed(plan: ModelRequests, field: Field) -> ValidationError:
    name = f"{plan.codec.schema.name}.{field.name}"
    fix = _FIX
    if field.protected and not field.immutable and not field.write_once:
        fix = f'use db.update(obj, {name}.set(x), allow=("{field.name}",))'
    return ValidationError(f"{name} is {_what(field)} and was changed: {fix}", field=field.name, code=PROTECTED)


def _what(field: Field) -> str:
    return "immutable" if field.immutable else "written once" if field.write_once else "protected"


def _only_once(field: Field) -> bool:
    """Whether the attribute may be written where it has no value yet, by whoever does not name it."""
    return field.write_once and not field.immutable and not field.protected


def _may_lack(plan: ModelRequests, field: Field, wire: dict[str, Any] | None) -> bool:
    """Whether this value may be stored where there is none: the first of a write-once attribute, and what was read there."""
    if not _is_value(wire):
        return False  # that there is none is the condition itself
    return _only_once(field) or wire == plan.codec.plans[field.name].absent_wire


def _is_value(wire: Mapping[str, Any] | None) -> bool:
    return wire is not None and "NULL" not in wire


def _differs(plan: ModelRequests, field: Field, stored: Any, wire: dict[str, Any] | None) -> bool:
    if not _is_value(stored):
        return _is_value(wire) and not _may_lack(plan, field, wire)
    return wire is None or sorted_sets(normal(stored)) != sorted_sets(normal(wire))


def _path(field: Field) -> Any:
    return Path(field)


def _missing(field: Field) -> Condition:
    others = [Comparison("attribute_not_exists", (), system_path(name)) for name in field.also_read]
    return reduce(and_, others, Comparison("null", (), _path(field)))


def _equal(field: Field, wire: dict[str, Any] | None) -> Condition:
    """That this value is stored, under the field's own name or, where that is not there, under another one."""
    if wire is None or not _is_value(wire):
        return _missing(field)
    equal: Condition = Comparison("=", (Wire(wire),), _path(field))
    for name in field.also_read:
        older = Comparison("=", (Wire(wire),), system_path(name))
        equal |= Comparison("attribute_not_exists", (), _path(field)) & older
    return equal


def _loaded(plan: ModelRequests, obj: Any, field: Field) -> dict[str, Any] | None:
    """What is stored of a field of a loaded object, under whichever of its names."""
    wires = (plan.codec.stored(obj, name) for name in (field.stored, *field.also_read))
    return next((wire for wire in wires if wire is not None), None)


def _stored_in(item: Mapping[str, Any], field: Field) -> Any:
    """The wire value of a field in an item, under whichever of its names; None when it is not there."""
    return next((item[name] for name in (field.stored, *field.also_read) if name in item), None)
