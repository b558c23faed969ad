"""Hooks as methods of a model: what is done before and after its objects are written, and when they are read.

They are kept in ``Schema.hooks``, by moment. Loaded with the first model that has any. It must not know who asks them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from dynamorm.errors import DynamORMError, ModelError, ValidationError
from dynamorm.models.schema.schema import Schema

from .class_body import USE, marked

H = TypeVar("H", bound=Callable[[Any], "Awaitable[None] | None"])
F = TypeVar("F", bound=Callable[..., Any])
L = TypeVar("L", bound=Callable[[Any], None])

MOMENTS: Final = (
    "before_create", "before_save", "before_delete", "after_create", "after_save", "after_delete", "after_load",
)  # fmt: skip
"""The moments of a model's objects, by the names of their decorators."""

_WAITS: Final = 0x80 | 0x20 | 0x200  # `inspect.CO_COROUTINE`, of generators too, whose module takes long to import


def before_create(function: H, /) -> H:
    """Declare a method that is called before an object is stored for the first time: by ``create``, and by ``save`` of a new one.

    What it changes is written; what it raises is the verb's error, and nothing is sent. It may be a coroutine function. Those of
    one moment are called in the order in which they stand, those of bases first; `before_save` comes after.

    Example::

        class Post(Model, table="posts"):
            id: Attr[str] = partition_key()
            slug: Attr[str] = attr(default="")

            @before_create
            def name_it(self) -> None:
                self.slug = self.slug or self.id.lower()
    """
    return _marked(function, "before_create")


def before_save(function: H, /) -> H:
    """As `before_create`, before each write of a whole object: ``create``, ``put`` and ``save``, in transactions and batches, too.

    Example: ``@before_save`` over ``def clean(self) -> None: ...``
    """
    return _marked(function, "before_save")


def before_delete(function: H, /) -> H:
    """As `before_create`, before an object is deleted. A delete by key is refused then, for there is no object to ask.

    Example: ``@before_delete`` over ``def is_closed(self) -> None: ...``
    """
    return _marked(function, "before_delete")


def after_create(function: H, /) -> H:
    """Declare a method that is called once it is certain that a new object is stored, by ``create`` or ``save``.

    The write has happened: what it raises is logged, and changes no outcome; what it changes of the object is not written.

    Example: ``@after_create`` over ``async def tell(self) -> None: ...``
    """
    return _marked(function, "after_create")


def after_save(function: H, /) -> H:
    """As `after_create`, after each write of a whole object: ``create``, ``put`` and ``save``, in transactions and batches, too.

    Example: ``@after_save`` over ``def forget(self) -> None: ...``
    """
    return _marked(function, "after_save")


def after_delete(function: H, /) -> H:
    """As `after_create`, after an object is deleted. A delete by key is refused then, for there is no object to ask.

    Example: ``@after_delete`` over ``def forget(self) -> None: ...``
    """
    return _marked(function, "after_delete")


def after_load(function: L, /) -> L:
    """Declare a method that is called for each object that is made of a stored item. It cannot wait, so it is a plain function.

    What it changes of the fields is written by the next ``save``. What it raises is the error of the read.

    Example: ``@after_load`` over ``def count(self) -> None: ...``
    """
    if hasattr(function, "__code__") and function.__code__.co_flags & _WAITS:
        raise ModelError(
            f"@after_load: {function.__name__} is a coroutine function, and who reads waits for none: `def` it"
        )
    return _marked(function, "after_load")


def _marked(function: F, moment: str) -> F:
    if not hasattr(function, "__code__"):
        raise ModelError(
            f"@{moment} stands over a method, def name(self) -> None, not over a {type(function).__name__}"
        )
    setattr(function, _mark(moment), True)
    USE.ever = True
    return function


def _mark(moment: str) -> str:
    return f"__dynamorm_{moment}__"


def with_hooks(schema: Schema, bases: tuple[type, ...], namespace: dict[str, Any]) -> Schema:
    """The schema with the hooks that a class body, its mixins and its bases declare."""
    hooks = {moment: tuple(_functions(moment, bases, namespace)) for moment in MOMENTS}
    return replace(schema, hooks={moment: functions for moment, functions in hooks.items() if functions})


def _functions(moment: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> Iterator[Any]:
    return (function for _, function, _ in marked(_mark(moment), bases, namespace))


def loaded(schema: Schema) -> Callable[[Any], None]:
    """A function that calls the hooks of an object that was loaded. It raises what they raise, or ValidationError."""
    name, functions = schema.name, schema.hooks["after_load"]

    def call(obj: Any) -> None:
        for function in functions:
            failed = ""
            try:
                function(obj)
            except DynamORMError:
                raise
            except Exception as error:  # noqa: BLE001 - its text may hold a value, so it is not passed on
                failed = type(error).__name__
            if failed:
                raise ValidationError(f"a {name} was read, and its hook {function.__name__} failed ({failed})")

    return call
