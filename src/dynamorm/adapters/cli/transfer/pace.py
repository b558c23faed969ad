"""How long and how fast: patience with a service that is busy, a limit of items per second, and the end that Ctrl-C asks for."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from dynamorm.errors import DynamORMError

from ..ends import PASSING, Code, Stop, end_of

T = TypeVar("T")
_LONGEST: Final = 10.0


class Ended(Exception):
    """Another worker has failed, or Ctrl-C was pressed: this one stops where it is."""


class Pace:
    """What the workers of a long command share. ``rate``: items per second, None for no limit."""

    def __init__(self, *, patience: float, rate: int | None = None) -> None:
        self._patience = patience
        self._rate = rate
        self._lock = threading.Lock()
        self._next = 0.0
        self.stopped: threading.Event = threading.Event()

    def check(self) -> None:
        """Raises: Ended, when it is time to stop."""
        if self.stopped.is_set():
            raise Ended

    def take(self, count: int) -> None:
        """Wait until so many more items may be handled. Raises: Ended."""
        self.check()
        if self._rate is None or not count:
            return
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now)
            self._next = at + count / self._rate
        if self.stopped.wait(max(0.0, at - now)):
            raise Ended

    def page_limit(self, segments: int) -> dict[str, int]:
        """What a scan of so many segments says of the size of its pages, so that the rate is kept from the first one on."""
        return {} if self._rate is None else {"Limit": max(1, self._rate // (2 * segments))}

    def patient(self, call: Callable[[], T]) -> T:
        """Make a call that may be repeated, until it goes well. Raises: its error, once patience is over; Ended."""
        end, delay = time.monotonic() + self._patience, 0.25
        while True:
            self.check()
            try:
                return call()
            except PASSING:
                if time.monotonic() + delay > end:
                    raise
            if self.stopped.wait(delay * random.uniform(0.5, 1.0)):  # noqa: S311 - no secret
                raise Ended
            delay = min(delay * 2, _LONGEST)

    def side_by_side(self, work: Callable[[Any], Any], parts: list[Any], most: int) -> None:
        """Do the work for each part, some of them at a time. The first that fails ends the others. Raises: its error."""
        with ThreadPoolExecutor(max(1, most), thread_name_prefix="dynamorm") as pool:
            futures = [pool.submit(work, part) for part in parts]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            except KeyboardInterrupt:
                self.stopped.set()
                raise
            failed = [error for future in futures if future.done() and (error := future.exception()) is not None]
            if failed:
                self.stopped.set()
                wait(futures)
                raise next((error for error in failed if not isinstance(error, Ended)), failed[0])


@contextmanager
def resumable(how: str) -> Generator[None, None, None]:
    """Turn what stops a long command half-way into its end: the same command goes on. SIGTERM stops it as Ctrl-C does."""
    with interrupting():
        try:
            yield
        except KeyboardInterrupt:
            raise Stop(Code.INTERRUPTED, f"interrupted: {how}") from None
        except DynamORMError as error:
            if not isinstance(error, PASSING):
                raise
            raise Stop(Code.RESUMABLE, f"{end_of(error).message}: stopped half-way, {how}") from error


@contextmanager
def interrupting() -> Generator[None, None, None]:
    """Let SIGTERM do as Ctrl-C, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
