"""Starts the worker processes of a history, kills some of them, and starts others in their place."""

from __future__ import annotations

import json
import os
import pathlib
import random
import subprocess
import sys
import time
from collections.abc import Callable

from tests.histories.worker import Orders

_TURN = 0.05  # seconds between two looks at the workers


class Supervisor:
    """Runs ``operations`` in ``peers`` processes at once, with a kill -9 about every ``every`` seconds.

    A killed worker's place is taken by a new one, with the rest of its operations. Faces take turns. ``worker`` is the module
    that is run.
    """

    def __init__(
        self, endpoint: str, engine: str, prefix: str, folder: pathlib.Path, *,
        operations: int, peers: int = 4, lanes: int = 12, every: float = 4.0, seed: int = 1,
        worker: str = "tests.histories.worker",
    ) -> None:  # fmt: skip
        self._worker = worker
        self._endpoint = endpoint
        self._engine = engine
        self._prefix = prefix
        self._folder = folder
        self._peers = peers
        self._lanes = lanes
        self._every = every
        self._seed = seed
        self._dice = random.Random(seed)
        self._left = [operations // peers] * peers
        self._started = 0
        self._turns = [0] * peers
        self._running: dict[int, tuple[subprocess.Popen[bytes], pathlib.Path]] = {}
        self.killed = 0

    def run(self, until: Callable[[], bool] = lambda: False) -> list[pathlib.Path]:
        """Run everything; the journals. Raises RuntimeError when a worker ends with an error."""
        try:
            for place in range(self._peers):
                self._start(place)
            kill_at = time.monotonic() + self._every
            while self._running and not until():
                time.sleep(_TURN)
                self._look()
                if time.monotonic() >= kill_at:
                    self._kill()
                    kill_at = time.monotonic() + self._dice.uniform(0.5, 1.5) * self._every
        finally:
            for process, _ in self._running.values():
                process.kill()
                process.communicate()
        return sorted(self._folder.glob("journal.*"))

    def _start(self, place: int) -> None:
        number = self._turns[place] * self._peers + place
        self._turns[place] += 1
        journal = self._folder / f"journal.{number}"
        orders = Orders(
            endpoint=self._endpoint,
            engine=self._engine,
            prefix=self._prefix,
            journal=str(journal),
            face="blocking" if (self._started + number // self._peers) % 2 == 0 else "asyncio",
            number=number,
            peers=self._peers,
            lanes=self._lanes,
            operations=max(self._left[place], self._lanes),
            seed=self._seed,
        )
        self._started += 1
        command = [sys.executable, "-m", self._worker, json.dumps(orders._asdict())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        self._running[place] = process, journal

    def _look(self) -> None:
        for place, (process, _) in list(self._running.items()):
            if process.poll() is None:
                continue
            _, problem = process.communicate()
            del self._running[place]
            if process.returncode:
                raise RuntimeError(
                    f"a worker ended with {process.returncode}: {problem.decode(errors='replace')[-3_000:]}"
                )

    def _kill(self) -> None:
        """End one worker in the middle of whatever it does, and start another in its place."""
        if not self._running:
            return
        place = self._dice.choice(sorted(self._running))
        process, journal = self._running[place]
        if process.poll() is not None:
            return  # it has just ended by itself
        begun = journal.read_bytes().count(b'"begun"') if journal.exists() else 0
        if begun < self._lanes:
            return  # it has not even started: killing it again and again would never end
        process.kill()
        process.communicate()
        self.killed += 1
        del self._running[place]
        self._left[place] -= journal.read_bytes().count(b'"begun"')
        if self._left[place] > self._lanes:
            self._start(place)
