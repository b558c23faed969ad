"""``python -m benchmarks.against OTHER/src``: DynamORM from this source tree beside DynamORM from another one.

For trying out a change: check the earlier state out elsewhere, and compare in turn what a change gains or costs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median, quantiles

from benchmarks import payload
from benchmarks.child import ROOT, Worker
from benchmarks.cores import Cores
from benchmarks.server import Server
from benchmarks.work import ALL, BY_NAME, Work

DEFAULT = "get,put,update,query-100"


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.against", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("other", type=Path, help="the other folder that holds the package dynamorm")
    parser.add_argument("--only", default=DEFAULT, help=f"pieces of work: {', '.join(work.name for work in ALL)}")
    parser.add_argument("--library", default="dynamorm", help="dynamorm or dynamorm-async")
    parser.add_argument("--rounds", type=int, default=31, help="pairs of rounds (default 31)")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one round (default 0.1)")
    parser.add_argument(
        "--starts",
        type=int,
        default=1,
        help="how often both are started anew: two processes of one tree differ by some percent, however long they run",
    )
    asked = parser.parse_args()
    works = [BY_NAME[name] for name in asked.only.split(",")]
    pairs: dict[str, list[list[tuple[float, float]]]] = {work.name: [] for work in works}
    with Server(payload.routes()) as server:
        for _ in range(asked.starts):
            here, there = (
                Worker(asked.library, server.endpoint, source=folder)
                for folder in (ROOT / "src", asked.other.resolve())
            )
            cores = Cores(server.pid)
            try:
                for work in works:
                    pairs[work.name].append(_compared(work, here, there, cores, asked))
            finally:
                here.close()
                there.close()
    for work in works:
        _print(work, pairs[work.name])


def _compared(
    work: Work, here: Worker, there: Worker, cores: Cores, asked: argparse.Namespace
) -> list[tuple[float, float]]:
    """The CPU time of both in each pair of rounds, in microseconds."""
    pairs = []
    for turn in range(asked.rounds):  # who begins takes turns, for the second may find a warmer machine
        cpu = {}
        for worker in (here, there) if turn % 2 else (there, here):
            cores.place(worker.pid, work)
            cpu[worker] = worker.ask(work, seconds=asked.seconds)["cpu"]
        pairs.append((cpu[here], cpu[there]))
    return pairs


def _print(work: Work, starts: list[list[tuple[float, float]]]) -> None:
    """A line: the median of all pairs and their quartiles; with several starts, how far those are apart."""
    pairs = [pair for start in starts for pair in start]
    ours, others = (median(values) for values in zip(*pairs, strict=True))
    low, middle, high = quantiles([one / other for one, other in pairs], n=4)
    medians = sorted(median(one / other for one, other in start) for start in starts)
    print(
        f"{work.title:22} here {ours:9.1f} µs   other {others:9.1f} µs   here/other {middle:.3f} ({low:.3f}…{high:.3f})"
        + (f", medians of {len(medians)} starts {medians[0]:.3f}…{medians[-1]:.3f}" if len(medians) > 1 else ""),
        flush=True,
    )


if __name__ == "__main__":
    main()
