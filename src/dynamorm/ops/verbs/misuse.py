"""What is said of a change that was written in another library's way: as a keyword argument, or as a dict.

Only what looks wrong comes here, so the right way pays nothing for it. It must not know the wire.
"""

from __future__ import annotations

from typing import Any

from dynamorm.errors import InvalidUse, ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import Schema


def check_change(schema: Schema, key: tuple[Any, ...], parts: dict[str, Any], updates: tuple[Any, ...]) -> None:
    """Refuse new values where the key belongs. Raises: ValidationError that shows the update to write."""
    names = _key_names(schema)
    for name in parts:
        if name not in names:
            raise not_an_argument(schema, name)
    for value in key:
        if isinstance(value, (dict, list, set)):
            first = next((name for name in value if name in schema.fields), None)
            raise ValidationError(
                f"changes of a {schema.name} are updates, not a {type(value).__name__}: {_written(schema, first)}",
                field=first,
            )
    if not updates:
        raise ValidationError(
            f"update of {schema.name} was given nothing to do: {_written(schema, None)}, the key before it"
        )


def not_one_object(verb: str, obj: Any, more: tuple[Any, ...], named: dict[str, Any]) -> InvalidUse:
    """The error for arguments that are given to a verb after its one object: values, or more objects."""
    if not isinstance(obj, type):
        given = f"{next(iter(named))}= is no argument of it" if named else f"got {1 + len(more)} arguments"
        return InvalidUse(
            f"{verb} takes one object, {given}: many objects are for batch_write(puts=[...]) or a transaction"
        )
    name = obj.__name__
    values = "**values" if any(isinstance(argument, dict) for argument in more) else "<field>=value"
    return InvalidUse(f"{verb} takes an object, not a class and its values: write db.{verb}({name}({values}))")


def not_an_argument(schema: Schema, name: str) -> ValidationError:
    """The error for a keyword argument that names what is no part of the key."""
    if name not in schema.fields:
        hint = did_you_mean(name, schema.fields)
        key = ", ".join(schema.key.fields if schema.key else ())
        return ValidationError(
            f"{name}= is no argument: the key of {schema.name} is {key}, and it has no field {name!r}{hint}", field=name
        )
    if name in _key_names(schema):
        return ValidationError(
            f"{name}= is part of the key, which an object brings along: give an object, or a model and a key, not both",
            field=name,
        )
    return ValidationError(
        f"{name}= is no argument, for {name} is no part of the key of {schema.name}: {_written(schema, name)}",
        field=name,
    )


def _written(schema: Schema, name: str | None) -> str:
    """How the change is written."""
    return f"pass {schema.name}.{name or '<field>'}.set(value)"


def _key_names(schema: Schema) -> frozenset[str]:
    """The fields by which an item is found: those of its key, and what these are made of."""
    names = schema.key.fields if schema.key else ()
    computed = composites_of(schema)
    made_of = (part for name in names if name in computed for part in (*computed[name].fields, *computed[name].by))
    return frozenset([*names, *made_of])
