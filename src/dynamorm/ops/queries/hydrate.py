"""Whole objects for what an index holds only part of: fetched from the table by their keys, in the order of the index.

An index lags behind its table. An item that is gone is left out, and so is one that the key condition no longer fits;
a filter is not asked again: it was about what the index held.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.library_attributes import ordered
from dynamorm.codec.partial.reader import address
from dynamorm.codec.replies.reading import Misfit
from dynamorm.effects import Flow
from dynamorm.models.expressions.tree import Comparison, Wire
from dynamorm.models.schema.schema import SCHEMAS
from dynamorm.ops.reads.batch_get import get
from dynamorm.ops.reads.key_conditions import Found, Spread
from dynamorm.ops.requests import ModelRequests

from .planner import QueryPlan, choose
from .request import Request

if TYPE_CHECKING:
    from dynamorm.codec.codec import Page
    from dynamorm.ops.context import Context

CONCURRENCY = 4
"""Batches of 100 keys read at once; a page of an index may hold some ten thousand."""


def page(context: Context, request: Request, index_page: Page) -> Flow[Page]:
    """The page with whole objects in the place of its partial ones. Its counts and its last key stay."""
    if not index_page.items:
        return index_page
    plan = context.plan(request.model)
    query_plan = choose(plan, request)
    keys = [address(plan.codec, obj) for obj in index_page.items if obj.__class__ is not Misfit]
    # The index does not hold what tells the classes of a family apart, so there may be siblings among the items.
    model = _root(request.model) if query_plan.family else request.model
    lenient = request.misfit != "raise"
    whole = yield from get(
        context, model, keys, consistent=request.consistent, concurrency=CONCURRENCY, lenient=lenient
    )
    if lenient:
        left = iter(whole)
        whole = [obj if obj.__class__ is Misfit else next(left) for obj in index_page.items]
    index_page.items = [
        obj
        for obj in whole
        if obj.__class__ is Misfit or (isinstance(obj, plan.model) and _is_found(plan, query_plan, obj))
    ]
    return index_page


def _root(model: Any) -> Any:
    """The class at the head of a family."""
    family = [base for base in model.__mro__ if base in SCHEMAS and SCHEMAS[base].discriminator is not None]
    return family[-1] if family else model


def _is_found(plan: ModelRequests, query_plan: QueryPlan, obj: Any) -> bool:
    return all(fits(plan, term, plan.codec.stored(obj, term.path.field.stored)) for term in query_plan.terms)


def fits(plan: ModelRequests, term: Comparison, stored: dict[str, Any] | None) -> bool:
    """Whether a term of the key condition is true of what is stored of its attribute."""
    if stored is None:
        return False
    if isinstance(term, Found):
        return any(ordered(operand.value) == ordered(stored) for operand in term.operands)
    if isinstance(term, Spread):
        return stored.get("S") in term.texts
    operands: list[Any] = []
    for operand in term.operands:
        wire = (
            operand.value
            if isinstance(operand, Wire)
            else plan.operand(term.path, operand, "string" if term.op == "begins_with" else "value")
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
    return bool(_COMPARE[op](value, first))


_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
