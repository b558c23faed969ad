"""What a history is made of: operations with the time at which each began and ended, by the one clock of the machine.

A worker notes a line before and a line after each operation, so that a kill loses neither. Nothing here uses the library.
"""

from __future__ import annotations

import math
import os
import pathlib
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from tests.support import lines

OK: Final = "ok"
"""It took effect between its begin and its end."""

REFUSED: Final = "refused"
"""It took no effect, since what it demanded did not hold at one moment between its begin and its end."""

NOT_APPLIED: Final = "not applied"
"""It took no effect, and tells nothing more."""

UNKNOWN: Final = "unknown"
"""It took effect at some time after its begin, or never."""

LATE: Final = "late"
"""It took effect between its begin and its end, or never: a copy of a request that the network delivered."""


class Op(NamedTuple):
    """One operation. ``value`` is what it was asked, ``result`` what it told; both depend on its ``kind``."""

    id: str
    kind: str
    key: str
    value: Any
    begin: float
    end: float
    outcome: str
    result: Any = None

    def __str__(self) -> str:
        end = "-" if math.isinf(self.end) else f"{self.end:.4f}"
        return f"{self.id} {self.kind} {self.key} {self.value!r} -> {self.outcome} {self.result!r} [{self.begin:.4f}, {end}]"


class Journal:
    """The file of one worker. Safe for threads: each line is one write."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def begun(self, name: str, kind: str, key: str, value: Any) -> None:
        """The operation is about to begin."""
        self._line({"begun": name, "kind": kind, "key": key, "value": value, "time": time.monotonic()})

    def ended(self, name: str, outcome: str, result: Any = None, error: str = "") -> None:
        """The last word on it."""
        now = time.monotonic()
        self._line({"ended": name, "outcome": outcome, "result": result, "error": error, "time": now})

    def _line(self, content: dict[str, Any]) -> None:
        lines.write(self._file, content)


class Noted(NamedTuple):
    """What the journals hold: the operations, and the name of the error that each ended with, by its id."""

    ops: list[Op]
    errors: dict[str, str]


def read(paths: Iterable[pathlib.Path]) -> Noted:
    """Every operation of every worker; one without an end is unknown."""
    begun: dict[str, dict[str, Any]] = {}
    ended: dict[str, dict[str, Any]] = {}
    for path in paths:
        for content in lines.read(path):
            if "begun" in content:
                begun[content["begun"]] = content
            else:
                ended[content["ended"]] = content
    return Noted(
        [_op(name, one, ended.get(name)) for name, one in begun.items()],
        {name: one["error"] for name, one in ended.items() if one["error"]},
    )


def _op(name: str, begun: dict[str, Any], ended: dict[str, Any] | None) -> Op:
    outcome, result, end = (UNKNOWN, None, math.inf) if ended is None else _how(ended)
    return Op(name, begun["kind"], begun["key"], begun["value"], begun["time"], end, outcome, result)


def _how(ended: dict[str, Any]) -> tuple[str, Any, float]:
    outcome = ended["outcome"]
    return outcome, ended["result"], math.inf if outcome == UNKNOWN else ended["time"]
