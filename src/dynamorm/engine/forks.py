"""Forks of the process wait for the requests of other threads, so that a child never has half of one. It must not know engines."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import Any


class Forks:
    """Takes locks before each fork, and gives them back in the parent. In the child whoever has one makes a new one.

    Example: ``forks = Forks(lambda: [engine.lock]); forks.watch()``
    """

    def __init__(self, locks: Callable[[], Iterable[Any]]) -> None:
        self._locks = locks
        self._watches = False
        self._turn = threading.RLock()
        """Who forks: two that take the same locks would wait for one another."""
        self._taken: list[list[Any]] = []

    def watch(self) -> None:
        """Begin to; a second call does nothing."""
        if not self._watches and hasattr(os, "register_at_fork"):  # not on Windows
            self._watches = True
            os.register_at_fork(before=self._take, after_in_parent=self._give_back, after_in_child=self._forget)

    def _take(self) -> None:
        self._turn.acquire()
        taken: list[Any] = []
        self._taken.append(taken)
        for lock in self._locks():
            lock.acquire()
            taken.append(lock)

    def _give_back(self) -> None:
        for lock in self._taken.pop():
            lock.release()
        self._turn.release()

    def _forget(self) -> None:
        self._turn = threading.RLock()
        self._taken = []
