"""Resolves annotations: text, forward references, aliases, type variables and metadata, down to plain types."""

from __future__ import annotations

import sys
import types
import typing
from collections import abc
from typing import Any, Final

from msgspec import Struct

from dynamorm.errors import ModelError
from dynamorm.models.declare import Spec
from dynamorm.models.schema.schema import Field, Schema

_ABSTRACT: Final[dict[Any, type]] = {
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Collection: list,
    abc.Iterable: list,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
    abc.Set: frozenset,
    abc.MutableSet: set,
}
WRAPPERS: Final = ("Required", "NotRequired", "ReadOnly", "Final")


class Context(Struct, frozen=True):
    """Where an annotation stands: what it may name, and what type variables stand for."""

    where: str
    names: dict[str, Any]
    typevars: dict[Any, Any]

    def bind(self, origin: Any, arguments: tuple[Any, ...]) -> dict[Any, Any]:
        """The type variables of a generic class used as ``origin[arguments]``, and of its generic bases."""
        given = [plain(argument, self) if isinstance(argument, typing.TypeVar) else argument for argument in arguments]
        bound: dict[Any, Any] = dict(zip(getattr(origin, "__parameters__", ()), given, strict=False))
        for base in getattr(origin, "__orig_bases__", ()):
            generic = typing.get_origin(base)
            if generic is not None and generic is not typing.Generic:
                inner = tuple(
                    bound.get(argument, argument) if isinstance(argument, typing.TypeVar) else argument
                    for argument in typing.get_args(base)
                )
                bound |= self.bind(generic, inner)
        return bound


def field_context(schema: Schema, field: Field) -> Context:
    """The context of a model's field."""
    model = schema.model
    home = next((cls for cls in model.__mro__ if cls.__name__ == field.owner), model)
    names: dict[str, Any] = {}
    for module in (model.__module__, home.__module__):
        names |= vars(sys.modules[module]) if module in sys.modules else {}
    # A class inside a function names itself and its neighbours; those come from the schema.
    names |= {cls.__name__: cls for cls in model.__mro__} | schema.namespace
    return Context(f"{schema.name}.{field.name}", names, schema.typevars)


def class_context(cls: type, outer: Context, typevars: dict[Any, Any]) -> Context:
    """The context of the annotations of a class that is not a model."""
    module = sys.modules.get(cls.__module__)
    names = outer.names | (vars(module) if module is not None else {}) | {cls.__name__: cls}
    return Context(f"{outer.where} ({cls.__name__})", names, typevars)


def evaluate(text: str, context: Context) -> Any:
    """The type that an annotation's text names.

    Raises: ModelError, naming what is missing.
    """
    try:
        return eval(text, dict(context.names))  # noqa: S307 - the program's own annotation, as typing.get_type_hints does
    except NameError as error:
        raise ModelError(
            f"{context.where}: the annotation {text!r} names {error.name!r}, which is not defined there"
        ) from None
    except Exception as error:  # noqa: BLE001 - an annotation may fail in any way
        raise ModelError(f"{context.where}: the annotation {text!r} cannot be evaluated ({error})") from None


def plain(hint: Any, context: Context) -> Any:
    """An annotation without text, wrappers, metadata, aliases, NewType and type variables at its top."""
    for _ in range(100):
        if isinstance(hint, str):
            hint = evaluate(hint, context)
        elif isinstance(hint, typing.ForwardRef):
            hint = evaluate(hint.__forward_arg__, context)
        elif isinstance(hint, typing.TypeVar):
            hint = context.typevars.get(hint, Any)
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif isinstance(hint, getattr(typing, "TypeAliasType", ())) or type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            origin = typing.get_origin(hint)
            if origin is typing.Annotated:
                check_metadata(hint.__metadata__, context.where)
                hint = hint.__origin__
            elif getattr(origin, "_name", getattr(origin, "__name__", "")) in WRAPPERS:
                hint = typing.get_args(hint)[0]
            else:
                return hint
    raise ModelError(f"{context.where}: the annotation refers to itself")


def check_metadata(metadata: abc.Iterable[Any], where: str) -> None:
    """Refuse an option of a field in ``Annotated[...]``, where nobody would look at it. Raises: ModelError."""
    for entry in metadata:
        kind = entry if isinstance(entry, type) else type(entry)
        if kind.__module__.partition(".")[0] == "dynamorm" and kind is not Spec:
            raise ModelError(
                f"{where}: {kind.__name__} is an option of a field, and Annotated[...] has no options: give it to attr,"
                f" attr({kind.__name__}(...)), or, where a class of another library is registered, to options="
            )


def origin_of(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """The class and the arguments of a plain annotation; ``X | Y`` and the abstract classes are made concrete."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin is None:
        origin = hint
    if origin is types.UnionType:
        origin = typing.Union
    return _ABSTRACT.get(origin, origin) if isinstance(origin, abc.Hashable) else origin, arguments


def flat_union(arguments: tuple[Any, ...], context: Context) -> list[Any]:
    """The members of a union, with those of unions inside it; None is NoneType."""
    members: list[Any] = []
    for argument in arguments:
        hint = plain(argument, context)
        origin, inner = origin_of(hint)
        for member in flat_union(inner, context) if origin is typing.Union else [hint]:
            if member not in members:
                members.append(type(None) if member is None else member)
    return members


def resolved(hint: Any, context: Context) -> Any:
    """An annotation with its text resolved, for readers other than this library."""
    hint = plain(hint, context)
    arguments = typing.get_args(hint)
    if not arguments or typing.get_origin(hint) is typing.Literal:
        return hint
    inner: tuple[Any, ...] = tuple(
        argument if argument in (..., ()) else resolved(argument, context) for argument in arguments
    )
    origin, _ = origin_of(hint)
    if origin is typing.Union:
        return typing.Union[inner]  # noqa: UP007 - the members come as a tuple
    parameter: Any = inner[0] if len(inner) == 1 else inner
    return origin[parameter]
