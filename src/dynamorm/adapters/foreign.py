"""What fields a pydantic model, dataclass, attrs class or msgspec Struct has, and how its objects are made from stored values."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from dynamorm.codec.setting import setter_of
from dynamorm.codec.types.foreign import is_attrs, is_frozen_attrs, names_in, no_default
from dynamorm.errors import ModelError
from dynamorm.models.schema.defaults import factory_of
from dynamorm.models.schema.schema import MISSING

LIMITS = ("ge", "gt", "le", "lt", "min_length", "max_length")


class Member(NamedTuple):
    """One field of a foreign class. ``limits`` are the bounds found in its annotation, by the names `attr` has."""

    name: str
    annotation: Any
    default: Any = MISSING
    default_factory: Callable[[], Any] | None = None
    limits: dict[str, Any] = {}  # noqa: RUF012 - a default that nobody changes
    owner: str = ""


class Foreign(NamedTuple):
    """A foreign class: its fields, ``construct(cls, values)`` for its objects, and whether they hold extra values."""

    members: list[Member]
    construct: Callable[[Any, dict[str, Any]], Any]
    extras: bool = False


def read_class(cls: Any, local: dict[str, Any]) -> Foreign:
    """The fields and the constructor of a class. ``local`` holds the names of the place where it stands.

    Raises: ModelError when it is of no known kind, or its objects cannot be changed.

    Example: ``[member.name for member in read_class(Order, {}).members]``
    """
    if hasattr(cls, "__pydantic_validator__") and hasattr(cls, "model_fields"):
        return _pydantic(cls)
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, local)
    if is_attrs(cls):
        return _attrs(cls, local)
    if issubclass(cls, msgspec.Struct):
        return _struct(cls)
    raise ModelError(
        f"{cls.__name__} is no pydantic model, dataclass or msgspec Struct, nor an attrs class: make it one, or a"
        " dynamorm.Model"
    )


def _refuse_frozen(cls: type, how: str) -> None:
    raise ModelError(
        f"{cls.__name__} is frozen, so its version and times cannot be refreshed after a write: leave {how} out"
    )


def _pydantic(cls: Any) -> Foreign:
    if cls.model_config.get("frozen"):
        _refuse_frozen(cls, "frozen=True")
    if not cls.__pydantic_complete__:
        cls.model_rebuild(_parent_namespace_depth=4)
    members = []
    for name, info in cls.model_fields.items():
        factory = info.default_factory
        if factory is not None and getattr(info, "default_factory_takes_validated_data", False):
            raise ModelError(f"{cls.__name__}.{name}: a default_factory that takes the other values cannot be used")
        default = MISSING if info.is_required() or factory is not None else info.default
        annotation, _ = _unwrapped(info.annotation)
        limits = _limits(info.metadata)
        members.append(_member(cls, name, annotation, default, factory, limits, shared=False))
    _refuse_crossed_aliases(cls)
    return Foreign(members, _construct_pydantic, extras=cls.model_config.get("extra") == "allow")


def _member(
    cls: type,
    name: str,
    annotation: Any,
    default: Any,
    factory: Callable[[], Any] | None,
    limits: dict[str, Any],
    *,
    shared: bool,
) -> Member:
    """One field, whose default no two objects share; ``shared`` says that the class's own constructor would share it."""
    if default is not MISSING:
        factory = factory_of(f"{cls.__name__}.{name}: ", default, shared=shared)
        default = default if factory is None else MISSING
    return Member(name, annotation, default, factory, limits, _owner(cls, name))


def _refuse_crossed_aliases(cls: Any) -> None:
    for name, info in cls.model_fields.items():
        for alias in {info.alias, info.validation_alias} - {None, name}:
            if isinstance(alias, str) and alias in cls.model_fields:
                raise ModelError(f"{cls.__name__}: the alias of {name} is the name of another field, {alias}")


def _construct_pydantic(cls: Any, values: dict[str, Any]) -> Any:
    """Without validation: what is stored was checked when it was written, and its types when it was read."""
    return cls.model_construct(**values)


def _dataclass(cls: Any, local: dict[str, Any]) -> Foreign:
    if cls.__dataclass_params__.frozen:
        _refuse_frozen(cls, "frozen=True")
    members, own, setter = [], [], setter_of(cls)
    for field in dataclasses.fields(cls):
        default = MISSING if field.default is dataclasses.MISSING else field.default
        factory = None if field.default_factory is dataclasses.MISSING else field.default_factory
        annotation, limits = _unwrapped(_resolved(cls, field.name, field.type, local))
        members.append(_member(cls, field.name, annotation, default, factory, limits, shared=True))
        if not field.init:
            own.append(field.name)

    def construct(cls: Any, values: dict[str, Any]) -> Any:
        obj = cls(**{name: value for name, value in values.items() if name not in own})
        for name in own:
            setter(obj, name, values[name])
        return obj

    return Foreign(members, construct)


def _attrs(cls: Any, local: dict[str, Any]) -> Foreign:
    if is_frozen_attrs(cls):
        _refuse_frozen(cls, "frozen=True")
    members: list[Member] = []
    arguments: dict[str, str] = {}  # attrs takes "_note" as "note"
    own: list[str] = []
    setter = setter_of(cls)
    for field in cls.__attrs_attrs__:
        name = field.name
        factory = getattr(field.default, "factory", None)
        if factory is not None and field.default.takes_self:
            raise ModelError(
                f"{cls.__name__}.{name}: a factory that takes the object cannot be used: make it a plain one"
            )
        default = MISSING if factory is not None or no_default(field) else field.default
        if not field.init and factory is None and default is MISSING:
            raise ModelError(
                f"{cls.__name__}.{name} is no argument of the constructor and has no default, so no object can be made of a"
                " stored item: give it a default"
            )
        annotation, limits = _unwrapped(_resolved(cls, name, Any if field.type is None else field.type, local))
        members.append(_member(cls, name, annotation, default, factory, limits, shared=True))
        if field.init:
            arguments[name] = field.alias
        else:
            own.append(name)

    def construct(cls: Any, values: dict[str, Any]) -> Any:
        obj = cls(**{argument: values[name] for name, argument in arguments.items()})
        for name in own:
            setter(obj, name, values[name])
        return obj

    return Foreign(members, construct)


def _struct(cls: Any) -> Foreign:
    if cls.__struct_config__.frozen:
        _refuse_frozen(cls, "frozen=True")
    members = []
    for field in msgspec.structs.fields(cls):
        default = MISSING if field.default is msgspec.NODEFAULT else field.default
        factory = None if field.default_factory is msgspec.NODEFAULT else field.default_factory
        annotation, limits = _unwrapped(field.type)
        members.append(_member(cls, field.name, annotation, default, factory, limits, shared=True))
    return Foreign(members, lambda cls, values: cls(**values))


def _resolved(cls: type, name: str, annotation: Any, local: dict[str, Any]) -> Any:
    """An annotation that is text, evaluated; it stays text, for the codec, while a name in it is not there yet."""
    if not isinstance(annotation, str):
        return annotation
    home = next((base for base in cls.__mro__ if name in _annotations(base)), cls)
    module = sys.modules.get(home.__module__)
    names = {**(vars(module) if module is not None else {}), **local}
    try:
        return eval(annotation, names)  # noqa: S307 - the program's own source, as typing.get_type_hints does
    except (NameError, AttributeError):
        return annotation


def _unwrapped(annotation: Any) -> tuple[Any, dict[str, Any]]:
    """An annotation without ``Annotated``, and the bounds found there."""
    limits: dict[str, Any] = {}
    while typing.get_origin(annotation) is typing.Annotated:
        limits |= _limits(annotation.__metadata__)
        annotation = annotation.__origin__
    return annotation, limits


def _limits(metadata: Any) -> dict[str, Any]:
    """The bounds in an annotation's metadata: annotated_types, pydantic and msgspec.Meta name them alike."""
    limits = {name: value for entry in metadata for name in LIMITS if (value := getattr(entry, name, None)) is not None}
    also = names_in(metadata, "a field")
    return limits | {"also_read": also} if also else limits


def _owner(cls: type, name: str) -> str:
    """The class whose body declares a field, where the names of its annotation are looked up."""
    return next((base.__name__ for base in cls.__mro__ if name in _annotations(base)), cls.__name__)


def _annotations(cls: type) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(cls, format=annotationlib.Format.FORWARDREF)
    return inspect.get_annotations(cls)


def bases_of(cls: type) -> Iterator[type]:
    """The class's bases, nearest first, without itself and ``object``.

    Example: ``list(bases_of(bool)) == [int]``
    """
    yield from cls.__mro__[1:-1]
