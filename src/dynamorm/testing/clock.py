"""A clock that moves only when told. It must not know what it is used for."""

from __future__ import annotations


class FakeClock:
    """Stands in for the `time` module where a test must not wait: ``monotonic()``, ``time()`` and ``sleep()``.

    ``now`` is the wall clock's start in seconds since 1970. `advance` moves both clocks; `jump` only the wall clock,
    as an administrator or NTP does.

    Example::

        clock = FakeClock(now=1_700_000_000)
        clock.advance(2.5)
        assert clock.time() == 1_700_000_002.5
    """

    def __init__(self, now: float = 1_700_000_000.0, *, monotonic: float = 1_000.0) -> None:
        self._wall = now
        self._monotonic = monotonic

    def time(self) -> float:
        """The wall clock, in seconds since 1970."""
        return self._wall

    def monotonic(self) -> float:
        """A clock that never jumps, in seconds since an arbitrary moment."""
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        """Advance by ``seconds`` and return at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass on both clocks. Raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError("time does not run backwards: use jump() for the wall clock")
        self._wall += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward (or back, when negative) by ``seconds``; the monotonic one does not notice."""
        self._wall += seconds
