"""How long one request of a batch is repeated, and how fast: its time, the endpoint's retry budget, full jitter.

DynamoDB answers a batch that is too much for the table with success and a list of what it did not do. It must not know
what is read or written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.arguments import check_count
from dynamorm.wire.reply import Kind

from .attempts import RETRY_MARGIN

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


class Pace:
    """The requests of one chunk. ``requests`` were sent so far; ``why`` says what ended them.

    As long as each request does some of the work, the next one follows soon and costs nothing from the retry budget.
    Without any progress the delays double from ``retry_base`` and each is paid for.
    """

    __slots__ = ("_channel", "_end", "_heard", "_idle", "_lost", "requests", "why")

    def __init__(self, context: Context) -> None:
        self._channel = channel = context.channel
        self._end = context.end()
        self._heard = channel.bucket.answers
        self._idle = self._lost = 0
        self.requests: int = 0
        self.why: str = ""

    def left(self) -> float:
        """Seconds that are left for the next request."""
        self.requests += 1
        return max(self._end - self._channel.clock.monotonic(), 0.001)

    def unprocessed(self, *, progress: bool) -> float | None:
        """The delay before what was left undone is sent again, or None when that is over."""
        if progress:
            self._idle = 0
            return self._within(self._delay(0))
        delay = self._within(self._delay(self._idle))
        self._idle += 1
        return delay if delay is None else self._paid(Kind.THROTTLE, delay)

    def lost(self) -> float | None:
        """The delay before a request is repeated whose answer was lost, or None when that is over."""
        self._lost += 1
        if self._lost >= self._channel.retry.tries(Kind.TRANSIENT):
            self.why = f"{self.requests} requests were sent"
            return None
        delay = self._within(self._delay(self._lost - 1))
        return delay if delay is None else self._paid(Kind.TRANSIENT, delay)

    def _delay(self, step: int) -> float:
        return self._channel.retry.delay(Kind.TRANSIENT, step, self._channel.random())

    def _within(self, delay: float) -> float | None:
        if self._end - self._channel.clock.monotonic() < delay + RETRY_MARGIN:
            self.why = "the operation's time ran out"
            return None
        return delay

    def _paid(self, kind: Kind, delay: float) -> float | None:
        bucket = self._channel.bucket
        # While the endpoint answers other calls a repetition is free, as for single writes.
        if kind is Kind.TRANSIENT and bucket.answers != self._heard:
            self._heard = bucket.answers
            return delay
        if not bucket.take(kind):
            self.why = "the retry budget of this endpoint is used up"
            return None
        return delay


def workers(context: Context, concurrency: Any) -> int:
    """How many requests may be under way at once: as asked, but no more than there are connections.

    Raises: ValidationError.
    """
    wanted: int = concurrency
    if concurrency.__class__ is not int or concurrency < 1:  # most often it is what it should be
        wanted = check_count("concurrency", concurrency)
    return min(wanted, context.config.performance.max_connections)
