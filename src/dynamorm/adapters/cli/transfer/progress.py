"""How far a long command is: items, rate, time that is left, units and dollars; on stderr, and not too often."""

from __future__ import annotations

import sys
import threading
import time
from decimal import Decimal
from typing import Final

from dynamorm.errors import DynamORMError
from dynamorm.plugins.cost import price

from ..out import Out

_EVERY: Final = 5.0
_OFTEN: Final = 0.5


class Progress:
    """Counts of a long command. ``total``: about how many items there are, None where nobody knows."""

    def __init__(self, out: Out, what: str, region: str | None, total: int | None = None) -> None:
        self._out = out
        self._what = what
        self._region = region
        self._lock = threading.Lock()
        self._began = self._told = time.monotonic()
        self._terminal = sys.stderr.isatty()
        self.total: int | None = total
        self.items: int = 0
        self.earlier: int = 0
        self.reads: float = 0.0
        self.writes: float = 0.0

    def begin(self, earlier: int) -> None:
        """Say what earlier runs have done already."""
        self.earlier = earlier
        if earlier:
            self._out.note(f"{self._what}: going on behind {earlier:,} items")

    def read(self, units: float) -> None:
        """Count read units."""
        with self._lock:
            self.reads += units

    def wrote(self, units: float) -> None:
        """Count write units."""
        with self._lock:
            self.writes += units

    def done(self, items: int) -> None:
        """Count items, and say so from time to time."""
        with self._lock:
            self.items += items
            now = time.monotonic()
            if now - self._told < (_OFTEN if self._terminal else _EVERY):
                return
            self._told = now
            text = self.text(now)
        if self._terminal:
            sys.stderr.write(f"\r\x1b[2K{text}")
            sys.stderr.flush()
        else:
            self._out.note(text)

    def text(self, now: float | None = None) -> str:
        """Where it is, in words."""
        seconds = max((time.monotonic() if now is None else now) - self._began, 1e-6)
        rate = self.items / seconds
        parts = [f"{self._what}: {self.earlier + self.items:,} items", f"{rate:,.0f} per second"]
        if self.total and rate and self.total > self.earlier + self.items:
            left = (self.total - self.earlier - self.items) / rate
            parts.append(f"about {_time(left)} left")
        parts.append(self.cost())
        return ", ".join(parts)

    def cost(self) -> str:
        """The units so far, and what they cost on demand."""
        units = [
            f"{count:,.1f} {name} units" for name, count in (("read", self.reads), ("write", self.writes)) if count
        ]
        return " and ".join(units) + self._dollars() if units else "no units told"

    def _dollars(self) -> str:
        try:
            dollars = price(
                self._region or "us-east-1",
                strong_reads=Decimal(str(round(self.reads, 1))),
                writes=Decimal(str(round(self.writes, 1))),
            )
        except DynamORMError:
            return ""
        return f" (${dollars:,.4f} on demand)"

    def end(self) -> None:
        """Say the last word."""
        if self._terminal:
            sys.stderr.write("\r\x1b[2K")
        self._out.note(self.text())


def _time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
