"""A process that runs operations until all are done: it may be killed at any moment, and is begun again.

``python idempotency_worker.py FACE ENDPOINT PREFIX FOLDER NAME SEED COUNT``. Of each key it writes a line with the answer into its own
file, and each step writes one into the file of the other side.
"""

import asyncio
import os
import random
import sys
from pathlib import Path

from dynamorm import DB, AsyncDB, Attr, HighThroughput, Model, Presets, partition_key
from dynamorm.errors import DynamORMError
from tests.support import lines


class Effect(Model, table="effects"):
    id: Attr[str] = partition_key()
    count: Attr[int]


LEASE = 2.0
AT_ONCE = 8


def say(path, **what):
    with Path(path).open("ab", buffering=0) as file:
        lines.write(file.fileno(), what)


def config(endpoint, prefix):
    return Presets.local_development(
        endpoint=endpoint,
        table_prefix=prefix,
        max_attempts=12,
        operation_timeout=20,
        performance=HighThroughput(max_connections=AT_ONCE * 2, request_timeout=10),
    )


def options(key):
    return {"payload": {"order": key}, "scope": "charge", "lease": LEASE, "wait": 20.0}


def answer(key, given, process):
    return {"order": key, "charge": given, "by": process, "bytes": key.encode()}


def is_new(path):
    """What this process has no line of yet: it is begun again after it was killed."""
    return {line["key"] for line in lines.read(Path(path))}


class Work:
    def __init__(self, folder, name, seed, count):
        self.own = f"{folder}/{name}.jsonl"
        self.other_side = f"{folder}/charges.jsonl"
        self.name = f"{name}-{os.getpid()}"
        known = is_new(self.own)
        self.keys = [key for number in range(count) if (key := f"order-{number}") not in known]
        random.Random(f"{seed}{os.getpid()}").shuffle(self.keys)

    def charged(self, key, given):
        say(self.other_side, key=key, given=given)
        return given

    def told(self, key, response):
        say(self.own, key=key, response=repr(response))


def blocking(db, work, key):
    with db.idempotent(key, **options(key)) as op:
        if not op.replayed:
            given = op.step("charge", lambda given: work.charged(key, given))
            with op.transaction() as tx:
                tx.update(Effect, key, Effect.count.add(1), upsert=True)
            op.respond(answer(key, given, work.name))
    work.told(key, op.response)


async def coroutine(db, work, key):
    async with db.idempotent(key, **options(key)) as op:
        if not op.replayed:
            given = await op.step("charge", lambda given: work.charged(key, given))
            with op.transaction() as tx:
                tx.update(Effect, key, Effect.count.add(1), upsert=True)
            op.respond(answer(key, given, work.name))
    work.told(key, op.response)


def run_blocking(settings, work):
    from concurrent.futures import ThreadPoolExecutor

    with DB(settings) as db, ThreadPoolExecutor(AT_ONCE) as pool:

        def one(key):
            while True:
                try:
                    return blocking(db, work, key)
                except DynamORMError:
                    continue

        list(pool.map(one, work.keys))


async def run_asyncio(settings, work):
    async with AsyncDB(settings) as db:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(key):
            async with places:
                while True:
                    try:
                        return await coroutine(db, work, key)
                    except DynamORMError:
                        continue

        await asyncio.gather(*map(one, work.keys))


if __name__ == "__main__":
    face, endpoint, prefix, folder, name, seed, count = sys.argv[1:]
    settings, work = config(endpoint, prefix), Work(folder, name, seed, int(count))
    if face == "blocking":
        run_blocking(settings, work)
    else:
        asyncio.run(run_asyncio(settings, work))
