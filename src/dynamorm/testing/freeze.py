"""`freeze_time`: the wall clock stands still, and moves when told. It must not know databases."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from importlib import import_module
from math import isfinite
from types import ModuleType, TracebackType
from typing import Any, Self, TypeVar

from dynamorm.errors import ConfigError
from dynamorm.wire.clock import SkewClock
from dynamorm.wire.credentials import Credentials
from dynamorm.wire.sigv4 import Signer

F = TypeVar("F", bound=Callable[..., Any])


class freeze_time:  # noqa: N801 - it is called as a function, and used as a context manager and a decorator
    """Let the wall clock stand still: a context manager, and a decorator of functions and coroutine functions.

    ``moment`` is a text with an offset or ``Z``, or a datetime with a time zone. What stands still is the clock of the whole
    process: that of the library (times it stores, leases, expiry, the life of tokens, signatures for engines on this machine),
    and everything that asks Python for the time. What goes on is the monotonic clock: deadlines, time limits, `asyncio.sleep`
    and `assert_eventually` take real seconds. Requests to AWS are signed with the real time, or they would be refused.

    ``tick(seconds)`` moves it. Nothing is done by that: what has expired is seen by the next request.

    Raises: ValueError for a text without an offset, and for a naive datetime; ConfigError without the package time-machine.

    Example::

        with freeze_time("2024-01-01T00:00:00Z") as clock:
            payment = db.create(Payment(id="p1"))
            clock.tick(3600)
    """

    def __init__(self, moment: str | datetime) -> None:
        self._moment = _parsed(moment)
        self._machine = _time_machine()
        self._traveller: Any = None
        self._travel: Any = None
        self._aws: Any = None

    def start(self) -> Self:
        """Stop the clock now: what entering a ``with`` block does. `stop` lets it go on.

        Raises: RuntimeError when it stands already.
        """
        if self._travel is not None:
            raise RuntimeError("this clock stands already: make another one with freeze_time(...)")
        travel = self._machine.travel(self._moment.timestamp(), tick=False)
        self._traveller = travel.start()
        self._travel = travel
        self._aws = _aws_in_real_time(self._machine)
        self._aws.__enter__()
        return self

    def stop(self) -> None:
        """Let the clock go on. A second call does nothing."""
        travel, self._travel, self._traveller = self._travel, None, None
        if travel is not None:
            self._aws.__exit__(None, None, None)
            travel.stop()

    @property
    def now(self) -> datetime:
        """The time at which the clock stands, in UTC."""
        return datetime.fromtimestamp(time.time(), UTC)

    def tick(self, seconds: float | timedelta = 1.0) -> datetime:
        """Move the clock forward, and return its new time.

        Raises: ValueError for a negative number; RuntimeError when the clock does not stand.

        Example: ``clock.tick(0.5)``
        """
        passed: Any = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        is_number = isinstance(passed, (int, float)) and not isinstance(passed, bool)
        if not is_number or not isfinite(passed) or passed < 0:
            raise ValueError("a clock ticks forward: give seconds, 0 or more")
        self._standing().shift(passed)
        return self.now

    def move_to(self, moment: str | datetime) -> datetime:
        """Set the clock, forward or back, as an administrator does; returns the new time.

        Raises: ValueError as `freeze_time`; RuntimeError when the clock does not stand.

        Example: ``clock.move_to("2024-02-01T00:00:00+01:00")``
        """
        self._standing().move_to(_parsed(moment).timestamp(), tick=False)
        return self.now

    def _standing(self) -> Any:
        if self._traveller is None:
            raise RuntimeError("this clock does not stand: use it in `with freeze_time(...) as clock:`")
        return self._traveller

    def __enter__(self) -> Self:
        """Stop the clock."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it go on."""
        self.stop()

    def __call__(self, function: F) -> F:
        """Stop the clock for each call of a function or a coroutine function.

        Raises: TypeError for anything else, such as a class.
        """
        if not inspect.isfunction(function):
            raise TypeError("freeze_time decorates functions: inside a class, decorate its methods")
        moment = self._moment
        made: Any
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def frozen_coroutine(*args: Any, **kwargs: Any) -> Any:
                with freeze_time(moment):
                    return await function(*args, **kwargs)

            made = frozen_coroutine
        else:

            @wraps(function)
            def frozen(*args: Any, **kwargs: Any) -> Any:
                with freeze_time(moment):
                    return function(*args, **kwargs)

            made = frozen
        result: F = made
        return result


def _parsed(moment: object) -> datetime:
    """A moment, wherever it is said. Raises: ValueError."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise ValueError("freeze_time takes a time such as 2024-01-01T00:00:00Z") from None
    if not isinstance(moment, datetime):
        raise ValueError(f"freeze_time takes a text or a datetime, not {type(moment).__name__}")  # noqa: TRY004 - one error for every moment that is none
    if moment.tzinfo is None:
        raise ValueError("this time is of no time zone: end it with Z, or with an offset such as +01:00")
    return moment


def _time_machine() -> ModuleType:
    try:
        return import_module("time_machine")  # only who stops the clock needs it
    except ImportError:
        raise ConfigError("freeze_time needs the package time-machine: pip install 'dynamorm-py[testing]'") from None


@contextmanager
def _aws_in_real_time(machine: ModuleType) -> Generator[None, None, None]:
    """Let signatures for AWS, and what is learned from its clock, go by the real time.

    AWS refuses a signature that is more than five minutes off; and from its answers the library would learn that the clock
    is wrong, and correct the time that it stores, so that it would stand no more.
    """
    begin, observe, correct = Signer._begin, SkewClock.observe, SkewClock.correct  # noqa: SLF001 - they are put back

    def ahead() -> float:
        return float(machine.escape_hatch.time.time() - time.time())

    def begin_really(self: Signer, second: int, credentials: Credentials) -> Any:
        if ".amazonaws.com" not in self._host:
            return begin(self, second, credentials)
        made = begin(self, int(second + ahead()), credentials)
        made.second = -1  # the frozen second does not end, and the real one does
        return made

    def observe_really(
        self: SkewClock, date: bytes | None, sent: float, received: float, mono: float | None = None
    ) -> None:
        observe(self, date, sent + ahead(), received + ahead(), mono)

    def correct_really(self: SkewClock, date: bytes | None, now: float, used: float | None = None) -> bool:
        return correct(self, date, now + ahead(), used)

    Signer._begin, SkewClock.observe, SkewClock.correct = begin_really, observe_really, correct_really  # type: ignore[assignment, method-assign] # noqa: SLF001 - as above
    try:
        yield
    finally:
        Signer._begin, SkewClock.observe, SkewClock.correct = begin, observe, correct  # type: ignore[method-assign] # noqa: SLF001 - as above
