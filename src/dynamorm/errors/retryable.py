"""What was not applied, and may succeed later. It must not import anything of ours but the base of all errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .base import DynamORMError


class Retryable(DynamORMError):
    """Nothing was applied, and the same call may succeed later."""

    retryable = True


class Throttled(Retryable):
    """DynamoDB refused for want of throughput, for longer than the retry budget lasts.

    ``reasons`` are AWS's, e.g. ``("TableWriteKeyRangeThroughputExceeded",)``; ``resource`` is the ARN it names.
    """

    code = "ErrThrottled"

    def __init__(self, message: str, *, reasons: Sequence[str] = (), resource: str | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.reasons: tuple[str, ...] = tuple(reasons)
        self.resource = resource


class Unavailable(Retryable):
    """The service could not be reached or could not answer; nothing was applied."""

    code = "ErrUnavailable"


class PoolTimeout(Unavailable):
    """Every connection was busy for the whole ``connection_timeout``, or every place of a limiter for its ``timeout``.

    Nothing was sent of the request that waited.
    """

    code = "ErrPoolTimeout"


class ConnectFailed(Unavailable):
    """No connection could be made (refused, name not found, TLS or certificate failure). Nothing was sent."""

    code = "ErrConnectFailed"


class ServerError(Unavailable):
    """The service kept answering 5xx to a call that changes nothing."""

    code = "ErrServer"


class CircuitOpen(Unavailable):
    """The circuit breaker refused a request, because DynamoDB has not answered lately. Nothing of it was sent.

    ``retry_after`` is how many seconds it will refuse others, as far as is known now. Behind an attempt that may have been
    applied the write ends as `OutcomeUnknown`, with this one in ``earlier``.

    Example: ``except CircuitOpen as error: response.headers["Retry-After"] = str(math.ceil(error.retry_after))``
    """

    code = "ErrCircuitOpen"

    def __init__(self, message: str, *, retry_after: float = 0.0, **info: Any) -> None:
        super().__init__(message, **info)
        self.retry_after: float = retry_after


class Backpressure(Unavailable):
    """So many wait already that this one was turned away at once. Nothing of it was sent or added.

    By a `CapacityLimiter`, a `Bulkhead`, or a batcher whose queue is full and whose `BatchConfig` says ``on_full="raise"``.

    Example: ``except Backpressure: return 503``
    """

    code = "ErrBackpressure"


class TransactionConflict(Retryable):
    """Another transaction held the item for the whole retry budget. Nothing was applied."""

    code = "ErrTransactionConflict"
