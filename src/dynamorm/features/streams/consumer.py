"""The consumer of a stream as flows: which shard is asked next, and what has been worked off.

A record counts as worked off when the next one is asked for. One page of records is held at a time. It must not know
which face asks.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow, Sleep
from dynamorm.errors import ClientError, StreamDataLost, StreamNotFound

from . import calls as stream_calls
from .shards import ROUNDED, Options, Shard, Shards, warn

if TYPE_CHECKING:
    from dynamorm.codec.replies.stream_record import StreamRecord
    from dynamorm.ops.context import Context

__all__ = ["ROUNDED", "Consumer", "Options"]


class Consumer:
    """Reads one stream. ``context`` reaches the tables, ``streams`` the DynamoDB Streams API."""

    def __init__(self, context: Context, streams: Context, model: Any, options: Options) -> None:
        self._streams = streams
        self._options = options
        self._shards = Shards(context, streams, model, options)
        self._plan = self._shards.plan
        self._now = context.channel.clock.monotonic
        self.stopping: bool = False
        self._buffer: deque[StreamRecord[Any]] = deque()
        self._current: Shard | None = None
        self._handed: StreamRecord[Any] | None = None
        self._last = 0.0
        self._turn = self._quiet = 0

    # ------------------------------------------------------------------------------------------------- for the faces

    def begin(self) -> None:
        """Start a round of reading. A record that was handed out, and not followed by another, comes again."""
        if self._handed is not None:
            self._buffer.appendleft(self._handed)
            self._handed = None
        self.stopping = False
        self._shards.due = 0.0
        self._last = self._now()

    def next(self) -> Flow[StreamRecord[Any] | None]:
        """The next record; None when reading is over. The record before it now counts as worked off."""
        yield from self._worked_off()
        while not self.stopping:
            shard = self._current
            if shard is None:
                if not (yield from self._fetch()):
                    break
            elif not (yield from self._shards.keep(shard)):
                self._buffer.clear()  # another worker has it now, and hands these out
                self._current = None
            elif self._buffer:
                self._handed = record = self._buffer.popleft()
                if not record.passed_over:
                    return record
                yield from self._worked_off()
            else:
                self._current = None
                yield from (self._shards.finish(shard) if shard.ended else self._shards.save(shard))
        yield from self.close()
        return None

    def commit(self) -> Flow[None]:
        """Count the record that was handed out last as worked off, and remember all positions now."""
        yield from self._worked_off()
        for shard in self._shards.mine():
            yield from self._shards.save(shard)

    def close(self) -> Flow[None]:
        """Remember what was worked off and give the leases back."""
        if self._handed is not None:
            self._buffer.appendleft(self._handed)
            self._handed = None
        if self._shards.remembers:
            self._buffer.clear()
            self._current = None
        yield from self._shards.release()

    # ------------------------------------------------------------------------------------------------------ progress

    def _worked_off(self) -> Flow[None]:
        record, shard = self._handed, self._current
        if record is None or shard is None:
            return
        self._handed = None
        self._last = self._now()
        shard.position = record.sequence_number
        shard.unsaved += 1
        if shard.unsaved >= self._options.save_every:
            yield from self._shards.save(shard)

    # ------------------------------------------------------------------------------------------------------- reading

    def _fetch(self) -> Flow[bool]:
        """Ask one shard for records, or wait. False when there is nothing more to come."""
        shards = self._shards
        if self._now() >= shards.due:
            yield from shards.look()
        mine = shards.mine()
        if not mine:
            if shards.over:
                yield from shards.end()
                return False
            return (yield from self._wait())
        self._turn += 1
        shard = mine[self._turn % len(mine)]
        if not (yield from shards.keep(shard)):
            return True
        records = yield from self._read(shard)
        if records:
            self._buffer.extend(records)
            self._current = shard
            self._quiet = 0
            self._last = self._now()
        elif shard.ended:
            yield from shards.finish(shard)
        elif not shard.closed or shard.iterator is None:
            # A closed shard may answer with empty pages before its end, and need not be waited for.
            self._quiet += 1
            if self._quiet >= len(mine):
                self._quiet = 0
                return (yield from self._wait())
        return True

    def _wait(self) -> Flow[bool]:
        seconds = self._options.poll_interval
        if self._options.idle_timeout is not None:
            left = self._last + self._options.idle_timeout - self._now()
            if left <= 0:
                return False
            seconds = min(seconds, left)
        yield Sleep(seconds)
        return True

    def _read(self, shard: Shard) -> Flow[list[StreamRecord[Any]]]:
        """The next page of a shard, without what is older than the start."""
        records = yield from self._page(shard)
        if records is None:  # the iterator was of no more use: once more with another, and then in the next turn
            records = yield from self._page(shard)
        if records is None:
            return []
        shard.ended = shard.iterator is None
        wanted = [record for record in records if not self._too_old(record)]
        if records and not wanted:
            shard.position = records[-1].sequence_number
            shard.unsaved += 1
        return wanted

    def _page(self, shard: Shard) -> Flow[list[StreamRecord[Any]] | None]:
        """The next page of a shard, None when its iterator has to be replaced first."""
        try:
            if shard.iterator is None:
                shard.iterator = yield from self._iterator(shard)
            records, shard.iterator = yield from stream_calls.records(
                self._streams, self._plan, shard.id, shard.iterator, self._options.page_size,
                skip_unknown=self._options.on_unknown == "skip",
            )  # fmt: skip
        except StreamNotFound as error:
            self._lost(shard, error)
            shard.iterator = None
            return []  # with no iterator: the shard is at its end
        except ClientError as error:
            if error.code == stream_calls.TRIMMED:
                self._lost(shard, error)
            elif error.code != stream_calls.EXPIRED:
                raise
            shard.iterator = None
            return None
        return records

    def _iterator(self, shard: Shard) -> Flow[str]:
        kind, after = "TRIM_HORIZON", None
        if shard.position is not None:
            kind, after = "AFTER_SEQUENCE_NUMBER", shard.position
        elif shard.latest:
            kind = "LATEST"
        arn = self._shards.arn
        shard_iterator: str = yield from stream_calls.iterator(self._streams, self._plan, arn, shard.id, kind, after)
        # Another one, should this expire, must not pass over what came meanwhile: it is sorted out by its time.
        shard.latest = False
        return shard_iterator

    def _too_old(self, record: StreamRecord[Any]) -> bool:
        since = self._shards.since
        return since is not None and record.created_at is not None and record.created_at.timestamp() < since

    def _lost(self, shard: Shard, error: Exception) -> None:
        """Records were removed before they were read: an error, or, if that is asked for, a line in the log."""
        text = f"records of shard {shard.id} of table {self._plan.table!r} were removed before they were read"
        if self._options.on_data_loss == "raise":
            raise StreamDataLost(
                f"{text}: DynamoDB keeps them for 24 hours; on_data_loss='continue' goes on with what is left",
                shard=shard.id,
                table=self._plan.table,
            ) from error
        warn(text)
        shard.position = None
