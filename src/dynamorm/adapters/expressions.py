"""Expressions for registered classes, whose class attributes are their own: ``fields(Order).total > 5``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Generic, TypeVar

from dynamorm.errors import InvalidAttribute
from dynamorm.models.declare import Attr, did_you_mean
from dynamorm.models.schema.schema import Index, Schema, schema_of

M = TypeVar("M")


class Fields(Generic[M]):
    """The attributes of a registered class, by field name; its indexes too. Made by `fields`.

    What holds the values' types is the class itself, so a type checker sees ``Attr[Any]`` here.

    Example: ``F = fields(Order); F.total > 5; F["total"].add(1)``
    """

    __slots__ = ("__found__", "__schema__")
    __schema__: Schema
    __found__: dict[str, Any]

    def __init__(self, schema: Schema) -> None:
        self.__schema__ = schema
        self.__found__ = {name: Attr(field) for name, field in schema.fields.items()}
        self.__found__.update(schema.indexes)

    def __getattr__(self, name: str) -> Attr[Any]:
        try:
            return self.__found__[name]  # type: ignore[no-any-return]  # an Attr; an Index where one is asked for
        except KeyError:
            hint = did_you_mean(name, self.__found__)
            raise InvalidAttribute(f"{self.__schema__.name} has no field {name!r}{hint}") from None

    def __getitem__(self, name: str) -> Attr[Any]:
        return getattr(self, name)  # type: ignore[no-any-return]  # as above

    def __iter__(self) -> Iterator[str]:
        """The names, in order of declaration."""
        return iter(self.__schema__.fields)

    def __dir__(self) -> list[str]:
        return sorted(self.__found__)

    def __repr__(self) -> str:
        return f"<Fields of {self.__schema__.name}: {', '.join(self.__schema__.fields)}>"


@cache
def _fields_of(model: Any) -> Fields[Any]:
    return Fields(schema_of(model))


def fields(model: type[M], /) -> Fields[M]:
    """The attributes of a registered class, for conditions and updates.

    Raises: InvalidUse when the class is neither registered nor a Model.

    Example: ``db.update(order, fields(Order).total.add(5))``
    """
    by_class: Any = _fields_of  # a class is hashable, which mypy does not see of type[M]
    fields_of_model: Fields[M] = by_class(model)
    return fields_of_model


__all__ = ["Fields", "Index", "fields"]
