"""The terms of a request: AND is split into its terms, two on one attribute are joined, and their fields are listed.

It must not know which table or index is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from dynamorm.codec.codec import ModelCodec
from dynamorm.codec.library_attributes import GUARD_PREFIX, bytes_wire, is_above, text_wire
from dynamorm.models.expressions.compile import check_paths
from dynamorm.models.expressions.path import Path, system_path
from dynamorm.models.expressions.tree import Comparison, Condition, Node, Wire, paths, refuse, terms
from dynamorm.models.schema.schema import SCHEMAS, Schema, tags_of, with_subclasses
from dynamorm.ops.requests import ModelRequests

RANGES: Final = frozenset({"<", "<=", ">", ">=", "BETWEEN", "begins_with"})
"""The operators that a sort key takes besides ``=``."""
PRESENT: Final = frozenset({"attribute_exists", "not null"})
"""The operators that say no more of an attribute than that it is there."""
MAX_IN: Final = 100
"""Operands of IN. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""


def flat(schema: Schema, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The terms that must all be true, whether they were given apart or joined with &."""
    flattened: list[Condition] = []
    for condition in conditions:
        operands = terms(condition)
        check_paths(schema, condition)
        flattened += operands if len(operands) == 1 else _flattened(operands)
    return tuple(flattened)


def _flattened(operands: tuple[Condition, ...]) -> list[Condition]:
    flattened: list[Condition] = []
    for operand in operands:
        flattened += _flattened(operand.operands) if operand.op == "AND" else [operand]
    return flattened


def joined(first: Comparison, second: Comparison) -> Comparison | None:
    """Two terms on one attribute as one, where that says the same: ``>=`` with ``<=``, or the same term twice."""
    if first.op == second.op:
        # An operand may be of any class; only what is surely the same is one term.
        same = all(
            left.__class__ is right.__class__ and left == right
            for left, right in zip(first.operands, second.operands, strict=True)
        )
        return first if same else None
    if (first.op, second.op) == (">=", "<="):
        return Comparison("BETWEEN", (first.operands[0], second.operands[0]), first.path)
    if (first.op, second.op) == ("<=", ">="):
        return Comparison("BETWEEN", (second.operands[0], first.operands[0]), first.path)
    return None


def named_in(conditions: Iterable[Condition], fields: Iterable[str]) -> set[str]:
    """Which of the fields the conditions name."""
    wanted = set(fields)
    return {path.field.name for condition in conditions for path in paths(condition)} & wanted


def outside(conditions: Iterable[Condition], holds: frozenset[str]) -> set[str]:
    """The fields that the conditions name and an index does not hold."""
    return {path.field.name for condition in conditions for path in paths(condition) if path.field.owner} - holds


def always_stored(plan: ModelRequests, name: str) -> bool:
    """Whether every item has the attribute, as far as the model and its subclasses tell.

    The library's own have no value only until the first write. An empty text is left out of an index's key, so a field
    that is empty by default may be missing.
    """
    codec = plan.codec
    return all(_stores(class_codec, name) for class_codec in ((codec,) if codec.family is None else _codecs_of(codec)))


def _stores(codec: ModelCodec, name: str) -> bool:
    computed = codec.composites.get(name)
    if computed is not None:
        return not computed.tests and all(_stores(codec, source) for source, _ in computed.sources)
    field_plan = codec.plans[name]
    field = field_plan.field
    if field.role in {"version", "created_at", "updated_at"}:
        return True
    empty = (isinstance(field.default, (str, bytes)) and not field.default) or field.default_factory in {str, bytes}
    return not (field_plan.nullable or field.omit_empty or empty)


def check_bounds(plan: ModelRequests, conditions: Iterable[Condition]) -> None:
    """Refuse a BETWEEN whose bounds are the wrong way round: DynamoDB does, with their values in its message."""
    for condition in conditions:
        if not isinstance(condition, Comparison):
            check_bounds(plan, condition.operands)
        elif condition.op == "BETWEEN" and not any(isinstance(value, Node) for value in condition.operands):
            low, high = (plan.operand(condition.path, value, "value") for value in condition.operands)
            if low is not None and high is not None and is_above(low, high):
                raise refuse(condition.path, "between takes the lower bound first")


def check_prefix(plan: ModelRequests, term: Comparison) -> None:
    """Refuse a prefix that is not of the key attribute's type; of an item's other attributes it is just false."""
    if term.op == "begins_with" and not isinstance(term.operands[0], Node):
        tag = plan.key_type(term.path.field.name)
        if tag != ("S" if isinstance(term.operands[0], str) else "B"):
            kind = {"S": "a text takes a text", "B": "bytes take bytes"}.get(tag, "a number has none")
            raise refuse(term.path, f"begins_with() takes a prefix of the key's own type: {kind}")


def without_guards(plan: ModelRequests) -> tuple[Condition, ...]:
    """The filter of a scan that leaves out the guards of unique attributes, which are stored in the same table."""
    if not plan.guarded:
        return ()
    return (_no_guards(plan),)


def sibling_filter(schema: Schema) -> Condition | None:
    """The filter that keeps the siblings of a class out; None for the root of a family."""
    tags = tags_of(schema)
    if not tags:
        return None
    path = system_path(schema.discriminator or "")
    wires = [Wire(text_wire(tag)) for tag in tags]
    if len(wires) == 1:
        return Comparison("=", (wires[0],), path)
    parts = [Comparison("IN", tuple(wires[start : start + MAX_IN]), path) for start in range(0, len(wires), MAX_IN)]
    return parts[0] if len(parts) == 1 else Condition("OR", tuple(parts))


def _no_guards(plan: ModelRequests) -> Condition:
    """What is true of every item that is no guard: a scan meets both."""
    wire = bytes_wire(GUARD_PREFIX.encode()) if plan.key_type(plan.partition.name) == "B" else text_wire(GUARD_PREFIX)
    return ~Comparison("begins_with", (Wire(wire),), Path(plan.partition))


def _codecs_of(codec: Any) -> Iterator[Any]:
    """The codecs of a class and of its subclasses."""
    for cls in with_subclasses(codec.schema.model):
        if cls in SCHEMAS:
            yield codec if cls is codec.schema.model else codec.codec_of(cls)
