"""Items per second of a batcher, beside ``batch_write`` of a whole list and boto3's ``batch_writer``.

The server answers at once, so what is measured is the client: encoding, packing, signing, futures. The ways take turns, and
the median of the rounds counts. Payments have no version here, for a batcher sends those of a version one by one.

``python -m benchmarks.batcher [ITEMS] [ROUNDS]``
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from benchmarks import payload, sample
from benchmarks.libraries.dynamorm_models import settings
from benchmarks.server import Server
from dynamorm import DB, AsyncDB, Attr, BatchConfig, Model, partition_key, sort_key


class Payment(Model, table="nanos-payments"):
    merchant_id: Attr[str] = partition_key()
    id: Attr[str] = sort_key()
    idempotency_key: Attr[str]
    amount: Attr[int]
    currency: Attr[str]
    status: Attr[str]
    created_at: Attr[datetime]
    tags: Attr[list[str]]
    metadata: Attr[dict[str, str]]


def values(number: int) -> dict[str, Any]:
    """A payment without a version."""
    found = sample.payment(number)
    del found["version"]
    return found


def ways(endpoint: str, count: int) -> dict[str, Callable[[], Any]]:
    """What is measured: each writes ``count`` items."""
    db = DB(settings(endpoint))
    some = [Payment(**values(number)) for number in range(count)]
    plain = [{**values(number), "created_at": sample.START.isoformat()} for number in range(count)]

    def batcher(**more: Any) -> None:
        with db.new_batcher(BatchConfig(keep=False, **more)) as batcher:
            for one in some:
                batcher.add(one)
        assert batcher.close().count == count

    def from_threads() -> None:
        with db.new_batcher(BatchConfig(keep=False)) as batcher, ThreadPoolExecutor(4) as pool:
            for part in range(4):
                pool.submit(lambda part=part: [batcher.add(one) for one in some[part::4]])

    async def on_a_loop() -> None:
        async with (
            AsyncDB(settings(endpoint)) as async_db,
            async_db.new_batcher(BatchConfig(keep=False)) as batcher,
        ):
            for one in some:
                await batcher.add(one)

    async def on_a_loop_with_spool(folder: str) -> None:
        config = BatchConfig(keep=False, spool_dir=folder)
        async with AsyncDB(settings(endpoint)) as async_db, async_db.new_batcher(config) as batcher:
            for at in range(0, count, 500):
                await asyncio.gather(*map(batcher.add, some[at : at + 500]))

    def with_spool() -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(on_a_loop_with_spool(folder))

    found: dict[str, Callable[[], Any]] = {
        "batcher, one thread adds": batcher,
        "batcher, four threads add": from_threads,
        "batcher on asyncio": lambda: asyncio.run(on_a_loop()),
        "batcher on asyncio, spool": with_spool,
        "db.batch_write(list)": lambda: db.batch_write(some),
        "db.batch_write(iterator)": lambda: db.batch_write(iter(some), keep=False),
    }
    try:
        import boto3
    except ImportError:
        return found
    os.environ.update(
        AWS_ACCESS_KEY_ID=sample.KEY_ID, AWS_SECRET_ACCESS_KEY=sample.SECRET, AWS_DEFAULT_REGION=sample.REGION
    )
    table = boto3.resource("dynamodb", endpoint_url=endpoint).Table("iso-payments")

    def batch_writer() -> None:
        with table.batch_writer() as batch:
            for one in plain:
                batch.put_item(Item=one)

    found["boto3 batch_writer"] = batch_writer
    return found


def main(count: int, rounds: int) -> None:
    """Measure and print."""
    with Server(payload.routes()) as server:
        found = ways(server.endpoint, count)
        speeds: dict[str, list[float]] = {name: [] for name in found}
        for turn in range(rounds + 1):
            for name, way in found.items():
                start = time.perf_counter()
                way()
                if turn:  # the first round warms up
                    speeds[name].append(count / (time.perf_counter() - start))
    print(f"{count:,} items, {rounds} rounds, server: {server.kind}; items per second, median (lowest ... highest)")
    for name, some in speeds.items():
        print(f"{name:28} {statistics.median(some):>9,.0f}  ({min(some):,.0f} ... {max(some):,.0f})")


if __name__ == "__main__":
    numbers = [int(text) for text in sys.argv[1:]]
    main(*(numbers + [10_000, 5][len(numbers) :]))
