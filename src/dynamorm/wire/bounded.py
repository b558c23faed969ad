"""Functions each call of which has a deadline: what `deadline` makes as a decorator. Loaded only by decorators."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from inspect import isasyncgen, isasyncgenfunction, isawaitable, iscoroutinefunction, isgenerator, isgeneratorfunction
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn, ParamSpec, TypeVar, cast

from dynamorm.errors import InvalidUse

if TYPE_CHECKING:
    from .deadlines import deadline

P = ParamSpec("P")
R = TypeVar("R")

_SHORTEST: Final = 1e-9
"""Seconds: a deadline is a positive number of them, also one that has passed already."""


def bounded(function: Callable[P, R], seconds: float, make: Callable[[float], deadline]) -> Callable[P, R]:
    """The function with a deadline of its own for each call. Raises: InvalidUse, as `deadline.__call__`."""
    given: Any = function
    if isinstance(given, type) or not callable(given):
        raise InvalidUse(f"a deadline bounds a block or a function, not {type(given).__name__}")
    name, kinds = _name(function), _kinds(function)
    if any(isgeneratorfunction(one) or isasyncgenfunction(one) for one in kinds):
        _refuse_generator(f"{name} is")
    if any(iscoroutinefunction(one) for one in kinds):
        return cast("Callable[P, R]", _awaited(given, seconds, make))

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        began = monotonic()
        with make(seconds):
            result = function(*args, **named)
        if isinstance(result, Coroutine):
            return cast("R", _within(result, began + seconds, make))
        _check(result, name)
        return result

    return call


def _awaited(function: Callable[..., Any], seconds: float, make: Callable[[float], deadline]) -> Callable[..., Any]:
    """The coroutine function, bounded from the moment on at which its body begins."""

    @wraps(function)
    async def call(*args: Any, **named: Any) -> Any:
        with make(seconds):
            return await function(*args, **named)

    return call


async def _within(coroutine: Coroutine[Any, Any, Any], end: float, make: Callable[[float], deadline]) -> Any:
    """Run what a plain function gave to be awaited, until the end of the call that gave it."""
    with make(max(end - monotonic(), _SHORTEST)):
        return await coroutine


def _kinds(function: Any) -> tuple[Any, ...]:
    """What decides whether a call runs the function at once: the function, and the method of an object that is called."""
    while isinstance(function, partial):
        function = function.func
    return function, type(function).__call__


def _name(function: Any) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _check(result: Any, name: str) -> None:
    """Refuse what runs behind the call, where no deadline would bound it. Raises: InvalidUse."""
    if isgenerator(result) or isasyncgen(result):
        if isgenerator(result):
            result.close()
        _refuse_generator(f"{name} gives")
    if isawaitable(result):
        raise InvalidUse(
            f"{name} gives a {type(result).__name__}, which is no coroutine and may run beside its caller, where the deadline of the"
            " call does not hold: decorate an `async def` that awaits it, or what it runs"
        )


def _refuse_generator(what: str) -> NoReturn:
    raise InvalidUse(
        f"{what} a generator, which runs when it is read, and not when it is called: put `with deadline(...)` into it, or around"
        " what reads it"
    )
