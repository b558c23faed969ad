"""What a missing attribute counts as: the wire value of its fixed default, at any place of an item.

An object that is read shows the default of what is not stored. What is computed from the attribute, by DynamoDB or here,
begins from that very value. It must not know verbs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from msgspec import UNSET as U

from dynamorm.models.schema.defaults import constant_of
from dynamorm.models.schema.schema import Field

from .containers import DictShape, ListShape, TupleShape
from .fields import FieldPlan
from .records import Record
from .shapes import Nullable, Shape
from .source import Source


def plan_at(codec: Any, parts: tuple[Any, ...]) -> FieldPlan | None:
    """The plan of the field that a path names; None for an element of a list, an entry of a dict, part of a document."""
    return _followed(codec, parts)[0]


def null_at(codec: Any, parts: tuple[Any, ...]) -> Any:
    """What NULL is read as at a place: an empty list or map as a wire value, None for None; `U` where it is not read."""
    plan, shape = _followed(codec, parts)
    if isinstance(shape, Nullable) or (plan is not None and plan.nullable):
        return None
    if isinstance(shape, (ListShape, TupleShape)):
        return {"L": []}
    if isinstance(shape, DictShape):
        return {"M": {}}
    return None if shape.null or shape.tag in {"", "B"} else U


def _followed(codec: Any, parts: tuple[Any, ...]) -> tuple[FieldPlan | None, Shape]:
    first, *inner_parts = parts
    plan: FieldPlan | None = codec.plans[first.name]
    assert plan is not None
    shape: Shape = plan.shape
    for part in inner_parts:
        name = part.name if isinstance(part, Field) else part
        shape = shape.inner if isinstance(shape, Nullable) else shape
        plan = shape.plan(name) if isinstance(shape, Record) and isinstance(name, str) else None
        shape = shape.part(name)
    return plan, shape


def start_of(plan: FieldPlan | None) -> dict[str, Any] | None:
    """What the field counts as where it is not stored, as a wire value; None when it has no fixed default but nothing.

    Nothing is None, and the empty set, which is stored as NULL. A ``default_factory`` is asked twice: one that makes another value each time has no value to begin from. What a
    plugin encodes cannot be computed with.

    Example: ``start_of(codec.plans["credit"]) == {"N": "100"}``
    """
    if plan is None or plan.hook is not None:
        return None
    factory = plan.field.default_factory
    start: dict[str, Any] | None = plan.absent_wire
    if factory is not None and is_asked(plan):
        start, other = (_encoded(plan, factory()) for _ in range(2))
        start = start if start == other else None
    return None if start is None or "NULL" in start else start


def is_asked(plan: FieldPlan | None) -> bool:
    """Whether only a call of the field's ``default_factory`` tells its default."""
    return plan is not None and plan.field.default_factory is not None and constant_of(plan.field.default_factory) is U


def encoder_of(plan: FieldPlan) -> Callable[[Any], dict[str, Any] | None]:
    """The function that encodes a value of the field, wherever the field is: as `Codec.encode_field` does for a model's own.

    None as its result: the value is left out.
    """
    function = _encoders.get(plan)
    if function is None:
        source = Source(careful=True)
        name = source.bind(f"encode_{plan.name}", object())
        source.define(name, "v", plan.encode_lines(source, "v", "return"))
        source.compile(f"{plan.owner} place {plan.name}")
        function = _encoders[plan] = source.names[name]
    return function


def _encoded(plan: FieldPlan, value: Any) -> dict[str, Any] | None:
    try:
        return encoder_of(plan)(value)
    except Exception:  # noqa: BLE001 - a default is checked when it is written, and explained there
        return None


# Plans live as long as their codec; the weak keys let both go together.
_encoders: Final[WeakKeyDictionary[FieldPlan, Callable[[Any], dict[str, Any] | None]]] = WeakKeyDictionary()
