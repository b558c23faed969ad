"""``python -m benchmarks.engine_canned``: the library on the engine in its process, beside the canned server, which only sends bytes.

The same verbs on the same items, in turns; processor time all told, that of the server's process too. The least of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import payload, sample
from benchmarks.libraries.dynamorm_models import payment_model, settings
from benchmarks.libraries.dynamorm_sync import DynamORM
from benchmarks.server import Server
from dynamorm import DB
from dynamorm.engine import Engine

VERBS = {"get": 50, "put": 50, "query-100": 5, "transaction-10": 10}
"""How often each is done in a round: short ones, so that some of them are not disturbed."""
ROUNDS = 100


class _InProcess(DynamORM):
    """The same work on an engine in this process."""

    def __init__(self, engine: Engine, endpoint: str) -> None:
        super().__init__(endpoint)
        self.db.close()
        self.db = DB(settings(endpoint).replace(endpoint=None, engine=engine))
        for model in (self.model, payment_model("payments-100")):
            self.db.tables.create(model)
            self.db.batch_write(puts=[sample.payment_of(model, number) for number in range(100)])


def _clock(server: Server) -> Callable[[], float]:
    """The processor time of this process and of the server's."""
    told = Path(f"/proc/{server.pid}/schedstat")
    return lambda: time.process_time() + int(told.read_text().split()[0]) / 1e9


def figures() -> dict[str, tuple[float, float]]:
    """Microseconds by verb: on the canned server, and in the process."""
    found: dict[str, tuple[float, float]] = {}
    with (
        Server(payload.routes()) as server,
        Engine() as engine,
        closing(DynamORM(server.endpoint)) as canned,
        closing(_InProcess(engine, server.endpoint)) as inside,
    ):
        clock = _clock(server)
        for verb, count in VERBS.items():
            works = [_work(library, verb) for library in (canned, inside)]
            least = [float("inf")] * 2
            for _ in range(ROUNDS):
                for at, work in enumerate(works):
                    work()  # what the other one has driven out of the caches comes back
                    begun = clock()
                    for _ in range(count):
                        work()
                    least[at] = min(least[at], (clock() - begun) / count)
            found[verb] = least[0] * 1e6, least[1] * 1e6
    return found


def _work(library: DynamORM, verb: str) -> Callable[[], Any]:
    name, _, count = verb.partition("-")
    method: Any = getattr(library, name)
    work: Callable[[], Any] = method(int(count)) if name == "query" else method()
    return work


def main() -> None:
    """Print both figures of each verb, and how they compare."""
    for verb, (canned, inside) in figures().items():
        print(f"{verb:16} canned server {canned:8.1f} µs   in process {inside:8.1f} µs   {inside / canned:.2f} x")


if __name__ == "__main__":
    main()
