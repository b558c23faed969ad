"""``python -m benchmarks.transfers``: a table of flights to a file and back by the command line, in each format, beside boto3.

The engine is a server of its own (``dynamorm local``), the table is that of `benchmarks.flights`, and each export and each import is a
process of its own: its time, its processor time and the most memory it had are those that the system tells of it. Both tables are
compared by digests of all items. With ``--kills`` each is killed so often while it works (SIGKILL), and goes on until it is done.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import machine
from benchmarks.flights import Flight, flight_of, rows
from dynamorm import DB, Attr, HighThroughput, Model, Presets, partition_key, sort_key
from dynamorm.adapters.cli.settings import Options, Settings

FORMATS = ("jsonl", "csv", "parquet", "dynamodb-json", "ion")
SEGMENTS = 4
BACK = "flights-back"


class Ran(NamedTuple):
    """What a process took: seconds, those of the processor, and the most memory in bytes."""

    seconds: float
    cpu: float
    peak: int
    kills: int


@contextmanager
def served() -> Iterator[str]:
    """An engine over HTTP, in a process of its own. Its endpoint."""
    command = [sys.executable, "-m", "dynamorm", "local", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            yield child.stdout.readline().split()[2].rstrip(",")
        finally:
            child.terminate()


def database(endpoint: str) -> DB:
    """A database on it, which is patient."""
    patient: dict[str, Any] = {"performance": HighThroughput(request_timeout=120.0), "operation_timeout": 300.0}
    return DB(Presets.local_development(endpoint=endpoint, **patient))


def digest_of(endpoint: str, name: str) -> tuple[int, int]:
    """How many items a table has, and the sum of their digests."""
    settings = Settings(Options(endpoint=endpoint))
    table, start, count, total = settings.table(name), None, 0, 0
    while True:
        page = table.page("Scan", {"ConsistentRead": True}, start)
        for item in page.items:
            count += 1
            total += int.from_bytes(sha256(json.dumps(item, sort_keys=True).encode()).digest()[:16])
        start = page.last_key
        if start is None:
            settings.close()
            return count, total


class Back(Model, table=BACK):
    """What is imported into: the same key, and nothing else is looked at."""

    day: Attr[str] = partition_key()
    id: Attr[str] = sort_key()


def empty(db: DB) -> None:
    """Make the table that is imported into anew."""
    db.tables.delete(Back)
    db.tables.create(Back)


def run(
    command: list[str],
    endpoint: str,
    *,
    kills: int = 0,
    after: float = 1.0,
    ready: Any = None,
    strike: Callable[[], None] | None = None,
) -> Ran:
    """Run a process to its end, and kill it so often before. ``ready`` tells when it may be killed.

    ``strike`` kills something else in its place: a worker of it, which goes on without it.
    """
    environ = {**os.environ, "DYNAMODB_ENDPOINT": endpoint}
    seconds = cpu = 0.0
    peak = done = 0
    while True:
        began = time.perf_counter()
        child = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        killed = False
        if done < kills:
            killed = _kill(child, random.uniform(0.3, 1.0) * after, ready, strike)
            if killed and strike is not None:
                done, killed = done + 1, False
        errors = b""
        if not killed:
            _, errors = _drained(child)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
        seconds += time.perf_counter() - began
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss * 1024)
        if killed:
            done += 1
            continue
        if child.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}: {errors.decode()}")
        return Ran(seconds, cpu, peak, done)


@contextmanager
def clustered() -> Iterator[tuple[list[str], Callable[[], None]]]:
    """A Dask cluster of two workers: what names it, and what kills one of them, in whose place another one comes."""
    distributed = import_module("distributed")
    settings = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "memory_limit": None}
    with distributed.LocalCluster(**settings, silence_logs=50) as cluster:

        def kill() -> None:
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

        yield ["--on", f"dask:{cluster.scheduler_address}", "--workers", "2"], kill


def _drained(child: Any) -> tuple[bytes, bytes]:
    """All that a process says; it is not waited for."""
    return child.stdout.read(), child.stderr.read()


def _kill(child: Any, after: float, ready: Any, strike: Callable[[], None] | None) -> bool:
    """Kill a process, or what it works with, some seconds after it was ready. False where it was done before."""
    end = None
    while True:
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return False
        if end is None and (ready is None or ready()):
            end = time.monotonic() + after
        if end is not None and time.monotonic() > end:
            child.send_signal(signal.SIGKILL) if strike is None else strike()
            return True
        time.sleep(0.05)


def commands(folder: Path, name: str, on: list[str]) -> tuple[list[str], list[str]]:
    """How a table is exported, and imported again."""
    path = str(folder / f"flights-{name}")
    dynamorm = [sys.executable, "-m", "dynamorm"]
    export = [*dynamorm, "export", "flights", path, "--format", name, "--segments", str(SEGMENTS), *on]
    return export, [*dynamorm, "import", BACK, path, "--format", name, "--yes", *on]


def lines_in(path: Path, before: int) -> Any:
    """Whether a checkpoint has more lines than at the beginning."""

    def ready() -> bool:
        with suppress(OSError):
            return path.read_bytes().count(b"\n") > before
        return False

    return ready


def trip(
    db: DB, endpoint: str, folder: Path, name: str, wanted: tuple[int, int], *, kills: int, on: list[str], strike: Any
) -> Any:
    """A table to a file and back. Figures of both ways, and whether all is as it was."""
    export, back = commands(folder, name, on)
    place = folder / f"flights-{name}.parts" / "checkpoint.jsonl"
    noted = folder / f".flights-{name}.import-{BACK}.checkpoint"
    there = run(export, endpoint, kills=kills, after=6.0, ready=lines_in(place, 1), strike=strike)
    path = folder / f"flights-{name}"
    size = sum(one.stat().st_size for one in path.rglob("*")) if path.is_dir() else path.stat().st_size
    empty(db)
    again = run(back, endpoint, kills=kills, after=6.0, ready=lines_in(noted, 1), strike=strike)
    found = digest_of(endpoint, BACK)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    return {
        "format": name,
        "bytes": size,
        "export": there._asdict(),
        "import": again._asdict(),
        "items": found[0],
        "equal": found == wanted,
    }


def beside(db: DB, endpoint: str, folder: Path, wanted: tuple[int, int]) -> Any:
    """The same by boto3 with threads, as a program would write it: lines of DynamoDB's JSON."""
    path = folder / "flights-boto3"
    command = [sys.executable, "-m", "benchmarks.transfers_boto3"]
    there = run([*command, "export", "flights", str(path)], endpoint)
    empty(db)
    again = run([*command, "import", BACK, str(path)], endpoint)
    found = digest_of(endpoint, BACK)
    return {
        "format": "boto3, threads",
        "bytes": path.stat().st_size,
        "export": there._asdict(),
        "import": again._asdict(),
        "items": found[0],
        "equal": found == wanted,
    }


def measured(
    days: int, names: list[str], kills: int, *, boto3: bool, on: list[str], show: bool = True, strike: Any = None
) -> Any:
    """All figures."""
    made = machine.machine("HTTP on loopback")
    results: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": made,
        "load": os.getloadavg()[0],
        "kills": kills,
        "on": on,
        "trips": [],
    }
    with served() as endpoint, database(endpoint) as db, tempfile.TemporaryDirectory() as temporary:
        db.tables.create(Flight)
        db.batch_write(puts=map(flight_of, rows(days)), keep=False)
        wanted = digest_of(endpoint, "flights")
        results["items"] = wanted[0]
        for name in names:
            results["trips"].append(
                trip(db, endpoint, Path(temporary), name, wanted, kills=kills, on=on, strike=strike)
            )
            if show:
                print(_row(results["trips"][-1], wanted[0]), file=sys.stderr, flush=True)
        if boto3:
            results["trips"].append(beside(db, endpoint, Path(temporary), wanted))
    return results


def table(results: dict[str, Any]) -> str:
    """The figures as a Markdown page."""
    made = results["machine"]
    lines = [
        "# Exports and imports",
        "",
        f"{results['items']:,} flights, {SEGMENTS} segments, the engine over HTTP in a process of its own; {results['date']},"
        f" {made['processor']}, {made['cores']} cores, {made['python']}, load {results['load']:.1f} at the beginning."
        + (
            f" Each killed {results['kills']} times{': a worker of it' if strike_of(results) else ''}."
            if results["kills"]
            else ""
        ),
        "",
        (
            "| format | MB | export: items per second | its CPU s | its peak MB | import: items per second | its CPU s | its peak MB |"
            " kills | all items equal |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
        *(_row(one, results["items"]) for one in results["trips"]),
        "",
    ]
    return "\n".join(lines)


def strike_of(results: dict[str, Any]) -> bool:
    """Whether workers of a cluster were killed."""
    return any("dask" in one for one in results["on"])


def _row(one: dict[str, Any], items: int) -> str:
    cells = [one["format"], f"{one['bytes'] / 1e6:.0f}"]
    for way in ("export", "import"):
        ran = one[way]
        cells += [f"{items / ran['seconds']:,.0f}", f"{ran['cpu']:.0f}", f"{ran['peak'] / 1e6:.0f}"]
    cells += [f"{one['export']['kills']} + {one['import']['kills']}", "yes" if one["equal"] else "NO"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfers", description=__doc__)
    parser.add_argument("--days", type=int, choices=range(1, 366), default=365, metavar="1..365")
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument(
        "--kills", type=int, default=0, help="how often each export and each import is killed; of dask one worker is"
    )
    parser.add_argument("--on", default="threads", choices=("threads", "processes", "dask"))
    parser.add_argument("--no-boto3", action="store_true")
    parser.add_argument("--output", type=Path, help="folder for transfers.json and .md")
    parser.add_argument("--json", action="store_true", help="print nothing but the figures as JSON")
    asked = parser.parse_args()
    on = [] if asked.on == "threads" else ["--on", asked.on, "--workers", "2"]
    names, strike = asked.formats.split(","), None
    with ExitStack() as stack:
        if asked.on == "dask":
            on, strike = stack.enter_context(clustered())
            asked.kills = min(asked.kills, 1)
        results = measured(
            asked.days, names, asked.kills, boto3=not asked.no_boto3, on=on, show=not asked.json, strike=strike
        )
    if asked.json:
        json.dump(results, sys.stdout)
        return
    print(table(results))
    if asked.output is not None:
        asked.output.mkdir(parents=True, exist_ok=True)
        name = "transfers" + (f"-{asked.on}" if on else "") + ("-killed" if asked.kills else "")
        (asked.output / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
        (asked.output / f"{name}.md").write_text(table(results))


if __name__ == "__main__":
    main()
