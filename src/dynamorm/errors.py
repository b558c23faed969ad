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
    │   ├── ValidationError         ItemTooLarge, ExpressionTooLarge, NumberPrecision, UnknownArgument
    │   ├── NotFound, TableNotFound
    │   ├── ConditionFailed         AlreadyExists, VersionConflict, MissingItem    (.item: what is stored)
    │   ├── TransactionCancelled    .reasons, one entry per operation
    │   ├── AccessDenied, CredentialsError
    │   └── ClientError             any other refusal by the service
    ├── OutcomeUnknown              sent, no answer, not settled: .resolve()
    ├── DeadlineExceeded            a read, or a write of which no byte was sent, ran out of time
    └── IntegrityError              ChecksumMismatch, MalformedResponse: the answer cannot be believed

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


class TableNotFound(Rejected):
    """The table (or index) does not exist, or is not ready yet."""

    code = "ErrTableNotFound"


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


class MissingItem(NotFound, ConditionFailed):
    """An update, save or strict delete found no item under the key. Both a `NotFound` and a `ConditionFailed`."""

    code = "ErrItemNotFound"


class CancellationReason:
    """Why one operation of a transaction was refused. ``code`` is AWS's, e.g. ``"ConditionalCheckFailed"``."""

    __slots__ = ("_old", "code", "message")

    def __init__(self, code: str, message: str = "", *, old: Callable[[], Any] | None = None) -> None:
        self.code = code
        self.message = message
        self._old = old

    @property
    def item(self) -> Any:
        """The stored item as an object of the model, or None, where a condition failed."""
        return None if self._old is None else self._old()

    def __repr__(self) -> str:
        return f"<CancellationReason {self.code}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (CancellationReason, (self.code, self.message))  # the item may hold protected values: it does not travel


class TransactionCancelled(Rejected):
    """A transaction was refused as a whole. ``reasons`` has one `CancellationReason` per operation, None for the innocent."""

    code = "ErrTransactionCancelled"

    def __init__(self, message: str, *, reasons: Sequence[Any] = (), **info: Any) -> None:
        super().__init__(message, **info)
        self.reasons = tuple(reasons)


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


class UnknownArgument(ValidationError, TypeError):
    """A constructor was given a name that is no field of the model. Also a TypeError, as Python's own would be."""

    code = "ErrUnknownArgument"
