"""What a condition refused, alone or in a transaction. As `retryable`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .cancellation import CancellationReason
from .pickling import kept, luggage, rebuild
from .rejected import InvalidUse, NotFound, Rejected

M = TypeVar("M")


class ConditionFailed(Rejected):
    """The item was not as the condition demands. Nothing was changed.

    ``item`` is what is stored, as an object of the model (None when there is no item, or one of another class), decoded when first asked for. It
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
