"""One worker process: it does operations at the default settings of the library until it is killed.

Usage: ``python -m tests.jepsen.worker '{"endpoint": ..., ...}'``; see `tests.histories.worker.Orders`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final

from dynamorm import DB, AsyncDB, Outcome, OutcomeUnknown
from dynamorm.errors import AlreadyExists, ConditionFailed, DynamORMError, MissingItem, ValidationError, VersionConflict
from tests.histories.model import Hands
from tests.histories.worker import Orders, cancelled_at_times, main, settings
from tests.jepsen.model import Do, Doing
from tests.jepsen.record import NOT_APPLIED, OK, REFUSED, UNKNOWN, Journal

_SAID: Final = {Outcome.APPLIED: OK, Outcome.NOT_APPLIED: NOT_APPLIED, Outcome.UNKNOWN: UNKNOWN}
_REFUSALS: Final = (ConditionFailed, VersionConflict, AlreadyExists, MissingItem)


class Lane:
    """One thread or task: its operations have names of their own, and are noted."""

    def __init__(self, orders: Orders, journal: Journal, hands: Hands, lane: int) -> None:
        self._name = f"w{orders.number}.{lane}"
        self._turn = 0
        self._journal = journal
        self._hands = hands
        self.dice = random.Random(orders.seed * 1_000_003 + orders.number * 1_009 + lane)
        self.doing = Doing(hands, self.dice, self._note)

    async def _note(self, kind: str, key: str, value: Any, do: Do) -> bool:
        self._turn += 1
        name = f"{self._name}.{self._turn}"
        asked = [value, name] if kind == "cas" else name if kind == "write" else value
        self._journal.begun(name, kind, key, asked)
        try:
            result = await do(name)
        except OutcomeUnknown as error:
            said = _SAID[await self._hands.do(error.resolve())]
            self._journal.ended(name, said, error=f"{type(error).__name__} {error.code}")
            return False
        except ValidationError:
            raise  # a mistake of this test
        except DynamORMError as error:
            said = _SAID[error.outcome]
            if said == NOT_APPLIED and isinstance(error, _REFUSALS):
                said = REFUSED
            self._journal.ended(name, said, error=type(error).__name__)
            return False
        except asyncio.CancelledError as stop:
            outcome = getattr(stop, "outcome", None)
            self._journal.ended(name, _SAID[outcome] if outcome else UNKNOWN, error="CancelledError")
            raise
        self._journal.ended(name, OK, result)
        return True


def _blocking(orders: Orders, journal: Journal) -> None:
    hands = Hands(DB(settings(orders, orders.endpoint)), None)

    def run(number: int) -> None:
        lane = Lane(orders, journal, hands, number)
        while True:
            step = lane.doing.one()
            try:
                step.send(None)  # nothing of it waits for a loop
            except StopIteration:
                continue
            raise AssertionError("the blocking face waited for a loop")

    _together([lambda number=number: run(number) for number in range(orders.lanes)])


def _together(runs: list[Callable[[], None]]) -> None:
    """Run all in threads; the first error of one is that of all."""
    errors: list[BaseException] = []
    over = threading.Event()

    def guarded(run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - it is raised in the main thread
            errors.append(error)
            over.set()

    for run in runs:
        threading.Thread(target=guarded, args=(run,), daemon=True).start()
    over.wait()
    raise errors[0]


async def _asyncio(orders: Orders, journal: Journal) -> None:
    async with AsyncDB(settings(orders, orders.endpoint)) as db:
        hands = Hands(db, None)

        async def run(number: int) -> None:
            lane = Lane(orders, journal, hands, number)
            while True:
                await cancelled_at_times(_whole(lane.doing.one()), lane.dice)

        await asyncio.gather(*(run(number) for number in range(orders.lanes)))


async def _whole(doing: Awaitable[None]) -> None:
    await doing


if __name__ == "__main__":
    given = Orders(**json.loads(sys.argv[1]))
    main(given, Journal(given.journal), _blocking, _asyncio)
