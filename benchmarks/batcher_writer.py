"""The process that `benchmarks.batcher_faults` measures, and kills: it writes items in one way, and writes down what it does.

``python -m benchmarks.batcher_writer WAY ENDPOINT ITEMS FOLDER``. In the folder, ``added`` gets the name of each item whose ``add``
has returned, and ``told`` what was said of an item. What a process before had added is not added again: its spool has it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

from benchmarks import sample
from benchmarks.batcher_faults import lines, name_of
from benchmarks.libraries.dynamorm_models import settings
from dynamorm import DB, AsyncDB, Attr, BatchConfig, Config, Model, partition_key

THREADS, TASKS = 8, 256


class Item(Model, table="items"):
    """What is written."""

    id: Attr[str] = partition_key()
    amount: Attr[int]
    text: Attr[str]


def item(number: int) -> Item:
    """An item of half a kilobyte."""
    return Item(id=name_of(number), amount=number, text="x" * 400)


class Notes:
    """What is written down, a line each, so that it is there when the process is killed."""

    def __init__(self, folder: Path) -> None:
        self._added: TextIO = (folder / "added").open("a", buffering=1)
        self._told: TextIO = (folder / "told").open("a", buffering=1)

    def added(self, name: str) -> None:
        """``add`` has returned."""
        self._added.write(f"{name}\n")

    def ended(self, future: Any, name: str) -> None:
        """A future has ended."""
        error = future.exception()
        if error is not None:
            self.tell(name, "failed" if error.outcome == "NOT_APPLIED" else "unknown")

    def tell(self, name: str, what: str) -> None:
        """Something is said of an item: failed, unknown, superseded."""
        self._told.write(json.dumps([name, what]) + "\n")

    def result(self, result: Any) -> None:
        """What a result reports."""
        for what in ("failed", "unknown", "superseded"):
            for part in getattr(result, what):
                self.tell(part.item.id, what)


def limits(endpoint: str) -> Config:
    """The usual settings with as many attempts as boto3 makes for DynamoDB, since of ten requests one meets a fault."""
    return settings(endpoint).replace(max_attempts=10)


def config(folder: Path, *, spool: bool) -> BatchConfig:
    """The usual settings, with time enough to end.

    ``on_ambiguous="resend"``: what was killed within ``add`` is added again, with the same content. So nothing newer can be
    overwritten by a late copy of its first request, and its key need not wait nine minutes for that.
    """
    directory = folder / "spool" if spool else None
    return BatchConfig(keep=False, close_timeout=600, spool_dir=directory, on_ambiguous="resend")


def with_threads(endpoint: str, numbers: list[int], folder: Path, notes: Notes, *, spool: bool) -> None:
    """A batcher of the blocking face; with a spool each ``add`` waits for the disk, so that several add at once."""
    with DB(limits(endpoint)) as db, db.new_batcher(config(folder, spool=spool)) as batcher:
        notes.result(batcher.replayed)

        def add(some: list[int]) -> None:
            for number in some:
                future = batcher.add(item(number))
                notes.added(name_of(number))
                future.add_done_callback(lambda future, number=number: notes.ended(future, name_of(number)))

        threads = THREADS if spool else 1
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(add, [numbers[part::threads] for part in range(threads)]))


async def with_tasks(endpoint: str, numbers: list[int], folder: Path, notes: Notes, *, spool: bool) -> None:
    """A batcher of the asyncio face, for tasks that add one after another."""
    async with AsyncDB(limits(endpoint)) as db, db.new_batcher(config(folder, spool=spool)) as batcher:
        notes.result(batcher.replayed)

        async def add(some: list[int]) -> None:
            for number in some:
                future = await batcher.add(item(number))
                notes.added(name_of(number))
                future.add_done_callback(lambda future, number=number: notes.ended(future, name_of(number)))

        tasks = TASKS if spool else 1
        await asyncio.gather(*(add(numbers[part::tasks]) for part in range(tasks)))


def with_a_list(endpoint: str, numbers: list[int], notes: Notes) -> None:
    """``batch_write`` of an iterator."""
    with DB(limits(endpoint)) as db:
        notes.result(db.batch_write(map(item, numbers), keep=False))


def with_boto3(endpoint: str, numbers: list[int]) -> None:
    """boto3's ``batch_writer``, with its defaults. What it raises ends it."""
    import boto3  # only this way needs it

    os.environ.update(
        AWS_ACCESS_KEY_ID=sample.KEY_ID, AWS_SECRET_ACCESS_KEY=sample.SECRET, AWS_DEFAULT_REGION=sample.REGION
    )
    with boto3.resource("dynamodb", endpoint_url=endpoint).Table("items").batch_writer() as batch:
        for number in numbers:
            batch.put_item(Item={"id": name_of(number), "amount": number, "text": "x" * 400})


def remaining(folder: Path, count: int) -> Iterator[int]:
    """The numbers of the items that no process before has added."""
    added = set(lines(folder, "added"))
    return (number for number in range(count) if name_of(number) not in added)


def main(way: str, endpoint: str, count: int, folder: Path) -> None:
    """Write the items."""
    numbers = list(remaining(folder, count))
    notes = Notes(folder)
    spool = way.endswith("spool")
    if way in {"spool", "batcher"}:
        with_threads(endpoint, numbers, folder, notes, spool=spool)
    elif way in {"asyncio", "asyncio-spool"}:
        asyncio.run(with_tasks(endpoint, numbers, folder, notes, spool=spool))
    elif way == "batch_write":
        with_a_list(endpoint, numbers, notes)
    else:
        with_boto3(endpoint, numbers)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
