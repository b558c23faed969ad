"""What will be refused again: settings, values, what is not there, who is not allowed. As `retryable`."""

from __future__ import annotations

from typing import Any

from .base import DynamORMError


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


class PluginRefused(Rejected):
    """A plugin refused a verb (``pre_query``) or an attempt (``admit``), by an exception that is no `DynamORMError`.

    That is its ``__cause__``.
    """

    code = "ErrPluginRefused"


class UnknownSetting(ConfigError, TypeError):
    """`Config`, `HighThroughput` or `Credentials` was given what is no setting of it.

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
