"""What every error of the library is: its code, what became of the write, and how it is copied and pickled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

from .pickling import copied, deep_copied, luggage, rebuild


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
    ``request_id`` (AWS's), ``attempts`` (requests sent), ``earlier`` (the errors of the earlier attempts),
    ``settled_by`` (a datetime in UTC, when the outcome is UNKNOWN only because a copy of the request may still be on its
    way: after that time none is accepted any more; else None), ``key`` (of the item that cannot be read, as a tuple; never
    part of the text, and not pickled).

    Example: ``except DynamORMError as error: log.warning("%s after %d attempts", error.code, error.attempts)``
    """

    code: str = "ErrDynamORM"
    outcome: Outcome = Outcome.NOT_APPLIED
    retryable: bool = False
    settled_by: datetime | None = None
    key: tuple[Any, ...] | None = None
    ends_stream: bool = False
    """Whether an iterator of ``batch_write`` is read no further, once it has given an object that is refused so."""
    _codes: tuple[str, ...] = ()
    _words: str | None = None  # a part of the message that may hold a value: somebody else's own words

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        codes: Sequence[str] = (),
        outcome: Outcome | None = None,
        operation: str | None = None,
        table: str | None = None,
        request_id: str | None = None,
        attempts: int = 0,
        earlier: Sequence[BaseException] = (),
    ) -> None:
        super().__init__(message)
        self.message: str = message
        if code is not None:
            self.code = code
        if codes:
            self._codes = (*self._codes, *codes)
        if outcome is not None:
            self.outcome = outcome
        self.operation = operation
        self.table = table
        self.request_id = request_id
        self.attempts = attempts
        self.earlier: tuple[BaseException, ...] = tuple(earlier)

    @property
    def codes(self) -> frozenset[str]:
        """Every portable code of the error: its ``code``, those of the kinds it belongs to, and what else it is.

        Example: ``if "ErrVersionConflict" in error.codes: load_again()``
        """
        kinds = (vars(kind).get("code") for kind in type(self).__mro__ if kind is not DynamORMError)
        return frozenset({self.code, *self._codes, *filter(None, kinds)})

    @property
    def reference(self) -> str:
        """The entry of this error in the documentation, below its root: cause and remedy. An error with AWS's code has that of its class.

        Example: ``log.error("%s, see %s", error.safe, error.reference)``
        """
        code = self.code if self.code.startswith("Err") else type(self).code
        return f"reference/errors.html#{code.lower()}"

    @property
    def safe(self) -> str:
        """The message without any attribute value, fit for any log: what others say of a program's own text is left out."""
        message = self.message if self._words is None else self.message.replace(self._words, "...")
        return f"{type(self).__name__} [{self.code}]: {message}"

    def quoting(self, words: str | DynamORMError | None) -> Self:
        """The same error, of whose message this part may hold a value, so that `safe` leaves it out; or that of another one."""
        if isinstance(words, DynamORMError):
            words = words._words  # noqa: SLF001 - of its own class
        if words:
            self._words = words
        return self

    def about(self, place: str) -> Self:
        """The same error, its message led by what it is about. Example: ``raise error.about("keys[3]")``."""
        self.message = f"{place}: {self.message}"
        self.args: tuple[Any, ...] = (self.message,)
        return self

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

    _stays: ClassVar[frozenset[str]] = frozenset({"key"})
    """Attributes that a pickle leaves behind: the key of what cannot be read, and what works in this process only."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (rebuild, (type(self), self.args, luggage(self, self._stays)))

    def __copy__(self) -> Any:
        return copied(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return deep_copied(self, self._stays, memo)
