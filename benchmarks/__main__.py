"""``python -m benchmarks``: measure, print the tables, and write JSON, a page and plots to ``docs/performance``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from benchmarks import machine, output, payload, run
from benchmarks.child import ROOT
from benchmarks.libraries import ENTRIES
from benchmarks.progress import Progress, shown
from benchmarks.work import ALL, BY_NAME

DOCS = ROOT / "docs" / "performance"
LAST = ROOT / ".cache" / "benchmarks" / "last.json"
"""What was measured last, also by a run that did not come to its end."""
QUICK_ROUNDS, QUICK_SECONDS, QUICK_SCAN = 3, 0.1, 40_000


def arguments() -> argparse.Namespace:
    """What was asked for."""
    names = ", ".join([*(work.name for work in ALL), *run.EXTRAS, "core", "sizes", "growth"])
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="DynamORM beside its peers.")
    parser.add_argument("--quick", action="store_true", help="few and short rounds of the core work; writes nothing")
    parser.add_argument("--only", default="", help=f"comma-separated: {names}; writes nothing unless --output is given")
    parser.add_argument("--without", default="", help="comma-separated: what to leave out, by the same names")
    parser.add_argument("--libraries", default="", help="comma-separated: " + ", ".join(one.name for one in ENTRIES))
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each piece of work (default 9)")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of one round (default 0.2)")
    parser.add_argument(
        "--scan-items",
        type=int,
        default=payload.SCAN_ITEMS,
        help=f"items of the parallel scan (default {payload.SCAN_ITEMS:,}, about five minutes)",
    )
    parser.add_argument(
        "--free-cores", action="store_true", help="let the system choose the cores, also where the two take turns"
    )
    parser.add_argument("--output", type=Path, help="folder for the results (default docs/performance)")
    parser.add_argument("--from-json", type=Path, help="measure nothing: make tables and plots of earlier results")
    return parser.parse_args()


def chosen(asked: argparse.Namespace) -> tuple[run.Plan, list[str]]:
    """What to measure, and the libraries that are not installed."""
    names, only, without = (set(filter(None, text.split(","))) for text in (asked.libraries, asked.only, asked.without))
    unknown = names - {one.name for one in ENTRIES}
    unknown |= (only | without) - {*BY_NAME, *run.EXTRAS, *(work.group for work in ALL)}
    if unknown:
        sys.exit(f"not known: {', '.join(sorted(unknown))}; see --help")
    libraries = [one for one in ENTRIES if not names or one.name in names]
    missing = [one.name for one in libraries if any(machine.version(name) is None for name in one.distributions)]
    for name in missing:
        print(f"{name} is not installed: left out", file=sys.stderr)
    works = [work for work in ALL if not only or {work.name, work.group} & only]
    if asked.quick and not only:
        works = [work for work in works if work.group == "core"]
    works = [work for work in works if not {work.name, work.group} & without]
    scan = min(asked.scan_items, QUICK_SCAN) if asked.quick else asked.scan_items
    plan = run.Plan(
        libraries=[one.name for one in libraries if one.name not in missing],
        works=run.with_scan(works, scan),
        extras=(only & set(run.EXTRAS) if only else set(run.EXTRAS)) - without,
        rounds=QUICK_ROUNDS if asked.quick else asked.rounds,
        seconds=QUICK_SECONDS if asked.quick else asked.seconds,
        shared=not asked.free_cores,
    )
    return plan, missing


def main() -> None:
    """Run as a command."""
    asked = arguments()
    if asked.from_json is not None:
        results = json.loads(asked.from_json.read_text())
        folder = asked.output or asked.from_json.parent
    else:
        plan, missing = chosen(asked)
        results = run.begin(plan, missing)
        folder = asked.output or (None if asked.quick or asked.only or asked.without or asked.libraries else DOCS)
        start = time.monotonic()
        with shown() as show:
            tell = Progress(run.all_phases(plan), show, save=lambda: output.save(results, LAST))
            try:
                run.measured(plan, results, tell)
            except BaseException:
                output.save(results, LAST)
                print(f"stopped; what was measured can be seen with --from-json {LAST}", file=sys.stderr)
                raise
        results["minutes"] = round((time.monotonic() - start) / 60, 1)
        output.save(results, LAST)
    output.show(results)
    if folder is not None:
        output.write(results, folder)
        print(f"written to {folder}")


if __name__ == "__main__":
    main()
