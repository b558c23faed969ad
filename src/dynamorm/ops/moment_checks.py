"""What plugins give to be called: checked when they are registered, or when a model is used for the first time.

What only a call can show is noticed by who called. Loaded only where there are plugins. It must not know what is called when.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from inspect import isasyncgenfunction, iscoroutine, iscoroutinefunction, isgeneratorfunction
from types import GeneratorType
from typing import Any, Final

from dynamorm.arguments import check_takes, type_given
from dynamorm.errors import ConfigError, InvalidUse
from dynamorm.models.schema.placed import PlacedField

from .layer_code import goes_astray

NEAR: Final = 0.84
"""How alike two names are when one is taken for a slip of the other: a letter more, less or changed, or two exchanged."""


def given(value: Any) -> str:
    """What somebody gave in the place of something else, by its type alone; a coroutine is closed, for nobody awaits it."""
    if iscoroutine(value):
        value.close()
        return "a coroutine, which nobody awaits"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return type_given(value)


def kind_of(function: Any) -> str:
    """What a function is that does not run when it is called, in words; empty for one that does."""
    if iscoroutinefunction(function) or isasyncgenfunction(function):
        return "is a coroutine, which nobody would wait for: make it a plain function"
    if isgeneratorfunction(function):
        return "has a yield, so that nobody would run it: make it a plain function"
    return ""


def check_names(subject: Any, moments: Mapping[str, tuple[str, ...]], what: str) -> None:
    """Refuse a method that is called nearly like a moment, and would never be asked. Raises: ConfigError.

    ``moments`` are the names, each with the names of its arguments. What is called with no argument is a helper
    (``close()`` beside ``closed(db)``), unless the moment has none either.
    """
    for name, moment in slips(subject, moments):
        raise ConfigError(
            f"{what} has a method {name}, which is no moment and would never be asked; did you mean {moment}? Call a"
            f" method of your own otherwise: _{name}"
        )


def slips(subject: Any, moments: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    """The methods that seem to be meant for a moment, each with it."""
    for name, function in _methods(type(subject)):
        moment = near(name, moments)
        if moment is not None and (_takes_any(function) or not moments[moment]):
            yield name, moment


def near(name: str, moments: Mapping[str, tuple[str, ...]]) -> str | None:
    """The moment that a name seems to be meant for, None for a moment itself and for what is like none."""
    if name in moments:
        return None
    from difflib import get_close_matches  # needed only where plugins are registered

    lower = name.lower()
    letters = sorted(lower)
    exchanged = [moment for moment in moments if sorted(moment) == letters]
    found = exchanged or get_close_matches(lower, moments, n=1, cutoff=NEAR)
    return found[0] if found else None


def check_moment(function: Any, arguments: tuple[str, ...], what: str) -> None:
    """Refuse a moment that cannot be asked with what it is given. Raises: ConfigError."""
    check_takes(function, arguments, what, error=ConfigError)


def _methods(cls: type[Any]) -> Iterator[tuple[str, Any]]:
    """The public methods that a class and its bases define, without those of the library."""
    for base in cls.__mro__:
        if base is object or base.__module__.partition(".")[0] == "dynamorm":
            continue
        for name, member in vars(base).items():
            function = getattr(member, "__func__", member)
            if not name.startswith("_") and hasattr(function, "__code__"):
                yield name, member


def _takes_any(member: Any) -> bool:
    """Whether a method takes an argument besides its own object."""
    code = getattr(member, "__func__", member).__code__
    own = 0 if isinstance(member, staticmethod) else 1
    return code.co_argcount > own or bool(code.co_flags & 0x04)  # *args


# ------------------------------------------------------------------------------------------------- layers around flows


def layer(hook: Callable[[Any], Any], what: str, argument: str) -> Callable[[Any], Any]:
    """The hook that puts a layer around a flow, with a look at the layer it gives, which is called with ``argument``."""
    return lambda inner: _checked(hook(inner), inner, what, argument)


def _checked(outer: Any, inner: Any, what: str, argument: str) -> Any:
    """A layer that gives flows. One that is a generator always does; else each flow is looked at. Raises: ConfigError."""
    if outer is inner:
        return outer
    if isinstance(outer, type) or not callable(outer):
        raise ConfigError(
            f"{what} returns a function that gives a flow, with `return (yield from ...)`, not {given(outer)}"
        )
    function = outer if hasattr(outer, "__code__") else getattr(outer, "__func__", getattr(outer, "func", outer))
    if not hasattr(function, "__code__"):
        function = getattr(type(function), "__call__", function)  # noqa: B004 - its code is looked at
    if iscoroutinefunction(function) or isasyncgenfunction(function):
        raise ConfigError(
            f"{what} returned a coroutine function: a flow is a generator, with `yield from` in the place of await; what is"
            " to be awaited is given to `yield Call(blocking, coroutine_function)`"
        )
    check_moment(outer, (argument,), f"the function that {what} returned")
    if isgeneratorfunction(function):
        if astray := goes_astray(function, inner):
            raise ConfigError(
                f"{what}: {function.__qualname__} {astray}, so that what it wraps is never run: write"
                " `return (yield from ...)`"
            )
        return outer

    def looked_at(subject: Any) -> Any:
        flow = outer(subject)
        if flow.__class__ is not GeneratorType and not isinstance(flow, Generator):
            raise InvalidUse(
                f"{what} gave a function that returned {given(flow)} in the place of a flow, so that nothing was run: let it"
                " return what it wraps, or be a generator with `return (yield from ...)`"
            )
        return flow

    return looked_at


# ----------------------------------------------------------------------------------------------------- fields and models


def field_hook(hook: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any], Any]:
    """``field`` of a plugin, with a look at what it gives: (encode, decode), or None. Raises: ConfigError."""

    def looked_at(schema: Any, field: Any) -> Any:
        codec = hook(schema, field)
        if codec is None:
            return None
        where = f"field of the plugin {name}, for {schema.name}.{field.name}"
        if isinstance(codec, PlacedField):
            check_names(codec, _PLACED, where)
            for role, arguments in _PLACED.items():
                if kind := kind_of(getattr(codec, role)):
                    raise ConfigError(f"{where}: {role} {kind}")
                check_moment(getattr(codec, role), arguments, f"{where}: {role}")
            return codec
        if not isinstance(codec, tuple) or len(codec) != 2 or not all(map(callable, codec)):
            raise ConfigError(
                f"{where}, gives (encode, decode), two functions, or None to leave it alone, not {given(codec)}"
            )
        for function, role in zip(codec, ("encode", "decode"), strict=True):
            if kind := kind_of(function):
                raise ConfigError(f"{where}: {role} {kind}")
            check_moment(function, ("value",), f"{where}: {role}")
        return codec

    return looked_at


_PLACED: Final = {
    "encode": ("wire", "place"),
    "decode": ("wire", "place"),
    "operand": ("kind",),
    "beside": ("wire", "place"),
}


def model_hook(hook: Callable[[Any], Any], name: str) -> Callable[[Any], Any]:
    """``model`` of a plugin, with a look at what it gives: the schema to go on with. Raises: ConfigError."""

    def looked_at(schema: Any) -> Any:
        other = hook(schema)
        if not isinstance(other, type(schema)):
            raise ConfigError(
                f"model of the plugin {name} gives the schema to go on with, `return schema` where it changes nothing, not"
                f" {given(other)} (for {schema.name})"
            )
        return other

    return looked_at


def companions(models: Any, name: str) -> tuple[type[Any], ...]:
    """What ``companions(schema)`` of a plugin gave: models. Raises: ConfigError."""
    if models is None:
        return ()
    if not isinstance(models, (tuple, list)) or not all(isinstance(model, type) for model in models):
        raise ConfigError(
            f"companions of the plugin {name} gives the models whose tables a model needs: a tuple, not {given(models)}"
        )
    return tuple(models)
