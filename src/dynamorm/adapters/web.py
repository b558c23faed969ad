"""What a web application answers for the errors of the library, whatever framework it is written with.

Example, in Flask::

    @app.errorhandler(DynamORMError)
    def refused(error: DynamORMError) -> tuple[dict[str, Any], int, dict[str, str]]:
        answer = answer_of(error)
        if answer is None:
            raise error  # a fault of the program, or of the service
        return answer.body, answer.status, answer.headers
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from dynamorm.errors import (
    ConditionFailed,
    DynamORMError,
    IdempotencyError,
    InvalidUse,
    KeyReused,
    NotFound,
    Outcome,
    StepUnknown,
    TamperedCursor,
    TenantError,
    TransactionCancelled,
    ValidationError,
)

__all__ = ["Answer", "answer_of"]


class Answer(NamedTuple):
    """An answer of HTTP: ``status``, ``body`` to be sent as JSON, which holds no value of an item, and ``headers``.

    Example: ``answer_of(NotFound("no Payment under this key")).status == 404``
    """

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


def answer_of(error: DynamORMError) -> Answer | None:
    """The answer for an error, ``{"detail": ..., "code": ...}`` with its ``field`` or ``token``; None for a fault of the program or of the service.

    | status | error |
    |---|---|
    | 400 | a cursor that is none of ours |
    | 403 | a tenant that is missing, or another one |
    | 404 | no item |
    | 409 | a condition, a version, a unique value (with its ``field``), an idempotency key that is in use |
    | 422 | a value that is refused before the wire, a key that was sent with another request |
    | 503 | throttled, or not reached, with ``Retry-After``: this write was not done; what the request has written before it, was |
    | 504 | it is not known whether a write was done; with its ``token`` |

    Example: ``answer = answer_of(error)``
    """
    found = _found(error)
    if found is None:
        return None
    body: dict[str, Any] = {"detail": found.words or error.safe.partition(": ")[2], "code": error.code}
    body |= {name: value for name in ("field", "token") if (value := getattr(error, name, None)) is not None}
    return Answer(found.status, body, _headers(error, found.status))


class _Kind(NamedTuple):
    """How an error is answered. Without ``words`` its own message is told, which has no value of an item in it."""

    status: int
    words: str | None = None


_UNKNOWN: Final = _Kind(504, "it is not known whether it was done")
_REFUSED: Final = _Kind(409, "what is stored refuses the request")
_LATER: Final = _Kind(503, "it cannot be served now: try again")
_ANSWERS: Final[dict[type[DynamORMError], _Kind]] = {
    TamperedCursor: _Kind(400, "the cursor is not valid: begin with the first page"),
    TenantError: _Kind(403, "not allowed"),
    NotFound: _Kind(404, "not found"),
    KeyReused: _Kind(422),
    StepUnknown: _UNKNOWN,
    IdempotencyError: _Kind(409),
    ConditionFailed: _REFUSED,
    ValidationError: _Kind(422),
}
"""The first kind that an error is of."""
_CONDITION: Final = "ConditionalCheckFailed"
_PASSING: Final = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
"""Reasons of a cancelled transaction that another try need not meet."""


def _found(error: DynamORMError) -> _Kind | None:
    """How an error is answered; None for a fault of the program, or of the service. What is not known is asked first."""
    if isinstance(error, TamperedCursor):
        return _ANSWERS[TamperedCursor]
    if error.outcome is Outcome.UNKNOWN:
        return _UNKNOWN
    if isinstance(error, IdempotencyError):  # some of them may be tried again, by the caller's word
        return _of_kind(error)
    if isinstance(error, ValidationError) and _is_of_program(error):
        return None
    if isinstance(error, TransactionCancelled):
        codes = {one.code for one in error.reasons if one is not None}
        return _REFUSED if codes <= {_CONDITION} else _LATER if codes <= {_CONDITION, *_PASSING} else None
    if error.retryable:  # an answer that could not be believed, a key that cannot be had now
        return _LATER
    return _of_kind(error)


def _of_kind(error: DynamORMError) -> _Kind | None:
    return next((answer for kind, answer in _ANSWERS.items() if isinstance(error, kind)), None)


def _is_of_program(error: ValidationError) -> bool:
    """Whether it is no value of the caller that was refused, but what the program asks, or what is stored."""
    if error.table is not None or isinstance(error, (InvalidUse, TypeError, AttributeError)):
        return True
    return type(error) is ValidationError and error.field is None


def _headers(error: DynamORMError, status: int) -> dict[str, str]:
    wait = getattr(error, "retry_after", None)
    if wait is None and status != _LATER.status:
        return {}
    return {"Retry-After": str(max(1, math.ceil(wait or 0)))}
