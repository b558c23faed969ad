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
from benchmarks.work import ALL, BY_NAME

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
    asked = parser.parse_args()
    works = [BY_NAME[name] for name in asked.only.split(",")]
    with Server(payload.routes()) as server:
        here, there = (
            Worker(asked.library, server.endpoint, source=folder) for folder in (ROOT / "src", asked.other.resolve())
        )
        cores = Cores(server.pid)
        try:
            for work in works:
                pairs = []
                for turn in range(asked.rounds):  # who begins takes turns, for the second may find a warmer machine
                    order = (here, there) if turn % 2 else (there, here)
                    cpu = {}
                    for worker in order:
                        cores.place(worker.pid, work)
                        cpu[worker] = worker.ask(work, seconds=asked.seconds)["cpu"]
                    pairs.append((cpu[here], cpu[there]))
                ours, others = (median(values) for values in zip(*pairs, strict=True))
                low, middle, high = quantiles([one / other for one, other in pairs], n=4)
                print(
                    f"{work.title:22} here {ours:9.1f} µs   other {others:9.1f} µs   "
                    f"here/other {middle:.3f} ({low:.3f}…{high:.3f})",
                    flush=True,
                )
        finally:
            here.close()
            there.close()


if __name__ == "__main__":
    main()
