import datetime as dt
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.wire.clock import LIMIT, SKEW_CODES, SkewClock, parse_http_date

START = 1_700_000_000.0


def http_date(seconds):
    return format_datetime(dt.datetime.fromtimestamp(int(seconds), dt.UTC), usegmt=True).encode()


def feed(clock, skew, answers, start=START, mono=None):
    """Answers a second apart from a server whose clock is ``skew`` ahead of ours."""
    for n in range(answers):
        now = start + n
        clock.observe(http_date(now + skew), now - 0.01, now, None if mono is None else mono + n)


@given(st.integers(0, 253_402_300_799))
def test_every_http_date_is_read_exactly(seconds):
    assert parse_http_date(http_date(seconds)) == seconds


@given(st.binary(max_size=40))
def test_no_bytes_make_the_date_parser_fail(value):
    parse_http_date(value)


@given(st.integers(0, 28), st.binary(min_size=1, max_size=1))
def test_a_date_with_a_wrong_byte_is_refused_or_another_date(at, byte):
    value = bytearray(b"Tue, 15 Nov 1994 08:12:31 GMT")
    value[at : at + 1] = byte
    parse_http_date(bytes(value))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"Tue, 15 Nov 1994 08:12:31 UTC",
        b"Tue, 15 Nov 1994 24:12:31 GMT",
        b"Tue, 15 Nov 1994 08:60:31 GMT",
        b"Tue, 15 Nov 1994 08:12:61 GMT",
        b"Tue, 32 Nov 1994 08:12:31 GMT",
        b"Tue, 31 Nov 1994 08:12:31 GMT",
        b"Tue, 00 Nov 1994 08:12:31 GMT",
        b"Tue, 15 Nov 1969 08:12:31 GMT",
        b"Tue, 15 Foo 1994 08:12:31 GMT",
        b"Tue, +5 Nov 1994 08:12:31 GMT",
        b"Tue, 15 Nov 19_4 08:12:31 GMT",
        b"Tue,15  Nov 1994 08:12:31 GMT",
        b"Tue, 15 Nov 1994 08-12-31 GMT",
        b"Tue, 15 Nov 1994 08:12:31 GMT,Tue, 15 Nov 1994 08:12:31 GMT",
    ],
)
def test_other_forms_of_date_are_refused(value):
    assert parse_http_date(value) is None


def test_a_right_clock_is_left_alone():
    clock = SkewClock()
    assert clock.measured is None
    feed(clock, 0, 10)
    assert clock.skew == 0.0
    assert clock.measured == pytest.approx(0, abs=1.1)


@pytest.mark.parametrize("skew", [-86_000, -360, -241.5, 241.5, 360, 86_000])
def test_a_clock_wrong_by_four_minutes_is_corrected_by_good_answers_alone(skew):
    clock = SkewClock()
    feed(clock, skew, 5)
    assert clock.skew == pytest.approx(skew, abs=1.1)


@pytest.mark.parametrize("skew", [-230, -61, 61, 230])
def test_a_clock_wrong_by_less_than_four_minutes_is_not_corrected(skew):
    clock = SkewClock()
    feed(clock, skew, 10)
    assert clock.skew == 0.0
    assert clock.measured == pytest.approx(skew, abs=1.1)


def test_one_or_two_odd_dates_change_nothing():
    clock = SkewClock()
    feed(clock, 5_000, 2)
    assert clock.skew == 0.0
    clock = SkewClock()
    feed(clock, 0, 5)
    feed(clock, 5_000, 2, start=START + 5)
    assert clock.skew == 0.0


def test_the_correction_ends_when_the_clock_is_put_right():
    clock = SkewClock()
    feed(clock, 400, 5)
    assert clock.skew
    feed(clock, 0, 5, start=START + 500)
    assert clock.skew == 0.0


def test_a_started_correction_follows_below_four_minutes():
    clock = SkewClock()
    assert clock.correct(http_date(START + 100), START)
    feed(clock, 100, 6)
    assert clock.skew == pytest.approx(100, abs=1.1)


def test_a_step_of_the_wall_clock_drops_the_older_samples():
    clock = SkewClock()
    feed(clock, 0, 5, mono=50.0)
    # Our clock jumps ten minutes back between two answers; the server is now 600 s ahead of it.
    feed(clock, 600, 3, start=START + 5 - 600, mono=55.0)
    assert clock.skew == pytest.approx(600, abs=1.1)


def test_without_a_step_the_older_samples_still_count():
    clock = SkewClock()
    feed(clock, 0, 5, mono=50.0)
    feed(clock, 600, 2, start=START + 5, mono=55.0)
    assert clock.skew == 0.0


@pytest.mark.parametrize("round_trip", [-5.0, 31.0])
def test_an_answer_that_took_too_long_or_less_than_no_time_teaches_nothing(round_trip):
    clock = SkewClock()
    for n in range(5):
        clock.observe(http_date(START + n + 600), START + n - round_trip, START + n)
    assert clock.measured is None


def test_missing_and_unreadable_dates_teach_nothing():
    clock = SkewClock()
    for header in (None, b"", b"x", b"Tue, 99 Nov 1994 08:12:31 GMT"):
        clock.observe(header, START, START)
    assert clock.measured is None
    assert not clock.correct(None, START)
    assert not clock.correct(b"x", START)


def test_the_same_date_counts_once():
    clock = SkewClock()
    for _ in range(50):
        clock.observe(http_date(START + 600), START, START)
    assert clock.skew == 0.0


@pytest.mark.parametrize("wrong", [-86_400, -360, -61, 61, 360, 86_400])
def test_a_refused_signature_corrects_the_clock_at_once(wrong):
    clock = SkewClock()
    assert clock.correct(http_date(START + wrong), START)
    assert clock.skew == wrong


@pytest.mark.parametrize("wrong", [-59, 0, 59])
def test_a_refused_signature_at_the_right_time_is_not_the_clocks_fault(wrong):
    clock = SkewClock()
    assert not clock.correct(http_date(START + wrong), START)
    assert clock.skew == 0.0


def test_a_second_refusal_after_the_correction_is_not_the_clocks_fault():
    clock = SkewClock()
    assert clock.correct(http_date(START + 360), START)
    assert not clock.correct(http_date(START + 361), START + 1)


def test_a_thread_whose_request_was_signed_before_another_corrected_the_clock_may_try_again():
    clock = SkewClock()
    used = clock.skew
    assert clock.correct(http_date(START + 360), START, used)
    assert clock.correct(http_date(START + 360), START, used)
    assert clock.skew == 360


@given(st.integers(0, 253_402_300_799), st.floats(0, 4e9))
def test_no_date_moves_the_clock_by_more_than_a_day(date, now):
    clock = SkewClock()
    clock.correct(http_date(date), now)
    assert abs(clock.skew) <= LIMIT
    for n in range(4):
        clock.observe(http_date(date - n if date > 5 else date + n), now, now)
    assert abs(clock.skew) <= LIMIT


def test_the_skew_codes_are_those_a_wrong_clock_causes():
    assert "InvalidSignatureException" in SKEW_CODES
    assert "ExpiredTokenException" not in SKEW_CODES
    assert len(SKEW_CODES) == 5


def test_all_who_wait_for_late_copies_wait_for_as_long():
    """Five minutes of a signature, and the four that our clock may be away."""
    from dynamorm.faces.batch_items import BatchItems
    from dynamorm.ops.writes.write import LATEST
    from dynamorm.plugin import LATEST_COPY
    from dynamorm.plugins.cache.doubt import LATE

    assert LATEST.total_seconds() == BatchItems.latest == LATE == LATEST_COPY == 540.0
