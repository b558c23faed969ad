"""Every exception of the library: plain data. It must not import anything of ours.

They split by what a payment may do next::

    DynamORMError
    ├── Retryable                   nothing happened: try again
    │   ├── Throttled               .reasons, .resource
    │   ├── Unavailable             PoolTimeout, ConnectFailed, ServerError
    │   └── TransactionConflict
    ├── Rejected                    nothing happened, and the same call will fail again
    │   ├── ConfigError
    │   ├── ModelError
    │   ├── ValidationError         ItemTooLarge, ExpressionTooLarge, NumberPrecision, UnknownArgument, PartialItem
    │   ├── NotFound, TableNotFound (IndexUnavailable, StreamNotFound), StreamDataLost
    │   ├── ConditionFailed         AlreadyExists, VersionConflict, MissingItem, DuplicateKey    (.item: what is stored),
    │   │                           OutOfBounds, LeaseHeld, LeaseLost
    │   ├── TransactionCancelled    .reasons, one entry per operation
    │   ├── AccessDenied, CredentialsError
    │   └── ClientError             any other refusal by the service
    ├── OutcomeUnknown              sent, no answer, not settled: .resolve()
    ├── DeadlineExceeded            a read, or a write of which no byte was sent, ran out of time
    └── IntegrityError              ChecksumMismatch, MalformedResponse: the answer cannot be believed; TamperedCursor

Every error says what happened (``outcome``), whether the same call may succeed later (``retryable``), and carries a
stable ``code``. Messages never hold an attribute's value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What became of a write: it was applied, it was not, or nobody can tell.

    Example: ``if error.outcome is Outcome.NOT_APPLIED: charge_again()``
    """

    NOT_APPLIED = "NOT_APPLIED"
    APPLIED = "APPLIED"
    UNKNOWN = "UNKNOWN"


class DynamORMError(Exception):
    """Base of every error the library raises on purpose.

    Attributes: ``code`` (stable text), ``outcome``, ``retryable``, ``operation`` (``"PutItem"``), ``table``,
    ``request_id`` (AWS's), ``attempts`` (requests sent), ``earlier`` (the errors of the earlier attempts).

    Example: ``except DynamORMError as error: log.warning("%s after %d attempts", error.code, error.attempts)``
    """

    code: str = "ErrDynamORM"
    outcome: Outcome = Outcome.NOT_APPLIED
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        outcome: Outcome | None = None,
        operation: str | None = None,
        table: str | None = None,
        request_id: str | None = None,
        attempts: int = 0,
        earlier: Sequence[BaseException] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if outcome is not None:
            self.outcome = outcome
        self.operation = operation
        self.table = table
        self.request_id = request_id
        self.attempts = attempts
        self.earlier = tuple(earlier)

    @property
    def safe(self) -> str:
        """The message without any attribute value, fit for any log."""
        return f"{type(self).__name__} [{self.code}]: {self.message}"

    def __str__(self) -> str:
        where = ", ".join(
            text
            for text in (
                self.operation and f"operation {self.operation}",
                self.table and f"table {self.table}",
                self.request_id and f"request id {self.request_id}",
                self.attempts > 1 and f"{self.attempts} attempts",
            )
            if text
        )
        return f"{self.message} ({where})" if where else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))


def _rebuild(cls: type[DynamORMError], args: tuple[Any, ...], state: dict[str, Any]) -> DynamORMError:
    """Unpickle without calling __init__, whose arguments differ between the classes."""
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


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
        self.reasons = tuple(reasons)
        self.resource = resource


class Unavailable(Retryable):
    """The service could not be reached or could not answer; nothing was applied."""

    code = "ErrUnavailable"


class PoolTimeout(Unavailable):
    """Every connection was busy for the whole ``connection_timeout``. Nothing was sent."""

    code = "ErrPoolTimeout"


class ConnectFailed(Unavailable):
    """No connection could be made (refused, name not found, TLS or certificate failure). Nothing was sent."""

    code = "ErrConnectFailed"


class ServerError(Unavailable):
    """The service kept answering 5xx to a call that changes nothing."""

    code = "ErrServer"


class TransactionConflict(Retryable):
    """Another transaction held the item for the whole retry budget. Nothing was applied."""

    code = "ErrTransactionConflict"


class Rejected(DynamORMError):
    """Nothing was applied, and the same call will be refused again."""


class ConfigError(Rejected):
    """A setting is wrong, unsafe or missing. The message names the setting and the fix."""

    code = "ErrInvalidConfig"


class ModelError(Rejected):
    """A model is declared wrongly, or cannot be used on this database."""

    code = "ErrInvalidModel"


class ValidationError(Rejected):
    """A value, key or expression is not acceptable. ``field`` names it when one is to blame."""

    code = "ErrValidation"

    def __init__(self, message: str, *, field: str | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.field = field


class ItemTooLarge(ValidationError):
    """An item is over DynamoDB's 400 KB. ``size`` and ``limit`` are bytes.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
    """

    code = "ErrItemTooLarge"

    def __init__(self, message: str, *, size: int | None = None, limit: int | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.size = size
        self.limit = limit


class ExpressionTooLarge(ValidationError):
    """An expression is over DynamoDB's 4 KB, or has too many operators or operands."""

    code = "ErrExpressionTooLarge"


class NumberPrecision(ValidationError):
    """A number has more than 38 significant digits or lies outside 1E-130 ... 9.99E+125."""

    code = "ErrNumberPrecision"


class NotFound(Rejected):
    """The item does not exist."""

    code = "ErrItemNotFound"


class MultipleFound(Rejected):
    """``one()`` found more than one item.

    Example: ``except MultipleFound: payment = query.first()``
    """

    code = "ErrMultipleFound"


class TableNotFound(Rejected):
    """The table (or index) does not exist, or is not ready yet."""

    code = "ErrTableNotFound"


class StreamNotFound(TableNotFound):
    """The table has no stream, or its stream or a shard of it does not exist any more."""

    code = "ErrStreamNotFound"


class StreamDataLost(Rejected):
    """Records of a stream were removed before they were read: DynamoDB keeps them for 24 hours.

    ``shard`` is the shard's id, None when a whole stream was replaced by another. Reading again raises this again;
    ``on_data_loss="continue"`` goes on with what is left.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html (data retention)

    Example: ``except StreamDataLost: rebuild_the_projection()``
    """

    code = "ErrStreamDataLost"

    def __init__(self, message: str, *, shard: str | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.shard = shard


class IndexUnavailable(TableNotFound):
    """The table has no such index, or it is still being made and cannot be read yet (then it is ``retryable``).

    Example: ``except IndexUnavailable as error: log.warning("%s of %s", error.index, error.table)``
    """

    code = "ErrIndexUnavailable"

    def __init__(self, message: str, *, index: str | None = None, retryable: bool = False, **info: Any) -> None:
        super().__init__(message, **info)
        self.index = index
        self.retryable = retryable


class ConditionFailed(Rejected):
    """The item was not as the condition demands. Nothing was changed.

    ``item`` is what is stored, as an object of the model (None when there is no item), decoded when first asked for.
    """

    code = "ErrConditionFailed"

    def __init__(self, message: str, *, old: Callable[[], Any] | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self._old = old

    @property
    def item(self) -> Any:
        """The stored item, as an object of the model, or None."""
        return None if self._old is None else self._old()

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.__dict__ | {"_old": None}  # the item may hold protected values: it does not travel
        return (_rebuild, (type(self), self.args, state))


class AlreadyExists(ConditionFailed):
    """`create` found an item under this key. Its ``code`` is that of `ConditionFailed`, as in the Go library."""


class VersionConflict(ConditionFailed):
    """Somebody else wrote the item since it was loaded. Load it again and decide anew.

    Its ``code`` is that of `ConditionFailed`, as in the Go library.
    """


class DuplicateKey(ConditionFailed):
    """Another item has this value of a unique attribute. Nothing was changed.

    ``field`` names the attribute (or the constraint of several); ``existing`` is the key of the item that has it.
    """

    code = "ErrDuplicateKey"

    def __init__(self, message: str, *, field: str | None = None, existing: Any = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.field = field
        self.existing = existing

    def __reduce__(self) -> tuple[Any, ...]:
        # A key may hold protected values: it does not travel, as the item does not.
        return (_rebuild, (type(self), self.args, self.__dict__ | {"_old": None, "existing": None}))


class OutOfBounds(ConditionFailed):
    """An increment would have led past its minimum or maximum. Nothing was changed. ``bound`` is which of the two."""

    code = "ErrOutOfBounds"

    def __init__(self, message: str, *, bound: str = "", **info: Any) -> None:
        super().__init__(message, **info)
        self.bound = bound


class LeaseHeld(ConditionFailed):
    """Somebody else has the lease. ``retry_after`` is how many seconds it still runs, as stored now."""

    code = "ErrLeaseHeld"

    def __init__(self, message: str, *, retry_after: float = 0.0, **info: Any) -> None:
        super().__init__(message, **info)
        self.retry_after = retry_after


class LeaseLost(ConditionFailed):
    """The lease ran out, or somebody else has taken it since. Whatever it protected may be under way elsewhere."""

    code = "ErrLeaseNotOwned"


class MissingItem(NotFound, ConditionFailed):
    """A write found no item of its class under the key. Both a `NotFound` and a `ConditionFailed`."""

    code = "ErrItemNotFound"


class CancellationReason:
    """Why one operation of a transaction was refused.

    ``code`` is AWS's, e.g. ``"ConditionalCheckFailed"``; ``position`` the operation's index in the transaction (None when
    it cannot be told), ``operation`` what it was (``"create Payment"``) and ``label`` the name the caller gave it.
    ``error`` is what the verb alone would have raised: `AlreadyExists`, `VersionConflict`, `MissingItem`, ...

    Example::

        except TransactionCancelled as error:
            for reason in filter(None, error.reasons):
                log.warning("%s %s: %s", reason.operation, reason.label, reason.code)
    """

    __slots__ = ("_old", "code", "error", "label", "message", "operation", "position")

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        old: Callable[[], Any] | None = None,
        position: int | None = None,
        operation: str = "",
        label: str | None = None,
        error: DynamORMError | None = None,
    ) -> None:
        self.code = code
        self.message = message
        self.position = position
        self.operation = operation
        self.label = label
        self.error = error
        self._old = old

    @property
    def item(self) -> Any:
        """The stored item as an object of the model, or None, where a condition failed."""
        if self._old is not None:
            return self._old()
        return self.error.item if isinstance(self.error, ConditionFailed) else None

    def __repr__(self) -> str:
        return f"<CancellationReason {self.code}{self.operation and f' of {self.operation}'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # The item may hold protected values: it does not travel, nor does it with the error.
        return (_reason, (self.code, self.message, self.position, self.operation, self.label, self.error))


def _reason(
    code: str, message: str, position: int | None, operation: str, label: str | None, error: DynamORMError | None
) -> CancellationReason:
    return CancellationReason(code, message, position=position, operation=operation, label=label, error=error)


class TransactionCancelled(Rejected):
    """A transaction was refused as a whole: nothing of it was applied.

    ``reasons`` has one `CancellationReason` per operation, in the order they were added, None for the innocent. Should
    the answer not have one reason for each, they are listed as they came and none is laid at an operation's door
    (``position`` is None).

    Example: ``except TransactionCancelled as error: first = next(filter(None, error.reasons)).error``
    """

    code = "ErrTransactionCancelled"

    def __init__(self, message: str, *, reasons: Sequence[CancellationReason | None] = (), **info: Any) -> None:
        super().__init__(message, **info)
        self.reasons: tuple[CancellationReason | None, ...] = tuple(reasons)


class AccessDenied(Rejected):
    """The credentials may not do this, or are not accepted."""

    code = "ErrAccessDenied"


class CredentialsError(Rejected):
    """No credentials were found, or they could not be refreshed."""

    code = "ErrCredentials"


class ClientError(Rejected):
    """The service refused the request for a reason that has no class of its own; ``code`` is AWS's name for it."""

    code = "ErrClient"


class OutcomeUnknown(DynamORMError):
    """A write was sent, no answer came, and what became of it could not be settled in time.

    Treat it as neither done nor failed. ``token`` identifies the write (hex) and ``key`` is the item's key names.
    `resolve` asks again, and may be called as often as needed.

    Example::

        try:
            db.update(payment, Payment.amount.add(5))
        except OutcomeUnknown as error:
            outcome = error.resolve(deadline=30)  # AsyncDB: await error.resolve(...)
    """

    code = "ErrOutcomeUnknown"
    outcome = Outcome.UNKNOWN

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
        """
        if self._resolver is None:
            return self.outcome
        return self._resolver(deadline)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__ | {"_resolver": None}))


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


class UnknownArgument(ValidationError, TypeError):
    """A constructor was given a name that is no field of the model. Also a TypeError, as Python's own would be."""

    code = "ErrUnknownArgument"


class PartialItem(ValidationError, AttributeError):
    """An object read with ``select()`` was asked for what it does not hold, or was about to be changed or written.

    Also an AttributeError, as Python's own would be.

    Example: ``except PartialItem: payment = db.require(Payment, partial.id)``
    """

    code = "ErrPartialItem"
