"""Classes that name a part of a model's attributes: what of each item is read for them, and how one of their objects is made.

It must not know how a query is sent.
"""

from __future__ import annotations

import dataclasses
import typing
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.codec.types.hints import class_context, field_context, resolved
from dynamorm.errors import ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import SCHEMAS

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Schema

_MOST: Final = 256
"""Classes that are kept once they were read."""


class View(Struct, frozen=True):
    """One class as a view of a model: the ``names`` of the fields that it takes."""

    cls: Any
    names: tuple[str, ...]

    def objects(self, items: list[Any]) -> list[Any]:
        """An object of the class for each item. Raises: ValidationError where the class refuses one, without its values."""
        cls, names = self.cls, self.names
        try:
            return [cls(**{name: getattr(item, name) for name in names}) for item in items]
        except Exception as error:  # noqa: BLE001 - of a class that is not known here: its text may hold values
            failed = type(error).__name__
        raise ValidationError(
            f"select_as(): {cls.__name__} refused what is stored: its constructor raised {failed}; read the items without"
            " select_as, or let the class take what the model takes",
            field="select_as",
        )


def view_of(schema: Schema, cls: Any) -> View:
    """A class as a view of a model. Raises: ValidationError for one that is none, or that names what the model does not have."""
    return _view_of(schema, cls) if isinstance(cls, type) else _read(schema, cls)


@lru_cache(maxsize=_MOST)
def _view_of(schema: Schema, cls: type[Any]) -> View:
    return _read(schema, cls)


def _read(schema: Schema, cls: Any) -> View:
    fields = _fields_of(cls)
    if not fields:
        raise ValidationError(
            f"select_as() takes a class whose attributes are a part of those of {schema.name}: a dataclass, TypedDict,"
            f" NamedTuple, Struct, a pydantic or a nested model; got {getattr(cls, '__name__', type(cls).__name__)}",
            field="select_as",
        )
    outer = field_context(schema, next(iter(schema.fields.values())))
    context = class_context(cls, outer, {})
    for name, annotation in fields.items():
        field = schema.fields.get(name)
        if field is None:
            raise ValidationError(
                f"select_as(): {schema.name} has no field {name!r}, which {cls.__name__} names"
                f"{did_you_mean(name, schema.fields)}",
                field=name,
            )
        given, wanted = (
            _members(resolved(field.annotation, field_context(schema, field))),
            _members(resolved(annotation, context)),
        )
        if not given <= wanted and not wanted & {Any, object}:
            raise ValidationError(
                f"select_as(): {cls.__name__}.{name} is {_shown(wanted)}, and {schema.name}.{name} is {_shown(given)}: give"
                " both one type",
                field=name,
            )
    return View(cls, tuple(fields))


def _fields_of(cls: Any) -> dict[str, Any]:
    """The attributes that the constructor of a class takes, with their annotations; none for what is no such class."""
    if not isinstance(cls, type):
        return {}
    schema = SCHEMAS.get(cls)
    if schema is not None:
        return {name: field.annotation for name, field in schema.fields.items() if name not in composites_of(schema)}
    if dataclasses.is_dataclass(cls):
        return {field.name: field.type for field in dataclasses.fields(cls) if field.init}
    names = (
        getattr(cls, "__struct_fields__", None) or getattr(cls, "_fields", None) or getattr(cls, "model_fields", None)
    )
    if names is None and not typing.is_typeddict(cls):
        return {}
    hints = typing.get_type_hints(cls)
    return {name: hints[name] for name in (hints if names is None else names) if name in hints}


def _members(hint: Any) -> frozenset[Any]:
    """The types that a value may be of."""
    return frozenset(typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,))


def _shown(members: frozenset[Any]) -> str:
    names = sorted(getattr(one, "__name__", None) or str(one) for one in members)
    return " | ".join("None" if name == "NoneType" else name for name in names)
