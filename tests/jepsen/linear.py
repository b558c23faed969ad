"""Is a history of one object linearizable? It does not use the library.

Wing and Gong's question, answered step by step as in Lowe's just-in-time linearization: the ends of operations are gone
through in order of time, and at each end all ways are kept in which what was begun may have taken effect so far. Ways that
lead to the same state are one, and a way that has used up fewer operations of unknown outcome stands for those that have
used up more of them, so that the ways stay few.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, NamedTuple

from tests.jepsen.record import LATE, NOT_APPLIED, REFUSED, UNKNOWN, Op

MOST_WAYS: Final = 400_000
"""So many ways are kept at once; beyond that a history is undecided."""

Step = Callable[[Any, Op], Any]
"""The state after an operation, or `IMPOSSIBLE`."""

IMPOSSIBLE: Final = object()


def register(state: Any, op: Op) -> Any:
    """A value, None at first. ``write`` value; ``cas`` (expected, new); ``delete`` expected; ``read``.

    To delete what is not there succeeds, too.
    """
    if op.kind == "read":
        return state if op.result == state else IMPOSSIBLE
    if op.kind == "write":
        return op.value
    expected, new = (op.value, None) if op.kind == "delete" else op.value
    if op.outcome == REFUSED:
        return state if state != expected else IMPOSSIBLE
    return new if state == expected or (op.kind == "delete" and state is None) else IMPOSSIBLE


def members(state: Any, op: Op) -> Any:
    """A set, empty at first. ``add``, ``remove`` one value; ``contains`` one value; ``read`` all of it, in order."""
    state = state or frozenset()
    if op.kind == "add":
        return state | {op.value}
    if op.kind == "remove":
        return state - {op.value}
    if op.kind == "contains":
        return state if (op.value in state) == op.result else IMPOSSIBLE
    return state if sorted(state) == op.result else IMPOSSIBLE


def counter(state: Any, op: Op) -> Any:
    """A number, 0 at first. ``add`` a number, which may tell the new one; ``read``."""
    state = state or 0
    if op.kind == "read":
        return state if op.result == state else IMPOSSIBLE
    after = state + op.value
    return after if op.result in {None, after} else IMPOSSIBLE


class Failure(NamedTuple):
    """Why a history is refused, or that it is undecided."""

    key: str
    undecided: bool
    text: str

    def __str__(self) -> str:
        return self.text


_Way = tuple[
    int, Hashable
]  # which of the operations that are open have taken effect, as bits of their places; the state


def check(ops: Iterable[Op], step: Step, most: int = MOST_WAYS) -> Failure | None:
    """None where the operations on one object are linearizable, else the first end that nothing explains."""
    history = [op for op in ops if op.outcome != NOT_APPLIED and (op.outcome != UNKNOWN or _writes(op))]
    return _Search(history, step, most).run()


def check_all(ops: Iterable[Op], step: Step, most: int = MOST_WAYS) -> list[Failure]:
    """Check each key by itself."""
    by_key: dict[str, list[Op]] = defaultdict(list)
    for op in ops:
        by_key[op.key].append(op)
    found = (check(some, step, most) for some in by_key.values())
    return [failure for failure in found if failure is not None]


def _writes(op: Op) -> bool:
    return op.kind in {"write", "cas", "delete", "add", "remove"}


class _Search:
    def __init__(self, history: Sequence[Op], step: Step, most: int) -> None:
        self._history = history
        self._step = step
        self._most = most
        self._ways: set[_Way] = {(0, None)}
        self._open: dict[int, Op] = {}  # by place
        self._unknown = 0  # the places of those that may stay open for ever

    def run(self) -> Failure | None:
        """Go through all begins and ends in order of time."""
        for _, ends, op in self._events():
            if not ends:
                place = next(place for place in range(len(self._open) + 1) if place not in self._open)
                self._open[place] = op
                if op.outcome in {UNKNOWN, LATE}:
                    self._unknown |= 1 << place
                continue
            failure = self._ended(op)
            if failure is not None:
                return failure
        return None

    def _events(self) -> list[tuple[float, bool, Op]]:
        begins = [(op.begin, False, op) for op in self._history]
        ends = [(op.end, True, op) for op in self._history if not math.isinf(op.end)]
        return sorted(begins + ends, key=lambda event: event[:2])  # what begins at the very end of another overlaps it

    def _ended(self, op: Op) -> Failure | None:
        place = next(place for place, one in self._open.items() if one is op)
        bit = 1 << place
        kept = self._until(bit)
        if kept is None:
            return Failure(op.key, True, f"{op.key}: undecided after {self._most} ways, at {op}")
        if op.outcome == LATE:
            kept |= self._ways  # it has taken effect, or never will
        if not kept:
            return Failure(op.key, False, self._explained(op))
        del self._open[place]
        self._unknown &= ~bit
        fewest = _Fewest(self._unknown)
        for done, state in sorted(kept, key=lambda way: way[0].bit_count()):
            fewest.take(done & ~bit, state)
        self._ways = fewest.ways()
        return None

    def _until(self, bit: int) -> set[_Way] | None:
        """The ways on which the operation of this place has taken effect; None when there are too many.

        Those that have used up little are followed first, and one that has used up more for the same state is left out.
        """
        kept: set[_Way] = set()
        fewest = _Fewest(self._unknown)
        left: dict[int, list[_Way]] = defaultdict(list)  # by how many operations have taken effect
        for way in self._ways:
            left[way[0].bit_count()].append(way)
        for count in range(len(self._open) + 1):
            for done, state in left.pop(count, ()):
                if not fewest.take(done, state):
                    continue
                if done & bit:
                    kept.add((done, state))
                    continue
                if len(fewest) > self._most:
                    return None
                for place, op in self._open.items():
                    if not done >> place & 1:
                        after = self._step(state, op)
                        if after is not IMPOSSIBLE:
                            left[count + 1].append((done | 1 << place, after))
        return kept

    def _explained(self, op: Op) -> str:
        states = sorted({repr(state) for _, state in self._ways})[:4]
        around = sorted((one for one in self._open.values() if one is not op), key=lambda one: one.begin)
        before = sorted((one for one in self._history if one.end < op.end), key=lambda one: one.end)[-12:]
        lines = [f"{op.key} is not linearizable: nothing explains {op}", f"  it may be {', '.join(states)}"]
        lines += [f"  open:   {one}" for one in around]
        lines += [f"  before: {one}" for one in before]
        return "\n".join(lines)


class _Fewest:
    """Ways without those of which another one can do all that they can: the same state, and less used up that is unknown."""

    def __init__(self, unknown: int) -> None:
        self._unknown = unknown
        self._used: dict[tuple[int, Hashable], list[int]] = defaultdict(list)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def take(self, done: int, state: Hashable) -> bool:
        """Keep this way, unless it is no better than one that is kept. Those with less used up must come first."""
        used = done & self._unknown
        kept = self._used[done & ~self._unknown, state]
        if any(one & used == one for one in kept):
            return False
        kept.append(used)
        self._count += 1
        return True

    def ways(self) -> set[_Way]:
        return {(known | one, state) for (known, state), used in self._used.items() for one in used}
