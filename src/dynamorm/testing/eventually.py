"""`assert_eventually`: ask again until something holds. It must not know databases."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from math import isfinite
from typing import Any, TypeVar, overload

T = TypeVar("T")

_SHOWN = 500
_Awaited = Callable[[], Awaitable[T]]


@overload
def assert_eventually(fn: Callable[[], Awaitable[T]], timeout: float = ..., interval: float = ...) -> Awaitable[T]: ...
@overload
def assert_eventually(fn: Callable[[], T], timeout: float = ..., interval: float = ...) -> T: ...
def assert_eventually(fn: Callable[[], Any], timeout: float = 5.0, interval: float = 0.05) -> Any:
    """Call ``fn`` until its result is true, for ``timeout`` seconds, every ``interval`` seconds; return that result.

    An exception counts as "not yet", but for `pytest.fail`, `pytest.skip` and what ends a program. For a coroutine
    function the result is to be awaited. It takes real seconds, also where `freeze_time` has stopped the clock.

    Raises: AssertionError with the last result, or the last exception, the number of tries and the seconds; TypeError for
    what cannot be called.

    Example: ``assert_eventually(lambda: db.model(Payment).where("status", "=", "completed").count() > 0)``
    """
    if not callable(fn):
        raise TypeError(
            f"assert_eventually takes a function to call again and again, not {type(fn).__name__}: write lambda: ..."
        )
    tries = _Tries(fn, timeout, interval)
    if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None)):  # noqa: B004 - it is looked at
        return _awaited(fn, tries)
    while True:
        try:
            value = fn()
        except Exception as error:  # noqa: BLE001 - not yet
            tries.failed(error)
        else:
            if inspect.isawaitable(value):  # a lambda that calls a coroutine function
                return _awaited(fn, tries, value)
            if tries.held(value):
                return value
        time.sleep(tries.pause())


async def _awaited(fn: Callable[[], Any], tries: _Tries, first: Any = None) -> Any:
    while True:
        try:
            found, first = (fn() if first is None else first), None
            value = await found
        except Exception as error:  # noqa: BLE001 - not yet
            tries.failed(error)
        else:
            if tries.held(value):
                return value
        await asyncio.sleep(tries.pause())


class _Tries:
    """How often something was asked, and what came of it last."""

    def __init__(self, fn: object, timeout: float, interval: float) -> None:
        for name, given in (("timeout", timeout), ("interval", interval)):
            if not isfinite(given) or given < 0:
                raise ValueError(f"{name} is a number of seconds, 0 or more")
        self._fn = fn
        self._interval = interval
        self._began = time.monotonic()
        self._end = self._began + timeout
        self._count = 0
        self._last = ""
        self._error: BaseException | None = None

    def held(self, value: object) -> bool:
        """Whether this result will do."""
        self._count += 1
        if value:
            return True
        self._error, self._last = None, f"the last value was {_short(value)}"
        return False

    def failed(self, error: Exception) -> None:
        """Note an exception. What a test says itself is raised on."""
        self._count += 1
        self._error, self._last = error, f"the last call raised {_short(error)}"

    def pause(self) -> float:
        """Seconds until the next try. Raises: AssertionError when the time is over."""
        now = time.monotonic()
        if now >= self._end:
            tries = "1 try" if self._count == 1 else f"{self._count} tries"
            raise AssertionError(
                f"it did not hold after {tries} in {now - self._began:.2f} seconds: {self._last}"
            ) from self._error
        return min(self._interval, self._end - now)


def _short(value: object) -> str:
    """At most 500 characters of a value's repr."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - a repr may fail too
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
