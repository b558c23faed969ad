"""What an idempotent operation takes and keeps: its options, answers equal type for type, and the marks of payloads."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from dynamorm import ValidationError
from dynamorm.config.secret_keys import SecretKeys
from dynamorm.errors import IntegrityError
from dynamorm.payments import Money
from dynamorm.plugins.idempotency.marks import has_mark, mark
from dynamorm.plugins.idempotency.options import checked, record_key
from dynamorm.plugins.idempotency.values import canonical, decoded, encoded

TIMES = {"lease": 30, "wait": 0, "final": (), "max_run": 900}


@pytest.mark.parametrize(
    "options",
    [
        {"key": None}, {"key": ""}, {"key": "a" * 256}, {"key": "a\nb"}, {"key": "a\x7f"}, {"key": 5}, {"key": b"a"}, {"key": "\ud800"},
        {"scope": ""}, {"scope": "a" * 65}, {"scope": None},
        {"lease": 0.5}, {"lease": "30"}, {"lease": float("nan")}, {"retention": 0}, {"wait": -1}, {"max_run": -1},
        {"final": ("CardDeclined",)}, {"final": (BaseException,)},
        {"payload": object()}, {"payload": float("nan")}, {"payload": Decimal("sNaN")}, {"payload": datetime(2026, 1, 1)},
        {"payload": {1: 2}}, {"payload": {1, 2}}, {"payload": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
        {"payload": "\ud800"}, {"payload": 1 << 5000},
        {"scope": "webhook", "retention": 86_400 * 3},
    ],
)  # fmt: skip
def test_bad_options_are_refused(options):
    given = {"key": "key", "payload": None, "scope": "charge", "retention": 86_400.0, **TIMES, **options}
    with pytest.raises(ValidationError):
        checked("", given.pop("key"), **given)


ANSWERS = [
    None, True, False, 0, -1, 1 << 80, 0.1, -2.5e300, "", "ä\u2028", b"", b"\x00\xff", Decimal("1.50"), Decimal("-0.00"),
    datetime(2026, 1, 2, 3, 4, 5, 678, UTC), datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))), uuid.UUID(int=5),
    datetime(2026, 1, 2, tzinfo=UTC).date(), [], {}, {"b": [1, {"a": None}], "a": "x"}, [[[[1]]]],
]  # fmt: skip


@pytest.mark.parametrize("value", ANSWERS, ids=repr)
def test_answers_come_back_equal_type_for_type(value):
    back = decoded(encoded(value, "the answer"))
    assert (back, repr(back)) == (value, repr(value))


@pytest.mark.parametrize(
    "money",
    [
        Money("12.50", "EUR"), Money("0", "JPY"), Money("5", "DEM", historic=True), Money.minor(2**63, "EUR", wide=True), Money.minor(-(10**80), "DEM", historic=True, wide=True),
    ],
    ids=str,
)  # fmt: skip
def test_money_of_every_kind_comes_back(money):
    back = decoded(encoded([money], "the answer"))[0]
    assert (back, type(back), str(back)) == (money, Money, str(money))


def test_money_that_could_not_be_read_again_is_refused():
    for digits in (390, 5_000):
        with pytest.raises(ValidationError, match="digits"):
            encoded(Money.minor(10**digits, "EUR", wide=True), "the answer")
    assert decoded(encoded(Money.minor(10**390 - 1, "JPY", wide=True), "the answer")).cents == 10**390 - 1


def test_a_tuple_is_a_list_and_an_answer_is_a_copy():
    given = {"a": (1, 2)}
    data = encoded(given, "the answer")
    given["a"] = ()
    assert decoded(data) == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((1, 2), [1, 2]),
        (Decimal("1.0"), Decimal("1.00")),
        (Decimal("0.00"), Decimal("-0")),
        (Decimal("1E+2"), Decimal(100)),
        (datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))),
        (0.0, -0.0),
    ],
)
def test_payloads_that_are_the_same(one, other):
    assert canonical(one) == canonical(other)


def test_payloads_that_differ():
    several = [
        1, "1", True, 1.0, Decimal(1), b"1", None, [1], {"1": 1}, {"m": []}, ["m", []], {"a": [1, 2]}, {"a": [2, 1]}, [], {}, "", b"",
        Decimal("1.01"), Decimal(10), Decimal("0.1"),
    ]  # fmt: skip
    assert len({canonical(value) for value in several}) == len(several)


def test_the_keys_of_records_and_steps_are_apart():
    pairs = [
        ("", "s", "k"),
        ("s", "k", ""),
        ("t", "s", "k"),
        ("", "t#s", "k"),
        ("t#", "s", "k"),
        ("", "s", "k#"),
        ("T", "~I", "s"),
    ]
    assert len({record_key(*pair) for pair in pairs}) == len(pairs)
    assert record_key("t*?", "s", "k").startswith("T#t%2A%3F#~I#s#")


def test_webhooks_are_remembered_for_a_month():
    assert checked("", "k", payload=None, scope="webhook", retention=86_400.0, **TIMES).retention_ms == 30 * 86_400_000
    assert checked("", "k", payload=None, scope="webhook", retention=432_000, **TIMES).retention_ms == 432_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"x":1}',
        b'{"i":"a"}',
        b'{"i":"1","f":"1"}',
        b"{}",
        b'{"b":"*"}',
        b"[1",
        b'{"M":["x","EUR"]}',
        b'{"M":["1","XXX"]}',
        b'{"M":["1.001","EUR"]}',
    ],
)
def test_an_answer_that_was_edited_is_told(data):
    with pytest.raises(IntegrityError):
        decoded(data)


def test_a_mark_tells_nothing_without_its_secret():
    form = canonical({"amount": 5})
    stored = mark(b"n" * 16, form)
    assert has_mark(stored, b"n" * 16, form) is True
    assert has_mark(stored, b"m" * 16, form) is False
    assert has_mark(f"2{stored[1:]}", b"n" * 16, form) is None


def held(*secrets):
    return SecretKeys(secrets)


def test_a_mark_says_by_which_key_it_was_made_and_tells_nothing_of_it():
    form, other, nonce = canonical({"amount": 5}), canonical({"amount": 6}), b"n" * 16
    former, new = b"f" * 32, b"g" * 32
    stored = mark(nonce, form, held(former))
    assert stored.startswith("2:")
    for keys in (held(former), held(new, former), held(former, new)):
        assert has_mark(stored, nonce, form, keys) is True
        assert has_mark(stored, nonce, other, keys) is False
        assert has_mark(stored, b"m" * 16, form, keys) is False
    for keys in (held(), held(new)):
        assert has_mark(stored, nonce, form, keys) is None
    assert mark(b"m" * 16, form, held(former)) != stored  # equal payloads are not told
    assert mark(nonce, form, held(new, former)) == mark(nonce, form, held(new))
    assert former.hex() not in stored
    assert has_mark(mark(nonce, form), nonce, form, held(new)) is True  # of before there were keys
    assert has_mark(f"3{stored[1:]}", nonce, form, held(former)) is None
    assert has_mark("2:", nonce, form, held(former)) is None
