"""A key that is needed and cannot be had."""

from __future__ import annotations

from typing import Any

from .base import DynamORMError, Outcome


class KeyUnavailable(DynamORMError):
    """A key is needed that cannot be had now. Nothing was applied. ``version`` names it, None where none has a name.

    Example: ``except KeyUnavailable as error: log.error("key %s", error.version)``
    """

    code = "ErrKeyUnavailable"
    retryable = True
    outcome = Outcome.NOT_APPLIED

    def __init__(self, message: str, *, version: str | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.version: str | None = version
