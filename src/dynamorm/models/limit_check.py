"""Whether the limits and validators of a field can hold for any value of its type; if not, making the class fails."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import UnionType
from typing import Any, Final, get_args
from uuid import UUID

from dynamorm.arguments import check_count
from dynamorm.errors import ModelError
from dynamorm.models.schema.schema import MISSING, Field

_BOUNDS: Final = ("ge", "gt", "le", "lt")
_LENGTHS: Final = ("min_length", "max_length")
_NUMBERS: Final = (int, float, Decimal)
_SCALARS: Final = (*_NUMBERS, bool, datetime, date, time, timedelta, UUID)
"""Types of a value without a length."""


def check_limits(owner: str, field: Field) -> None:
    """Raises: ModelError that names the field, the setting and what belongs there."""
    where = f"{owner}.{field.name}"
    _check_functions(where, field)
    _check_lengths(where, field)
    kind = None if field.options else _type_of(field.annotation)
    if kind is not None:
        _check_type(where, field, kind)
    lows = [bound for bound in (field.ge, field.gt) if bound is not None]
    highs = [bound for bound in (field.le, field.lt) if bound is not None]
    if any(_is_above(low, high) for low in lows for high in highs):
        raise ModelError(f"{where}: the lower bound is above the upper one, so no value would do")


def _check_functions(where: str, field: Field) -> None:
    given: Any = field.validators
    if not isinstance(given, (tuple, list)) or not all(map(callable, given)):
        shown = f"validators=({getattr(given, '__name__', '...')},)" if callable(given) else "validators=(str.strip,)"
        raise ModelError(f"{where}: validators is a tuple of functions: write {shown}")
    pattern: Any = field.pattern
    if pattern is None:
        return
    if not isinstance(pattern, str):
        raise ModelError(f"{where}: pattern is the text of a regular expression, not a {type(pattern).__name__}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ModelError(f"{where}: pattern is no regular expression: {error}") from None


def _check_lengths(where: str, field: Field) -> None:
    for name in _LENGTHS:
        length: Any = getattr(field, name)
        if length is not None:
            check_count(name, length, 0, subject=f"{where}: {name}", error=ModelError)
    if field.min_length is not None and field.max_length is not None and field.min_length > field.max_length:
        raise ModelError(f"{where}: min_length is above max_length, so no value would do")


def _check_type(where: str, field: Field, kind: type) -> None:
    """Refuse what a value of a plain type does not have."""
    if callable(field.default) and field.default is not MISSING:
        raise ModelError(f"{where}: the default is a function: say default_factory= to call it for each object")
    if kind in _SCALARS:
        for name in (*_LENGTHS, "pattern"):
            if getattr(field, name) is not None:
                remedy = "pattern is for text" if name == "pattern" else "ge= and le= are its bounds"
                raise ModelError(f"{where}: {name} is not for {kind.__name__}: {remedy}")
    for name in _BOUNDS:
        bound = getattr(field, name)
        if bound is None:
            continue
        wanted: Any = _NUMBERS if kind in _NUMBERS else kind
        if not isinstance(bound, wanted) or (isinstance(bound, bool) and kind is not bool):
            raise ModelError(f"{where}: {name} must be {kind.__name__}, as the values are, not {type(bound).__name__}")


def _type_of(annotation: Any) -> type | None:
    """The plain type that an annotation stands for, be it with None; None for any other."""
    if isinstance(annotation, UnionType):
        inner = [argument for argument in get_args(annotation) if argument is not type(None)]
        annotation = inner[0] if len(inner) == 1 else None
    return annotation if annotation in (*_SCALARS, str, bytes) else None


def _is_above(low: Any, high: Any) -> bool:
    try:
        return bool(low > high)
    except TypeError:
        return False


__all__ = ["check_limits"]
