"""What can be wrong with the composite keys of a model, found when its class is made. It must not know stored values.

Types whose names cannot be resolved yet are looked at again when the codec is built.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from dynamorm.errors import ModelError
from dynamorm.models.schema.composite import Composite, composites_of
from dynamorm.models.schema.key_forms import NUMBER
from dynamorm.models.schema.schema import Field, Json, Schema

from .declare import did_you_mean

_NO_TEXT: Final = (float, bool, bytes, bytearray, list, tuple, Mapping, AbstractSet)


def check_composites(schema: Schema) -> None:
    """Refuse a composite that could not be computed.

    Raises: ModelError naming the field and the fix.

    Example: ``check_composites(schema_of(Transaction))``
    """
    composites = composites_of(schema)
    partitions = {name for index in schema.indexes.values() for name in index.partition}
    for name, composite in composites.items():
        where = f"{schema.name}.{name}"
        field = schema.fields[name]
        if not _is_text(field):
            raise ModelError(
                f"{where}: a composite is stored as text: annotate it as Attr[str]"
                + ("" if field.role else ", or as Attr[str | None], as the class may whose field it overrides")
            )
        if field.role not in ("", "partition", "sort"):
            raise ModelError(f"{where}: a {field.role} cannot be a composite")
        for component in composite.components:
            _check_component(schema, field, composite, component, composites)
        if composite.shards and field.role != "partition" and name not in partitions:
            raise ModelError(
                f"{where}: shards are for a partition key; this is none, neither of the table nor of an index"
            )


def _is_text(field: Field) -> bool:
    """Whether a field is declared as text; the key of an index may be None, as it is while one of its parts is."""
    if isinstance(field.annotation, str):
        names = {name.strip() for name in field.annotation.split("|")}
        kinds, optional = list(names - {"None"}), "None" in names
    else:
        kinds, optional = _kinds(field.annotation)
    return kinds in ([str], ["str"]) and not (optional and bool(field.role))


def _check_component(
    schema: Schema, field: Field, composite: Composite, name: str, composites: dict[str, Composite]
) -> None:
    where = f"{schema.name}.{field.name}"
    component = schema.fields.get(name)
    if component is None:
        others = [field_name for field_name in schema.fields if field_name not in composites]
        raise ModelError(f"{where}: {name!r} is no field of {schema.name}{did_you_mean(name, others)}")
    if name in composites:
        raise ModelError(f"{where}: {name!r} is a composite itself; name its fields instead")
    if component.role == "version":
        raise ModelError(f"{where}: {name!r} is the version, which every write changes: it cannot be in a key")
    if field.role and component.role == "updated_at":
        raise ModelError(f"{where}: {name!r} changes with every write, and a primary key never does")
    if component.option(Json) is not None:
        raise ModelError(f"{where}: {name!r} is stored as JSON, which has no order: it cannot be in a key")
    kind, optional = _kinds(component.annotation)
    if optional and field.role:
        raise ModelError(f"{where}: {name!r} may be None, and a primary key has a value always: make it no Optional")
    for cls in kind:
        if isinstance(cls, type) and issubclass(cls, _NO_TEXT):
            raise ModelError(
                f"{where}: {name!r} is a {cls.__name__}, which cannot be in a key: only texts, numbers that are exact,"
                " times, UUIDs and enums can"
            )
        slot = next((slot for slot in composite.slots if slot.name == name), None)
        if cls is str and slot is not None and (slot.width or slot.form == NUMBER):
            raise ModelError(f"{where}: {name!r} is text, so it cannot be padded, nor written, as a number")


def _kinds(annotation: Any) -> tuple[list[Any], bool]:
    """The classes an annotation may mean, as far as that is known now, and whether None is among them."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if origin is typing.Union or origin is types.UnionType:
        members = [_kinds(argument) for argument in typing.get_args(annotation)]
        return [kind for kinds, _ in members for kind in kinds], any(optional for _, optional in members)
    if annotation is None or annotation is type(None):
        return [], True
    return [origin or annotation], False
