"""How long to wait before trying again, and whether the endpoint can take a retry. Pure policy: it never waits.

Figures are those of AWS's SDKs for DynamoDB unless a reason is given.
Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from __future__ import annotations

import os
import threading

import msgspec

from dynamorm.config.settings import Config
from dynamorm.wire.reply import Kind

RETRY_AFTER_SLACK = 5.0
"""Seconds by which a server may lengthen our own delay, as in AWS's SDKs: a hostile header must not block us."""

IN_PROGRESS_DELAYS = (1.5, 2.0, 3.0)
"""Seconds before the retries of a transaction that DynamoDB is still recovering: attempts at 0, 1.5, 3.5 and 6.5 s.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
(TransactionInProgressException: recovery starts at least five seconds after the first attempt).
"""

CAPACITY = 500
"""Tokens of a full bucket: about 36 failed calls may be retried at once before retries need successes to pay them."""
TRANSIENT_COST = 14
"""Tokens for a retry after a time-out, a broken connection or a 5xx: these can be an outage."""
THROTTLE_COST = 5
"""Tokens for a retry after throttling or a conflict: the service answers, only not yet."""

_GENTLE = frozenset({Kind.THROTTLE, Kind.CONFLICT, Kind.IN_PROGRESS, Kind.RESOURCE_IN_USE})


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the retry rules. Times are seconds; see `Config` for the reasons.

    Example: ``policy.delay(Kind.THROTTLE, 0, random.random(), reply.retry_after)``
    """

    attempts: int = 4
    base: float = 0.025
    throttle_base: float = 1.0
    cap: float = 20.0
    conflict_tries: int = 8
    conflict_base: float = 0.025

    @classmethod
    def from_config(cls, config: Config) -> RetryPolicy:
        """The policy that a `Config` describes."""
        return cls(
            attempts=config.max_attempts,
            base=config.retry_base,
            throttle_base=config.throttle_base,
            cap=config.retry_cap,
            conflict_tries=config.conflict_tries,
        )

    @classmethod
    def payments(cls) -> RetryPolicy:
        """For calls somebody waits for: throttling is met with 0.1 s at first and never more than 1 s."""
        return cls(throttle_base=0.1, cap=1.0)

    def tries(self, kind: Kind) -> int:
        """How many requests one operation may send when it keeps failing in this way, the first included."""
        return self.conflict_tries if kind is Kind.CONFLICT else self.attempts

    def delay(self, kind: Kind, n: int, rand: float, retry_after: bytes | None = None) -> float:
        """Seconds to wait before retry ``n`` (0 for the first): full jitter, ``rand * min(base * 2**n, cap)``.

        ``rand`` is a random number from 0 to 1 and ``retry_after`` the ``x-amz-retry-after`` header as received:
        it can lengthen the delay by at most `RETRY_AFTER_SLACK`. A transaction in progress waits AWS's own times.
        """
        if kind is Kind.IN_PROGRESS:
            # Only a tenth of it is left to chance: recovery takes its time, and coming back at once gains nothing.
            own = IN_PROGRESS_DELAYS[min(n, len(IN_PROGRESS_DELAYS) - 1)] * (0.9 + 0.1 * rand)
        else:
            base = self.base
            if kind is Kind.THROTTLE or kind is Kind.RESOURCE_IN_USE:
                base = self.throttle_base
            elif kind is Kind.CONFLICT:
                base = self.conflict_base
            own = rand * min(base * 2.0 ** min(n, 60), self.cap)
        asked = parse_retry_after(retry_after)
        return own if asked is None else max(own, min(asked, own + RETRY_AFTER_SLACK))


def parse_retry_after(header: bytes | None) -> float | None:
    """Seconds in an ``x-amz-retry-after`` header, which holds whole milliseconds; None for anything else.

    Source: botocore/retries/standard.py, ``_get_retry_after_delay``.
    Example: ``parse_retry_after(b"1500") == 1.5`` and ``parse_retry_after(b"-1") is None``
    """
    if header is None or len(header) > 12 or not header.isdigit():
        return None
    return int(header) / 1000.0


def cost_of(kind: Kind) -> int:
    """What a retry after such a failure takes from the bucket."""
    return THROTTLE_COST if kind in _GENTLE else TRANSIENT_COST


class TokenBucket:
    """What keeps retries from turning an outage into a flood: retries take, successes give back.

    Shared by all threads and both faces. The usual case, a success while it is full, takes no lock. ``answers`` grows
    with every clear answer of the endpoint; whether it has grown is all that may be asked of it.

    Example::

        cost = bucket.take(kind)  # 0: give up, the budget is spent
        ...
        bucket.success(sum_of_costs)  # after a success; without an argument after a first try
    """

    __slots__ = ("_lock", "answers", "capacity", "tokens")

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity: int = capacity
        self.tokens: int = capacity
        self.answers: int = 0
        self._lock = threading.Lock()

    def take(self, kind: Kind) -> int:
        """Pay for one retry. Returns what it cost, or 0 when there is not enough: then do not retry."""
        cost = cost_of(kind)
        with self._lock:
            if self.tokens < cost:
                return 0
            self.tokens -= cost
            return cost

    def success(self, taken: int = 0) -> None:
        """A call got a clear answer: give back what its retries took, or one token when it took none."""
        self.answers += 1
        if self.tokens >= self.capacity:  # also true for a stale read that misses the last take: one token is lost
            return
        with self._lock:
            self.tokens = min(self.capacity, self.tokens + (taken or 1))

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()


_buckets: dict[str, TokenBucket] = {}


def bucket_for(endpoint_key: str) -> TokenBucket:
    """The one bucket of an endpoint in this process, e.g. ``bucket_for("https://dynamodb.eu-west-1.amazonaws.com")``."""
    bucket = _buckets.get(endpoint_key)
    return _buckets.setdefault(endpoint_key, TokenBucket()) if bucket is None else bucket


def _after_fork() -> None:
    """A lock held by another thread at the moment of a fork would stay locked in the child for ever."""
    for bucket in list(_buckets.values()):
        bucket._renew_lock()  # noqa: SLF001  (same module; not for others to call)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
