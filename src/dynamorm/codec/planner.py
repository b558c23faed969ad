"""From annotations to shapes: the one place that knows which Python types can be stored."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from msgspec import NODEFAULT, Struct, defstruct
from msgspec import UNSET as U

from ..errors import ModelError
from ..plugin import FieldCodec
from ..schema import MISSING, SCHEMAS, TOKEN_ATTRIBUTE, Codec, Field, Json, Schema
from . import records
from .fields import FieldPlan
from .hints import Context, class_context, field_context, flat_union, origin_of, plain
from .jsontext import JsonShape
from .records import Family, Record, Union
from .scalars import EPOCH, SCALARS, enum_shape, literal_shape
from .shapes import ANY, AnySetShape, DictShape, ListShape, Nullable, Scalar, SetShape, Shape, TupleShape
from .size import MAX_INDEX_NAME, MAX_PARTITION_KEY, MAX_SORT_KEY
from .state import ACCESS, has_slot

FieldHooks = Callable[[Schema, Field], FieldCodec | None]

MONEY: Final = frozenset(
    "amount price fee balance total subtotal cost tax vat refund charge payment payout deposit credit debit tip discount"
    " salary wage revenue money".split()
)
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


class Planner:
    """Plans the shapes of one codec. A class met twice gets one shape, so that types may refer to themselves."""

    def __init__(self, hook_of: FieldHooks, codec_of: Callable[[Any], Any]) -> None:
        self.hook_of = hook_of
        self.codec_of = codec_of
        self._records: dict[Any, Record] = {}
        self._scalars: dict[Any, Scalar] = {}

    # --------------------------------------------------------------------------------------------------------- models

    def model(self, schema: Schema) -> Record:
        """The record of a model, with its keys, indexes and hooks."""
        access = ACCESS.get(schema.model)
        style = records.SLOTS if access is None and has_slot(schema.model) else records.ACCESSED
        if style == records.ACCESSED and access is None:
            raise ModelError(f"{schema.name}: its class keeps no state; register it with dynamorm.adapters.register()")
        record = Record(schema.model, style, schema=schema, access=access)
        self._records.setdefault((schema.model, ()), record)
        for field in schema.fields.values():
            record.plans.append(self._model_field(schema, field))
        return record

    def _model_field(self, schema: Schema, field: Field) -> FieldPlan:
        context = field_context(schema, field)
        shape = self._field_shape(field, context)
        hook = self.hook_of(schema, field)
        self._refuse_money(field, shape, context.where)
        key_limit, sparse = 0, False
        if schema.key is not None and field.name in schema.key.fields:
            key_limit = MAX_PARTITION_KEY if field.name == schema.key.partition else MAX_SORT_KEY
            self._check_key(field, shape, context.where, nullable=False)
        elif field.name in schema.index_fields:
            partitions = {name for index in schema.indexes.values() for name in index.partition}
            key_limit = MAX_PARTITION_KEY if field.name in partitions else MAX_SORT_KEY
            sparse = True
            self._check_key(field, shape, context.where, nullable=True)
        return FieldPlan(field, shape, owner=schema.name, hook=hook, key_limit=key_limit, sparse=sparse)

    def _field_shape(self, field: Field, context: Context) -> Shape:
        custom = field.option(Codec)
        if custom is not None:
            return self._custom(field, custom, context)
        if field.option(Json) is not None:
            return JsonShape(resolved(field.annotation, context), context.where)
        shape = self.shape(field.annotation, context)
        if field.role == "ttl":
            inner = shape.inner if isinstance(shape, Nullable) else shape
            if inner is SCALARS[_datetime]:
                return Nullable(EPOCH) if isinstance(shape, Nullable) else EPOCH
            if inner.tag != "N":
                raise ModelError(f"{context.where}: a ttl field is a datetime or an int of epoch seconds")
        if field.role == "version" and shape is not SCALARS[int]:
            raise ModelError(f"{context.where}: a version field is an int")
        return shape

    def _custom(self, field: Field, custom: Codec, context: Context) -> Shape:
        hint = plain(field.annotation, context)
        optional = origin_of(hint)[0] is typing.Union and type(None) in flat_union(origin_of(hint)[1], context)
        shape = CustomShape(custom)
        return Nullable(shape) if optional else shape

    @staticmethod
    def _check_key(field: Field, shape: Shape, where: str, *, nullable: bool) -> None:
        inner = shape.inner if isinstance(shape, Nullable) else shape
        if isinstance(shape, Nullable) and not nullable:
            raise ModelError(f"{where}: a key attribute cannot be None")
        if not isinstance(inner, (CustomShape, JsonShape)) and inner.tag not in ("S", "N", "B"):
            raise ModelError(f"{where}: a key attribute is stored as text, number or bytes, not as {inner.expected}")
        if len(field.stored.encode()) > MAX_INDEX_NAME:
            raise ModelError(f"{where}: the stored name of a key attribute has at most {MAX_INDEX_NAME} bytes")

    def _refuse_money(self, field: Field, shape: Shape, where: str) -> None:
        words = {word.lower().removesuffix("s") for word in _WORDS.findall(field.name)} | set()
        words |= {word.lower().removesuffix("es") for word in _WORDS.findall(field.name)}
        if field.allow_float or not words & MONEY or not _holds_float(shape):
            return
        raise ModelError(
            f"{where} is a float, and its name says money: use int minor units (cents) or Decimal;"
            " if it is no money, say attr(allow_float=True)"
        )

    # ---------------------------------------------------------------------------------------------------------- types

    def shape(self, hint: Any, context: Context) -> Shape:
        """The shape of an annotation.

        Raises: ModelError when the type cannot be stored.
        """
        hint = plain(hint, context)
        if hint is Any or hint is object:
            return ANY
        origin, arguments = origin_of(hint)
        if origin is typing.Union:
            return self._union(flat_union(arguments, context), context)
        if origin is typing.Literal:
            return self._literal(arguments, context)
        if not isinstance(origin, type):
            raise ModelError(f"{context.where}: the type {hint!r} cannot be stored")
        if origin in SCALARS:
            return SCALARS[origin]
        if origin in (list, tuple, dict, set, frozenset):
            return self._container(origin, arguments, context)
        return self._class(origin, arguments, context)

    def _union(self, members: list[Any], context: Context) -> Shape:
        optional = type(None) in members
        rest = [member for member in members if member is not type(None)]
        if not rest:
            raise ModelError(f"{context.where}: a field that is always None cannot be stored")
        shapes = [self.shape(member, context) for member in rest]
        shape = shapes[0] if len(shapes) == 1 else ANY if ANY in shapes else Union(shapes)
        return Nullable(shape) if optional else shape

    def _literal(self, values: tuple[Any, ...], context: Context) -> Shape:
        shape = literal_shape(values) if None not in values else None
        if shape is not None:
            return shape
        groups: dict[type, list[Any]] = {}
        for value in values:
            groups.setdefault(type(value), []).append(value)
        optional = groups.pop(type(None), None) is not None
        shapes: list[Shape] = []
        for kind, group in groups.items():
            if kind is bool and len(group) == 2:
                shapes.append(SCALARS[bool])
                continue
            one = self.shape(kind, context) if kind not in (str, int, bytes) else literal_shape(tuple(group))
            if one is None or not isinstance(one, Scalar):
                raise ModelError(f"{context.where}: this Literal cannot be stored")
            shapes.append(one)
        shape_all: Shape = shapes[0] if len(shapes) == 1 else Union(shapes)
        return Nullable(shape_all) if optional else shape_all

    def _container(self, origin: Any, arguments: tuple[Any, ...], context: Context) -> Shape:
        if origin is tuple and arguments and not (len(arguments) == 2 and arguments[1] is ...):
            return TupleShape(() if arguments == ((),) else tuple(self.shape(one, context) for one in arguments))
        if origin is dict:
            key = self.shape(arguments[0], context) if arguments else SCALARS[str]
            key = SCALARS[str] if key is ANY else key
            if not isinstance(key, Scalar) or key.tag not in ("S", "N") or key is SCALARS[float]:
                raise ModelError(f"{context.where}: the keys of a dict are str, int, Enum or UUID, stored as text")
            return DictShape(key, self.shape(arguments[1], context) if arguments else ANY)
        item = self.shape(arguments[0], context) if arguments else ANY
        if origin in (list, tuple):
            return ListShape(item, origin)
        if item is ANY:
            return AnySetShape(origin)
        if not isinstance(item, Scalar) or item.tag not in ("S", "N", "B"):
            raise ModelError(f"{context.where}: a set holds only texts, only numbers or only bytes; use a list")
        return SetShape(item, origin)

    def _class(self, cls: type, arguments: tuple[Any, ...], context: Context) -> Shape:
        if issubclass(cls, Enum):
            if cls not in self._scalars:
                self._scalars[cls] = enum_shape(cls)
            return self._scalars[cls]
        typevars = context.typevars | context.bind(cls, arguments)
        key = (cls, tuple(sorted((str(name), str(value)) for name, value in context.bind(cls, arguments).items())))
        known = self._records.get(key)
        if known is not None:
            return known
        schema = SCHEMAS.get(cls)
        if schema is not None:
            if schema.discriminator is not None:
                return Family(cls, self.codec_of)
            return self._nested_model(schema, key, typevars)
        fields = _members(cls, class_context(cls, context, typevars))
        if fields is None:
            for plain_type, shape in SCALARS.items():
                if plain_type is not bool and issubclass(cls, plain_type):
                    raise ModelError(
                        f"{context.where}: {cls.__name__} would be read back as {shape.expected};"
                        " use that type, or attr(Codec(encode, decode))"
                    )
            raise ModelError(
                f"{context.where}: the type {cls.__name__} cannot be stored;"
                " give the field attr(Codec(encode, decode)), or make the class a Model or dataclass"
            )
        return self._foreign(cls, key, fields, class_context(cls, context, typevars))

    def _nested_model(self, schema: Schema, key: Any, typevars: dict[Any, Any]) -> Record:
        from msgspec.structs import replace

        access = ACCESS.get(schema.model)
        style = records.SLOTS if access is None and has_slot(schema.model) else records.ACCESSED
        nested = replace(schema, typevars=schema.typevars | typevars, key=None, indexes={}, table=None)
        record = self._records[key] = Record(schema.model, style, schema=nested, access=access)
        for field in nested.fields.values():
            record.plans.append(self._model_field(nested, field))
        return record

    def _foreign(self, cls: Any, key: Any, members: Members, context: Context) -> Record:
        record = self._records[key] = Record(cls, members.style)
        record.make = members.make
        record.optional = members.optional
        record.arguments = members.arguments
        for field in members.fields:
            where = context._replace(where=f"{context.where}.{field.name}")
            shape = self.shape(field.annotation, where)
            self._refuse_money(field, shape, where.where)
            keep = members.style == records.DICT
            record.plans.append(FieldPlan(field, shape, owner=cls.__name__, keep_none=keep))
        return record


class CustomShape(Shape):
    """A field with its own pair of functions; what they make is stored as a document."""

    expected = "a value its Codec accepts"

    def __init__(self, custom: Codec) -> None:
        self.custom = custom

    def encode(self, source: Any, v: str) -> str:
        return f"{ANY.encode(source, source.bind('custom_encode', self.custom.encode) + f'({v})')}"

    def decode(self, source: Any, x: str) -> str:
        return f"{source.bind('custom_decode', self.custom.decode)}({ANY.decode(source, x)})"


_datetime = next(one for one in SCALARS if one.__name__ == "datetime")


class Members(typing.NamedTuple):
    """What is known of a class that is no model: its fields, and how its objects are made from a dict."""

    style: str
    fields: list[Field]
    make: Callable[[dict[str, Any]], Any]
    optional: frozenset[str] = frozenset()
    arguments: dict[str, str] = {}


def _members(cls: Any, context: Context) -> Members | None:
    """The fields of a dataclass, TypedDict, NamedTuple, Struct or pydantic model; None for any other class."""
    if typing.is_typeddict(cls) or type(cls).__name__ == "_TypedDictMeta":
        return _typed_dict(cls, context)
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, context)
    if issubclass(cls, Struct):
        return _struct(cls, context)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = _hints(cls)
        defaults = cls._field_defaults
        fields = [
            _own(name, name, hints.get(name, Any), cls, has_default=name in defaults, default=defaults.get(name))
            for name in cls._fields
        ]
        return Members(records.CALL, fields, lambda values: cls(**values))
    if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_fields"):
        return _pydantic(cls)
    return None


def _own(name: str, stored: str, hint: Any, cls: Any, *, has_default: bool, default: Any = U) -> Field:
    """A field of a foreign class. Its own constructor fills in a default, marked here by `U`."""
    none = has_default and default is None
    field = records.record_field(name, stored, cls.__name__, default=None if none else U if has_default else MISSING)
    from msgspec.structs import replace

    return replace(field, annotation=hint)


def _hints(cls: Any) -> dict[str, Any]:
    """Annotations by name, nearest class last; text is resolved later, in context."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found |= base.__dict__.get("__annotations__", {})
    return found


def _dataclass(cls: Any, context: Context) -> Members:
    fields = []
    for one in dataclasses.fields(cls):
        if not one.init:
            continue
        has = one.default is not dataclasses.MISSING or one.default_factory is not dataclasses.MISSING
        fields.append(_own(one.name, one.name, one.type, cls, has_default=has, default=one.default))
    return Members(records.CALL, fields, lambda values: cls(**values))


def _struct(cls: Any, context: Context) -> Members:
    hints = _hints(cls)
    required = len(cls.__struct_fields__) - len(cls.__struct_defaults__)
    fields = []
    for number, (name, stored) in enumerate(records.struct_names(cls).items()):
        default = cls.__struct_defaults__[number - required] if number >= required else NODEFAULT
        fields.append(_own(name, stored, hints.get(name, Any), cls, has_default=default is not NODEFAULT, default=default))
    return Members(records.CALL, fields, lambda values: cls(**values))


def _typed_dict(cls: Any, context: Context) -> Members:
    hints = typing.get_type_hints(cls, context.names, {}) if _has_text(cls) else cls.__annotations__
    optional = frozenset(cls.__optional_keys__)
    fields = [_own(name, name, hint, cls, has_default=name in optional) for name, hint in hints.items()]
    return Members(records.DICT, fields, dict, optional)


def _has_text(cls: Any) -> bool:
    return any(isinstance(one, (str, typing.ForwardRef)) for one in cls.__annotations__.values())


def _pydantic(cls: Any) -> Members:
    fields = []
    arguments = {}
    for name, info in cls.model_fields.items():
        required = info.is_required()
        fields.append(_own(name, name, info.annotation, cls, has_default=not required, default=info.default))
        alias = info.validation_alias or info.alias
        if isinstance(alias, str):
            arguments[name] = alias
    return Members(records.CALL, fields, cls.model_validate, frozenset(), arguments)


def _holds_float(shape: Shape) -> bool:
    """Whether a float is stored, other than in a field of a record, which has a name of its own."""
    return shape is SCALARS[float] or any(_holds_float(one) for one in shape.children())


def resolved(hint: Any, context: Context) -> Any:
    """An annotation with its text resolved, for readers other than ours."""
    hint = plain(hint, context)
    arguments = typing.get_args(hint)
    if not arguments or typing.get_origin(hint) is typing.Literal:
        return hint
    inner = tuple(one if one in (..., ()) else resolved(one, context) for one in arguments)
    origin, _ = origin_of(hint)
    return typing.Union[inner] if origin is typing.Union else origin[inner if len(inner) > 1 else inner[0]]


__all__ = ["MONEY", "TOKEN_ATTRIBUTE", "Decimal", "Planner", "defstruct"]
