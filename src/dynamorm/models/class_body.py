"""What a class body may hold besides fields: methods, cached properties, abstract methods; and what it may not.

It must not know fields or how a schema is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

from dynamorm.errors import ModelError


def refuse_constructor(name: str, bases: tuple[type, ...], namespace: dict[str, Any], models: type) -> None:
    """Refuse an ``__init__`` of one's own: objects that are read are made without it, and it would hide the library's.

    ``models`` is the metaclass of models, whose constructors are the library's. Raises: ModelError.
    """
    if "__init__" in namespace:
        raise ModelError(_no_constructor(name))
    for base in bases:
        if isinstance(base, models):
            continue
        for cls in base.__mro__:
            if callable(vars(cls).get("__init__")) and cls is not object and not getattr(cls, "_is_protocol", False):
                raise ModelError(_no_constructor(f"{name}, base {cls.__name__}"))


def _no_constructor(name: str) -> str:
    return (
        f"class {name}: the constructor of a model is made from its fields, so it has no __init__ of its own: write"
        " __post_init__(self), which is called behind it, or a classmethod that makes the object"
    )


def has_post_init(bases: tuple[type, ...], namespace: dict[str, Any]) -> bool:
    """Whether the constructor has a ``__post_init__`` to call."""
    return "__post_init__" in namespace or any(hasattr(base, "__post_init__") for base in bases)


def cached_properties(bases: Iterable[type], namespace: dict[str, Any]) -> Iterator[tuple[str, cached_property[Any]]]:
    """Each `functools.cached_property` of a class body and of the mixins among its bases, by name."""
    members: dict[str, Any] = {}
    for base in reversed(tuple(bases)):
        for cls in reversed(base.__mro__):
            if not isinstance(vars(cls).get("__slots__"), tuple) or "__scope__" not in vars(cls):
                continue  # a class that is no model and no mixin gives its objects a __dict__
            members.update(vars(cls))
    members.update(namespace)
    return ((name, member) for name, member in members.items() if isinstance(member, cached_property))


class _Use:
    """Whether any class of this process has methods that a decorator of the library marks: else nobody looks for them."""

    ever: bool = False


USE = _Use()


def marked(mark: str, bases: Iterable[type], namespace: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Each function that bears a mark, of a class body and of its bases: its name, itself, and what the mark says.

    One that a later class overrides by another of its name counts no more.
    """
    members: dict[str, Any] = {}
    for base in reversed(tuple(bases)):
        for cls in reversed(base.__mro__):
            members.update({name: value for name, value in vars(cls).items() if name in members or _of(value, mark)})
    members.update({name: value for name, value in namespace.items() if name in members or _of(value, mark)})
    for name, value in members.items():
        said = _of(value, mark)
        if said is not None:
            yield name, getattr(value, "__func__", value), said


def _of(value: Any, mark: str) -> Any:
    function = value.__func__ if isinstance(value, staticmethod) else value
    return getattr(function, mark, None) if hasattr(function, "__code__") else None


class CachedInSlot:
    """A `functools.cached_property` of a class whose objects have slots: the value is kept in one of them.

    As with Python's own, it may be set, and ``del`` lets it be computed again.
    """

    def __init__(self, name: str, function: Callable[[Any], Any]) -> None:
        self._slot = slot_of(name)
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, obj: Any, cls: type | None = None) -> Any:
        if obj is None:
            return self
        slot = getattr(type(obj), self._slot)
        try:
            return slot.__get__(obj)
        except AttributeError:
            pass
        value = self._function(obj)
        slot.__set__(obj, value)
        return value

    def __set__(self, obj: Any, value: Any) -> None:
        getattr(type(obj), self._slot).__set__(obj, value)

    def __delete__(self, obj: Any) -> None:
        getattr(type(obj), self._slot).__delete__(obj)


def slot_of(name: str) -> str:
    """The slot in which a cached property keeps its value. No field can have this name."""
    return f"__cached_{name}__"
