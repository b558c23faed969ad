"""`AsyncBatcher`, for asyncio: tasks send what is added. `blocking` is its mirror."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from math import inf
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from dynamorm import BatchResult
from dynamorm.arguments import check_seconds
from dynamorm.errors import Backpressure, BatcherClosed, DeadlineExceeded, Unavailable
from dynamorm.plugin import NotReady, OfOneProcess

from .config import BatchConfig
from .pending import Pending
from .work import UNPICKLABLE_FOR, UNPICKLABLE_INSTEAD, Items, Work, say

if TYPE_CHECKING:
    from dynamorm import Model

M = TypeVar("M", bound="Model")


class AsyncBatcher(OfOneProcess):
    """Writes what is added one by one in requests of many, and tells each item's end by a future.

    Made by ``db.new_batcher(BatchConfig(...))``. It belongs to the event loop that first uses it; what is added by one task
    to one key is written in that order. Close it, best by ``async with``: what is left is written then.

    Example::

        async with db.new_batcher(BatchConfig(max_size=25, max_wait=0.1, parallelism=4)) as batcher:
            futures = [await batcher.add(event) for event in events]
        await asyncio.gather(*futures)
    """

    unpicklable_for = UNPICKLABLE_FOR
    unpicklable_instead = UNPICKLABLE_INSTEAD

    def __init__(self, items: Items, run: Callable[[Any], Any], config: BatchConfig | None = None) -> None:
        self._run = run
        self._work = Work(items, config)
        self._opening: asyncio.Task[Any] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._room: deque[asyncio.Future[None]] = deque()  # who waits for a place, in their order
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
        self._syncing: asyncio.Task[None] | None = None
        self._result: BatchResult | None = None

    @property
    def replayed(self) -> BatchResult:
        """What became of the items that the spool had kept from before. `close` counts them too.

        It is known once the batcher was entered, or the first item was added.

        Example: ``review(batcher.replayed.superseded)``
        """
        return self._work.replayed

    async def _opened(self) -> None:
        """Replay the spool, once, before anything new is sent."""
        if self._work.spool is None:
            return
        opening = self._opening
        if opening is None or (opening.done() and (opening.cancelled() or opening.exception() is not None)):
            self._opening = opening = asyncio.get_running_loop().create_task(self._run(self._work.replaying()))
        await asyncio.shield(opening)

    async def add(self, obj: M, /) -> asyncio.Future[M]:
        """Store an object: it is encoded now, so that what is changed later is not written. Its future gives the object.

        The future ends when the service has told what became of it, at the latest when the batcher is closed. To cancel it, as
        a time-out around ``await future`` does, cancels no write: wait for ``asyncio.shield(future)``. A full queue is waited for, up to the caller's `dynamorm.deadline`, or refused: see `BatchConfig`.
        With a spool it returns when the item is on the disk.

        A model with a version is saved under it; one with other guards is put with them. See the guide's table.

        Raises: ValidationError for what cannot be stored; ModelError for a model that a spool cannot settle; Backpressure; DeadlineExceeded; BatcherClosed; Unavailable when
        the spool cannot be written. Nothing is written then.

        Example: ``future = await batcher.add(Event(id="e1"))``
        """
        self._work.check_open()
        try:
            item = self._work.items.put(obj)
        except NotReady:
            item = await self._run(self._work.put(obj))
        return await self._added(item)

    async def delete(self, subject: Any, /, *key: Any, **parts: Any) -> asyncio.Future[None]:
        """Remove an item: an object (under its version where it has one), or a model and a key. As `add` otherwise.

        Example: ``await batcher.delete(event)`` or ``await batcher.delete(Event, "e1")``
        """
        self._work.check_open()
        item = self._work.items.delete(subject, key, parts)
        return await self._added(item)

    async def _added(self, item: Any) -> asyncio.Future[Any]:
        work, spool = self._work, self._work.spool
        left = work.items.left()
        if left is not None and left <= 0:
            raise DeadlineExceeded("the deadline has passed: nothing was added to the batcher")
        if spool is not None:
            await self._opened()
        if work.is_full or self._room:
            left = await self._wait(left)
        work.check_open()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        look, seq = work.add(item, future, left)
        if look:
            self._pump()
        if spool is not None:
            await self._synced(seq)
        return future

    async def _wait(self, left: float | None) -> float | None:
        """Wait for a place in the queue, behind who came before: seconds that are left then."""
        work = self._work
        if work.config.on_full == "raise":
            raise Backpressure(
                f"the queue of the batcher holds queue_size={work.config.queue_size} items: add it later"
            )
        end = None if left is None else monotonic() + left
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room.append(turn)
        try:
            while work.is_full and not work.is_closed:
                async with asyncio.timeout(None if end is None else max(end - monotonic(), 0.0)):
                    await turn
                if work.is_full:  # somebody else was quicker
                    turn = asyncio.get_running_loop().create_future()
                    self._room.appendleft(turn)
        except TimeoutError:
            raise DeadlineExceeded(
                "the deadline passed while the queue of the batcher was full: nothing was added"
            ) from None
        finally:
            with suppress(ValueError):
                self._room.remove(turn)
            if turn.done() and not turn.cancelled() and not work.is_full:
                self._make_room(1)  # a place that was meant for this one, if it does not take it
        return None if end is None else end - monotonic()

    def _make_room(self, places: float) -> None:
        """Let so many go on that wait for a place."""
        while self._room and places > 0:
            turn = self._room.popleft()
            if not turn.done():
                turn.set_result(None)
                places -= 1

    async def _synced(self, seq: int) -> None:
        """Wait until the spool has an item: one thread syncs for all who wait."""
        spool = self._work.spool
        assert spool is not None  # asked for only then
        while spool.synced < seq:
            syncing = self._syncing
            is_mine = syncing is None or syncing.done()
            if syncing is None or is_mine:
                self._syncing = syncing = asyncio.get_running_loop().create_task(self._sync(seq))
                syncing.add_done_callback(_seen)
            try:
                await asyncio.shield(syncing)
            except Unavailable:
                if is_mine:
                    raise  # else it was refused to somebody else: this one tries for itself

    async def _sync(self, seq: int) -> None:
        """Sync for all who wait, and take an item back that the spool refuses, also where who added it waits no more."""
        work, spool = self._work, self._work.spool
        assert spool is not None  # asked for only then
        try:
            await asyncio.to_thread(spool.sync, seq)
        except Unavailable:
            work.withdraw(seq)
            self._make_room(1)
            if self._flushes:
                self._tell_flushes()
            raise
        finally:
            work.queue.synced = spool.synced
            self._pump()

    def _pump(self) -> None:
        """Start tasks for what may be sent now, and set the timer for what may be sent later."""
        work, queue = self._work, self._work.queue
        while len(self._tasks) < work.parallelism and (batch := queue.take(monotonic())):
            # Not in the context of who happens to add the last item of a request.
            first = batch[0].item
            context = first.variables if first.verb else Context()
            task = asyncio.get_running_loop().create_task(self._send(batch), context=context)
            self._tasks.add(task)
            task.add_done_callback(self._sent)
        wakes_at = queue.wakes_at if len(self._tasks) < work.parallelism else inf
        if wakes_at != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._timer_at = wakes_at
            if wakes_at != inf:
                delay = max(wakes_at - monotonic(), 0.0)
                self._timer = asyncio.get_running_loop().call_later(delay, self._ring, context=Context())

    def _ring(self) -> None:
        self._timer, self._timer_at = None, inf
        self._pump()

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # it has none: see `_send`
        self._pump()

    async def _send(self, batch: list[Pending]) -> None:
        work = self._work
        some = work.due(batch, self._ended)
        try:
            if some:
                work.begin(some)
                await self._run(work.items.send([pending.item for pending in some]))
        except BaseException as error:
            work.failed(batch, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        finally:
            for pending in batch:
                self._ended(pending)
            work.end(batch)

    def _ended(self, pending: Pending) -> None:
        work = self._work
        if not work.queue.ended(pending, monotonic()):
            return
        pending.resolve()
        if self._room:
            self._make_room(len(pending.parts))
        if self._flushes:
            self._tell_flushes()
        if work.queue.has_work:
            self._pump()

    def _tell_flushes(self) -> None:
        queue = self._work.queue
        for number, done in self._flushes:
            if queue.is_done(number) and not done.done():
                done.set_result(None)

    async def flush(self, timeout: float | timedelta | None = None) -> bool:
        """Send at once what is in the queue, and wait until all that was added before has ended.

        Returns whether it has, within ``timeout`` seconds (None: without a limit). A key whose next write waits for a late
        copy may take minutes.

        Example: ``await batcher.flush(timeout=5)``
        """
        return await self._flushed(None if timeout is None else check_seconds("timeout", timeout))

    async def _flushed(self, seconds: float | None) -> bool:
        queue = self._work.queue
        number = queue.flush()
        self._pump()
        if queue.is_done(number):
            return True
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = number, done
        self._flushes.append(entry)
        try:
            async with asyncio.timeout(seconds):
                await done
        except TimeoutError:
            return queue.is_done(number)
        finally:
            self._flushes.remove(entry)
        return True

    async def close(self, timeout: float | timedelta | None = None) -> BatchResult:
        """Write what is left, for up to ``timeout`` seconds (None: ``close_timeout`` of the `BatchConfig`), and account for all.

        What was not sent by then has failed, with `BatcherClosed`, and never will be; with a spool it is kept there, for the next
        batcher (`Spooled`). What has no answer is unknown. The second call returns the same result.

        Example: ``result = await batcher.close(); assert result.ok``
        """
        work = self._work
        seconds = check_seconds("timeout", work.config.close_timeout if timeout is None else timeout)
        if self._result is not None:
            return self._result
        if work.is_forked:
            raise BatcherClosed("this batcher belongs to the parent of this process, which closes it")
        work.is_closed = True
        self._make_room(inf)
        is_done = False
        try:
            if work.spool is not None and self._opening is None:
                await self._opened()
            is_done = await self._flushed(seconds)
        finally:  # cancelled: what is left is told, and not waited for
            result = self._closed(is_done=is_done)
        return result

    def _closed(self, *, is_done: bool) -> BatchResult:
        if self._result is not None:
            return self._result
        work = self._work
        if not is_done:
            over = [pending for pending in work.given_up() if work.queue.ended(pending, monotonic())]
            for pending in over:
                pending.resolve()
            work.end(over)
            for task in self._tasks:
                task.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._timer_at = None, inf
        self._tell_flushes()
        work.over()
        self._result = work.result()
        return self._result

    async def __aenter__(self) -> Self:
        try:
            await self._opened()
        except BaseException:
            self._work.over()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        say(await self.close())

    def __repr__(self) -> str:
        state = "closed, " if self._work.is_closed else ""
        return f"<AsyncBatcher {state}{self._work.queue.counts}>"


def _seen(task: asyncio.Task[None]) -> None:
    """Look at the end of a task, for which nobody may wait any more."""
    if not task.cancelled():
        task.exception()
