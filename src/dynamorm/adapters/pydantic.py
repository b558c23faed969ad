"""How pydantic, and so FastAPI, reads and writes a `Model`: as a request body, a response, or a field of a pydantic model.

The rules: types, bounds and validators of the model are checked; names are field names; an unknown name is refused,
as the model's own constructor does; what the library owns (version, times) may be left out and is replaced by the
next write; secret fields are taken in and never given out.
"""

from __future__ import annotations

import re
import typing
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextvars import ContextVar
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from inspect import getdoc
from types import UnionType
from typing import Any, Final
from uuid import UUID

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import AwareDatetime, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic.errors import PydanticSchemaGenerationError
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError, core_schema

from dynamorm.codec.state import construct_slots
from dynamorm.codec.types.hints import field_context, resolved
from dynamorm.models.generated import masked
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import MISSING, SCHEMAS, Codec, Field, Schema, schema_of

_LIBRARY_OWNED: Final = ("version", "created_at", "updated_at")
_BOUNDS: Final[dict[str, Callable[[Any], Any]]] = {
    "ge": Ge, "gt": Gt, "le": Le, "lt": Lt, "min_length": MinLen, "max_length": MaxLen,
}  # fmt: skip
_CONFIG: Final = core_schema.CoreConfig(extra_fields_behavior="forbid")
_HIDDEN: Final = "***"
_SHOWN_DEFAULTS: Final = (type(None), str, int, float, Decimal, Enum, date, time, timedelta, UUID)
"""What a JSON schema can show as a default; anything else is only applied."""


def _from_base64(value: Any) -> Any:
    return b64decode(value, validate=True) if isinstance(value, str) else value


# Bytes need not be text, so in JSON they travel as base64.
_BYTES: Final = typing.Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(lambda value: b64encode(value).decode(), when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
_REPLACED: Final[dict[Any, Any]] = {datetime: AwareDatetime, bytes: _BYTES}
"""A naive datetime is refused by the library as well."""

_under_way: ContextVar[frozenset[type]] = ContextVar("models whose pydantic schema is being made", default=frozenset())


def core_schema_of_model(source: Any, handler: Any) -> Any:
    """The pydantic core schema of a `Model`; called by pydantic through ``Model.__get_pydantic_core_schema__``.

    Example: ``pydantic.TypeAdapter(Payment).validate_python({"id": "p1", "amount": 500})``
    """
    schema = schema_of(source)
    cls = typing.get_origin(source) or source
    reference = f"{cls.__module__}.{cls.__qualname__}:{id(cls)}"
    under_way = _under_way.get()
    if cls in under_way:
        return core_schema.definition_reference_schema(reference)
    token = _under_way.set(under_way | {cls})
    try:
        computed = composites_of(schema)
        fields = {
            field.name: _field(schema, field, handler) for field in schema.fields.values() if field.name not in computed
        }
    finally:
        _under_way.reset(token)
    inner = core_schema.typed_dict_schema(fields, cls=cls, cls_name=schema.name, config=_CONFIG)
    described = {"description": getdoc(cls)} if cls.__doc__ else {}
    return core_schema.no_info_wrap_validator_function(
        _hiding(_maker(cls)) if _hides(schema, {cls}) else _maker(cls),
        inner,
        ref=reference,
        serialization=core_schema.wrap_serializer_function_ser_schema(_reader(schema)),
        metadata={"pydantic_js_updates": {**described, "additionalProperties": False}},
    )


def _maker(cls: type) -> Callable[[Any, Any], Any]:
    """What takes an object as it is, with its loaded state, and makes a new one of anything else."""

    def make(value: Any, validate: Any) -> Any:
        return value if isinstance(value, cls) else construct_slots(cls, validate(value))

    return make


def _hides(schema: Schema, seen: set[type]) -> bool:
    """Whether a model, or one that lies in it, has a field that is shown nowhere. ``seen`` are those that are looked at already."""
    fields = schema.fields.values()
    return any(map(masked, fields)) or any(
        _hides(SCHEMAS[cls], seen)
        for field in fields
        for cls in _models_in(resolved(field.annotation, field_context(schema, field)))
        if cls not in seen and not seen.add(cls)  # type: ignore[func-returns-value] # it is None
    )


def _models_in(hint: Any) -> list[type]:
    """The models that an annotation names."""
    origin = typing.get_origin(hint) or hint
    inner = [cls for argument in typing.get_args(hint) for cls in _models_in(argument)]
    return [origin, *inner] if isinstance(origin, type) and origin in SCHEMAS else inner


def _hiding(make: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The same for a model with values that are shown nowhere: no error of pydantic repeats what it was given.

    Of that one field a message holds the value of another one, too: what misses a field is told with all that was given.
    """

    def make_hiding(value: Any, validate: Any) -> Any:
        try:
            return make(value, validate)
        except ValidationError as error:
            title = error.title
            told: list[Any] = error.errors(include_url=False, include_context=False, include_input=False)
            lines: list[InitErrorDetails] = [
                {"type": PydanticCustomError(one["type"], one["msg"]), "loc": one["loc"], "input": _HIDDEN}
                for one in told
            ]
        value = None  # no frame holds what an error does not tell
        raise ValidationError.from_exception_data(title, lines, hide_input=True)

    return make_hiding


def _reader(schema: Schema) -> Callable[[Any, Any], Any]:
    computed = composites_of(schema)  # neither read nor written: its fields hold all that it holds
    names = tuple(name for name in schema.fields if name not in computed)

    def read(value: Any, serialize: Any) -> Any:
        # A value of another class is left to pydantic, which warns about it, or tries the next member of a union.
        return serialize({name: getattr(value, name) for name in names} if isinstance(value, schema.model) else value)

    return read


def _field(schema: Schema, field: Field, handler: Any) -> Any:
    annotation = _adapted(resolved(field.annotation, field_context(schema, field)))
    owned = field.role in _LIBRARY_OWNED
    if owned and field.role != "version":
        annotation = annotation | None  # not set before the first write
    inner = _constrained(field, _value_schema(field, annotation, handler))
    hidden = masked(field)
    updates: dict[str, Any] = ({"readOnly": True} if owned else {}) | ({"writeOnly": True} if hidden else {})
    return core_schema.typed_dict_field(
        _with_default(field, inner),
        required=field.required,
        serialization_exclude=hidden or None,
        metadata={"pydantic_js_updates": updates} if updates else None,
    )


def _value_schema(field: Field, annotation: Any, handler: Any) -> Any:
    bounds = [kind(limit) for name, kind in _BOUNDS.items() if (limit := getattr(field, name)) is not None]
    if bounds:
        annotation = typing.Annotated[(annotation, *bounds)]
    custom = field.option(Codec)
    try:
        return handler.generate_schema(annotation)
    except PydanticSchemaGenerationError:
        if custom is None:
            raise
    # A class that only the field's own pair of functions knows travels as what it is stored as.
    return core_schema.no_info_plain_validator_function(
        lambda value: custom.decode(value) if value is not None else None,
        serialization=core_schema.plain_serializer_function_ser_schema(
            lambda value: custom.encode(value) if value is not None else None
        ),
        metadata={"pydantic_js_functions": [lambda *_: {}]},
    )


def _constrained(field: Field, inner: Any) -> Any:
    """The schema, followed by the field's pattern and validators; None passes, as it does before a write."""
    if field.pattern is not None:
        inner = core_schema.no_info_after_validator_function(
            _matcher(field.pattern), inner, metadata={"pydantic_js_updates": {"pattern": f"^(?:{field.pattern})$"}}
        )
    for validator in field.validators:
        inner = core_schema.no_info_after_validator_function(_unless_none(validator), inner)
    return inner


def _matcher(pattern: str) -> Callable[[Any], Any]:
    matches = re.compile(pattern).fullmatch

    def check(value: Any) -> Any:
        if value is not None and matches(value) is None:
            raise PydanticCustomError(
                "pattern_mismatch", "Value should match the pattern '{pattern}'", {"pattern": pattern}
            )
        return value

    return check


def _unless_none(validator: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else validator(value)


def _with_default(field: Field, inner: Any) -> Any:
    if field.default_factory is not None:
        return core_schema.with_default_schema(inner, default_factory=field.default_factory)
    if field.default is not MISSING:
        if not isinstance(field.default, _SHOWN_DEFAULTS):
            return core_schema.with_default_schema(inner, default_factory=lambda: field.default)
        return core_schema.with_default_schema(inner, default=field.default)
    return inner


def _adapted(hint: Any) -> Any:
    """The annotation with the types in it replaced that pydantic would treat in another way than the library."""
    if isinstance(hint, type) and hint in _REPLACED:
        return _REPLACED[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is None or origin is typing.Literal:
        return hint
    inner: tuple[Any, ...] = tuple(_adapted(argument) for argument in arguments)
    if inner == arguments:
        return hint
    if origin in (typing.Union, UnionType):
        return typing.Union[inner]  # noqa: UP007 - the members come as a tuple
    return origin[inner]
