"""Single values: operands of expressions, and the careful functions that explain what does not fit."""

from __future__ import annotations

from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.schema import Field

from .document import to_wire
from .fields import FieldPlan, explain
from .numbers import number_text
from .records import Record
from .replies import json_of
from .shapes import ANY, Nullable, Scalar, Shape
from .source import Source
from .updates import addend_shape, takes_none


def encode_operand(
    codec: Any, parts: tuple[Any, ...], value: Any, what: str, *, exact: bool = False
) -> dict[str, Any] | None:
    """See `Codec.operand`. ``exact`` refuses what a document would give back as something else."""
    first, *rest = parts
    name = first.name if isinstance(first, Field) else first
    plan: FieldPlan | None = codec.plans.get(name)
    if plan is None:
        raise ValidationError(f"{codec.schema.name} has no field {name!r}", field=str(name))
    failed: Exception
    try:
        if what == "value" and not rest and plan.shape is not ANY:
            found: dict[str, Any] | None = codec.careful.function(f"operand {plan.name}")(_lenient(plan.shape, value))
        else:
            found = _part(plan.shape, rest, value, what, exact=exact)
        return sendable(codec, plan.name, found)
    except Exception as error:  # noqa: BLE001 - every failure becomes one typed error, without a value in its chain
        failed = error
    if isinstance(failed, DynamORMError) and not isinstance(failed, ValidationError):
        raise failed
    raise explain(codec.schema.name, plan.name, failed, value)


def encode_addend(codec: Any, parts: tuple[Any, ...], value: Any, what: str) -> dict[str, Any] | None:
    """As `encode_operand`, for a value that an update puts inside an attribute or adds to it."""
    first = parts[0]
    if what == "number":
        shape = addend_shape(codec, parts)
        if shape is None:
            return encode_operand(codec, parts, value, what)
        try:
            return sendable(codec, first.name, _encode(shape, value))
        except Exception as error:  # noqa: BLE001 - as in `encode_operand`
            failed = error
        raise explain(codec.schema.name, first.name, failed, value)
    if value is None and (what == "element" or len(parts) > 1):
        place = (*parts, 0) if what == "element" else parts
        if not takes_none(codec, place):
            raise ValidationError(f"{codec.schema.name}.{first.name} holds no None inside", field=first.name)
    return encode_operand(codec, parts, value, what, exact=True)


def sendable(codec: Any, name: str, wire: dict[str, Any] | None) -> dict[str, Any] | None:
    """Hand on a wire value that can be sent. Raises: ValidationError for text that is not Unicode."""
    if json_of(wire) is None:
        raise ValidationError(f"{codec.schema.name}.{name} holds text that is not valid Unicode", field=name)
    return wire


def _part(shape: Shape, rest: list[Any], value: Any, what: str, *, exact: bool) -> dict[str, Any] | None:
    if what == "number":
        return {"N": number_text(value)}
    if what == "string" and isinstance(value, (str, bytes, bytearray)) and not isinstance(value, Enum):
        return to_wire(value)
    left_out = False
    for part in rest:
        name = part.name if isinstance(part, Field) else part
        shape = _inner(shape)
        plan = shape.plan(name) if isinstance(shape, Record) and isinstance(name, str) else None
        left_out = plan is not None and plan.nullable and not plan.keep_none
        shape = shape.part(name)
    if what == "element":
        shape = shape.element()
    elif value is None and left_out:
        return None
    if value is None and shape.null:
        return {"NULL": True}
    shape = _inner(shape)
    return to_wire(value, 0, exact) if shape is ANY else _encode(shape, value)


def _inner(shape: Shape) -> Shape:
    return shape.inner if isinstance(shape, Nullable) else shape


def _lenient(shape: Shape, value: Any) -> Any:
    """A query may name the member of an Enum by its value; a stored field may not."""
    if value is None or not isinstance(shape, Scalar) or shape.lenient is None or isinstance(value, shape.lenient):
        return value
    try:
        return shape.lenient(value)
    except ValueError:
        return value


def _encode(shape: Shape, value: Any) -> dict[str, Any]:
    value = _lenient(shape, value)
    function = _functions.get(shape)
    if function is None:
        source = Source(careful=True)
        source.define("encode_operand", "v", [f"return {shape.encode(source, 'v')}"])
        source.compile("operand")
        function = source.names["encode_operand"]
        # Shapes live as long as their codec; the weak keys let both go together.
        _functions[shape] = function
    found: dict[str, Any] = function(value)
    return found


_functions: WeakKeyDictionary[Shape, Any] = WeakKeyDictionary()
