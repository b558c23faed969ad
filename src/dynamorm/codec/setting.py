"""How objects that a program holds take over what is stored: all of it or nothing, and without a question to their class.

What is stored was checked when it was written. So a field that the class lets nobody assign, and a validator of assignments, are
passed by, as they are where objects are made of stored items. What a class does in a ``__setattr__`` or property of its own is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, TypeAlias

from msgspec import Struct

Setter: TypeAlias = Callable[[Any, str, Any], None]

_plain: Final[Setter] = object.__setattr__
_ASKING_NOTHING: Final[tuple[Any, ...]] = (object.__setattr__, Struct.__setattr__)
_MISSING: Final = object()


def setter_of(cls: type[Any]) -> Setter:
    """What sets a field of a class's objects without its questions; ``setattr`` where what is asked is the class's own.

    Example: ``setter_of(Order)(order, "version", 3)``
    """
    home = next(base for base in cls.__mro__ if "__setattr__" in vars(base))
    if home is object or vars(home).get("__attrs_own_setattr__"):
        return _plain
    module = getattr(vars(home)["__setattr__"], "__module__", None) or home.__module__
    if module.partition(".")[0] == "pydantic":
        return _in_pydantic
    return _plain if module in _OURS else setattr


_OURS: Final = frozenset({"dynamorm.models.always", "dynamorm.models.generated"})


def _in_pydantic(obj: Any, name: str, value: Any) -> None:
    obj.__dict__[name] = value
    obj.__pydantic_fields_set__.add(name)


def asks_nothing(cls: type[Any]) -> bool:
    """Whether an assignment to a field just sets it."""
    return any(cls.__setattr__ is one for one in _ASKING_NOTHING)


def may_refuse(cls: type[Any], names: Iterable[str], setter: Setter) -> bool:
    """Whether setting a field may fail: where the class has a ``__setattr__`` or properties of its own."""
    if setter is setattr and not asks_nothing(cls):
        return True
    return setter is _plain and any(isinstance(getattr(cls, name, None), property) for name in names)


def giver_of(cls: type[Any], names: Iterable[str]) -> Callable[[Any, Mapping[str, Any]], None]:
    """What lets objects of a class hold values that are stored, all of them or none; cached properties are forgotten."""
    setter, cached = setter_of(cls), cached_of(cls, names)
    refuses = may_refuse(cls, names, setter)

    def given(obj: Any, values: Mapping[str, Any]) -> None:
        if refuses:
            give(obj, values, setter)
        else:
            for name, value in values.items():
                setter(obj, name, value)
        if cached:
            forget(obj, cached)

    return given


def give(obj: Any, values: Mapping[str, Any], setter: Setter) -> None:
    """Set all of these fields, or, where one is refused, none."""
    before = {name: getattr(obj, name, _MISSING) for name in values}
    done: list[str] = []
    try:
        for name, value in values.items():
            done.append(name)
            setter(obj, name, value)
    except BaseException:
        for name in reversed(done):
            with suppress(Exception):  # of that which was refused it may be refused, too: it never changed
                if before[name] is _MISSING:
                    delattr(obj, name)
                else:
                    setter(obj, name, before[name])
        raise


def cached_of(cls: type[Any], names: Iterable[str]) -> tuple[str, ...]:
    """The names of a class's cached properties, whose values were made of fields as they were."""
    found: dict[str, None] = {}
    fields = set(names)
    for base in cls.__mro__:
        found |= {name: None for name, value in vars(base).items() if isinstance(value, cached_property)}
        if "__attrs_attrs__" in vars(base):  # of a class with slots attrs has made a slot of each
            slots = vars(base).get("__slots__", ())
            found |= {name: None for name in slots if name not in fields and not name.startswith("__")}
    return tuple(found)


def forget(obj: Any, cached: tuple[str, ...]) -> None:
    """Let cached properties be computed anew when they are next asked for."""
    for name in cached:
        with suppress(AttributeError):  # it was not asked for yet
            delattr(obj, name)
