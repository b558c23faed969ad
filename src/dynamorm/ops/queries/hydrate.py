"""Whole objects for what an index holds only part of: fetched from the table by their keys, in the order of the index.

An index lags behind its table. An item that is gone is left out, and so is one that the key condition no longer fits;
a filter is not asked again: it was about what the index held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.codec.library_attributes import ordered
from dynamorm.codec.partial.reader import address
from dynamorm.effects import Flow
from dynamorm.expressions.tree import Comparison, Wire
from dynamorm.ops.reads.batch_get import get
from dynamorm.ops.reads.key_conditions import Spread
from dynamorm.ops.requests import ModelRequests
from dynamorm.schema.schema import SCHEMAS

from .planner import choose
from .request import Request

if TYPE_CHECKING:
    from dynamorm.codec.codec import Page
    from dynamorm.ops.context import Context

CONCURRENCY = 4
"""Batches of 100 keys read at once; a page of an index may hold some ten thousand."""


def page(context: Context, request: Request, found: Page) -> Flow[Page]:
    """The page with whole objects in the place of its partial ones. Its counts and its last key stay."""
    if not found.items:
        return found
    plan = context.plan(request.model)
    chosen = choose(plan, request)
    keys = [address(plan.codec, one) for one in found.items]
    # The index does not hold what tells the classes of a family apart, so there may be siblings among the items.
    model = _root(request.model) if chosen.family else request.model
    whole = yield from get(context, model, keys, consistent=request.consistent, concurrency=CONCURRENCY)
    found.items = [
        one
        for one in whole
        if one is not None and isinstance(one, plan.model) and all(_fits(plan, term, one) for term in chosen.terms)
    ]
    return found


def _root(model: Any) -> Any:
    """The class at the head of a family."""
    family = [base for base in model.__mro__ if base in SCHEMAS and SCHEMAS[base].discriminator is not None]
    return family[-1] if family else model


def _fits(plan: ModelRequests, term: Comparison, obj: Any) -> bool:
    """Whether a term of the key condition is true of an object, by what is stored."""
    stored = plan.codec.stored(obj, term.path.field.stored)
    if stored is None:
        return False
    if isinstance(term, Spread):
        return stored.get("S") in term.texts
    operands = []
    for one in term.operands:
        wire = (
            one.value
            if isinstance(one, Wire)
            else plan.operand(term.path, one, "string" if term.op == "begins_with" else "value")
        )
        if wire is None or wire.keys() != stored.keys():
            return False
        operands.append(ordered(wire))
    return _true(term.op, ordered(stored), operands)


def _true(op: str, value: Any, operands: list[Any]) -> bool:
    first = operands[0]
    if op == "BETWEEN":
        return bool(first <= value <= operands[1])
    if op == "begins_with":
        return bool(value.startswith(first))
    return bool(_ORDER[op](value, first))


_ORDER: dict[str, Any] = {
    "=": lambda value, other: value == other,
    "<": lambda value, other: value < other,
    "<=": lambda value, other: value <= other,
    ">": lambda value, other: value > other,
    ">=": lambda value, other: value >= other,
}
