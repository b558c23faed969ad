"""`Money`: an exact amount of one currency, in whole minor units. It must not know tables, but for how it is stored."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar, Final, NoReturn, Self, TypeVar

from dynamorm import Update
from dynamorm.errors import CurrencyMismatch, InvalidUse, ValidationError
from dynamorm.plugin import TypeCodec

from .currencies import exponent as exponent_of
from .money_fields import LARGEST, MoneyOf
from .rounding import exact, rounded, shares

M = TypeVar("M", bound="Money")

_TEXT: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


class Money:
    """An amount of a currency of ISO 4217. Immutable; equal by value; amounts of two currencies never mix.

    ``amount`` is in major units, a text, an int or a Decimal: ``Money("12.50", "EUR")``. `Money.minor` takes minor units.
    A float is refused, as is a digit that the currency does not have. ``historic=True`` makes money of a currency that was
    withdrawn; ``wide=True`` an amount of 2**63 minor units and more, which an int64 does not hold.

    It is stored as a map: ``{"a": minor units, "c": code, "e": exponent}``. An update may add to it, on the condition that
    what is stored is of the same currency: ``Payment.price.add(Money("1", "EUR"))``. A map has no order in DynamoDB and is
    no key: where that is needed, ``attr(money="amount,currency")`` keeps amount and currency apart.

    Raises: ValidationError; CurrencyMismatch for two currencies in one sum or comparison.

    Example: ``Money("10.00", "EUR").allocate([1, 1, 1])`` is 3.34, 3.33 and 3.33 EUR
    """

    __slots__ = ("_historic", "_wide", "cents", "currency")

    __dynamorm_codec__: ClassVar[TypeCodec]

    cents: int
    """The amount in minor units, whatever the currency calls them."""
    currency: str
    """The code of the currency."""

    def __init__(
        self, amount: str | int | Decimal, currency: str, *, historic: bool = False, wide: bool = False
    ) -> None:
        digits = exponent_of(currency, historic=historic)
        _fill(self, _units(_number(amount), digits, currency), currency, historic=historic, wide=wide)

    @classmethod
    def minor(
        cls, amount: int, currency: str, *, exponent: int | None = None, historic: bool = False, wide: bool = False
    ) -> Self:
        """Money of so many minor units. ``exponent`` is that of somebody else's minor units, where it is not ISO's.

        Raises: ValidationError for what is no int, and for an amount that ISO's minor unit cannot express.

        Example: ``Money.minor(1250, "EUR")``; of Adyen's ``{"value": 1200, "currency": "CLP"}``: ``Money.minor(1200, "CLP", exponent=2)``
        """
        if type(amount) is not int:
            raise ValidationError(
                f"minor units are an int, not a {type(amount).__name__}; Money(amount, currency) takes major units",
                field="amount",
            )
        digits = exponent_of(currency, historic=historic)
        if exponent is not None:
            if type(exponent) is not int or not 0 <= exponent <= 18:
                raise ValidationError("an exponent is an int from 0 to 18", field="exponent")
            amount = _units(Fraction(amount, 10**exponent), digits, currency)
        return _fill(cls.__new__(cls), amount, currency, historic=historic, wide=wide)

    @classmethod
    def zero(cls, currency: str) -> Self:
        """No money of a currency. Example: ``sum(amounts, Money.zero("EUR"))``."""
        return cls.minor(0, currency)

    @property
    def exponent(self) -> int:
        """How many digits the minor unit of the currency has."""
        return exponent_of(self.currency, historic=True)

    @property
    def amount(self) -> Decimal:
        """The amount in major units, exact, with all digits of the currency."""
        return Decimal((int(self.cents < 0), tuple(map(int, str(abs(self.cents)))), -self.exponent))

    # --------------------------------------------------------------------------------------------------------- arithmetic

    def __add__(self, other: Money) -> Self:
        if not isinstance(other, Money):
            return NotImplemented
        return self._made(self.cents + self._same(other).cents, other)

    def __radd__(self, other: int) -> Self:
        # sum() begins with 0.
        if type(other) is int and other == 0:
            return self
        return NotImplemented

    def __sub__(self, other: Money) -> Self:
        if not isinstance(other, Money):
            return NotImplemented
        return self._made(self.cents - self._same(other).cents, other)

    def __neg__(self) -> Self:
        return self._made(-self.cents)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self._made(abs(self.cents))

    def __bool__(self) -> bool:
        return self.cents != 0

    def __mul__(self, factor: int) -> Self:
        if type(factor) is int:
            return self._made(self.cents * factor)
        if isinstance(factor, (Decimal, Fraction)):
            raise InvalidUse("a product may have to be rounded: money.times(factor, rounding=ROUND_HALF_EVEN) says how")
        return NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Money) -> Fraction:
        if isinstance(other, Money):
            if not self._same(other).cents:
                raise ZeroDivisionError("division by no money")
            return Fraction(self.cents, other.cents)
        if isinstance(other, (int, Decimal, Fraction)) and not isinstance(other, bool):
            raise InvalidUse(
                "a quotient may have to be rounded: money.divided_by(n, rounding=ROUND_HALF_EVEN) says how, and"
                " money.allocate([1] * n) loses nothing"
            )
        return NotImplemented

    def times(self, factor: int | Decimal | Fraction, *, rounding: str) -> Self:
        """The product, rounded to minor units by a mode of `decimal`.

        Raises: ValidationError for a float, and for what is no mode.

        Example: ``price.times(Decimal("0.19"), rounding=ROUND_HALF_UP)``
        """
        return self._made(rounded(self.cents * exact(factor, "a factor"), rounding))

    def divided_by(self, divisor: int | Decimal | Fraction, *, rounding: str) -> Self:
        """The quotient, rounded to minor units by a mode of `decimal`.

        Raises: ValidationError as `times`; ZeroDivisionError.

        Example: ``price.divided_by(3, rounding=ROUND_DOWN)``
        """
        return self._made(rounded(self.cents / exact(divisor, "a divisor"), rounding))

    def allocate(self, weights: Iterable[int | Decimal | Fraction]) -> list[Self]:
        """Parts in the proportion of the weights, which add up to the amount exactly.

        Each is less than one minor unit from the exact share; what is left goes to the largest remainders, ties to the
        first. The parts of ``-money`` are those of ``money`` with the other sign.

        Raises: ValidationError for a weight that is a float or below 0, and where all of them are 0.

        Example: ``Money("99.99", "EUR").allocate([75, 25])`` is 74.99 and 25.00 EUR
        """
        return [self._made(part) for part in shares(self.cents, weights)]

    # --------------------------------------------------------------------------------------------------------- comparison

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.cents == other.cents and self.currency == other.currency

    def __hash__(self) -> int:
        return hash((self.cents, self.currency))

    def __lt__(self, other: Money) -> bool:
        return self.cents < self._same(other).cents

    def __le__(self, other: Money) -> bool:
        return self.cents <= self._same(other).cents

    def __gt__(self, other: Money) -> bool:
        return self.cents > self._same(other).cents

    def __ge__(self, other: Money) -> bool:
        return self.cents >= self._same(other).cents

    # -------------------------------------------------------------------------------------------------------------- tables

    def added_to(self, path: Any) -> Update:
        """The update that ``Payment.price.add(money)`` is: refused where another currency, or exponent, is stored.

        Raises: nothing here; the update raises ConditionFailed.
        """
        stored, cents = path["a"], self.cents
        fits = (path["c"] == self.currency) & (path["e"] == self.exponent)
        if not self._wide:
            fits &= stored <= LARGEST - cents if cents >= 0 else stored >= -LARGEST - cents
        change: Update = stored.add(cents)
        return change.only_if(fits)

    def to_map(self) -> dict[str, Any]:
        """The map that is stored. Example: ``{"a": 1250, "c": "EUR", "e": 2}``."""
        return {"a": self.cents, "c": self.currency, "e": self.exponent}

    @classmethod
    def of_map(cls, stored: Any) -> Self:
        """Money out of the map that is stored; also of a currency that was withdrawn, and of any size.

        Raises: ValidationError for what is no such map, and for an amount that ISO's minor unit cannot express.
        """
        if not isinstance(stored, dict) or stored.keys() != {"a", "c", "e"}:
            raise ValidationError('money is stored as a map of "a", "c" and "e", and nothing else')
        amount, exponent = (_whole(stored[name]) for name in ("a", "e"))
        return cls.minor(amount, stored["c"], exponent=exponent, historic=True, wide=True)

    # --------------------------------------------------------------------------------------------------------------- Python

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"money does not change: make other money instead of setting {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"money does not change: {name} stays")

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (type(self), self.cents, self.currency, self._historic, self._wide))

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}('{self.amount:f}', '{self.currency}')"

    _historic: bool
    _wide: bool

    def _same(self, other: object) -> Money:
        if not isinstance(other, Money):
            raise InvalidUse(f"money is compared with Money, not with {type(other).__name__}")
        if other.currency != self.currency:
            raise CurrencyMismatch(
                f"{self.currency} and {other.currency} do not mix: convert one of them first, at a rate you know",
                field="currency",
            )
        return other

    def _made(self, cents: int, other: Money | None = None) -> Self:
        """Money of the same currency, with what both operands may be."""
        wide = self._wide or (other is not None and other._wide)  # noqa: SLF001 - of its own class
        return _fill(type(self).__new__(type(self)), cents, self.currency, historic=self._historic, wide=wide)


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
    return MoneyOf(Money, amount, currency)


Money.__dynamorm_codec__ = TypeCodec(
    Money.to_map,
    Money.of_map,
    remedy='keep it as two attributes, an int and a code: attr(money="amount,currency")',
    is_money=True,
    split=two_attributes,
    types=(int, str),
)


def _fill(money: M, cents: int, currency: str, *, historic: bool, wide: bool) -> M:
    """Give new money its values. Raises: ValidationError for an amount that is too large."""
    if not wide and not -LARGEST <= cents <= LARGEST:
        raise ValidationError(
            "an amount has less than 2**63 minor units, which is what other programs hold: wide=True lets it be larger",
            field="amount",
        )
    keep = object.__setattr__  # which `Money` itself refuses
    keep(money, "cents", cents)
    keep(money, "currency", currency)
    keep(money, "_historic", historic)
    keep(money, "_wide", wide)
    return money


def _rebuilt(cls: type[Money], cents: int, currency: str, historic: bool, wide: bool) -> Money:  # noqa: FBT001 - called by pickle
    return cls.minor(cents, currency, historic=historic, wide=wide)


def _number(amount: Any) -> Fraction:
    """The exact number that was given as an amount. Raises: ValidationError."""
    if isinstance(amount, str):
        if not amount.isascii() or _TEXT.fullmatch(amount) is None or len(amount) > 60:
            raise ValidationError(
                "an amount is written in digits, with one point at most and a sign at most: '12.50'", field="amount"
            )
        return Fraction(amount)
    if isinstance(amount, float):
        raise ValidationError(
            "an amount is never a float: write it as a text, '12.50', or as a Decimal", field="amount"
        )
    return exact(amount, "an amount")


def _units(amount: Fraction, digits: int, currency: str) -> int:
    """Whole minor units. Raises: ValidationError where the amount has more digits than the currency."""
    units = Fraction(amount * 10**digits)
    if units.denominator != 1:
        raise ValidationError(
            f"{currency} has {digits} digits after the point, and the amount has more: round it first", field="amount"
        )
    return units.numerator


def _whole(number: Any) -> int:
    """An int out of a stored number. Raises: ValidationError."""
    # A Decimal may be no number, or have an exponent of which an int would fill the memory: DynamoDB stores no such.
    stored = isinstance(number, int) or (isinstance(number, Decimal) and number.is_finite() and number.adjusted() < 126)
    if isinstance(number, bool) or not stored or number != int(number):
        raise ValidationError('"a" and "e" of stored money are whole numbers')
    return int(number)
