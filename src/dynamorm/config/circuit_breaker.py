"""The settings of the circuit breaker. It must not know `Config`; import the name from `dynamorm.config.settings`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dynamorm.arguments import Settings, check_count, check_seconds, check_takes
from dynamorm.errors import ConfigError

from .parts import MAX_SECONDS, force_set

MOST: Final = 1_000_000
"""The most failures, requests and successes that may be asked for: more is a slip of the finger."""

CLOSING: Final = 5
"""The successes in a row that close the circuit, where nothing else is said: as many as the failures that open it."""


class CircuitBreakerConfig(msgspec.Struct, frozen=True, kw_only=True, metaclass=Settings):
    """When requests are refused at once, because DynamoDB does not answer. Times are float seconds or a timedelta.

    * ``threshold`` (5): so many failures in a row open the circuit: the fifth, not the one behind it. Failures are requests
      without an answer in ``request_timeout``, without a connection, with an answer that cannot be believed, and 5xx.
    * ``timeout`` (10.0): the seconds for which requests are refused then, give or take a tenth, so that many processes
      do not come back at once. It doubles each time the first requests fail again, up to 60 s.
    * ``max_requests`` (100): at most so many requests are under way while the circuit is half open: 1 at first, twice as
      many after each success.
    * ``success_threshold`` (None): so many successes close it again; None: 5, or ``max_requests`` where that is less.
    * ``gobreaker_compat`` (False): the number of successes that close it is ``max_requests``, as in Go's gobreaker.
    * ``failure_ratio`` (None): in the place of ``threshold``, open when this share of at least ``minimum_requests`` (20)
      has failed within ``window`` (10.0) seconds: 0.5 for a half.
    * ``on_state_change`` (None): is called with a `dynamorm.plugins.breaker.StateChange`. It must not block.

    Raises `ConfigError`. Example: ``Config(circuit_breaker=CircuitBreakerConfig(threshold=5, timeout=10))``
    """

    if TYPE_CHECKING:  # attributes are float seconds; arguments may be a timedelta as well

        def __init__(
            self,
            *,
            threshold: int = 5,
            timeout: float | timedelta = 10.0,
            max_requests: int = 100,
            success_threshold: int | None = None,
            gobreaker_compat: bool = False,
            failure_ratio: float | None = None,
            minimum_requests: int = 20,
            window: float | timedelta = 10.0,
            on_state_change: Callable[[Any], object] | None = None,
        ) -> None: ...

    threshold: int = 5
    timeout: float = 10.0
    max_requests: int = 100
    success_threshold: int | None = None
    gobreaker_compat: bool = False
    failure_ratio: float | None = None
    minimum_requests: int = 20
    window: float = 10.0
    on_state_change: Callable[[Any], object] | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "max_requests", "minimum_requests"):
            _count(name, getattr(self, name))
        if self.success_threshold is not None:
            _count("success_threshold", self.success_threshold)
        for name, low in (("timeout", 0.001), ("window", 1.0)):
            subject = f"circuit_breaker: {name}"
            seconds = check_seconds(name, getattr(self, name), low, MAX_SECONDS, subject=subject, error=ConfigError)
            force_set(self, name, seconds)
        compatible: Any = self.gobreaker_compat
        if not isinstance(compatible, bool):
            raise ConfigError("circuit_breaker: gobreaker_compat is True or False")
        ratio: Any = self.failure_ratio
        if ratio is not None and (isinstance(ratio, bool) or not isinstance(ratio, (int, float)) or not 0 < ratio <= 1):
            raise ConfigError("circuit_breaker: failure_ratio is a share above 0 and up to 1, such as 0.5, or None")
        if self.on_state_change is not None:
            _check_hook(self.on_state_change)

    @property
    def successes(self) -> int:
        """How many successes in a row close the circuit."""
        if self.gobreaker_compat:
            return self.max_requests
        return self.success_threshold or min(CLOSING, self.max_requests)


def _count(name: str, value: Any) -> None:
    check_count(name, value, 1, MOST, subject=f"circuit_breaker: {name}", error=ConfigError)


def _check_hook(hook: Any) -> None:
    from inspect import iscoroutinefunction  # only where there is one

    if not callable(hook) or iscoroutinefunction(hook):
        raise ConfigError("circuit_breaker: on_state_change is a plain function, which nothing waits for, or None")
    check_takes(hook, ("change",), "circuit_breaker: on_state_change", error=ConfigError)
