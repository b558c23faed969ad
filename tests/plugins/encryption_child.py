"""A process of its own that is killed while it makes keys or rewrites items: ``python -m tests.plugins.encryption_child``.

Arguments: endpoint, prefix, file of keys, what to do, at which write it is killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

from dynamorm import DB, Attr, Encrypted, LocalKeyProvider, Model, Presets, Unique, attr, partition_key, version
from dynamorm.plugins import EncryptionPlugin


class Card(Model, table="killed-cards"):
    token: Attr[str] = partition_key()
    number: Attr[str | None] = attr(Encrypted("pci", searchable=True), Unique(), default=None)
    version: Attr[int] = version()


class Killing:
    """Kills the process at the n-th request that writes: before it is sent, or after its answer."""

    name = "killing"

    def __init__(self, at: int, *, after: bool) -> None:
        self.left = at
        self.after = after

    def around(self, call: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        def through(op: Any) -> Any:
            if not op.writes:
                return (yield from call(op))
            self.left -= 1
            if self.left <= 0 and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = yield from call(op)
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return through


def main(endpoint: str, prefix: str, file: str, what: str, at: str) -> None:
    """Do it, and be killed."""
    with DB(Presets.local_development(endpoint=endpoint, table_prefix=prefix)) as db:
        db.use(EncryptionPlugin(LocalKeyProvider(file)), Killing(int(at.rstrip("+")), after=at.endswith("+")))
        if what == "create":
            db.create(Card(token="first", number="first"))
        else:
            db.keys.reencrypt(Card)


if __name__ == "__main__":
    main(*sys.argv[1:])
