"""One run: its phases in their order, with a guess at how long each takes. A phase that fails takes no other with it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import engines, faults, machine, measure, newer, payload, plugins, sample
from benchmarks.cores import POSSIBLE, Cores
from benchmarks.libraries import BY_NAME, NEWER
from benchmarks.progress import Progress
from benchmarks.server import Server
from benchmarks.work import BY_NAME as WORKS
from benchmarks.work import Work

EXTRAS = ("memory", "startup", "installed", "plugins", "newer", "faults", "engines")
"""What is measured beside operations."""
PAIRS = 30
"""Pairs of blocks of the plugins for each round of the others: 2 µs are looked for in a get of 100."""
MEMORY_RUNS = 3
STARTS = 7
"""Fresh interpreters for each library, at least."""

# What a run has taken on two cores; only for telling how long it will take.
OVERHEAD, FIRST = 0.04, 0.6  # seconds of each round, and of the first beside it, per library and work
EACH_ITEM = 85e-6  # seconds of a library for an item of a large query or scan
ONE_START, ONE_MEMORY, ONE_PAIR = 0.35, 3.0, 0.07
FAULTS, ENGINES, ONE_ENVIRONMENT = 60.0, 60.0, 5.0

SUFFIX = f", CPython {newer.PYTHON}"
ENVIRONMENT = f"the environment of CPython {newer.PYTHON}"


class Plan(NamedTuple):
    """What to measure."""

    libraries: list[str]
    works: list[Work]
    extras: set[str]
    rounds: int
    seconds: float
    shared: bool = True
    """Whether client and server share a core where they take turns."""

    @property
    def small(self) -> list[Work]:
        """The work that is repeated many times."""
        return [work for work in self.works if not work.big]

    @property
    def large(self) -> list[Work]:
        """The work that is done once in a round: each is a phase of its own, in fresh processes."""
        return [work for work in self.works if work.big]

    @property
    def scan_items(self) -> int:
        """Items of the parallel scan, 0 when there is none."""
        return max((work.items for work in self.works if work.each), default=0)

    @property
    def largest_query(self) -> int:
        """Items of the largest query that is needed."""
        return max([1_000, *(work.argument or 0 for work in self.works if work.method == "query")])

    def on(self, libraries: list[str]) -> Plan:
        """The same for other libraries, on a Python of their own."""
        return self._replace(libraries=libraries, extras=self.extras & {"memory", "startup"})


def with_scan(works: list[Work], items: int) -> list[Work]:
    """The same work, with a table of so many items to scan."""
    items = items // sample.SEGMENTS * sample.SEGMENTS
    return [work._replace(items=items) if work.each else work for work in works]


def phases(plan: Plan, suffix: str = "") -> dict[str, float]:
    """The phases that every Python goes through, with the seconds that each may take."""
    many = len(plan.libraries)
    found: dict[str, float] = {}
    if plan.small:
        one = plan.rounds * (plan.seconds + OVERHEAD) + FIRST
        found[f"operations{suffix}"] = many * len(plan.small) * one
    for work in plan.large:
        rounds = min(plan.rounds, measure.FEW, max(1.0, measure.LONG / (work.items * EACH_ITEM)))
        found[f"{work.title}{suffix}"] = many * rounds * work.items * EACH_ITEM
    if "startup" in plan.extras:
        found[f"start{suffix}"] = many * (max(STARTS, plan.rounds) + 1) * ONE_START
    if "memory" in plan.extras:
        found[f"memory{suffix}"] = many * MEMORY_RUNS * ONE_MEMORY
    return found


def all_phases(plan: Plan) -> dict[str, float]:
    """Every phase of a run, with the seconds that each may take."""
    found = phases(plan)
    if "plugins" in plan.extras:
        found["plugins"] = plan.rounds * PAIRS * ONE_PAIR
    if "newer" in plan.extras:
        found[ENVIRONMENT] = ONE_ENVIRONMENT
        # these are the fast ones: a large query takes them a tenth of the time
        more = phases(plan.on(newer.names(plan.libraries)), SUFFIX)
        large = {work.title + SUFFIX for work in plan.large}
        found |= {name: guess / 10 if name in large else guess for name, guess in more.items()}
    if "faults" in plan.extras:
        found["lost and wrong replies"] = FAULTS
    if "engines" in plan.extras:
        found["real engines"] = ENGINES
    return found


def begin(plan: Plan, missing: list[str]) -> dict[str, Any]:
    """The results before anything is measured."""
    versions = {name: machine.version(BY_NAME[name].distributions[0]) for name in plan.libraries}
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine.machine("none"),
        "rounds": plan.rounds,
        "scan_items": plan.scan_items,
        "libraries": {name: {"title": BY_NAME[name].title, "version": versions[name]} for name in plan.libraries},
        "problems": {BY_NAME[name].title: "not installed" for name in missing},
        "works": {},
    }


@contextlib.contextmanager
def phase(name: str, results: dict[str, Any], tell: Progress) -> Iterator[None]:
    """A phase: what fails in it is told and noted, and what was measured before stays."""
    tell.phase(name)
    try:
        yield
    except Exception as error:  # noqa: BLE001 - what was measured before must not be lost
        results["problems"][name] = f"{type(error).__name__}: {error}"
        print(f"{name}: left out: {type(error).__name__}: {error}", file=sys.stderr)


def measured(plan: Plan, results: dict[str, Any], tell: Progress) -> None:
    """Measure everything into ``results``, which hold what is known so far at any time."""
    if "installed" in plan.extras:
        results["size"] = {name: machine.installed_size(BY_NAME[name].distributions) for name in plan.libraries}
    with Server(payload.routes(largest_query=plan.largest_query, scan_items=plan.scan_items)) as server:
        results["machine"]["server"] = server.kind
        results["machine"]["shared core"] = plan.shared and POSSIBLE
        _canned(plan, server, results, results, tell)
        if "plugins" in plan.extras and plugins.PLAIN in plan.libraries:
            with phase("plugins", results, tell):
                found = plugins.measure(server.endpoint, rounds=plan.rounds * PAIRS, tell=tell)
                results |= {"plugins": found["extra"], "same_source": found["same_source"]}
        if "newer" in plan.extras:
            _newer(plan, server, results, tell)
    if "faults" in plan.extras:
        with phase("lost and wrong replies", results, tell):
            pythons = dict.fromkeys((one.name for one in NEWER), newer.interpreter()) if "newer" in results else {}
            results["faults"] = faults.measure([*plan.libraries, *pythons], tell=tell, pythons=pythons)
    if "engines" in plan.extras:
        with phase("real engines", results, tell):
            results["engines"], left_out = engines.measure(
                plan.libraries, rounds=plan.rounds, seconds=plan.seconds, tell=tell
            )
            results["problems"] |= left_out
    tell.phase("done")


def _newer(plan: Plan, server: Server, results: dict[str, Any], tell: Progress) -> None:
    """The libraries that need a newer Python, and DynamORM on it."""
    beside = plan.on(newer.names(plan.libraries))
    with phase(ENVIRONMENT, results, tell):
        tell("looking")
        python = newer.interpreter()
        there = newer.described(python, beside.libraries)
        results["newer"] = there | {"rounds": plan.rounds, "scan_items": plan.scan_items, "works": {}}
    if "newer" in results:
        _canned(beside, server, results["newer"], results, tell, suffix=SUFFIX, python=python)


def _canned(
    plan: Plan,
    server: Server,
    into: dict[str, Any],
    results: dict[str, Any],
    tell: Progress,
    *,
    suffix: str = "",
    python: Path | None = None,
) -> None:
    """What every Python measures against the canned server."""
    libraries, endpoint = plan.libraries, server.endpoint
    common: dict[str, Any] = {"tell": tell, "interpreter": python}
    timed = {"rounds": plan.rounds, "seconds": plan.seconds, "into": into["works"], **common}
    timed["cores"] = Cores(server.pid, shared=plan.shared)
    if plan.small:
        with phase(f"operations{suffix}", results, tell):
            measure.operations(endpoint, libraries, plan.small, **timed)
    for work in plan.large:
        with phase(f"{work.title}{suffix}", results, tell):
            measure.operations(endpoint, libraries, [work], **timed)
    if "startup" in plan.extras:
        with phase(f"start{suffix}", results, tell):
            into["startup"] = measure.startup(endpoint, libraries, runs=max(STARTS, plan.rounds), **common)
    if "memory" in plan.extras and Path("/proc/self/clear_refs").exists():
        with phase(f"memory{suffix}", results, tell):
            into["memory"] = measure.memory(
                endpoint, libraries, WORKS["query-1000"], warm=WORKS["query-100"], runs=MEMORY_RUNS, **common
            )
