"""Conditions as functions of items. What can be refused without an item is refused before one is looked at.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from dynamorm.engine.expressions.grammar import At, Condition, Given, Made, Operand, Path, Test
from dynamorm.engine.expressions.paths import finder, shown
from dynamorm.engine.expressions.places import Places
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.values.measure import Item, Value, decoded
from dynamorm.engine.values.numbers import number

Holds: TypeAlias = Callable[[Item], bool]
Finds: TypeAlias = Callable[[Item], "Value | None"]

ORDER: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_VALUES: Final[dict[str, Callable[[str], Any]]] = {"S": str, "N": number, "B": decoded}
"""The types that have an order, and how their texts become what is compared."""

TYPES: Final = frozenset({"S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"})
_SIZED: Final = TYPES - {"N", "BOOL", "NULL"}
_NAMED: Final = {
    "S": "STRING", "N": "NUMBER", "B": "BINARY", "SS": "STRING_SET", "NS": "NUMBER_SET", "BS": "BINARY_SET", "L": "LIST", "M": "MAP",
    "BOOL": "BOOLEAN", "NULL": "NULL",
}  # fmt: skip

_SHALLOW: Final = 30
"""Operators within operators, up to which functions call one another; deeper conditions are worked out in a row."""


class _Bound:
    """An operand: the function that finds it, and its value where it is one of the request."""

    __slots__ = ("finds", "given", "shown")

    def __init__(self, finds: Finds, given: Value | None, text: str) -> None:
        self.finds, self.given, self.shown = finds, given, text


def bound(condition: Condition, places: Places, kind: str) -> Holds:
    """The condition as a function of an item. Raises: Refusal."""
    stack: list[tuple[Holds, int]] = []
    row: list[Holds | str] = []
    for one in condition:
        if isinstance(one, Test):
            holds = _bind(one, places, kind)
            row.append(holds)
            stack.append((holds, 0))
            continue
        row.append(one)
        right, depth = stack.pop()
        if one == "NOT":
            stack.append((_negated(right), depth + 1))
            continue
        left, other = stack.pop()
        stack.append((_both(left, right) if one == "AND" else _either(left, right), max(depth, other) + 1))
    holds, depth = stack[0]
    return holds if depth <= _SHALLOW else _in_a_row(row)


def paths_of(condition: Condition, places: Places, kind: str) -> list[Path]:
    """Every path in a condition, with its names."""
    found: list[Path] = []
    waiting: list[Any] = [one for one in condition if isinstance(one, Test)]
    while waiting:
        one = waiting.pop()
        if isinstance(one, At):
            found.append(places.path(one.path, kind))
        elif isinstance(one, (Test, Made)):
            waiting += one.operands
    return found


def _negated(holds: Holds) -> Holds:
    return lambda item: not holds(item)


def _both(left: Holds, right: Holds) -> Holds:
    return lambda item: left(item) and right(item)


def _either(left: Holds, right: Holds) -> Holds:
    return lambda item: left(item) or right(item)


def _in_a_row(row: list[Holds | str]) -> Holds:
    def holds(item: Item) -> bool:
        stack: list[bool] = []
        for one in row:
            if one == "NOT":
                stack[-1] = not stack[-1]
            elif one == "AND":
                right = stack.pop()
                stack[-1] = stack[-1] and right
            elif one == "OR":
                right = stack.pop()
                stack[-1] = stack[-1] or right
            else:
                stack.append(one(item))  # type: ignore[operator]  # a test
        return stack[0]

    return holds


def _operand(operand: Operand, places: Places, kind: str) -> _Bound:
    if isinstance(operand, Given):
        value = places.value(operand.name, kind)
        return _Bound(lambda _: value, value, operand.name)
    if isinstance(operand, At):
        path = places.path(operand.path, kind)
        return _Bound(finder(path), None, shown(path))
    inner = _operand(operand.operands[0], places, kind)
    if inner.given is not None:
        tag = next(iter(inner.given))
        if tag not in _SIZED:
            raise _wrong_type(kind, "size", tag)
    return _Bound(_sizes(inner.finds), None, f"size({inner.shown})")


def _sizes(finds: Finds) -> Finds:
    def sizes(item: Item) -> Value | None:
        value = finds(item)
        size = None if value is None else size_of(value)
        return None if size is None else {"N": str(size)}

    return sizes


def size_of(value: Value) -> int | None:
    """Bytes, elements or characters, of which UTF-16's are counted: 💶 is two. None for what has no size."""
    ((tag, payload),) = value.items()
    if tag not in _SIZED:
        return None
    if tag == "S":
        return len(payload) if payload.isascii() else len(payload.encode("utf-16-le")) // 2
    return len(decoded(payload)) if tag == "B" else len(payload)


def _wrong_type(kind: str, op: str, tag: str) -> Refusal:
    return invalid(
        f"Invalid {kind}: Incorrect operand type for operator or function;"
        f" operator or function: {op}, operand type: {_NAMED[tag] if op in _SHOWN else tag}"
    )


_SHOWN: Final = frozenset({"size"})


def _bind(test: Test, places: Places, kind: str) -> Holds:
    """One test as a function of an item. Raises: Refusal."""
    op = test.op
    operands = [_operand(one, places, kind) for one in test.operands]
    if len(operands) == 1:
        finds = operands[0].finds
        return (
            (lambda item: finds(item) is not None) if op == "attribute_exists" else (lambda item: finds(item) is None)
        )
    first = operands[0]
    if op != "attribute_type":
        for other in operands[1:]:
            if other.shown == first.shown:
                raise invalid(
                    f"Invalid {kind}: The first operand must be distinct from the remaining operands for this operator or"
                    f" function; operator: {op}, first operand: {first.shown}"
                )
    return _MAKERS.get(op, _ordered)(op, operands, kind)


def _equal(op: str, operands: list[_Bound], kind: str) -> Holds:
    del kind
    first, second = operands[0].finds, operands[1].finds
    if operands[1].given is not None:
        value = operands[1].given
        return (lambda item: first(item) == value) if op == "=" else (lambda item: first(item) != value)

    def equal(item: Item) -> bool:
        value = first(item)
        return value is not None and value == second(item)

    return equal if op == "=" else lambda item: not equal(item)


def _in(op: str, operands: list[_Bound], kind: str) -> Holds:
    del op, kind
    first = operands[0].finds
    others = [one.finds for one in operands[1:]]

    def holds(item: Item) -> bool:
        value = first(item)
        return value is not None and any(value == other(item) for other in others)

    return holds


def _comparable(value: Value | None, op: str, kind: str) -> tuple[str, Any] | None:
    """The type and value of an operand of the request. Raises: Refusal where it has no order."""
    if value is None:
        return None
    ((tag, payload),) = value.items()
    if tag not in _VALUES:
        raise _wrong_type(kind, op, tag)
    return tag, _VALUES[tag](payload)


def _ordered(op: str, operands: list[_Bound], kind: str) -> Holds:
    left, right = (_comparable(one.given, op, kind) for one in operands)
    return _comparison(ORDER[op], operands[0].finds, operands[1].finds, left, right)


def _comparison(
    compare: Callable[[Any, Any], bool], first: Finds, second: Finds, left: Any, right: tuple[str, Any] | None
) -> Holds:
    if right is not None:
        tag, limit = right
        read = _VALUES[tag]

        def against(item: Item) -> bool:
            value = first(item)
            payload = None if value is None else value.get(tag)
            return payload is not None and compare(read(payload), limit)

        return against
    del left

    def holds(item: Item) -> bool:
        one, other = first(item), second(item)
        if one is None or other is None:
            return False
        for tag, payload in one.items():
            against = other.get(tag)
            return against is not None and tag in _VALUES and compare(_VALUES[tag](payload), _VALUES[tag](against))
        return False

    return holds


def _between(op: str, operands: list[_Bound], kind: str) -> Holds:
    value, low, high = (_comparable(one.given, op, kind) for one in operands)
    if low is not None and high is not None:
        if low[0] != high[0]:
            raise invalid(
                f"Invalid {kind}: The BETWEEN operator requires same data type for lower and upper bounds;"
                f" lower bound operand type: {low[0]}, upper bound operand type: {high[0]}"
            )
        if low[1] > high[1]:
            raise invalid(
                f"Invalid {kind}: The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
            )
    finds = [one.finds for one in operands]
    above = _comparison(operator.ge, finds[0], finds[1], value, low)
    below = _comparison(operator.le, finds[0], finds[2], value, high)
    return lambda item: above(item) and below(item)


def _type(op: str, operands: list[_Bound], kind: str) -> Holds:
    given = operands[1].given
    if given is None or "S" not in given:
        raise _wrong_type(kind, op, "M" if given is None else next(iter(given)))
    tag = given["S"]
    if tag not in TYPES:
        raise invalid(
            f"Invalid {kind}: Invalid attribute type name found; type: {tag[:20]}, valid types: {sorted(TYPES)}"
        )
    first = operands[0].finds
    return lambda item: tag in (first(item) or ())


def _begins(op: str, operands: list[_Bound], kind: str) -> Holds:
    for one in operands:
        if one.given is not None and not one.given.keys() & {"S", "B"}:
            raise _wrong_type(kind, op, next(iter(one.given)))
    first, second = operands[0].finds, operands[1].finds

    def holds(item: Item) -> bool:
        whole, head = first(item), second(item)
        if whole is None or head is None:
            return False
        if "S" in whole:
            return "S" in head and whole["S"].startswith(head["S"])
        return "B" in whole and "B" in head and decoded(whole["B"]).startswith(decoded(head["B"]))

    return holds


def _contains(op: str, operands: list[_Bound], kind: str) -> Holds:
    given = operands[0].given
    if given is not None and not given.keys() & {"S", "B", "SS", "NS", "BS", "L"}:
        raise _wrong_type(kind, op, next(iter(given)))
    first, second = operands[0].finds, operands[1].finds

    def holds(item: Item) -> bool:
        whole, piece = first(item), second(item)
        if whole is None or piece is None:
            return False
        ((tag, payload),) = whole.items()
        if tag == "L":
            return piece in payload
        ((kind_of_piece, text),) = piece.items()
        if tag == "B":
            return kind_of_piece == "B" and decoded(text) in decoded(payload)
        if tag == "S":
            return kind_of_piece == "S" and text in payload
        return tag == kind_of_piece + "S" and text in payload

    return holds


_MAKERS: Final[dict[str, Callable[[str, list[_Bound], str], Holds]]] = {
    "=": _equal,
    "<>": _equal,
    "IN": _in,
    "BETWEEN": _between,
    "attribute_type": _type,
    "begins_with": _begins,
    "contains": _contains,
}
