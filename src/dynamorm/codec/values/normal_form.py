"""The normal form of values: what the validators of a field make of them, wherever such a value is named.

A validator may change a value, so what a condition compares with, and what an object holds once it is stored, is changed
in the same way. One that refuses has no say in a condition, which may ask for what may not be stored. Only models with
validators need this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET as U

from dynamorm.codec.placing import place_of
from dynamorm.codec.strict import read_object
from dynamorm.codec.types.fields import FieldPlan, has_field
from dynamorm.codec.types.records import Record
from dynamorm.models.expressions.tree import Node

from .operands import encode_operand, lenient, plan_at

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec


def changing(record: Record) -> tuple[FieldPlan, ...]:
    """The fields whose value a validator may change, in whole or somewhere inside."""
    return tuple(plan for plan in record.plans if has_validators(plan) or has_field(plan.shape, has_validators))


def has_validators(plan: FieldPlan) -> bool:
    """Whether a field has any."""
    return bool(plan.field.validators)


def normal_operand(codec: ModelCodec, parts: tuple[Any, ...], value: Any, what: str = "value") -> dict[str, Any] | None:
    """As `dynamorm.codec.values.operands.encode_operand`, of the value in its normal form."""
    return encode_operand(codec, parts, in_normal_form(codec, parts, value, what), what)


def in_normal_form(codec: Any, parts: tuple[Any, ...], value: Any, what: str) -> Any:
    """The value, the element or the members (see `dynamorm.models.expressions.compile.Encode`) as it would be stored."""
    if value is None or isinstance(value, Node) or what not in _KINDS:
        return value
    plan = plan_at(codec, parts)
    if plan is None or not plan.field.validators:
        return value
    if what != "element":
        return _validated(plan, lenient(plan.shape, value))
    if plan.shape.tag not in _COLLECTIONS:  # a part of a text is not one
        return value
    kind = (plan.shape.classes or (list,))[0]
    try:
        found = _validated(plan, kind((value,)))
        (one,) = found
    except (TypeError, ValueError):  # it has no place there, or the validator makes something else of the whole
        return value
    return one


_KINDS = frozenset({"value", "order", "members", "element"})
_COLLECTIONS = frozenset({"L", "SS", "NS", "BS"})


def _validated(plan: FieldPlan, value: Any) -> Any:
    found = value
    for validator in plan.field.validators:
        try:
            found = validator(found)
        except Exception:  # noqa: BLE001 - it refuses, or the value is of a wrong type, which is said where it is encoded
            return value
    return value if found is None else found


def settle(codec: ModelCodec, obj: Any, item: bytes) -> None:
    """Let an object hold its values as they are stored in ``item``."""
    wire = read_object(item)
    names: list[str] = []
    values: dict[str, Any] = {}
    for plan in codec.changing:
        stored = plan.stored_in(wire)
        if stored is not U:
            value = codec.careful.decode_field(plan.name, stored, place_of(codec, item, wire) if plan.placed else None)
        elif plan.field.default_factory is None and (make := plan.missing()) is not None:
            value = make()
        else:
            continue
        if value != getattr(obj, plan.name):
            values[plan.name] = value
            names.append(plan.stored)
    if values:
        codec.give(obj, values)
    if names and codec.nests:
        codec.inner.gather_again(obj, wire, names)
