"""Coroutines that belong where they were called: they run in the scope of then, wherever they are awaited."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import Context, copy_context
from functools import partial, update_wrapper
from types import MethodType
from typing import Any, TypeAlias

from dynamorm.errors import DynamORMError

ScopeOf: TypeAlias = Callable[[], Mapping[str, str]]
"""What gives the scope that a database has for who calls it."""


class Called:
    """Where a coroutine is called. ``scope_of`` gives the scope of its database for the caller.

    What is awaited in another scope is run in the context of the call, so that all of it is of that one.
    """

    __slots__ = ("_refused", "_scope", "_scope_of", "_variables")

    def __init__(self, scope_of: ScopeOf) -> None:
        self._scope_of = scope_of
        self._variables: Context = copy_context()
        self._refused: DynamORMError | None = None
        self._scope: Mapping[str, str] = {}
        try:
            self._scope = scope_of()
        except DynamORMError as error:  # it is raised where the coroutine is awaited, as any other one is
            self._refused = error

    async def run(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        """The result of a function, which is awaited. Raises: what the scope of the call was refused for."""
        if self._refused is not None:
            raise self._refused
        if self._is_here():
            return await function(*args, **named)
        return await _Within(self._variables, _result(function, args, named))

    def _is_here(self) -> bool:
        try:
            return self._scope_of() == self._scope
        except DynamORMError:
            return False


async def _result(function: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    return await function(*args, **named)


class _Within:
    """A coroutine whose steps find these context variables, whoever awaits it."""

    __slots__ = ("_coroutine", "_variables")

    def __init__(self, variables: Context, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._variables = variables
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, Any]:
        run, coroutine = self._variables.run, self._coroutine
        step: Callable[[], Any] = partial(coroutine.send, None)
        while True:
            try:
                awaited = run(step)
            except StopIteration as end:
                return end.value
            try:
                step = partial(coroutine.send, (yield awaited))
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's, a cancellation, too
                step = partial(coroutine.throw, error)


class _AsCalled(partial[Any]):
    """A coroutine function, for who asks, and to be decorated again or used as a method: its coroutine is given a `Called` first."""

    scope_of: ScopeOf
    __qualname__: str

    def __call__(self, /, *args: Any, **named: Any) -> Any:
        return self.func(Called(self.scope_of), *args, **named)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __reduce__(self) -> Any:
        return self.__qualname__  # as functions are pickled: by name


def as_called(
    shown: Callable[..., Any], scope_of: ScopeOf
) -> Callable[[Callable[..., Coroutine[Any, Any, Any]]], Callable[..., Any]]:
    """A decorator of a coroutine function, which is given a `Called` first, and is shown as the function ``shown``."""

    def decorated(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        made = _AsCalled(function)
        update_wrapper(made, shown)
        made.scope_of = scope_of
        return made

    return decorated
