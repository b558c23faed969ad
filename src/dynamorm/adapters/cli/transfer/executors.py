"""Where the parts of a long command are done: threads, processes of this machine, or a Dask cluster, by `dynamorm.spread.run`.

The command itself adds to its checkpoint, and each part is bounded: what a worker that is lost had done of it is done again.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context, parent_process
from typing import Any, Final

from msgspec import Struct

from dynamorm import spread

from ..ends import Code, Stop
from .pace import WORKER, Pace

KINDS: Final = "threads|processes|dask:ADDRESS"
_MOST: Final = 512
_PATIENCE: Final = "10s"


class Workers(Struct, frozen=True):
    """Who does the parts: threads, processes, a cluster (``dask:ADDRESS``), or an executor. ``count``: how many at a time."""

    on: Any = "threads"
    count: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Workers, ()  # of no meaning to a worker


def do(
    work: Callable[[Any, str], tuple[Any, Any]],
    parts: Iterable[Any],
    workers: Workers,
    pace: Pace,
    *,
    took: Callable[[Any, Any], object],
    usual: int,
) -> None:
    """Let the workers do all parts, and take the results. ``usual``: how many there are where nothing is said. Raises: Stop."""
    count = workers.count or usual
    pace.workers = count
    try:
        with _executor(workers.on, count, pace) as (on, stop):
            spread.run(work, parts, on=on, took=took, most=2 * count, stop=stop)
    except BrokenExecutor:
        raise Stop(Code.RESUMABLE, "workers were killed again and again: the same command goes on") from None
    except Exception as error:
        if type(error).__name__ != "KilledWorker":
            raise
        raise Stop(Code.RESUMABLE, "workers were killed again and again: the same command goes on") from None


def checked(on: str, count: int | None) -> Workers:
    """What ``--on`` and ``--workers`` say. Raises: Stop."""
    kind, colon, address = on.partition(":")
    if on not in {"threads", "processes"} and not (kind == "dask" and colon and address):
        raise Stop(Code.USAGE, f"--on {on[:60]!r} is none of {KINDS.replace('|', ', ')}")
    if kind == "dask":
        _distributed()
    return Workers(on, count)


@contextmanager
def _executor(on: Any, count: int, pace: Pace) -> Generator[tuple[Any, Callable[[], object] | None], None, None]:
    """The executor, and what ends its work early."""
    if on == "threads":
        with ThreadPoolExecutor(min(count, _MOST), thread_name_prefix="dynamorm") as threads:
            yield threads, pace.stopped.set
    elif on == "processes":
        context = get_context("spawn")
        stopped = context.Event()
        with ProcessPoolExecutor(min(count, _MOST), context, _begin, (stopped,)) as processes:
            yield processes, stopped.set
    elif isinstance(on, str):
        with _client(on.partition(":")[2]) as client:
            yield client, None
    else:
        yield on, pace.stopped.set if isinstance(on, ThreadPoolExecutor) else None


def _begin(stopped: Any) -> None:
    """Make a worker of a new process: the command alone hears Ctrl-C, and nobody is left when that was killed."""
    WORKER["stopped"] = stopped
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ImportError:
        raise Stop(Code.USAGE, "--on dask:ADDRESS needs Dask: pip install 'dask[distributed]'") from None


def _client(address: str) -> Any:
    """A client of the scheduler at an address. Raises: Stop."""
    try:
        return _distributed().Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # a time-out is an OSError, too
        raise Stop(
            Code.UNREACHABLE,
            f"no Dask scheduler answers at {address[:60]!r} ({type(error).__name__}): is it tcp://HOST:PORT?",
        ) from None
