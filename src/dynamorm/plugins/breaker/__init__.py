"""The circuit breaker: while DynamoDB does not answer, requests are refused at once, and a few try whether it does again.

`CircuitBreaker` looks at each attempt and keeps a `Circuit` for reads, for writes, and for the endpoint of streams. What
counts is what an attempt tells of the service: its refusals, our own congestion and our own haste tell nothing.

A database with ``Config(circuit_breaker=...)`` has one as ``db.breaker``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from dynamorm import CircuitBreakerConfig
from dynamorm.arguments import check_choice, check_seconds
from dynamorm.errors import CircuitOpen, ConfigError, UnknownSetting
from dynamorm.errors.log import close_coroutine, interrupts, logger
from dynamorm.plugin import Greatest, OfOneProcess, attempt_class, remaining

from .circuit import BreakerState, Circuit, Phase, StateChange, Verdict

if TYPE_CHECKING:
    from dynamorm.config.settings import Config
    from dynamorm.effects import Reply
    from dynamorm.plugin import Call

__all__ = ["BreakerState", "CircuitBreaker", "StateChange"]

FAILED: Final = frozenset(
    {"dns", "connect", "tls", "send", "receive", "timeout", "checksum", "malformed", "server_error"}
)
"""What an attempt comes to when the service, or the way to it, is to blame: words of `dynamorm.plugin.attempt_class`."""

_NOTHING: Final = frozenset({"pool", "certificate", "forbidden", "abandoned"})
"""The words for our own congestion, our own settings, and what was given up. All others are refusals: it is there."""

_STREAMS: Final = frozenset({"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"})
_SCOPES: Final = ("read", "write", "streams")

_OVER: Final = 0.01
"""Seconds before its end at which a deadline counts as over: the attempt that it cut short has ended a moment earlier."""

_LOST: Final = 1_000
"""Seconds after which the note of an attempt is thrown away: none takes so long, so its end was never told."""

Scope = Literal["read", "write", "streams"]
"""What has a circuit of its own."""

Ticket = tuple[Circuit, Phase, int | None, float]


class CircuitBreaker(OfOneProcess):
    """Refuses requests with `CircuitOpen` while DynamoDB does not answer: see `CircuitBreakerConfig` for when.

    Reads and writes have a circuit each, and so has the endpoint of streams. ``request_timeout`` is that of the database:
    an attempt that is ended earlier by its own deadline tells nothing. ``clock`` gives monotonic seconds, ``random``
    numbers from 0 to 1.

    Safe to use from threads; a child process starts with closed circuits. Views share the breaker of their database.

    Example::

        db.use(CircuitBreaker(CircuitBreakerConfig(threshold=5)))  # or Config(circuit_breaker=...)
        ...
        if db.breaker.state is BreakerState.OPEN:
            serve_from_the_copy()
    """

    name = "circuit breaker"

    if not TYPE_CHECKING:

        def __new__(cls, *_: object, **given: object) -> Self:
            """Answers settings that belong to `CircuitBreakerConfig`."""
            settings = CircuitBreakerConfig.__struct_fields__
            for name in given.keys() - {"config", "request_timeout", "clock", "random"}:
                if name in settings:
                    raise UnknownSetting(
                        f"{name} is a setting of the config: CircuitBreaker(CircuitBreakerConfig({name}=...))"
                    )
                near = get_close_matches(name, settings, n=1)
                hint = (
                    f"did you mean CircuitBreakerConfig({near[0]}=...)?" if near else "it takes a CircuitBreakerConfig"
                )
                raise UnknownSetting(f"{name} is not an argument of CircuitBreaker: {hint}")
            return object.__new__(cls)

    def __init__(
        self,
        config: CircuitBreakerConfig | None = None,
        *,
        request_timeout: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] | None = None,
    ) -> None:
        config = CircuitBreakerConfig() if config is None else config
        if not isinstance(config, CircuitBreakerConfig):
            raise ConfigError(f"a CircuitBreaker takes CircuitBreakerConfig(...), not {type(config).__name__}")
        self.config: CircuitBreakerConfig = config
        self._full = check_seconds("request_timeout", request_timeout, positive=True, error=ConfigError)
        self._clock = clock
        self._random = _dice if random is None else random
        self._hooks: tuple[Callable[[StateChange], object], ...] = ()
        if config.on_state_change is not None:
            self._hooks = (config.on_state_change,)
        self.forked()

    @classmethod
    def of(cls, config: Config) -> CircuitBreaker:
        """The breaker that the settings of a database ask for."""
        full = min(config.performance.request_timeout, config.operation_timeout)
        return cls(config.circuit_breaker, request_timeout=full)

    # For programs

    @property
    def state(self) -> BreakerState:
        """The state of reads or of writes, whichever is worse: open, half-open or closed.

        Example: ``db.breaker.state == "open"``
        """
        states = self.states
        both = {states["read"], states["write"]}
        return next(
            state for state in (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED) if state in both
        )

    @property
    def states(self) -> dict[str, BreakerState]:
        """The states of ``"read"``, ``"write"`` and ``"streams"``.

        Example: ``db.breaker.states["write"]``
        """
        return {scope: circuit.state for scope, circuit in self._circuits.items()}

    def isolate(self, scope: Scope | None = None) -> None:
        """Refuse everything, or ``"read"``, ``"write"`` or ``"streams"`` alone, until `reset`.

        Example: ``db.breaker.isolate("write")``
        """
        for circuit in self._chosen(scope):
            circuit.force(BreakerState.OPEN, "isolated by hand")

    def reset(self, scope: Scope | None = None) -> None:
        """Close the circuits, or that of ``"read"``, ``"write"`` or ``"streams"``: what failed before is forgotten.

        Example: ``db.breaker.reset()``
        """
        for circuit in self._chosen(scope):
            circuit.force(BreakerState.CLOSED, "reset by hand")

    def listen(self, hook: Callable[[StateChange], object]) -> None:
        """Have ``hook`` called with each `StateChange` from now on, in whatever thread met it. It must not block.

        Changes are told one after the other, and what it raises is logged. Raises: ConfigError for what cannot be called, or would have to be awaited.

        Example: ``db.breaker.listen(lambda change: gauge.set(change.after))``
        """
        if hook is None:
            raise ConfigError("db.breaker.listen takes a plain function of a StateChange, not None")
        self._hooks = (*self._hooks, CircuitBreakerConfig(on_state_change=hook).on_state_change or hook)

    def _chosen(self, scope: Scope | None) -> list[Circuit]:
        if scope is None:
            return list(self._circuits.values())
        return [self._circuits[check_choice("scope", scope, _SCOPES)]]

    # The moments

    def admit(self, call: Call) -> None:
        """Let an attempt pass, or refuse it. Raises: CircuitOpen."""
        scope = "streams" if call.name in _STREAMS else "write" if call.writes else "read"
        circuit = self._circuits[scope]
        phase, place = circuit.phase, None
        if phase.state is not BreakerState.CLOSED:
            try:
                phase, place = circuit.enter(settles=call.purpose == "settle")
            except CircuitOpen as refusal:
                refusal.operation, refusal.table = call.name, call.table
                raise
            self._forget()
        self._under_way[call] = circuit, phase, place, self._clock()

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Take what became of an attempt."""
        ticket = self._under_way.pop(call, None)
        if ticket is None:
            return
        circuit, phase, place, begun = ticket
        if error is None and reply is not None and reply.status == 200:
            if place is not None or phase.failures or self._counts_all:
                circuit.ended(phase, place, Verdict.SUCCEEDED)
            return
        circuit.ended(phase, place, self._verdict(reply, error, begun))

    def gauges(self) -> dict[str, float]:
        """The worst state of reads and writes: 0 closed, 1 half-open, 2 open."""
        states = BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN
        return {"breaker_state": Greatest(states.index(self.state))}

    def forked(self) -> None:
        """Begin anew: the attempts that are under way are those of the parent."""
        self._under_way: dict[Any, Ticket] = {}
        self._counts_all = self.config.failure_ratio is not None
        self._circuits = {
            scope: Circuit(scope, self.config, self._full, self._clock, self._random, self._tell) for scope in _SCOPES
        }

    def _verdict(self, reply: Reply | None, error: BaseException | None, begun: float) -> Verdict:
        word = attempt_class(reply, error)
        if word in _NOTHING or getattr(error, "misconfigured", False):
            return Verdict.NOTHING
        if word not in FAILED:
            return Verdict.ANSWERED
        if error is not None and self._clock() - begun < self._full * 0.98:
            # It had less time than an attempt has: its caller was in a hurry, and that is no fault of the service.
            left = remaining()
            if word == "timeout" or (left is not None and left < _OVER):
                return Verdict.NOTHING
        return Verdict.FAILED

    def _forget(self) -> None:
        """Throw away the notes of attempts whose end was never told: an exception came between two lines."""
        if len(self._under_way) > _LOST:
            old = self._clock() - _LOST
            for call, ticket in list(self._under_way.items()):
                if ticket[3] < old:
                    self._under_way.pop(call, None)

    def _tell(self, change: StateChange) -> None:
        report = logger.warning if change.after is BreakerState.OPEN else logger.info
        report(
            "the circuit breaker of %s is %s now: %s", self._circuits[change.scope].noun, change.after, change.reason
        )
        interrupt: BaseException | None = None
        for hook in self._hooks:
            try:
                if close_coroutine(hook(change)):
                    logger.error(
                        "a listener of the circuit breaker gave a coroutine, which nobody awaits: give a plain function"
                    )
            except BaseException as error:  # whoever met the change must not fail for it
                if interrupts(error):
                    interrupt = error
                else:
                    logger.exception("a listener of the circuit breaker failed")
        if interrupt is not None:
            raise interrupt

    def __repr__(self) -> str:
        return f"<CircuitBreaker {', '.join(f'{scope} {state}' for scope, state in self.states.items())}>"


def _dice() -> float:
    from random import random  # costs a millisecond at import: only when a circuit opens

    return random()  # noqa: S311 - jitter is no secret
