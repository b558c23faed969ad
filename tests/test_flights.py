"""A real data set through the whole library: flights loaded, queried and scanned, and compared with what pandas counts.

The work is done in a process of its own (`benchmarks.flights`), which has no pandas, so that its memory can be
measured. The usual run loads the first week of 2013, 6,099 flights; the soak run all 336,776.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.flights import ALL, QUERIES, data_file

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[1]
WEEK = 6_099
MOST = 200_000_000
"""Bytes above what the process held before, at any time while it streams."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((7, WEEK), id="week"),
        pytest.param((365, ALL), id="year", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def done(request, engine):
    """The figures of a run, with the flights as pandas sees them, and how many there must be."""
    days, count = request.param
    command = [sys.executable, "-m", "benchmarks.flights", "--endpoint", engine.endpoint, "--days", str(days), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)
    sys.stdout.writelines(f"{step}: {figures[step]}\n" for step in ("load", "scan", "query"))

    pd = pytest.importorskip("pandas", reason="the other side of the comparison, in the extra dev")

    flights = pd.read_csv(data_file())
    flights["date"] = pd.to_datetime(flights[["year", "month", "day"]])
    return figures, flights[flights["date"] < pd.Timestamp("2013-01-01") + pd.Timedelta(days=days)], count


def test_every_flight_is_loaded(done):
    figures, flights, count = done
    assert len(flights) == count
    assert (figures["load"]["ok"], figures["load"]["count"]) == (True, count)


def test_queries_by_carrier_and_day_find_what_pandas_finds(done):
    figures, flights, _ = done
    for carrier, day in QUERIES:
        there = flights[(flights["carrier"] == carrier) & (flights["date"] == day)]
        assert len(there) > 0
        assert figures["queries"][f"{carrier} {day}"] == {
            "count": len(there),
            "objects": len(there),
            "distance": there["distance"].sum(),
            "late": (there["dep_delay"] > 0).sum(),
            "cancelled": there["dep_time"].isna().sum(),
        }


def test_a_scan_in_segments_finds_each_flight_once(done):
    figures, flights, count = done
    assert figures["scan"]["count"] == count
    assert figures["carriers"] == flights["carrier"].value_counts().to_dict()
    assert figures["totals"] == {
        "distance": flights["distance"].sum(),
        "cancelled": flights["dep_time"].isna().sum(),
        "air_time": flights["air_time"].sum(),
        "nameless": flights["tailnum"].isna().sum(),
    }


def test_memory_stays_bounded_while_flights_stream(done):
    figures, _, _ = done
    if figures["load"]["peak"] is None:
        pytest.skip("this system does not tell a process's peak of memory")
    assert figures["load"]["peak"] < MOST
    assert figures["scan"]["peak"] < MOST
