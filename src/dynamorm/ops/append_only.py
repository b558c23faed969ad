"""Append-only lists: what a save sends of one that has grown, and what is refused. Used only by models that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ModelError, ValidationError
from dynamorm.schema.schema import AppendOnly, Field

if TYPE_CHECKING:
    from .requests import ModelRequests


def names_of(plan: ModelRequests) -> tuple[str, ...]:
    """The stored names of the model's append-only lists. Raises: ModelError when one is no list."""
    return tuple(field.stored for field in _fields(plan))


def _fields(plan: ModelRequests) -> list[Field]:
    codec = plan.codec
    found = [field for field in codec.schema.fields.values() if field.option(AppendOnly)]
    for field in found:
        if codec.plans[field.name].shape.tag != "L":
            raise ModelError(f"{codec.schema.name}.{field.name} is AppendOnly, which needs a list: Attr[list[...]]")
    return found


def tails_of(
    plan: ModelRequests, obj: Any, changes: dict[str, dict[str, Any] | None], loaded: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """What each changed append-only list of a loaded object has gained, as a list to append; ``loaded`` is what it was.

    Raises: ValidationError when it was changed in any other way, or there is no version to make the append happen once.
    """
    codec = plan.codec
    tails: dict[str, dict[str, Any]] = {}
    for field in _fields(plan):
        if field.stored not in changes:
            continue
        name = f"{codec.schema.name}.{field.name}"
        if plan.version is None:
            raise ValidationError(
                f"{name} is append-only, and without a version a save could append twice: declare version:"
                f" Attr[int] = version(), or use db.update(obj, {name}.append(x))",
                field=field.name,
            )
        stored = codec.stored(obj, field.stored)
        if stored is None or "L" not in stored:
            continue  # there was no list: it is set as a whole
        old = loaded.get(field.stored, {}).get("L", [])
        new = (changes[field.stored] or {}).get("L", [])
        if len(new) <= len(old) or new[: len(old)] != old:
            raise ValidationError(
                f"{name} is append-only, and was changed elsewhere than at its end: append to it, and leave the rest",
                field=field.name,
            )
        tails[field.stored] = {"L": new[len(old) :]}
    return tails


def no_put(plan: ModelRequests) -> ValidationError:
    """The error for a put, which would replace the list with whatever others have appended to it."""
    name = plan.codec.schema.name
    lists = ", ".join(f"{name}.{field.name}" for field in _fields(plan))
    return ValidationError(f"{lists} is append-only, and a put would replace it: use db.create or db.save")
