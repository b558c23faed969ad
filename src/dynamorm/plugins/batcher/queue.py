"""The queue of a batcher: which items may be sent now, in which order for each key, and what became of all of them.

It has no clock, no lock and no thread: who uses it says what time it is, and lets one in at a time. The writes of a key make
a line, of which one is on its way at a time; the next one follows when it has ended and no copy of it may come late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count, islice
from math import inf
from typing import Any, Final

from dynamorm import BatchFailure, BatchResult
from dynamorm.errors import BatcherClosed, DeadlineExceeded, Outcome, Spooled

from .pending import Item, Part, Pending, may_join

_KEPT: Final = "kept"
_SHARE: Final = 0.5
"""An item with a deadline waits for others at most for this share of the time that is left."""


class Queue:
    """What is added and has not ended. ``latest``: seconds for which a copy of a request may come late.

    ``ending`` is called with each write that ends, before it is accounted for.
    """

    def __init__(self, *, max_size: int, max_bytes: int, max_wait: float, latest: float, keep: bool) -> None:
        self._max_size, self._max_bytes, self._max_wait = max_size, max_bytes, max_wait
        self._latest = latest
        self._keep = keep
        self._numbers = count(1)
        self._last = 0
        self._open: dict[int, Pending] = {}  # by the number of each part, which grow
        self._ready: deque[Pending] = deque()  # may go with others
        self._alone: deque[Pending] = deque()
        self._lines: dict[Any, deque[Pending]] = {}
        self._late: dict[Any, float] = {}  # by address: until when a copy may come
        self._ends: list[tuple[float, int, Any]] = []  # the same, as a heap
        self._deadlines: list[tuple[float, int, Pending]] = []  # of what has one, as a heap
        self._soonest = inf
        self._flush_to = 0
        self._written: list[tuple[int, Any]] = []
        self._others: list[tuple[int, BatchFailure, str]] = []
        self._count = 0
        self.synced: float = inf  # the spool has all up to this number
        self.ending: Callable[[Pending], None] = _nothing

    def __len__(self) -> int:
        """How many parts have not ended."""
        return len(self._open)

    @property
    def last(self) -> int:
        """The number of the part that was added last."""
        return self._last

    @property
    def open(self) -> list[Pending]:
        """What has not ended."""
        return list(dict.fromkeys(self._open.values()))

    @property
    def is_sending(self) -> bool:
        """Whether anything of it is under way. What is was mostly added first, so that it is found at once."""
        return any(one.is_sent for one in self._open.values())

    @property
    def held(self) -> int:
        """Keys whose next write waits for a copy of the one before, which may come late."""
        return sum(1 for address in self._late if address in self._lines)

    @property
    def has_work(self) -> bool:
        """Whether anything may be sent now or soon."""
        return bool(self._ready or self._alone)

    def add(self, item: Item, future: Any, now: float, left: float | None, seq: int = 0) -> bool:
        """Take an item in. ``left`` are the seconds until the caller's deadline. Whether who sends should look."""
        number = self._last = next(self._numbers)
        part = Part(number, item, item.item, future, seq)
        line = self._lines.get(item.address)
        if line is not None:
            last = line[-1]
            if may_join(last, item, bounded=left is not None):
                item.follows = last.item.follows
                last.item = item
                last.parts.append(part)
                self._open[number] = last
                return False
            if item.verb:
                item.follows = last.item
        wait = self._max_wait if left is None else min(self._max_wait, left * _SHARE)
        pending = Pending(item, part, now + wait, inf if left is None else now + left)
        self._open[number] = pending
        if left is not None:
            heappush(self._deadlines, (pending.deadline, number, pending))
        if line is not None:
            line.append(pending)
            return left is not None and self._hurries(line, pending.due)
        self._lines[item.address] = deque((pending,))
        if self._late and item.address in self._late:
            return left is not None
        return self._is_ready(pending)

    def _hurries(self, line: deque[Pending], due: float) -> bool:
        """What stands before an item with a deadline waits no longer for others than that. Who sends should look."""
        for one in line:
            one.due = min(one.due, due)
        first = line[0].item
        if not (line[0].is_sent or first.verb or first.address in self._late):  # it is among those that are ready
            self._soonest = min(self._soonest, due)
        return True

    def _is_ready(self, pending: Pending) -> bool:
        """Nothing stands before it. Whether who sends should look: there is enough, or earlier than he knows."""
        if pending.item.verb:
            self._alone.append(pending)
            return True
        self._ready.append(pending)
        sooner = pending.due < self._soonest
        if sooner:
            self._soonest = pending.due
        return sooner or len(self._ready) % self._max_size == 0

    def take(self, now: float) -> list[Pending]:
        """What is to be sent in one request, marked as sent; empty when there is nothing yet."""
        if self._ends and self._ends[0][0] <= now:
            self._let_go(now)
        if self._deadlines and self._deadlines[0][0] <= now and (batch := self._expired(now)):
            return batch
        if self._alone and self._alone[0].parts[-1].seq <= self.synced:
            batch = [self._alone.popleft()]
        elif self._ready and (
            len(self._ready) >= self._max_size or self._soonest <= now or next(iter(self._open)) <= self._flush_to
        ):
            batch = self._packed()
        else:
            return []
        for pending in batch:
            pending.is_sent = True
        return batch

    def _expired(self, now: float) -> list[Pending]:
        """What nobody has begun to send by its deadline, marked as sent: it is `overdue`."""
        batch: list[Pending] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            pending = heappop(self._deadlines)[2]
            if pending.is_sent:
                continue
            pending.is_sent = True
            batch.append(pending)
        if batch:
            self._ready, self._alone = (
                deque(one for one in waiting if not one.is_sent) for waiting in (self._ready, self._alone)
            )
        return batch

    def _packed(self) -> list[Pending]:
        batch: list[Pending] = []
        size = 0
        ready = self._ready
        while ready and len(batch) < self._max_size and ready[0].parts[-1].seq <= self.synced:
            more = ready[0].item.size
            if batch and size + more > self._max_bytes:
                break
            size += more
            batch.append(ready.popleft())
        self._soonest = min((one.due for one in islice(ready, self._max_size)), default=inf)
        return batch

    @property
    def wakes_at(self) -> float:
        """When who sends has to look again, if nothing happens before."""
        # What the spool does not have yet is looked at when it has it.
        is_safe = bool(self._ready) and self._ready[0].parts[-1].seq <= self.synced
        while self._deadlines and self._deadlines[0][2].is_sent:
            heappop(self._deadlines)
        return min(
            self._soonest if is_safe else inf,
            self._ends[0][0] if self._ends else inf,
            self._deadlines[0][0] if self._deadlines else inf,
        )

    def overdue(self, now: float, batch: list[Pending]) -> list[Pending]:
        """Those of a batch whose deadline has passed: they are not sent any more, and have failed."""
        late = [pending for pending in batch if pending.deadline <= now]
        for pending in late:
            pending.item.end(DeadlineExceeded("the deadline passed while the item was in the queue of a batcher"))
        return late

    def ended(self, pending: Pending, now: float) -> bool:
        """Account for a write that has ended, and let the next one of its key follow. False: that was known."""
        if pending.is_over:
            return False
        pending.is_over = True
        self.ending(pending)
        item = pending.item
        for part in pending.parts:
            del self._open[part.number]
            self._account(part, item)
        address = item.address
        if item.doubt and self._latest:
            self._late[address] = until = now + self._latest
            heappush(self._ends, (until, pending.parts[0].number, address))
        self._leave(pending)
        return True

    def _account(self, part: Part, item: Item) -> None:
        if item.error is None:
            self._count += 1
            if self._keep:
                self._written.append((part.number, part.given))
            return
        outcome = _KEPT if isinstance(item.error, Spooled) else item.error.outcome
        self._others.append((part.number, BatchFailure(part.given, item.error), outcome))

    def before(self, item: Item) -> Item | None:
        """What an item of its own verb goes on from: the write of its key that is to end before it."""
        line = self._lines.get(item.address) if item.verb else None
        return None if line is None else line[-1].item

    def withdraw(self, seq: int) -> None:
        """Take back what was just added, which the spool has refused. What it was joined to is as it was."""
        for number in reversed(self._open):
            pending = self._open[number]
            part = next(one for one in pending.parts if one.number == number)
            if part.seq == seq:
                break
        else:
            return  # it has ended: its time was over
        if pending.is_sent:
            return
        del self._open[number]
        pending.parts.remove(part)
        if pending.parts:
            last = pending.parts[-1].item
            assert last is not None  # of a batcher with a spool
            pending.item = last
            return
        pending.is_sent = pending.is_over = True
        self._ready, self._alone = (
            deque(one for one in waiting if one is not pending) for waiting in (self._ready, self._alone)
        )
        self._leave(pending)

    def _leave(self, pending: Pending) -> None:
        """Let the next one of its key follow."""
        address = pending.item.address
        line = self._lines[address]
        was_first = line[0] is pending  # but for what is given up, and what its deadline has ended
        line.remove(pending)
        if not line:
            del self._lines[address]
        elif was_first and not line[0].is_sent and address not in self._late:
            self._is_ready(line[0])

    def _let_go(self, now: float) -> None:
        """Let the keys go on of which no copy comes any more."""
        while self._ends and self._ends[0][0] <= now:
            until, _, address = heappop(self._ends)
            if self._late.get(address) != until:
                continue  # another one was lost since
            del self._late[address]
            line = self._lines.get(address)
            if line is not None and not line[0].is_sent:
                self._is_ready(line[0])

    def block(self, address: Any, until: float) -> None:
        """Hold back the writes of a key, of which a copy may come until then."""
        self._late[address] = until
        heappush(self._ends, (until, 0, address))

    def flush(self) -> int:
        """Send all that there is without waiting for more. The number up to which it is meant."""
        self._flush_to = max(self._flush_to, self._last)
        return self._last

    def is_done(self, number: int) -> bool:
        """Whether all up to a number have ended."""
        return not self._open or next(iter(self._open)) > number

    def unsent(self) -> Iterator[Pending]:
        """What nobody has begun to send. Each has failed, for it never will be."""
        for pending in self.open:
            if not pending.is_sent:
                pending.is_sent = True
                pending.item.end(BatcherClosed("the batcher was closed before this item was sent: nothing was written"))
                yield pending
        self._ready.clear()
        self._alone.clear()

    def under_way(self) -> list[Pending]:
        """What is being sent."""
        return [one for one in self.open if one.is_sent and not one.is_over]

    def result(self, replayed: BatchResult) -> BatchResult:
        """What became of all that has ended, in the order in which it was added; first what a spool has brought."""
        others = sorted(self._others, key=lambda one: one[0])
        return BatchResult(
            written=[*replayed.written, *(given for _, given in sorted(self._written, key=lambda one: one[0]))],
            failed=[*replayed.failed, *(one for _, one, how in others if how is Outcome.NOT_APPLIED)],
            unknown=[*replayed.unknown, *(one for _, one, how in others if how is Outcome.UNKNOWN)],
            superseded=[*replayed.superseded],
            kept=[*replayed.kept, *(one for _, one, how in others if how is _KEPT)],
            count=replayed.count + self._count,
        )

    @property
    def counts(self) -> str:
        """How many there are of each kind, for a log."""
        failed, kept = (sum(1 for *_, how in self._others if how is of) for of in (Outcome.NOT_APPLIED, _KEPT))
        unknown = len(self._others) - failed - kept
        rest = f", {kept} kept in the spool" if kept else ""
        return f"{self._count} written, {failed} failed, {unknown} unknown{rest}, {len(self._open)} not ended"


def _nothing(_: Pending) -> None:
    """What is done with a write that ends, where there is no spool."""
