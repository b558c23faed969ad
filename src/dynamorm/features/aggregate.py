"""sum, average, min and max of one attribute over everything that a query matches, page by page; also by groups. Each returns a flow.

Nothing is rounded on the way: ints are added as ints, decimals in a context that holds every digit DynamoDB can store.
None does not count; an item without the attribute counts with the field's default, as its object has it. This module
must not know how a request is planned.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec.structs import replace

from dynamorm.codec.partial import reader as partial
from dynamorm.codec.types.containers import DictShape, ListShape
from dynamorm.codec.types.records import DICT, SLOTS, Record
from dynamorm.codec.types.scalars import SCALARS
from dynamorm.codec.types.shapes import ANY, CustomShape, Nullable, Scalar, Shape
from dynamorm.codec.types.unions import Union
from dynamorm.effects import Flow
from dynamorm.errors import ValidationError
from dynamorm.models.expressions.tree import Location, refuse
from dynamorm.models.schema.schema import Field
from dynamorm.ops.queries.query import page_reader_of
from dynamorm.ops.queries.request import Request
from dynamorm.ops.reads import textual
from dynamorm.ops.requests import ModelRequests

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.ops.context import Context

Step: TypeAlias = Callable[[Any], Any]

QUOTIENT: Final = 50
"""Significant digits of an average that does not come out even; rounded half to even."""

# A stored number has digits from 1E+125 down to 1E-130; 10**18 of them add 18 more. So nothing is ever rounded here.
_EXACT: Final = decimal.Context(prec=300, Emin=-999, Emax=999, traps=[decimal.Inexact, decimal.InvalidOperation])
_DIVIDE: Final = decimal.Context(prec=QUOTIENT, Emin=-999, Emax=999, rounding=decimal.ROUND_HALF_EVEN)


def total(context: Context, request: Request, field: str | Location) -> Flow[Any]:
    """The sum of a number, 0 of nothing: an int of ints, else a Decimal."""
    return _numbers(context, request, field, lambda summed, _: summed)


def average(context: Context, request: Request, field: str | Location) -> Flow[Any]:
    """The mean of a number as a Decimal, None of nothing: exact to 50 significant digits."""
    return _numbers(context, request, field, _mean)


def least(context: Context, request: Request, field: str | Location) -> Flow[Any]:
    """The smallest value, None of nothing."""
    return _extreme(context, request, field, _less)


def greatest(context: Context, request: Request, field: str | Location) -> Flow[Any]:
    """The largest value, None of nothing."""
    return _extreme(context, request, field, _greater)


def _numbers(context: Context, request: Request, field: Any, end: Callable[[Any, int], Any]) -> Flow[Any]:
    plan = context.plan(request.model)
    codec = plan.codec
    place = _place(plan, field)
    _check_shape(codec, place, "sum")
    steps = _steps(codec, place)
    summed: Any = Decimal(0) if _shape(codec, place) in _NUMBERS[1:] else 0
    count = 0
    reader = page_reader_of(_only(request, place))
    while not reader.done:
        for value in _values((yield from reader.next(context)), steps):
            summed = _plus(summed, value, place)
            count += 1
    return end(summed, count)


def _plus(summed: Any, value: Any, place: Location) -> Any:
    kind = value.__class__
    if kind is int and summed.__class__ is int:
        return summed + value
    if kind is float:
        value = Decimal(repr(value))  # as it is stored
    elif not isinstance(value, (int, Decimal)) or isinstance(value, bool):
        raise refuse(place, f"holds a {kind.__name__} in one of the items, which is no number")
    return _EXACT.add(Decimal(summed), Decimal(value))


def _mean(summed: Any, count: int) -> Any:
    return None if count == 0 else _DIVIDE.divide(Decimal(summed), Decimal(count))


def _extreme(context: Context, request: Request, field: Any, better: Callable[[Any, Any], bool]) -> Flow[Any]:
    plan = context.plan(request.model)
    codec = plan.codec
    place = _place(plan, field)
    _check_shape(codec, place, "min")
    steps = _steps(codec, place)
    best: Any = None
    reader = page_reader_of(_only(request, place))
    while not reader.done:
        for value in _values((yield from reader.next(context)), steps):
            if best is None or _is_better(better, value, best, place):
                best = value
    return best


def _check_shape(codec: ModelCodec, place: Location, what: str) -> None:
    """Refuse an attribute that has no such aggregate. Raises: ValidationError."""
    shape = _shape(codec, place)
    if what in {"sum", "average"}:
        if shape not in _NUMBERS and not _open(shape):
            raise refuse(place, "is no number, so it has no sum and no average")
    elif not (isinstance(shape, Scalar) and shape.tag in ("S", "N", "B")) and not _open(shape):
        raise refuse(
            place, f"is {shape.expected}, which has no order: min and max take texts, numbers, times and bytes"
        )


def _is_better(better: Callable[[Any, Any], bool], value: Any, best: Any, place: Location) -> bool:
    """Whether a value takes the place of the best one. Raises: ValidationError for two that have no order."""
    try:
        return better(_ordered(value), _ordered(best))
    except TypeError:
        pass
    kinds = sorted((type(value).__name__, type(best).__name__))
    raise refuse(place, f"holds a {kinds[0]} and a {kinds[1]}, which have no order among them")


def _less(value: Any, best: Any) -> bool:
    return bool(value < best)


def _greater(value: Any, best: Any) -> bool:
    return bool(value > best)


def _ordered(value: Any) -> Any:
    """An Enum by what is stored of it."""
    return value.value if isinstance(value, Enum) else value


# ------------------------------------------------------------------------------------------------------------- groups


def grouped(context: Context, request: Request, by: Any, what: str, field: Any, most: int) -> Flow[dict[Any, Any]]:
    """What ``what`` says of each group of items with one value of ``by``: their count, or an aggregate of ``field``.

    Raises: ValidationError for what makes no groups, has no such aggregate, or for more groups than ``most``.
    """
    plan = context.plan(request.model)
    codec = plan.codec
    key = _place(plan, by)
    shape = _shape(codec, key)
    if not isinstance(shape, Scalar):
        raise refuse(
            key, f"is {shape.expected}, which makes no groups: group by texts, numbers, times, enums and the like"
        )
    place = key if field is None else _place(plan, field)
    if field is not None:
        _check_shape(codec, place, what)
    key_steps, steps = _steps(codec, key), _steps(codec, place)
    places = (key,) if key.parts == place.parts else (key, place)
    if len(places) > 1 and key.field is place.field and _sole in (*key_steps, *steps):
        raise refuse(
            place, "lies in the attribute that is grouped by, of which one place can be told: aggregate in Python"
        )
    groups: dict[Any, Any] = {}
    reader = page_reader_of(replace(_only(request, place), select=places))
    while not reader.done:
        for item in (yield from reader.next(context)):
            group = next(_values([item], key_steps), None)
            before = groups.get(group)
            if before is None:
                if len(groups) >= most:
                    raise ValidationError(
                        f"group_by: there are more than {most} values of {key.name}: narrow the query, or allow more groups by"
                        " most=..., each of which is held in memory",
                        field=key.name,
                    )
                before = groups[group] = _BEGIN[what]
            value = 1 if field is None else next(_values([item], steps), None)
            if value is not None:
                groups[group] = _with(what, before, value, place)
    ends = _shape(codec, place) in _NUMBERS[1:]
    return {group: _end(what, state, is_decimal=ends) for group, state in groups.items()}


_BEGIN: Final[dict[str, Any]] = {"count": (0,), "sum": (0,), "average": (0, 0), "min": (None,), "max": (None,)}
"""What is held of a group before its first value."""


def _with(what: str, state: Any, value: Any, place: Location) -> Any:
    """What is held of a group with one value more."""
    if what == "count":
        return (state[0] + 1,)
    if what == "sum":
        return (_plus(state[0], value, place),)
    if what == "average":
        return _plus(state[0], value, place), state[1] + 1
    better = _less if what == "min" else _greater
    return (value,) if state[0] is None or _is_better(better, value, state[0], place) else state


def _end(what: str, state: Any, *, is_decimal: bool) -> Any:
    if what == "average":
        return _mean(*state)
    return Decimal(state[0]) if what == "sum" and is_decimal else state[0]


# ------------------------------------------------------------------------------------------------------- the attribute

_NUMBERS: Final = (SCALARS[int], SCALARS[Decimal], SCALARS[float])


def _place(plan: ModelRequests, field: Any) -> Location:
    """The place that is aggregated. Raises: ValidationError when the model does not have it."""
    place = textual.place(plan, field) if isinstance(field, str) else field
    if not isinstance(place, Location):
        raise ValidationError(
            f"an aggregate takes one attribute such as {plan.codec.schema.name}.amount or its name, got"
            f" {type(field).__name__}"
        )
    partial.reader(plan.codec, [place])
    return place


def _shape(codec: ModelCodec, place: Location) -> Shape:
    """The type of a place, without the Optional."""
    shape: Shape = codec.plans[place.field.name].shape
    for part in place.parts[1:]:
        shape = shape.inner if isinstance(shape, Nullable) else shape
        shape = shape.part(part.name if isinstance(part, Field) else part)
    return shape.inner if isinstance(shape, Nullable) else shape


def _open(shape: Shape) -> bool:
    """Whether only the values tell what they are."""
    return shape is ANY or isinstance(shape, (CustomShape, Union))


def _only(request: Request, place: Location) -> Request:
    """The same request, of this attribute alone."""
    return replace(request, select=(place,), hydrate=False, view=None)


def _values(items: list[Any], steps: list[Step]) -> Iterator[Any]:
    """The values at the end of these steps, of the items that have one."""
    for item in items:
        value = item
        for step in steps:
            if value is None:
                break
            value = step(value)
        if value is not None:
            yield value


def _steps(codec: ModelCodec, place: Location) -> list[Step]:
    """From a partial object to the value at a place, each step None where there is nothing.

    Of the lists and maps on the way DynamoDB answers with the one element alone, up to what is fetched whole.
    """
    shape: Shape = codec.plans[place.field.name].shape
    steps = [_attribute(place.field.name)]
    alone, inside = True, False
    for part in place.parts[1:]:
        shape = shape.inner if isinstance(shape, Nullable) else shape
        name = part.name if isinstance(part, Field) else part
        if isinstance(shape, Record):
            alone = alone and not inside and shape.style == SLOTS
            steps.append(_attribute(name) if shape.style != DICT else _key(name))
        elif alone and (shape is ANY or isinstance(shape, (ListShape, DictShape))):
            inside = True
            steps.append(_sole)
        else:
            if isinstance(shape, DictShape) and shape.key is not SCALARS[str]:
                raise refuse(place, "lies in a map whose keys are no texts: aggregate in Python")
            alone = False
            steps.append(_key(name))
        shape = shape.part(name)
    return steps


def _attribute(name: Any) -> Step:
    return lambda value: getattr(value, name, None)


def _key(name: Any) -> Step:
    def step(value: Any) -> Any:
        try:
            return value[name]
        except (LookupError, TypeError):
            return None

    return step


def _sole(value: Any) -> Any:
    return (
        next(iter(value.values() if isinstance(value, dict) else value), None)
        if value.__class__ in (dict, list, tuple)
        else None
    )
