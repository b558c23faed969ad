"""Running several flows in threads, at most so many at once. It must not know sockets.

A thread that has done its share stays for a while, since to start one costs more than all the rest of a small request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any, Final

from dynamorm.effects import Flow, Gather
from dynamorm.io.net import no_more_threads

STAY: Final = 5.0
"""Seconds for which a thread waits for more work before it ends."""


class _Work:
    """The flows of one `Gather`, taken one by one by whichever thread is free.

    There is no lock: an exception may come anywhere (a signal's handler raises it), and to take the next of an iterator
    is one step.
    """

    def __init__(self, run: Callable[[Flow[Any]], Any], effect: Gather) -> None:
        self._run = run
        self._left = iter(enumerate(effect.flows))
        self.results: list[Any] = [None] * len(effect.flows)
        self.failures: list[BaseException] = []
        self.stopped = False

    def work(self) -> None:
        """Run one flow after the other until none is left."""
        while not self.stopped and (job := next(self._left, None)) is not None:
            try:
                self.results[job[0]] = self._run(job[1])
            except BaseException as error:  # noqa: BLE001 (raised by the caller's thread, after all have ended)
                self.failures.append(error)
                self.stopped = True

    def abandon(self) -> None:
        """Close what was not taken."""
        for _, flow in self._left:
            flow.close()


class Task:
    """The part of one thread in one gather: the thread does it, or the caller takes it back, whoever claims it first.

    ``work`` is what has a method of that name.
    """

    __slots__ = ("_bell", "_claimed", "_ended", "context", "work")

    def __init__(self, work: Any) -> None:
        self.work: Any = work
        self.context: Context = copy_context()
        self._claimed: dict[str, bool] = {}
        self._ended = False
        self._bell = threading.Lock()
        self._bell.acquire()

    @property
    def has_begun(self) -> bool:
        """Whether the thread has taken part, or the caller has taken it back."""
        return bool(self._claimed)

    def do(self) -> bool:
        """Take part, in the thread; False when the caller was first."""
        if not self._claimed.setdefault("by thread", True):
            return False
        try:
            self.context.run(self.work.work)
        finally:
            self._ended = True
            self._bell.release()
        return True

    def take_back(self) -> bool:
        """In the caller: True when the thread has not begun and never will, else wait for its end. May be repeated."""
        if not self._claimed.setdefault("by thread", False):
            return True
        while not self._ended:
            self._bell.acquire(timeout=STAY)  # an exception may have come after the bell had rung
        return False


class _Hand:
    """A thread that takes part in one gather after the other."""

    __slots__ = ("bell", "box", "dismissed")

    def __init__(self, task: Task) -> None:
        self.dismissed = False
        self.box: list[Task] = [task]
        self.bell = threading.Lock()
        self.bell.acquire()

    def ring(self) -> None:
        """Wake it up."""
        with suppress(RuntimeError):  # it was rung already, and has not woken up since
            self.bell.release()

    def live(self, idle: list[_Hand]) -> None:
        """Work, wait for more, and end when none comes."""
        while not self.dismissed:
            while self.box:
                if self.box.pop().do():  # held by no variable: a thread that waits must keep nothing alive
                    idle.append(self)
            if not self.dismissed and not self.bell.acquire(timeout=STAY):  # type: ignore[redundant-expr] # others set it
                self.dismissed = True
                with suppress(ValueError):  # hired at this moment: its caller takes the task back
                    idle.remove(self)


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
        tasks: list[tuple[Task, list[_Hand]]] = []
        try:
            try:
                for _ in range(min(effect.limit, len(effect.flows)) - 1):
                    tasks.append((Task(work), []))
                    if not self._hire(*tasks[-1]):
                        break
                work.work()
            except BaseException:  # an interrupt outside any flow
                work.stopped = True
                raise
            finally:
                self._end(tasks)
        except BaseException:
            work.stopped = True
            self._end(tasks)  # what is left when an interrupt ended the waiting: a second one ends this too
            raise
        if work.failures:
            work.abandon()
            raise work.failures[0]
        return work.results

    def start(self, work: Any) -> Task | None:
        """Have a thread do ``work.work()``, with the context variables of the caller; None when there are no more threads."""
        task = Task(work)
        return task if self._hire(task, []) else None

    def _end(self, tasks: list[tuple[Task, list[_Hand]]]) -> None:
        """Wait until the flows that other threads have taken have ended. May be repeated."""
        while tasks:
            task, hands = tasks[-1]
            if task.take_back():
                self._idle.extend([hand for hand in hands if not hand.dismissed])  # may be had again at once
            tasks.pop()

    def _hire(self, task: Task, hands: list[_Hand]) -> bool:
        """Have one more thread take part, one that waits, or a new one; False when there are no more threads.

        It stands in ``hands`` before it is told anything.
        """
        try:
            hands.append(self._idle.pop())
        except IndexError:
            hands.append(_Hand(task))
            return self._start(hands[0])
        hands[0].box.append(task)
        hands[0].ring()
        return True

    def _start(self, hand: _Hand) -> bool:
        try:
            threading.Thread(target=hand.live, args=(self._idle,), name="dynamorm-gather", daemon=True).start()
        except BaseException as error:
            hand.dismissed = True
            if no_more_threads(error):
                return False
            raise
        return True

    def dismiss(self) -> None:
        """Let the threads that wait end."""
        idle, self._idle = self._idle, []
        for hand in idle:
            hand.dismissed = True
            hand.ring()
