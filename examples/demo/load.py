"""Creates the payments through both faces at once: one half by threads on `DB`, the other by tasks on `AsyncDB`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from dynamorm import DB, AsyncDB, Config

from .model import Payment

CONCURRENCY = 4
"""Threads of the blocking face, and tasks of the asyncio face."""

Tick = Callable[[], None]


def create_all(config: Config, payments: Sequence[Payment], blocking: Tick, asyncio_: Tick) -> None:
    """Create every payment; each call of ``blocking`` or ``asyncio_`` says that one more was created on that face.

    Example: ``create_all(config, shipped_payments(10), print, print)``
    """
    half = len(payments) // 2
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(_with_threads, config, payments[:half], blocking),
            pool.submit(lambda: asyncio.run(_with_tasks(config, payments[half:], asyncio_))),
        ]
        for run in runs:
            run.result()


def _with_threads(config: Config, payments: Sequence[Payment], tick: Tick) -> None:
    with DB(config) as db, ThreadPoolExecutor(CONCURRENCY) as pool:

        def create(payment: Payment) -> None:
            db.create(payment)
            tick()

        for _ in pool.map(create, payments):
            pass  # a failed create is raised here


async def _with_tasks(config: Config, payments: Sequence[Payment], tick: Tick) -> None:
    async with AsyncDB(config) as db:
        left = iter(payments)

        async def worker() -> None:
            for payment in left:
                await db.create(payment)
                tick()

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
