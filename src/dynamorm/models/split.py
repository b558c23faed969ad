"""Fields whose value is kept in several attributes: ``price: Attr[Money] = attr(money="amount,currency")``.

In the class body such a field becomes the fields of its attributes, and a `SplitValue` that makes one value of them. It must not
know what the value is: its class says so (`TypeCodec`).
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from typing import Any

from dynamorm.errors import ModelError, UnknownArgument
from dynamorm.models.schema.schema import MISSING, SplitValue, TypeCodec

from .annotations import Scope, attr_annotation
from .declare import Attr, Spec


def split_fields(owner: str, namespace: dict[str, Any], scope: Scope) -> None:
    """Put the fields of their attributes in the place of those that are kept in several. Raises: ModelError."""
    for name, spec in tuple(namespace.items()):
        if isinstance(spec, Spec) and "money" in spec.limits:
            _split(f"{owner}.{name}", name, spec, namespace, scope)


def _split(where: str, name: str, spec: Spec, namespace: dict[str, Any], scope: Scope) -> None:
    codec, optional = _codec_of(where, attr_annotation(scope.annotations.get(name), scope))
    given = spec.limits["money"]
    names = [part.strip() for part in given.split(",")] if isinstance(given, str) else []
    if len({*names, name}) != len(codec.types) + 1 or not all(part.isidentifier() for part in names):
        raise ModelError(
            f'{where}: money names two other attributes, with a comma between them: money="amount,currency"'
        )
    if spec.limits.keys() != {"money"} or spec.options or spec.role or spec.name or spec.default_factory is not None:
        raise ModelError(
            f"{where}: money= stands alone, or beside default=None: say the rest of the attributes {given!r}"
        )
    if spec.default is not MISSING and (spec.default is not None or not optional):
        raise ModelError(f"{where}: the default of money in two attributes is None, of an Attr[... | None]")
    for part, kind in zip(names, codec.types, strict=True):
        if part in scope.annotations:
            continue  # declared beside it, with limits of its own
        scope.annotations[part] = Attr[kind | None] if optional else Attr[kind]  # type: ignore[valid-type] # read at run time
        if spec.default is None:
            namespace[part] = Spec("", (), {"default": None})
    del scope.annotations[name]
    assert codec.split is not None  # `_codec_of` has looked
    namespace[name] = codec.split(*names)


def _codec_of(where: str, annotation: Any) -> tuple[TypeCodec, bool]:
    """How the class of an annotation is kept, and whether it may be None. Raises: ModelError."""
    members = (
        typing.get_args(annotation)
        if typing.get_origin(annotation) in (typing.Union, types.UnionType)
        else (annotation,)
    )
    present = [member for member in members if member is not types.NoneType]
    codec = getattr(present[0], "__dynamorm_codec__", None) if len(present) == 1 else None
    if not isinstance(codec, TypeCodec) or codec.split is None:
        raise ModelError(
            f"{where}: money= is of a field that is annotated as Attr[Money], a class that is known by then"
        )
    return codec, len(members) > 1


def constructor_of(bases: tuple[type, ...], namespace: dict[str, Any]) -> dict[str, Callable[..., Any]]:
    """What lets the constructor of a model take values that are kept in several fields; nothing for a model without any."""
    members: dict[str, Any] = {}
    for base in reversed(bases):
        for cls in reversed(base.__mro__):
            members.update(vars(cls))
    members.update(namespace)
    splits = {name: member for name, member in members.items() if isinstance(member, SplitValue)}
    if not splits:
        return {}

    def __call__(cls: Any, *args: Any, **named: Any) -> Any:  # noqa: N807 - it becomes that of the metaclass
        for name in splits.keys() & named.keys():
            split = splits[name]
            value = named.pop(name)
            parts = (None,) * len(split.fields) if value is None else split.parts(value)
            for field, part in zip(split.fields, parts, strict=True):
                if field in named:
                    raise UnknownArgument(
                        f"{cls.__name__}: {field} is a part of {name}: give one of the two", field=field
                    )
                named[field] = part
        return type.__call__(cls, *args, **named)

    return {"__call__": __call__}
