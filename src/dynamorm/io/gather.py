"""Running several flows in threads, at most so many at once. It must not know sockets."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from dynamorm.effects import Flow, Gather


class _Work:
    """The flows of one `Gather`, taken one by one by whichever thread is free."""

    def __init__(self, run: Callable[[Flow[Any]], Any], effect: Gather) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._left = iter(enumerate(effect.flows))
        self.results: list[Any] = [None] * len(effect.flows)
        self.failures: list[BaseException] = []
        self.stopped = False

    def take(self) -> tuple[int, Flow[Any]] | None:
        with self._lock:
            return None if self.stopped else next(self._left, None)

    def work(self) -> None:
        while (job := self.take()) is not None:
            try:
                self.results[job[0]] = self._run(job[1])
            except BaseException as error:  # noqa: BLE001 (raised by the caller's thread, after all have ended)
                self.failures.append(error)
                self.stopped = True

    def abandon(self) -> None:
        self.stopped = True
        for _, flow in self._left:
            flow.close()


def gather(run: Callable[[Flow[Any]], Any], effect: Gather) -> list[Any]:
    """Return the results in order, or raise the first failure after every started flow has ended.

    The caller's thread works too, so a gather within a gather cannot starve, and one flow needs no thread.
    """
    work = _Work(run, effect)
    helpers = [
        threading.Thread(target=copy_context().run, args=(work.work,), name="dynamorm-gather", daemon=True)
        for _ in range(min(effect.limit, len(effect.flows)) - 1)
    ]
    started = []
    try:
        for helper in helpers:
            helper.start()
            started.append(helper)
        work.work()
    except BaseException:  # an interrupt outside any flow
        work.stopped = True
        raise
    finally:
        for helper in started:
            helper.join()
    if work.failures:
        work.abandon()
        raise work.failures[0]
    return work.results
