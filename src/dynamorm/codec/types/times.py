"""Times as text that sorts like time, and any RFC 3339 time back. It must not know fields.

Source: https://www.rfc-editor.org/rfc/rfc3339
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Final

from msgspec import to_builtins

from .mismatch import Mismatch
from .numbers import decimal_of, int_of, int_text


@cache
def _rfc3339() -> re.Pattern[str]:
    """Any time of RFC 3339. Compiled with its first use: what this library writes itself is read without it."""
    return re.compile(
        r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:?\d\d)",
        re.ASCII,
    )


def real(cls: Any) -> Any:
    """The class of Python's own that a class of times is, or stands in for.

    Tools that stop the clock put classes of their own into every module, in the place of Python's.
    """
    return next(base for base in cls.__mro__ if base.__module__ == "datetime")


class Real:
    """Python's own classes, where no such tool finds them."""

    datetime: type[datetime] = real(datetime)
    date: type[date] = real(date)


_EPOCH = Real.datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LENGTH_WITH_FRACTION = 27
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_TEN_DAYS = timedelta(days=10)
_ZERO_DAYS = {"0000-12-31": -1, "0001-01-01": 0}
"""The days that the zero time of Go may have in some zone, counted from the first one there is."""
ZERO_TIME: Final = "0001-01-01T00:00:00.000000000Z"
"""The zero time of the Go original, which counts as empty."""

fromisoformat: Final[Callable[[str], datetime]] = Real.datetime.fromisoformat


def instant_text(value: Any, plain: type = Real.datetime) -> str:
    """``2024-01-01T00:00:00.123000000Z``: UTC with nine digits, so that text order is time order.

    Raises: Mismatch for anything but a datetime with a time zone.
    """
    if not isinstance(value, datetime):
        raise Mismatch("datetime", value)
    if value.tzinfo is not UTC or value.__class__ is not plain:
        value = _utc(value)
    text: str = to_builtins(value)  # the fastest way to a datetime's text
    return f"{text[:-1]}000Z" if len(text) == _LENGTH_WITH_FRACTION else f"{text[:-1]}.000000000Z"


def in_utc(value: datetime) -> datetime:
    """The same instant in UTC, as a plain datetime. Raises: Mismatch for one without a zone, and one that UTC has not."""
    return _utc(value)


def _utc(value: datetime) -> datetime:
    """The same instant in UTC, as a plain datetime."""
    if value.utcoffset() is None:
        raise Mismatch("a datetime with a time zone", value, "a naive datetime", "; say datetime.now(UTC)")
    try:
        moved = value.astimezone(UTC)
    except OverflowError:
        raise Mismatch("a datetime between the years 1 and 9999 in UTC", value) from None
    return Real.datetime.combine(moved.date(), moved.time(), UTC)


def instant_of(text: str) -> datetime:
    """Read any RFC 3339 time, as UTC; digits beyond the microsecond are cut off.

    The colon of the offset may be missing, as PynamoDB stores it. The zero time of Go is read as the first instant
    there is also where the clock of a western zone shows the year 0. Raises: Mismatch.
    """
    match = _rfc3339().fullmatch(text)
    if match is None:
        raise Mismatch("an RFC 3339 time with a time zone", text, "other text")
    day, minute, second, fraction, zone = match.groups()
    leap = second == "60"
    micros = f"{fraction or '0':0<6}"[:6]
    try:
        if day in _ZERO_DAYS:
            return _near_zero(f"{minute}{second}.{micros}{zone.upper()}", _ZERO_DAYS[day])
        value = fromisoformat(f"{day}T{minute}{'59' if leap else second}.{micros}{zone.upper()}")
        return (value + timedelta(seconds=1) if leap else value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Mismatch("an RFC 3339 time with a time zone", text, "an impossible time") from None


def _near_zero(clock: str, days: int) -> datetime:
    """An instant of a day around the zero time; one that lies before it is the zero time itself."""
    later = fromisoformat(f"0001-01-{11 + days:02}T{clock}").astimezone(UTC)
    return max(later, _FIRST + _TEN_DAYS) - _TEN_DAYS


def date_text(value: Any) -> str:
    """``2024-01-01``. A datetime is no date here: its time would be lost."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise Mismatch("date", value)
    return date.isoformat(value)


def date_of(text: str) -> date:
    """Read ``2024-01-01``."""
    try:
        return Real.date.fromisoformat(text)
    except ValueError:
        raise Mismatch("a date such as 2024-01-01", text, "other text") from None


def time_text(value: Any) -> str:
    """``12:30:00.000001``, with the offset when there is one."""
    if not isinstance(value, time):
        raise Mismatch("time", value)
    return time.isoformat(value)


def time_of(text: str) -> time:
    """Read ``12:30:00.000001``."""
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise Mismatch("a time such as 12:30:00", text, "other text") from None


def duration_text(value: Any) -> str:
    """The number of seconds, exact to the microsecond."""
    if not isinstance(value, timedelta):
        raise Mismatch("timedelta", value)
    if value.__class__ is not timedelta:  # a subclass may calculate differently
        days, seconds, micros = (
            descriptor.__get__(value) for descriptor in (timedelta.days, timedelta.seconds, timedelta.microseconds)
        )
        value = timedelta(days, seconds, micros)
    whole, micros = divmod(abs(value // _MICROSECOND), 1_000_000)
    sign = "-" if value < timedelta(0) else ""
    return f"{sign}{whole}.{micros:06d}".rstrip("0") if micros else f"{sign}{whole}"


def duration_of(text: str) -> timedelta:
    """Read a number of seconds, exact to the microsecond."""
    # With ints: Decimal would round to the precision that the program has set for itself.
    numerator, denominator = decimal_of(text).as_integer_ratio()
    whole, remainder = divmod(numerator * 1_000_000, denominator)
    if remainder:
        raise Mismatch("seconds exact to the microsecond", text, "a finer fraction")
    try:
        return timedelta(microseconds=whole)
    except OverflowError:
        raise Mismatch("a number of seconds that fits timedelta", text, "a larger one") from None


def epoch_text(value: Any) -> str:
    """Epoch seconds, rounded down: what DynamoDB's TTL reads.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-before-you-start.html
    """
    if isinstance(value, datetime):
        return f"{(_utc(value) - _EPOCH) // timedelta(seconds=1)}"
    if isinstance(value, int):
        return int_text(value)
    raise Mismatch("datetime", value)


def epoch_of(text: str) -> datetime:
    """Read epoch seconds as a time in UTC."""
    try:
        return _EPOCH + timedelta(seconds=int_of(text))
    except OverflowError:
        raise Mismatch("epoch seconds within the years 1 to 9999", text, "others") from None
