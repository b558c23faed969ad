"""Conditions as text, ``where("status", "=", "completed")``: names of fields and operators to the same trees as paths.

Only names and operators are looked up here. A value is a value, whatever it contains: it is bound, never read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from dynamorm.codec.types.records import Record
from dynamorm.codec.types.shapes import Nullable
from dynamorm.errors import ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.expressions.path import Path
from dynamorm.models.expressions.tree import Condition
from dynamorm.ops.requests import ModelRequests

_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_NAME_LIKE: Final = re.compile(r"[A-Za-z_][\w.\[\]-]{0,39}")


def place(plan: ModelRequests, name: Any) -> Path[Any]:
    """The place of a field by its own or its stored name; parts of it by dots and ``[0]``.

    Raises: ValidationError, naming the nearest field.

    Example: ``place(plan, "address.city")``
    """
    schema = plan.codec.schema
    if not isinstance(name, str):
        raise ValidationError(f"{schema.name}: a field is named by a text, got {type(name).__name__}")
    field_plan = plan.codec.record.plan(name)
    if field_plan is not None:
        return Path(field_plan.field)
    steps = _steps(plan.codec.record, name)
    path: Path[Any] | None = None
    shape: Any = plan.codec.record
    for step in steps:
        shape = shape.inner if isinstance(shape, Nullable) else shape
        key: Any = step
        if isinstance(shape, Record):
            inner = shape.plan(step) if isinstance(step, str) else None
            if inner is None:
                hint = _nearest(str(step), [member.name for member in shape.plans])
                raise ValidationError(f"{shape.expected} has no field {_shown(str(step))}{hint}", field=_named(name))
            key, shape = Path(inner.field), inner.shape
        else:
            shape = shape.part(step)
        path = key if path is None else path[key]
    assert path is not None  # there is a first step
    return path


def _steps(record: Record, name: str) -> list[str | int]:
    steps: list[str | int] = []
    end = 0
    while end < len(name):
        match = _STEP.match(name, end)
        if match is None:
            break
        steps.append(match[1] if match[1] is not None else int(match[2]))
        end = match.end()
    if not steps or end < len(name):
        hint = _nearest(name, [field_plan.name for field_plan in record.plans]) if name[:1] == "-" else ""
        raise ValidationError(f"{record.expected}: {_shown(name)} names no field{hint}", field=_named(name))
    return steps


def _shown(text: str) -> str:
    """A wrong name, for a message; what may be a value that stands in the wrong place is not repeated."""
    return repr(text) if _NAME_LIKE.fullmatch(text) else "of that text"


def _named(text: str) -> str | None:
    """A wrong name, for `error.field`; None for what may be a value."""
    return text if _NAME_LIKE.fullmatch(text) else None


def _nearest(name: str, names: list[str]) -> str:
    """The end of the message on a wrong name. Django writes a descending order with a minus sign."""
    if name[:1] == "-" and name[1:] in names:
        return f'; say order_by("{name[1:]}", "desc") to sort downwards'
    return did_you_mean(name, names)


def condition(plan: ModelRequests, name: str, operator_and_values: tuple[Any, ...]) -> Condition:
    """The condition of a field's name, an operator and its values.

    Raises: ValidationError for a name or an operator that does not exist, and for the wrong number of values.

    Example: ``condition(plan, "amount", ("between", 1, 5))``
    """
    if not operator_and_values:
        raise ValidationError(
            f"{plan.codec.schema.name}: expected a condition such as {plan.codec.schema.name}.<field> == value, or a field,"
            " an operator and a value; got a str alone"
        )
    path = place(plan, name)
    if not isinstance(operator_and_values[0], str):
        raise ValidationError(f'{path.name}: say how to compare it, as in where("{name}", "=", value)', field=path.name)
    return compare(path, operator_and_values[0], operator_and_values[1:])


def compare(path: Path[Any], operator: str, values: tuple[Any, ...]) -> Condition:
    """The condition that an operator makes of a path. Raises: ValidationError, code ``ErrInvalidOperator``."""
    normalized = " ".join(operator.upper().replace("_", " ").split())
    if normalized in _WITH_VALUE:
        return _WITH_VALUE[normalized](path, _only(path, operator, values))
    if normalized in _WITHOUT_VALUE:
        # The Go library takes a value here and does not look at it.
        if any(value is not None for value in values):
            raise _count(path, operator, "no value")
        return _WITHOUT_VALUE[normalized](path)
    if normalized in {"BETWEEN", "SIZE BETWEEN"}:
        low, high = _pair(path, operator, values)
        return path.between(low, high) if normalized == "BETWEEN" else path.size().between(low, high)
    if normalized in {"IN", "NOT IN"}:
        wanted = values[0] if len(values) == 1 and isinstance(values[0], _MANY) else values
        return path.in_(wanted) if normalized == "IN" else ~path.in_(wanted)
    if not values:
        # What stands here is the value, most likely, so the message does not repeat it.
        raise ValidationError(
            f'{path.name}: an operator belongs between the field and its value, as in where("{path.name}", "=", value);'
            ' alone stand "exists" and "not_exists"',
            field=path.name,
            code="ErrInvalidOperator",
        )
    spellings = [
        spelling.replace(" ", "_") if spelling[0].isalpha() and spelling[-1].isalpha() else spelling
        for spelling in _NAMES
    ]
    hint = did_you_mean(operator.upper(), spellings)
    shown = repr(operator) if _OPERATOR_LIKE.fullmatch(operator) else "of that text"
    raise ValidationError(f"{path.name}: no operator {shown}{hint}", field=path.name, code="ErrInvalidOperator")


_OPERATOR_LIKE: Final = re.compile(r"[A-Za-z_ ]{1,20}|[=<>!&|~]{1,3}")
_MANY: Final = (list, tuple, set, frozenset)


def _only(path: Path[Any], operator: str, values: tuple[Any, ...]) -> Any:
    if len(values) != 1:
        raise _count(path, operator, "one value")
    return values[0]


def _pair(path: Path[Any], operator: str, values: tuple[Any, ...]) -> tuple[Any, Any]:
    if len(values) == 1 and isinstance(values[0], (list, tuple)):
        values = tuple(values[0])
    if len(values) != 2:
        raise _count(path, operator, "two values, the lower first")
    return values[0], values[1]


def _count(path: Path[Any], operator: str, wanted: str) -> ValidationError:
    return ValidationError(f"{path.name}: the operator {operator} takes {wanted}", field=path.name)


def _equal(path: Any, value: Any) -> Condition:
    comparison: Condition = path == value
    return comparison


def _unequal(path: Any, value: Any) -> Condition:
    comparison: Condition = path != value
    return comparison


_WITH_VALUE: Final[dict[str, Callable[[Any, Any], Condition]]] = {
    **dict.fromkeys(("=", "==", "EQ"), _equal),
    **dict.fromkeys(("!=", "<>", "NE"), _unequal),
    **dict.fromkeys(("<", "LT"), lambda path, value: path < value),
    **dict.fromkeys(("<=", "LE"), lambda path, value: path <= value),
    **dict.fromkeys((">", "GT"), lambda path, value: path > value),
    **dict.fromkeys((">=", "GE"), lambda path, value: path >= value),
    **dict.fromkeys(("BEGINS WITH", "STARTS WITH"), lambda path, value: path.begins_with(value)),
    "CONTAINS": lambda path, value: path.contains(value),
    # As DynamoDB's own operator of this name, which is not true of what is not there: ~path.contains(value) is.
    "NOT CONTAINS": lambda path, value: path.exists() & ~path.contains(value),
    "ATTRIBUTE TYPE": lambda path, value: path.attribute_type(value),
    "SIZE =": lambda path, value: path.size() == value,
    "SIZE <>": lambda path, value: path.size() != value,
    "SIZE !=": lambda path, value: path.size() != value,
    "SIZE <": lambda path, value: path.size() < value,
    "SIZE <=": lambda path, value: path.size() <= value,
    "SIZE >": lambda path, value: path.size() > value,
    "SIZE >=": lambda path, value: path.size() >= value,
}
_WITHOUT_VALUE: Final[dict[str, Callable[[Any], Condition]]] = {
    **dict.fromkeys(("EXISTS", "ATTRIBUTE EXISTS"), lambda path: path.exists()),
    **dict.fromkeys(("NOT EXISTS", "ATTRIBUTE NOT EXISTS"), lambda path: path.not_exists()),
}
_NAMES: Final = (*_WITH_VALUE, *_WITHOUT_VALUE, "BETWEEN", "IN", "NOT IN", "SIZE BETWEEN")
