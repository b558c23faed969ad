"""What of payments is written once for both faces: a generator that yields what a database gives, plain or to be awaited.

``found = yield db.get(Payment, "p1")`` is the object on either face. It must not know what the generators do.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import wraps
from inspect import isawaitable, iscoroutinefunction
from typing import Any, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

Steps: TypeAlias = Generator[Any, Any, R]
"""A function in steps: it yields what a database gives, and is sent the result of that."""


def is_async(db: Any) -> bool:
    """Whether a database is of the asyncio face."""
    return iscoroutinefunction(type(db).get)


def on_both(function: Callable[P, Steps[R]]) -> Callable[P, Any]:
    """Let a function in steps be called: with a `DB` first (or an object whose ``db`` is one) it gives its result, else that is awaited."""

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> Any:
        subject: Any = args[0]
        steps = function(*args, **named)
        return _awaited(steps) if is_async(getattr(subject, "db", subject)) else _done(steps)

    return call


def _done(steps: Steps[Any]) -> Any:
    value = None
    while True:
        try:
            value = steps.send(value)
        except StopIteration as end:
            return end.value


async def _awaited(steps: Steps[Any]) -> Any:
    value: Any = None
    failed: BaseException | None = None
    while True:
        try:
            given = steps.send(value) if failed is None else steps.throw(failed)
        except StopIteration as end:
            return end.value
        value, failed = None, None
        if not isawaitable(given):
            value = given
            continue
        try:
            value = await given
        except BaseException as error:  # noqa: BLE001 - also a cancellation: the steps decide what becomes of it
            failed = error


def transacted(db: Any, fill: Callable[[Any], None], *, token: str | None = None) -> Steps[None]:
    """Apply what ``fill(tx)`` writes in one transaction."""
    tx = db.transaction(token=token)
    enter, leave = (tx.__aenter__, tx.__aexit__) if is_async(db) else (tx.__enter__, tx.__exit__)
    yield enter()
    try:
        fill(tx)
    except BaseException as error:
        yield leave(type(error), error, error.__traceback__)
        raise
    yield leave(None, None, None)
