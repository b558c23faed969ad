"""Items per second, and what becomes of each item, against a server that throttles, leaves items undone and loses answers.

Of a hundred requests it throttles 4, answers 2 with 500, leaves some items of 5 undone, and breaks 4 connections: of two of them the
request was applied, and its answer is lost. The batcher with a spool is killed (kill -9) when half of the items have been added; a new
process replays what the spool holds, and adds what the first one had not. All ways write the same items, in processes of their own,
to a server in this one. boto3's ``batch_writer`` waits for each answer, and for each throttle; so it gets fewer items.

``python -m benchmarks.batcher_faults [ITEMS] [ITEMS_OF_BOTO3]``
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.child import ROOT, environment
from dynamorm.testing import FaultServer, answers

ITEMS, OF_BOTO3 = 100_000, 5_000
THROTTLED, BROKEN, LOST, UNSENT, UNDONE = 0.04, 0.02, 0.02, 0.02, 0.05
LIMIT = 1_800
"""Seconds for one way."""


class Table:
    """Stores items by their id, and counts how often each was written. It knows what the ways ask, and nothing else."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.items: dict[str, Any] = {}
        self.times: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()

    def script(self, request: Any) -> Any:
        """What becomes of a request."""
        self.requests[request.operation] += 1
        roll = self.dice.random()
        for share, answer in (
            (THROTTLED, answers.error("ProvisionedThroughputExceededException", message="too much")),
            (BROKEN, answers.error("InternalServerError", 500)),
            (LOST, answers.reset().applied()),
            (UNSENT, answers.reset()),
        ):
            if roll < share:
                return answer
            roll -= share
        return answers.honest()

    def __call__(self, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Apply a request."""
        if operation == "PutItem":
            return self._put(body)
        if operation == "GetItem":  # what became of a put of the spool whose answer was lost
            item = self.items.get(body["Key"]["id"]["S"])
            return 200, {} if item is None else {"Item": item}
        if operation != "BatchWriteItem":
            raise ValueError(f"{operation} is not expected")
        ((table, asked),) = body["RequestItems"].items()
        left = asked[-self.dice.randrange(1, len(asked)) :] if len(asked) > 1 and self.dice.random() < UNDONE else []
        for one in asked[: len(asked) - len(left)]:
            self._store(one["PutRequest"]["Item"])
        return 200, {"UnprocessedItems": {table: left} if left else {}}

    def _put(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """A put of the spool: nobody has written the item, or it is the one that is there."""
        if not body["ConditionExpression"].startswith("attribute_not_exists("):
            raise ValueError("another condition is not expected")
        item, known = body["Item"], self.items.get(body["Item"]["id"]["S"])
        if known is not None:
            refused = "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"
            return 400, {"__type": refused, "message": "The conditional request failed", "Item": known}
        self._store(item)
        return 200, {}

    def _store(self, item: dict[str, Any]) -> None:
        name = item["id"]["S"]
        self.items[name] = item
        self.times[name] += 1


class Run(NamedTuple):
    """What became of one way: its seconds, the items that it has told of as not written, and how often it was killed."""

    seconds: float
    told: dict[str, str]
    kills: int
    error: str


class Work:
    """One way in processes of its own, over a folder in which they write down what they do."""

    def __init__(self, way: str, endpoint: str, count: int, folder: Path) -> None:
        self.count, self.folder = count, folder
        self.command = [
            sys.executable, "-W", "ignore", "-m", "benchmarks.batcher_writer", way, endpoint, str(count), str(folder)
        ]  # fmt: skip

    def run(self, *, kill: bool) -> Run:
        """Run it to its end; with ``kill``, kill the first process in the middle, and begin another one."""
        begun, error = time.perf_counter(), ""
        kills = 0
        if kill:
            with self._process() as first:
                self._wait_for_half(first)
                first.send_signal(signal.SIGKILL)
                first.communicate()
                kills = int(first.returncode == -signal.SIGKILL)
        with self._process() as last:
            _, said = last.communicate(timeout=LIMIT)
            if last.returncode:
                error = (said.strip().splitlines() or ["it failed"])[-1][:100]
        return Run(time.perf_counter() - begun, self._told(), kills, error)

    def _process(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
        )

    def _wait_for_half(self, process: subprocess.Popen[str]) -> None:
        end = time.monotonic() + LIMIT
        path, half = self.folder / "added", self.count // 2 * len(f"{name_of(0)}\n")
        while not path.exists() or path.stat().st_size < half:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"it ended before it was killed: {process.communicate()[1][-500:]}")
            time.sleep(0.02)

    def _told(self) -> dict[str, str]:
        """The last word of each item that was reported as not written."""
        told: dict[str, str] = {}
        for line in lines(self.folder, "told"):
            name, what = json.loads(line)
            told[name] = what
        return {name: what for name, what in told.items() if what != "written"}


def lines(folder: Path, name: str) -> list[str]:
    """The whole lines of a file; the last one of a process that was killed may be torn."""
    path = folder / name
    return path.read_text().split("\n")[:-1] if path.exists() else []


WAYS = {
    "batcher, spool, killed": ("spool", True),
    "batcher on asyncio, spool, killed": ("asyncio-spool", True),
    "batcher": ("batcher", False),
    "batcher on asyncio": ("asyncio", False),
    "db.batch_write(iterator)": ("batch_write", False),
    "boto3 batch_writer": ("boto3", False),
}


def measure(way: str, count: int, *, kill: bool, seed: int = 7) -> dict[str, Any]:
    """Run one way against a server of its own, and account for every item."""
    table = Table(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        FaultServer(table.script, backend=table, keep=1) as server,
    ):
        run = Work(way, server.endpoint, count, Path(folder)).run(kill=kill)
    names = {name_of(number) for number in range(count)}
    wrong = [name for name, item in table.items.items() if item["amount"] != {"N": str(int(name[5:]))}]
    return {
        "seconds": run.seconds,
        "kills": run.kills,
        "written": len(names & set(table.items)),
        "reported": len(names & set(run.told)),
        "lost": len(names - set(table.items) - set(run.told)),
        "false": sum(name in table.items and what == "failed" for name, what in run.told.items()),
        "strange": len(set(table.items) - names) + len(wrong),
        "again": sum(times > 1 for times in table.times.values()),
        "requests": sum(table.requests.values()),
        "error": run.error,
    }


def name_of(number: int) -> str:
    """The key of an item.

    Example: ``name_of(7) == "item-00000007"``
    """
    return f"item-{number:08d}"


def main(count: int, of_boto3: int) -> None:
    """Measure and print."""
    print(
        f"{count:,} items ({of_boto3:,} for boto3); of 100 requests {THROTTLED:.0%} throttled, {BROKEN:.0%} refused with 500,"
    )
    print(
        f"{LOST:.0%} applied and not answered, {UNSENT:.0%} not applied and not answered, {UNDONE:.0%} done in part\n"
    )
    head = ("items/s", "killed", "written", "reported", "lost", "told wrong", "put twice", "requests")
    print(f"{'':34}" + "".join(f"{word:>11}" for word in head))
    for title, (way, kill) in WAYS.items():
        size = of_boto3 if way == "boto3" else count
        found = measure(way, size, kill=kill)
        numbers = (
            size / found["seconds"], found["kills"], found["written"], found["reported"], found["lost"],
            found["false"] + found["strange"], found["again"], found["requests"],
        )  # fmt: skip
        print(f"{title:34}" + "".join(f"{number:>11,.0f}" for number in numbers), found["error"], flush=True)


if __name__ == "__main__":
    asked = [int(text) for text in sys.argv[1:]]
    main(*(asked + [ITEMS, OF_BOTO3][len(asked) :]))
