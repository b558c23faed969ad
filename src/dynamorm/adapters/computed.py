"""The composite keys of registered classes: made of fields, stored beside them, and no fields of the class themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamorm.errors import ModelError
from dynamorm.models.model import ComputedText
from dynamorm.models.schema.composite import Composite, composites_of
from dynamorm.models.schema.schema import Field, Role, Schema


def composites_in(cls: type, given: Any, parent: Schema | None, names: set[str]) -> dict[str, Composite]:
    """What is given as ``composites``, by name, and those of the base. ``names`` are those of the class's own fields.

    Raises: ModelError.
    """
    if not isinstance(given, Mapping):
        raise ModelError(
            f'{cls.__name__}: composites is a dict by name, composites={{"pk": composite("tenant_id", "number")}}, not a'
            f" {type(given).__name__}"
        )
    found = {} if parent is None else composites_of(parent)
    for name, made in given.items():
        if not isinstance(made, Composite):
            raise ModelError(
                f"{cls.__name__}: composites[{name!r}] is a composite(...), not a {type(made).__name__}: write"
                f' composites={{{name!r}: composite("tenant_id", "number")}}'
            )
        if not str.isidentifier(name) or (name not in found and hasattr(cls, name)) or name in names:
            raise ModelError(
                f"{cls.__name__}: composites names {name!r}, which the class has already, or which is no name: what is made of"
                " fields is no field itself; leave that out of the class, or choose another name"
            )
        found[name] = made
    return found


def computed_field(cls: type, name: str, made: Composite, role: Role, stored: str) -> Field:
    """The field of a composite. The key of an index may be None, as it is while one of its parts is."""
    annotation = str if role else str | None
    return Field(name=name, stored=stored, annotation=annotation, owner=cls.__name__, options=(made,), role=role)


def show_composites(cls: Any, schema: Schema) -> None:
    """Let the objects of a class show their composites, as those of a `Model` do."""
    for name in composites_of(schema):
        setattr(cls, name, property(ComputedText(name)))
