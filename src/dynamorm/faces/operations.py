"""`Operations`, what a transaction takes on either face. Gathering sends nothing, so it is the same on both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from dynamorm.models.schema.other_ways import TRANSACTION, teach
from dynamorm.ops.verbs.open_transaction import OpenTransaction

from ..errors import InvalidUse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Mapping
    from types import TracebackType

    from dynamorm.models.expressions.path import Condition, Update

    from ..session import Session


class Operations:
    """What a transaction takes: up to 100 operations, each on an item of its own. Nothing is sent before the block ends.

    The verbs take what those of `DB` take, and ``label``: your name for the operation in `CancellationReason.label`.
    Each is built when it is called: a later change to the object is not part of it.
    """

    __slots__ = ("_draft", "_run", "_session")

    def __init__(self, session: Session, run: Callable[[Any], Any], token: str | None) -> None:
        self._session = session
        self._draft = OpenTransaction(session, token)
        self._run = run

    @property
    def scope(self) -> Mapping[str, str]:
        """Of what the database is a view that the transaction was made of: as `DB.scope`.

        Example: ``tx.scope.get("tenant")``
        """
        return self._session.scope

    @property
    def _acting(self) -> Callable[[Any], Any] | None:
        """Lets a function be done by who has made the transaction."""
        return self._draft.acting

    @_acting.setter
    def _acting(self, acting: Callable[[Any], Any]) -> None:
        self._draft.acting = acting

    def _refuse_awaited(self, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Say so when a block of the asyncio face ended because it awaited an operation, which returns None."""
        if type(error) is TypeError and traceback is not None and traceback.tb_next is None:
            message = str(error)
            if "NoneType" in message and "await" in message:
                raise InvalidUse(
                    "an operation of a transaction is written down, not sent: call tx.create(...) and the others without"
                    " await; the end of the `async with` block sends them all"
                ) from error

    def create(self, obj: object, /, *, label: str | None = None) -> None:
        """Store a new item; the transaction is cancelled when there is one under the key.

        Raises: ValidationError for a value that cannot be stored.

        Example: ``tx.create(Payment(id="p1", amount=5))``
        """
        self._draft.create(obj, label)

    def put(self, obj: object, /, *, condition: Condition | None = None, label: str | None = None) -> None:
        """Store an item, replacing whatever is there; the stored version is not checked.

        Raises: ValidationError for a value that cannot be stored.

        Example: ``tx.put(payment, condition=Payment.status == "pending")``
        """
        self._draft.put(obj, condition, label)

    def save(self, obj: object, /, *, label: str | None = None) -> None:
        """Create a new object; write only what changed of a loaded one, under its version.

        Without a change nothing is sent for it, so nothing is checked either: `check` does that.

        Raises: ValidationError for a value that cannot be stored.

        Example: ``payment.note = "checked"; tx.save(payment)``
        """
        self._draft.save(obj, label)

    @overload
    def update(
        self,
        model: type[Any],
        /,
        *key_and_updates: Hashable,
        condition: Condition | None = ...,
        upsert: bool = ...,
        allow: Collection[str] = ...,
        label: str | None = ...,
        **parts: Any,
    ) -> None: ...
    @overload
    def update(
        self,
        obj: object,
        /,
        *updates: Update,
        condition: Condition | None = ...,
        upsert: bool = ...,
        allow: Collection[str] = ...,
        label: str | None = ...,
    ) -> None: ...
    def update(
        self,
        subject: Any,
        /,
        *args: Any,
        condition: Condition | None = None,
        upsert: bool = False,
        allow: Collection[str] = (),
        label: str | None = None,
        **parts: Any,
    ) -> None:
        """Change attributes of one item in place: of an object (its version is checked when it was loaded), or by key.

        After the commit an object is read back, with a consistent read; an item given by its key is not. The item must
        exist unless ``upsert``. ``allow`` names the protected fields that this update may change.

        Raises: ValidationError for an update of a key, a library-owned, immutable or protected field.

        Example: ``tx.update(account, Account.balance.add(-5))`` or ``tx.update(Account, "a1", Account.balance.add(5))``
        """
        self._draft.update(subject, args, parts, condition, upsert, allow, label)

    @overload
    def patch(
        self,
        model: type[Any],
        key: Hashable,
        changes: Mapping[str, Any],
        /,
        *,
        condition: Condition | None = ...,
        allow: Collection[str] = ...,
        label: str | None = ...,
    ) -> None: ...
    @overload
    def patch(
        self,
        model: type[Any],
        partition: Hashable,
        sort: Hashable,
        changes: Mapping[str, Any],
        /,
        *,
        condition: Condition | None = ...,
        allow: Collection[str] = ...,
        label: str | None = ...,
    ) -> None: ...
    @overload
    def patch(
        self,
        subject: object,
        changes: Mapping[str, Any],
        /,
        *,
        condition: Condition | None = ...,
        allow: Collection[str] = ...,
        label: str | None = ...,
        **parts: Any,
    ) -> None: ...
    def patch(
        self,
        subject: Any,
        /,
        *args: Any,
        condition: Condition | None = None,
        allow: Collection[str] = (),
        label: str | None = None,
        **parts: Any,
    ) -> None:
        """`update`, whose changes are a mapping of field names to values, as in `DB.patch`.

        Raises: ValidationError for what is no mapping, holds nothing, or names what is no field; and as `update`.

        Example: ``tx.patch(Account, "a1", {"note": "checked"})``
        """
        args = self._session.verbs.patching.as_update(self._session, subject, args)
        self._draft.update(subject, args, parts, condition, False, allow, label)

    def delete(
        self,
        subject: object,
        /,
        *key: Any,
        condition: Condition | None = None,
        must_exist: bool = False,
        label: str | None = None,
        **parts: Any,
    ) -> None:
        """Remove one item: an object (its version is checked when it was loaded), or a model and a key.

        An item that is not there counts as deleted, unless ``must_exist``.

        Raises: ValidationError for a key that does not fit the model.

        Example: ``tx.delete(payment)`` or ``tx.delete(Payment, "p1", condition=Payment.status == "void")``
        """
        self._draft.delete(subject, key, parts, condition, must_exist, label)

    def check(
        self, subject: object, /, *args: Any, condition: Condition | None = None, label: str | None = None, **parts: Any
    ) -> None:
        """Let the transaction happen only if a condition holds for an item that it does not write.

        The condition stands last, or is given by name. For a loaded object of a versioned model its version is checked
        too, and alone: the item is unchanged since. By key and without a condition the item must exist.

        Raises: ValidationError when there is nothing to check.

        Example: ``tx.check(account)``, ``tx.check(account, Account.open == True)`` or ``tx.check(Account, "a1")``
        """
        self._draft.check(subject, args, parts, condition, label)


teach(Operations, TRANSACTION)
