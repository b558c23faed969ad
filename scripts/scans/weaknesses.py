"""What bandit finds in code that runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from .allowed import Found

FOLDERS = ("src", "scripts", "examples")
SKIPPED = {
    "B101": "asserts narrow types for the checkers; data from outside is never checked with one",
    "B404": "that a module imports subprocess says nothing: the calls are judged",
}
"""Rules that are not asked at all, and why."""


def started(root: Path, folders: tuple[str, ...] = FOLDERS) -> subprocess.Popen[str]:
    """Begin; `weaknesses` waits for the end."""
    skipped = ",".join(SKIPPED)
    command = [
        sys.executable,
        "-m",
        "bandit",
        "--quiet",
        "--recursive",
        "--ignore-nosec",
        "--skip",
        skipped,
        "--format",
        "json",
        *folders,
    ]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def weaknesses(child: subprocess.Popen[str], root: Path) -> list[Found]:
    """What it found, and ruff was not told the reason of. Raises: RuntimeError where a file could not be read, or nothing was looked at."""
    out, err = child.communicate()
    if child.returncode not in {0, 1}:
        raise RuntimeError(f"bandit ended with {child.returncode}: {err}")
    report = json.loads(out)
    if report["errors"] or not report["metrics"]["_totals"]["loc"]:
        raise RuntimeError(f"bandit could not read everything: {report['errors']}")
    return [
        Found(one["filename"].removeprefix("./"), one["line_number"], one["test_id"], one["issue_text"])
        for one in report["results"]
        if not _reasoned(root, one)
    ]


def _reasoned(root: Path, one: dict[str, Any]) -> bool:
    """Whether one of its lines has a ``noqa`` of the same rule, with a reason behind it."""
    lines = (root / one["filename"]).read_text("utf-8").splitlines()
    rule = f"S{one['test_id'][1:]}"
    marks = (re.search(r"# noqa: ([A-Z0-9, ]+) - \S", lines[number - 1]) for number in one["line_range"])
    return any(mark is not None and rule in mark[1].split(", ") for mark in marks)
