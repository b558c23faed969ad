"""The library's logger. It must not import anything of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from logging import Logger


class _Late:
    """Stands for the logger: `logging` costs milliseconds at import, and most programs never need it here."""

    def __getattr__(self, name: str) -> Any:
        from logging import getLogger

        return getattr(getLogger("dynamorm"), name)


logger: Final = cast("Logger", _Late())
"""The logger ``dynamorm``, to which goes what cannot be raised."""
