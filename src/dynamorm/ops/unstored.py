"""What `save` writes beside the changes: the defaults that an object shows of attributes that are not stored.

So one save makes an older item hold what its readers are shown, and conditions, filters and other programs see it too.
Only models with such defaults need this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import UNSET as U

from dynamorm.codec.strict import parts_of
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.models.generated import masked
from dynamorm.schema.schema import MISSING, Field

if TYPE_CHECKING:
    from dynamorm.expressions.compile import Placeholders

    from .requests import ModelRequests


def shown_by_default(plan: ModelRequests) -> tuple[FieldPlan, ...]:
    """The fields whose default is shown while they are not stored, and may be written.

    Not those that the library owns or that keep their value, for a default is no value that anybody gave; nor secret
    ones. Without a version, nor those that a key of an index is made of: it would be made of what may be outdated.
    """
    made_of: set[str] = set()
    if plan.version is None:
        made_of = {name for one in plan.codec.composites.values() for name, _ in one.sources}
    return tuple(one for one in plan.codec.record.plans if _is_written(one.field) and one.name not in made_of)


def _is_written(field: Field) -> bool:
    if field.role not in {"", "ttl"} or field.immutable or field.write_once or field.protected or masked(field):
        return False
    return field.default_factory is not None or (field.default is not MISSING and field.default is not None)


def unstored(plan: ModelRequests, obj: Any, loaded: bytes, changes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The wire values, by stored name, that an object shows of what its loaded item lacks and a save does not change.

    What is stored as NULL reads as it does when it is missing, and is left so.
    """
    parts = parts_of(loaded)
    found: dict[str, dict[str, Any]] = {}
    for one in plan.shown:
        if one.stored in parts or one.stored in changes or one.stored_in(parts) is not U:
            continue
        wire = plan.codec.encode_field(one.name, getattr(obj, one.name))
        if wire is not None and "NULL" not in wire:
            found[one.stored] = wire
    return found


def told(shown: Mapping[str, dict[str, Any]], places: Placeholders) -> list[str]:
    """The texts of an update expression that store them; without a version somebody may have stored another value since."""
    return [
        f"{places.name(name)} = if_not_exists({places.name(name)}, {places.value(wire)})"
        for name, wire in shown.items()
    ]
