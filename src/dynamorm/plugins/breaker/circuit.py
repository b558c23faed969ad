"""One circuit: the states of one endpoint and direction. It must not know requests, replies or plugins.

All that belongs to one stay in a state is a `Phase`. Whoever is let in is given the phase of that moment, and what he
reports later counts only while it is still the present one: a late result of an earlier phase counts neither way.

While it is closed nobody takes a lock but for a failure, and for the first success behind one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, StrEnum
from itertools import count
from math import inf
from threading import Lock, RLock
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dynamorm.errors import CircuitOpen

if TYPE_CHECKING:
    from dynamorm import CircuitBreakerConfig

LONGEST: Final = 60.0
"""Seconds at most for which an open circuit refuses, however often its first requests failed; unless ``timeout`` is longer."""

JITTER: Final = 0.1
"""The share by which the time of an open circuit is shortened or lengthened."""

_UNTOLD: Final = 1_000
"""Changes that wait at most to be told, where a listener does not come back: the oldest are forgotten."""

_BUCKETS: Final = 10
"""The parts of a window of which the oldest is forgotten as a whole."""


class BreakerState(StrEnum):
    """What a circuit does with requests: lets them pass, refuses them, or lets some try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Verdict(Enum):
    """What the end of a request tells of the service."""

    FAILED = "failed"
    SUCCEEDED = "succeeded"
    ANSWERED = "answered"
    """It refused: nobody can say that it is well, but it is there."""
    NOTHING = "nothing"
    """The request was given up by ourselves."""


class StateChange(Struct, frozen=True):
    """A circuit has changed its state. ``scope`` is ``"read"``, ``"write"`` or ``"streams"``; ``reason`` is for people."""

    scope: str
    before: BreakerState
    after: BreakerState
    reason: str


class Phase:
    """One stay in a state. ``until`` is when an open circuit lets the first request try; ``leases`` are the ends of places."""

    __slots__ = (
        "answers",
        "began",
        "failures",
        "heard",
        "hung",
        "isolated",
        "leases",
        "reason",
        "state",
        "successes",
        "text",
        "until",
        "window",
    )

    def __init__(self, state: BreakerState, began: float, *, until: float = 0.0, reason: str = "") -> None:
        self.state: BreakerState = state
        self.began: float = began
        self.heard: float = began  # the last success
        self.until: float = until
        self.reason: str = reason
        self.text: str = ""  # of the refusals
        self.isolated: bool = False
        self.failures: int = 0
        self.successes: int = 0
        self.answers: int = 0
        self.leases: dict[int, float] = {}
        self.hung: bool = False  # a place was not given back in time
        self.window: dict[int, list[int]] = {}  # by bucket: how many ended, how many of them failed


class Circuit:
    """The state of one endpoint and direction. Safe to use from threads, and from signals' handlers."""

    def __init__(
        self,
        scope: str,
        config: CircuitBreakerConfig,
        lease: float,
        clock: Callable[[], float],
        random: Callable[[], float],
        tell: Callable[[StateChange], None],
    ) -> None:
        self.scope: str = scope
        self.noun: str = "the endpoint of streams" if scope == "streams" else f"{scope}s"
        self._config = config
        self._lease = min(lease, config.timeout)
        self._clock = clock
        self._random = random
        self._tell = tell
        self._lock = RLock()  # one thread may enter again: from a signal's handler
        self._places = count()
        self._timeout = config.timeout
        self._changes: deque[StateChange] = deque(maxlen=_UNTOLD)
        self._telling = Lock()
        self.phase: Phase = Phase(BreakerState.CLOSED, clock())

    @property
    def state(self) -> BreakerState:
        """The state at this moment."""
        with self._lock:
            state = self._at(self._clock()).state
        self._tell_changes()
        return state

    def enter(self, *, settles: bool) -> tuple[Phase, int | None]:
        """Let a request in that is not simply let in because the circuit is closed: the phase, and its place.

        One that ``settles`` what became of a write takes a place before others do. Raises: CircuitOpen.
        """
        phase, now = self.phase, self._clock()
        if phase.state is BreakerState.OPEN and now < phase.until:  # without a lock: this may be a million a second
            raise self._refusal(phase, now)
        with self._lock:
            phase = self._at(now)
            place = self._place(phase, now, settles=settles) if phase.state is BreakerState.HALF_OPEN else None
        try:
            self._tell_changes()
        except BaseException:  # interrupted: nobody will give the place back
            if place is not None:
                phase.leases.pop(place, None)
            raise
        if place is None and phase.state is not BreakerState.CLOSED:
            raise self._refusal(phase, now)
        return phase, place

    def ended(self, phase: Phase, place: int | None, verdict: Verdict) -> None:
        """Take what became of a request that was let in, and its place."""
        with self._lock:
            if place is not None:
                phase.leases.pop(place, None)
            if phase is self.phase and verdict is not Verdict.NOTHING:
                self._count(phase, self._clock(), verdict)
        self._tell_changes()

    def force(self, state: BreakerState, reason: str) -> None:
        """Close it, or open it until it is closed by hand."""
        with self._lock:
            now = self._clock()
            self._timeout = self._config.timeout
            self._change(Phase(state, now, until=inf, reason=reason))
            self.phase.isolated = state is BreakerState.OPEN
        self._tell_changes()

    # Behind the lock

    def _at(self, now: float) -> Phase:
        """The phase at this moment: what time alone changes is changed when somebody looks."""
        phase = self.phase
        if phase.state is BreakerState.OPEN and now >= phase.until:
            return self._change(Phase(BreakerState.HALF_OPEN, now, reason="its time is over"))
        if phase.state is BreakerState.HALF_OPEN:
            for place in [place for place, end in phase.leases.items() if end <= now]:
                phase.leases.pop(place, None)
                phase.hung = True
            if phase.hung and now - phase.heard >= self._config.timeout:
                return self._open(now, "the requests that were to try it did not end")
        return phase

    def _place(self, phase: Phase, now: float, *, settles: bool) -> int | None:
        most = self._config.max_requests
        allowed = most if settles or phase.successes >= most.bit_length() else min(most, 1 << phase.successes)
        if len(phase.leases) >= allowed:
            return None
        place = next(self._places)
        phase.leases[place] = now + self._lease
        return place

    def _count(self, phase: Phase, now: float, verdict: Verdict) -> None:
        if phase.state is BreakerState.CLOSED:
            if verdict is not Verdict.ANSWERED and (reason := self._tripped(phase, now, verdict)):
                self._open(now, reason)
        elif phase.state is BreakerState.HALF_OPEN and verdict is Verdict.FAILED:
            self._timeout = min(self._timeout * 2, max(LONGEST, self._config.timeout))
            self._open(now, "a request that was to try it failed")
        elif phase.state is BreakerState.HALF_OPEN:
            self._recover(phase, now, verdict)

    def _recover(self, phase: Phase, now: float, verdict: Verdict) -> None:
        """Close a half-open circuit after enough successes; or after enough refusals, in as long as it may take to tell."""
        if verdict is Verdict.ANSWERED:
            phase.answers += 1
            is_well = phase.answers >= self._config.successes and now - phase.began >= self._config.timeout
        else:
            phase.successes += 1
            is_well = phase.successes >= self._config.successes
            phase.heard, phase.hung = now, False  # what has answered does not hang
        if is_well:
            self._timeout = self._config.timeout
            self._change(Phase(BreakerState.CLOSED, now, reason="requests that were to try it were answered"))

    def _tripped(self, phase: Phase, now: float, verdict: Verdict) -> str:
        """Why a closed circuit opens now; empty when it does not."""
        config, failed = self._config, verdict is Verdict.FAILED
        if config.failure_ratio is None:
            phase.failures = phase.failures + 1 if failed else 0
            return f"{phase.failures} requests in a row failed" if phase.failures >= config.threshold else ""
        number = int(now / (config.window / _BUCKETS))
        bucket = phase.window.get(number)
        if bucket is None:
            for old in [old for old in phase.window if old <= number - _BUCKETS]:
                del phase.window[old]
            bucket = phase.window[number] = [0, 0]
        bucket[0] += 1
        if not failed:
            return ""
        bucket[1] += 1
        lately = [bucket for at, bucket in phase.window.items() if at > number - _BUCKETS]
        ended, wrong = (sum(bucket[at] for bucket in lately) for at in (0, 1))
        if ended < config.minimum_requests or wrong < config.failure_ratio * ended:
            return ""
        return f"{wrong} of {ended} requests in {config.window:.3g} s failed"

    def _open(self, now: float, reason: str) -> Phase:
        seconds = self._timeout * (1 - JITTER + 2 * JITTER * self._random())
        return self._change(Phase(BreakerState.OPEN, now, until=now + seconds, reason=reason))

    def _change(self, phase: Phase) -> Phase:
        before, self.phase = self.phase.state, phase
        if before is not phase.state:
            self._changes.append(StateChange(self.scope, before, phase.state, phase.reason))
        return phase

    # In front of the lock

    def _tell_changes(self) -> None:
        """Tell them one after the other. What changes meanwhile, in a listener or in another thread, is told behind it."""
        while self._changes and self._telling.acquire(blocking=False):
            try:
                while self._changes:
                    self._tell(self._changes.popleft())
            finally:
                self._telling.release()

    def _refusal(self, phase: Phase, now: float) -> CircuitOpen:
        """Made in some two µs, so its text is that of the phase; how long it lasts stands in ``retry_after``."""
        if phase.state is BreakerState.HALF_OPEN:
            after = min(list(phase.leases.values()), default=now) - now
            text = (
                f"the circuit breaker of {self.noun} is half open, and as many requests try it as may: try again soon"
            )
        else:
            after = self._config.timeout if phase.isolated else phase.until - now
            text = phase.text or f"the circuit breaker of {self.noun} is open: {phase.reason}"
            phase.text = text
        return CircuitOpen(text, retry_after=max(after, 0.0))
