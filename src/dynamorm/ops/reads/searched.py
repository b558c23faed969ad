"""Terms that are answered by what is stored beside an attribute: ``Card.number.equals(...)`` becomes a term on that.

What such a term finds too much, for what is stored there says less than the value, is left out once it is decoded. Loaded with
the first such term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from dynamorm.models.expressions.tree import Comparison, Condition, Location, Wire
from dynamorm.ops.reads.key_conditions import Found

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests


def searched(plan: ModelRequests, terms: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The terms, with those on attributes beside in the place of each ``equals``. Raises: NotReady; ModelError."""
    return tuple(_found(plan, term) if is_search(term) else term for term in terms)


def is_search(term: Condition) -> bool:
    """Whether a term is answered by what is stored beside an attribute."""
    return term.op == "equals"


def _found(plan: ModelRequests, term: Any) -> Comparison:
    found: dict[str, Any] = plan.codec.operand_beside(term.path.parts, term.operands[0])
    ((stored, wires),) = found.items()
    path = Location()
    path.field = replace(term.path.field, stored=stored)
    path.parts = (path.field,)
    operands = tuple(Wire(wire) for wire in wires)
    if len(operands) == 1:
        return Comparison("=", operands, path)
    return Found("IN", operands, path, ("",) * len(operands))


def looked_at(plan: ModelRequests, terms: Iterable[Condition]) -> list[Any]:
    """The fields whose values tell whether an object is what the terms ask for: each must be read with it."""
    return [
        term.path
        for term in terms
        if is_search(term) and isinstance(term, Comparison) and not plan.codec.plans[term.path.field.name].hook.exact
    ]


def exactly(plan: ModelRequests, terms: Iterable[Condition]) -> Callable[[Any], bool] | None:
    """What tells whether an object is what the terms ask for; None where what is stored beside tells as much."""
    tests: list[tuple[str, Any, Any]] = []
    for term in terms:
        if not is_search(term) or not isinstance(term, Comparison):
            continue
        field = plan.codec.plans[term.path.field.name]
        if not field.hook.exact:
            tests.append((field.name, field.hook.matches, plan.codec.wire_before(field.name, term.operands[0])))
    if not tests:
        return None

    def matches(obj: Any) -> bool:
        return all(same(plan.codec.wire_before(name, getattr(obj, name)), wire) for name, same, wire in tests)

    return matches
