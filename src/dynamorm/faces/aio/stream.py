# Generated from ../blocking/stream.py by scripts/async_face.py: change that one.
"""`AsyncStreamReader`, the part of the asyncio face that reads a table's stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from dynamorm.codec.replies.stream_record import StreamRecord
from dynamorm.features.streams.consumer import Consumer

from ...io.aio import Aio
from ...session import Session
from ..stream_link import StreamLink, await_result

M = TypeVar("M")


def link_of(session: Session) -> StreamLink:
    """The way to DynamoDB Streams on this face."""
    return StreamLink(session, Aio)


class AsyncStreamReader(Generic[M]):
    """Reads a stream, made by `AsyncDB.stream`. Use it in an ``async with`` block: its end remembers how far the work has come.

    It belongs to one task; only `stop` may be called from another. A `Retryable` error leaves it usable: iterate again.

    Example::

        async with db.stream(Payment, checkpoint=Checkpoint) as stream:
            async for kind, old, new in stream:
                ...
    """

    is_async: ClassVar[bool] = True

    def __init__(self, run: Callable[[Any], Any], consumer: Consumer) -> None:
        self._run = run
        self._consumer = consumer
        self._acting: Callable[[Any], Any] | None = None  # lets a function be done by who has made the reader

    async def __aiter__(self) -> AsyncIterator[StreamRecord[M]]:
        """The records, one page in memory at a time; waits for more until `stop` or ``idle_timeout``."""
        consumer = self._consumer
        consumer.begin()
        while (record := await self._run(consumer.next())) is not None:
            yield record

    async def run(self, handler: Callable[[StreamRecord[M]], Any], /) -> int:
        """Call ``handler(record)`` for each record until reading is over; returns how many it was called for.

        A record whose handler raises is not worked off: it comes again. On the asyncio face the handler may be a
        coroutine function. Where plugins ask who acts, and the reader was made in a `dynamorm.actor`, it is done by that
        one, in whatever thread.

        Example: ``await db.stream(Payment, checkpoint=Checkpoint).run(handle)``
        """
        count = 0
        if self._acting is not None:
            handler = self._acting(handler)
        async with self:
            async for record in self:
                await await_result(handler(record))
                count += 1
        return count

    async def commit(self) -> None:
        """Count the record handed out last as worked off, and remember the position now.

        Call it before leaving the loop early, or the record comes again.

        Example: ``await stream.commit(); break``
        """
        await self._run(self._consumer.commit())

    def stop(self) -> None:
        """Let the loop end before the next record. May be called from anywhere, a signal handler too.

        Example: ``signal.signal(signal.SIGTERM, lambda *_: stream.stop())``
        """
        self._consumer.stopping = True

    async def close(self) -> None:
        """Remember what was worked off and give the leases back. The end of an ``async with`` block does it.

        Example: ``await stream.close()``
        """
        await self._run(self._consumer.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
