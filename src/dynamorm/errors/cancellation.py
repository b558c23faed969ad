"""`CancellationReason`: why one operation of a transaction was refused.

Plain data, like `dynamorm.errors`, which it belongs to. It must not import anything of ours but how it is pickled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .pickling import kept, packed

if TYPE_CHECKING:
    from .base import DynamORMError


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
        self.code: str = code
        self.message: str = message
        self.position: int | None = position
        self.operation: str = operation
        self.label: str | None = label
        self.error: DynamORMError | None = error
        self._old = old

    @property
    def item(self) -> Any | None:
        """The stored item as an object of the model, or None, where a condition failed."""
        if self._old is not None:
            return self._old()
        return getattr(self.error, "item", None)

    def __repr__(self) -> str:
        return f"<CancellationReason {self.code}{self.operation and f' of {self.operation}'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        old, error = kept(lambda: self.item), packed(self.error)
        return (_reason, (self.code, self.message, self.position, self.operation, self.label, error, old))

    def __copy__(self) -> CancellationReason:
        return self._twin(self.error)

    def __deepcopy__(self, memo: dict[int, Any]) -> CancellationReason:
        from copy import deepcopy

        return self._twin(deepcopy(self.error, memo))

    def _twin(self, error: DynamORMError | None) -> CancellationReason:
        return _reason(self.code, self.message, self.position, self.operation, self.label, error, self._old)


def _reason(
    code: str,
    message: str,
    position: int | None,
    operation: str,
    label: str | None,
    error: DynamORMError | None,
    old: Callable[[], Any] | None,
) -> CancellationReason:
    return CancellationReason(code, message, old=old, position=position, operation=operation, label=label, error=error)
