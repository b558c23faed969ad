"""Why an idempotent operation was not run, or not to its end."""

from __future__ import annotations

from typing import Any

from .base import DynamORMError
from .conditions import LeaseLost
from .retryable import Retryable


class IdempotencyError(DynamORMError):
    """The operation of an idempotency key was not run, or its writes were not applied; each kind says why.

    Example: ``except IdempotencyError as error: answer(409, error.code)``
    """

    code = "ErrIdempotency"


class InProgress(IdempotencyError, Retryable):
    """Another execution of this key runs at this moment. Nothing was done.

    ``retry_after`` is in how many seconds it is worth trying again: above 0.

    Example: ``except InProgress as error: response.headers["Retry-After"] = str(math.ceil(error.retry_after))``
    """

    code = "ErrIdempotencyInProgress"

    def __init__(self, message: str, *, retry_after: float = 1.0, **info: Any) -> None:
        super().__init__(message, **info)
        self.retry_after: float = retry_after


class KeyReused(IdempotencyError):
    """The key was used before, with another payload. Nothing was done.

    Example: ``except KeyReused: answer(422)``
    """

    code = "ErrIdempotencyKeyReused"


class ExecutionLost(IdempotencyError, LeaseLost):
    """The lease of this execution ran out, and another one has taken its key, or may have. Also a `LeaseLost`.

    ``outcome`` is NOT_APPLIED where nothing of the execution has happened since; UNKNOWN behind a step that was run.

    Example: ``except LeaseLost: log.warning("another process goes on with it")``
    """

    code = "ErrIdempotencyLeaseLost"


class AlreadyDone(IdempotencyError):
    """The operation was done before, and its answer is in ``op.response``: it can neither write nor take a step again.

    Example: ``if op.replayed: return op.response``
    """

    code = "ErrIdempotencyAlreadyDone"


class StoredFailure(IdempotencyError):
    """The operation has failed for good, in this execution or an earlier one. ``response`` is what was stored of it.

    Example: ``except StoredFailure as error: answer(402, error.response)``
    """

    code = "ErrIdempotencyStoredFailure"

    def __init__(self, message: str, *, response: Any = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.response: Any = response


class StepUnknown(IdempotencyError):
    """A step that may run once was begun before, and nobody knows how it ended: it is not run again.

    ``step`` is its name. Find out on the other side what became of it, then end the operation by hand.

    Example: ``except StepUnknown as error: alert(f"look up what became of {error.step}")``
    """

    code = "ErrIdempotencyStepUnknown"

    def __init__(self, message: str, *, step: str = "", **info: Any) -> None:
        super().__init__(message, **info)
        self.step: str = step
