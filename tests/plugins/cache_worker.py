"""A process that writes and reads through a cache, and looks whether what it reads is as new as what it wrote."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from dynamorm import DB, AsyncDB, Attr, CacheConfig, CachingPlugin, Model, Presets, attr, partition_key

from .redis_server import client_of


class Count(Model, table="cache-lag"):
    """A number that grows."""

    id: Attr[str] = partition_key()
    number: Attr[int] = attr(default=0)
    writer: Attr[str] = attr(default="")


MAC_KEY = b"the same in all processes"


def work(kind: str, endpoint: str, port: int, name: str, seconds: float, settle: float) -> tuple[int, int, int]:
    """Write an item of one's own and one that all write, and read both. How many reads, how many hits, how many stale."""
    cache = CachingPlugin(client_of(kind, port), CacheConfig(mac_key=MAC_KEY, settle=settle, timeout=2.0))
    config = Presets.local_development(endpoint=endpoint)
    if kind == "blocking":
        with DB(config) as db:
            db.use(cache)
            return _blocking(db, cache, name, time.monotonic() + seconds)
    return asyncio.run(_asyncio(config, cache, name, time.monotonic() + seconds))


def _stale(read: list[Any], own: int, name: str) -> int:
    mine, shared = read
    stale = mine is None or mine.number < own
    return int(stale) + int(shared is not None and shared.writer == name and shared.number < own)


def _blocking(db: DB, cache: Any, name: str, until: float) -> tuple[int, int, int]:
    number = reads = stale = 0
    while time.monotonic() < until:
        number += 1
        db.put(Count(id=name, number=number, writer=name))
        db.put(Count(id="shared", number=number, writer=name))
        for _ in range(6):
            stale += _stale([db.get(Count, name), db.get(Count, "shared")], number, name)
            reads += 2
            time.sleep(0.02)
    return reads, cache.stats().hits, stale


async def _asyncio(config: Any, cache: Any, name: str, until: float) -> tuple[int, int, int]:
    number = reads = stale = 0
    async with AsyncDB(config) as db:
        db.use(cache)
        while time.monotonic() < until:
            number += 1
            await db.put(Count(id=name, number=number, writer=name))
            await db.put(Count(id="shared", number=number, writer=name))
            for _ in range(6):
                read = list(await asyncio.gather(db.get(Count, name), db.get(Count, "shared")))
                stale += _stale(read, number, name)
                reads += 2
                await asyncio.sleep(0.02)
    return reads, cache.stats().hits, stale


def main() -> None:
    """The arguments are those of `work`; what it gives is printed."""
    import json
    import sys

    kind, endpoint, port, name, seconds, settle = sys.argv[1:]
    sys.stdout.write(json.dumps(work(kind, endpoint, int(port), name, float(seconds), float(settle))))


if __name__ == "__main__":
    main()
