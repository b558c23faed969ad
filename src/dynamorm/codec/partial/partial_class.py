"""The classes of partial objects: what `select` asked for can be read, nothing else, and nothing can be written back.

A partial object of a `Model` is an instance of a generated subclass of it, so that it passes wherever the model does;
that of a registered class, which may have any constructor, is a plain object with the same attributes. Neither has a
schema, so no verb takes it. This module must not know wire types.
"""

from __future__ import annotations

import threading
from abc import ABCMeta
from typing import Any, Final, NoReturn
from weakref import WeakValueDictionary

from dynamorm.codec.state import has_slot
from dynamorm.errors import PartialItem
from dynamorm.models.generated import shown_value
from dynamorm.models.schema.schema import SCHEMAS, schema_of

# Held weakly: a program that lets its users choose the fields may make any number of them.
_classes: Final[WeakValueDictionary[tuple[type, tuple[str, ...]], type]] = WeakValueDictionary()
_lock: Final = threading.Lock()


def partial_class(model: Any, names: tuple[str, ...]) -> Any:
    """The class of the partial objects of ``model`` that hold the fields ``names``, in order of declaration."""
    key = (model, names)
    with _lock:  # two classes for one selection would make equal objects unequal
        cls = _classes.get(key)
        if cls is None:
            cls = _classes[key] = _make(model, names)
        return cls


def open_class(partial: Any) -> Any:
    """The class that objects are made with and filled, before they become partial: its attributes can be set."""
    return partial.__mro__[1]


def seal(obj: Any, partial: Any) -> Any:
    """Make a partial object of a filled one."""
    obj.__class__ = partial
    return obj


def _make(model: Any, names: tuple[str, ...]) -> Any:
    name = f"Partial{model.__name__}"
    namespace = {
        **_METHODS,
        "__slots__": (),
        "__partial_of__": model,
        "__selected__": names,
        "__module__": model.__module__,
        "__qualname__": name,
        "__doc__": f"Some attributes of a {model.__name__}, as select() asked for them.",
    }
    if has_slot(model):
        # Without the metaclass's own constructor, which would build a schema and so make the class a model.
        return ABCMeta.__new__(type(model), name, (model,), namespace)
    filled: Any = type(name, (), {"__slots__": (*names, "__loaded__")})
    return type(name, (filled,), namespace)


# ------------------------------------------------------------------------------------------------- methods of the classes


def _init(self: Any, *_: Any, **__: Any) -> NoReturn:
    raise PartialItem(f"a {type(self).__name__} is only made by reading with select()")


def _getattr(self: Any, name: str) -> Any:
    """Asked only for what is not there."""
    model = self.__partial_of__
    if name in SCHEMAS[model].fields:
        raise PartialItem(
            f"{model.__name__}.{name} was not selected: add it to select(), or load the whole item", field=name
        )
    # Once more, for the error: of a property that needs what was not selected, or of a name that does not exist.
    return object.__getattribute__(self, name)


def _setattr(self: Any, name: str, _: Any = None) -> NoReturn:
    model = self.__partial_of__.__name__
    raise PartialItem(
        f"{model}.{name}: a partial {model} cannot be changed, for it cannot be saved: load the whole item, or use"
        " update() with its key",
        field=name,
    )


def _repr(self: Any) -> str:
    fields = SCHEMAS[self.__partial_of__].fields
    shown = ", ".join(f"{name}={shown_value(self, fields[name])}" for name in self.__selected__)
    return f"{type(self).__name__}({shown})"


def _eq(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return all(getattr(self, name) == getattr(other, name) for name in self.__selected__)


def _reduce(self: Any, *_: Any) -> tuple[Any, ...]:
    names = self.__selected__
    return restore, (self.__partial_of__, names, tuple([getattr(self, name) for name in names]))


def restore(model: Any, names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    """A partial object again, of what a pickle or a copy holds.

    Raises: ModelError or InvalidUse when ``model`` is no model any more.
    """
    schema_of(model)
    partial = partial_class(model, names)
    obj = object.__new__(open_class(partial))
    obj.__loaded__ = None
    for name, value in zip(names, values, strict=True):
        setattr(obj, name, value)
    return seal(obj, partial)


class _SelectedFields:
    """Lets `dataclasses.asdict` and others see what there is, as a model does with all of it."""

    def __get__(self, obj: Any, cls: Any) -> Any:
        fields = cls.__partial_of__.__dataclass_fields__  # an AttributeError where the model has none
        return {name: fields[name] for name in cls.__selected__ if name in fields}


_METHODS: Final[dict[str, Any]] = {
    "__init__": _init,
    "__replace__": _init,
    "__getattr__": _getattr,
    "__setattr__": _setattr,
    "__delattr__": _setattr,
    "__repr__": _repr,
    "__eq__": _eq,
    "__hash__": None,
    "__reduce__": _reduce,
    "__reduce_ex__": _reduce,
    "__dataclass_fields__": _SelectedFields(),
}
