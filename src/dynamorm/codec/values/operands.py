"""Single values: operands of expressions, and the careful functions that explain what does not fit."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final
from weakref import WeakKeyDictionary

from dynamorm.codec.placing import UNPLACED, refuse_operand
from dynamorm.codec.strict import json_of
from dynamorm.codec.types.document import to_wire
from dynamorm.codec.types.fields import FieldPlan, explain
from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.numbers import number_text
from dynamorm.codec.types.records import Record
from dynamorm.codec.types.shapes import ANY, Nullable, Scalar, Shape
from dynamorm.codec.types.source import Source
from dynamorm.errors import DynamORMError, ModelError, ValidationError
from dynamorm.models.expressions.tree import Location, Node
from dynamorm.models.schema.schema import Field

from .updates import addend_shape, check_inside, refusal, shape_at, takes_none


def encode_operand(
    codec: Any, parts: tuple[Any, ...], value: Any, what: str, *, exact: bool = False
) -> dict[str, Any] | None:
    """See `Codec.operand`. ``exact`` refuses what a document would give back as something else."""
    first, *rest = parts
    name = first.name if isinstance(first, Field) else first
    plan: FieldPlan | None = codec.plans.get(name)
    if what == "other" and (plan is None or not (plan.placed or plan.unstored)):
        return None
    if plan is None:
        raise ValidationError(f"{codec.schema.name} has no field {name!r}", field=str(name))
    if plan.unstored is not None:
        raise ModelError(f"{codec.schema.name}.{plan.name} is never stored, so that no expression can name it")
    if plan.placed:
        return _of_placed(codec, plan, value, what)
    if what == "inside":
        check_inside(codec, parts)
        return None
    if what in _CHECKED:
        if plan.hook is None:
            _CHECKED[what](codec, parts, value)
        if what == "size":
            if value is None:
                return {"NULL": True} if shape_at(codec, parts).vanishes else None
            what = "number"
        elif what == "order":
            what = "value"
        if isinstance(value, Location):
            return None
    failed: Exception
    try:
        if what == "value" and not rest and plan.shape is not ANY:
            found: dict[str, Any] | None = codec.careful.function(f"operand {plan.name}")(lenient(plan.shape, value))
        else:
            found = _part(plan.shape, rest, value, what, exact=exact)
        return sendable(codec, plan.name, found)
    except Exception as error:  # noqa: BLE001 - every failure becomes one typed error, without a value in its chain
        failed = error
    if isinstance(failed, DynamORMError) and not isinstance(failed, ValidationError):
        raise failed
    raise explain(codec.schema.name, plan.name, failed, value)


def _of_placed(codec: Any, plan: FieldPlan, value: Any, what: str) -> dict[str, Any] | None:
    """The operand of a field whose stored form depends on its item: its plugin says what can be compared with it.

    Raises: ModelError, and what the plugin raises.
    """
    if what == "string" and not plan.shape.null:  # the type of what is None, which is stored as it is
        return to_wire(value)
    if isinstance(value, Location) or (encode := plan.hook.operand(what)) is None or what in _OF_STORED:
        raise refuse_operand(codec, plan, what)
    wire = codec.careful.function(f"operand {plan.name}")(lenient(plan.shape, value))
    found: dict[str, Any] = encode(wire[UNPLACED].wire, codec.scope)
    return found


def _check_size(codec: Any, parts: tuple[Any, ...], value: Any) -> None:
    """Refuse the size of what has none, and a comparison of one with an attribute that is no number."""
    shape = shape_at(codec, parts)
    if shape.tag in {"N", "BOOL"}:
        raise refusal(codec, parts, f"is {shape.expected}, which has no size")
    if isinstance(value, Location) and shape_at(codec, value.parts).tag not in {"N", ""}:
        raise refusal(codec, parts, f"has a size, which is compared with a number, and {value.name} is none")


def _check_order(codec: Any, parts: tuple[Any, ...], value: Any) -> None:
    """Refuse an order of what has none; ``value`` may be the other attribute."""
    shape = shape_at(codec, parts)
    if shape.remedy:
        raise refusal(codec, parts, f"is {shape.expected}, which DynamoDB cannot order: {shape.remedy}")
    known = shape.tag or _tag_of(shape, value)
    if known and known not in _ORDERED:
        raise refusal(codec, parts, f"is {shape.expected}, which has no order: use == or !=")
    if not isinstance(value, Location):
        return
    other = shape_at(codec, value.parts)
    if repr(shape.form) != repr(other.form):
        raise refusal(codec, parts, f"cannot be ordered by {value.name}, whose times are stored in another form")
    if other.tag and (other.tag not in _ORDERED or (shape.tag and shape.tag != other.tag)):
        raise refusal(codec, parts, f"cannot be ordered by {value.name}, which is {other.expected}")


def _tag_of(shape: Shape, value: Any) -> str:
    """The wire type of a value that is compared with an attribute of no known type."""
    if isinstance(value, Node) or shape is not ANY:
        return ""
    try:
        return next(iter(to_wire(value)))
    except Mismatch:
        return ""  # refused below, in its own words


def _check_prefix(codec: Any, parts: tuple[Any, ...], value: Any) -> None:
    """Refuse a prefix of what has none, and one of another type."""
    shape = shape_at(codec, parts)
    if not shape.tag:
        return
    if shape.tag not in {"S", "B"}:
        raise refusal(codec, parts, f"is {shape.expected}, which has no prefix: begins_with() is for texts and bytes")
    if isinstance(value, str) != (shape.tag == "S"):
        kind = "text, so its prefix is a str" if shape.tag == "S" else "bytes, so their prefix is too"
        raise refusal(codec, parts, f"is stored as {kind}")


_ORDERED: Final = frozenset({"S", "N", "B"})
_OF_STORED: Final = frozenset({"size", "string", "type", "inside"})
"""What is asked of the stored form, which tells nothing of the value."""
_CHECKED: Final[dict[str, Any]] = {"size": _check_size, "order": _check_order, "prefix": _check_prefix}


def encode_addend(codec: Any, parts: tuple[Any, ...], value: Any, what: str) -> dict[str, Any] | None:
    """As `encode_operand`, for a value that an update puts inside an attribute or adds to it."""
    first = parts[0]
    if what == "inside":
        return encode_operand(codec, parts, value, what)
    if what == "number":
        shape = addend_shape(codec, parts)
        if shape is None:
            return encode_operand(codec, parts, value, what)
        try:
            return sendable(codec, first.name, encode_shape(shape, value))
        except Exception as error:  # noqa: BLE001 - as in `encode_operand`
            failed = error
        raise explain(codec.schema.name, first.name, failed, value)
    if what == "members":
        what = "value"
    elif what == "value" and len(parts) > 1 and value is not None:
        plan = plan_at(codec, parts)
        if plan is not None and plan.constrained:
            return _checked(codec, plan, value)
    if value is None and (what == "element" or len(parts) > 1):
        place = (*parts, 0) if what == "element" else parts
        if not takes_none(codec, place):
            raise ValidationError(f"{codec.schema.name}.{first.name} holds no None inside", field=first.name)
    return encode_operand(codec, parts, value, what, exact=True)


def plan_at(codec: Any, parts: tuple[Any, ...]) -> FieldPlan | None:
    """The field that a place is; None for an element of a list or an entry of a map, which is none."""
    first, *rest = parts
    plan: FieldPlan | None = codec.plans.get(first.name if isinstance(first, Field) else first)
    shape: Shape | None = None if plan is None else plan.shape
    for part in rest:
        name = part.name if isinstance(part, Field) else part
        if isinstance(shape, Nullable):
            shape = shape.inner
        assert shape is not None  # a path begins with a field
        plan = shape.plan(name) if isinstance(shape, Record) and isinstance(name, str) else None
        try:
            shape = shape.part(name)
        except ValidationError:  # there is no such place, which is said where the value is encoded
            return None
    return plan


def _checked(codec: Any, plan: FieldPlan, value: Any) -> dict[str, Any] | None:
    """The wire value of a field inside an attribute, its constraints checked."""
    failed: Exception
    try:
        return sendable(codec, plan.name, codec.careful.inside(plan)(value))
    except Exception as error:  # noqa: BLE001 - as in `encode_operand`
        failed = error
    if isinstance(failed, DynamORMError) and not isinstance(failed, ValidationError):
        raise failed
    raise explain(plan.owner, plan.name, failed, value)


def sendable(codec: Any, name: str, wire: dict[str, Any] | None) -> dict[str, Any] | None:
    """Hand on a wire value that can be sent. Raises: ValidationError for text that is not Unicode."""
    if wire is not None and UNPLACED in wire:
        return wire
    if json_of(wire) is None:
        raise ValidationError(f"{codec.schema.name}.{name} holds text that is not valid Unicode", field=name)
    return wire


def _part(shape: Shape, rest: list[Any], value: Any, what: str, *, exact: bool) -> dict[str, Any] | None:
    if what == "number":
        return {"N": number_text(value)}
    if (
        what in {"string", "prefix", "type"}
        and isinstance(value, (str, bytes, bytearray))
        and not isinstance(value, Enum)
    ):
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
    return to_wire(value, 0, exact) if shape is ANY else encode_shape(shape, value)


def _inner(shape: Shape) -> Shape:
    return shape.inner if isinstance(shape, Nullable) else shape


def lenient(shape: Shape, value: Any) -> Any:
    """A query may name the member of an Enum by its value; a stored field may not."""
    if value is None or not isinstance(shape, Scalar) or shape.lenient is None or isinstance(value, shape.lenient):
        return value
    try:
        return shape.lenient(value)
    except ValueError:
        return value


def encode_shape(shape: Shape, value: Any) -> dict[str, Any]:
    """The wire value of a value of a shape. Raises: Mismatch."""
    value = lenient(shape, value)
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
