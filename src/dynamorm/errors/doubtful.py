"""What is not known: outcomes, answers that cannot be believed, time that ran out. As `retryable`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .base import DynamORMError, Outcome

M = TypeVar("M")


class OutcomeUnknown(DynamORMError):
    """A write was sent, no answer came, and what became of it could not be settled in time.

    Treat it as neither done nor failed. ``token`` identifies the write (hex) and ``key`` is the item's key names.
    `resolve` asks again, and may be called as often as needed, in the process that made the write.

    Example::

        try:
            db.update(payment, Payment.amount.add(5))
        except OutcomeUnknown as error:
            outcome = error.resolve(deadline=30)  # AsyncDB: await error.resolve(...)
    """

    code = "ErrOutcomeUnknown"
    outcome = Outcome.UNKNOWN
    _stays = frozenset({"_resolver"})

    def __init__(
        self,
        message: str,
        *,
        token: str | None = None,
        key: Any = None,
        resolver: Callable[[float | None], Any] | None = None,
        **info: Any,
    ) -> None:
        super().__init__(message, **info)
        self.token = token
        self.key = key
        self._resolver = resolver

    def resolve(self, deadline: float | None = None) -> Any:
        """Ask the database what became of the write, for up to ``deadline`` seconds (default: operation_timeout).

        Returns `Outcome.APPLIED`, `Outcome.NOT_APPLIED`, or `Outcome.UNKNOWN` when it still cannot be told; an
        awaitable of it when the write was made on `AsyncDB`.

        Raises: OutcomeUnknown when there is nothing to ask: the error was unpickled, so that its database is in another
        process, or its operation has no way of asking. Resolve it before it leaves its process, or read the item.
        """
        if self._resolver is not None:
            return self._resolver(deadline)
        # No value would do on both faces: the one awaits it and the other does not, and here neither is known.
        raise OutcomeUnknown(
            "this error cannot ask any more what became of the write: it was unpickled, or its operation cannot be asked"
            " about; call resolve() in the process that made the write, or read the item with consistent=True and decide"
            " from what is stored",
            token=self.token,
            key=self.key,
            operation=self.operation,
            table=self.table,
            request_id=self.request_id,
            attempts=self.attempts,
        ) from self


class Spooled(DynamORMError):
    """An item of a batcher was not written now, and is kept in its spool: the next batcher of that directory writes it.

    For what is no word of the service on this item: it cannot be reached, the time is over, the batcher or the database was
    closed, a rule has failed. That is the ``__cause__``. Do not add the item again. The outcome is UNKNOWN, for it will
    be written later, unless somebody else has written it by then.

    Example: ``except Spooled: return 202``
    """

    code = "ErrSpooled"
    outcome = Outcome.UNKNOWN


class DeadlineExceeded(DynamORMError):
    """The operation ran out of time before anything could have been applied."""

    code = "ErrDeadlineExceeded"
    retryable = True


class IntegrityError(DynamORMError):
    """An answer came that cannot be believed."""

    code = "ErrIntegrity"
    outcome = Outcome.UNKNOWN
    retryable = True


class ChecksumMismatch(IntegrityError):
    """The body does not match its CRC-32 (or has none where one is required), in every attempt."""

    code = "ErrChecksumMismatch"


class MalformedResponse(IntegrityError):
    """The answer is not a DynamoDB answer: not JSON, not an object, or not of this operation's shape."""

    code = "ErrMalformedResponse"


class TamperedCursor(IntegrityError):
    """A cursor is not one of ours for this query: edited, cut, expired, or made for another query, model or key.

    Which of these is not said. Nothing was sent, and the same cursor will be refused again: start at the beginning.

    Example: ``except TamperedCursor: page = query.page()``
    """

    code = "ErrTamperedCursor"
    outcome = Outcome.NOT_APPLIED
    retryable = False


class PluginError(DynamORMError):
    """A plugin failed behind a verb that ended well, and is registered to raise: ``db.use(plugin, on_error="raise_after")``.

    ``result`` is what the verb gave (not pickled); what failed is the ``__cause__``.
    """

    code = "ErrPlugin"
    outcome = Outcome.APPLIED
    _stays = frozenset({"key", "result"})

    def __init__(self, message: str, *, result: Any = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.result: Any = result
