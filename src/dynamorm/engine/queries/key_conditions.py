"""Key conditions: which range of keys they mean. It must not know pages.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.KeyConditionExpressions.html; of keys of several
attributes .../GSI.DesignPattern.MultiAttributeKeys.html: every attribute of the partition by ``=``, those of the sort key from the
left, each by ``=`` but the last.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from dynamorm.engine.expressions.grammar import At, Given, Test, condition
from dynamorm.engine.expressions.places import Places
from dynamorm.engine.refusal import Refusal, invalid, wrong_parameter
from dynamorm.engine.values.keys import KeyAttribute, KeyNames, after, hashed, open_ended, part

KIND: Final = "KeyConditionExpression"

_MIRRORED: Final = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_ENDS: Final = ("<=", ">=", "BETWEEN")
_UNSUPPORTED: Final = "Query key condition not supported"


class KeyTest(NamedTuple):
    """What is asked of one attribute of a key."""

    op: str
    values: tuple[dict[str, Any], ...]


class Range(NamedTuple):
    """Keys from ``low`` to below ``high``; ``fixed`` are the values that all of them have.

    ``first`` and ``last`` are keys of a table that the condition names as its ends: behind them nothing can follow.
    """

    low: bytes
    high: bytes
    fixed: dict[str, dict[str, Any]]
    first: bytes | None = None
    last: bytes | None = None


def key_range(text: str, places: Places, names: KeyNames) -> Range:
    """The range of a key condition. Raises: Refusal."""
    return range_of(_tests(text, places), names)


def range_of(tests: dict[str, KeyTest], names: KeyNames) -> Range:
    """The range of what is asked of the attributes of a key. Raises: Refusal."""
    tests = dict(tests)
    fixed: dict[str, dict[str, Any]] = {}
    for one in names.partition:
        test = tests.pop(one.name, None)
        if test is None:
            raise invalid(f"Query condition missed key schema element: {one.name}")
        if test.op != "=":
            raise invalid(_UNSUPPORTED)
        fixed[one.name] = _fitting(one, test).values[0]
    prefix = hashed(b"".join([part(tag, fixed[name][tag]) for name, tag in names.partition]))
    low, high = prefix, after(prefix)
    ended = False
    first = last = None
    for one in names.sort:
        test = tests.get(one.name)
        if test is None:
            break
        if ended:
            raise invalid(f"{_UNSUPPORTED}: a condition other than = comes last")
        del tests[one.name]
        low, high = _narrowed(prefix, one, _fitting(one, test))
        if test.op in _ENDS:
            keys = [prefix + part(one.type, value[one.type]) for value in test.values]
            first, last = (keys[0] if test.op != "<=" else None), (keys[-1] if test.op != ">=" else None)
        if test.op == "=":
            prefix, fixed[one.name] = low, test.values[0]
        else:
            ended = True
    if tests:
        raise _strange(tests, names)
    return Range(low, high, fixed, first, last)


def _strange(tests: dict[str, KeyTest], names: KeyNames) -> Refusal:
    """Conditions on what is no key, or behind a gap in it."""
    for one in names.sort:
        if one.name not in tests:
            return invalid(f"Query condition missed key schema element: {one.name}")
    return invalid(f"Query condition missed key schema element: {', '.join(one.name for one in names.sort) or 'none'}")


def _narrowed(prefix: bytes, attribute: KeyAttribute, test: KeyTest) -> tuple[bytes, bytes]:
    tag = attribute.type
    if test.op == "begins_with":
        low = prefix + open_ended(tag, test.values[0][tag])
        return low, after(low)
    keys = [prefix + part(tag, value[tag]) for value in test.values]
    if test.op == "=":
        return keys[0], after(keys[0])
    if test.op == "<":
        return prefix, keys[0]
    if test.op == "<=":
        return prefix, after(keys[0])
    if test.op == ">":
        return after(keys[0]), after(prefix)
    return keys[0], after(prefix) if test.op == ">=" else after(keys[1])


def _fitting(attribute: KeyAttribute, test: KeyTest) -> KeyTest:
    """The test, whose values are of the attribute's type. Raises: Refusal."""
    for value in test.values:
        if attribute.type not in value:
            raise wrong_parameter("Condition parameter type does not match schema type")
        if not value[attribute.type] and test.op != "begins_with":
            raise invalid(
                "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty"
                f" string value. Key: {attribute.name}"
            )
    if test.op == "begins_with" and attribute.type == "N":
        raise invalid(f"Invalid {KIND}: Incorrect operand type for operator or function; operator or function: begins_with, operand type: N")  # fmt: skip
    if test.op == "BETWEEN":
        low, high = (part(attribute.type, value[attribute.type]) for value in test.values)
        if low > high:
            raise invalid(
                f"Invalid {KIND}: The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
            )
    return test


def _tests(text: str, places: Places) -> dict[str, KeyTest]:
    """What is asked of each attribute. Raises: Refusal for what no key condition may be."""
    found: dict[str, KeyTest] = {}
    for one in condition(text, KIND):
        if isinstance(one, str):
            if one != "AND":
                raise invalid(f"Invalid operator used in {KIND}: {one}")
            continue
        name, test = _test(one, places)
        if name in found:
            raise invalid(f"{KIND}s must only contain one condition per key")
        found[name] = test
    return found


def _test(test: Test, places: Places) -> tuple[str, KeyTest]:
    op, operands = test.op, test.operands
    if op not in _MIRRORED and op not in ("BETWEEN", "begins_with"):
        raise invalid(f"Invalid operator used in {KIND}: {op}")
    if isinstance(operands[0], Given) and len(operands) == 2 and op in _MIRRORED:
        op, operands = _MIRRORED[op], (operands[1], operands[0])
    first, *others = operands
    if not isinstance(first, At):
        raise invalid(f"Invalid {KIND}: a condition is on an attribute of the key")
    path = places.path(first.path, KIND)
    name, *nested = path
    if nested:
        raise invalid(f"Invalid {KIND}: {KIND}s cannot have conditions on nested attributes")
    values = []
    for other in others:
        if not isinstance(other, Given):
            raise invalid(
                f"Invalid {KIND}: No key attribute is compared with another attribute, or with what a function makes"
            )
        values.append(places.value(other.name, KIND))
    return str(name), KeyTest(op, tuple(values))
