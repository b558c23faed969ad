"""What is done with payments: a change of state, a refund, and finding one by its key. Each is right under any two at once."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from dynamorm import schema_of
from dynamorm.errors import (
    ConditionFailed,
    CurrencyMismatch,
    ForbiddenTransition,
    KeyReused,
    OutOfBounds,
    TransactionCancelled,
    TransactionConflict,
    ValidationError,
)

from .money import Money
from .states import Status
from .two_faces import Steps, on_both, transacted

TRIES: Final = 12
"""How often a change is tried again while others change the same payment."""
MOST_REFUNDS: Final = 500
"""Refunds of one payment: their ids are kept in it."""


@on_both
def find_payment_by_idempotency_key(db: Any, model: type[Any], key: str) -> Steps[Any]:
    """The payment with this idempotency key, or None. The model has a unique field ``idempotency_key`` (`PaymentMixin`).

    Example: ``find_payment_by_idempotency_key(db, Payment, "order-1")``
    """
    return (yield db.find_by_unique(model, idempotency_key=key))


@on_both
def transition(
    db: Any, payment: Any, to: Status | str, *, id: str | None = None, amount: Money | None = None
) -> Steps[Any]:
    """Let a payment become ``to``; the table of what may follow what is a condition of the write. Returns it as it is stored.

    With an ``id``, the same change with the same id is a replay: it changes nothing, and gives the payment. ``amount`` is what is captured,
    the whole if left out. A refund is made by `refund`, and no change of state.

    Raises: ForbiddenTransition, from the condition; NotFound; ValidationError for what is no state, and for an amount over that of the
    payment; CurrencyMismatch.

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
        raise ValidationError("amount is what is captured: no other change of state takes one", field="amount")
    model: Any = type(payment)
    key = _key_of(payment)
    changes = [model.status.set(after), model.transition_id.set(id)]
    condition = None
    if after is Status.CAPTURED and getattr(payment, "status", None) is not Status.DISPUTED:
        changes.append(model.captured.set(_captured(payment, amount)))
        condition = (model.amount == getattr(payment, "amount", None)) & (
            model.currency == getattr(payment, "currency", None)
        )
    try:
        changed = yield db.update(model, *key, *changes, condition=condition)
    except ForbiddenTransition as error:
        stored: Any = error.item
        if id is None or stored is None or stored.status is not after or stored.transition_id != id:
            raise
        return stored
    return changed


@on_both
def refund(db: Any, payment: Any, money: Money, *, id: str, record: Any = None) -> Steps[Any]:
    """Refund a part of a payment, or all of it. Returns the payment as it is stored.

    Never more is refunded than was captured, by however many at once: the sum is a condition of the transaction. The same ``id``
    with the same amount is a replay. ``record`` is an object of your own, such as of a model with `RefundMixin`, that is created
    in the same transaction.

    Raises: OutOfBounds for more than is left; ForbiddenTransition where the payment is in no state to be refunded; CurrencyMismatch;
    KeyReused for an id that was used for another amount; NotFound; ValidationError.

    Example: ``refund(db, payment, Money("5.00", "EUR"), id="refund-1")``
    """
    _check_id(id)
    if not _is_some(money):
        raise ValidationError("what is refunded is Money, more than nothing", field="money")
    model: Any = type(payment)
    key = _key_of(payment)
    for attempt in range(TRIES):
        stored: Any = yield db.require(model, *key, consistent=True)
        if id in stored.refunds:
            return _replayed(stored, id, money)
        total = _refunded(stored, money)
        changes = _changes(stored, total, id, money)
        paid = (
            (model.captured == stored.captured)
            & (model.refunded == stored.refunded)
            & (model.currency == money.currency)
        )
        try:
            yield from transacted(db, partial(_write_refund, stored=stored, changes=changes, paid=paid, record=record))
        except (ConditionFailed, TransactionCancelled, TransactionConflict) as error:
            if attempt == TRIES - 1 or not _may_pass(error, record):
                raise
            continue
        return stored
    raise AssertionError  # the last attempt has returned or raised


def _changes(stored: Any, total: int, id: str, money: Money) -> tuple[Any, ...]:
    """The updates that a refund is."""
    model: Any = type(stored)
    return (
        model.status.set(Status.REFUNDED if total == stored.captured else Status.PARTIALLY_REFUNDED),
        model.refunded.set(total),
        model.refunds.set({**stored.refunds, id: money.cents}),
        model.transition_id.set(id),
    )


def _write_refund(tx: Any, *, stored: Any, changes: tuple[Any, ...], paid: Any, record: Any) -> None:
    tx.update(stored, *changes, condition=paid)
    if record is not None:
        tx.create(record)


def _may_pass(error: Exception, record: Any) -> bool:
    """Whether a refused refund may be right when the payment is read again: not where its record exists already."""
    if isinstance(error, TransactionCancelled):
        return not any(reason is not None and reason.position == 1 for reason in error.reasons) or record is None
    return not isinstance(error, ForbiddenTransition)


def _replayed(payment: Any, id: str, money: Money) -> Any:
    """The payment with the refund of this id. Raises: KeyReused for another amount."""
    if payment.refunds[id] != money.cents or payment.currency != money.currency:
        raise KeyReused(f"the refund {id!r} was made with another amount: a new refund has a new id")
    return payment


def _refunded(stored: Any, money: Money) -> int:
    """What is refunded of a payment with this refund. Raises: what `refund` raises."""
    if stored.currency != money.currency:
        raise CurrencyMismatch(
            f"the payment is in {stored.currency}, and {money.currency} cannot be refunded of it", field="money"
        )
    if stored.status not in (Status.CAPTURED, Status.SETTLED, Status.PARTIALLY_REFUNDED, Status.DISPUTED):
        raise ForbiddenTransition(
            f"a payment that is {stored.status.value} cannot be refunded",
            before=stored.status.value,
            after=Status.PARTIALLY_REFUNDED.value,
        )
    total: int = stored.refunded + money.cents
    if total > stored.captured:
        raise OutOfBounds("more cannot be refunded than was captured and is left", field="refunded", bound="captured")
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
        raise CurrencyMismatch(f"the payment is in {payment.currency}, not in {amount.currency}", field="amount")
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
