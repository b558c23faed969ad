"""Classes that are no models: what fields a dataclass, attrs class, TypedDict, NamedTuple, Struct or pydantic model has."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from inspect import get_annotations
from types import MappingProxyType
from typing import Any

from msgspec import NODEFAULT, Struct
from msgspec import UNSET as U
from msgspec.structs import replace

from dynamorm.errors import ModelError
from dynamorm.models.declare import Spec, other_names
from dynamorm.models.schema.defaults import factory_of
from dynamorm.models.schema.schema import MISSING, Field

from . import records
from .hints import WRAPPERS, Context, check_metadata, evaluate


class Members(typing.NamedTuple):
    """What is known of a class that is no model: its fields, and how its objects are made from a dict."""

    style: str
    fields: list[Field]
    make: Callable[[dict[str, Any]], Any]
    optional: frozenset[str] = frozenset()
    arguments: Mapping[str, str] = MappingProxyType({})
    extras: bool = False


def members_of(cls: Any, context: Context) -> Members | None:
    """The fields of a dataclass, attrs class, TypedDict, NamedTuple, Struct or pydantic model; None for any other class."""
    if typing.is_typeddict(cls) or type(cls).__name__ == "_TypedDictMeta":
        return _typed_dict(cls, context)
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls)
    if is_attrs(cls):
        return _attrs(cls)
    if issubclass(cls, Struct):
        return _struct(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple(cls)
    if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_fields"):
        return _pydantic(cls)
    return None


def _named_tuple(cls: Any) -> Members:
    hints, defaults = _hints(cls), cls._field_defaults
    fields = [
        _own(name, name, hints.get(name, Any), cls, has_default=name in defaults, default=defaults.get(name))
        for name in cls._fields
    ]
    return Members(records.CALL, fields, lambda values: cls(**values))


def _own(name: str, stored: str, hint: Any, cls: Any, *, has_default: bool, default: Any = U, also: Any = ()) -> Field:
    """A field of a foreign class. Its own constructor fills in a default, marked here by `U`, unless objects share it.

    ``also`` are the other names it is read under that its class declares in a way of its own.
    """
    none = has_default and default is None
    marked = None if none else U if has_default else MISSING
    own = has_default and default is not U
    factory = factory_of(f"{cls.__name__}.{name}: ", default, shared=False) if own else None
    return Field(
        name=name,
        stored=stored,
        annotation=hint,
        owner=cls.__name__,
        default=marked if factory is None else MISSING,
        default_factory=factory,
        also_read=tuple(name for name in also if name != stored),
    )


def with_other_names(field: Field, context: Context) -> Field:
    """The field with what ``Annotated[..., attr(also_read=...)]`` says of it. Raises: ModelError for more than that."""
    hint: Any = evaluate(field.annotation, context) if isinstance(field.annotation, str) else field.annotation
    also: tuple[str, ...] = ()
    while typing.get_origin(hint) is not None and typing.get_args(hint):
        if typing.get_origin(hint) is typing.Annotated:
            also += names_in(hint.__metadata__, context.where)
            hint = hint.__origin__
        elif getattr(typing.get_origin(hint), "__name__", getattr(hint, "_name", "")) in WRAPPERS:
            hint = typing.get_args(hint)[0]
        else:
            break
    return replace(field, also_read=tuple(dict.fromkeys((*field.also_read, *also)))) if also else field


def names_in(metadata: Any, where: str) -> tuple[str, ...]:
    """The names of ``attr(also_read=...)`` in the metadata of an annotation. Raises: ModelError."""
    names: tuple[str, ...] = ()
    check_metadata(metadata, where)
    for spec in metadata:
        if not isinstance(spec, Spec):
            continue
        if spec.limits.keys() - {"also_read"} or spec.options or spec.name or not spec.limits:
            raise ModelError(f"{where}: in Annotated[...] attr() takes also_read and nothing else")
        names += spec.limits["also_read"]
    return names


def _hints(cls: Any) -> dict[str, Any]:
    """Annotations by name, nearest class last; text is resolved later, in context."""
    hints: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        hints |= get_annotations(base)
    return hints


def _dataclass(cls: Any) -> Members:
    fields = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        own = field.default is not dataclasses.MISSING
        has = own or field.default_factory is not dataclasses.MISSING
        default = field.default if own else U
        also = other_names(field.metadata.get("also_read", ()))
        fields.append(_own(field.name, field.name, field.type, cls, has_default=has, default=default, also=also))
    return Members(records.CALL, fields, lambda values: cls(**values))


def is_attrs(cls: Any) -> bool:
    """Whether a class is made by attrs: ``@attrs.define`` and its elders. It is asked without loading attrs.

    Example: ``is_attrs(Order)``
    """
    return isinstance(getattr(cls, "__attrs_attrs__", None), tuple)


def is_frozen_attrs(cls: Any) -> bool:
    """Whether the objects of an attrs class cannot be changed.

    Example: ``is_frozen_attrs(Point)``
    """
    return getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs"


def no_default(field: Any) -> bool:
    """Whether a field of an attrs class has no default: attrs marks it by the one member of an enumeration.

    Example: ``no_default(attrs.fields(Order).id)``
    """
    return type(field.default).__name__ == "_Nothing"


def _attrs(cls: Any) -> Members:
    fields = []
    arguments: dict[str, str] = {}
    for field in cls.__attrs_attrs__:
        if not field.init:
            continue
        has, factory = not no_default(field), getattr(field.default, "factory", None)
        default = U if factory is not None or not has else field.default
        also = other_names(field.metadata.get("also_read", ()))
        fields.append(_own(field.name, field.name, field.type or Any, cls, has_default=has, default=default, also=also))
        arguments[field.name] = field.alias  # attrs takes "_note" as "note"
    return Members(records.CALL, fields, lambda values: cls(**values), frozenset(), arguments)


def _struct(cls: Any) -> Members:
    hints = _hints(cls)
    required = len(cls.__struct_fields__) - len(cls.__struct_defaults__)
    fields = []
    for number, (name, stored) in enumerate(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)):
        default = cls.__struct_defaults__[number - required] if number >= required else NODEFAULT
        has = default is not NODEFAULT
        own = U if type(default).__module__ == "msgspec._core" else default  # a default factory
        fields.append(_own(name, stored, hints.get(name, Any), cls, has_default=has, default=own))
    return Members(records.CALL, fields, lambda values: cls(**values))


def _typed_dict(cls: Any, context: Context) -> Members:
    try:
        hints = typing.get_type_hints(cls, context.names, {}, include_extras=True)
    except NameError as error:
        missing = error.name
    else:
        # With annotations as text, the class itself does not see which keys are marked.
        marks = {name: getattr(typing.get_origin(hint), "_name", "") for name, hint in hints.items()}
        optional = {name for name in cls.__optional_keys__ if marks[name] != "Required"}
        optional |= {name for name, mark in marks.items() if mark == "NotRequired"}
        fields = [_own(name, name, hint, cls, has_default=name in optional) for name, hint in hints.items()]
        return Members(records.DICT, fields, dict, frozenset(optional))
    raise ModelError(f"{context.where}: an annotation names {missing!r}, which is not defined there")


def _aliases(info: Any) -> tuple[str, ...]:
    """The names under which pydantic itself would take a field's value."""
    alias = info.validation_alias or info.alias
    choices = getattr(alias, "choices", (alias,))
    return tuple(choice for choice in choices if isinstance(choice, str))


def _pydantic(cls: Any) -> Members:
    fields = []
    arguments = {}
    field_names = cls.model_fields.keys()
    for name, info in cls.model_fields.items():
        required = info.is_required()
        # Pydantic copies what may change by itself.
        default = None if not required and info.default is None and info.default_factory is None else U
        aliases = _aliases(info)
        also = (
            *names_in(info.metadata, f"{cls.__name__}.{name}"),
            *(alias for alias in aliases if alias not in field_names),
        )
        fields.append(_own(name, name, info.annotation, cls, has_default=not required, default=default, also=also))
        if aliases:
            arguments[name] = aliases[0]
    extras = cls.model_config.get("extra") == "allow"
    return Members(records.CALL, fields, cls.model_validate, frozenset(), arguments, extras)
