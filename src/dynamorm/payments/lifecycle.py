"""What is done with payments: a change of state, a refund, and finding one by its key. Each is right under any two at once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, overload

from dynamorm import schema_of
from dynamorm.errors import (
    ConditionFailed,
    CurrencyMismatch,
    ForbiddenTransition,
    KeyReused,
    OutOfBounds,
    Retryable,
    TransactionCancelled,
    TransactionConflict,
    ValidationError,
)

from .guards import judged
from .money import Money
from .states import Status
from .two_faces import OneToken, Steps, on_both

if TYPE_CHECKING:
    from dynamorm import DB, AsyncDB

M = TypeVar("M")

TRIES: Final = 12
"""How often a change is tried again while others change the same payment."""
MOST_REFUNDS: Final = 500
"""Refunds of one payment: their ids are kept in it."""
MOST_IDS: Final = 500
"""Changes of state of one payment that have an id: these are kept in it, so that each is known again."""

Write: TypeAlias = Callable[[Any], Any]
"""What a change writes, a function of the transaction."""


@overload
def find_payment_by_idempotency_key(db: DB, model: type[M], key: str) -> M | None: ...
@overload
def find_payment_by_idempotency_key(db: AsyncDB, model: type[M], key: str) -> Coroutine[Any, Any, M | None]: ...
@on_both
def find_payment_by_idempotency_key(db: Any, model: type[Any], key: str) -> Steps[Any]:
    """The payment with this idempotency key, or None. The model has a unique field ``idempotency_key`` (`PaymentMixin`).

    Example: ``find_payment_by_idempotency_key(db, Payment, "order-1")``
    """
    return (yield db.find_by_unique(model, idempotency_key=key))


@overload
def transition(
    db: DB, payment: M, to: Status | str, *, id: str | None = None, amount: Money | None = None, tx: Any = None
) -> M: ...
@overload
def transition(
    db: AsyncDB, payment: M, to: Status | str, *, id: str | None = None, amount: Money | None = None, tx: Any = None
) -> Coroutine[Any, Any, M]: ...
@on_both
def transition(
    db: Any, payment: Any, to: Status | str, *, id: str | None = None, amount: Money | None = None, tx: Any = None
) -> Steps[Any]:
    """Let a payment become ``to``; the table of what may follow what is a condition of the write. Returns it as it is stored.

    What is stored decides, not the object. With an ``id``, a change that was made under this id is a replay, whatever came after
    it: it changes nothing, and gives the payment as it is now. ``amount`` is what is captured, the whole if left out. A dispute is
    left only by who has seen it: with an object that is disputed, and without an ``amount``; what was captured stays. A refund is
    made by `refund`, and no change of state.

    ``tx`` is an open transaction, such as that of an idempotent operation: the change is written into it and made with it, or not at
    all. Then nothing is tried again, and what is returned is the payment as it was read.

    Raises: ForbiddenTransition; KeyReused for an id of another change, or of another amount; NotFound; ConditionFailed where the
    stored amount is not the object's; ValidationError for what is no state, and for an amount over that of the payment;
    CurrencyMismatch; OutOfBounds.

    Example: ``transition(db, payment, "captured", id="capture-1")``
    """
    after = _state(to)
    if after in (Status.PARTIALLY_REFUNDED, Status.REFUNDED):
        raise ValidationError(
            "a refund has an amount: use dynamorm.payments.refund(db, payment, money, id=...)", field="to"
        )
    if id is not None:
        _check_id(id)
    if amount is not None and after is not Status.CAPTURED:
        raise ValidationError(
            "amount is what is captured, and no other change of state takes one: leave it out", field="amount"
        )

    def change(stored: Any) -> Write | None:
        model: Any = type(stored)
        captures = after is Status.CAPTURED and stored.status is not Status.DISPUTED
        cents = _captured(stored, amount) if after is Status.CAPTURED else None
        if id is not None and _is_replay(stored, id, after, cents):
            return None
        _check_seen(payment, stored, after, amount)
        changes = [judged(model.status.set(after)), model.transition_id.set(id)]
        if id is not None:
            changes.append(model.transitions.set({**_with_room(stored), id: _noted(after, cents)}))
        if captures:
            changes.append(model.captured.set(cents))
        return lambda tx: tx.update(stored, *changes)

    return (yield from _changed(db, payment, change, tx=tx))


@overload
def refund(db: DB, payment: M, money: Money, *, id: str, record: Any = None, tx: Any = None) -> M: ...
@overload
def refund(
    db: AsyncDB, payment: M, money: Money, *, id: str, record: Any = None, tx: Any = None
) -> Coroutine[Any, Any, M]: ...
@on_both
def refund(db: Any, payment: Any, money: Money, *, id: str, record: Any = None, tx: Any = None) -> Steps[Any]:
    """Refund a part of a payment, or all of it. Returns the payment as it is stored.

    Never more is refunded than was captured, by however many at once: the sum is a condition of the transaction. The same ``id``
    with the same amount is a replay. ``record`` is an object of your own, such as of a model with `RefundMixin`, that is created
    in the same transaction. A payment that is disputed is refunded only by who has seen that, with an object that is disputed. ``tx``
    is an open transaction that it is written into, as in `transition`.

    Raises: OutOfBounds for more than is left; ForbiddenTransition where the payment is in no state to be refunded; CurrencyMismatch;
    KeyReused for an id that was used for another amount, or another change; NotFound; ValidationError.

    Example: ``refund(db, payment, Money("5.00", "EUR"), id="refund-1")``
    """
    _check_id(id)
    if not _is_some(money):
        raise ValidationError("what is refunded is Money, more than nothing", field="money")

    def change(stored: Any) -> Write | None:
        if id in stored.refunds:
            _check_replayed(stored, id, money)
            return None
        if _former(stored, id) is not None:
            raise KeyReused(f"the id {id!r} is that of another change of this payment: a refund has a new id")
        total = _refunded(stored, money)
        if stored.status is Status.DISPUTED:
            _check_dispute(payment, Status.PARTIALLY_REFUNDED)
        changes = _changes(stored, total, id, money)
        return partial(_write_refund, stored=stored, changes=changes, record=record)

    return (yield from _changed(db, payment, change, record, tx=tx))


def _changed(
    db: Any, payment: Any, change: Callable[[Any], Write | None], record: Any = None, *, tx: Any = None
) -> Steps[Any]:
    """Change a payment as it is stored, under its version; ``change`` gives what is written, None where that was done before.

    All tries have one token. So of those that were refused for a conflict, and may still be under way, none is applied behind
    an error that says so: the token is spent before that. Those of another version are refused for ever. In a transaction ``tx`` of
    the caller it is written once: who applies that is told what became of it.
    """
    model: Any = type(payment)
    stored: Any
    key, token = _key_of(payment), OneToken(db)
    if tx is not None:
        stored = yield db.require(model, *key, consistent=True)
        if (write := change(stored)) is not None:
            write(tx)
        return stored
    try:
        for attempt in range(TRIES):
            stored = yield db.require(model, *key, consistent=True)
            write = change(stored)
            if write is None:
                return stored
            try:
                if not (yield from token.transacted(write)):
                    break  # an earlier try was applied after all
            except (TransactionCancelled, TransactionConflict) as error:
                _check_passing(error, stored, record)
                if attempt == TRIES - 1:
                    raise
            else:
                return stored
    except (TransactionCancelled, Retryable) as error:
        if not (yield from token.spent(error, model, *key)):
            raise
    return (yield db.require(model, *key, consistent=True))


def _check_passing(error: Exception, stored: Any, record: Any) -> None:
    """Go on only where a refused change may be right when the payment is read again."""
    for reason in getattr(error, "reasons", ()):
        if reason is None:
            continue
        if reason.position == 1 and record is not None and reason.code == "ConditionalCheckFailed":
            raise error  # its record exists already
        found = getattr(reason.item, "version", None)
        if reason.position == 0 and reason.error is not None and found == stored.version:
            raise reason.error from error  # it was refused as it was read, and every other write makes another version


def _check_seen(payment: Any, stored: Any, after: Status, amount: Money | None) -> None:
    """Refuse what was meant for another payment than the stored one. Raises: ForbiddenTransition, ConditionFailed."""
    if stored.status is Status.DISPUTED:
        if after in (Status.CAPTURED, Status.SETTLED):
            _check_dispute(payment, after, is_seen=amount is None)
    elif after is Status.CAPTURED and any(
        getattr(payment, name, None) != getattr(stored, name) for name in ("amount", "currency")
    ):
        raise ConditionFailed(
            "amount or currency of the payment are other ones by now than those of the object: load it again"
        )


def _check_dispute(payment: Any, after: Status, *, is_seen: bool = True) -> None:
    """Let a dispute be left only by who has seen it. Raises: ForbiddenTransition."""
    if not is_seen or getattr(payment, "status", None) is not Status.DISPUTED:
        raise ForbiddenTransition(
            f"the payment is disputed, and becomes {after.value!r} only by who has seen that: load it again, and give no amount"
            " that is captured",
            before=Status.DISPUTED.value,
            after=after.value,
        )


def _changes(stored: Any, total: int, id: str, money: Money) -> tuple[Any, ...]:
    """The updates that a refund is."""
    model: Any = type(stored)
    return (
        judged(model.status.set(Status.REFUNDED if total == stored.captured else Status.PARTIALLY_REFUNDED)),
        model.refunded.set(total),
        model.refunds.set({**stored.refunds, id: money.cents}),
        model.transition_id.set(id),
    )


def _write_refund(tx: Any, *, stored: Any, changes: tuple[Any, ...], record: Any) -> None:
    tx.update(stored, *changes)
    if record is not None:
        tx.create(record)


# ------------------------------------------------------------------------------------------------------------ former ids


def _noted(after: Status, cents: int | None) -> str:
    """What is kept of a change with an id."""
    return after.value if cents is None else f"{after.value}:{cents}"


def _former(stored: Any, id: str) -> str | None:
    """What was done under an id; None for one that is new."""
    if id in stored.refunds:
        return f"refund:{stored.refunds[id]}"
    noted: str | None = stored.transitions.get(id)
    if noted is None and stored.transition_id == id:  # of before former ids were kept
        return _noted(stored.status, stored.captured if stored.status is Status.CAPTURED else None)
    return noted


def _is_replay(stored: Any, id: str, after: Status, cents: int | None) -> bool:
    """Whether this very change was made under the id. Raises: KeyReused where another one was."""
    former = _former(stored, id)
    if former is not None and former != _noted(after, cents):
        raise KeyReused(
            f"the id {id!r} is that of another change of this payment, or of another amount: a new change has a new id"
        )
    return former is not None


def _with_room(stored: Any) -> dict[str, str]:
    """The ids of former changes. Raises: OutOfBounds where there is no room for another one."""
    known: dict[str, str] = stored.transitions
    if len(known) >= MOST_IDS:
        raise OutOfBounds(
            f"a payment has at most {MOST_IDS} changes of state with an id", field="transitions", bound="maximum"
        )
    return known


def _check_replayed(payment: Any, id: str, money: Money) -> None:
    """The payment has the refund of this id. Raises: KeyReused for another amount."""
    if payment.refunds[id] != money.cents or payment.currency != money.currency:
        raise KeyReused(f"the refund {id!r} was made with another amount: a new refund has a new id")


# --------------------------------------------------------------------------------------------------------------- amounts


def _refunded(stored: Any, money: Money) -> int:
    """What is refunded of a payment with this refund. Raises: what `refund` raises."""
    if stored.currency != money.currency:
        raise CurrencyMismatch(
            f"the payment is in another currency than {money.currency}: it is refunded in its own", field="money"
        )
    if stored.status not in (Status.CAPTURED, Status.SETTLED, Status.PARTIALLY_REFUNDED, Status.DISPUTED):
        raise ForbiddenTransition(
            f"a payment that is {stored.status.value} cannot be refunded: one that is captured, settled, partially_refunded or"
            " disputed can",
            before=stored.status.value,
            after=Status.PARTIALLY_REFUNDED.value,
        )
    total: int = stored.refunded + money.cents
    if total > stored.captured:
        raise OutOfBounds(
            "more cannot be refunded than was captured and is left: payment.captured - payment.refunded, of a payment that is"
            " loaded again",
            field="refunded",
            bound="captured",
        )
    if len(stored.refunds) >= MOST_REFUNDS:
        raise OutOfBounds(f"a payment has at most {MOST_REFUNDS} refunds", field="refunds", bound="maximum")
    return total


def _captured(payment: Any, amount: Money | None) -> int:
    """The minor units that are captured. Raises: ValidationError, CurrencyMismatch."""
    whole: int = payment.amount
    if amount is None:
        return whole
    if not _is_some(amount) or amount.cents > whole:
        raise ValidationError(
            "what is captured is Money, more than nothing and no more than the payment", field="amount"
        )
    if amount.currency != payment.currency:
        raise CurrencyMismatch(
            f"the payment is in another currency than {amount.currency}: it is captured in its own", field="amount"
        )
    return amount.cents


def _is_some(money: Any) -> bool:
    return isinstance(money, Money) and money.cents > 0


def _state(to: Any) -> Status:
    try:
        return Status(to)
    except ValueError:
        pass
    raise ValidationError(f"a state is one of {', '.join(status.value for status in Status)}", field="to")


def _check_id(id: Any) -> None:
    if not isinstance(id, str) or not 0 < len(id) <= 255 or not id.isprintable():
        raise ValidationError("an id is a text of 1 to 255 characters, without control characters", field="id")


def _key_of(payment: Any) -> tuple[Any, ...]:
    """The values of the key of an object."""
    key = schema_of(type(payment)).key
    if key is None:
        raise ValidationError(f"{type(payment).__name__} has no key: give an object of a model with a table")
    return tuple(getattr(payment, name) for name in key.fields)
