"""Contention over a lossy network: writers add money to a few hot payments, and every writer keeps its own books.

What the writers were told is compared with what is stored. The difference is the drift: money made or lost.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from dynamorm import DB, AsyncDB, Config, Outcome, OutcomeUnknown, VersionConflict

from .model import Payment

WRITERS = 8
RESOLVE_AGAIN = 5
"""How often a writer asks again what became of a write: the answer to the question may be lost as well."""
Kind = Literal["add", "save"]
Tick = Callable[[], None]


@dataclass
class Books:
    """What one run's writers were told. ``confirmed`` is the sum, in minor units, of the changes reported as done.

    ``conflicts`` counts saves that were refused because another writer came first, ``unknown`` writes whose outcome
    nobody could tell, ``failed`` writes reported as not done. ``doubtful`` are the sums, in minor units, of those unknown.
    """

    writes: int = 0
    confirmed: int = 0
    conflicts: int = 0
    settled: int = 0
    unknown: int = 0
    failed: int = 0
    doubtful: list[int] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def note(self, **more: int) -> None:
        """Add to the counts, from any thread.

        Example: ``books.note(writes=1, confirmed=250)``
        """
        with self._lock:
            for name, count in more.items():
                setattr(self, name, getattr(self, name) + count)

    def doubt(self, amount: int) -> None:
        """Note a write of which nobody could tell whether it was done.

        Example: ``books.doubt(250)``
        """
        self.note(writes=1, unknown=1)
        with self._lock:
            self.doubtful.append(amount)

    def allows(self, drift: int) -> bool:
        """Whether a drift is the sum of some of the doubtful writes, or nothing: what was said is true.

        Example: ``books.allows(run.drift)``
        """
        sums = {0}
        for amount in self.doubtful:
            sums |= {amount + one for one in sums}
        return drift in sums


@dataclass(frozen=True)
class Change:
    """One change to make: add ``amount`` minor units to payment ``id``."""

    id: str
    amount: int


def plan(hot: Sequence[str], writes: int, seed: int) -> list[list[Change]]:
    """The changes of each writer; the same for every library, so that only the library differs.

    Example: ``plan(["pay_1"], 400, seed=7)``
    """
    dice = random.Random(seed)
    return [
        [Change(dice.choice(hot), dice.randrange(1, 1_000)) for _ in range(writes // WRITERS)] for _ in range(WRITERS)
    ]


def run_ours(config: Config, kind: Kind, changes: Sequence[list[Change]], tick: Tick) -> Books:
    """Run the changes through DynamORM: half the writers are threads on `DB`, the others tasks on one `AsyncDB`.

    Example: ``run_ours(config, "add", plan(hot, 400, 7), print).confirmed``
    """
    books = Books()
    half = len(changes) // 2
    with ThreadPoolExecutor(half + 1) as pool, DB(config) as db:
        runs = [pool.submit(_blocking_writer, db, kind, mine, books, tick) for mine in changes[:half]]
        runs.append(pool.submit(lambda: asyncio.run(_async_writers(config, kind, changes[half:], books, tick))))
        for run in runs:
            run.result()
    return books


def _blocking_writer(db: DB, kind: Kind, changes: Iterable[Change], books: Books, tick: Tick) -> None:
    for change in changes:
        done = False
        while not done:
            try:
                if kind == "add":
                    db.update(Payment, change.id, Payment.amount.add(change.amount))
                else:
                    payment = db.require(Payment, change.id, consistent=True)
                    payment.amount += change.amount
                    db.save(payment)
                books.note(writes=1, confirmed=change.amount)
                done = True
            except VersionConflict:
                books.note(conflicts=1)
            except OutcomeUnknown as error:
                outcome = error.resolve()
                for _ in range(RESOLVE_AGAIN):
                    outcome = error.resolve() if outcome is Outcome.UNKNOWN else outcome
                done = _note_outcome(outcome, change, books)
        tick()


async def _async_writers(config: Config, kind: Kind, changes: Sequence[list[Change]], books: Books, tick: Tick) -> None:
    async with AsyncDB(config) as db:
        await asyncio.gather(*(_async_writer(db, kind, mine, books, tick) for mine in changes))


async def _async_writer(db: AsyncDB, kind: Kind, changes: Iterable[Change], books: Books, tick: Tick) -> None:
    for change in changes:
        done = False
        while not done:
            try:
                if kind == "add":
                    await db.update(Payment, change.id, Payment.amount.add(change.amount))
                else:
                    payment = await db.require(Payment, change.id, consistent=True)
                    payment.amount += change.amount
                    await db.save(payment)
                books.note(writes=1, confirmed=change.amount)
                done = True
            except VersionConflict:
                books.note(conflicts=1)
            except OutcomeUnknown as error:
                outcome = await error.resolve()
                for _ in range(RESOLVE_AGAIN):
                    outcome = await error.resolve() if outcome is Outcome.UNKNOWN else outcome
                done = _note_outcome(outcome, change, books)
        tick()


def _note_outcome(outcome: Any, change: Change, books: Books) -> bool:
    """Book a write that had to be asked about again. Returns whether it is finished; if not, it is to be repeated."""
    if outcome is Outcome.NOT_APPLIED:
        return False
    if outcome is Outcome.APPLIED:
        books.note(writes=1, confirmed=change.amount, settled=1)
    else:
        books.doubt(change.amount)
    return True
