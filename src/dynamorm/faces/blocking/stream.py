"""`StreamReader`, the part of the blocking face that reads a table's stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from dynamorm.codec.replies.stream_record import StreamRecord
from dynamorm.features.streams.consumer import Consumer

from ...io.blocking import Blocking
from ...session import Session
from ..stream_link import StreamLink, refuse_awaitable

M = TypeVar("M")


def link_of(session: Session) -> StreamLink:
    """The way to DynamoDB Streams on this face."""
    return StreamLink(session, Blocking)


class StreamReader(Generic[M]):
    """Reads a stream, made by `DB.stream`. Use it in a ``with`` block: its end remembers how far the work has come.

    It belongs to one thread; only `stop` may be called from another. A `Retryable` error leaves it usable: iterate again.

    Example::

        with db.stream(Payment, checkpoint=Checkpoint) as stream:
            for kind, old, new in stream:
                ...
    """

    is_async: ClassVar[bool] = False

    def __init__(self, run: Callable[[Any], Any], consumer: Consumer) -> None:
        self._run = run
        self._consumer = consumer
        self._acting: Callable[[Any], Any] | None = None  # lets a function be done by who has made the reader

    def __iter__(self) -> Iterator[StreamRecord[M]]:
        """The records, one page in memory at a time; waits for more until `stop` or ``idle_timeout``."""
        consumer = self._consumer
        consumer.begin()
        while (record := self._run(consumer.next())) is not None:
            yield record

    def run(self, handler: Callable[[StreamRecord[M]], Any], /) -> int:
        """Call ``handler(record)`` for each record until reading is over; returns how many it was called for.

        A record whose handler raises is not worked off: it comes again. On the asyncio face the handler may be a
        coroutine function. Where plugins ask who acts, and the reader was made in a `dynamorm.actor`, it is done by that
        one, in whatever thread.

        Example: ``db.stream(Payment, checkpoint=Checkpoint).run(handle)``
        """
        count = 0
        if self._acting is not None:
            handler = self._acting(handler)
        with self:
            for record in self:
                refuse_awaitable(handler(record))
                count += 1
        return count

    def commit(self) -> None:
        """Count the record handed out last as worked off, and remember the position now.

        Call it before leaving the loop early, or the record comes again.

        Example: ``stream.commit(); break``
        """
        self._run(self._consumer.commit())

    def stop(self) -> None:
        """Let the loop end before the next record. May be called from anywhere, a signal handler too.

        Example: ``signal.signal(signal.SIGTERM, lambda *_: stream.stop())``
        """
        self._consumer.stopping = True

    def close(self) -> None:
        """Remember what was worked off and give the leases back. The end of a ``with`` block does it.

        Example: ``stream.close()``
        """
        self._run(self._consumer.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
