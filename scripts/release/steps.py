"""Steps with a line and a time each, commands whose output is shown where they fail, and the table at the end."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_HIDDEN = ("PYTHONPATH", "PYTHONHOME", "AWS_", "DYNAMO", "_DYNAMO", "VIRTUAL_ENV")


class Failed(Exception):
    """A release that must not be published; the text says why."""


class Steps:
    """What was done: a line is printed for each step, and a row of the table kept."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, str]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step. What is put into the list that it gives is told behind it."""
        print(f"... {name}", flush=True)
        begun, told = time.monotonic(), list[str]()
        yield told
        seconds = time.monotonic() - begun
        self.rows.append((name, seconds, "; ".join(told)))
        print(f"{seconds:6.1f} s  {name}: {'; '.join(told) or 'done'}", flush=True)

    def table(self) -> str:
        """All steps, as a table."""
        widest = max(len(name) for name, _, _ in self.rows)
        lines = [f"{name:<{widest}}  {seconds:7.1f} s  {told}" for name, seconds, told in self.rows]
        total = sum(seconds for _, seconds, _ in self.rows)
        return "\n".join([*lines, f"{'in all':<{widest}}  {total:7.1f} s"])


def clean() -> dict[str, str]:
    """The environment of a process that knows neither a source tree nor a database."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}


def run(*command: object, cwd: Path = ROOT, env: Mapping[str, str] | None = None, input: str | None = None) -> str:
    """Run a command. Returns what it prints. Raises: Failed, with all of its output."""
    given = [str(part) for part in command]
    done = subprocess.run(
        given, cwd=cwd, env={**clean(), **(env or {})}, input=input, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Failed(f"{' '.join(given)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
