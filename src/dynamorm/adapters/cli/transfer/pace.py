"""How long and how fast: patience with a service that is busy, a limit of items per second, and the end that Ctrl-C asks for."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from errno import EDQUOT, EFBIG, ENOSPC
from typing import Any, Final, TypeVar

from dynamorm.errors import DynamORMError

from ..ends import PASSING, Code, Stop, end_of

T = TypeVar("T")
_LONGEST: Final = 10.0
_FULL: Final = frozenset({ENOSPC, EDQUOT, EFBIG})
WORKER: Final[dict[str, Any]] = {"stopped": threading.Event()}
"""Of a worker's process: what tells it to stop. `executors` puts that of the command in its place."""


class Ended(Exception):
    """Another worker has failed, or Ctrl-C was pressed: this one stops where it is."""


class Pace:
    """What the workers of a long command share. ``rate``: items per second, None for no limit.

    One that is sent to another process knows of its own share of the rate alone: that of one in ``workers``.
    """

    def __init__(self, *, patience: float, rate: float | None = None) -> None:
        self._patience = patience
        self._rate: float | None = rate
        self._lock = threading.Lock()
        self._next = 0.0
        self.workers: int = 1
        self.stopped: Any = threading.Event()

    def __getstate__(self) -> tuple[float, float | None]:
        return self._patience, None if self._rate is None else self._rate / self.workers

    def __setstate__(self, state: tuple[float, float | None]) -> None:
        self.__init__(patience=state[0])  # type: ignore[misc] # made as any other
        self._rate = state[1]
        self.stopped = WORKER["stopped"]

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
        return {} if self._rate is None else {"Limit": max(1, int(self._rate / (2 * segments)))}

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
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise Stop(Code.RESUMABLE, f"{error.strerror}: make room; stopped half-way, {how}") from error


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
