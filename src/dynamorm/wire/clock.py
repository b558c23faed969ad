"""How wrong this machine's clock is, learned from the Date headers of good answers.

AWS refuses a signature whose time is more than five minutes off. Pure data: callers pass the times in, and sign with
``wall + clock.skew``. Feed it only answers that came whole over verified TLS.

The offset is kept against the wall clock itself, and a step of that clock is seen by comparing it with the monotonic
one: then the older samples no longer mean anything and are dropped. A wall clock frozen at start and advanced by the
monotonic one would instead fall behind whenever the machine sleeps.
"""

from __future__ import annotations

SKEW_CODES = frozenset(
    {
        "InvalidSignatureException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "RequestInTheFuture",
    }
)
"""Error codes that a wrong clock can cause (and a wrong secret as well: the Date header tells which)."""

SAMPLES = 5
"""How many Date headers the median is taken over."""
MIN_SAMPLES = 3
"""How many are needed before they change anything on their own: one odd Date must not move the clock."""
APPLY_AT = 240.0
"""Seconds of skew from which requests are signed with it: AWS tolerates 300, and one minute is kept as a margin.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""
LATEST_COPY = 300.0 + APPLY_AT
"""Seconds after a request was signed from which on no copy of it is accepted any more: AWS takes a signature for 300, and by
as much as above our clock may be away before it is corrected.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""
CORRECT_AT = 60.0
"""Seconds by which Date must differ for a refused signature to be put down to the clock."""
LIMIT = 86_400.0
"""The most seconds any Date header can move the clock: a hostile one must not choose the time freely."""
MAX_ROUND_TRIP = 30.0
"""An answer slower than this many seconds says too little about the time, and a negative one is a clock step."""
STEP = 2.0
"""Seconds by which wall and monotonic clock may drift apart between two answers before it counts as a step."""

_MONTHS = {
    b"Jan": 1, b"Feb": 2, b"Mar": 3, b"Apr": 4, b"May": 5, b"Jun": 6,
    b"Jul": 7, b"Aug": 8, b"Sep": 9, b"Oct": 10, b"Nov": 11, b"Dec": 12,
}  # fmt: skip
_DAYS_IN_MONTH = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse_http_date(value: bytes) -> int | None:
    """Unix seconds of an HTTP date in the form all servers must send, or None when it is anything else.

    Source: RFC 9110 section 5.6.7 (IMF-fixdate). Example: ``parse_http_date(b"Thu, 01 Jan 1970 00:00:10 GMT") == 10``
    """
    if len(value) != 29 or value[3:5] != b", " or value[25:] != b" GMT":
        return None
    if (value[7:8], value[11:12], value[16:17], value[19:20], value[22:23]) != (b" ", b" ", b" ", b":", b":"):
        return None
    digits = value[5:7] + value[12:16] + value[17:19] + value[20:22] + value[23:25]
    month = _MONTHS.get(value[8:11])
    if month is None or not digits.isdigit():
        return None
    day, year = int(digits[:2]), int(digits[2:6])
    hour, minute, second = int(digits[6:8]), int(digits[8:10]), int(digits[10:12])
    if not (year >= 1970 and 1 <= day <= _DAYS_IN_MONTH[month] and hour < 24 and minute < 60 and second <= 60):
        return None
    # Days since the epoch, counting years from March so that the leap day comes last.
    shifted, in_year = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + (in_year * 153 + 2) // 5 + day - 719_469
    return days * 86_400 + hour * 3_600 + minute * 60 + second


class SkewClock:
    """The seconds to add to this machine's clock when signing. One per endpoint; safe to share between threads.

    ``skew`` is 0.0 until the clock is known to be wrong.

    Example::

        clock = SkewClock()
        now = time.time() + clock.skew
        clock.observe(reply.date, sent_at, time.time(), time.monotonic())
    """

    __slots__ = ("_last", "_offset", "_samples", "skew")

    def __init__(self) -> None:
        self.skew: float = 0.0
        self._last: bytes | None = None
        self._offset: float | None = None
        self._samples: tuple[float, ...] = ()

    @property
    def measured(self) -> float | None:
        """The median of the last samples in seconds, applied or not, for metrics. None before the first one."""
        return _median(self._samples) if self._samples else None

    @property
    def samples(self) -> int:
        """Of how many Date headers `measured` is the median: at most 5. One alone may be wrong."""
        return len(self._samples)

    def observe(
        self, date_header: bytes | None, sent_at: float, received_at: float, monotonic: float | None = None
    ) -> None:
        """Learn from a good answer. ``sent_at`` and ``received_at`` are uncorrected Unix seconds.

        ``monotonic`` is the monotonic clock at ``received_at``; without it steps of the wall clock go unnoticed.
        A Date equal to the last one seen (the same second) is left at once.
        """
        if date_header is None or date_header == self._last:
            return
        self._last = date_header
        moment = parse_http_date(date_header)
        if moment is None or not 0 <= received_at - sent_at <= MAX_ROUND_TRIP:
            return
        samples = self._samples
        if monotonic is not None:
            offset, before = received_at - monotonic, self._offset
            self._offset = offset
            if before is not None and abs(offset - before) > STEP:
                samples = ()
        sample = _bounded(moment - (sent_at + received_at) / 2)
        self._samples = samples = (*samples, sample)[-SAMPLES:]
        if len(samples) >= MIN_SAMPLES:
            self._follow(_median(samples))

    def _follow(self, median: float) -> None:
        """Start at four minutes; once started, follow until the clock is right again."""
        if abs(median) >= APPLY_AT or (self.skew and abs(median) > CORRECT_AT):
            self.skew = median
        else:
            self.skew = 0.0

    def correct(self, date_header: bytes | None, now: float, used_skew: float | None = None) -> bool:
        """After an error in `SKEW_CODES`: take over the answer's Date at once. True when signing again can help.

        ``now`` is the uncorrected time of the answer; ``used_skew`` the skew that the refused request was signed
        with, which matters when another thread has corrected the clock meanwhile (default: the present one).
        False means that Date agrees with the time used: the secret is wrong, not the clock. Try again once only.
        """
        moment = None if date_header is None else parse_http_date(date_header)
        if moment is None:
            return False
        skew = _bounded(moment - now)
        used = self.skew if used_skew is None else used_skew
        if abs(skew - used) <= CORRECT_AT:
            return False
        self._samples = (skew,)
        self.skew = skew
        return True


def _bounded(seconds: float) -> float:
    return max(-LIMIT, min(LIMIT, seconds))


def _median(samples: tuple[float, ...]) -> float:
    ordered = sorted(samples)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
