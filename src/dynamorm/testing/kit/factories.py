"""`factory(Model)`: objects of a model with made-up values, the same in every run. It must not know databases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from dynamorm.codec.types.containers import AnySetShape, DictShape, ListShape, SetShape, TupleShape
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.jsontext import JsonShape
from dynamorm.codec.types.records import Record
from dynamorm.codec.types.shapes import AnyShape, Scalar, Shape
from dynamorm.codec.types.unions import FamilyShape, Union
from dynamorm.errors import InvalidUse
from dynamorm.models.schema.schema import Field, Unique
from dynamorm.testing.kit.model_shapes import choices_of, codec_of, free_fields, type_of

M = TypeVar("M")

_BEGIN: Final = datetime(2024, 1, 1, tzinfo=UTC)


class factory(Generic[M]):  # noqa: N801 - it is called as a function, and gives what is called as one
    """Makes objects of a model: what is not given gets its default, or a value of its type with a number of its own.

    ``values`` are those of all objects: a value, a text with ``{n}`` for the number of the object, or a function of it. Nothing
    is stored.

    Raises: InvalidUse for a name that no field has, and for a field whose values cannot be made up.

    Example::

        payments = factory(Payment, currency="EUR", amount=lambda n: n * 100)
        db.create(payments())
        db.batch_write(puts=payments.batch(50, status="done"))
    """

    def __init__(self, model: type[M], /, **values: Any) -> None:
        self._model = model
        self._codec = codec_of(model)
        self._values = values
        self._count = 0
        self._check(values)

    def __call__(self, **values: Any) -> M:
        """One more object, with these values."""
        self._check(values)
        self._count += 1
        number = self._count
        given = {name: _given(value, number) for name, value in {**self._values, **values}.items()}
        made = {
            plan.name: _made_up(plan.shape, plan.field, number)
            for plan in free_fields(self._codec)
            if plan.name not in given and _needs_value(plan)
        }
        obj: M = self._model(**made, **given)
        return obj

    def batch(self, count: int, **values: Any) -> list[M]:
        """So many objects.

        Example: ``payments.batch(3, status="done")``
        """
        return [self(**values) for _ in range(count)]

    def _check(self, values: dict[str, Any]) -> None:
        known = [plan.name for plan in self._codec.record.plans]
        for name in values:
            if name not in known:
                raise InvalidUse(
                    f"factory({self._codec.schema.name}): there is no field {name}; known are {', '.join(known)}"
                )


def _needs_value(plan: FieldPlan) -> bool:
    """Whether a field has no default that would do: one of several objects must be told apart by its key and what is unique."""
    if plan.field.option(Unique) is not None and plan.field.default is not None:
        return True
    return plan.field.required


def _given(value: Any, number: int) -> Any:
    if isinstance(value, str):
        return value.replace("{n}", str(number))
    return value(number) if callable(value) and not isinstance(value, type) else value


def _made_up(shape: Shape, field: Field, number: int) -> Any:
    """A value of a shape."""
    if isinstance(shape, Scalar):
        return _scalar(shape, field, number)
    if isinstance(shape, Union):
        return _made_up(shape.members[0], field, number)
    if isinstance(shape, TupleShape):
        return tuple(_made_up(item, field, number) for item in shape.items)
    if isinstance(shape, (ListShape, SetShape, AnySetShape)):
        return shape.kind()
    if isinstance(shape, DictShape) or (isinstance(shape, JsonShape) and shape.annotation in (dict, dict[str, Any])):
        return {}
    if isinstance(shape, AnyShape):
        return None
    if isinstance(shape, (Record, FamilyShape)):
        record = shape if isinstance(shape, Record) else shape.codec_of(shape.cls).record
        values = {one.name: _made_up(one.shape, one.field, number) for one in record.plans if _needs_value(one)}
        return record.cls(**values) if record.style not in ("call", "dict") else record.make(values)
    raise InvalidUse(f"factory(...): give a value for {field.owner}.{field.name}, whose type has no made-up ones")


def _scalar(shape: Scalar, field: Field, number: int) -> Any:
    choices = choices_of(shape)
    if choices:
        return choices[0]
    kind = type_of(shape)
    if kind is str:
        if field.pattern is not None:
            raise InvalidUse(f"factory(...): give a value for {field.owner}.{field.name}, which has a pattern")
        text = f"{field.name}-{number}"
        return text.ljust(field.min_length or 0, "x")[-(field.max_length or len(text) + (field.min_length or 0)) :]
    made: dict[Any, Callable[[], Any]] = {
        int: lambda: int(_within(field, number)),
        Decimal: lambda: Decimal(_within(field, number)),
        float: lambda: float(_within(field, number)),
        bool: lambda: False,
        bytes: lambda: number.to_bytes(8, "big"),
        UUID: lambda: UUID(int=number),
        datetime: lambda: _BEGIN + timedelta(seconds=number),
        date: (_BEGIN + timedelta(days=number)).date,
        time: lambda: time(0, 0),
        timedelta: lambda: timedelta(seconds=number),
    }
    if kind not in made:
        raise InvalidUse(f"factory(...): give a value for {field.owner}.{field.name}, whose type has no made-up ones")
    return made[kind]()


def _within(field: Field, number: int) -> Any:
    """A number within the limits of a field."""
    low = field.ge if field.ge is not None else None if field.gt is None else field.gt + 1
    high = field.le if field.le is not None else None if field.lt is None else field.lt - 1
    found = number if low is None else max(low, number)
    return found if high is None else min(high, found)
