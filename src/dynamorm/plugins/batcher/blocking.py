"""`Batcher`, for blocking code: threads send what is added. `aio` is its mirror."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from math import inf
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dynamorm import BatchResult
from dynamorm.arguments import check_seconds
from dynamorm.errors import Backpressure, BatcherClosed, DeadlineExceeded, InvalidUse, Unavailable
from dynamorm.plugin import NotReady, OfOneProcess

from .config import BatchConfig
from .pending import Pending
from .work import UNPICKLABLE_FOR, UNPICKLABLE_INSTEAD, Items, Work, say

if TYPE_CHECKING:
    from dynamorm import Model

M = TypeVar("M", bound="Model")


class Batcher(OfOneProcess):
    """Writes what is added one by one in requests of many, and tells each item's end by a future.

    Made by ``db.new_batcher(BatchConfig(...))``. Safe to share between threads; what is added by one thread to one key is
    written in that order. Close it, best by ``with``: what is left is written then.

    Example::

        with db.new_batcher(BatchConfig(max_size=25, max_wait=0.1, parallelism=4)) as batcher:
            futures = [batcher.add(event) for event in events]
        for future in futures:
            future.result()
    """

    unpicklable_for = UNPICKLABLE_FOR
    unpicklable_instead = UNPICKLABLE_INSTEAD

    def __init__(self, items: Items, run: Callable[[Any], Any], config: BatchConfig | None = None) -> None:
        self._run = run
        self._work = work = Work(items, config)
        lock = threading.Lock()
        self._changed = threading.Condition(lock)  # for the threads: there may be something to send
        self._room = threading.Condition(lock)  # for who adds and who flushes: something has ended
        self._flushing = 0
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._result: BatchResult | None = None
        try:
            run(work.replaying())
        except BaseException:
            work.over()
            raise

    @property
    def replayed(self) -> BatchResult:
        """What became of the items that the spool had kept from before. `close` counts them too.

        Example: ``review(batcher.replayed.superseded)``
        """
        return self._work.replayed

    def add(self, obj: M, /) -> Future[M]:
        """Store an object: it is encoded now, so that what is changed later is not written. Its future gives the object.

        The future ends when the service has told what became of it, at the latest when the batcher is closed. Nobody can
        cancel it. A full queue is waited for, up to the caller's `dynamorm.deadline`, or refused: see `BatchConfig`. With a
        spool it returns when the item is on the disk.

        A model with a version is saved under it; one with other guards is put with them. See the guide's table.

        Raises: ValidationError for what cannot be stored; ModelError for a model that a spool cannot settle; Backpressure; DeadlineExceeded; BatcherClosed; Unavailable when
        the spool cannot be written. Nothing is written then.

        Example: ``future = batcher.add(Event(id="e1"))``
        """
        self._work.check_open()
        try:
            item = self._work.items.put(obj)
        except NotReady:
            item = self._run(self._work.put(obj))
        return self._added(item)

    def delete(self, subject: Any, /, *key: Any, **parts: Any) -> Future[None]:
        """Remove an item: an object (under its version where it has one), or a model and a key. As `add` otherwise.

        Example: ``batcher.delete(event)`` or ``batcher.delete(Event, "e1")``
        """
        self._work.check_open()
        return self._added(self._work.items.delete(subject, key, parts))

    def _added(self, item: Any) -> Future[Any]:
        work, spool = self._work, self._work.spool
        left = work.items.left()
        if left is not None and left <= 0:
            raise DeadlineExceeded("the deadline has passed: nothing was added to the batcher")
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can cancel it
        with self._changed:
            if work.is_full:
                left = self._wait(left)
            work.check_open()
            look, seq = work.add(item, future, left)
            if look:
                self._wake()
        if spool is not None:
            try:
                spool.sync(seq)
            except Unavailable:
                with self._changed:
                    work.withdraw(seq)
                    self._room.notify_all()
                raise
            finally:
                with self._changed:
                    work.queue.synced = spool.synced
                    self._wake()
        return future

    def _wait(self, left: float | None) -> float | None:
        """Wait for a place in the queue: seconds that are left then. To be called with the lock."""
        work = self._work
        if work.config.on_full == "raise":
            raise Backpressure(
                f"the queue of the batcher holds queue_size={work.config.queue_size} items: add it later"
            )
        if threading.current_thread() in self._threads:  # what it waits for is its own work
            raise Backpressure(
                f"the queue of the batcher holds queue_size={work.config.queue_size} items, and a callback of a future runs in"
                " a thread of the batcher, which cannot wait for a place in it: add it from another thread"
            )
        end = None if left is None else monotonic() + left
        while work.is_full and not work.is_closed:
            if end is not None and monotonic() >= end:
                raise DeadlineExceeded("the deadline passed while the queue of the batcher was full: nothing was added")
            self._room.wait(None if end is None else max(end - monotonic(), 0.0))
        return None if end is None else end - monotonic()

    def _wake(self) -> None:
        """Let a thread look, or start one. To be called with the lock."""
        if self._idle:
            self._changed.notify()
        elif len(self._threads) < self._work.parallelism:
            name = f"dynamorm-batcher-{len(self._threads) + 1}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self) -> None:
        """What a thread does: take a batch, send it, until the batcher is closed and empty."""
        work, queue = self._work, self._work.queue
        while True:
            with self._changed:
                while not (batch := queue.take(monotonic())):
                    if work.is_closed and not len(queue):
                        return
                    wakes_at = queue.wakes_at
                    self._idle += 1
                    try:
                        self._changed.wait(None if wakes_at == inf else max(wakes_at - monotonic(), 0.0))
                    finally:
                        self._idle -= 1
                if queue.has_work:
                    self._wake()
            self._send(batch)

    def _send(self, batch: list[Pending]) -> None:
        work = self._work
        some = work.due(batch, self._ended)
        try:
            if some:
                work.begin(some)
                flow = work.items.send([pending.item for pending in some])
                first = some[0].item
                first.variables.run(self._run, flow) if first.verb else self._run(flow)
        except BaseException as error:  # noqa: BLE001 - it is told by the futures; a thread has nobody to raise to
            work.failed(batch, error)
        for pending in batch:
            self._ended(pending)
        work.end(batch)

    def _ended(self, pending: Pending) -> None:
        work = self._work
        with self._changed:
            if not work.queue.ended(pending, monotonic()):
                return
            work.telling.add(pending)  # a child that is forked now ends the futures, which no lock holds back
            self._room.notify_all() if self._flushing else self._room.notify(len(pending.parts))
            if work.queue.has_work:
                self._wake()
        pending.resolve()
        work.telling.discard(pending)

    def flush(self, timeout: float | timedelta | None = None) -> bool:
        """Send at once what is in the queue, and wait until all that was added before has ended.

        Returns whether it has, within ``timeout`` seconds (None: without a limit). A key whose next write waits for a late
        copy may take minutes.

        Example: ``batcher.flush(timeout=5)``
        """
        end = None if timeout is None else monotonic() + check_seconds("timeout", timeout)
        if threading.current_thread() in self._threads:
            raise InvalidUse("flush() in a callback of a future waits for itself: call it from another thread")
        return self._flushed(end)

    def _flushed(self, end: float | None) -> bool:
        queue = self._work.queue
        with self._changed:
            number = queue.flush()
            for _ in range(self._work.parallelism):
                if queue.has_work:
                    self._wake()
            self._flushing += 1
            try:
                while not queue.is_done(number):
                    left = None if end is None else end - monotonic()
                    if left is not None and left <= 0:
                        return False
                    self._room.wait(left)
            finally:
                self._flushing -= 1
        return True

    def close(self, timeout: float | timedelta | None = None) -> BatchResult:
        """Write what is left, for up to ``timeout`` seconds (None: ``close_timeout`` of the `BatchConfig`), and account for all.

        What was not sent by then has failed, with `BatcherClosed`, and never will be; with a spool it is kept there, for the next
        batcher (`Spooled`). What has no answer is unknown. The second call returns the same result.

        Example: ``result = batcher.close(); assert result.ok``
        """
        work = self._work
        seconds = check_seconds("timeout", work.config.close_timeout if timeout is None else timeout)
        with self._changed:
            if self._result is not None:
                return self._result
            work.is_closed = True
            self._room.notify_all()
        if work.is_forked:
            raise BatcherClosed("this batcher belongs to the parent of this process, which closes it")
        is_done = False
        try:
            is_done = self._flushed(monotonic() + seconds)
        finally:  # interrupted: what is left is told, and not waited for
            self._result = self._closed(is_done=is_done)
        return self._result

    def _closed(self, *, is_done: bool) -> BatchResult:
        work = self._work
        over: list[Pending] = []
        with self._changed:
            if not is_done:
                over = [pending for pending in work.given_up() if work.queue.ended(pending, monotonic())]
            self._changed.notify_all()
        for pending in over:
            pending.resolve()
        work.end(over)
        if is_done:
            for thread in self._threads:
                if thread is not threading.current_thread():
                    thread.join()
        work.over()
        return work.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        say(self.close())

    def __repr__(self) -> str:
        state = "closed, " if self._work.is_closed else ""
        return f"<Batcher {state}{self._work.queue.counts}>"
