"""Hypothesis strategies for the values that can be stored."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

from hypothesis import strategies as st

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = text.filter(bool)
ints = st.integers(-(10**38) + 1, 10**38 - 1)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC) | zones)


@st.composite
def decimals(draw):
    digits = draw(st.integers(0, 10**38 - 1))
    exponent = draw(st.integers(-130, 125 - len(str(digits)) + 1))
    value = Decimal((draw(st.sampled_from((0, 1))), tuple(map(int, str(digits))), exponent))
    return value if value.adjusted() >= -130 else Decimal(digits)


floats = st.floats(allow_nan=False, allow_infinity=False).filter(lambda one: one == 0 or 1e-130 <= abs(one) < 9e125)
plain = st.none() | text | ints | decimals() | st.booleans() | st.binary(max_size=10)
documents = st.recursive(
    plain | st.sets(text, min_size=1, max_size=3) | st.sets(ints, min_size=1, max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
