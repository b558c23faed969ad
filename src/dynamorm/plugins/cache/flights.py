"""One read for all who ask the same at the same time: the first one reads, the others wait for its answer.

Each flight has one place. Who holds it reads; who is cancelled or fails gives it back, and the next one that waits reads
for the others. Whoever has waited long enough reads for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dynamorm.plugin import Limiter

if TYPE_CHECKING:
    from .memory import Begun, Identity

WAIT: Final = 1.0
"""Seconds that one waits for another's answer, at most: then it reads for itself."""
_ALL: Final = 1_000_000


class Flight:
    """One read under way, and its answer when it is there."""

    __slots__ = ("answer", "begun", "limiter")

    def __init__(self) -> None:
        self.limiter: Limiter = Limiter(1)
        self.answer: bytes | None = None
        self.begun: Begun | None = None

    def land(self, begun: Begun, answer: bytes) -> None:
        """Give the answer to all who wait, at once."""
        self.begun, self.answer = begun, answer
        self.part()

    def part(self) -> None:
        """Let all who wait go on at once."""
        if self.limiter.waiting:
            self.limiter.places = _ALL


class Flights:
    """The reads under way, by what is asked."""

    def __init__(self) -> None:
        self._flights: dict[Identity, Flight] = {}

    def join(self, identity: Identity) -> Flight:
        """The flight that is under way, or a new one."""
        found = self._flights.get(identity)
        return self._flights.setdefault(identity, Flight()) if found is None else found

    def leave(self, identity: Identity, flight: Flight) -> None:
        """End a flight that has landed, or for which nobody waits."""
        if self._flights.get(identity) is flight and (flight.answer is not None or not flight.limiter.waiting):
            self._flights.pop(identity, None)

    def __len__(self) -> int:
        return len(self._flights)

    def clear(self) -> None:
        """Forget all, in a child process."""
        self._flights.clear()
