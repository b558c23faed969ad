"""Everything that the page and the terminal show, as plain data: one part for each source that the database has.

A part without a source is None. One whose source fails is None, too, and its name is in ``broken``, with the class of the
error and nothing that the error says: that may hold a value.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ConfigError
from dynamorm.errors.log import interrupts

if TYPE_CHECKING:
    from .seen import Seen

SAMPLED: Final = 5.0
"""Seconds between two samples of what is drawn over time."""
SAMPLES: Final = 120
MOST: Final = 40
"""Rows of a table that are told."""
_MONTH: Final = 730 * 3600
"""Seconds of a month, as AWS counts its hours."""


def source(db: Any, name: str, member: str) -> Any:
    """The plugin of this name that a database has, if it has what is asked of it."""
    for plugin in db.plugins:
        if getattr(plugin, "name", "") == name and getattr(type(plugin), member, None) is not None:
            return plugin
    return None


class History:
    """What is drawn over time: a sample every few seconds, of the last ten minutes."""

    def __init__(self) -> None:
        self._samples: deque[list[float]] = deque(maxlen=SAMPLES)

    def sample(self, db: Any) -> None:
        """Take a sample, where the database has figures."""
        metrics = source(db, "metrics", "by_verb_and_model")
        if metrics is not None:
            window = metrics.window()
            latencies = (window.percentile(0.5), window.percentile(0.99))
            self._samples.append([time.monotonic(), metrics.qps(), *map(float, latencies), window.error_rate()])

    def clear(self) -> None:
        """Begin with nothing."""
        self._samples.clear()

    def plain(self) -> list[list[float]]:
        """The samples: time, verbs per second, the latencies of one half and of 99 % of them, the share of errors.

        The times go forward, by the clock of now: also where that was set meanwhile.
        """
        ahead = time.time() - time.monotonic()
        return [[when + ahead, *figures] for when, *figures in list(self._samples)]  # by the thread that samples


def figures_of(db: Any, seen: Seen, history: History) -> dict[str, Any]:
    """All parts, for the page and for the terminal."""
    broken: dict[str, str] = {}
    told: dict[str, Any] = {"at": time.time(), "pid": os.getpid(), "broken": broken, "history": history.plain()}
    parts: dict[str, Callable[[], Any]] = {
        "region": db.config.resolve_region,
        "metrics": lambda: _metrics(db),
        "breaker": lambda: _breaker(db),
        "gauges": lambda: _numbers(db.gauges()),
        "cost": lambda: _cost(db),
        "hot_keys": lambda: _hot_keys(db),
        "slowest": seen.slowest,
        "last": seen.last,
    }
    for name, tell in parts.items():
        try:
            told[name] = _told(tell())
        except BaseException as error:  # the other parts are good
            if interrupts(error):
                raise
            told[name] = None
            broken[name] = type(error).__name__
    return told


def _told(found: Any) -> Any:
    """Plain data as it can be sent: a text of a plugin may hold what UTF-8 has no bytes for."""
    if isinstance(found, str):
        return found.encode("utf-8", "replace").decode()
    if isinstance(found, dict):
        return {_told(name): _told(value) for name, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_told(one) for one in found]
    return found


def _numbers(found: Mapping[Any, Any]) -> dict[str, float]:
    return {str(name): float(number) for name, number in found.items()}


def _metrics(db: Any) -> dict[str, Any] | None:
    metrics = source(db, "metrics", "by_verb_and_model")
    if metrics is None:
        return None
    rows = [
        {"verb": verb, "model": model, **_latencies(one)} for (verb, model), one in metrics.by_verb_and_model().items()
    ]
    rows.sort(key=lambda row: -row["count"])
    return {
        "qps": float(metrics.qps()),
        "window": _latencies(metrics.window()),
        "verbs": rows[:MOST],
        "outcomes": _numbers(metrics.outcomes()),
        "attempts": _numbers(metrics.attempts()),
        "retries": _numbers(metrics.retries()),
    }


def _latencies(figures: Any) -> dict[str, float]:
    return {
        "count": int(figures.count),
        "p50": float(figures.percentile(0.5)),
        "p90": float(figures.percentile(0.9)),
        "p99": float(figures.percentile(0.99)),
        "error_rate": float(figures.error_rate()),
    }


def _breaker(db: Any) -> dict[str, str] | None:
    breaker = source(db, "circuit breaker", "states")
    return None if breaker is None else {str(scope): str(state.value) for scope, state in breaker.states.items()}


def _cost(db: Any) -> dict[str, Any] | None:
    plugin = source(db, "cost", "prices_for")
    if plugin is None:
        return None
    report = db.costs()
    seconds = report.window.total_seconds()
    prices = _prices(plugin, db)
    rows = []
    for (model, scope), units in report.by_model_and_scope().items():
        dollars = None if prices is None else units.read * prices[0] + units.write * prices[1]
        rows.append(
            {
                "model": model,
                "scope": scope,
                "read": float(units.read),
                "write": float(units.write),
                "dollars": None if dollars is None else float(dollars),
                "monthly": None if dollars is None else float(dollars) * _MONTH / max(seconds, 1.0),
            }
        )
    rows.sort(key=lambda row: -(row["dollars"] or row["read"] + row["write"]))
    sums = {
        name: None if any(row[name] is None for row in rows) else sum(row[name] for row in rows)
        for name in ("read", "write", "dollars", "monthly")
    }
    return {"seconds": seconds, "priced": prices is not None, "rows": rows[:MOST], "more": len(rows[MOST:]), **sums}


def _prices(plugin: Any, db: Any) -> tuple[Decimal, Decimal] | None:
    """What a read unit and a write unit cost on demand; None where no price is known for the Region."""
    try:
        prices = plugin.prices_for(db.config)
    except ConfigError:
        return None
    read, write = prices.of("read"), prices.of("write")
    return None if read is None or write is None else (read, write)


def _hot_keys(db: Any) -> list[dict[str, Any]] | None:
    plugin = source(db, "hot keys", "top")
    if plugin is None:
        return None
    return [
        {
            "table": str(one.table),
            "index": None if one.index is None else str(one.index),
            "hash": str(one.key),
            "share": float(one.share),
            "per_second": float(one.per_second),
            "reads": float(one.reads),
            "throttled": float(one.throttled),
            "advice": str(one.advice),
        }
        for one in plugin.top(10)
    ]
