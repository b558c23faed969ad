"""Keys by their parts: the key of an item from the fields it is made of, and conditions on those fields as conditions
on the key.

It must not know how a query is planned or sent.
"""

from __future__ import annotations

from typing import Any

from dynamorm.codec.composites import Computed, text_in
from dynamorm.errors import ValidationError
from dynamorm.schema import Key

from .plan import Plan


def key_from_parts(plan: Plan, key: tuple[Any, ...], parts: dict[str, Any]) -> tuple[Any, ...]:
    """The key's values in order, each given by the key field's own name or by all the fields it is made of.

    Raises: ValidationError naming all parts.
    """
    codec = plan.codec
    schema = codec.schema
    assert schema.key is not None  # a plan is made only for a model with a key
    left = set(parts)
    values: list[Any] = []
    for name in schema.key.fields:
        one = codec.composites.get(name)
        if name in parts:
            left.discard(name)
            values.append(parts[name])
        elif one is not None and all(part in parts for part in one.made.components):
            left.difference_update(one.made.components)
            values.append(_text(plan, one, parts))
        else:
            break
    if key or left or len(values) < len(schema.key.fields):
        got = ", ".join([*("a value" for _ in key), *sorted(parts)])
        raise ValidationError(
            f"{schema.name} is found by its key: give {_wanted(plan, schema.key)}, by name; or the stored texts of"
            f" {', '.join(schema.key.fields)} in order (got {got})"
        )
    return tuple(values)


def _wanted(plan: Plan, key: Key) -> str:
    names: dict[str, None] = {}
    for name in key.fields:
        one = plan.codec.composites.get(name)
        names |= dict.fromkeys((name,) if one is None else one.made.components)
    return ", ".join(names)


def _text(plan: Plan, one: Computed, parts: dict[str, Any]) -> str | None:
    texts: dict[str, str] = {}
    for name, _ in one.sources:
        text = text_in(f"{one.owner}.{name}", plan.codec.encode_field(name, parts[name]))
        if text is None:
            raise ValidationError(f"{one.owner}.{name} is part of the key and needs a value", field=name)
        texts[name] = text
    return one.join(texts)


def wires_of(plan: Plan, parts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The wire values of the parts that are fields of their own, by stored name."""
    codec = plan.codec
    found: dict[str, dict[str, Any]] = {}
    for name, value in parts.items():
        wire = None if name in codec.composites else codec.encode_field(name, value)
        if wire is not None:
            found[codec.field(name).stored] = wire
    return found
