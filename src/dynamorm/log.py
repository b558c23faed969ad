"""The library's logger, and what is said of a plugin that fails. It must not import anything of ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from logging import Logger

QUIET: Final = 60.0
"""Seconds for which a moment of a plugin that has failed is not named in the log again."""


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
            with suppress(Exception):
                return found(*args, stacklevel=named.pop("stacklevel", 1) + 1, **named)
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
        except Exception as error:  # noqa: BLE001 - whatever it is, what it was told of has happened
            failed(error)
            return None

    return call
