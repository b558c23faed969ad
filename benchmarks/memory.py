"""How much memory results take, as the operating system sees it (tracing every allocation would take too long)."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any


def status(name: str) -> int:
    """A line of this process's status in bytes: ``VmRSS`` is what it holds now, ``VmHWM`` the most it ever held."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(name)


def held(operation: Callable[[], Any], results: int) -> dict[str, float]:
    """Bytes per result held, and at the peak of the first, above what the process held before.

    Example: ``held(lambda: list(range(1000)), 10)["held"]``
    """
    gc.collect()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    kept = [operation()]
    peak = status("VmHWM") - before
    start = status("VmRSS")
    kept += [operation() for _ in range(results)]
    gc.collect()
    return {"held": (status("VmRSS") - start) / (len(kept) - 1), "peak": max(0, peak)}
