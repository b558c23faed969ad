"""Processes that deliver once what is due, as jobs of a timer do, and end: each may be killed at any moment.

``python outbox_worker.py FACE ENDPOINT PREFIX FILE LEASE`` begins one for each line that it reads, and writes its id. They are
forked, so that a job begins at once on a machine that has other work, too. A job writes a line to FILE when a delivery begins, and one
when it has ended. Of a job that has ended, its id, what it ended with, and when it began and ended are written to ``FILE.ended``. At
SIGUSR1 a job writes where it stands to ``FILE.ID``.
"""

import asyncio
import faulthandler
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from dynamorm import DB, AsyncDB, HighThroughput, Presets
from dynamorm.payments import Outbox
from tests.support import lines

LIMIT = 40
"""Attempts of one job."""
FAILS = 0.02
"""The share of deliveries that fail. The first time the library says when the next one is; then it is the receiver."""


def say(path, **what):
    """One line, by whom and when."""
    with Path(path).open("ab", buffering=0) as file:
        lines.write(file.fileno(), {**what, "by": os.getpid(), "at": time.time()})


def config(endpoint, prefix):
    performance = HighThroughput(request_timeout=10)
    return Presets.local_development(endpoint=endpoint, table_prefix=prefix, performance=performance)


class Watched(Outbox):
    """Notes in ``FILE.leases`` which key it asks for, and that it does not get it: a killed process holds the one of its last line."""

    path: str

    def _leased(self, key, me):
        say(f"{self.path}.leases", key=key, asks=True)
        queue = yield from super()._leased(key, me)
        if queue is None:
            say(f"{self.path}.leases", key=key, asks=False)
        return queue


def deliver_once(face, endpoint, prefix, path, lease):
    """What one job does."""
    Watched.path = path

    def begun(event):
        say(path, is_begin=True, key=event.key, seq=event.seq, id=event.id, body=event.body.decode())

    def ended(event):
        fails = random.random() < FAILS
        say(path, is_begin=False, key=event.key, seq=event.seq, id=event.id, attempt=event.attempts + 1, fails=fails)
        if not fails:
            return 200
        return (503, {"retry-after": "2"}) if event.attempts else 503

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
            await Watched(db, lease=lease).run(delivered, limit=LIMIT)

    if face == "blocking":
        with DB(config(endpoint, prefix)) as db:
            Watched(db, lease=lease).run(deliver, limit=LIMIT)
    else:
        asyncio.run(main())


def forked(job, path):
    """The id of a process that does this job and ends, with 0 if nothing was raised."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        faulthandler.register(signal.SIGUSR1, file=Path(f"{path}.{os.getpid()}").open("w"))  # noqa: SIM115 - to its end
        random.seed()
        job()
        code = 0
    except BaseException:  # noqa: BLE001 - a fork ends here
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def note_ended(path, began):
    """Note the jobs that have ended since."""
    while True:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process == 0:
            return
        with Path(f"{path}.ended").open("ab", buffering=0) as file:
            file.write(f"{process} {os.waitstatus_to_exitcode(status)} {began[process]} {time.time()}\n".encode())


if __name__ == "__main__":
    face, endpoint, prefix, path, lease = sys.argv[1:]
    began = {}
    while True:
        note_ended(path, began)
        if select.select([0], [], [], 0.02)[0]:
            if not os.read(0, 1):
                break
            at = time.time()
            process = forked(lambda: deliver_once(face, endpoint, prefix, path, float(lease)), path)
            began[process] = at
            os.write(1, f"{process}\n".encode())
