"""What a verb came to, in one word, for whoever counts or writes it down. It must not know plugins or operations."""

from __future__ import annotations

from typing import Final

from . import (
    AccessDenied,
    CredentialsError,
    DeadlineExceeded,
    IntegrityError,
    Outcome,
    PluginError,
    TamperedCursor,
    Throttled,
    Unavailable,
)

__all__ = ["FAULTS", "OUTCOMES", "outcome_of"]

OUTCOMES: Final = ("ok", "rejected", "throttled", "unavailable", "unknown", "cancelled", "denied")
"""The words of `outcome_of`."""

FAULTS: Final = frozenset({"unavailable", "denied"})
"""Those that count as errors: nobody got an answer. What was refused, throttled or is unknown is counted apart."""


def outcome_of(error: BaseException | None) -> str:
    """What a verb came to that ended with this error, None for one that ended well.

    ``ok``; ``rejected`` (the condition failed, the item is missing or there already, the argument is wrong, a conflict,
    a cursor that is none of ours); ``throttled``; ``unavailable`` (no connection, no answer in time, none that can be believed); ``denied`` (credentials);
    ``cancelled`` (also interrupted, and closed); ``unknown`` (it may or may not have been applied).

    Example: ``outcome_of(error) == "unknown"``
    """
    if error is None or isinstance(error, PluginError):  # a plugin failed behind a verb that ended well
        return "ok"
    if getattr(error, "outcome", None) is Outcome.UNKNOWN:
        return "unknown"
    if isinstance(error, Throttled):
        return "throttled"
    if isinstance(error, TamperedCursor):  # whoever sends one must not count as a fault of the service
        return "rejected"
    if isinstance(error, (Unavailable, DeadlineExceeded, IntegrityError)):
        return "unavailable"
    if isinstance(error, (AccessDenied, CredentialsError)):
        return "denied"
    return "rejected" if isinstance(error, Exception) and not _is_cancelled(error) else "cancelled"


def _is_cancelled(error: BaseException) -> bool:
    """Whether it is a `concurrent.futures.CancelledError`, which is an Exception."""
    return type(error).__name__ == "CancelledError"
