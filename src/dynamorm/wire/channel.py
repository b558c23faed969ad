"""Everything one call needs below the models, gathered once per session. Plain data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from dynamorm.config.settings import Config

    from .clock import SkewClock
    from .credentials import CredentialSource
    from .retry import RetryPolicy, TokenBucket


class Clock(Protocol):
    """Two sources of time: ``monotonic()`` for durations, ``time()`` for signatures and stored timestamps (seconds)."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def time(self) -> float:
        """Unix seconds, as this machine believes them."""
        ...


class Channel:
    """Where calls go, and how: shared by every operation of one `DB` and of the views made from it."""

    __slots__ = (
        "bucket", "clock", "config", "credentials", "is_aws", "is_secure", "observers", "random", "retry", "signer", "skew",
        "watch",
    )  # fmt: skip

    def __init__(
        self,
        *,
        config: Config,
        signer: Any,
        credentials: CredentialSource,
        clock: Clock,
        skew: SkewClock,
        retry: RetryPolicy,
        bucket: TokenBucket,
        is_aws: bool,
        is_secure: bool,
        random: Callable[[], float],
        observers: tuple[Callable[..., None], ...] = (),
    ) -> None:
        self.config: Config = config
        self.signer: Any = signer
        self.credentials: CredentialSource = credentials
        self.clock: Clock = clock
        self.skew: SkewClock = skew
        self.retry: RetryPolicy = retry
        self.bucket: TokenBucket = bucket
        self.is_aws: bool = is_aws
        self.is_secure: bool = is_secure
        self.random: Callable[[], float] = random
        self.observers: tuple[Callable[..., None], ...] = observers
        self.watch: Any = None  # `dynamorm.ops.calls.attempt_hooks.Watch`, where a plugin looks at attempts
