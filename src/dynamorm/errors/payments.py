"""What is refused of money, of payments and of licences. As `retryable`."""

from __future__ import annotations

from typing import Any

from .base import Outcome
from .conditions import ConditionFailed
from .doubtful import IntegrityError
from .rejected import ConfigError, ValidationError


class CurrencyMismatch(ValidationError, TypeError):
    """Amounts of two currencies were added, compared in order, or posted together. Also a TypeError, as Python's own would be.

    Example: ``Money("1", "EUR") + Money("1", "USD")`` raises it
    """

    code = "ErrCurrencyMismatch"


class InsufficientFunds(ConditionFailed):
    """A posting would lead ``account`` past its bound. Nothing was posted.

    Example: ``except InsufficientFunds as error: decline(error.account)``
    """

    code = "ErrInsufficientFunds"

    def __init__(self, message: str, *, account: str = "", **info: Any) -> None:
        super().__init__(message, **info)
        self.account: str = account


class ForbiddenTransition(ConditionFailed):
    """A payment in the state ``before`` may not become ``after``. Nothing was changed.

    Example: ``except ForbiddenTransition as error: log.info("%s is no way to %s", error.before, error.after)``
    """

    code = "ErrForbiddenTransition"

    def __init__(self, message: str, *, before: str = "", after: str = "", **info: Any) -> None:
        super().__init__(message, **info)
        self.before: str = before
        self.after: str = after


class InvalidSignature(IntegrityError):
    """A webhook is not what its sender signed, or is too old or too new. The message says which.

    Example: ``except InvalidSignature: answer(401)``
    """

    code = "ErrInvalidSignature"
    outcome = Outcome.NOT_APPLIED
    retryable = False


class LicenseError(ConfigError):
    """A feature asks for a licence, and there is none, or one that is not valid. Nothing was changed.

    Example: ``except LicenseError as error: print(error)``
    """

    code = "ErrLicense"
