"""From annotations to shapes: the one place that knows which Python types can be stored."""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import Enum
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import UNSET as U
from msgspec.structs import replace

from dynamorm.codec import types
from dynamorm.codec.money import says_money
from dynamorm.codec.state import ACCESS, has_slot
from dynamorm.engine.sizes import MAX_INDEX_NAME, MAX_PARTITION_KEY, MAX_SORT_KEY
from dynamorm.errors import ModelError
from dynamorm.models.schema.composite import Composite
from dynamorm.models.schema.schema import SCHEMAS, Codec, Field, Json, Schema, TimeForm, TypeCodec

from . import records
from .fields import FieldPlan
from .hints import Context, class_context, field_context, flat_union, origin_of, plain, resolved
from .records import Record
from .scalars import EPOCH, INSTANT, SCALARS, enum_shape, literal_shape, shape_of_times
from .shapes import ANY, CustomShape, Nullable, Scalar, Shape, TypeShape
from .times import real

if TYPE_CHECKING:
    from dynamorm.plugin import FieldCodec, PlacedField

    from .foreign import Members

FieldHooks: TypeAlias = "Callable[[Schema, Field], FieldCodec | PlacedField | None]"


class Planner:
    """Plans the shapes of one codec. A class met twice gets one shape, so that types may refer to themselves."""

    def __init__(self, hook_of: FieldHooks, codec_of: Callable[[Any], Any]) -> None:
        self.hook_of = hook_of
        self.codec_of = codec_of
        self._records: dict[Any, Record] = {}
        self._scalars: dict[Any, Scalar] = {}
        self._own: dict[type, TypeShape] = {}

    # --------------------------------------------------------------------------------------------------------- models

    def model(self, schema: Schema) -> Record:
        """The record of a model, with its keys, indexes and hooks."""
        access = ACCESS.get(schema.model)
        style = records.SLOTS if access is None and has_slot(schema.model) else records.ACCESSED
        if style == records.ACCESSED and access is None:
            raise ModelError(f"{schema.name}: its class keeps no state; register it with dynamorm.adapters.register()")
        record = Record(schema.model, style, schema=schema, access=access)
        for field in schema.fields.values():
            if field.options and field.option(Composite) is not None:
                record.computed.append(self._computed_field(schema, field))
            else:
                record.plans.append(self._model_field(schema, field))
        return record

    def _computed_field(self, schema: Schema, field: Field) -> FieldPlan:
        """A composite: text made of other fields."""
        plan = self._model_field(schema, field)
        if plan.shape is not SCALARS[str]:
            raise ModelError(f"{schema.name}.{field.name}: a composite is stored as text: annotate it as Attr[str]")
        return plan

    def _model_field(self, schema: Schema, field: Field) -> FieldPlan:
        context = field_context(schema, field)
        if field.unstored is not None:
            if field.role or field.name in schema.index_fields:
                raise ModelError(f"{context.where} is not stored, so that it is no part of a key")
            return FieldPlan(field, ANY, owner=schema.name)
        shape = self._field_shape(field, context)
        hook = self.hook_of(schema, field)
        self._refuse_money(field, shape, context.where)
        _check_sorts(schema, field, shape, context.where)
        key_limit, sparse = 0, False
        if schema.key is not None and field.name in schema.key.fields:
            key_limit = MAX_PARTITION_KEY if field.name == schema.key.partition else MAX_SORT_KEY
            self._check_key(field, shape, context.where, nullable=False)
        elif field.name in schema.index_fields and field.indexed_as == field.stored:
            partitions = {name for index in schema.indexes.values() for name in index.partition}
            key_limit = MAX_PARTITION_KEY if field.name in partitions else MAX_SORT_KEY
            sparse = True
            self._check_key(field, shape, context.where, nullable=True)
        return FieldPlan(field, shape, owner=schema.name, hook=hook, key_limit=key_limit, sparse=sparse)

    def _field_shape(self, field: Field, context: Context) -> Shape:
        custom = field.option(Codec)
        if custom is not None:
            return Nullable(CustomShape(custom)) if _optional(field.annotation, context) else CustomShape(custom)
        if field.option(Json) is not None:
            optional = _optional(field.annotation, context)
            none = None if optional or field.default is None else _emptied(field.annotation, context)
            return types.jsontext.JsonShape(
                resolved(field.annotation, context), context.where, optional=optional, none=none
            )
        shape = self.shape(field.annotation, context)
        form = field.option(TimeForm) if field.options else None
        if form is not None:
            return _in_form(form, field, shape, context.where)
        if field.role == "ttl":
            inner = shape.inner if isinstance(shape, Nullable) else shape
            if inner is INSTANT:
                return Nullable(EPOCH) if isinstance(shape, Nullable) else EPOCH
            if inner.tag != "N":
                raise ModelError(f"{context.where}: a ttl field is a datetime or an int of epoch seconds")
        if field.role == "version" and shape is not SCALARS[int]:
            raise ModelError(f"{context.where}: a version field is an int")
        return shape

    @staticmethod
    def _check_key(field: Field, shape: Shape, where: str, *, nullable: bool) -> None:
        inner = shape.inner if isinstance(shape, Nullable) else shape
        if isinstance(shape, Nullable) and not nullable:
            raise ModelError(f"{where}: a key attribute cannot be None")
        if inner.remedy and inner.form is None:
            raise ModelError(f"{where}: {inner.expected} is stored as a map, which no key can be: {inner.remedy}")
        if inner.tag not in ("S", "N", "B") and not isinstance(inner, (CustomShape, types.jsontext.JsonShape)):
            raise ModelError(f"{where}: a key attribute is stored as text, number or bytes, not as {inner.expected}")
        if len(field.stored.encode()) > MAX_INDEX_NAME:
            raise ModelError(f"{where}: the stored name of a key attribute has at most {MAX_INDEX_NAME} bytes")

    def _refuse_money(self, field: Field, shape: Shape, where: str) -> None:
        if field.allow_float or not _holds_float(shape) or not says_money(field.name):
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
        if origin.__module__.startswith("freezegun"):  # the class body was run while a tool had stopped the clock
            origin = real(origin)
        if origin in SCALARS:
            return SCALARS[origin]
        if origin in (list, tuple, dict, set, frozenset):
            return self._container(origin, arguments, context)
        return self._class(origin, arguments, context)

    def _union(self, members: list[Any], context: Context) -> Shape:
        optional = type(None) in members
        present = [member for member in members if member is not type(None)]
        if not present:
            raise ModelError(f"{context.where}: a field that is always None cannot be stored")
        shapes = [self.shape(member, context) for member in present]
        shape = shapes[0] if len(shapes) == 1 else ANY if ANY in shapes else types.unions.Union(shapes)
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
            scalar = self.shape(kind, context) if kind not in (str, int, bytes) else literal_shape(tuple(group))
            if scalar is None or not isinstance(scalar, Scalar):
                raise ModelError(f"{context.where}: this Literal cannot be stored")
            shapes.append(scalar)
        shape_all: Shape = shapes[0] if len(shapes) == 1 else types.unions.Union(shapes)
        return Nullable(shape_all) if optional else shape_all

    def _container(self, origin: Any, arguments: tuple[Any, ...], context: Context) -> Shape:
        if origin is tuple and arguments and not (len(arguments) == 2 and arguments[1] is ...):
            return types.containers.TupleShape(
                () if arguments == ((),) else tuple(self.shape(argument, context) for argument in arguments)
            )
        if origin is dict:
            key = self.shape(arguments[0], context) if arguments else SCALARS[str]
            key = SCALARS[str] if key is ANY else key
            if not isinstance(key, Scalar) or key.tag not in ("S", "N") or key is SCALARS[float]:
                raise ModelError(f"{context.where}: the keys of a dict are str, int, Enum or UUID, stored as text")
            return types.containers.DictShape(key, self.shape(arguments[1], context) if arguments else ANY)
        item = self.shape(arguments[0], context) if arguments else ANY
        if origin in (list, tuple):
            return types.containers.ListShape(item, origin)
        if item is ANY:
            return types.containers.AnySetShape(origin)
        if not isinstance(item, Scalar) or item.tag not in ("S", "N", "B"):
            raise ModelError(f"{context.where}: a set holds only texts, only numbers or only bytes; use a list")
        return types.containers.SetShape(item, origin)

    def _class(self, cls: type, arguments: tuple[Any, ...], context: Context) -> Shape:
        if issubclass(cls, Enum):
            if cls not in self._scalars:
                self._scalars[cls] = enum_shape(cls)
            return self._scalars[cls]
        typevars = context.bind(cls, arguments)
        key = (cls, tuple(typevars.items()))
        record = self._records.get(key)
        if record is not None:
            return record
        own = getattr(cls, "__dynamorm_codec__", None)
        if isinstance(own, TypeCodec):
            shape = self._own.get(cls)
            if shape is None:
                shape = self._own[cls] = TypeShape(cls, own)
            return shape
        schema = SCHEMAS.get(cls)
        if schema is not None:
            return self._nested_model(schema, key, typevars)
        inner = class_context(cls, context, typevars)
        members = _others().members_of(cls, inner)
        if members is None:
            raise _unstorable(cls, context.where)
        return self._foreign(cls, key, members, inner)

    def _nested_model(self, schema: Schema, key: Any, typevars: dict[Any, Any]) -> Shape:
        if schema.discriminator is not None:
            return types.unions.FamilyShape(schema.model, self.codec_of)
        access = ACCESS.get(schema.model)
        style = records.SLOTS if access is None and has_slot(schema.model) else records.ACCESSED
        nested = replace(
            schema, typevars=schema.typevars | typevars, key=None, indexes={}, table=None, schema_version=None
        )
        record = self._records[key] = Record(schema.model, style, schema=nested, access=access)
        for field in nested.fields.values():
            if not field.options or field.option(Composite) is None:  # a value inside an item has no key
                record.plans.append(plan := self._model_field(nested, field))
                if plan.placed:
                    raise ModelError(
                        f"{schema.name}.{field.name} is {plan.hook.reason}, so that a {schema.name} cannot lie inside"
                        " another item: only attributes of items can be stored so"
                    )
        return record

    def _foreign(self, cls: Any, key: Any, members: Members, context: Context) -> Record:
        record = self._records[key] = Record(cls, members.style)
        record.make = members.make
        record.optional = members.optional
        record.arguments = members.arguments
        record.extras = members.extras
        for own in members.fields:
            where = replace(context, where=f"{context.where}.{own.name}")
            field = _others().with_other_names(own, where)
            shape = self.shape(field.annotation, where)
            self._refuse_money(field, shape, where.where)
            keep = members.style == records.DICT
            record.plans.append(FieldPlan(field, shape, owner=cls.__name__, keep_none=keep))
        _check_other_names(record, context.where)
        return record


def _in_form(form: TimeForm, field: Field, shape: Shape, where: str) -> Shape:
    """The shape of a datetime whose stored form an option says."""
    if (shape.inner if isinstance(shape, Nullable) else shape) is not INSTANT:
        raise ModelError(f"{where}: {form!r} is for a datetime: annotate it as Attr[datetime]")
    if field.role == "ttl" and getattr(form, "unit", None) != "seconds":
        raise ModelError(f"{where}: DynamoDB reads a time to live as seconds: leave out {form!r}, or say Epoch()")
    made = shape_of_times(form)
    return Nullable(made) if isinstance(shape, Nullable) else made


def _check_sorts(schema: Schema, field: Field, shape: Shape, where: str) -> None:
    """Refuse a sort key whose texts do not sort as its values do."""
    inner = shape.inner if isinstance(shape, Nullable) else shape
    if inner.form is None or not inner.remedy:
        return
    sorts = {name for index in schema.indexes.values() for name in index.sort}
    if field.name in sorts or (schema.key is not None and field.name == schema.key.sort):
        raise ModelError(
            f"{where}: texts as {inner.form!r} writes them do not sort as times do, so it is no sort key: {inner.remedy}"
        )


def _others() -> ModuleType:
    """What reads classes that are no models."""
    from . import foreign  # only models with such classes inside

    return foreign


def _check_other_names(record: Record, where: str) -> None:
    """Refuse a name to read that belongs to another field of the class."""
    own = record.names()
    for plan in record.plans:
        for name in plan.field.also_read:
            if name in own:
                raise ModelError(f"{where}.{plan.name}: also_read names {name!r}, which is the name of another field")


def _optional(hint: Any, context: Context) -> bool:
    """Whether an annotation allows None."""
    hint = plain(hint, context)
    origin, arguments = origin_of(hint)
    return hint is Any or hint is object or (origin is typing.Union and type(None) in flat_union(arguments, context))


def _emptied(hint: Any, context: Context) -> Any:
    """What makes the empty value that an annotation's NULL is read as, `U` where it has none."""
    origin, arguments = origin_of(plain(hint, context))
    fixed = origin is tuple and arguments and arguments[-1] is not ...
    return origin if origin in (list, dict, set, frozenset, tuple, bytes) and not fixed else U


def _holds_float(shape: Shape) -> bool:
    """Whether a float is stored, other than in a field of a record, which has a name of its own."""
    return shape is SCALARS[float] or any(_holds_float(child) for child in shape.children())


def _unstorable(cls: type, where: str) -> ModelError:
    for base, shape in SCALARS.items():
        if issubclass(cls, base):
            return ModelError(
                f"{where}: a {cls.__name__} would be read back as {shape.expected}; use that type,"
                " or give the field attr(Codec(encode, decode))"
            )
    return ModelError(
        f"{where}: the type {cls.__name__} cannot be stored; give the field attr(Codec(encode, decode)),"
        " or make the class a Model or a dataclass"
    )
