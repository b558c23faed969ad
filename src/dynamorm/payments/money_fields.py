"""`two_attributes`: money whose amount and currency are fields of their own, so that the amount has an order and may be a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from dynamorm import Attr, Condition, Update
from dynamorm.errors import CurrencyMismatch, ModelError, ValidationError
from dynamorm.plugin import SplitValue

from .money import LARGEST, Money


def two_attributes(amount: str, currency: str) -> MoneyOf:
    """Money over two fields of a model: an int of minor units, and the code of the currency.

    On an object it is a `Money`, or None while one of the two is None; setting it sets both. On the class it makes
    conditions and updates: ``== != < <= > >=``, ``between``, ``add``, ``set`` and ``remove``. The constructor of the model takes it, too.
    ``price: Attr[Money] = attr(money="amount,currency")`` declares the two fields as well.

    Raises: ModelError, when it is first used, for names that are no fields.

    Example::

        class Payment(Model, table="payments"):
            id: Attr[str] = partition_key()
            amount: Attr[int]
            currency: Attr[str]
            price = two_attributes("amount", "currency")


        Payment(id="p1", amount=1250, currency="EUR").price  # 12.50 EUR
        db.model(Payment).allow_scan().filter(Payment.price >= Money("10", "EUR")).all()
    """
    return MoneyOf(amount, currency)


class MoneyOf(SplitValue):
    """What `two_attributes` puts into a class body: a descriptor."""

    __slots__ = ("_amount", "_currency", "_name")

    def __init__(self, amount: str, currency: str) -> None:
        if any(not isinstance(name, str) for name in (amount, currency)) or amount == currency:
            raise ModelError('two_attributes takes the names of two fields: two_attributes("amount", "currency")')
        self.fields: tuple[str, ...] = (amount, currency)
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
            return MoneyPaths(*(self._path(owner, name) for name in (self._amount, self._currency)))
        cents, currency = getattr(instance, self._amount), getattr(instance, self._currency)
        return None if cents is None or currency is None else Money.minor(cents, currency, historic=True, wide=True)

    def __set__(self, instance: Any, value: Money | None) -> None:
        for name, part in zip(self.fields, (None, None) if value is None else self.parts(value), strict=True):
            setattr(instance, name, part)

    def parts(self, value: Any) -> tuple[Any, ...]:
        """The minor units and the code. Raises: ValidationError for what is no Money."""
        if not isinstance(value, Money):
            raise ValidationError(f"{self._name} must be Money, not {type(value).__name__}", field=self._name)
        return value.cents, value.currency

    def _path(self, owner: type[Any], name: str) -> Any:
        try:
            return getattr(owner, name)
        except AttributeError:
            pass
        raise ModelError(f"{owner.__name__}.{self._name} is kept in {name!r}, which is no field of {owner.__name__}")


class MoneyPaths:
    """The two attributes of some money, to make conditions and updates of. A comparison demands the same currency."""

    __slots__ = ("amount", "currency")

    def __init__(self, amount: Any, currency: Any) -> None:
        self.amount: Attr[int] = amount
        self.currency: Attr[str] = currency

    if TYPE_CHECKING:

        def __hash__(self) -> int: ...

    else:
        __hash__ = object.__hash__

    def __eq__(self, other: Money) -> Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - as paths do
        money = _money(other)
        return (self.currency == money.currency) & (self.amount == money.cents)

    def __ne__(self, other: Money) -> Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - as paths do
        return ~(self == other)

    def __lt__(self, other: Money) -> Condition:
        return (self.currency == _money(other).currency) & (self.amount < other.cents)

    def __le__(self, other: Money) -> Condition:
        return (self.currency == _money(other).currency) & (self.amount <= other.cents)

    def __gt__(self, other: Money) -> Condition:
        return (self.currency == _money(other).currency) & (self.amount > other.cents)

    def __ge__(self, other: Money) -> Condition:
        return (self.currency == _money(other).currency) & (self.amount >= other.cents)

    def between(self, low: Money, high: Money) -> Condition:
        """``low <= money <= high``, both ends included.

        Raises: CurrencyMismatch for ends of two currencies.

        Example: ``Payment.price.between(Money("1", "EUR"), Money("5", "EUR"))``
        """
        if _money(high).currency != _money(low).currency:
            raise CurrencyMismatch(f"between {low.currency} and {high.currency} is nothing", field="currency")
        return (self.currency == low.currency) & self.amount.between(low.cents, high.cents)

    def add(self, money: Money) -> Update:
        """Add to the amount, on the condition that the currency is the same.

        Example: ``db.update(Payment, "p1", Payment.price.add(Money("1", "EUR")))``
        """
        cents = _money(money).cents
        room = self.amount <= LARGEST - cents if cents >= 0 else self.amount >= -LARGEST - cents
        change: Update = self.amount.add(cents)
        return change.only_if((self.currency == money.currency) & room)

    def set(self, money: Money) -> Update:
        """Replace both attributes.

        Example: ``db.update(Payment, "p1", Payment.price.set(Money("1", "EUR")))``
        """
        return self.amount.set(_money(money).cents).together_with(self.currency.set(money.currency))

    def remove(self) -> Update:
        """Take both attributes away. Example: ``db.update(Payment, "p1", Payment.tip.remove())``."""
        return self.amount.remove().together_with(self.currency.remove())

    def __bool__(self) -> bool:
        raise ValidationError("money of a class is neither true nor false: compare it, as in Payment.price >= limit")


def _money(value: Any) -> Money:
    """The operand of a comparison. Raises: ValidationError."""
    if not isinstance(value, Money):
        raise ValidationError(f"money is compared with Money, not with {type(value).__name__}")
    return value
