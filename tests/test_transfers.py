"""Flights to a file and back by the command line, in each format: every item comes back as it was, whoever is killed on the way.

The usual run takes the first days of 2013; the soak run all 336,776 flights, and kills each export and each import twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.flights import ALL
from benchmarks.transfers import FORMATS

ROOT = Path(__file__).resolve().parents[1]
MOST = 500_000_000
"""Bytes of a process, with all that it has loaded."""


def figures(*arguments):
    command = [sys.executable, "-m", "benchmarks.transfers", *map(str, arguments), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def check(found, count, kills=0):
    assert found["items"] == count
    for trip in found["trips"]:
        assert (trip["items"], trip["equal"]) == (count, True), trip
        for way in ("export", "import"):
            assert trip[way]["peak"] < MOST, trip
            assert trip[way]["kills"] == kills, trip


@pytest.mark.once
@pytest.mark.parametrize("name", FORMATS)
def test_flights_of_a_day(name):
    check(figures("--days", 1, "--formats", name, "--no-boto3"), 842)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_all_flights_beside_boto3():
    found = figures()
    sys.stdout.write(json.dumps(found["trips"], indent=1))
    check(found, ALL)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_all_flights_though_each_command_is_killed_twice():
    check(figures("--kills", 2, "--no-boto3"), ALL, 2)
