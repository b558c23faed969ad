"""Tells what is being measured, and about how long it will still take."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

SLOWEST, FASTEST = 4.0, 0.25
"""How far a machine may be from the guesses before we stop believing that it is."""
SAVE_EVERY = 10.0


class Progress:
    """Called with a text, it tells it together with the phase and the time that is left.

    ``plan`` are the phases in their order, with the seconds that each may take; `phase` begins one. How long the phases
    behind us really took corrects the guess for those before us. ``save`` is called now and then, and ``clock`` tells
    the time.
    """

    def __init__(
        self,
        plan: dict[str, float],
        show: Callable[[str], None],
        *,
        save: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plan, self._show, self._save, self._clock = plan, show, save, clock
        self._done: dict[str, float] = {}
        self._phase: str | None = None
        self._began = self._saved = clock()
        self.began = self._began

    def phase(self, name: str) -> None:
        """Begin a phase, and end the one before."""
        now = self._clock()
        if self._phase is not None:
            self._done[self._phase] = now - self._began
        self._phase, self._began = name, now
        self._save()

    def left(self) -> float:
        """Seconds that are probably left."""
        expected = sum(self._plan[name] for name in self._done if name in self._plan)
        pace = min(SLOWEST, max(FASTEST, sum(self._done.values()) / expected)) if expected else 1.0
        to_come = sum(guess for name, guess in self._plan.items() if name not in self._done and name != self._phase)
        here = self._plan.get(self._phase or "", 0.0) * pace - (self._clock() - self._began)
        return to_come * pace + max(0.0, here)

    def __call__(self, text: str) -> None:
        """Tell what is being done now."""
        minutes = self.left() / 60
        left = f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left"
        self._show(f"{left} · {self._phase or 'starting'} · {text}")
        if self._clock() - self._saved > SAVE_EVERY:
            self._save()
            self._saved = self._clock()


@contextlib.contextmanager
def shown() -> Iterator[Callable[[str], None]]:
    """Where to tell it: one line that changes on a terminal, else line by line."""

    def plain(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    if not sys.stderr.isatty():
        yield plain
        return
    try:
        from rich.console import Console
    except ImportError:
        yield plain
        return
    status: Any = Console(stderr=True).status("starting")
    with status:
        yield status.update
