"""The rule of a payment's money: what was captured and refunded of it, and the ids of its changes, change by `transition` and `refund` alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from dynamorm import Update
from dynamorm.errors import ConditionFailed, DynamORMError, ValidationError
from dynamorm.plugin import WriteRule

from .currencies import exponent
from .states import Status, TransitionRule, Transitions

KEPT: Final = ("captured", "refunded", "refunds", "transitions", "transition_id")
"""What only `transition` and `refund` change."""
TERMS: Final = ("amount", "currency")
"""What changes only while a payment is pending."""
_NOTHING_CAPTURED: Final = (Status.PENDING, Status.AUTHORIZED, Status.FAILED, Status.VOIDED)
_BY: Final = "use dynamorm.payments.transition(db, payment, to) or refund(db, payment, money, id=...)"


class Judged(Update, frozen=True, eq=False):
    """A change of state that `transition` or `refund` has judged: what goes along with it is theirs."""


def judged(change: Update) -> Update:
    """The same change, which passes the rule of a payment's money."""
    return Judged(change.kind, change.path, change.value, change.start, change.where, change.also)


class PaymentStates(Transitions):
    """Field option, of the state of a payment: `Transitions`, and the fields of its money change by the functions of payments alone."""

    __slots__ = ()

    def write_rule(self, schema: Any, field: Any) -> WriteRule:
        """The rule for the writes of a model."""
        return PaymentRule(self.table, schema, field)


class PaymentRule(TransitionRule):
    """Guards the money of a payment, beside its state."""

    verbs: tuple[str, ...] = ("create", "put", "save", "update")

    def __init__(self, table: Any, schema: Any, field: Any) -> None:
        super().__init__(table, schema, field)
        self._names = {schema.fields[name].stored: name for name in (*KEPT, *TERMS) if name in schema.fields}
        # A field with options of its own, such as one that is encrypted, has no stored form that could be compared.
        self._compared = [stored for stored, name in self._names.items() if not schema.fields[name].options]
        self._of: Any = schema.model

    def contribute(self, draft: Any) -> None:
        """Demand that the money stays as it is, but for what `transition` and `refund` write."""
        if draft.verb != "create":
            super().contribute(draft)
        if draft.verb == "update":
            if not any(isinstance(change, Judged) for change in draft.updates):
                self._check_updates(draft)
        elif draft.verb == "save":
            self._check_saved(draft)
        else:
            self._check_whole(draft.obj)
            if draft.verb == "put":
                self._demand_same(draft)
                self._demand_moved(draft, getattr(draft.obj, self._name), by_put=True)

    def _check_updates(self, draft: Any) -> None:
        changed = set()
        for change in draft.updates:
            if (name := self._names.get(change.path.field.stored)) is not None:
                self._refuse_kept(name)
                changed.add(name)
                if name == "currency":
                    self._check_currency(change)
            elif change.path.field.stored == self._stored:
                self._demand_moved(draft, self._state(change.value))
        if changed:
            self._demand_pending(draft, changed, absent=draft.upsert)

    def _check_currency(self, change: Any) -> None:
        if change.kind not in ("set", "if_not_exists") or not isinstance(change.value, str):
            raise ValidationError(
                f"{self._model}.currency is set to the code of a currency, and to nothing else: {self._model}.currency.set('EUR')",
                field="currency",
            )
        exponent(change.value, historic=True)

    def _check_saved(self, draft: Any) -> None:
        changed = {self._names[stored] for stored in draft.changes if stored in self._names}
        for name in changed:
            self._refuse_kept(name)
        if self._stored in draft.changes:
            self._demand_moved(draft, self._state((draft.changes[self._stored] or {}).get("S")))
        if changed:
            if "currency" in changed:
                exponent(draft.obj.currency, historic=True)
            self._demand_pending(draft, changed, absent=False)

    def _refuse_kept(self, name: str) -> None:
        if name in KEPT:
            raise ValidationError(
                f"{self._model}.{name} is changed by a capture or a refund, and by no other write: {_BY}", field=name
            )

    def _demand_pending(self, draft: Any, changed: set[str], *, absent: bool) -> None:
        condition = self._path == Status.PENDING
        draft.require(condition | self._path.not_exists() if absent else condition)
        shown = " and ".join(sorted(changed))

        def tell(stored: dict[str, Any], info: dict[str, Any]) -> DynamORMError | None:
            found = stored.get(self._stored, {}).get("S", "")
            if found == Status.PENDING.value or (absent and not found):
                return None
            return ConditionFailed(
                f"{shown} of a {self._model} changes only while it is pending, and this one is {found or 'of no state'}: {_BY}",
                **info,
            )

        draft.refused_by(tell)

    def _demand_moved(self, draft: Any, after: Any, *, by_put: bool = False) -> None:
        """A plain write calls a payment captured or refunded only where money of it was; a put says of a new one what it is."""
        model = self._of
        if after is Status.CAPTURED and {"captured", "amount"} <= set(self._names.values()):
            condition = (model.captured > 0) | (model.amount == 0)
            if by_put:
                condition |= self._path.not_exists() | (self._path == after)
            draft.require(condition)
            moved: Callable[[dict[str, Any]], bool] = self._is_captured
            by = "a capture"
        elif (
            after in (Status.PARTIALLY_REFUNDED, Status.REFUNDED) and "refunded" in self._names.values() and not by_put
        ):
            is_whole = after is Status.REFUNDED
            rest = model.refunded == model.captured if is_whole else model.refunded < model.captured
            draft.require((model.refunded > 0) & rest)
            moved, by = partial(self._is_refunded, is_whole=is_whole), "its refunds"
        else:
            return

        def tell(stored: dict[str, Any], info: dict[str, Any]) -> DynamORMError | None:
            found = stored.get(self._stored, {}).get("S", "")
            if moved(stored) or (by_put and found in ("", after.value)):
                return None
            return ConditionFailed(f"a {self._model} becomes {after.value} by {by}: {_BY}", **info)

        draft.refused_by(tell)

    def _is_captured(self, stored: dict[str, Any]) -> bool:
        return self._cents(stored, "captured") > 0 or self._cents(stored, "amount") == 0

    def _is_refunded(self, stored: dict[str, Any], *, is_whole: bool) -> bool:
        captured, refunded = (self._cents(stored, name) for name in ("captured", "refunded"))
        return refunded > 0 and (refunded == captured if is_whole else refunded < captured)

    def _cents(self, stored: dict[str, Any], wanted: str) -> int:
        return next(int(stored.get(one, {}).get("N", "0")) for one, name in self._names.items() if name == wanted)

    def _check_whole(self, payment: Any) -> None:
        """Refuse money that no payment in this state has. Raises: ValidationError."""
        exponent(getattr(payment, "currency", None) or "", historic=True)
        status, amount = getattr(payment, self._name), getattr(payment, "amount", 0)
        captured, refunded = getattr(payment, "captured", 0), getattr(payment, "refunded", 0)
        if not 0 <= captured <= amount or (captured and status in _NOTHING_CAPTURED):
            raise ValidationError(
                f"{self._model}.captured is nothing before a capture, and then no more than the amount: create the payment"
                f" without it, and {_BY}",
                field="captured",
            )
        wanted = {Status.PARTIALLY_REFUNDED: 0 < refunded < captured, Status.REFUNDED: 0 < refunded == captured}
        by_id = sum(getattr(payment, "refunds", {}).values())
        if not 0 <= by_id <= refunded <= captured or not wanted.get(status, True):
            raise ValidationError(
                f"{self._model}.refunded is no more than was captured, and what the state says: create the payment without"
                f" it, and {_BY}",
                field="refunded",
            )

    def _demand_same(self, draft: Any) -> None:
        """A put replaces a payment only by one with the same money."""
        same: Any = None
        for stored in self._compared:
            name = self._names[stored]
            path, value = getattr(self._of, name), getattr(draft.obj, name)
            term = path == value
            if not value and value is not None:
                term |= path.not_exists()
            if name in TERMS:
                term |= self._path == Status.PENDING
            same = term if same is None else same & term
        if same is None:
            return
        draft.require(self._path.not_exists() | same)
        written = dict(draft.item)

        def tell(stored: dict[str, Any], info: dict[str, Any]) -> DynamORMError | None:
            pending = stored.get(self._stored, {}).get("S") == Status.PENDING.value
            changed = {
                self._names[one]
                for one in self._compared
                if stored.get(one) != written.get(one) and not (pending and self._names[one] in TERMS)
            }
            if self._stored not in stored or not changed:
                return None
            return ConditionFailed(
                f"a put of a {self._model} would change its {', '.join(sorted(changed))}: {_BY}, or load it again",
                **info,
            )

        draft.refused_by(tell)
