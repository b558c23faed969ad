"""`Money` without a table: what is money, arithmetic, allocation. Compared with `decimal` and fractions."""

import copy
import decimal
import json
import os
import pickle
import random
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.errors import CurrencyMismatch, InvalidUse, ValidationError
from dynamorm.payments import Money, currencies
from dynamorm.payments.rounding import rounded, shares

MODES = [getattr(decimal, name) for name in dir(decimal) if name.startswith("ROUND_")]
CODES = st.sampled_from(sorted(currencies.CURRENT))
UNITS = st.integers(-(10**18), 10**18)
MONEY = st.builds(Money.minor, UNITS, CODES)
WEIGHTS = st.lists(
    st.integers(0, 10**6) | st.fractions(0, 100) | st.decimals(0, 100, places=3), min_size=1, max_size=12
)


@pytest.mark.parametrize(
    ("amount", "currency", "cents"),
    [
        ("12.50", "EUR", 1250), ("12.5", "EUR", 1250), ("+1", "EUR", 100), ("-0.01", "EUR", -1), ("12.5000", "EUR", 1250),
        (12, "EUR", 1200), (Decimal("1E+2"), "EUR", 10000), ("1250", "JPY", 1250), ("1.234", "KWD", 1234),
        ("0.0001", "CLF", 1), ("1.0", "JPY", 1), ("-0", "EUR", 0), (Decimal("-0.00"), "EUR", 0), ("007", "EUR", 700),
    ],
)  # fmt: skip
def test_an_amount_is_kept_in_minor_units(amount, currency, cents):
    money = Money(amount, currency)
    assert (money.cents, type(money.cents), money.currency) == (cents, int, currency)


@pytest.mark.parametrize(
    "amount",
    [
        1.5, float("nan"), True, None, b"1", "", " 1", "1 ", "1_000", "1e3", "1,50", "1.", ".5", "--1", "0x10", "\u0661", "NaN",
        "Infinity", "1\n", "1.005", Decimal("0.001"), Decimal("NaN"), Decimal("Infinity"), [1], "9" * 80,
    ],
)  # fmt: skip
def test_what_is_no_amount_is_refused_and_not_shown(amount):
    with pytest.raises(ValidationError) as caught:
        Money(amount, "EUR")
    assert "1.005" not in str(caught.value)


@pytest.mark.parametrize(
    "code",
    ["eur", "EU", "EURO", "", "XXX", "XTS", "XAU", "XAG", "XDR", "\uff25\uff35\uff32", None, 978, b"EUR", "EUR "],
)
def test_what_is_no_currency_is_refused(code):
    with pytest.raises(ValidationError) as caught:
        Money("1", code)
    assert caught.value.field == "currency"


@pytest.mark.parametrize("code", ["DEM", "HRK", "SLL", "ZWL", "ANG", "BGN", "CUC"])
def test_withdrawn_currencies_are_for_amounts_of_the_past(code):
    with pytest.raises(ValidationError, match="historic=True"):
        Money("1", code)
    past = Money("1", code, historic=True)
    assert (past + past).cents == 200
    assert Money.of_map(past.to_map()) == past
    assert pickle.loads(pickle.dumps(past)) == past


@pytest.mark.parametrize(
    ("code", "digits"), [("VED", 2), ("SLE", 2), ("ZWG", 2), ("XCG", 2), ("ISK", 0), ("UYW", 4), ("TND", 3), ("CLP", 0)]
)
def test_the_list_knows_new_currencies_and_iso_exponents(code, digits):
    assert currencies.exponent(code) == digits


def test_the_list_is_whole():
    assert currencies.as_of.isoformat() == "2026-01-01"
    assert (len(currencies.CURRENT), len(currencies.CURRENT.keys() & currencies.WITHDRAWN.keys())) == (165, 0)
    assert all(
        len(code) == 3 and code.isascii() and code.isupper() for code in {**currencies.CURRENT, **currencies.WITHDRAWN}
    )


def test_foreign_exponents_are_converted_exactly_or_refused():
    assert Money.minor(1200, "CLP", exponent=2) == Money("12", "CLP")
    assert Money.minor(5, "HUF", exponent=0) == Money("5", "HUF")
    with pytest.raises(ValidationError, match="more"):
        Money.minor(1250, "CLP", exponent=2)
    for wrong in (-1, 2.0, True, 19):
        with pytest.raises(ValidationError, match="exponent"):
            Money.minor(1, "EUR", exponent=wrong)


@pytest.mark.parametrize("amount", [1.0, "1", Decimal(1), True, None])
def test_minor_units_are_an_int(amount):
    with pytest.raises(ValidationError):
        Money.minor(amount, "EUR")


@given(MONEY)
def test_text_and_decimal_give_the_same_money_back(money):
    assert Money(str(money.amount), money.currency) == money == Money(money.amount, money.currency)
    assert money.amount == Decimal(money.cents).scaleb(-money.exponent, decimal.Context(prec=60))
    assert -money.amount.as_tuple().exponent == money.exponent
    assert str(money) == f"{money.amount:f} {money.currency}"
    assert eval(repr(money)) == money
    assert Money.of_map(json.loads(json.dumps(money.to_map()))) == money
    for twin in (pickle.loads(pickle.dumps(money)), copy.copy(money), copy.deepcopy(money)):
        assert twin == money
        assert hash(twin) == hash(money)


@given(UNITS, UNITS, st.integers(-1000, 1000), CODES)
def test_arithmetic_is_that_of_whole_numbers(one, other, factor, code):
    a, b = Money.minor(one, code), Money.minor(other, code)
    with decimal.localcontext() as context:
        context.prec = 3  # the program's own context has no say
        assert (a + b).cents == one + other
        assert (a - b).cents == one - other
        assert (-a).cents == -one
        assert abs(a).cents == abs(one)
        assert (a < b, a <= b, a > b, a >= b, a == b) == (
            one < other,
            one <= other,
            one > other,
            one >= other,
            one == other,
        )
        assert sum([a, b]) == a + b == sum([a, b], Money.zero(code))
        assert a.amount + b.amount is not None
    assert bool(a) is (one != 0)
    if other:
        assert a / b == Fraction(one, other)
    small = Money.minor(one // 1000, code)
    assert (small * factor).cents == (factor * small).cents == one // 1000 * factor


@given(UNITS, st.decimals(-1000, 1000, places=4), st.sampled_from(MODES))
def test_products_are_rounded_as_decimal_does(units, factor, mode):
    with decimal.localcontext(decimal.Context(prec=80)):
        expected = (Decimal(units // 1000) * factor).quantize(Decimal(1), rounding=mode)
    assert Money.minor(units // 1000, "EUR").times(factor, rounding=mode).cents == int(expected)


@given(st.fractions(-50, 50, max_denominator=40), st.sampled_from(MODES))
def test_fractions_are_rounded_as_decimal_does(value, mode):
    with decimal.localcontext(decimal.Context(prec=200)):
        scaled = Decimal(value.numerator * 40320) / Decimal(value.denominator * 40320)
        half = value * 2
        if half.denominator == 1:
            scaled = Decimal(half.numerator) / 2
        assert rounded(value, mode) == int(scaled.quantize(Decimal(1), rounding=mode))


@pytest.mark.parametrize("act", [
    lambda m: m + 1, lambda m: 1 + m, lambda m: m + 0, lambda m: m - 0, lambda m: False + m, lambda m: 0.0 + m,
    lambda m: m * 1.5, lambda m: m * True, lambda m: m * m, lambda m: m / 1.5, lambda m: m / True, lambda m: m // 2,
    lambda m: m % 2, float, int, lambda m: m < 5, lambda m: m >= 0, lambda m: m**2,
    lambda m: m * Decimal("1.5"), lambda m: m / 3, lambda m: m / Decimal(3), lambda m: Fraction(1, 2) * m,
])  # fmt: skip
def test_what_could_lose_something_is_a_type_error(act):
    with pytest.raises(TypeError):
        act(Money("10", "EUR"))


def test_a_product_that_may_need_rounding_names_the_way():
    with pytest.raises(InvalidUse, match="times"):
        Money("1", "EUR") * Decimal("0.19")
    with pytest.raises(InvalidUse, match="allocate"):
        Money("1", "EUR") / 3
    with pytest.raises(ValidationError, match="rounding"):
        Money("1", "EUR").times(Decimal("0.5"), rounding="HALF")
    for wrong in (0.19, True, "0.19", Decimal("NaN")):
        with pytest.raises(ValidationError):
            Money("1", "EUR").times(wrong, rounding="ROUND_UP")
    with pytest.raises(ZeroDivisionError):
        Money("1", "EUR").divided_by(0, rounding="ROUND_UP")
    assert Money("1", "EUR").divided_by(3, rounding="ROUND_UP") == Money("0.34", "EUR")


@pytest.mark.parametrize(
    "act", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a >= b, lambda a, b: a / b]
)
def test_currencies_never_mix(act):
    with pytest.raises(CurrencyMismatch) as caught:
        act(Money("1", "EUR"), Money("1", "USD"))
    assert isinstance(caught.value, (ValidationError, TypeError))
    assert Money("1", "EUR") != Money("1", "USD")


def test_money_does_not_change():
    money = Money("1", "EUR")
    with pytest.raises(AttributeError):
        money.cents = 5
    with pytest.raises(AttributeError):
        del money.currency


def test_amounts_stay_within_an_int64_unless_they_are_said_to_be_wide():
    largest = Money.minor(2**63 - 1, "EUR")
    for act in (
        lambda: Money.minor(2**63, "EUR"),
        lambda: largest + Money.minor(1, "EUR"),
        lambda: largest * 2,
        lambda: -largest - Money.minor(1, "EUR"),
    ):
        with pytest.raises(ValidationError, match="wide=True"):
            act()
    wide = Money.minor(2**63, "EUR", wide=True)
    assert (wide + largest).cents == 2**64 - 1
    assert Money.of_map(wide.to_map()) == wide


@given(UNITS, WEIGHTS)
def test_parts_add_up_and_are_less_than_a_unit_from_exact(units, weights):
    total = sum(map(Fraction, weights))
    if total == 0:
        with pytest.raises(ValidationError):
            shares(units, weights)
        return
    parts = Money.minor(units, "EUR").allocate(weights)
    assert sum(part.cents for part in parts) == units
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.cents - units * Fraction(weight) / total) < 1
        assert weight or not part.cents
    assert Money.minor(-units, "EUR").allocate(weights) == [-part for part in parts]


def test_the_largest_remainders_get_what_is_left_and_the_first_of_equals():
    assert shares(1000, [1, 1, 1]) == [334, 333, 333]
    assert shares(9999, [75, 25]) == [7499, 2500]
    assert shares(1001, [1, 1]) == [501, 500]
    assert shares(-1001, [1, 1]) == [-501, -500]
    assert shares(19, [1] * 10) == [2] * 9 + [1]
    assert shares(5, [0, 1]) == [0, 5]
    assert shares(0, [3, 4]) == [0, 0]
    assert shares(100, [Decimal("0.5"), Fraction(1, 2), 1]) == [25, 25, 50]


@pytest.mark.parametrize(
    "weights", [[], [0], [1, -1], [-1], [0.5, 0.5], [True], ["1"], "11", None, 5, [Decimal("NaN")]]
)
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValidationError):
        Money("1", "EUR").allocate(weights)


def test_a_million_allocations_add_up(figure):
    """A share of them here; the whole million with DYNAMORM_TEST_WIDE=1."""
    count = 1_000_000 if os.environ.get("DYNAMORM_TEST_WIDE") == "1" else 50_000
    dice = random.Random(7)
    for _ in range(count):
        units = dice.randint(-(10**9), 10**9)
        weights = [dice.randint(1, 1000) for _ in range(dice.randint(1, 6))]
        parts = shares(units, weights)
        assert sum(parts) == units
    figure(f"{count} allocations of money added up exactly")


@pytest.mark.parametrize(
    "stored",
    [
        None,
        {},
        {"a": 1, "c": "EUR"},
        {"a": 1, "c": "EUR", "e": 2, "x": 1},
        {"a": "1", "c": "EUR", "e": 2},
        {"a": Decimal("1.5"), "c": "EUR", "e": 2},
        {"a": 1, "c": "EUR", "e": True},
        {"a": 125, "c": "CLP", "e": 2},
        [1],
    ],
)
def test_what_is_no_stored_money_is_refused(stored):
    with pytest.raises(ValidationError):
        Money.of_map(stored)


@pytest.mark.parametrize("number", ["1E+99999999", "1E-99999999", "-1E+500"])
def test_a_number_of_endless_digits_is_refused_at_once(number):
    for use in (
        lambda: Money(Decimal(number), "EUR"),
        lambda: Money("1", "EUR").times(Decimal(number), rounding="ROUND_HALF_EVEN"),
        lambda: Money("1", "EUR").allocate([Decimal(number), 1]),
    ):
        with pytest.raises(ValidationError, match="digits"):
            use()
