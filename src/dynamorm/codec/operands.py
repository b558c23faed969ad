"""Single values: operands of expressions, and the careful functions that explain what does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

from msgspec import UNSET as U
from msgspec import ValidationError as ShapeError
from msgspec import convert

from ..errors import DynamORMError, ValidationError
from ..schema import Field
from .document import normal, to_wire
from .fields import FieldPlan, explain
from .mismatch import Mismatch
from .numbers import number_text
from .shapes import ANY, Nullable, Scalar, Shape
from .source import Source


def compile_careful(title: str, plans: Iterable[FieldPlan]) -> dict[str, Any]:
    """``encode <name>`` and ``decode <name>`` for every field, from the code of the hot path with careful functions."""
    source = Source(careful=True)
    names = {}
    for plan in plans:
        encode = names[f"encode {plan.name}"] = source.bind(f"encode_{plan.name}", object())
        source.define(encode, "v", plan.encode_lines(source, "v", "return {x}"))
        decode = names[f"decode {plan.name}"] = source.bind(f"decode_{plan.name}", object())
        source.define(decode, "x", [f"return {plan.decode_text(source, 'x')}"])
    source.compile(f"{title} (careful)")
    return {which: source.names[name] for which, name in names.items()}


def typed(plan: FieldPlan, wire: dict[str, Any]) -> Any:
    """The stored attribute as the msgspec struct that decoding works on."""
    return normal(wire) if plan.hook is not None else convert(normal(wire), plan.wire())


def misread(owner: str, plan: FieldPlan, wire: Any, error: Exception) -> str:
    """What to say of a stored attribute that does not fit: the wire types, never the value."""
    where = f"{owner}.{plan.name}"
    found = next(iter(wire)) if isinstance(wire, dict) and len(wire) == 1 else "no attribute value"
    shape = plan.shape
    expected = shape.tag or shape.expected
    if isinstance(error, ShapeError) and found not in (shape.tag, *(["NULL"] if shape.null else ())) and shape.tag:
        return f"{where}: the stored item has {found} where {expected} is expected"
    if isinstance(error, Mismatch):
        return f"{where}: the stored {found} {error.text}"
    return f"{where}: the stored {found} does not fit {shape.expected}"


def encode_operand(codec: Any, parts: tuple[Any, ...], value: Any, what: str) -> dict[str, Any]:
    """See `Codec.encode_operand`."""
    first, *rest = parts
    name = first.name if isinstance(first, Field) else first
    plan: FieldPlan | None = codec.plans.get(name)
    if plan is None:
        raise ValidationError(f"{codec.schema.name} has no field {name!r}", field=str(name))
    failed: Exception
    try:
        return _operand(plan, rest, value, what)
    except (Mismatch, ValidationError, TypeError, ValueError, AttributeError) as error:
        failed = error
    if isinstance(failed, DynamORMError) and not isinstance(failed, ValidationError):
        raise failed
    raise explain(codec.schema.name, plan.name, failed, value)


def _operand(plan: FieldPlan, rest: list[Any], value: Any, what: str) -> dict[str, Any]:
    if what == "number":
        return {"N": number_text(value)}
    if what == "string" and isinstance(value, (str, bytes, bytearray)) and not isinstance(value, Enum):
        return to_wire(value)
    shape: Shape = plan.shape
    for part in rest:
        shape = shape.part(part.name if isinstance(part, Field) else part)
    if what == "element":
        shape = shape.element()
    if value is None:
        return {"NULL": True}
    found = _encode(shape, value)
    return plan.hook[0](found) if plan.hook is not None and not rest else found


def _encode(shape: Shape, value: Any) -> dict[str, Any]:
    while isinstance(shape, Nullable):
        shape = shape.inner
    if isinstance(shape, Scalar) and shape.lenient is not None and not isinstance(value, shape.lenient):
        # A query may name an Enum's value as text; a stored field may not.
        try:
            value = shape.lenient(value)
        except ValueError:
            raise Mismatch(shape.expected, value) from None
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


def _weak() -> Any:
    from weakref import WeakKeyDictionary

    return WeakKeyDictionary()


_functions: Any = _weak()

__all__ = ["U", "compile_careful", "encode_operand", "misread", "typed"]
