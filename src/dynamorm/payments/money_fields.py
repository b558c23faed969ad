"""Money whose amount and currency are fields of their own, so that the amount has an order and may be a key.

What makes it, `two_attributes`, stands beside `Money`, which is handed in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, overload

from dynamorm import Attr, Condition, Update
from dynamorm.errors import CurrencyMismatch, ModelError, ValidationError
from dynamorm.plugin import SplitValue

if TYPE_CHECKING:
    from .money import Money

LARGEST: Final = 2**63 - 1
"""The largest minor amount without ``wide=True``: what an int64 of the Go library holds."""


class MoneyOf(SplitValue):
    """What `two_attributes` puts into a class body: a descriptor."""

    __slots__ = ("_amount", "_currency", "_kind", "_name")

    def __init__(self, kind: type[Money], amount: str, currency: str) -> None:
        if any(not isinstance(name, str) for name in (amount, currency)) or amount == currency:
            raise ModelError('two_attributes takes the names of two fields: two_attributes("amount", "currency")')
        self.fields: tuple[str, ...] = (amount, currency)
        self._kind = kind
        self._amount = amount
        self._currency = currency
        self._name = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> MoneyPaths: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Money: ...
    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        if instance is None:
            return MoneyPaths(self._kind, *(self._path(owner, name) for name in (self._amount, self._currency)))
        cents, currency = getattr(instance, self._amount), getattr(instance, self._currency)
        return (
            None if cents is None or currency is None else self._kind.minor(cents, currency, historic=True, wide=True)
        )

    def __set__(self, instance: Any, value: Money | None) -> None:
        for name, part in zip(self.fields, (None, None) if value is None else self.parts(value), strict=True):
            setattr(instance, name, part)

    def parts(self, value: Any) -> tuple[Any, ...]:
        """The minor units and the code. Raises: ValidationError for what is no Money."""
        if not isinstance(value, self._kind):
            raise ValidationError(
                f"{self._name} must be Money, such as Money('12.50', 'EUR'), not {type(value).__name__}",
                field=self._name,
            )
        return value.cents, value.currency

    def _path(self, owner: type[Any], name: str) -> Any:
        try:
            return getattr(owner, name)
        except AttributeError:
            pass
        raise ModelError(
            f"{owner.__name__}.{self._name} is kept in {name!r}, which is no field of {owner.__name__}: declare it"
        )


class MoneyPaths:
    """The two attributes of some money, to make conditions and updates of. A comparison demands the same currency."""

    __slots__ = ("_kind", "amount", "currency")

    def __init__(self, kind: type[Money], amount: Any, currency: Any) -> None:
        self._kind = kind
        self.amount: Attr[int | None] = amount
        self.currency: Attr[str] = currency

    if TYPE_CHECKING:

        def __hash__(self) -> int: ...

    else:
        __hash__ = object.__hash__

    def __eq__(self, other: Money | None) -> Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - as paths do
        if other is None:
            return self.amount == other
        money = self._money(other)
        return (self.currency == money.currency) & (self.amount == money.cents)

    def __ne__(self, other: Money | None) -> Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - as paths do
        return ~(self == other)

    def exists(self) -> Condition:
        """The amount is stored. Example: ``Payment.tip.exists()``."""
        return self.amount.exists()

    def not_exists(self) -> Condition:
        """The amount is not stored. Example: ``Payment.tip.not_exists()``."""
        return self.amount.not_exists()

    def __lt__(self, other: Money) -> Condition:
        return (self.currency == self._money(other).currency) & (self.amount < other.cents)

    def __le__(self, other: Money) -> Condition:
        return (self.currency == self._money(other).currency) & (self.amount <= other.cents)

    def __gt__(self, other: Money) -> Condition:
        return (self.currency == self._money(other).currency) & (self.amount > other.cents)

    def __ge__(self, other: Money) -> Condition:
        return (self.currency == self._money(other).currency) & (self.amount >= other.cents)

    def between(self, low: Money, high: Money) -> Condition:
        """``low <= money <= high``, both ends included.

        Raises: CurrencyMismatch for ends of two currencies.

        Example: ``Payment.price.between(Money("1", "EUR"), Money("5", "EUR"))``
        """
        if self._money(high).currency != self._money(low).currency:
            raise CurrencyMismatch(
                f"between {low.currency} and {high.currency} is nothing: give both ends in one currency",
                field="currency",
            )
        return (self.currency == low.currency) & self.amount.between(low.cents, high.cents)

    def add(self, money: Money) -> Update:
        """Add to the amount, on the condition that the currency is the same.

        Example: ``db.update(Payment, "p1", Payment.price.add(Money("1", "EUR")))``
        """
        cents = self._money(money).cents
        room = self.amount <= LARGEST - cents if cents >= 0 else self.amount >= -LARGEST - cents
        change: Update = self.amount.add(cents)
        return change.only_if((self.currency == money.currency) & room)

    def set(self, money: Money | None) -> Update:
        """Replace both attributes; None takes them away.

        Example: ``db.update(Payment, "p1", Payment.price.set(Money("1", "EUR")))``
        """
        if money is None:
            return self.remove()
        return self.amount.set(self._money(money).cents).together_with(self.currency.set(money.currency))

    def remove(self) -> Update:
        """Take both attributes away. Example: ``db.update(Payment, "p1", Payment.tip.remove())``."""
        return self.amount.remove().together_with(self.currency.remove())

    def _money(self, value: Any) -> Money:
        """The operand of a comparison. Raises: ValidationError."""
        if not isinstance(value, self._kind):
            raise ValidationError(
                f"money is compared with Money, such as Money('12.50', 'EUR'), not with {type(value).__name__}"
            )
        return value

    def __bool__(self) -> bool:
        raise ValidationError("money of a class is neither true nor false: compare it, as in Payment.price >= limit")
