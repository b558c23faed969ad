"""What metrics, traces and logs add to a get, each alone and all together: ``python -m benchmarks.shipped`` prints the same."""

import time

import pytest

from benchmarks import shipped
from benchmarks.calls import count
from benchmarks.shipped import ALL, PLAIN, PROMISE

TRACING = "tracing, no trace sampled"
BUDGET = {"db.metrics()": 12, "metrics": 19, "metrics, units=False": 13, TRACING: 24, "logging at INFO": 8}
"""Functions of Python beyond those of a get, a figure that is the same on every machine: of each some eight are the database's own."""


@pytest.fixture(scope="module")
def gets():
    found = shipped.gets()
    for get in found.values():
        for _ in range(20):
            get()
    return found


def test_they_make_no_more_calls_than_these(gets):
    found = {name: min(count(get)["python"] for _ in range(7)) for name, get in gets.items()}
    more = {name: calls - found[PLAIN] for name, calls in found.items()}
    assert {name: more[name] for name in BUDGET if more[name] > BUDGET[name]} == {}
    # What they have in common with each other is done once.
    assert more[ALL] <= more["metrics"] + more[TRACING] + more["logging at INFO"] - 12


def test_all_three_together_take_less_than_12_us(gets, figure):
    """CPU of a get of 1 kB without network, the least of many blocks; a machine on which a get takes longer is given as much more."""
    end = time.monotonic() + 20
    least = dict.fromkeys((PLAIN, "metrics", TRACING, "logging at INFO", ALL), 1e9)
    while True:
        for name, times in shipped.measure({name: gets[name] for name in least}, 20).items():
            least[name] = min(least[name], *times)
        limit = PROMISE * max(1.0, least[PLAIN] / 6.0)
        if least[ALL] - least[PLAIN] < limit * 0.9 or time.monotonic() > end:
            break
    parts = ", ".join(f"{name} {took - least[PLAIN]:.1f}" for name, took in least.items() if name != PLAIN)
    figure(f"µs that plugins add to a get of {least[PLAIN]:.1f} µs: {parts}")
    assert least[ALL] - least[PLAIN] < limit
