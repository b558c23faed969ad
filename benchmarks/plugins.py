"""What a plugin adds to a call: DynamORM without one, with one that observes, and with one around each call, in turn.

All three live in one process, for two processes differ by more than the 2 µs that are looked for.

``python -m benchmarks.plugins ENDPOINT ROUNDS`` is the child that measures.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from time import process_time
from typing import Any

from benchmarks.child import ROOT, environment
from benchmarks.libraries import PLUGGED
from benchmarks.ratios import sure

PLAIN = "dynamorm"
WORKS = ("get", "put")
BLOCK = 100
"""Operations in a row: about 10 ms, so that a round of all three sees the same machine."""
TIMEOUT = 300
Extra = dict[str, dict[str, list[float]]]
"""By work and plugin: the µs of CPU more per operation, pair by pair."""


def measure(endpoint: str, *, rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """So many pairs of blocks, in a child: what is added under ``extra``, and whether the generated code is the same.

    Raises RuntimeError with the end of what the child complains of.
    """
    tell(f"{rounds} pairs")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.plugins", endpoint, str(rounds)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=TIMEOUT,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError((ran.stderr.strip().splitlines() or [f"it ended with status {ran.returncode}"])[-1])
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def pairs(operations: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """The µs that each operation takes more than the plain one, round by round; the order turns."""
    extra: dict[str, list[float]] = {name: [] for name in operations if name != PLAIN}
    for cpu in turns(operations, rounds):
        for name, found in extra.items():
            found.append(cpu[name] - cpu[PLAIN])
    return extra


def turns(
    operations: dict[str, Callable[[], Any]], rounds: int, *, collected_every: int = 1
) -> Iterator[dict[str, float]]:
    """The µs of CPU of each operation, round by round, whose order turns; garbage is collected between rounds alone."""
    names = list(operations)
    for operation in operations.values():
        _block(operation)
    gc.collect()
    gc.disable()  # a collection would fall on one of them
    try:
        for turn in range(rounds):
            at = turn % len(names)
            yield {name: _block(operations[name]) for name in names[at:] + names[:at]}
            if turn % collected_every == 0:
                gc.collect()
    finally:
        gc.enable()


def _block(operation: Callable[[], Any]) -> float:
    start = process_time()
    for _ in repeat(None, BLOCK):
        operation()
    return (process_time() - start) / BLOCK * 1e6


def rows(extra: Extra) -> list[list[str]]:
    """The table's rows: the median of the differences, and how sure it is."""
    return [[entry.title, *(_cell(extra[work][entry.name]) for work in extra)] for entry in PLUGGED]


def _cell(values: list[float]) -> str:
    low, middle, high = sure(values)
    return f"{middle:+.1f} ({low:+.1f}…{high:+.1f})"


def source(library: Any) -> str:
    """The code that is generated for the payment, with whatever plugins the library's database has."""
    return library.db._session.registry.codec(library.model).source  # type: ignore[no-any-return]  # noqa: SLF001 - its text is not exported


def main() -> None:
    """Measure as a child, and print the differences."""
    from benchmarks.libraries.dynamorm_plugins import Plugged, observed, surrounded

    endpoint, rounds = sys.argv[1], int(sys.argv[2])
    libraries = {PLAIN: Plugged(endpoint, ()), "observed": observed(endpoint), "surrounded": surrounded(endpoint)}
    extra = {
        work: pairs({name: getattr(library, work)() for name, library in libraries.items()}, rounds) for work in WORKS
    }
    print(json.dumps({"extra": extra, "same_source": len({source(one) for one in libraries.values()}) == 1}))
    for library in libraries.values():
        library.close()


if __name__ == "__main__":
    main()
