"""Numbers as a person reads them: the same on the page and in the terminal. What is no number is a dash."""

from __future__ import annotations

import time
from math import isfinite
from typing import Any, Final

_FAR: Final = 1e12
"""From here on a number is no amount of anything: it is written with its power of ten."""
NOTHING: Final = "–"  # noqa: RUF001 - a dash is what stands for nothing in a table


def number(value: Any) -> float | None:
    """A number that can be shown, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return float(value)


def seconds(value: Any) -> str:
    """A duration: ``850 µs``, ``12.3 ms``, ``1.25 s``, ``3 min``."""
    found = number(value)
    if found is None:
        return NOTHING
    if found <= 0:
        return f"-{seconds(-found)}" if found else "0 s"
    if found < 0.000_999_5:
        return f"{found * 1e6:.0f} µs"
    if found < 0.999_5:
        return f"{found * 1e3:.{0 if found >= 0.1 else 1}f} ms"
    if found < 100 or found >= _FAR:
        return f"{found:.2f} s" if found < _FAR else f"{found:.0e} s"
    return f"{found / 60:.0f} min" if found < 5_400 else f"{found / 3600:.1f} h"


def amount(value: Any) -> str:
    """How many: ``7``, ``1,234``, ``12.5``, ``3.4 M``."""
    found = number(value)
    if found is None:
        return NOTHING
    if abs(found) >= _FAR:
        return f"{found:.0e}"
    if abs(found) >= 1e6:
        return f"{found / 1e6:,.1f} M"
    if found == int(found) or abs(found) >= 1_000:
        return f"{found:,.0f}"
    return f"{found:.1f}" if abs(found) >= 1 else f"{found:.2f}"


def share(value: Any) -> str:
    """A part of all: ``0 %``, ``0.25 %``, ``12 %``."""
    found = number(value)
    if found is None:
        return NOTHING
    if found >= _FAR:
        return f"{found * 100:.0e} %"
    if found == 0 or found >= 0.1:
        return f"{found * 100:.0f} %"
    return f"{found * 100:.2f} %"


def dollars(value: Any) -> str:
    """An amount of money: ``$12.50``, ``$0.0031``."""
    found = number(value)
    if found is None:
        return NOTHING
    if found == 0:
        return "$0"
    if found < 0.000_1:
        return "< $0.0001"
    if found >= _FAR:
        return f"${found:.0e}"
    return f"${found:.4f}" if found < 0.1 else f"${found:,.2f}"


def ago(value: Any, now: Any) -> str:
    """How long before ``now`` a time is: ``3 s ago``."""
    then, present = number(value), number(now)
    if then is None or present is None:
        return NOTHING
    passed = max(present - then, 0.0)
    if passed < 1:
        return "now"
    if passed >= _FAR:
        return NOTHING
    return f"{passed:.0f} s ago" if passed < 100 else f"{passed / 60:.0f} min ago"


def clock(value: Any) -> str:
    """A time of day on this machine: ``14:03:59``."""
    found = number(value)
    if found is None or not 0 <= found < _FAR:
        return NOTHING
    return time.strftime("%H:%M:%S", time.localtime(found))


GAUGES: Final = {
    "pool_busy": "connections busy",
    "pool_idle": "connections idle",
    "pool_connections_max": "connections at most",
    "pool_waiting": "requests waiting for one",
    "pool_waits": "waits for one so far",
    "pool_wait_seconds": "waited for one in all",
    "retry_tokens": "left for retries (of 500)",
    "clock_skew_seconds": "the service's clock is ahead",
    "clock_samples": "answers that told it (of 5)",
}
"""What the numbers of `db.gauges` are called."""


def gauge(name: str, value: Any) -> tuple[str, str]:
    """A number of `db.gauges`: what it is, and how much."""
    shown = seconds if name.endswith("_seconds") else share if name.endswith("_share") else amount
    return GAUGES.get(name, name.replace("_", " ")), shown(value)


_REFUSED: Final = (
    "rejected", "cancelled", "condition", "conflict", "in_progress", "mismatch", "not_found", "in_use", "validation", "abandoned",
)  # fmt: skip
_TONES: Final = {
    "ok": "good", "throttled": "warn", **dict.fromkeys(_REFUSED, ""),
    "closed": "good", "half-open": "warn", "none": "",
}  # fmt: skip


def tone_of(word: str) -> str:
    """``good``, ``warn``, ``bad``, or nothing to see: of what a verb or a request came to, and of a state of the breaker.

    What was refused is no fault, and all that is not known is one.
    """
    return _TONES.get(word, "bad")


HOW: Final = {
    "metrics": ("Counting begins with the first verb, or when the URL is asked for.", ""),
    "breaker": ("The database has no circuit breaker.", "Config(circuit_breaker=CircuitBreakerConfig())"),
    "gauges": ("The database tells no numbers of this moment.", ""),
    "cost": ("Nobody counts what requests cost.", "db.use(CostPlugin())"),
    "hot_keys": ("Nobody looks for hot keys.", "db.use(HotKeys())"),
}
"""What is said where a part has no source, and what switches it on."""


def absent(told: dict[str, Any], part: str) -> tuple[str, str]:
    """Why a part is not there, and what switches it on."""
    broken = told.get("broken") or {}
    if part in broken:
        return f"These figures could not be read ({broken[part]}).", ""
    return HOW.get(part, ("There is nothing to show.", ""))
