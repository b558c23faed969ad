"""Two processes with one Redis, over a table whose eventual reads lag by 0.8 s: none reads what is older than its own writes."""

import json
import subprocess
import sys
import threading
import time

import pytest

from dynamorm.testing import FaultServer
from tests.architecture.tree import ROOT

LAG = 0.8


class Lagging:
    """A table in memory. An eventual read is answered with what was stored 0.8 s ago."""

    def __init__(self):
        self._states = {}  # by key: times and items, the oldest first
        self._lock = threading.Lock()
        self.consistent = self.eventual = 0

    def __call__(self, operation, body):
        with self._lock:
            if operation == "PutItem":
                self._states.setdefault(body["Item"]["id"]["S"], []).append((time.monotonic(), body["Item"]))
                return 200, {}
            states = self._states.get(body["Key"]["id"]["S"], [])
            if body.get("ConsistentRead"):
                self.consistent += 1
                seen = states
            else:
                self.eventual += 1
                since = time.monotonic() - LAG
                seen = [state for state in states if state[0] <= since]
            return 200, {"Item": seen[-1][1]} if seen else {}


@pytest.mark.once
@pytest.mark.parametrize("settle", [5.0, 1.2])
def test_no_process_reads_what_is_older_than_its_own_writes(redis, settle, figure):
    table = Lagging()
    with FaultServer(backend=table) as server:
        workers = [
            subprocess.Popen(
                [
                    sys.executable, "-m", "tests.plugins.cache_worker", kind, server.endpoint, str(redis.port),
                    f"worker-{number}", "4", str(settle),
                ],
                cwd=ROOT, stdout=subprocess.PIPE,
            )
            for number, kind in enumerate(["blocking", "asyncio"])
        ]  # fmt: skip
        results = [json.loads(worker.communicate(timeout=100)[0]) for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0]
    for reads, hits, stale in results:
        assert stale == 0
        assert hits > reads / 4
    figure(f"cache over reads that lag {LAG} s, settle {settle}: {results} reads, hits, stale of two processes")


@pytest.mark.once
def test_without_settling_they_would(redis):
    """The test above can fail: the table really lags."""
    with FaultServer(backend=Lagging()) as server:
        command = [
            sys.executable, "-m", "tests.plugins.cache_worker", "blocking", server.endpoint, str(redis.port), "worker",
            "2", "0",
        ]  # fmt: skip
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=100)
    _, _, stale = json.loads(ran.stdout)
    assert stale > 0
