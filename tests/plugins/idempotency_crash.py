"""One operation in a process that kills itself at a point: ``python idempotency_crash.py FACE ENDPOINT PREFIX FOLDER KEY MOMENT NUMBER``.

``MOMENT`` is ``before`` or ``after``, and ``NUMBER`` that of the request (1: acquire, 2: the step begins, 3: it has ended, 4: commit): before it
is sent, or when its answer has come and nobody has read it. ``none 0`` kills nobody.
"""

import asyncio
import os
import signal
import sys

from dynamorm import DB, AsyncDB
from tests.plugins.idempotency_worker import Work, blocking, config, coroutine


class Killer:
    """Kills the process at a request."""

    name = "killer"

    def __init__(self, moment, number):
        self.moment, self.number, self.count = moment, number, 0

    def admit(self, call):
        self.count += 1
        self.strike("before")

    def observed(self, call, reply, error):
        self.strike("after")

    def strike(self, moment):
        if (moment, self.count) == (self.moment, self.number):
            os.kill(os.getpid(), signal.SIGKILL)


async def run_asyncio(settings, killer, work, key):
    async with AsyncDB(settings, extensions=(killer,)) as db:
        await coroutine(db, work, key)


if __name__ == "__main__":
    face, endpoint, prefix, folder, key, moment, number = sys.argv[1:]
    killer, work = Killer(moment, int(number)), Work(folder, key, 0, 0)
    if face == "blocking":
        with DB(config(endpoint, prefix), extensions=(killer,)) as db:
            blocking(db, work, key)
    else:
        asyncio.run(run_asyncio(config(endpoint, prefix), killer, work, key))
