"""A process of its own that is killed while it writes large values: ``python -m tests.plugins.offload_child``.

Arguments: endpoint, prefix of tables, endpoint of S3, file of acknowledgements, what kills it, at which time. With ``random`` it writes until
somebody else kills it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from dynamorm import DB, Attr, Model, Presets, attr, partition_key, version
from dynamorm.plugins import Offload, Offloaded
from dynamorm.plugins.offload.store import S3
from tests.support.s3 import client_of

SIZE = 16
"""Bytes of one acknowledgement: the item's number and the write's, so that no half of one is taken for a whole."""


class Report(Model, table="killed-reports"):
    id: Attr[str] = partition_key()
    body: Attr[str | None] = attr(Offloaded("bucket", above=50), default=None)
    number: Attr[int] = attr(default=0)
    version: Attr[int] = version()


def body_of(item: int, number: int) -> str:
    return f"{item}:{number}:" + "x" * 200


class Fatal:
    """Kills the process at the n-th time it is asked."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self) -> None:
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Store(S3):
    def __init__(self, client: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
        super().__init__(client)
        self.before, self.after = before, after

    def put(self, bucket: str, key: str, data: bytes, /) -> None:
        self.before()
        super().put(bucket, key, data)
        self.after()


class Killing:
    name = "killing"

    def __init__(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        self.before, self.after = before, after

    def around(self, call: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        def through(op: Any) -> Any:
            if not op.writes:
                return (yield from call(op))
            self.before()
            result = yield from call(op)
            self.after()
            return result

        return through


def nothing() -> None:
    """Nobody is killed here."""


def main(endpoint: str, prefix: str, s3: str, log: str, what: str, *, at: int) -> None:
    fatal = Fatal(at)
    hooks = {name: fatal if name == what else nothing for name in ("put", "put+", "write", "write+")}
    db = DB(Presets.local_development(endpoint=endpoint, table_prefix=prefix))
    db.use(Killing(hooks["write"], hooks["write+"]))
    db.use(Offload(Store(client_of(s3), hooks["put"], hooks["put+"])))
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def acknowledge(item: int, number: int) -> None:
        os.write(file, item.to_bytes(8, "big") + number.to_bytes(8, "big"))

    end = time.monotonic() + 60
    number = 0
    while time.monotonic() < end:
        number += 1
        mine = number * 4
        report = db.create(Report(id=str(mine), body=body_of(mine, 0)))
        acknowledge(mine, 0)
        report.body, report.number = body_of(mine, 1), 1
        db.save(report)
        acknowledge(mine, 1)
        with db.transaction() as tx:
            tx.update(Report, str(mine), Report.body.set(body_of(mine, 2)), Report.number.set(2))
            tx.create(Report(id=str(mine + 1), body=body_of(mine + 1, 0)))
        acknowledge(mine, 2)
        acknowledge(mine + 1, 0)
        assert db.batch_write(puts=[Report(id=str(mine + 2), body=body_of(mine + 2, 0))]).failed == []
        acknowledge(mine + 2, 0)


if __name__ == "__main__":
    _, *arguments, last = sys.argv
    main(*arguments, at=int(last))
