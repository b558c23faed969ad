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
from .replies import json_of
from .shapes import ANY, Nullable, Scalar, Shape
from .source import Source


def encode_operand(codec: Any, parts: tuple[Any, ...], value: Any, what: str) -> dict[str, Any] | None:
    """See `Codec.operand`."""
    first, *rest = parts
    name = first.name if isinstance(first, Field) else first
    plan: FieldPlan | None = codec.plans.get(name)
    if plan is None:
        raise ValidationError(f"{codec.schema.name} has no field {name!r}", field=str(name))
    failed: Exception
    try:
        if what == "value" and not rest:
            found: dict[str, Any] | None = codec.careful.function(f"operand {plan.name}")(_lenient(plan.shape, value))
        else:
            found = _part(plan.shape, rest, value, what)
        return sendable(codec, plan.name, found)
    except Exception as error:  # noqa: BLE001 - every failure becomes one typed error, without a value in its chain
        failed = error
    if isinstance(failed, DynamORMError) and not isinstance(failed, ValidationError):
        raise failed
    raise explain(codec.schema.name, plan.name, failed, value)


def sendable(codec: Any, name: str, wire: dict[str, Any] | None) -> dict[str, Any] | None:
    """Hand on a wire value that can be sent. Raises: ValidationError for text that is not Unicode."""
    if json_of(wire) is None:
        raise ValidationError(f"{codec.schema.name}.{name} holds text that is not valid Unicode", field=name)
    return wire


def _part(shape: Shape, rest: list[Any], value: Any, what: str) -> dict[str, Any]:
    if what == "number":
        return {"N": number_text(value)}
    if what == "string" and isinstance(value, (str, bytes, bytearray)) and not isinstance(value, Enum):
        return to_wire(value)
    for part in rest:
        shape = shape.part(part.name if isinstance(part, Field) else part)
    if what == "element":
        shape = shape.element()
    return {"NULL": True} if value is None else _encode(shape, value)


def _lenient(shape: Shape, value: Any) -> Any:
    """A query may name the member of an Enum by its value; a stored field may not."""
    if value is None or not isinstance(shape, Scalar) or shape.lenient is None or isinstance(value, shape.lenient):
        return value
    try:
        return shape.lenient(value)
    except ValueError:
        return value


def _encode(shape: Shape, value: Any) -> dict[str, Any]:
    while isinstance(shape, Nullable):
        shape = shape.inner
    value = _lenient(shape, value)
    if shape is ANY:
        return to_wire(value)
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
