"""A function of a backfill, watched for what its author cannot have meant. It must not know commands."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from .out import write

_FIRST: Final = 100
"""Items that are looked at: a copy of each is made."""
_SAYING: Final = threading.Lock()


class Watched:
    """The function, which is told once by each process where it changes its item, and gives None for it."""

    def __init__(self, function: Callable[[dict[str, Any]], Any], name: str) -> None:
        self._function = function
        self._name = name
        self._left = _FIRST

    def __call__(self, item: dict[str, Any]) -> Any:
        """What the function gives."""
        if self._left <= 0:
            return self._function(item)
        self._left -= 1
        before = deepcopy(item)
        found = self._function(item)
        if found is None and item != before:
            self._say()
        return found

    def _say(self) -> None:
        with _SAYING:
            if self._left < 0:
                return
            self._left = -_FIRST
        write(
            sys.stderr,
            f"{self._name} has changed an item and given None, which leaves it as it was: `return item` stores it\n",
        )
