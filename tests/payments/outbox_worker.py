"""A process that delivers once what is due, as a job of a timer does, and ends: it may be killed at any moment.

``python outbox_worker.py FACE ENDPOINT PREFIX FILE LEASE``. It writes a line when a delivery begins, and one when it has ended.
"""

import asyncio
import json
import os
import random
import sys
import time
from pathlib import Path

from dynamorm import DB, AsyncDB, HighThroughput, Presets
from dynamorm.payments import Outbox


def say(path, **what):
    """One line, which is there whole or not at all."""
    with Path(path).open("ab", buffering=0) as file:
        file.write(json.dumps({**what, "by": os.getpid(), "at": time.time()}).encode() + b"\n")


def config(endpoint, prefix):
    performance = HighThroughput(request_timeout=10)
    return Presets.local_development(endpoint=endpoint, table_prefix=prefix, performance=performance)


if __name__ == "__main__":
    face, endpoint, prefix, path, lease = sys.argv[1:]

    def begun(event):
        say(path, is_begin=True, key=event.key, seq=event.seq, id=event.id, body=event.body.decode())

    def ended(event):
        say(path, is_begin=False, key=event.key, seq=event.seq, id=event.id)
        return 503 if random.random() < 0.02 else 200

    def deliver(event):
        begun(event)
        time.sleep(0.05)
        return ended(event)

    async def delivered(event):
        begun(event)
        await asyncio.sleep(0.05)
        return ended(event)

    async def main():
        async with AsyncDB(config(endpoint, prefix)) as db:
            await Outbox(db, lease=float(lease)).run(delivered, limit=40)

    if face == "blocking":
        with DB(config(endpoint, prefix)) as db:
            Outbox(db, lease=float(lease)).run(deliver, limit=40)
    else:
        asyncio.run(main())
