"""What an attempt came to, in one word, for plugins that count. It must not know calls or operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dynamorm.effects import TransportError
from dynamorm.errors import (
    AccessDenied,
    ChecksumMismatch,
    DynamORMError,
    IntegrityError,
    ServerError,
    Throttled,
    TransactionConflict,
)
from dynamorm.wire.reply import Kind, cancellation_kind, parse_error

if TYPE_CHECKING:
    from dynamorm.effects import Reply

_OF_KINDS: Final = {
    Kind.THROTTLE: "throttled",
    Kind.TRANSIENT: "server_error",
    Kind.CONFLICT: "conflict",
    Kind.IN_PROGRESS: "in_progress",
    Kind.CONDITION: "condition",
    Kind.CANCELLED: "cancelled",
    Kind.MISMATCH: "mismatch",
    Kind.EXPIRED_CREDENTIALS: "credentials",
    Kind.SKEW: "skew",
    Kind.ACCESS: "denied",
    Kind.NOT_FOUND_TABLE: "not_found",
    Kind.VALIDATION: "validation",
    Kind.RESOURCE_IN_USE: "in_use",
    Kind.MALFORMED: "malformed",
    Kind.OTHER: "refused",
}

_OF_ERRORS: Final[dict[type[DynamORMError], str]] = {
    Throttled: "throttled",
    TransactionConflict: "conflict",
    ServerError: "server_error",
    AccessDenied: "credentials",  # of these, only what new credentials or another clock may mend is tried again
    ChecksumMismatch: "checksum",
    IntegrityError: "malformed",
}


def class_of(reply: Reply | None, error: BaseException | None) -> str:
    """See `dynamorm.plugin.attempt_class`."""
    if isinstance(error, TransportError):
        return "malformed" if error.stage == "protocol" else error.stage
    if error is not None:
        return next((word for kind, word in _OF_ERRORS.items() if isinstance(error, kind)), "refused")
    if reply is None:
        return "abandoned"
    if reply.status == 200:
        return "ok"
    fault = parse_error(reply.status, reply.body)
    kind = fault.kind
    return _OF_KINDS[cancellation_kind(fault.cancellation) if kind is Kind.CANCELLED else kind]
