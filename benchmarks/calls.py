"""Counts the Python and C calls that each verb makes: a figure that is the same on every machine.

Times tell how fast something is, here and today; the number of calls tells that nothing was added. The verbs run without
network: a scripted driver hands them their replies. ``tests/call_budget.json`` holds the numbers, and a test compares.

``python -m benchmarks.calls`` prints them, ``python -m benchmarks.calls --update`` stores them for this version of
Python (versions differ: 3.12 makes no call for a comprehension).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks import payload, sample
from benchmarks.libraries.dynamorm_models import payment_model, settings
from benchmarks.libraries.dynamorm_plugins import Around, Observing
from dynamorm import DB
from dynamorm.effects import Call, Flow, Gather, Reply, Send
from dynamorm.testing import reply

STORE = Path(__file__).parent.parent / "tests" / "call_budget.json"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
ITEMS = 10
"""Items of the query."""
REPEATS = 7
"""The fewest calls of so many runs count: now and then a run meets the next second, and prepares its signature."""

Counts = dict[str, int]


class Scripted:
    """A driver that answers every request with one reply."""

    def __init__(self, answer: Reply) -> None:
        self.answer = answer

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow to its end."""
        try:
            effect = next(flow)
            while True:
                if effect.__class__ is Send:
                    effect = flow.send(self.answer)
                elif isinstance(effect, Gather):  # one after the other: threads would count for the driver
                    effect = flow.send([self.run(one) for one in effect.flows])
                elif isinstance(effect, Call):  # the first call of a database loads its credentials
                    effect = flow.send(effect.sync())
                else:
                    raise AssertionError(f"not expected of a verb that succeeds: {effect!r}")
        except StopIteration as stop:
            return stop.value

    def close(self) -> None:
        """Nothing is open."""


def count(operation: Callable[[], Any]) -> Counts:
    """The calls that an operation makes: of Python functions (each resumption of a generator too) and of C functions."""
    python = c = 0

    def note(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal python, c
        if event == "call":
            python += 1
        elif event == "c_call":
            c += 1

    sys.setprofile(note)
    try:
        operation()
    finally:
        sys.setprofile(None)
    return {"python": python - 1, "c": c - 1}  # the operation itself, and the end of counting


def verbs() -> dict[str, Counts]:
    """The calls of every verb."""
    model = payment_model("payments")
    stored = payload.stored_payment(1, "nanos")
    found = reply({"Item": stored})
    empty = reply({})
    page = reply({"Items": [payload.stored_payment(n, "nanos") for n in range(ITEMS)], "Count": ITEMS})
    items = [payload.stored_payment(n, "nanos") for n in range(ITEMS)]
    many = reply({"Responses": {"nanos-payments": items}, "UnprocessedKeys": {}})
    key = (sample.MERCHANT, "payment-00000001")

    def loaded(db: DB) -> Any:
        return _with(db, found).get(model, *key)

    def save(db: DB) -> Callable[[], Any]:
        one = loaded(db)
        one.amount += 1
        return lambda: db.save(one)

    def update(db: DB) -> Callable[[], Any]:
        one = loaded(db)
        return lambda: db.update(one, model.status.set("done"), model.amount.set(5))

    def delete(db: DB) -> Callable[[], Any]:
        one = loaded(db)
        return lambda: db.delete(one)

    def create(db: DB) -> Callable[[], Any]:
        one = sample.payment_of(model, 1)
        return lambda: db.create(one)

    def put(db: DB) -> Callable[[], Any]:
        one = sample.payment_of(model, 1)
        return lambda: db.put(one)

    def put_again(db: DB) -> Callable[[], Any]:
        one = loaded(db)
        return lambda: db.put(one)

    def batch_get(db: DB) -> Callable[[], Any]:
        keys = [(sample.MERCHANT, sample.name(n)) for n in range(ITEMS)]
        return lambda: db.batch_get(model, keys)

    def batch_write(db: DB) -> Callable[[], Any]:
        items = [sample.payment_of(model, n) for n in range(ITEMS)]
        return lambda: db.batch_write(puts=items)

    def transaction(db: DB) -> Callable[[], Any]:
        items = [sample.payment_of(model, n) for n in range(ITEMS)]

        def write() -> None:
            with db.transaction() as one:
                for item in items:
                    one.put(item)

        return write

    plans: dict[str, tuple[Any, Callable[[DB], Callable[[], Any]]]] = {
        "get": (found, lambda db: lambda: db.get(model, *key)),
        "require": (found, lambda db: lambda: db.require(model, *key)),
        "exists": (found, lambda db: lambda: db.exists(model, *key)),
        "create": (empty, create),
        "put, new": (empty, put),
        "put, loaded": (empty, put_again),
        "save": (empty, save),
        "update, object": (reply({"Attributes": stored}), update),
        "delete, object": (empty, delete),
        "delete, key": (empty, lambda db: lambda: db.delete(model, *key)),
        f"batch get of {ITEMS}": (many, batch_get),
        f"batch write of {ITEMS}": (reply({"UnprocessedItems": {}}), batch_write),
        f"transaction of {ITEMS}": (empty, transaction),
        "count": (
            reply({"Count": ITEMS, "ScannedCount": ITEMS}),
            lambda db: lambda: db.model(model).where(model.merchant_id == key[0]).count(),
        ),
        f"query of {ITEMS}": (page, lambda db: lambda: db.model(model).where(model.merchant_id == key[0]).all()),
    }
    found = {name: _fewest(answer, prepare) for name, (answer, prepare) in plans.items()}
    for title, plugin in (("observed", Observing), ("surrounded", Around)):
        for verb in ("get", "put, new"):
            found[f"{verb}, {title}"] = _fewest(*plans[verb], extensions=(plugin(),))
    return found


def _with(db: DB, answer: Any) -> DB:
    """The same database, from now on answered so."""
    db._io = Scripted(answer)  # type: ignore[assignment]  # noqa: SLF001 - the network is replaced
    return db


def _fewest(answer: Any, prepare: Callable[[DB], Callable[[], Any]], extensions: tuple[Any, ...] = ()) -> Counts:
    """The fewest calls of several runs, each on an object of its own; the first run warms up."""
    with DB(settings("http://127.0.0.1:9"), extensions=extensions) as db:
        runs = []
        bucket = db._session.channel.bucket  # noqa: SLF001 - one for the endpoint, and the process may have drawn on it
        for _ in range(REPEATS):
            bucket.tokens = bucket.capacity
            operation = prepare(db)
            _with(db, answer)
            runs.append(count(operation))
    return {kind: min(run[kind] for run in runs[1:]) for kind in ("python", "c")}


def stored() -> dict[str, dict[str, Counts]]:
    """The stored numbers, by version of Python and verb."""
    return json.loads(STORE.read_text()) if STORE.exists() else {}


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calls", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="store what is counted now")
    parser.add_argument("--add", action="store_true", help="store what has no number yet, and leave the others")
    asked = parser.parse_args()
    now, known = verbs(), stored()
    for name, counts in now.items():
        before = known.get(VERSION, {}).get(name)
        change = "" if before is None else f"   stored: {before['python']:4} Python, {before['c']:4} C"
        print(f"{name:21} {counts['python']:4} Python, {counts['c']:4} C{change}")
    if asked.update or asked.add:
        known[VERSION] = now if asked.update else now | known.get(VERSION, {})
        STORE.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n")


if __name__ == "__main__":
    main()
