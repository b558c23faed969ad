"""What ``validate="always"`` makes of a model: its objects are looked at when they are made, and when a field is assigned.

What is read from the database is set before an object has its state (``__loaded__``), and is never looked at. The codec looks at values,
by the rules of a write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from dynamorm.models.schema.checks import ask
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import SCHEMAS, Schema

_OWNED = ("version", "created_at", "updated_at")


def looked_at(schema: Schema) -> frozenset[str]:
    """The fields whose values are looked at: those that the program gives."""
    computed = composites_of(schema)
    return frozenset(
        name
        for name, field in schema.fields.items()
        if name not in computed and field.role not in _OWNED and field.unstored is None
    )


def setter(schema: Schema, wraps: Mapping[str, Callable[[list[Any]], Any]]) -> Callable[[Any, str, Any], None]:
    """The ``__setattr__`` of a model. ``wraps`` make what an object holds of the values of some fields."""
    names = looked_at(schema)
    checks = {name: [one for one in schema.checks if name in one.fields] for name in names}

    def __setattr__(self: Any, name: str, value: Any) -> None:  # noqa: N807 - it becomes one
        wrap = wraps.get(name)
        if wrap is not None:
            held = [value]
            value = None  # no frame holds what an error does not tell
            value = wrap(held)
        if name not in names or not hasattr(self, "__loaded__"):
            object.__setattr__(self, name, value)
            return
        value = _valid(self, name, value)
        if not checks[name]:
            object.__setattr__(self, name, value)
            return
        before = getattr(self, name)
        object.__setattr__(self, name, value)
        try:
            for check in checks[name]:
                ask(schema.name, check, self)
        except BaseException:
            object.__setattr__(self, name, before)
            raise

    return __setattr__


def made(obj: Any) -> None:
    """Look at each value of a new object. Raises: ValidationError."""
    for name in looked_at(SCHEMAS[type(obj)]):
        object.__setattr__(obj, name, _valid(obj, name, getattr(obj, name)))


def together(obj: Any) -> None:
    """Look at the values of a new object together. Raises: ValidationError."""
    schema = SCHEMAS[type(obj)]
    for check in schema.checks:
        ask(schema.name, check, obj)


def _valid(obj: Any, name: str, value: Any) -> Any:
    # By name: nothing below the codec may depend on it.
    return import_module("dynamorm.codec.key_text").valid(type(obj), name, value)
