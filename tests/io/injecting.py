"""Raises an exception at every line, one after the other, as a signal's handler may do."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dynamorm

ROOT = Path(dynamorm.__file__).parent
TRACED = {
    str(path)
    for path in [
        *(ROOT / "io").glob("*.py"),
        ROOT / "wire" / "pool.py",
        ROOT / "wire" / "http1.py",
        ROOT / "wire" / "limiter.py",
    ]
}


class Interrupt(BaseException):
    """What a handler raises."""


class TimeLimit(TimeoutError):
    """What a handler raises, and what a failed call of the system might be taken for."""


class Injector:
    """Raises at the n-th line, or instruction, that this thread runs in the traced modules."""

    def __init__(self, error: type[BaseException], at: int, *, opcodes: bool = False):
        self.error, self.left, self.raised, self.opcodes = error, at, False, opcodes

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)

    def _call(self, frame, _event, _argument):
        if frame.f_code.co_filename not in TRACED or self.raised:
            return None
        frame.f_trace_opcodes = self.opcodes
        return self._line

    def _line(self, _frame, event, _argument):
        if event == ("opcode" if self.opcodes else "line") and not self.raised:
            self.left -= 1
            if self.left == 0:
                self.raised = True
                raise self.error
        return self._line


def run_once(work, error, at, opcodes=False):
    """Run with an exception at that line. Returns whether there was such a line, and what came out.

    Nothing is collected meanwhile: what a finaliser raises reaches nobody.
    """
    gc.disable()
    try:
        with Injector(error, at, opcodes=opcodes) as injector:
            try:
                work()
            except BaseException as caught:  # noqa: BLE001 - whatever it is, it is looked at
                return injector.raised, caught
        return injector.raised, None
    finally:
        gc.enable()


def at_every_line(scenario, error, *, opcodes=False, step=1):
    """Run a scenario again and again, until no line is left: in a thread of its own.

    For where an exception comes between two instructions of a handler's end, Python itself forgets that the exception
    before was dealt with, and every later exception of that thread has it as its context.
    """
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_at_every_line, scenario, error, opcodes, step).result()


def _at_every_line(scenario, error, opcodes, step):
    """As above, in this thread.

    Whoever caught the exception keeps it, and with it the frames it came through; but for one between two instructions,
    where no code could help: there the slot comes back when the exception goes.
    """
    at, kept = 1, []
    while True:
        prepared = scenario()
        reached, caught = run_once(next(prepared), error, at, opcodes)
        if reached:
            assert type(caught) is error, (at, caught)
            if not opcodes:
                kept.append(caught)
        del caught
        prepared.send(at)
        prepared.close()
        if not reached:
            break
        at += step
    assert at > 30


@contextmanager
def raising(error):
    """A handler that raises once for each time it is armed."""
    armed = [False]

    def handle(*_):
        if armed[0]:
            armed[0] = False
            raise error

    before = signal.signal(signal.SIGALRM, handle)
    try:
        yield armed
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Noted:
    """A loop whose complaints are collected."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.noted = []
        self.loop.set_exception_handler(lambda _loop, context: self.noted.append(context))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    def settle(self):
        """Cancel what is under way, as `asyncio.run` does, and let it end."""
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        for _ in range(3):
            self.loop.run_until_complete(asyncio.sleep(0))
