"""What DynamoDB's conditions, projections and updates mean, over plain values; written from AWS's documentation.

It knows nothing of the library. A value is a pair of its wire type and a Python value that compares as DynamoDB
compares: ``("N", Decimal("1.0")) == ("N", Decimal("1"))``, sets are frozensets, ``None`` is what is not there.
A path is a tuple of names and list indexes, an item a dict of values.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ with Expressions.OperatorsAndFunctions.html,
Expressions.UpdateExpressions.html and Expressions.Attributes.html
"""

from __future__ import annotations

import operator
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from decimal import Context, Decimal
from typing import Any, NamedTuple, TypeAlias

Value: TypeAlias = tuple[str, Any]
Path: TypeAlias = tuple[str | int, ...]
Item: TypeAlias = dict[str, Value]


class Refused(Exception):
    """DynamoDB answers such a request with a ValidationException."""


class At(NamedTuple):
    """An operand: what stands at a path; ``kind`` is what may stand there."""

    path: Path
    kind: str = ""


class Literal(NamedTuple):
    """An operand: a value of the request."""

    value: Value


class SizeOf(NamedTuple):
    """An operand: the size of what stands at a path; ``of_set``: where nothing, or NULL, is an empty set."""

    path: Path
    of_set: bool = False


Operand: TypeAlias = At | Literal | SizeOf


class Test(NamedTuple):
    """A condition: an operator and its operands, or AND, OR, NOT and conditions."""

    op: str
    operands: tuple[Any, ...]


class Action(NamedTuple):
    """One action of an update: ``kind`` as the library's verbs are called, ``operand`` a Literal or At."""

    kind: str
    path: Path
    operand: Operand | None = None


# Values


def read(wire: dict[str, Any]) -> Value:
    """The value of an attribute as the wire has it."""
    ((tag, payload),) = wire.items()
    return tag, _READERS[tag](payload)


def read_item(wire: dict[str, Any]) -> Item:
    """The item of a wire item."""
    return {name: read(one) for name, one in wire.items()}


_READERS: dict[str, Callable[[Any], Any]] = {
    "S": str,
    "N": Decimal,
    "B": b64decode,
    "BOOL": bool,
    "NULL": lambda _: None,
    "SS": frozenset,
    "NS": lambda payload: frozenset(map(Decimal, payload)),
    "BS": lambda payload: frozenset(map(b64decode, payload)),
    "L": lambda payload: [read(one) for one in payload],
    "M": read_item,
}


def find(item: Item, path: Path) -> Value | None:
    """What stands at a path; None when nothing does, or the path leads through what is neither map nor list."""
    found: Value | None = ("M", item)
    for part in path:
        if found is None:
            return None
        found = _inside(found, part)
    return found


def _inside(value: Value, part: str | int) -> Value | None:
    tag, payload = value
    if tag == "M" and isinstance(part, str):
        return payload.get(part)
    if tag == "L" and isinstance(part, int) and part < len(payload):
        return payload[part]
    return None


# Conditions

ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ORDERED = frozenset({"S", "N", "B"})
SIZED = frozenset({"S", "B", "SS", "NS", "BS", "L", "M"})


MAX_VALUES = 2 * 1024 * 1024
"""Bytes of all values of a request. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""


def check(test: Test) -> None:
    """What DynamoDB refuses of a condition without looking at an item. Raises: Refused."""
    if _check(test) > MAX_VALUES:
        raise Refused("the values are too large")


def _check(test: Test) -> int:
    """The bytes of the values of a condition, which is checked."""
    op, operands = test
    if op in {"AND", "OR", "NOT"}:
        return sum(_check(one) for one in operands)
    values = [one.value if isinstance(one, Literal) else None for one in operands]
    if op in ORDER or op == "BETWEEN":
        if any(one is not None and one[0] not in ORDERED for one in values):
            raise Refused("only strings, numbers and bytes have an order")
    elif op == "begins_with" and values[1] is not None and values[1][0] not in {"S", "B"}:
        raise Refused("only strings and bytes begin with something")
    if op == "BETWEEN" and values[1] is not None and values[2] is not None:
        if values[1][0] != values[2][0]:
            raise Refused("both ends are of one type")
        if _sortable(values[1]) > _sortable(values[2]):
            raise Refused("the lower end is not above the upper one")
    return sum(_bytes(one) for one in values if one is not None)


def _bytes(value: Value) -> int:
    """About the bytes of a value."""
    tag, payload = value
    if tag == "M":
        return sum(len(name.encode()) + _bytes(one) for name, one in payload.items())
    if tag == "L":
        return sum(map(_bytes, payload))
    if tag in {"SS", "NS", "BS"}:
        return sum(_bytes((tag[0], one)) for one in payload)
    return len(payload.encode() if tag == "S" else payload) if tag in {"S", "B"} else 20


def holds(test: Test, item: Item) -> bool:
    """Whether a condition is true of an item."""
    op, operands = test
    if op == "AND":
        return all(holds(one, item) for one in operands)
    if op == "OR":
        return any(holds(one, item) for one in operands)
    if op == "NOT":
        return not holds(operands[0], item)
    values = [_operand(one, item) for one in operands]
    first, *rest = values
    if op == "attribute_exists":
        return first is not None
    if op == "attribute_not_exists":
        return first is None
    if op == "missing or null":
        return first is None or first[0] == "NULL"
    if op == "present and not null":
        return first is not None and first[0] != "NULL"
    if op == "<>":
        return first is None or first != rest[0]
    if first is None:
        return False
    if op == "attribute_type":
        return bool(rest[0][1] == first[0])
    if op in {"=", "IN"}:
        return first in rest
    if op == "BETWEEN":
        return _ordered(">=", first, rest[0]) and _ordered("<=", first, rest[1])
    if op == "begins_with":
        return first[0] == rest[0][0] and first[0] in {"S", "B"} and first[1].startswith(rest[0][1])
    if op == "contains":
        return _contains(first, rest[0])
    return _ordered(op, first, rest[0])


def _operand(operand: Operand, item: Item) -> Value | None:
    if isinstance(operand, Literal):
        return operand.value
    found = find(item, operand.path)
    if isinstance(operand, SizeOf) and operand.of_set and (found is None or found[0] == "NULL"):
        return "N", Decimal(0)
    if isinstance(operand, At) or found is None:
        return found
    if found[0] not in SIZED:
        return None
    return "N", Decimal(size_of(found))


def size_of(value: Value) -> int:
    """Bytes, elements, or characters: of the latter DynamoDB Local counts UTF-16's, where 💶 is two."""
    tag, payload = value
    return len(payload.encode("utf-16-le")) // 2 if tag == "S" else len(payload)


def _sortable(value: Value) -> Any:
    # Strings are compared by their UTF-8 bytes, which is not the order of UTF-16, but that of code points.
    return value[1]


def _ordered(op: str, left: Value, right: Value | None) -> bool:
    if right is None or left[0] != right[0] or left[0] not in ORDERED:
        return False
    return ORDER[op](_sortable(left), _sortable(right))


def _contains(whole: Value, part: Value | None) -> bool:
    if part is None:
        return False
    tag, payload = whole
    if tag == "L":
        return part in payload
    if tag in {"S", "B"}:
        return tag == part[0] and part[1] in payload
    return tag == f"{part[0]}S" and part[1] in payload


# Projections


def project(paths: Sequence[Path], item: Item) -> Item:
    """The item with only what stands at the paths: maps keep their names, lists close their gaps. Raises: Refused."""
    refuse_overlaps(paths)
    wanted: dict[Any, Any] = {}
    for path in paths:
        if find(item, path) is not None:
            branch = wanted
            for part in path:
                branch = branch.setdefault(part, {})
    return _pruned(("M", item), wanted)[1] if wanted else {}


def _pruned(value: Value, wanted: dict[Any, Any]) -> Value:
    tag, payload = value
    if not wanted:
        return value
    if tag == "M":
        return "M", {name: _pruned(payload[name], inner) for name, inner in wanted.items()}
    return "L", [_pruned(payload[index], wanted[index]) for index in sorted(wanted)]


def refuse_overlaps(paths: Iterable[Path]) -> None:
    """Two paths may neither meet nor lie in one another, nor take one place for a map and for a list."""
    ends: set[Path] = set()
    inner: dict[Path, type] = {}
    for path in paths:
        if path in ends or path in inner:
            raise Refused("two paths overlap")
        for length in range(1, len(path)):
            if path[:length] in ends:
                raise Refused("two paths overlap")
            if inner.setdefault(path[:length], type(path[length])) is not type(path[length]):
                raise Refused("two paths conflict")
        ends.add(path)


# Updates

_EXACT = Context(prec=400, Emax=999_999, Emin=-999_999)


def update(actions: Sequence[Action], item: Item) -> Item:
    """The item after an update: every operand is read from the item as it was. Raises: Refused."""
    refuse_overlaps(one.path for one in actions)
    changes = [(one.path, _result(one, item)) for one in actions]
    fresh: Item = _copy(("M", item))[1]
    appended: list[tuple[list[Any], int, Value]] = []
    removed: list[tuple[list[Any], int]] = []
    for path, value in changes:
        holder = find(fresh, path[:-1])
        last = path[-1]
        if holder is None or holder[0] != ("M" if isinstance(last, str) else "L"):
            raise Refused("the path leads nowhere")
        payload = holder[1]
        if isinstance(last, str):
            if value is None:
                payload.pop(last, None)
            else:
                payload[last] = value
        elif value is None:
            removed.append((payload, last))
        elif last < len(payload):
            payload[last] = value
        else:
            appended.append((payload, last, value))
    # Indexes are those of the item as it was, so lists change their length at the end.
    for payload, index in sorted(removed, key=lambda one: -one[1]):
        if index < len(payload):
            del payload[index]
    for payload, _, value in sorted(appended, key=lambda one: one[1]):
        payload.append(value)
    return fresh


def _copy(value: Value) -> Value:
    tag, payload = value
    if tag == "M":
        return tag, {name: _copy(one) for name, one in payload.items()}
    return (tag, [_copy(one) for one in payload]) if tag == "L" else value


def _result(action: Action, item: Item) -> Value | None:
    """What an action leaves at its path; None for nothing."""
    kind, path, operand = action
    if operand is None:
        return None
    old, given = find(item, path), _operand(operand, item)
    if given is None:  # also where if_not_exists would not need it
        raise Refused("the operand is not in the item")
    if kind == "if_not_exists" and old is not None:
        return old
    if kind in {"set", "if_not_exists"}:
        return given
    if kind == "add":
        return _sum(("N", Decimal(0)) if old is None else old, given)
    if kind in {"add_to_set", "delete_from_set"}:
        return _set(kind, old, given)
    if old is None and kind in {"append_or_create", "extend_or_create"}:
        old = ("L", [])
    if old is None or old[0] != "L":
        raise Refused("there is no list to extend")
    if kind in {"extend", "extend_or_create"}:
        return "L", [*old[1], *given[1]]
    return "L", [given, *old[1]] if kind == "prepend" else [*old[1], given]


def _sum(old: Value, step: Value) -> Value:
    if old[0] != "N" or step[0] != "N":
        raise Refused("only numbers are added")
    total = _EXACT.add(old[1], step[1])
    if len(total.normalize(_EXACT).as_tuple().digits) > 38 or (total and not -130 <= total.adjusted() <= 125):
        raise Refused("a number has 38 digits and a magnitude of 1E-130 to 9.9E+125")
    return "N", total


def _set(kind: str, old: Value | None, given: Value) -> Value | None:
    if old is None:
        return given if kind == "add_to_set" else None
    if old[0] != given[0]:
        raise Refused("the set is of another type")
    left = old[1] | given[1] if kind == "add_to_set" else old[1] - given[1]
    return (old[0], left) if left else None
