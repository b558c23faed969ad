"""Numbers are exact whatever decimal context the program has set for itself."""

import decimal
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.codec.strict import dumps
from dynamorm.models.schema.schema import Json
from tests.codec.holders import codec_of
from tests.codec.test_round_trip import TYPES

SIGNALS = [
    decimal.Inexact, decimal.Rounded, decimal.Subnormal, decimal.Overflow, decimal.Underflow, decimal.FloatOperation,
    decimal.InvalidOperation,
]  # fmt: skip
CONTEXTS = {
    "six digits": decimal.Context(prec=6),
    "one digit, small exponents": decimal.Context(prec=1, Emin=-1, Emax=1),
    "every signal trapped": decimal.Context(prec=1, Emin=-1, Emax=1, traps=SIGNALS),
    "nothing trapped, small letters": decimal.Context(prec=3, traps=[], capitals=0, rounding=decimal.ROUND_UP),
}
NUMBERS = [Decimal, timedelta, int, float, set[int], frozenset[Decimal], tuple[Decimal, ...], dict[str, Any]]
MONTH = timedelta(days=30, microseconds=1)


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("annotation", NUMBERS, ids=str)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_number_is_read_as_it_was_written(context, annotation, data):
    codec = CODECS.setdefault(annotation, None) or codec_of(annotation)
    CODECS[annotation] = codec
    value = data.draw(TYPES[annotation])
    with decimal.localcontext(context):
        raw = codec.item_bytes(codec.encode(codec.model(id="p", value=value)))
        back = codec.decode(raw)
        changes = codec.changes(back)
        careful = codec.decode(dumps(codec.encode(back)))
    assert (back.value, careful.value, changes) == (value, value, {})


CODECS: dict[Any, Any] = {}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_thirty_days_and_a_microsecond(context):
    codec = codec_of(timedelta)
    with decimal.localcontext(context):
        assert codec.decode(dumps(codec.encode(codec.model(id="p", value=MONTH)))).value == MONTH
        assert codec.decode(dumps({"id": {"S": "p"}, "value": {"N": "-25E-1"}})).value == timedelta(seconds=-2.5)


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_json_is_the_same_text(context):
    codec = codec_of(dict[str, Decimal], Json())
    with decimal.localcontext(context):
        wire = codec.encode_field("value", {"a": Decimal("1E+40"), "b": Decimal("12345678.123456789")})
        assert wire == {"S": '{"a":1E+40,"b":12345678.123456789}'}
