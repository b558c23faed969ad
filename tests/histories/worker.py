"""One worker process: it does operations at the default settings of the library until it has done enough, or is killed.

Usage: ``python -m tests.histories.worker '{"endpoint": ..., ...}'``; see `Orders`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from dynamorm import DB, AsyncDB, Outcome, OutcomeUnknown, Presets
from dynamorm.errors import DynamORMError, ValidationError
from tests.histories.journal import Journal
from tests.histories.model import ACCOUNTS, DIGITS, HOT, OPERATIONS, Hands, NotBegun, Task

CANCELLED = 0.05
"""Share of the operations of the asyncio face whose task is cancelled."""


class Orders(NamedTuple):
    """What a worker is told. ``number`` is its own among all workers ever started, ``peers`` how many run at once."""

    endpoint: str
    engine: str
    prefix: str
    journal: str
    face: str
    number: int
    peers: int
    lanes: int
    operations: int
    seed: int


class Plan:
    """Draws the operations of one thread or task: a lane. Lanes of different processes meet on the same counters."""

    def __init__(self, orders: Orders, lane: int) -> None:
        self.dice = random.Random(orders.seed * 1_000_003 + orders.number * 1_009 + lane)
        turn, place = divmod(orders.number, orders.peers)
        self.group = turn * orders.lanes + lane  # the workers that run at once have a group for each lane
        self.each = DIGITS // orders.peers
        self.first = place * self.each
        self.name = f"{orders.number}.{lane}"
        self.kinds = list(OPERATIONS)
        self.shares = [share for share, _ in OPERATIONS.values()]
        self.done = dict.fromkeys(OPERATIONS, 0)

    def draw(self, number: int) -> Task:
        """The next operation."""
        dice = self.dice
        (kind,) = dice.choices(self.kinds, self.shares)
        at = self.done[kind]
        self.done[kind] = at + 1
        hot = dice.random() < 0.2
        giver, taker = (f"a{one}" for one in dice.sample(range(HOT if hot else ACCOUNTS), 2))
        place = f"{kind}.{self.group}.{at // self.each}"
        return Task(
            f"{self.name}.{number}", kind, giver, taker, dice.randrange(1, 400), place, self.first + at % self.each
        )


async def perform(hands: Hands, journal: Journal, task: Task) -> None:
    """Do one operation, and note the library's last word on it."""
    journal.begun(task)
    try:
        said = await OPERATIONS[task.kind][1](hands, task)
    except NotBegun as error:
        journal.ended(task, "", error=type(error).__name__)
    except OutcomeUnknown as error:
        outcome = await hands.do(error.resolve())
        journal.ended(task, outcome, first="UNKNOWN", error=f"{type(error).__name__}: {error.message}")
    except ValidationError:
        raise  # a mistake of this test
    except DynamORMError as error:
        name = type(error).__name__
        journal.ended(
            task, error.outcome, error=name if error.outcome is not Outcome.UNKNOWN else f"{name}: {error.message}"
        )
    except asyncio.CancelledError as stop:
        journal.ended(task, getattr(stop, "outcome", ""), error="CancelledError")
        raise
    else:
        journal.ended(task, Outcome.APPLIED if said is None else said)


def settings(orders: Orders, endpoint: str) -> Any:
    """The default settings, at this endpoint."""
    return Presets.local_development(endpoint=endpoint, table_prefix=orders.prefix)


def _blocking(orders: Orders, journal: Journal) -> None:
    hands = Hands(DB(settings(orders, orders.endpoint)), DB(settings(orders, orders.engine)))

    def lane(number: int) -> None:
        plan = Plan(orders, number)
        for turn in range(orders.operations // orders.lanes):
            step = perform(hands, journal, plan.draw(turn))
            try:
                step.send(None)  # nothing of it waits for a loop
            except StopIteration:
                continue
            raise AssertionError("the blocking face waited for a loop")

    threads = [threading.Thread(target=lane, args=(number,)) for number in range(orders.lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def _asyncio(orders: Orders, journal: Journal) -> None:
    async with AsyncDB(settings(orders, orders.endpoint)) as db, AsyncDB(settings(orders, orders.engine)) as calm:
        hands = Hands(db, calm)

        async def lane(number: int) -> None:
            plan = Plan(orders, number)
            for turn in range(orders.operations // orders.lanes):
                await cancelled_at_times(perform(hands, journal, plan.draw(turn)), plan.dice)

        await asyncio.gather(*(lane(number) for number in range(orders.lanes)))


async def cancelled_at_times(doing: Coroutine[Any, Any, None], dice: random.Random) -> None:
    """Do it as a task, which is cancelled now and then."""
    task = asyncio.create_task(doing)
    if dice.random() < CANCELLED:
        await asyncio.sleep(dice.uniform(0, 0.2))
        task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


def main(
    orders: Orders, journal: Any, blocking: Callable[..., None], on_loop: Callable[..., Coroutine[Any, Any, None]]
) -> None:
    """Follow the orders on their face."""
    if orders.face == "blocking":
        blocking(orders, journal)
    else:
        asyncio.run(on_loop(orders, journal))


if __name__ == "__main__":
    given = Orders(**json.loads(sys.argv[1]))
    main(given, Journal(given.journal), _blocking, _asyncio)
