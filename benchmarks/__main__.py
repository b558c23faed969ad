"""``python -m benchmarks``: measure, print the tables, and write JSON, a page and plots to ``docs/performance``."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import engines, faults, machine, measure, newer, payload, plugins, report, sample
from benchmarks.libraries import ENTRIES, NEWER, Entry
from benchmarks.server import Server
from benchmarks.work import ALL, BY_NAME, Work

DOCS = measure.ROOT / "docs" / "performance"
EXTRAS = ("memory", "startup", "installed", "plugins", "newer", "faults")
"""What is measured beside operations; names for ``--only``."""
SCAN_SOME = 40_000
"""Items of the parallel scan unless told: the figure is per item, and the slowest peer needs seconds for these."""


PAIRS = 30
"""Pairs of blocks of the plugins for each round of the others: 2 µs are looked for in a get of 100."""


def arguments() -> argparse.Namespace:
    """What was asked for."""
    names = ", ".join([*(work.name for work in ALL), *EXTRAS, "core", "sizes", "growth"])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="DynamORM beside its peers.")
    parser.add_argument("--quick", action="store_true", help="few and short rounds of the core work; writes nothing")
    parser.add_argument("--only", default="", help=f"comma-separated: {names}; writes nothing unless --output is given")
    parser.add_argument("--libraries", default="", help="comma-separated: " + ", ".join(one.name for one in ENTRIES))
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each piece of work (default 7)")
    parser.add_argument("--seconds", type=float, default=0.4, help="length of one round (default 0.4)")
    parser.add_argument(
        "--scan-items",
        type=int,
        default=SCAN_SOME,
        help=f"items of the parallel scan (default {SCAN_SOME:,}; {payload.SCAN_ITEMS:,} take minutes)",
    )
    parser.add_argument("--no-faults", action="store_true", help="leave out what lost and wrong replies do")
    parser.add_argument("--engines", action="store_true", help="also measure get and put against real engines")
    parser.add_argument("--output", type=Path, help="folder for the results (default docs/performance)")
    parser.add_argument("--from-json", type=Path, help="measure nothing: make tables and plots of earlier results")
    return parser.parse_args()


def chosen(asked: argparse.Namespace) -> tuple[list[Entry], list[Work], set[str]]:
    """The libraries, the pieces of work and the extras to measure."""
    names = set(filter(None, asked.libraries.split(",")))
    only = set(filter(None, asked.only.split(",")))
    unknown = names - {one.name for one in ENTRIES} | only - {*BY_NAME, *EXTRAS, *(work.group for work in ALL)}
    if unknown:
        sys.exit(f"not known: {', '.join(sorted(unknown))}; see --help")
    libraries = [one for one in ENTRIES if not names or one.name in names]
    missing = [one for one in libraries if any(machine.version(name) is None for name in one.distributions)]
    for one in missing:
        print(f"{one.title} is not installed: left out", file=sys.stderr)
    if only:
        works = [work for work in ALL if work.name in only or work.group in only]
        extras = only & set(EXTRAS)
    else:
        works = [work for work in ALL if not asked.quick or work.group == "core"]
        extras = set(EXTRAS)
    if asked.no_faults:
        extras.discard("faults")
    return [one for one in libraries if one not in missing], works, extras


def run(asked: argparse.Namespace, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure what was asked for."""
    libraries, works, extras = chosen(asked)
    names = [one.name for one in libraries]
    rounds, seconds, runs = (3, 0.1, 3) if asked.quick else (asked.rounds, asked.seconds, max(7, asked.rounds))
    largest = max([1_000, *(work.argument or 0 for work in works if work.group == "growth")])
    scan_items = asked.scan_items // sample.SEGMENTS * sample.SEGMENTS if any(work.each for work in works) else 0
    works = [work._replace(items=scan_items) if work.each else work for work in works]
    with Server(payload.routes(largest_query=largest, scan_items=scan_items)) as server:
        results: dict[str, Any] = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": machine.machine(server.kind),
            "rounds": rounds,
            "libraries": {
                one.name: {"title": one.title, "version": machine.version(one.distributions[0])} for one in libraries
            },
            "works": measure.operations(server.endpoint, names, works, rounds=rounds, seconds=seconds, tell=tell),
        }
        if "startup" in extras:
            results["startup"] = measure.startup(server.endpoint, names, runs=runs, tell=tell)
        if "memory" in extras and Path("/proc/self/clear_refs").exists():
            results["memory"] = measure.memory(
                server.endpoint, names, BY_NAME["query-1000"], warm=BY_NAME["query-100"], tell=tell
            )
        if "plugins" in extras and plugins.PLAIN in names:
            results["plugins"] = plugins.measure(server.endpoint, rounds=rounds * PAIRS, tell=tell)
        if "newer" in extras:
            same = [work for work in works if work.group == "core"] or [BY_NAME["get"]]
            results["newer"] = _or_reason(
                lambda: newer.run(server.endpoint, names, same, rounds=rounds, seconds=seconds, tell=tell),
                f"libraries on CPython {newer.PYTHON}",
            )
    if "faults" in extras:
        results["faults"] = _or_reason(lambda: _faults(names, extras, tell), "lost and wrong replies")
    if asked.engines:
        results["engines"] = _or_reason(
            lambda: engines.measure(names, rounds=rounds, seconds=seconds, tell=tell), "real engines"
        )
    if "installed" in extras:
        results["size"] = {one.name: machine.installed_size(one.distributions) for one in libraries}
    return results


def _faults(names: list[str], extras: set[str], tell: Callable[[str], None]) -> faults.Outcomes:
    """What lost and wrong replies do, also to the libraries on the newer Python where they were measured."""
    pythons: dict[str, Path] = {}
    if "newer" in extras and (newer.FOLDER / ".ready").exists():
        pythons = dict.fromkeys((entry.name for entry in NEWER), newer.interpreter())
    return faults.measure([*names, *pythons], tell=tell, pythons=pythons)


def _or_reason(measured: Callable[[], Any], what: str) -> Any:
    """What is measured; or nothing, and the reason on the terminal."""
    try:
        return measured()
    except Exception as error:  # noqa: BLE001 - what was measured before must not be lost
        print(f"{what}: left out: {type(error).__name__}: {error}", file=sys.stderr)
        return {}


def main() -> None:
    """Run as a command."""
    asked = arguments()
    if asked.from_json is not None:
        results = json.loads(asked.from_json.read_text())
    else:
        with _progress() as tell:
            results = run(asked, tell)
    report.show(results)
    folder = asked.output or (None if asked.quick or asked.only or asked.libraries else DOCS)
    if folder is not None:
        report.write(results, folder)
        print(f"written to {folder}")


@contextlib.contextmanager
def _progress() -> Any:
    """Tell what is being measured: in one line that changes where there is a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    try:
        from rich.console import Console
    except ImportError:
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    with Console(stderr=True).status("starting") as status:
        yield status.update


if __name__ == "__main__":
    main()
