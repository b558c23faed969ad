"""What a plugin adds to a call: DynamORM without one, with one that observes, and with one around each call, in turn.

All three live in one process, for two processes differ by more than the 2 µs that are looked for.

``python -m benchmarks.plugins ENDPOINT ROUNDS`` is the child that measures.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from itertools import repeat
from statistics import median
from time import process_time
from typing import Any

from benchmarks import measure as measuring
from benchmarks.libraries import PLUGGED

PLAIN = "dynamorm"
WORKS = ("get", "put")
BLOCK = 100
"""Operations in a row: about 10 ms, so that a round of all three sees the same machine."""
TIMEOUT = 300
Extra = dict[str, dict[str, list[float]]]
"""By work and plugin: the µs of CPU more per operation, pair by pair."""


def measure(endpoint: str, *, rounds: int, tell: Callable[[str], None]) -> Extra:
    """So many pairs of blocks, in a child. Nothing when the child fails."""
    tell("plugins")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.plugins", endpoint, str(rounds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=measuring.ROOT,
        env=measuring.environment(),
        timeout=TIMEOUT,
        check=False,
    )
    return json.loads(ran.stdout) if ran.returncode == 0 else {}


def pairs(operations: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """The µs that each operation takes more than the plain one, round by round; the order turns."""
    names = list(operations)
    extra: dict[str, list[float]] = {name: [] for name in names if name != PLAIN}
    for operation in operations.values():
        _block(operation)
    gc.collect()
    gc.disable()  # a collection would fall on one of them
    try:
        for turn in range(rounds):
            at = turn % len(names)
            cpu = {name: _block(operations[name]) for name in names[at:] + names[:at]}
            for name, found in extra.items():
                found.append(cpu[name] - cpu[PLAIN])
            gc.collect()
    finally:
        gc.enable()
    return extra


def _block(operation: Callable[[], Any]) -> float:
    start = process_time()
    for _ in repeat(None, BLOCK):
        operation()
    return (process_time() - start) / BLOCK * 1e6


def rows(extra: Extra) -> list[list[str]]:
    """The table's rows: the median of the differences and the middle half of them."""
    return [[entry.title, *(_cell(extra[work][entry.name]) for work in extra)] for entry in PLUGGED]


def _cell(values: list[float]) -> str:
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return f"{median(ordered):+.1f} ({ordered[quarter]:+.1f}…{ordered[-1 - quarter]:+.1f})"


def main() -> None:
    """Measure as a child, and print the differences."""
    from benchmarks.libraries.dynamorm_plugins import Plugged, observed, surrounded

    endpoint, rounds = sys.argv[1], int(sys.argv[2])
    libraries = {PLAIN: Plugged(endpoint, ()), "observed": observed(endpoint), "surrounded": surrounded(endpoint)}
    extra = {
        work: pairs({name: getattr(library, work)() for name, library in libraries.items()}, rounds) for work in WORKS
    }
    print(json.dumps(extra))
    for library in libraries.values():
        library.close()


if __name__ == "__main__":
    main()
