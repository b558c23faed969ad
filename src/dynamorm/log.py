"""The library's logger. It must not import anything of ours."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from logging import Logger


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
