"""The library's logger, and what is said of a plugin that fails. It must not import anything of ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from logging import Logger
    from types import FrameType

QUIET: Final = 60.0
"""Seconds for which a moment of a plugin that has failed is not named in the log again."""


def interrupts(error: BaseException) -> bool:
    """Whether what came out of a plain function of the program was raised through it, and not by it: then it must go on.

    That is ^C, and what a signal's handler raises to end the process. A function that raises SystemExit by itself has failed
    like any other; so has one that raises CancelledError: a task is cancelled where it waits, and a plain function does not.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, KeyboardInterrupt):
        return True
    before: FrameType | None = None
    place = error.__traceback__
    while place is not None:  # Python gives the handler of a signal the frame that it interrupts
        if before is not None and any(value is before for value in place.tb_frame.f_locals.values()):
            return True
        before, place = place.tb_frame, place.tb_next
    return False


def is_cancellation(error: BaseException) -> bool:
    """Whether it is the cancellation of a task (`asyncio` takes long to import, and who cancels has done so)."""
    return type(error).__name__ == "CancelledError" and not isinstance(error, Exception)


def close_coroutine(result: Any) -> bool:
    """Close what a plain function gave where that is a coroutine, which nobody awaits; whether it was one."""
    if not hasattr(result, "cr_code"):  # `inspect` costs milliseconds at import
        return False
    result.close()
    return True


class _Late:
    """Stands for the logger: `logging` costs milliseconds at import, and most programs never need it here.

    What is logged here cannot be raised; so neither can what a handler raises.
    """

    def __getattr__(self, name: str) -> Any:
        from logging import getLogger

        found = getattr(getLogger("dynamorm"), name)
        if not callable(found):
            return found

        def log(*args: Any, **named: Any) -> Any:
            try:
                return found(*args, stacklevel=named.pop("stacklevel", 1) + 1, **named)
            except BaseException as error:
                if interrupts(error):
                    raise
                return None

        return log if name in _LOGGING else found


_LOGGING: Final = frozenset({"debug", "info", "warning", "error", "exception", "critical", "log"})

logger: Final = cast("Logger", _Late())
"""The logger ``dynamorm``, to which goes what cannot be raised."""


class FailureLog:
    """Names a plugin in the log whose ``moment`` has failed where nobody can be told, at most once a minute."""

    __slots__ = ("_moment", "_name", "_silent_until")

    def __init__(self, name: str, moment: str) -> None:
        self._name = name
        self._moment = moment
        self._silent_until = 0.0

    def __call__(self, error: BaseException) -> None:
        """Write the failure down."""
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + QUIET
            logger.warning("%s of the plugin %s failed", self._moment, self._name, exc_info=error)


def shielded(function: Callable[..., Any], name: str, moment: str) -> Callable[..., Any]:
    """The function of a plugin, whose failures change nothing: they go into the log, and it gives None."""
    failed = FailureLog(name, moment)

    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except BaseException as error:  # whatever it is, what it was told of has happened
            if interrupts(error):
                raise
            failed(error)
            return None

    return call
