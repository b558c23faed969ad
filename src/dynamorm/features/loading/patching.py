"""The updates that a mapping of field names to values stands for, as pydantic's ``model_dump(exclude_unset=True)`` gives it.

They are sent by the flow of `update`, in whose place they stand: all that holds for updates holds for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.codec.types.records import Record
from dynamorm.codec.values.updates import shape_at
from dynamorm.errors import ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.expressions.path import Path, Update

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def as_update(context: Context, subject: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of `update` for those of ``patch``: the key, then in the place of the mapping the updates.

    Raises: ValidationError for what is no mapping, holds nothing, or names what is no field.
    """
    model = subject if isinstance(subject, type) else type(subject)
    codec = context.plan(model).codec
    *key, changes = args or (None,)
    if not isinstance(changes, Mapping):
        raise ValidationError(
            f"patch of {codec.schema.name} takes the changes last, as a mapping of field names to values, not"
            f" {type(changes).__name__}: db.patch({codec.schema.name}, key, {{...}})",
            field="changes",
        )
    updates = tuple(_updates(codec, codec.schema.name, None, codec.schema.fields, changes))
    if not updates:
        raise ValidationError(
            f"patch of {codec.schema.name} was given no change: its mapping names no field; read the item with get, or"
            " leave the call out",
            field="changes",
        )
    return (*key, *updates)


def _updates(
    codec: Any, owner: str, outer: Path[Any] | None, fields: Mapping[str, Any], changes: Mapping[Any, Any]
) -> Iterator[Update]:
    """One update for each value; a mapping for a nested object changes inside it, and leaves its other fields as they are."""
    for name, value in changes.items():
        field = fields.get(name) if isinstance(name, str) else None
        if field is None:
            raise _unknown(owner, name, fields)
        path: Path[Any] = Path(field)
        path = path if outer is None else outer[path]
        shape = shape_at(codec, path.parts) if isinstance(value, Mapping) else None
        if isinstance(shape, Record):
            if not value:
                raise ValidationError(
                    f"patch of {owner} was given no change inside {name}: its mapping names no field; leave {name} out",
                    field=path.name,
                )
            inner = {plan.name: plan.field for plan in shape.plans}
            yield from _updates(codec, f"{owner}.{name}", path, inner, value)
        else:
            yield path.set(value)


def _unknown(owner: str, name: Any, fields: Iterable[str]) -> ValidationError:
    if not isinstance(name, str):
        return ValidationError(f"patch of {owner} names fields by text, not by {type(name).__name__}", field="changes")
    return ValidationError(
        f"patch names {name[:80]!r}, which is no field of {owner}{did_you_mean(name[:80], fields)}", field=name[:80]
    )
