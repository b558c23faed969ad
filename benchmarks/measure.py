"""Runs the workers in turn and gathers their figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import sample
from benchmarks.libraries import BY_NAME
from benchmarks.work import Work

ROOT = Path(__file__).parent.parent
HOLD = 20
"""Results of 1,000 items that are held at once to see what one takes."""
MANY, FEW = 10_000, 2
"""Rounds of a query of so many items: the largest takes some libraries 20 seconds, long enough to be steady."""
PATIENCE = 300
"""Seconds for one round of one piece of work; the longest is a whole scan, more than a minute."""

Figures = dict[str, dict[str, dict[str, Any]]]
"""By work and library: the figure of each round under ``cpu`` and ``wall``, or a reason under ``error``."""
Tell = Callable[[str], None]


def environment(source: Path | None = None) -> dict[str, str]:
    """What the children see: made-up credentials, and nothing of a real account."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DYNAMO"))}
    paths = [*([str(source)] if source else []), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return keep | {
        "AWS_ACCESS_KEY_ID": sample.KEY_ID,
        "AWS_SECRET_ACCESS_KEY": sample.SECRET,
        "AWS_DEFAULT_REGION": sample.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONPATH": os.pathsep.join(paths),
    }


class Worker:
    """A child that measures one library. ``problem`` says why it cannot, if it cannot.

    ``source`` is a folder to import from before all others, ``interpreter`` another Python, which finds us in the
    source tree.
    """

    def __init__(
        self, library: str, endpoint: str, *, source: Path | None = None, interpreter: Path | None = None
    ) -> None:
        if interpreter is not None:
            source = ROOT / "src"
        self.problem: str | None = None
        self._process = subprocess.Popen(
            [str(interpreter or sys.executable), "-W", "ignore", "-m", "benchmarks.worker", library, endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(source),
        )
        self._answer()

    def ask(self, work: Work, **order: Any) -> dict[str, Any]:
        """Have it do a piece of work."""
        return self.order({"work": work.name, "items": work.items, **order})

    def order(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have it do something."""
        if self.problem is not None:
            return {"error": self.problem}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        watchdog = threading.Timer(PATIENCE, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        if line:
            return json.loads(line)  # type: ignore[no-any-return]
        last = self._process.stderr.read().strip().splitlines()
        self.problem = last[-1] if last else f"it ended, or gave no answer within {PATIENCE} s"
        return {"error": self.problem}

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


def operations(
    endpoint: str,
    libraries: list[str],
    works: Iterable[Work],
    *,
    rounds: int,
    seconds: float,
    tell: Tell,
    interpreter: Path | None = None,
) -> Figures:
    """Every work with every library, round after round, each round in another order."""
    workers = {library: Worker(library, endpoint, interpreter=interpreter) for library in libraries}
    figures: Figures = {}
    try:
        for work in works:
            tell(work.title)
            found = figures[work.name] = {library: {"cpu": [], "wall": []} for library in libraries}
            for turn in range(min(rounds, FEW if work.items >= MANY else rounds)):
                at = turn % len(libraries)
                for library in libraries[at:] + libraries[:at]:
                    _add(found[library], workers[library].ask(work, seconds=seconds) if _going(found[library]) else {})
    finally:
        for worker in workers.values():
            worker.close()
    return {
        work: {name: one for name, one in found.items() if "unsupported" not in one} for work, found in figures.items()
    }


def _going(figure: dict[str, Any]) -> bool:
    return "error" not in figure and "unsupported" not in figure


def _add(figure: dict[str, Any], answer: dict[str, Any]) -> None:
    for name, value in answer.items():
        if name in ("cpu", "wall"):
            figure[name].append(value)
        elif name in ("error", "unsupported"):
            figure[name] = value


def memory(endpoint: str, libraries: list[str], work: Work, *, warm: Work, tell: Tell) -> dict[str, dict[str, Any]]:
    """Bytes per result of ``work``, each library in a fresh process that has done ``warm`` before."""
    found = {}
    for library in libraries:
        tell(f"memory, {library}")
        worker = Worker(library, endpoint)
        try:
            worker.ask(warm, seconds=0.1)
            found[library] = worker.ask(work, hold=HOLD)
        finally:
            worker.close()
    return {library: one for library, one in found.items() if "unsupported" not in one}


def startup(endpoint: str, libraries: list[str], *, runs: int, tell: Tell) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of import, and of import and first get, in fresh interpreters; one unmeasured run comes first."""
    found: dict[str, dict[str, list[float]]] = {library: {} for library in libraries}
    for turn in range(runs + 1):
        tell(f"start, run {turn}")
        for library in libraries:
            entry = BY_NAME[library]
            command = [sys.executable, "-W", "ignore", str(ROOT / "benchmarks" / "startup_child.py")]
            arguments = [entry.statement, f"benchmarks.libraries.{entry.module}", endpoint, str(ROOT)]
            ran = subprocess.run(
                [*command, *arguments], capture_output=True, text=True, env=environment(), timeout=60, check=False
            )
            for line in ran.stdout.splitlines() if turn and not ran.returncode else ():
                label, wall, cpu = line.rsplit(" ", 2)
                found[library].setdefault(f"{label}, wall", []).append(float(wall))
                found[library].setdefault(f"{label}, cpu", []).append(float(cpu))
    return {library: one for library, one in found.items() if one}


def middle(values: list[float]) -> float:
    """The median.

    Example: ``middle([3.0, 1.0, 2.0]) == 2.0``
    """
    return median(values)
