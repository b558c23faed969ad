"""Cost alerts: what is due of a limit, once in a month. Who looks, and who is told, is the business of `watcher`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from inspect import iscoroutinefunction
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct

from dynamorm.arguments import check_takes
from dynamorm.errors import ConfigError, ValidationError

from .estimate import Cells, unit_prices
from .prices import amount
from .times import HOURS, LITTLE

if TYPE_CHECKING:
    from .estimate import CostEstimate
    from .plugin import CostPlugin

THRESHOLDS: Final = (50, 80, 100)
"""Percent of the limit."""
MOST: Final = 2 * len(THRESHOLDS)
"""Alerts of one month and process, also where the limit is changed within it."""


class CostAlert(Struct, frozen=True, kw_only=True):
    """A part of a limit that is reached: ``threshold`` percent (50, 80 or 100) of ``limit`` dollars.

    ``kind``: ``"actual"``, what this process has cost in the UTC month ``month`` (``"2026-11"``), or ``"forecast"``, what a
    whole month costs if it goes on like this; ``amount`` is that, in dollars.
    """

    limit: Decimal
    threshold: int
    kind: Literal["actual", "forecast"]
    amount: Decimal
    month: str

    def __str__(self) -> str:
        what = (
            f"has cost {self.amount:.2f} dollars" if self.kind == "actual" else f"will cost {self.amount:.2f} dollars"
        )
        return f"{self.month} {what}: {self.threshold} % of the limit of {self.limit:.2f}"


Callback: TypeAlias = Callable[[CostAlert], Awaitable[None] | None]


class Rule(Struct, frozen=True, eq=False):
    """What one call of `DB.set_cost_alert` asks for."""

    limit: Decimal
    callback: Callback | None

    @staticmethod
    def of(limit: Any, callback: Callback | None) -> Rule:
        """The same, checked. Raises: ValidationError."""
        checked = amount("limit", limit)
        if callback is not None and not callable(callback):
            raise ValidationError(
                f"callback is a function of a CostAlert, or None, not {type(callback).__name__}", field="callback"
            )
        if callback is not None:
            check_takes(callback, ("alert",), "callback of set_cost_alert")
        return Rule(checked, callback)

    def check_plain(self) -> None:
        """Raises: ConfigError for a callback that must be awaited."""
        if iscoroutinefunction(self.callback):
            raise ConfigError("callback is a coroutine, which nobody on a blocking DB would wait for: use AsyncDB")


class Alerts:
    """What is due of the present ``rule``, which may be another one at any moment; and what was said already.

    It keeps when it was said, by the clock that nobody sets: whether that was in this month is asked with the month.
    """

    def __init__(self, plugin: CostPlugin, db: Any) -> None:
        self._plugin = plugin
        self._db = db
        self._lock = Lock()
        self.rule: Rule | None = None
        self.said: dict[tuple[str, int], float] = {}
        self.times: list[float] = []

    def obey(self, rule: Rule) -> None:
        """Another rule. The same limit says nothing again."""
        with self._lock:
            if self.rule is not None and self.rule.limit != rule.limit:
                self.said = {}
            self.rule = rule

    def follow(self, other: Alerts) -> None:
        """Go on with what another one has said."""
        self.rule, self.said, self.times = other.rule, dict(other.said), list(other.times)

    def forked(self) -> None:
        """In a child process nothing was said."""
        self._lock = Lock()
        self.said, self.times = {}, []

    def due(self, estimate: CostEstimate) -> Iterator[tuple[Callback | None, CostAlert]]:
        """The alerts that are due, each when it is asked for, with who is told; each is due once in a month."""
        month, actual = self.actual(estimate)
        amounts: dict[Literal["actual", "forecast"], Decimal] = {"actual": actual}
        if estimate.window >= LITTLE:
            amounts["forecast"] = estimate.total
        while found := self._next(month, amounts):
            yield found

    def _next(
        self, month: str, amounts: dict[Literal["actual", "forecast"], Decimal]
    ) -> tuple[Callback | None, CostAlert] | None:
        ledger, now = self._plugin.ledger, self._plugin.times.steady()
        with self._lock:
            rule = self.rule
            self.times = [when for when in self.times if ledger.month_at(when) == month]
            if rule is None or len(self.times) >= MOST:
                return None
            for kind, reached in amounts.items():
                for threshold in THRESHOLDS:
                    when = self.said.get((kind, threshold))
                    if when is not None and ledger.month_at(when) == month:
                        continue
                    if reached * 100 >= rule.limit * threshold:
                        self.said[kind, threshold] = now
                        self.times.append(now)
                        alert = CostAlert(limit=rule.limit, threshold=threshold, kind=kind, amount=reached, month=month)
                        return rule.callback, alert
        return None

    def actual(self, estimate: CostEstimate) -> tuple[str, Decimal]:
        """The month, and what this process has cost in it: its requests, and of what tables cost their share of the time it was seen."""
        plugin, ledger = self._plugin, self._plugin.ledger
        month, units, streams = ledger.of_month()
        prices, cells = plugin.prices_for(self._db.config), Cells()
        total = streams * (prices.of("streams") or Decimal(0))
        for table, (reads, writes) in units.items():
            read, write, elsewhere = unit_prices(plugin, cells, table, prices)
            total += Decimal(reads) * read + Decimal(writes) * (write + elsewhere)
        begin = datetime.strptime(month + "+0000", "%Y-%m%z").replace(tzinfo=UTC).timestamp()
        now = plugin.times.steady()
        seen = max(0.0, min(now - ledger.born, ledger.wall_at(now) - begin))
        return month, total + estimate.fixed * Decimal(repr(seen)) / (HOURS * 3600)
