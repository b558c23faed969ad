"""Which tests run which lines, how long each takes, and which of them cannot be asked: found out once, in a forked process."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import coverage

from .ledger import KEPT
from .mutants import source_path


class Watched:
    """``seconds`` by test, for those that passed; ``tests`` by module and line."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.seconds: dict[str, float] = data["seconds"]
        self.lines: dict[str, dict[str, list[str]]] = data["lines"]

    @classmethod
    def of(cls, place: Path) -> Watched:
        """What is kept there."""
        return cls(json.loads(place.read_text("utf-8")))

    def tests_of(self, module: str, first: int, last: int) -> set[str]:
        """The tests that run one of these lines."""
        lines = self.lines.get(module, {})
        return {test for line in range(first, last + 1) for test in lines.get(str(line), ()) if test in self.seconds}

    def tests_of_module(self, module: str) -> set[str]:
        """The tests that run any line of a module."""
        return {test for tests in self.lines.get(module, {}).values() for test in tests if test in self.seconds}


def place_of(modules: Sequence[str], test_files: Iterable[str], root: Path, cases: int) -> Path:
    """Where it is kept for these texts, and so many cases of each test."""
    digest = hashlib.sha256(b"%d" % cases)
    for path in [*(source_path(one) for one in modules), *(root / one for one in test_files)]:
        digest.update(path.read_bytes())
    return KEPT / f"watched-{digest.hexdigest()[:16]}.json"


def watch(session: Any, run: Any, modules: Sequence[str], place: Path) -> None:
    """Run all tests once and note it. ``run(item, nextitem)`` runs one and says whether it passed. Never returns."""
    measured = coverage.Coverage(data_file=None, include=[str(source_path(one)) for one in modules], config_file=False)
    measured.start()
    seconds: dict[str, float] = {}
    for number, item in enumerate(session.items):
        measured.switch_context(item.nodeid)
        began = time.perf_counter()
        following = session.items[number + 1] if number + 1 < len(session.items) else None
        if run(item, following):
            if number % 50 == 0:
                place.with_suffix(".so-far").write_text(f"{number} of {len(session.items)}\n")
            seconds[item.nodeid] = round(time.perf_counter() - began, 4)
    measured.stop()
    data = measured.get_data()
    lines = {
        module: {str(line): sorted(filter(None, names)) for line, names in by_line.items()}
        for module in modules
        if (by_line := data.contexts_by_lineno(str(source_path(module))))
    }
    place.write_text(json.dumps({"seconds": seconds, "lines": lines}), "utf-8")
    os._exit(0)
