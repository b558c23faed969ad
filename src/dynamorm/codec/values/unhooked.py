"""Decodes what was loaded earlier, without the hooks that a model has for objects that are read."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

QUIET: Final[ContextVar[bool]] = ContextVar("QUIET", default=False)
"""Whether an object is made that nobody is given."""


def without_hook(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """The same decoder, of objects that nobody is given.

    Example: ``without_hook(codec.decode)(raw)``
    """

    def decoded(raw: bytes) -> Any:
        token = QUIET.set(True)
        try:
            return decode(raw)
        finally:
            QUIET.reset(token)

    return decoded
