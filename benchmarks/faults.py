"""What each library makes of a lost or wrong reply: measured, beside the speed, in the same run.

A real engine stands behind a server that spoils the first reply of each trial and is honest from then on. What became of
the item is read from the engine itself, past the library. Three things are tried:

* ``add``: 1 is added to a number. The engine applies it, and the connection is reset in place of the reply. A library that
  sends it again has added 2.
* ``create``: an item is stored unless there is one. The engine stores it, and the reply says 500. A library that sends it
  again is refused by its own item, and reports a conflict that never was.
* ``read``: the reply to a get carries another number than is stored, and a checksum that shows it.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import payload, sample
from benchmarks.child import Worker
from benchmarks.engines import Direct
from benchmarks.libraries import BY_NAME
from dynamorm.testing import Answer, EngineBackend, FaultServer, Ministack, Request, answers

TRIALS = 3
"""Of each kind, by each library. What they do is the same each time; a different outcome would show."""
WARM = 0
"""The trial whose reply is honest: it opens the connection, and shows that the library can do it at all."""
KINDS = ("add", "create", "read")
ROOM = 10
"""Numbers of payments for one library's trials of one kind."""
WRONG = 7_777_777
"""The amount that the reply with the wrong checksum tells."""
CONFLICTS = re.compile(
    r"ConditionalCheckFailed|conditional request failed|AlreadyExists|ConditionFailed|ConditionCheckFailed",
    re.IGNORECASE,
)
OPERATIONS = {
    "add": ("UpdateItem", "TransactWriteItems"),
    "create": ("PutItem", "UpdateItem", "TransactWriteItems"),
    "read": ("GetItem", "Query", "BatchGetItem"),
}
"""By kind: the operations whose first reply is spoilt."""
_NUMBER = re.compile(rb"payment-(\d{8})")

Outcomes = dict[str, dict[str, Counter[str]]]
"""By library and kind: how often what came of it."""


class Trial(NamedTuple):
    """One thing that is tried: by whom, of which kind, for the how many-th time, with which payment."""

    library: str
    kind: str
    turn: int
    number: int


def trials(libraries: list[str]) -> dict[int, Trial]:
    """Every trial by the number of its payment, by which the server knows it."""
    found = [
        Trial(library, kind, turn, (1 + at * len(KINDS) + KINDS.index(kind)) * ROOM + turn)
        for at, library in enumerate(libraries)
        for kind in KINDS
        for turn in range(TRIALS + 1)
    ]
    return {trial.number: trial for trial in found}


def flavour(library: str) -> str:
    """How a library stores times, which begins its tables' names."""
    return "nanos" if library.startswith("dynamorm") else "offset" if library == "pynamodb" else "iso"


class Spoiler:
    """The server's script: spoils the first reply of each trial but the warm ones."""

    def __init__(self, plan: dict[int, Trial]) -> None:
        self._waiting = {number: trial for number, trial in plan.items() if trial.turn != WARM}

    def __call__(self, request: Request) -> Answer | None:
        named = _NUMBER.search(request.body)
        trial = self._waiting.get(int(named[1])) if named else None
        if trial is None or request.operation not in OPERATIONS[trial.kind]:
            return None
        del self._waiting[trial.number]
        if trial.kind == "add":
            return answers.reset().applied()
        if trial.kind == "create":
            return answers.error("InternalServerError", 500, "made up").applied()
        wrong = payload.stored_payment(trial.number, flavour(trial.library)) | {"amount": {"N": str(WRONG)}}
        return answers.json({"Item": wrong}, crc="bad")

    def unmet(self, library: str, kind: str) -> bool:
        """Whether a library asked in a way that was never spoilt: then nothing can be said about it."""
        return any(trial.library == library and trial.kind == kind for trial in self._waiting.values())


def store(engine: Direct, trial: Trial) -> None:
    """Store the payment of a trial."""
    engine.store(trial.number, flavour(trial.library))


def amount(engine: Direct, trial: Trial) -> int | None:
    """The amount that is stored, None when nothing is."""
    key = {"merchant_id": {"S": sample.MERCHANT}, "id": {"S": sample.name(trial.number)}}
    body = {"TableName": f"{flavour(trial.library)}-payments", "Key": key, "ConsistentRead": True}
    item = engine.ask("GetItem", body).get("Item")
    return None if item is None else int(item["amount"]["N"])


def judged(trial: Trial, answer: dict[str, Any], stored: int | None) -> str:
    """What came of a trial, in words."""
    told, right = answer.get("raised"), sample.payment(trial.number)["amount"]
    if trial.kind == "read":
        if told is not None:
            return "refused with an error"
        return "right data" if answer["value"] == right else "WRONG DATA ACCEPTED"
    if trial.kind == "add":
        more = (stored or 0) - right
        if more > 1:
            return "APPLIED TWICE" if told is None else "APPLIED TWICE, error"
        what = "applied once" if more == 1 else "LOST"
        return what if told is None else f"{what}, error"
    if told is None:
        return "applied once" if stored == right else "LOST"
    return "FALSE CONFLICT" if CONFLICTS.search(told) else "applied once, error"


@contextmanager
def _workers(endpoint: str, libraries: list[str], pythons: dict[str, Path]) -> Iterator[dict[str, Worker]]:
    workers = {library: Worker(library, endpoint, interpreter=pythons.get(library)) for library in libraries}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def measure(libraries: list[str], *, tell: Callable[[str], None], pythons: dict[str, Path] | None = None) -> Outcomes:
    """Try everything with every library; all at the same time, for most of the time is spent waiting for retries.

    ``pythons`` are the interpreters of libraries that need another one.

    Raises ConfigError when the embedded engine is not installed.
    """
    libraries = [library for library in libraries if library != "floor" and library in BY_NAME]
    if not libraries:
        return {}
    plan = trials(libraries)
    spoiler = Spoiler(plan)
    tell("all libraries at the same time")
    with Ministack(services=("dynamodb",)) as process:
        engine = Direct(process.endpoint)
        engine.create_tables()
        for trial in plan.values():
            if trial.kind != "create":
                store(engine, trial)
        backend = EngineBackend(process.endpoint)
        with (
            FaultServer(spoiler, backend=backend) as server,
            _workers(server.endpoint, libraries, pythons or {}) as workers,
        ):
            found: Outcomes = {library: {kind: Counter() for kind in KINDS} for library in libraries}
            lock = threading.Lock()

            def one(library: str) -> None:
                for trial in plan.values():
                    if trial.library != library:
                        continue
                    answer = workers[library].order({"try": trial.kind, "number": trial.number})
                    with lock:
                        outcome = _outcome(trial, answer, engine)
                        if trial.turn != WARM:
                            found[library][trial.kind][outcome] += 1
                        elif outcome not in ("applied once", "right data"):
                            found[library][trial.kind][f"failed without a fault: {outcome}"] += 1

            with ThreadPoolExecutor(len(libraries)) as pool:
                list(pool.map(one, libraries))
    for library in libraries:
        for kind in KINDS:
            if spoiler.unmet(library, kind):
                found[library][kind] = Counter({"not measured": TRIALS})
    return found


def _outcome(trial: Trial, answer: dict[str, Any], engine: Direct) -> str:
    if "unsupported" in answer or "error" in answer:
        return "not measured"
    return judged(trial, answer, amount(engine, trial))
