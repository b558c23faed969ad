"""What became of each mutant, line by line in a file, and why those that survived may do so."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .areas import ROOT
from .mutants import Mutant, source_path

KEPT = ROOT / ".cache" / "mutation"
REASONS = Path(__file__).with_name("survivors.toml")


class Result(NamedTuple):
    """``became``: killed, timed out, or survived. ``by``: the test that failed. ``asked``: how many tests were asked."""

    key: str
    became: str
    by: str
    asked: int


class Ledger:
    """Results of one area. One is only good for the text of the module that it was found with; ``ever`` are all that were tried."""

    def __init__(self, area: str) -> None:
        KEPT.mkdir(parents=True, exist_ok=True)
        self.path = KEPT / f"{area}.jsonl"
        self.results: dict[str, Result] = {}
        self.ever: set[str] = set()
        self._texts: dict[str, str] = {}
        for line in self.path.read_text("utf-8").splitlines() if self.path.exists() else []:
            row = json.loads(line)
            self.ever.add(row["key"])
            if row.pop("text") == self._text(row["key"].partition(" ")[0]):
                self.results[row["key"]] = Result(**row)

    def add(self, mutant: Mutant, result: Result) -> None:
        """Keep a result, whatever is kept of this mutant."""
        self.results[mutant.key] = result
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**result._asdict(), "text": self._text(mutant.module)}) + "\n")

    def _text(self, module: str) -> str:
        if module not in self._texts:
            path = source_path(module)
            content = path.read_bytes() if path.exists() else b""
            self._texts[module] = hashlib.sha256(content).hexdigest()[:16]
        return self._texts[module]


def reasons() -> dict[str, str]:
    """Why a mutant may survive, by its key."""
    return dict(tomllib.loads(REASONS.read_text("utf-8"))) if REASONS.exists() else {}


def unexplained(results: Iterable[Result]) -> list[Result]:
    """Survivors without a reason."""
    known = reasons()
    return [one for one in results if one.became == "survived" and one.key not in known]
