"""JSON Schema of models: of what `dynamorm get --models` shows and `put --models` takes, by the names of fields.

Source: https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, get_args

import msgspec

from dynamorm.models.annotations import Scope, resolve
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import SCHEMAS, Field, Schema, schema_of

_BOUNDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_LENGTHS: Final = {"string": "Length", "array": "Items", "object": "Properties"}
_OF_THE_LIBRARY: Final = frozenset({"version", "created_at", "updated_at"})
_DECIMAL: Final = {"type": "string", "format": "decimal"}
_TIME: Final[Any] = Annotated[datetime, msgspec.Meta(tz=True)]
_AWARE: Final[dict[Any, Any]] = {datetime: _TIME, datetime | None: _TIME | None}
"""Times are stored and shown with their offset, which makes them date-times."""
_ONLY_PYTHON: Final = ("(?P", "(?#", "(?x", "\\A", "\\Z")
"""What regular expressions of JSON Schema do not have: they are those of JavaScript."""


def json_schema(model: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a model. A type of the program's own may be anything."""
    definitions: dict[str, Any] = {}
    found = _Document(definitions).object(schema_of(model))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": schema_of(model).name,
        **found,
        **({"$defs": definitions} if definitions else {}),
    }


class _Document:
    """The schemas of one model and of what is in it. ``definitions`` takes what is referred to."""

    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions

    def object(self, schema: Schema) -> dict[str, Any]:
        """The schema of a model's fields."""
        computed = composites_of(schema)
        stored = {name: field for name, field in schema.fields.items() if field.unstored is None}
        properties: dict[str, Any] = {}
        for name, field in stored.items():
            own = name in computed or field.role in _OF_THE_LIBRARY
            kind = self._limited(self._type(schema, field), field)
            kind = _or_null(kind) if field.default is None and kind else kind
            properties[name] = kind | _default(field) | ({"readOnly": True} if own else {})
        required = [name for name, field in stored.items() if field.required and name not in computed]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    def _type(self, schema: Schema, field: Field) -> dict[str, Any]:
        kind = field.annotation
        if isinstance(kind, str):
            kind = resolve(kind, Scope({}, schema.model.__module__, dict(schema.namespace)))
        for nested in _models_in(kind):
            self._define(nested)
        kind = _AWARE.get(kind, kind) if isinstance(kind, Hashable) else kind
        found: dict[str, Any]
        try:
            (found,), more = msgspec.json.schema_components([kind], schema_hook=_unknown, ref_template="#/$defs/{name}")
        except (TypeError, ValueError):
            return {}
        for name, one in more.items():
            self._definitions.setdefault(name, _numbers(one))
        numbers: dict[str, Any] = _numbers(found)
        return numbers

    def _define(self, model: type) -> None:
        """Describe a nested model, which may hold objects of its own kind."""
        if model.__name__ not in self._definitions:
            self._definitions[model.__name__] = {}
            self._definitions[model.__name__] = self.object(SCHEMAS[model])

    def _limited(self, kind: dict[str, Any], field: Field) -> dict[str, Any]:
        """A type with the limits of its field, which each alternative has of which it can be said."""
        if "anyOf" in kind:
            return {**kind, "anyOf": [self._limited(one, field) for one in kind["anyOf"]]}
        type_ = kind.get("type")
        more: dict[str, Any] = {}
        if type_ in {"integer", "number"}:
            for name, word in _BOUNDS.items():
                bound = getattr(field, name)
                if isinstance(bound, (int, float, Decimal)):
                    more[word] = msgspec.Raw(str(bound).encode()) if isinstance(bound, Decimal) else bound
        if type_ in _LENGTHS and "contentEncoding" not in kind and kind != _DECIMAL:
            for name, word in (("min_length", "min"), ("max_length", "max")):
                if getattr(field, name) is not None:
                    more[f"{word}{_LENGTHS[type_]}"] = getattr(field, name)
        if type_ == "string" and field.pattern and not any(one in field.pattern for one in _ONLY_PYTHON):
            more["pattern"] = f"^(?:{field.pattern})$"
        return kind | more


def _models_in(kind: Any) -> Iterator[type]:
    """The models that a type is made of."""
    if isinstance(kind, type) and kind in SCHEMAS:
        yield kind
    for inner in get_args(kind):
        yield from _models_in(inner)


def _unknown(kind: type) -> dict[str, Any]:
    """A class of the program's own, of which nothing is known; that of a model is described in its place."""
    return {"title": getattr(kind, "__name__", "value")}  # msgspec takes no empty one


def _numbers(kind: Any) -> Any:
    """A schema in which a Decimal is the number as which it is shown, or a text of its digits."""
    if isinstance(kind, list):
        return [_numbers(one) for one in kind]
    if not isinstance(kind, dict):
        return kind
    if {name: kind.get(name) for name in _DECIMAL} == _DECIMAL:
        return {"anyOf": [{"type": "number"}, _DECIMAL]}
    return {name: _numbers(one) for name, one in kind.items()}


def _or_null(kind: dict[str, Any]) -> dict[str, Any]:
    """A type that may be null: times of the library are, before the first write."""
    alternatives = kind["anyOf"] if kind.keys() == {"anyOf"} else [kind]
    return kind if {"type": "null"} in alternatives else {"anyOf": [*alternatives, {"type": "null"}]}


def _default(field: Field) -> dict[str, Any]:
    value = field.default
    shown = value is None or isinstance(value, (str, int, float))
    return {"default": value} if shown and not field.secret and field.role not in _OF_THE_LIBRARY else {}
