"""Reads the annotations of a class body, before and after the names in them can be resolved.

An annotation that cannot be resolved yet stays text; the codec resolves it when it is built. It must not know fields.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from types import FrameType
from typing import Any

from msgspec import Struct

# As text, for `re` compiles and keeps a pattern with its first use: most programs need neither.
_ATTR = r"(?s)(?:\w+\.)*Attr\[(.*)\]"
_CLASS_VAR = r"(?:\w+\.)*ClassVar\b"


class Scope(Struct, frozen=True):
    """Where a class body stands: its annotations, and the names it can see besides its module's."""

    annotations: dict[str, Any]
    module: str
    local: dict[str, Any]


def scope_of(frame: FrameType, namespace: dict[str, Any]) -> Scope:
    """The scope of the class body that is being made in ``frame``."""
    module = namespace.get("__module__", "")
    annotations = _annotations(namespace)
    in_function = frame.f_locals is not frame.f_globals
    # A copy is needed only for text annotations, and only when the class stands inside a function.
    local = (
        dict(frame.f_locals)
        if in_function and any(isinstance(annotation, str) for annotation in annotations.values())
        else {}
    )
    for parameter in namespace.get("__type_params__", ()):
        local[parameter.__name__] = parameter
    return Scope(annotations, module, local)


def _annotations(namespace: dict[str, Any]) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is not None:
            return annotationlib.call_annotate_function(annotate, annotationlib.Format.FORWARDREF)
    return dict(namespace.get("__annotations__", {}))


def attr_annotation(annotation: Any, scope: Scope) -> Any:
    """What stands inside ``Attr[...]``: a type, or text when it cannot be resolved yet.

    Returns None for ``ClassVar``, and the annotation wrapped in `NotAttr` for anything else.
    """
    if isinstance(annotation, str):
        if "ClassVar" in annotation and re.match(_CLASS_VAR, annotation):
            return None
        resolved = resolve(annotation, scope)
        if resolved is not None:
            return attr_annotation(resolved, scope)
        match = re.fullmatch(_ATTR, annotation.strip())
        return match.group(1) if match else NotAttr(annotation)
    if typing.get_origin(annotation) is typing.ClassVar or annotation is typing.ClassVar:
        return None
    origin = typing.get_origin(annotation)
    if origin is not None and getattr(origin, "__name__", "") == "Attr":
        inner = typing.get_args(annotation)[0]
        return _inner(inner, scope)
    return NotAttr(annotation)


class NotAttr(Struct, frozen=True):
    """An annotation that is not ``Attr[...]``."""

    annotation: Any


def _inner(inner: Any, scope: Scope) -> Any:
    """Resolve a quoted type inside ``Attr["..."]`` when that is possible already."""
    if isinstance(inner, typing.ForwardRef):
        resolved = resolve(inner.__forward_arg__, scope)
        return inner.__forward_arg__ if resolved is None else resolved
    return inner


def resolve(text: str, scope: Scope) -> Any:
    """Evaluate an annotation's text as the class body would; None when a name is not there yet."""
    module = sys.modules.get(scope.module)
    names = dict(vars(module)) if module is not None else {}
    try:
        return eval(text, names, scope.local)
    except (NameError, AttributeError):
        return None


def forbids_none(annotation: Any) -> bool:
    """Whether an annotation surely has no place for None; False while it cannot be resolved yet.

    Example: ``forbids_none(str) and not forbids_none(str | None)``
    """
    if annotation is None or isinstance(annotation, (str, typing.ForwardRef, typing.TypeVar)):
        return False
    inner = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)
    if inner is not None:  # a NewType, or an alias that was made by ``type X = ...``
        return forbids_none(inner)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return forbids_none(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        return None not in typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return all(forbids_none(argument) for argument in typing.get_args(annotation))
    return annotation not in (typing.Any, object, types.NoneType)


def parameters_of(base: Any) -> dict[Any, Any]:
    """The type variables that a generic base such as ``Event[int]`` gives a meaning."""
    origin = typing.get_origin(base)
    parameters = getattr(origin, "__parameters__", ())
    return dict(zip(parameters, typing.get_args(base), strict=False)) if origin is not typing.Generic else {}
