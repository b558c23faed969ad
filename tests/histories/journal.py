"""What a worker process notes of its operations: a line before and a line after each, so that a kill loses neither.

A line is written with one system call to a file opened for appending: what a killed process has written stays.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.histories.model import Task
from tests.support import lines


class Journal:
    """The file of one worker. Safe for threads: each line is one write."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def begun(self, task: Task) -> None:
        """The operation is about to begin."""
        self._line({"begun": list(task)})

    def ended(self, task: Task, outcome: str, *, first: str = "", error: str = "") -> None:
        """The last word on it; ``first`` is the word before `resolve` was called, where it was."""
        self._line({"ended": task.id, "outcome": outcome, "first": first, "error": error})

    def _line(self, content: dict[str, Any]) -> None:
        lines.write(self._file, content)


class Entry(NamedTuple):
    """An operation as the journals tell of it. ``outcome`` is ``""`` where its process or task was ended in between."""

    task: Task
    outcome: str
    first: str
    error: str


def read(paths: Iterable[pathlib.Path]) -> list[Entry]:
    """Every operation of every worker."""
    begun: dict[str, Task] = {}
    ended: dict[str, dict[str, Any]] = {}
    for path in paths:
        for content in lines.read(path):
            if "begun" in content:
                task = Task(*content["begun"])
                begun[task.id] = task
            else:
                ended[content["ended"]] = content
    nothing = {"outcome": "", "first": "", "error": ""}
    return [
        Entry(task, end["outcome"], end["first"], end["error"])
        for task in begun.values()
        for end in [ended.get(task.id, nothing)]
    ]
