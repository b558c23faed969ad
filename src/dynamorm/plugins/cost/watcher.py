"""The watcher of cost alerts: a thread, or a task, that looks at the costs now and then, and calls the program.

There is one for a database, however often its limit is changed. What is called is the program's, and may do anything: fail, be
cancelled, never end, close the database, or set another limit. None of it ends the watcher or makes a second one.
"""

from __future__ import annotations

import threading
from asyncio import CancelledError
from contextvars import ContextVar
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import ConfigError
from dynamorm.errors.log import interrupts, logger

from .alerts import Alerts, Callback, CostAlert, Rule

if TYPE_CHECKING:
    from .plugin import CostPlugin

__all__ = ["Rule", "Watcher"]

_CALLING: Final[ContextVar[Any]] = ContextVar("dynamorm_cost_alert", default=None)
"""The task in which the program is called, for what is done in there: it closes the database without being cancelled by that."""


class Watcher:
    """The watcher of one database. Its callers must not be two at once: `CostPlugin` sees to it."""

    def __init__(self, plugin: CostPlugin, db: Any, before: Watcher | None) -> None:
        self.db: Any = db
        self.alerts: Alerts = Alerts(plugin, db)
        self._plugin = plugin
        self._before = before
        self._is_over = False
        self._stopped = threading.Event()
        self._changed: Any = None  # an event of the thread, or of the loop: there is another rule, or the end
        self._thread: threading.Thread | None = None
        self._is_thread = False
        self._task: Any = None
        self._calling: Any = None

    def join(self) -> None:
        """Be told when the database is closed; the watcher of another database ends. Raises: ConfigError on a view."""
        self.db.use(_End(self))
        before, self._before = self._before, None
        if before is not None:
            self.alerts.follow(before.alerts)
            before.stop()

    def watch(self, rule: Rule, *, is_blocking: bool) -> None:
        """Watch by this rule from now on. Raises: ConfigError when the database was closed."""
        if self._is_over:
            raise ConfigError("this database was closed: nobody looks at its costs any more")
        self.alerts.obey(rule)
        if is_blocking:
            self._start_thread()
        else:
            self._start_task()
        self._changed.set()

    def stop(self) -> None:
        """End: nothing is said any more, but what is being said."""
        self._is_over = True
        self._stopped.set()
        thread, task = self._thread, self._task
        if thread is not None:
            self._changed.set()
            if thread is not threading.current_thread():
                thread.join(1.0)
        elif task is not None and not task.get_loop().is_closed():
            self._changed.set()
            if self._calling is None or _CALLING.get() is not self._calling:
                task.cancel()

    def forked(self) -> None:
        """In a child process there is no thread; the first call there starts one."""
        self._thread = self._task = self._calling = None
        self._stopped = threading.Event()
        if self._is_over:
            self._stopped.set()
        self.alerts.forked()

    def revive(self) -> None:
        """Start the thread that a child process does not have."""
        if self._is_thread and self._thread is None and not self._stopped.is_set():
            self._start_thread()

    # On the blocking face

    def _start_thread(self) -> None:
        self._is_thread = True
        if self._thread is None or not self._thread.is_alive():
            self._changed = threading.Event()
            self._thread = threading.Thread(target=self._watch, name="dynamorm-cost", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        stopped, changed = self._stopped, self._changed
        while not stopped.is_set():
            changed.clear()
            try:
                for callback, alert in self.alerts.due(self.db.estimate_monthly_cost()):
                    found = self._say(callback, alert)
                    if isawaitable(found):
                        _left(found)
                    if stopped.is_set():
                        return
            except BaseException as error:  # noqa: BLE001 - said in the log, a thread has nobody to raise to; it goes on
                if stopped.is_set():
                    return
                _failed(error)
            changed.wait(self._plugin.interval)

    # On the asyncio face

    def _start_task(self) -> None:
        from asyncio import Event, get_running_loop  # only on that face

        loop = get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._changed = Event()
            self._task = loop.create_task(self._watch_there(self._changed), name="dynamorm-cost")

    async def _watch_there(self, changed: Any) -> None:
        from asyncio import current_task, timeout  # as above

        task: Any = current_task()
        while not self._stopped.is_set():
            changed.clear()
            try:
                for callback, alert in self.alerts.due(await self.db.estimate_monthly_cost()):
                    found = self._say(callback, alert)
                    if isawaitable(found):
                        await self._awaited(found)
                    if self._stopped.is_set():
                        return
            except BaseException as error:
                if task.cancelling() or interrupts(error) or isinstance(error, GeneratorExit):
                    raise
                _failed(error)
            try:
                async with timeout(self._plugin.interval):
                    await changed.wait()
            except TimeoutError:
                pass

    async def _awaited(self, found: Any) -> None:
        """Wait for what the program does, in a task of its own: so what is cancelled in there is told from our own end."""
        from asyncio import get_running_loop, wait  # as above

        task = self._calling = get_running_loop().create_task(self._called(found), name="dynamorm-cost-alert")
        try:
            await wait((task,))
        except CancelledError:
            task.cancel()
            raise
        finally:
            self._calling = None
        if task.cancelled():
            _callback_failed(CancelledError("it cancelled itself"))
        elif (error := task.exception()) is not None:
            raise error  # an interrupt, or what a signal's handler raised

    async def _called(self, found: Any) -> None:
        from asyncio import current_task  # as above

        task: Any = current_task()
        _CALLING.set(task)
        try:
            await found
        except BaseException as error:
            if interrupts(error) or isinstance(error, GeneratorExit) or task.cancelling():
                raise
            _callback_failed(error)

    # On both

    def _say(self, callback: Callback | None, alert: CostAlert) -> Any:
        """Hand an alert to the program. Its failure is logged, and changes nothing."""
        if callback is None:
            logger.warning("cost alert: %s", alert)
            return None
        try:
            return callback(alert)
        except BaseException as error:
            if interrupts(error) and not self._is_thread:
                raise
            _callback_failed(error)
            return None


class _End:
    """The plugin that is told when the database is closed: it is there only where there are alerts."""

    name = "cost alerts"

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def closed(self, db: Any) -> None:
        """Nobody looks at the costs any more."""
        del db
        self._watcher.stop()


def _failed(error: BaseException) -> None:
    logger.warning("the costs could not be looked at (%s): the watcher goes on", type(error).__name__)


def _callback_failed(error: BaseException) -> None:
    logger.error("the callback of a cost alert failed", exc_info=error)


def _left(found: Any) -> None:
    if iscoroutine(found):
        found.close()
    logger.error(
        "the callback of a cost alert gave a %s, which nobody on a blocking DB waits for: use AsyncDB",
        type(found).__name__,
    )
