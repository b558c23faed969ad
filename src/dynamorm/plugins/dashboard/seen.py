"""`Seen`: the last verbs of a database and its slowest lately, in fixed space. Nothing of keys or values is kept."""

from __future__ import annotations

import time
from collections import deque
from heapq import heapify, heappush, heapreplace, nlargest
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dynamorm.errors.outcomes import outcome_of

if TYPE_CHECKING:
    from dynamorm.plugin import Call, Operation

LAST: Final = 20
"""Verbs that are kept because they were the last ones."""
SLOWEST: Final = 20
"""Verbs that are kept because they were the slowest."""
LATELY: Final = 600.0
"""Seconds after which a slow verb is forgotten."""

_Entry: TypeAlias = "tuple[float, str, Any, str | None, str | None, float, str, str | None, int]"
_NAMES: Final[tuple[str, ...]] = ("at", "verb", "model", "table", "index", "seconds", "outcome", "error", "attempts")


class Seen:
    """What was seen of the verbs of one database. Safe to use from threads."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin with nothing: also in a child process."""
        self._lock = RLock()  # reentrant: the handler of a signal may use the database
        self._last: deque[_Entry] = deque(maxlen=LAST)
        self._slowest: list[tuple[float, int, _Entry]] = []  # a heap
        self._bar = -1.0  # what a verb must take to be among them
        self._numbers = count()

    def attempted(self, call: Call) -> None:
        """Count an attempt of a verb."""
        operation = call.operation
        if operation is not None:
            notes = operation.notes
            notes[self] = notes.get(self, 0) + 1

    def ended(self, operation: Operation, error: BaseException | None) -> None:
        """Take in a verb. The error is not kept: it may hold an item, and all that its caller was doing."""
        took: float = operation.took  # type: ignore[assignment] # it has ended
        entry = (
            time.monotonic(),
            operation.verb,
            operation.model,
            operation.table,
            operation.index,
            took,
            "ok" if error is None else outcome_of(error),
            None if error is None else type(error).__name__,
            operation.notes.get(self, 0),
        )
        self._last.append(entry)
        if took > self._bar:
            self._keep(took, entry)

    def _keep(self, took: float, entry: _Entry) -> None:
        with self._lock:
            item = (took, next(self._numbers), entry)
            if len(self._slowest) < SLOWEST:
                heappush(self._slowest, item)
            elif took > self._slowest[0][0]:
                heapreplace(self._slowest, item)
            if len(self._slowest) == SLOWEST:
                self._bar = self._slowest[0][0]

    def forget(self) -> None:
        """Let go of slow verbs that are long ago, so that slower ones of now are kept."""
        since = time.monotonic() - LATELY
        with self._lock:
            self._slowest = [item for item in self._slowest if item[2][0] >= since]
            heapify(self._slowest)
            self._bar = self._slowest[0][0] if len(self._slowest) == SLOWEST else -1.0

    def last(self) -> list[dict[str, Any]]:
        """The last verbs as plain data, the newest first."""
        ahead = _ahead()
        return [_plain(entry, ahead) for entry in reversed(_copied(self._last))]

    def slowest(self) -> list[dict[str, Any]]:
        """The slowest verbs lately as plain data, the slowest first."""
        self.forget()
        ahead = _ahead()
        with self._lock:
            return [_plain(entry, ahead) for _, _, entry in nlargest(SLOWEST, self._slowest)]


def _copied(entries: deque[_Entry]) -> list[_Entry]:
    """All entries, while others append."""
    while True:
        try:
            return list(entries)
        except RuntimeError:  # another thread has appended meanwhile
            continue


def _ahead() -> float:
    """What to add to a moment for its time of day, by the clock as it is set now: it may be set at any time."""
    return time.time() - time.monotonic()


def _plain(entry: _Entry, ahead: float) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(_NAMES, entry, strict=True))
    found["at"] = entry[0] + ahead
    found["model"] = "" if entry[2] is None else entry[2].__name__
    return found
