"""What the makers of test objects know of a model: how its fields are stored, and whether an object can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dynamorm.codec.codec import ModelCodec
from dynamorm.codec.registry import Registry
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.scalars import SCALARS
from dynamorm.codec.types.shapes import Scalar
from dynamorm.errors import DynamORMError
from dynamorm.models.schema.schema import SCHEMAS, schema_of

LIBRARY_ROLES = ("version", "created_at", "updated_at")
"""Roles of fields that a write sets."""


def codec_of(model: Any) -> ModelCodec:
    """The codec of a model, whatever plugins its options ask for. Raises: InvalidUse for what is no model."""
    schema_of(model)
    options = {
        type(option) for schema in SCHEMAS.values() for field in schema.fields.values() for option in field.options
    }
    return Registry(claimed=tuple(options)).codec(model)


def free_fields(codec: ModelCodec) -> Iterator[FieldPlan]:
    """The fields that a program gives: without those that a write sets."""
    for plan in codec.record.plans:
        if plan.field.role not in LIBRARY_ROLES and not plan.field.filled_in:
            yield plan


def is_storable(codec: ModelCodec, obj: Any) -> bool:
    """Whether an object can be stored: its constraints and DynamoDB's limits hold."""
    try:
        item = codec.encode(obj)
        for plan in codec.placed:  # what has no stored form yet is measured as it is
            if (wire := item.get(plan.stored)) is not None and plan.waits(wire):
                item[plan.stored] = plan.before(wire, None)
        codec.item_bytes(item)
        codec.key_of(obj)
    except DynamORMError:
        return False
    return True


def choices_of(shape: Scalar) -> list[Any] | None:
    """The values of an Enum or a Literal; None for any other type."""
    members = shape.names.get("members")
    return None if members is None else list(members.values())


def type_of(shape: Scalar) -> type | None:
    """The Python type of single values."""
    return next(
        (kind for kind, known in SCALARS.items() if known is shape), shape.classes[0] if shape.classes else None
    )
