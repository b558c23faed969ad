"""Running several flows in threads, at most so many at once. It must not know sockets.

A thread that has done its share stays for a while, since to start one costs more than all the rest of a small request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final, TypeAlias

from dynamorm.effects import Flow, Gather

STAY: Final = 5.0
"""Seconds for which a thread waits for more work before it ends."""


_Task: TypeAlias = "tuple[Context, _Work]"


class _Work:
    """The flows of one `Gather`, taken one by one by whichever thread is free."""

    def __init__(self, run: Callable[[Flow[Any]], Any], effect: Gather) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._left = iter(enumerate(effect.flows))
        self._running = 0
        self._bell: threading.Lock | None = None  # rung when the last flow under way has ended
        self.results: list[Any] = [None] * len(effect.flows)
        self.failures: list[BaseException] = []
        self.stopped = False

    def _take(self) -> tuple[int, Flow[Any]] | None:
        with self._lock:
            job = None if self.stopped else next(self._left, None)
            self._running += job is not None
            return job

    def work(self) -> None:
        """Run one flow after the other until none is left."""
        while (job := self._take()) is not None:
            try:
                self.results[job[0]] = self._run(job[1])
            except BaseException as error:  # noqa: BLE001 (raised by the caller's thread, after all have ended)
                self.failures.append(error)
                self.stopped = True
            with self._lock:
                self._running -= 1
                if self._running == 0 and self._bell is not None:
                    self._bell.release()

    def wait(self) -> None:
        """Block until the flows that other threads have taken have ended. To be called when no more will be taken."""
        with self._lock:
            if self._running == 0:
                return
            self._bell = threading.Lock()
            self._bell.acquire()
        self._bell.acquire()

    def abandon(self) -> None:
        """Close what was not taken."""
        for _, flow in self._left:
            flow.close()


class _Hand:
    """A thread that takes part in one gather after the other. Whoever takes the task out of ``box`` answers for it."""

    __slots__ = ("bell", "box", "dismissed")

    def __init__(self, task: _Task) -> None:
        self.dismissed = False
        self.box: list[_Task] = [task]
        self.bell = threading.Lock()
        self.bell.acquire()

    def hire(self, task: _Task) -> None:
        """Give a thread that waits, or is about to, something to do."""
        self.box.append(task)
        self.ring()

    def take(self) -> _Task | None:
        """The task, for the one who asks first."""
        try:
            return self.box.pop()
        except IndexError:
            return None

    def ring(self) -> None:
        """Wake it up."""
        with suppress(RuntimeError):  # it was rung already, and has not woken up since
            self.bell.release()

    def live(self, idle: list[_Hand]) -> None:
        """Work, wait for more, and end when none comes."""
        while True:
            if (task := self.take()) is not None:
                context, work = task
                context.run(work.work)
                del task, context, work  # a thread that waits must keep nothing alive
                idle.append(self)
            if self.dismissed:
                return
            if not self.bell.acquire(timeout=STAY):
                try:
                    idle.remove(self)
                except ValueError:  # taken in this very moment
                    continue
                return


class Crew:
    """The threads of one driver. Safe to use from threads; after a fork the child needs a new one.

    Example: ``results = Crew().gather(driver.run, Gather([one, other], 2))``
    """

    def __init__(self) -> None:
        self._idle: list[_Hand] = []  # each append, extend, pop and remove is one step

    def gather(self, run: Callable[[Flow[Any]], Any], effect: Gather) -> list[Any]:
        """Return the results in order, or raise the first failure after every started flow has ended.

        The caller's thread works too, so a gather within a gather cannot starve, and one flow needs no thread.
        """
        work = _Work(run, effect)
        hands: list[_Hand] = []
        try:
            for _ in range(min(effect.limit, len(effect.flows)) - 1):
                hand = self._hand((copy_context(), work))
                if hand is None:
                    break
                hands.append(hand)
            work.work()
        except BaseException:  # an interrupt outside any flow
            work.stopped = True
            raise
        finally:
            # Whoever has not come yet comes too late, and may be had again at once.
            self._idle.extend([hand for hand in hands if hand.take() is not None])
            work.wait()
        if work.failures:
            work.abandon()
            raise work.failures[0]
        return work.results

    def _hand(self, task: _Task) -> _Hand | None:
        """One more thread that takes part: one that waits, or a new one; None when there are no more threads."""
        try:
            hand = self._idle.pop()
        except IndexError:
            hand = _Hand(task)
            try:
                threading.Thread(target=hand.live, args=(self._idle,), name="dynamorm-gather", daemon=True).start()
            except RuntimeError:
                return None
        else:
            hand.hire(task)
        return hand

    def dismiss(self) -> None:
        """Let the threads that wait end."""
        idle, self._idle = self._idle, []
        for hand in idle:
            hand.dismissed = True
            hand.ring()
