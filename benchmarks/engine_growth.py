"""Whether a call costs at many items what it costs at few: ``python -m benchmarks.engine_growth [ITEMS] [--file]``.

Two engines in this process, one with 1,000 items and one with many, are asked in turns, with keys drawn at random: the library's own
verbs, engine included. A hundred items in each partition, then all in one. Processor time, the least of many short rounds.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.engine_cpu import Payment, filled, verbs
from dynamorm import DB, Config
from dynamorm.engine import Engine

FEW = 1_000
BOUND = 1.25
"""How many times as much a call may cost at a million items."""


def apart(number: int) -> tuple[str, int]:
    """The key of an item: a hundred in each partition."""
    return f"k{number // 100}", number % 100


def together(number: int) -> tuple[str, int]:
    """The key of an item: all in one partition."""
    return "k", number


def _verbs(db: DB) -> dict[str, tuple[Callable[[str, int], Any], int]]:
    """The usual ones, and one that takes a key out of the order and puts it in again, somewhere in the middle."""

    def anew(pk: str, sk: int) -> None:
        payment = db.get(Payment, pk, sk)
        db.delete(Payment, pk, sk)
        ordered = db.model(Payment).where(Payment.pk == pk, Payment.sk >= sk).limit(1)
        ordered.all()
        db.put(payment)
        ordered.all()

    return verbs(db) | {"out and in again": (anew, 20)}


def growth(
    items: int, key: Callable[[int], tuple[str, int]], *, rounds: int = 60, folder: Path | None = None
) -> dict[str, tuple[float, float]]:
    """Microseconds by verb: at 1,000 items, and at many."""
    rng = random.Random(1)
    counts = FEW, items
    with ExitStack() as stack:
        sides = []
        for count in counts:
            engine = stack.enter_context(Engine(None if folder is None else folder / f"{count}.db"))
            filled(engine, count, key)
            sides.append(_verbs(stack.enter_context(DB(Config(engine=engine)))))
        found: dict[str, tuple[float, float]] = {}
        for name in sides[0]:
            least = [float("inf")] * 2
            for _ in range(rounds):
                for at, side in enumerate(sides):
                    work, times = side[name]
                    keys = [key(rng.randrange(counts[at])) for _ in range(times + 2)]
                    for one in keys[:2]:  # what the other side has driven out of the caches comes back
                        work(*one)
                    begun = time.process_time()
                    for one in keys[2:]:
                        work(*one)
                    least[at] = min(least[at], (time.process_time() - begun) / times)
            found[name] = least[0] * 1e6, least[1] * 1e6
    return found


def main() -> None:
    """Print both figures of each verb, and how they compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_growth", description=__doc__)
    parser.add_argument("items", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--file", action="store_true", help="of an engine with a file")
    asked = parser.parse_args()
    for title, key in (("100 in a partition", apart), ("all in one partition", together)):
        with tempfile.TemporaryDirectory() as folder:
            found = growth(asked.items, key, folder=Path(folder) if asked.file else None)
        for name, (few, many) in found.items():
            print(
                f"{title:22} {name:18} {FEW:,} items {few:8.1f} µs   {asked.items:,} items {many:8.1f} µs   {many / few:.2f} x",
                flush=True,
            )


if __name__ == "__main__":
    main()
