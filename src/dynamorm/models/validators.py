"""Validators as methods of a model: of one field each, and of several fields together. Loaded with the first model that has any.

Those of one field join its ``validators``; those of several are kept in ``Schema.checks``, and are run by the codec. It must not know wire types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload

from msgspec.structs import replace

from dynamorm.errors import ModelError
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import Check, Field, Schema

from .class_body import USE, marked
from .declare import did_you_mean

V = TypeVar("V")
M = TypeVar("M")
_ONE = "__dynamorm_field_validator__"
_SEVERAL = "__dynamorm_model_validator__"


class _OfField(Protocol):
    @overload
    def __call__(self, function: staticmethod[[V], V], /) -> staticmethod[[V], V]: ...
    @overload
    def __call__(self, function: Callable[[V], V], /) -> Callable[[V], V]: ...


class _OfModel(Protocol):
    def __call__(self, function: Callable[[M], None], /) -> Callable[[M], None]: ...


def field_validator(*fields: str) -> _OfField:
    """Declare a validator of fields in the body of a model or mixin: a static method from the value to the value to store.

    It is what ``attr(validators=(...))`` is, so it holds for updates, keys and conditions, too. It raises ValueError for a value that
    may not be stored. None is given to no validator.

    Raises: ModelError for a name that is no field, when the class is made.

    Example::

        class Account(Model, table="accounts"):
            email: Attr[str] = partition_key()

            @field_validator("email")
            @staticmethod
            def lower(value: str) -> str:
                return value.strip().lower()
    """
    _check_names("field_validator", fields)

    def mark(function: Any) -> Any:
        inner = function.__func__ if isinstance(function, staticmethod) else function
        _mark(inner, _ONE, fields, "field_validator")
        return function if isinstance(function, staticmethod) else staticmethod(function)

    return mark


def model_validator(*fields: str) -> _OfModel:
    """Declare a validator of several fields together: a method that looks at these, and raises ValueError where they do not fit.

    It is run before each write of a whole object (create, put, save; in batches and transactions, too), with ``validate="always"``
    also when an object is made or one of the fields is assigned. An update that changes one of the fields must tell all of them:
    see the guide. The method is given an object that has these fields, and returns nothing.

    Raises: ModelError for a name that is no field, when the class is made.

    Example::

        class Booking(Model, table="bookings"):
            id: Attr[str] = partition_key()
            begins: Attr[int]
            ends: Attr[int]

            @model_validator("begins", "ends")
            def in_order(self) -> None:
                if self.ends < self.begins:
                    raise ValueError("it ends before it begins")
    """
    _check_names("model_validator", fields)

    def mark(function: Any) -> Any:
        return _mark(function, _SEVERAL, fields, "model_validator")

    return mark


def _check_names(what: str, fields: tuple[Any, ...]) -> None:
    if not fields or not all(isinstance(name, str) for name in fields):
        raise ModelError(f'{what} takes the names of its fields, as texts: @{what}("begins", "ends")')


def _mark(function: Any, mark: str, fields: tuple[str, ...], what: str) -> Any:
    if not callable(function) or isinstance(function, (classmethod, property, type)):
        hint = "a static method, @staticmethod below it" if mark is _ONE else "a method"
        raise ModelError(f"@{what} stands over {hint}, not over a {type(function).__name__}")
    if hasattr(function, "__code__") and function.__code__.co_flags & _COROUTINE:
        raise ModelError(
            f"@{what}: {function.__name__} is a coroutine function, and nobody awaits a validator: `def` it"
        )
    try:
        setattr(function, mark, fields)
    except AttributeError:
        raise ModelError(f"@{what} stands over a function of your own, not over a {type(function).__name__}") from None
    USE.ever = True
    return function


_COROUTINE = 0x80 | 0x20 | 0x200  # `inspect.CO_COROUTINE`, of generators too, whose module takes long to import


def with_validators(schema: Schema, bases: tuple[type, ...], namespace: dict[str, Any]) -> Schema:
    """The schema with the validators that a class body, its mixins and its bases declare. Raises: ModelError."""
    fields, checks = dict(schema.fields), []
    composites = composites_of(schema)
    for name, function, names in marked(_ONE, bases, namespace):
        for field_name in names:
            field = _named(schema, name, field_name)
            if field_name in composites or field.unstored is not None:
                raise ModelError(
                    f"{schema.name}.{name}: {field_name!r} is {_not_given(field)}, so no validator sees it"
                )
            if function not in field.validators:
                fields[field_name] = replace(fields[field_name], validators=(*fields[field_name].validators, function))
    for name, function, names in marked(_SEVERAL, bases, namespace):
        for field_name in names:
            field = _named(schema, name, field_name)
            if field.role in _OWNED or field_name in composites or field.unstored is not None or field.filled_in:
                raise ModelError(
                    f"{schema.name}.{name}: {field_name!r} is {_not_given(field)}, so that a model_validator cannot look at it"
                )
        checks.append(Check(name, tuple(dict.fromkeys(names)), function))
    return replace(schema, fields=fields, checks=tuple(checks))


_OWNED = ("version", "created_at", "updated_at")


def _named(schema: Schema, validator: str, name: str) -> Field:
    if name not in schema.fields:
        raise ModelError(
            f"{schema.name}.{validator} names {name!r}, which is no field{did_you_mean(name, schema.fields)}"
        )
    return schema.fields[name]


def _not_given(field: Field) -> str:
    if field.role in _OWNED:
        return "kept by the library"
    return "not stored" if field.unstored is not None else "computed, or filled in with the write"
