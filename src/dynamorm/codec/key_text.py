"""The text of a composite key of an object: of its fields alone, or, with a view's scope in it, of the item that is stored."""

from __future__ import annotations

from functools import cache
from typing import Any

from dynamorm.models.schema.schema import SCHEMAS

from .codec import ModelCodec
from .state import SLOTS
from .strict import decoded, parts_of


def text_of(obj: Any, name: str) -> str | None:
    """The text of a composite of an object, None while a component has no value.

    Raises: ValidationError for a component that cannot be stored.

    Example: ``text_of(transaction, "pk")``
    """
    model: Any = getattr(obj, "__partial_of__", type(obj))
    codec = _bare_codec(model)
    composite = codec.composites[name]
    if composite.made.scoped:  # nobody but the view knows its scope, and the item that is stored
        raw = SLOTS.get_state(obj) if hasattr(obj, "__partial_of__") else codec.loaded(obj)
        if raw is None:
            return composite.join({})
        part = parts_of(raw).get(composite.stored)
        return None if part is None else decoded(part).get("S")
    item = {stored: codec.normal_operand((codec.field(part),), getattr(obj, part)) for part, stored in composite.inputs}
    return composite.text(item)


def valid(model: type[Any], name: str, value: Any) -> Any:
    """The value of a field as it may be stored: as its validators leave it. Raises: ValidationError, as a write would.

    Example: ``valid(Account, "email", " A@B.example ")``
    """
    kind: Any = model  # a class is hashable, which mypy does not see
    codec = _bare_codec(kind)
    field = codec.field(name)
    if value is None and field.filled_in:
        return value
    wire = codec.encode_field(name, value)
    return value if wire is None or not field.validators else codec.decode_field(name, wire)


@cache
def _bare_codec(model: type) -> ModelCodec:
    """A codec without any plugin, which knows no table's name: it only makes texts of values."""
    return ModelCodec(SCHEMAS[model], lambda _schema, _field: None, _bare_codec)
