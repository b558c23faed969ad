"""What an update may compute of other attributes, and what that comes to. It must not know verbs.

DynamoDB computes with what is stored. So each attribute that is named must be stored as its type says: no plugin's form, no name
that another program has given it; and what comes out must be readable where it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any, Final, Protocol

from dynamorm.codec.placing import refuse_operand
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.numbers import decimal_text
from dynamorm.codec.types.scalars import SCALARS
from dynamorm.codec.types.shapes import ANY, CustomShape, Shape
from dynamorm.codec.types.starts import plan_at
from dynamorm.errors import ModelError
from dynamorm.models.expressions.tree import Computed, Location, Update
from dynamorm.models.schema.schema import Field

from .document_paths import at_path
from .updates import check_update, is_readable_as, refusal, shape_at

_EXACT: Final = Context(prec=400)
_TAKES: Final[dict[Shape, tuple[Shape, ...]]] = {
    SCALARS[int]: (SCALARS[int],),
    SCALARS[Decimal]: (SCALARS[int], SCALARS[Decimal]),
    SCALARS[float]: (SCALARS[int], SCALARS[Decimal], SCALARS[float]),
}
"""The types of numbers that can be computed for an attribute of a type, and read as it."""


class _Encode(Protocol):
    def __call__(self, path: Location, value: Any, what: str, /) -> dict[str, Any] | None: ...


def check_computed(codec: Any, update: Update) -> None:
    """Refuse what cannot be computed by DynamoDB, or not be read where it is stored.

    Raises: ValidationError naming the field; ModelError for one that a plugin keeps.
    """
    parts, value = update.path.parts, update.value
    check_update(codec, "compute", parts, None)
    target, shape = plan_at(codec, parts), shape_at(codec, parts)
    _check_stored_form(codec, parts, parts, target, shape)
    if target is not None and target.constrained:
        raise refusal(
            codec,
            parts,
            f"has bounds or validators, which cannot be checked of what DynamoDB computes ({value.shown}): load the object, and"
            " set it",
        )
    for source in value.sources:
        if any(isinstance(part, Field) and part.also_read for part in source.parts):
            raise refusal(
                codec, parts, f"cannot be computed of {source.name}, which is read under several names: load the object"
            )
        source_plan, other = plan_at(codec, source.parts), shape_at(codec, source.parts)
        if source_plan is not None and source_plan.unstored is not None:
            raise ModelError(f"{codec.schema.name}.{source.name} is never stored, so that nothing is computed of it")
        _check_stored_form(codec, parts, source.parts, source_plan, other)
        if not _fits(shape, other, value.op):
            raise refusal(codec, parts, f"cannot be computed of {source.name}: {_wanted(shape, value.op)}")


def _check_stored_form(
    codec: Any, parts: tuple[Any, ...], place: tuple[Any, ...], plan: FieldPlan | None, shape: Shape
) -> None:
    """Refuse an attribute that is not stored as its type says."""
    root: FieldPlan = codec.plans[place[0].name]
    if root.placed:
        raise refuse_operand(codec, root, "compute")
    if root.hook is not None or (plan is not None and plan.hook is not None) or isinstance(shape, CustomShape):
        name = place[0].name if len(place) == 1 else f"a part of {place[0].name}"
        raise refusal(
            codec,
            parts,
            f"cannot be computed: {name} is stored by a plugin or a Codec, in a form that DynamoDB cannot compute with",
        )


def _fits(shape: Shape, other: Shape, op: str) -> bool:
    if op == "list_append":
        return other.tag == "L" and is_readable_as(shape, other)
    if other not in (SCALARS[int], SCALARS[Decimal], SCALARS[float]):
        return False
    return shape is ANY or other in _TAKES.get(shape, ())


def _wanted(shape: Shape, op: str) -> str:
    if op == "list_append":
        return "a list is joined of lists of its own type"
    if shape in _TAKES:
        names = " or ".join(one.expected for one in _TAKES[shape])
        return f"it is {shape.expected}, which takes numbers that are {names}"
    return "numbers are computed for an int, a Decimal or a float"


def outcome(computed: Computed, item: Mapping[str, Any], path: Location, encode: _Encode) -> dict[str, Any] | None:
    """What is computed from a stored item, as a wire value; None where DynamoDB refuses it.

    Raises: Mismatch for a number that DynamoDB does not take.
    """
    tag = "L" if computed.op == "list_append" else "N"
    payloads: list[Any] = []
    for operand, start in zip(computed.operands, computed.starts, strict=True):
        if isinstance(operand, Location):
            wire = at_path({"M": item}, operand.stored)
            wire = (start.value if start is not None else None) if wire is None else wire
            if wire is None or tag not in wire:
                return None
            payloads.append(wire[tag])
        elif tag == "L":
            payloads.append([encode(path, one, "element") for one in operand])
        else:
            payloads.append((encode(path, operand, "number") or {})["N"])
    left, right = payloads
    if tag == "L":
        return {"L": [*left, *right]}
    compute = _EXACT.add if computed.op == "+" else _EXACT.subtract
    return {"N": decimal_text(compute(Decimal(left), Decimal(right)))}
