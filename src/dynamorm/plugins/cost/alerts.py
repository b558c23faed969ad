"""Cost alerts: a thread, or a task, looks at the costs now and then, and says once in a month that a part of a limit is reached."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct

from dynamorm.arguments import check_takes
from dynamorm.effects import Call, Flow
from dynamorm.errors import ConfigError, ValidationError
from dynamorm.log import logger

from .estimate import HOURS, Cells, unit_prices
from .prices import amount

if TYPE_CHECKING:
    from .estimate import CostEstimate
    from .plugin import CostPlugin

THRESHOLDS: Final = (50, 80, 100)
"""Percent of the limit."""
MOST: Final = 2 * len(THRESHOLDS)
"""Alerts of one month and process, also where the limit is changed within it."""
TOO_EARLY: Final = timedelta(minutes=10)
"""A shorter window forecasts nothing."""


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


class Alerts:
    """The watcher of one database."""

    def __init__(
        self, plugin: CostPlugin, db: Any, limit: Any, callback: Callback | None, before: Alerts | None
    ) -> None:
        self.limit: Decimal = amount("limit", limit)
        if callback is not None and not callable(callback):
            raise ValidationError(
                f"callback is a function of a CostAlert, or None, not {type(callback).__name__}", field="callback"
            )
        if callback is not None:
            check_takes(callback, ("alert",), "callback of set_cost_alert")
        self._plugin = plugin
        self._db = db
        self.end: _End | None = before.end if before is not None else None
        self._callback = callback
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_thread = False
        self._task: Any = None
        self._before = before
        self.month: str = ""
        self.said: set[tuple[str, int]] = set()
        self.count: int = 0

    # The watcher

    def starting(self) -> Flow[None]:
        """Begin to watch: a thread on the blocking face, a task on the asyncio one. Raises: ConfigError."""
        if self.end is None:
            end = _End()
            self._db.use(end)
            self.end = end
        yield Call(self._start_thread, self._start_task)
        self.end.alerts = self

    def _start_thread(self) -> None:
        if iscoroutinefunction(self._callback):
            raise ConfigError("callback is a coroutine, which nobody on a blocking DB would wait for: use AsyncDB")
        self._is_thread = True
        self._take_over()
        self._thread = threading.Thread(target=self._watch, name="dynamorm-cost", daemon=True)
        self._thread.start()

    async def _start_task(self) -> None:
        import asyncio  # only on that face

        self._take_over()
        self._task = asyncio.get_running_loop().create_task(self._watch_there(), name="dynamorm-cost")

    def _take_over(self) -> None:
        """End the watcher that this one takes the place of, and go on with what it knows."""
        before, self._before = self._before, None
        if before is not None:
            before.stop()
            self.month, self.count = before.month, before.count
            self.said = set(before.said) if before.limit == self.limit else set()

    def stop(self) -> None:
        """End the watcher: nothing is said any more."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def forked(self) -> None:
        """In a child process there is no thread; the first call there starts one."""
        self._thread, self._task = None, None
        self._stopped = threading.Event()
        self.said, self.count = set(), 0

    def revive(self) -> None:
        """Start the thread that a child process does not have."""
        if self._is_thread and self._thread is None and not self._stopped.is_set():
            self._start_thread()

    def _watch(self) -> None:
        while True:
            try:
                for alert in self.due(self._db.estimate_monthly_cost()):
                    self._say(alert)
            except Exception as error:  # noqa: BLE001 - said in the log; the watcher goes on
                if self._stopped.is_set():
                    return
                _failed(error)
            if self._stopped.wait(self._plugin.interval):
                return

    async def _watch_there(self) -> None:
        from asyncio import sleep  # only on that face

        while True:
            try:
                for alert in self.due(await self._db.estimate_monthly_cost()):
                    found = self._say(alert)
                    if isawaitable(found):
                        await self._awaited(found)
            except Exception as error:  # noqa: BLE001 - said in the log; the watcher goes on
                _failed(error)
            await sleep(self._plugin.interval)

    async def _awaited(self, found: Any) -> None:
        try:
            await found
        except Exception:
            logger.exception("the callback of a cost alert failed")

    def _say(self, alert: CostAlert) -> Any:
        """Hand an alert to the program. Its failure is logged, and changes nothing."""
        if self._callback is None:
            logger.warning("cost alert: %s", alert)
            return None
        try:
            return self._callback(alert)
        except Exception:
            logger.exception("the callback of a cost alert failed")
            return None

    # What is due

    def due(self, estimate: CostEstimate) -> list[CostAlert]:
        """The alerts that are due now; each is due once in a month."""
        ledger = self._plugin.ledger
        ledger.settle()
        if ledger.month != self.month:
            self.month, self.said, self.count = ledger.month, set(), 0
        amounts: dict[Literal["actual", "forecast"], Decimal] = {"actual": self.actual(estimate)}
        if estimate.window >= TOO_EARLY:
            amounts["forecast"] = estimate.total
        found: list[CostAlert] = []
        for kind, reached in amounts.items():
            for threshold in THRESHOLDS:
                if self.count >= MOST or (kind, threshold) in self.said or reached * 100 < self.limit * threshold:
                    continue
                self.said.add((kind, threshold))
                self.count += 1
                found.append(
                    CostAlert(limit=self.limit, threshold=threshold, kind=kind, amount=reached, month=self.month)
                )
        return found

    def actual(self, estimate: CostEstimate) -> Decimal:
        """What this process has cost in this month: its requests, and of what tables cost their share of the time it was seen."""
        plugin, ledger = self._plugin, self._plugin.ledger
        prices, cells = plugin.prices_for(self._db.config), Cells()
        total = ledger.month_streams * (prices.of("streams") or Decimal(0))
        for table, (reads, writes) in list(ledger.month_units.items()):
            read, write, elsewhere = unit_prices(plugin, cells, table, prices)
            total += Decimal(reads) * read + Decimal(writes) * (write + elsewhere)
        begin = datetime.strptime(ledger.month + "+0000", "%Y-%m%z").replace(tzinfo=UTC).timestamp()
        seen = max(0.0, plugin.clock() - max(begin, ledger.born))
        return total + estimate.fixed * Decimal(repr(seen)) / (HOURS * 3600)


class _End:
    """The plugin that is told when the database is closed: it is there only where there are alerts."""

    name = "cost alerts"

    def __init__(self) -> None:
        self.alerts: Alerts | None = None

    def closed(self, db: Any) -> None:
        """Nobody looks at the costs any more."""
        del db
        if self.alerts is not None:
            self.alerts.stop()


def _failed(error: Exception) -> None:
    logger.warning("the costs could not be looked at (%s): the watcher goes on", type(error).__name__)
