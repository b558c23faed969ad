"""The child processes that measure: started with made-up credentials, asked in turn, and never waited for in vain."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks import sample
from benchmarks.work import Work

ROOT = Path(__file__).parent.parent
PATIENCE = 60
"""Seconds for one round of a piece of work that is repeated; a round takes less than one, but some libraries wait."""
LONG_PATIENCE = 240
"""Seconds for a pass over very many items; the longest is a whole scan, about a minute."""
STARTS = 3
"""So often a library that died or hung is started again, for the next piece of work."""


def environment(source: Path | None = None) -> dict[str, str]:
    """What the children see: made-up credentials, and nothing of a real account.

    They may keep compiled bytecode, as every installed program does, whatever is set for us.
    """
    drop = ("AWS_", "DYNAMO", "PYTHONDONTWRITEBYTECODE")
    keep = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    paths = [*([str(source)] if source else []), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return keep | {
        "AWS_ACCESS_KEY_ID": sample.KEY_ID,
        "AWS_SECRET_ACCESS_KEY": sample.SECRET,
        "AWS_DEFAULT_REGION": sample.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "PYTHONPATH": os.pathsep.join(paths),
    }


class Worker:
    """A child that measures one library. ``problem`` says why it cannot, if it cannot.

    ``source`` is a folder to import from before all others, ``interpreter`` another Python, which finds us in the
    source tree. A child that died, or that was killed since it took too long, is started anew for the next order.
    """

    def __init__(
        self, library: str, endpoint: str, *, source: Path | None = None, interpreter: Path | None = None
    ) -> None:
        if interpreter is not None:
            source = ROOT / "src"
        self._command = [str(interpreter or sys.executable), "-W", "ignore", "-m", "benchmarks.worker"]
        self._command += [library, endpoint]
        self._environment = environment(source)
        self._starts = 0
        self._start()

    def _start(self) -> None:
        self.problem: str | None = None
        self._starts += 1
        self._complaints = tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
            cwd=ROOT,
            env=self._environment,
        )
        self._answer(PATIENCE)
        if self.problem is not None:  # it cannot even start
            self._starts = STARTS

    @property
    def pid(self) -> int:
        """The number of its process, which is another after a new start."""
        return self._process.pid

    def ask(self, work: Work, **order: Any) -> dict[str, Any]:
        """Have it do a piece of work."""
        patience = LONG_PATIENCE if work.big or "hold" in order else PATIENCE
        return self.order({"work": work.name, "items": work.items, **order}, patience=patience)

    def order(self, order: dict[str, Any], *, patience: float = LONG_PATIENCE) -> dict[str, Any]:
        """Have it do something within so many seconds."""
        if self.problem is not None and self._starts < STARTS:
            self.close()
            self._start()
        if self.problem is not None:
            return {"error": self.problem}
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it may have died since: then what it complained of follows
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        return self._answer(patience)

    def _answer(self, patience: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        watchdog = threading.Timer(patience, stop)
        watchdog.daemon = True
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        try:
            return json.loads(line)  # type: ignore[no-any-return]
        except ValueError:
            self.problem = f"no answer within {patience:.0f} s" if late.is_set() else self._complaint(line)
            return {"error": self.problem}

    def _complaint(self, line: str) -> str:
        if line:
            self._process.kill()
            return f"it printed {line.strip()!r:.80}"
        self._process.wait(PATIENCE)
        self._complaints.seek(0)
        last = self._complaints.read().strip().splitlines()
        return last[-1] if last else f"it ended with status {self._process.returncode}"

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):  # what it was to be told when it died
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process.stdout.close()
        self._complaints.close()
