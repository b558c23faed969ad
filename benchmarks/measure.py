"""Runs the workers in turn and gathers their figures, round by round."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.child import ROOT, Worker, environment
from benchmarks.cores import Cores
from benchmarks.libraries import BY_NAME
from benchmarks.work import Work

HOLD = 20
"""Results of 1,000 items that are held at once to see what one takes."""
FEW, LONG = 3, 30.0
"""Work on very many items has at most so many rounds, and a library no second one that would end after so many seconds
of its own: the slowest need half a minute for one pass, which is long enough to be steady."""
START_TIMEOUT = 60.0

Figures = dict[str, dict[str, dict[str, Any]]]
"""By work and library: the figure of each round under ``cpu`` and ``wall``, or a reason under ``error``. Every library
is measured in the first round and in each that follows until it stops, so figures at the same place are of one round."""
Tell = Callable[[str], None]


def operations(
    endpoint: str,
    libraries: list[str],
    works: Iterable[Work],
    *,
    rounds: int,
    seconds: float,
    tell: Tell,
    interpreter: Path | None = None,
    into: Figures | None = None,
    cores: Cores | None = None,
) -> Figures:
    """Every work with every library, round after round, each round in another order.

    A round goes through all works, so that what disturbs the machine for a while falls on one round of each, not on all
    rounds of one. ``into`` is filled while it goes on. ``cores`` tells client and server where to run.
    """
    works = list(works)
    figures: Figures = {} if into is None else into
    for work in works:
        figures[work.name] = {library: {"cpu": [], "wall": []} for library in libraries}
    most = min(rounds, FEW) if any(work.big for work in works) else rounds
    workers: dict[str, Worker] = {}
    spent: dict[tuple[str, str], list[float]] = {}
    try:
        for library in libraries:
            tell(f"starting {library}")
            workers[library] = Worker(library, endpoint, interpreter=interpreter)
        for turn in range(most):
            for at, work in enumerate(works, turn):
                tell(f"round {turn + 1} of {most}: {work.title}")
                for library in _turned(libraries, at):
                    figure, took = figures[work.name][library], spent.setdefault((work.name, library), [])
                    if "error" in figure or "unsupported" in figure or (work.big and not _affordable(took)):
                        continue
                    if cores is not None:
                        cores.place(workers[library].pid, work)
                    start = time.monotonic()
                    _add(figure, workers[library].ask(work, seconds=seconds * (2 if work.tasks > 1 else 1)))
                    took.append(time.monotonic() - start)
    finally:
        for worker in workers.values():
            worker.close()
    for work in works:
        known = figures[work.name]
        figures[work.name] = {name: one for name, one in known.items() if "unsupported" not in one}
    return figures


def _turned(libraries: list[str], at: int) -> list[str]:
    at %= len(libraries) or 1
    return libraries[at:] + libraries[:at]


def _affordable(took: list[float]) -> bool:
    """Whether another round of a long work still fits."""
    return not took or sum(took) + took[-1] <= LONG


def _add(figure: dict[str, Any], answer: dict[str, Any]) -> None:
    for name, value in answer.items():
        if name in ("cpu", "wall", "held", "peak"):
            figure.setdefault(name, []).append(value)
        elif name in ("error", "unsupported"):
            figure[name] = value


def memory(
    endpoint: str,
    libraries: list[str],
    work: Work,
    *,
    warm: Work,
    runs: int,
    tell: Tell,
    interpreter: Path | None = None,
) -> dict[str, dict[str, Any]]:
    """Bytes per result of ``work``, each library in a fresh process that has done ``warm`` before."""
    found: dict[str, dict[str, Any]] = {library: {} for library in libraries}
    for turn in range(runs):
        for library in _turned(libraries, turn):
            if "error" in found[library] or "unsupported" in found[library]:
                continue
            tell(f"run {turn + 1} of {runs}: {library}")
            worker = Worker(library, endpoint, interpreter=interpreter)
            try:
                worker.ask(warm, seconds=0.1)
                _add(found[library], worker.ask(work, hold=HOLD))
            finally:
                worker.close()
    return {library: one for library, one in found.items() if "unsupported" not in one}


def startup(
    endpoint: str, libraries: list[str], *, runs: int, tell: Tell, interpreter: Path | None = None
) -> dict[str, dict[str, Any]]:
    """Milliseconds of import, and of import and first get, in fresh interpreters; one unmeasured run comes first."""
    found: dict[str, dict[str, Any]] = {library: {} for library in libraries}
    for turn in range(runs + 1):
        tell(f"run {turn} of {runs}")
        for library in _turned(libraries, turn):
            if "error" in found[library]:
                continue
            told = _started(library, endpoint, interpreter)
            if isinstance(told, str):
                found[library]["error"] = told
                continue
            for label, value in told.items() if turn else ():
                found[library].setdefault(label, []).append(value)
    return found


def _started(library: str, endpoint: str, interpreter: Path | None) -> dict[str, float] | str:
    """What one fresh interpreter tells: milliseconds by label, or what went wrong."""
    entry = BY_NAME[library]
    # -P: the script lies among modules of ours that would hide some of the standard library's.
    command = [str(interpreter or sys.executable), "-P", "-W", "ignore", str(ROOT / "benchmarks" / "startup_child.py")]
    command += [entry.statement, f"benchmarks.libraries.{entry.module}", endpoint, str(ROOT)]
    source = None if interpreter is None else ROOT / "src"
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, env=environment(source), timeout=START_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {START_TIMEOUT:.0f} s"
    if ran.returncode:
        return (ran.stderr.strip().splitlines() or [f"it ended with status {ran.returncode}"])[-1]
    figures = {}
    for line in ran.stdout.splitlines():
        label, wall, cpu = line.rsplit(" ", 2)
        figures[f"{label}, wall"], figures[f"{label}, cpu"] = float(wall), float(cpu)
    return figures
