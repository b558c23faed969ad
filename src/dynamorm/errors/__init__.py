"""Every exception of the library: plain data. It must not import anything of ours but how an exception is copied.

They split by what a payment may do next::

    DynamORMError
    ├── Retryable                   nothing happened: try again
    │   ├── Throttled               .reasons, .resource
    │   ├── Unavailable (PoolTimeout, ConnectFailed, ServerError, Backpressure)
    │   │   └── CircuitOpen         .retry_after
    │   └── TransactionConflict
    ├── Rejected                    the same call will fail again, and nothing happened unless ``outcome`` says otherwise
    │   ├── ConfigError (UnknownSetting), ModelError
    │   ├── ValidationError (ItemTooLarge, ExpressionTooLarge, NumberPrecision, PartialItem, UnknownArgument,
    │   │                    MissingArgument, InvalidUse, InvalidAttribute)
    │   ├── NotFound (MissingItem), MultipleFound
    │   ├── TableNotFound (IndexUnavailable, StreamNotFound), StreamDataLost
    │   ├── ConditionFailed (AlreadyExists, VersionConflict, MissingItem, DuplicateKey, OutOfBounds, LeaseHeld, LeaseLost)
    │   ├── TransactionCancelled    .reasons, one entry per operation
    │   ├── AccessDenied, CredentialsError, PluginRefused
    │   ├── BatcherClosed, Superseded
    │   └── ClientError (TokenUsed)             any other refusal by the service
    ├── OutcomeUnknown              sent, no answer, not settled: .resolve()
    ├── PluginError                 a plugin failed behind a verb that ended well: .result
    ├── DeadlineExceeded            a read, or a write of which no byte was sent, ran out of time
    └── IntegrityError (ChecksumMismatch, MalformedResponse, TamperedCursor)    the answer, or a cursor, cannot be believed

Every error says what happened (``outcome``), whether the same call may succeed later (``retryable``), and carries a
stable ``code``, and the portable ``codes`` that name it in the Go and TypeScript libraries too. Messages never hold an
attribute's value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .base import DynamORMError as DynamORMError
from .base import Outcome as Outcome
from .cancellation import CancellationReason as CancellationReason
from .pickling import kept, luggage, rebuild

M = TypeVar("M")


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


class Rejected(DynamORMError):
    """The same call will be refused again; nothing was applied, unless ``outcome`` says otherwise."""


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

    ``item`` is what is stored, as an object of the model (None when there is no item), decoded when first asked for. It
    travels with a pickled error, with all that it holds, unless it cannot be pickled itself.
    """

    code = "ErrConditionFailed"
    _stays = frozenset({"_old", "key"})

    def __init__(self, message: str, *, old: Callable[[], Any] | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self._old = old

    @property
    def item(self) -> Any | None:
        """The stored item, as an object of the model, or None. `item_as` tells type checkers of which."""
        return None if self._old is None else self._old()

    def item_as(self, model: type[M]) -> M | None:
        """The stored item, as what it is: an object of ``model``.

        Raises: InvalidUse when it is of another class.

        Example: ``except ConditionFailed as error: stored = error.item_as(Payment)``
        """
        found = self.item
        if found is None or isinstance(found, model):
            return found
        raise InvalidUse(f"the item is a {type(found).__name__}, not a {model.__name__}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (rebuild, (type(self), self.args, luggage(self, self._stays) | {"_old": kept(lambda: self.item)}))


class AlreadyExists(ConditionFailed):
    """`create` found an item under this key. Its ``code`` is that of `ConditionFailed`, as in the Go library."""


class VersionConflict(ConditionFailed):
    """Somebody else wrote the item since it was loaded. Load it again and decide anew.

    Its ``code`` is that of `ConditionFailed`, as in the Go library; ``ErrVersionConflict`` is among its ``codes``.
    """

    _codes: tuple[str, ...] = ("ErrVersionConflict",)


class DuplicateKey(ConditionFailed):
    """Another item has this value of a unique attribute. Nothing was changed.

    ``field`` names the attribute (or the constraint of several); ``existing`` is the key of the item that has it, None
    where a rule for what is read leaves that item out.
    """

    code = "ErrDuplicateKey"
    _stays = frozenset({"_old", "key", "_asked"})
    _asked: Any = None  # where the item is that has the value, while rules for what is read may keep its key back

    def __init__(self, message: str, *, field: str | None = None, existing: Any = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.field = field
        self.existing = existing


class OutOfBounds(ConditionFailed):
    """A write would have led ``field`` past a bound, and changed nothing. ``bound`` is the bound's name: ``maximum``, ``le``."""

    code = "ErrOutOfBounds"

    def __init__(self, message: str, *, bound: str = "", field: str | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.bound: str = bound
        self.field: str | None = field


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

    @property
    def codes(self) -> frozenset[str]:
        """The portable codes of this error, and of the conditions that failed.

        Example: ``if "ErrVersionConflict" in error.codes: load_again()``
        """
        # Asked of the reasons each time: what is looked up after a refusal may say more of one.
        return super().codes.union(*(_codes_of(one) for one in self.reasons if one is not None))


def _codes_of(reason: CancellationReason) -> frozenset[str]:
    """The portable codes of a condition that failed; none for another reason."""
    if isinstance(reason.error, ConditionFailed):
        return reason.error.codes
    return frozenset({ConditionFailed.code} if reason.code == "ConditionalCheckFailed" else ())


class AccessDenied(Rejected):
    """The credentials may not do this, or are not accepted."""

    code = "ErrAccessDenied"


class CredentialsError(Rejected):
    """No credentials were found, or they could not be refreshed."""

    code = "ErrCredentials"


class BatcherClosed(Rejected):
    """A batcher was closed before it sent this item, or before it was added. Nothing was applied, and nothing will be."""

    code = "ErrBatcherClosed"


class Superseded(Rejected):
    """An item of a spool was not written after a crash, for somebody else may have written it since.

    Its ``outcome`` is UNKNOWN where the process that crashed had begun to send it: it may have been applied before that.
    """

    code = "ErrSuperseded"


class ClientError(Rejected):
    """The service refused the request for a reason that has no class of its own; ``code`` is AWS's name for it."""

    code = "ErrClient"


class TokenUsed(ClientError):
    """The caller's own token of a transaction belongs to another request of the last ten minutes: nothing of this one was applied.

    ``applied`` says what became of the other one: True, it was applied; False, it was refused and applied nothing, and the token was
    used up when that was found out; None, nobody could tell. A transaction is another one also where its times, versions or what rules
    of plugins have read differ. Its ``code`` is AWS's, ``IdempotentParameterMismatchException``.

    Example: ``except TokenUsed as error: done = error.applied``
    """

    code = "ErrTokenUsed"

    def __init__(self, message: str, *, applied: bool | None = None, **info: Any) -> None:
        super().__init__(message, **info)
        self.applied: bool | None = applied


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


class UnknownSetting(ConfigError, TypeError):
    """`Config`, or another class of settings, was given what is no setting of it.

    Also a TypeError, as Python's own would be.

    Example: ``Config(regoin="eu-west-1")`` says: did you mean region?
    """

    code = "ErrUnknownSetting"


class UnknownArgument(ValidationError, TypeError):
    """A constructor was given a name that is no field of the model. Also a TypeError, as Python's own would be."""

    code = "ErrUnknownArgument"


class MissingArgument(ValidationError, TypeError):
    """A constructor was not given a field that has no default. Also a TypeError, as Python's own would be.

    ``field`` is the first that is missing.

    Example: ``except MissingArgument as error: return {"missing": error.field}``
    """

    code = "ErrMissingArgument"


class InvalidUse(ValidationError, TypeError):
    """Something of the library was used in a way that Python knows and the library does not.

    A condition in an ``if``, an attribute in a sum, an object where its class belongs, ``with`` for ``async with``.
    The message names the way. Also a TypeError, as Python's own would be.

    Example: ``except InvalidUse as error: print(error)``
    """

    code = "ErrInvalidUse"


class InvalidAttribute(ValidationError, AttributeError):
    """An attribute of a model has no method of this name, or may not be replaced or removed. Also an AttributeError.

    Example: ``Payment.id.startswith("p")`` raises it, and names ``begins_with``
    """

    code = "ErrInvalidAttribute"


class PartialItem(ValidationError, AttributeError):
    """An object read with ``select()`` was asked for what it does not hold, or was about to be changed or written.

    Also an AttributeError, as Python's own would be.

    Example: ``except PartialItem: payment = db.require(Payment, partial.id)``
    """

    code = "ErrPartialItem"


class PluginRefused(Rejected):
    """A plugin refused a verb (``pre_query``) or an attempt (``admit``), by an exception that is no `DynamORMError`.

    That is its ``__cause__``.
    """

    code = "ErrPluginRefused"


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


for _kind in (Outcome, DynamORMError):  # they are met, and pickled, under the name of this module
    _kind.__module__ = __name__
