"""The library is far faster than its peers: ratios of CPU in the same minute on the same machine, never times.

A busy machine may spoil a measurement, so each may be taken three times.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

import pytest

from benchmarks import measure, payload
from benchmarks.cores import Cores
from benchmarks.server import Server
from benchmarks.work import BY_NAME

pytest.importorskip("boto3")

pytestmark = pytest.mark.bench
TRIES = 3


@pytest.fixture(name="server", scope="module")
def a_server():
    with Server(payload.routes(largest_query=10)) as server:
        yield server


def cpu(server: Server, work: str, libraries: list[str]) -> dict[str, float]:
    """CPU µs per operation by library, measured in turn."""
    figures = measure.operations(
        server.endpoint, libraries, [BY_NAME[work]],
        rounds=5, seconds=0.12, tell=lambda text: None, cores=Cores(server.pid),
    )[work]  # fmt: skip
    problems = {name: one["error"] for name, one in figures.items() if "error" in one}
    assert not problems
    return {name: median(one["cpu"]) for name, one in figures.items()}


def best_of(measured: Callable[[], float], limit: float) -> float:
    """The smallest ratio of at most `TRIES` measurements; stops at the first within the limit."""
    ratios: list[float] = []
    while len(ratios) < TRIES and (not ratios or min(ratios) > limit):
        ratios.append(measured())
    return min(ratios)


@pytest.mark.parametrize(
    ("work", "peer", "limit"),
    [("get", "boto3", 1 / 8), ("put", "boto3", 1 / 8), ("get", "pydynox", 1.0), ("put", "pydynox", 1.0)],
)
def test_an_operation_takes_a_fraction_of_a_peers_cpu(server, work, peer, limit):
    if peer == "pydynox":
        pytest.importorskip("pydynox")

    def ratio() -> float:
        found = cpu(server, work, ["dynamorm", peer])
        return found["dynamorm"] / found[peer]

    assert best_of(ratio, limit) <= limit


def test_import_and_first_get_take_at_most_half_of_boto3s(server):
    def ratio() -> float:
        found = measure.startup(server.endpoint, ["dynamorm", "boto3"], runs=5, tell=lambda text: None)
        return median(found["dynamorm"]["first get, cpu"]) / median(found["boto3"]["first get, cpu"])

    assert best_of(ratio, 0.5) <= 0.5
