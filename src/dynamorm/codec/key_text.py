"""The text of a composite key of an object that no database has seen: of its fields alone."""

from __future__ import annotations

from functools import cache
from typing import Any

from dynamorm.schema.schema import SCHEMAS

from .codec import ModelCodec


def text_of(obj: Any, name: str) -> str | None:
    """The text of a composite of an object, None while a component has no value.

    Raises: ValidationError for a component that cannot be stored.

    Example: ``text_of(transaction, "pk")``
    """
    model: Any = getattr(obj, "__partial_of__", type(obj))
    codec = _bare_codec(model)
    composite = codec.composites[name]
    item = {
        stored: codec.normal_operand((codec.field(part),), getattr(obj, part)) for part, stored in composite.sources
    }
    return composite.text(item)


@cache
def _bare_codec(model: type) -> ModelCodec:
    """A codec without any plugin, which knows no table's name: it only makes texts of values."""
    return ModelCodec(SCHEMAS[model], lambda _schema, _field: None, _bare_codec)
