"""The mark of a method that replaces an inherited one, for type checkers; and whether an object has one.

`typing.override` came with Python 3.12, and importing ``typing_extensions`` for it would cost ten milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import override
else:
    F = TypeVar("F")

    def override(method: F) -> F:
        """Return the method as it is."""
        return method


def own(subject: Any, name: str, base: type[Any]) -> Any:
    """The member of an object; None where there is none, or only that of ``base``, which does nothing."""
    member = getattr(subject, name, None)
    return None if getattr(member, "__func__", None) is getattr(base, name) else member


__all__ = ["override", "own"]
