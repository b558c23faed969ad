"""The mark of a method that replaces an inherited one, for type checkers.

`typing.override` came with Python 3.12, and importing ``typing_extensions`` for it would cost ten milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from typing_extensions import override
else:
    F = TypeVar("F")

    def override(method: F) -> F:
        """Return the method as it is."""
        return method


__all__ = ["override"]
