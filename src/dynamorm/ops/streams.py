"""The consumer of a stream as flows: which shard is read next, what has been worked off, what is remembered.

A shard's parent is read before it, and a record counts as worked off when the next one is asked for. One page of
records is held at a time. It must not know which face asks.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from dynamorm.effects import Flow, Sleep
from dynamorm.errors import ClientError, StreamDataLost, StreamNotFound

from . import stream_calls
from .stream_checkpoint import Checkpoints

if TYPE_CHECKING:
    from dynamorm.codec.stream_records import StreamRecord
    from dynamorm.session import Session

LOOK: Final = 30.0
"""Seconds between two looks for new shards. The end of a shard that is read here is noticed at once."""
LOOK_IDLE: Final = 5.0
"""The same while there is no shard to read: another worker has them, or a closed shard's children are not listed yet."""
ROUNDED: Final = 60
"""Seconds to which the creation times of records may be rounded down (DynamoDB itself: to one second)."""


class Options(Struct, frozen=True, kw_only=True):
    """How a stream is read; see `DB.stream`. Times are seconds."""

    consumer: str
    worker: str
    checkpoint: Any = None
    start: Literal["earliest", "latest"] | float = "earliest"
    arn: str | None = None
    poll_interval: float = 1.0
    idle_timeout: float | None = None
    page_size: int = 1000
    save_every: int = 100
    lease: float = 60.0
    on_data_loss: Literal["raise", "continue"] = "raise"


class _Shard:
    """A shard and where its reader stands. ``mine`` says that this worker reads it."""

    __slots__ = ("closed", "done", "ended", "id", "item", "iterator", "latest", "mine", "parent", "position", "unsaved")

    def __init__(self, name: str, parent: str | None, *, closed: bool) -> None:
        self.id = name
        self.parent = parent
        self.closed = closed
        self.item: Any = None
        self.position: str | None = None
        self.iterator: str | None = None
        self.unsaved = 0
        self.latest = self.mine = self.ended = self.done = False

    def lose(self) -> None:
        """Another worker has it: what it remembers is in the table."""
        self.mine = self.ended = False
        self.iterator = self.position = self.item = None
        self.unsaved = 0


class Consumer:
    """Reads one stream. ``session`` reaches the tables, ``streams`` the DynamoDB Streams API."""

    def __init__(self, session: Session, streams: Session, model: Any, options: Options) -> None:
        self._session = session
        self._streams = streams
        self._plan = session.plan(model)
        self._options = options
        self._store: Checkpoints | None = None
        if options.checkpoint is not None:
            self._store = Checkpoints(session, options.checkpoint, options.consumer, options.worker, options.lease)
        self._now = session.channel.clock.monotonic
        self._arn = options.arn
        self._begun = self._ending = self.stopping = False
        self._since: float | None = None
        self._shards: dict[str, _Shard] = {}
        self._buffer: deque[StreamRecord[Any]] = deque()
        self._current: _Shard | None = None
        self._handed: StreamRecord[Any] | None = None
        self._due = self._last = 0.0
        self._turn = self._quiet = 0

    # ------------------------------------------------------------------------------------------------- for the faces

    def begin(self) -> None:
        """Start a round of reading. A record that was handed out, and not followed by another, comes again."""
        if self._handed is not None:
            self._buffer.appendleft(self._handed)
            self._handed = None
        self.stopping = False
        self._due = 0.0
        self._last = self._now()

    def next(self) -> Flow[StreamRecord[Any] | None]:
        """The next record; None when reading is over. The record before it now counts as worked off."""
        yield from self._worked_off()
        while not self.stopping:
            shard = self._current
            if shard is None:
                if not (yield from self._fetch()):
                    break
            elif not (yield from self._keep(shard)):
                self._due = 0.0
            elif self._buffer:
                self._handed = self._buffer.popleft()
                return self._handed
            else:
                self._current = None
                yield from (self._finish(shard) if shard.ended else self._save(shard))
        yield from self.close()
        return None

    def commit(self) -> Flow[None]:
        """Count the record that was handed out last as worked off, and remember all positions now."""
        yield from self._worked_off()
        for shard in self._mine():
            yield from self._save(shard)

    def close(self) -> Flow[None]:
        """Remember what was worked off and give the leases back."""
        if self._handed is not None:
            self._buffer.appendleft(self._handed)
            self._handed = None
        store = self._store
        if store is None:
            return
        for shard in self._mine():
            item = shard.item
            position = shard.position
            shard.lose()
            yield from store.release(item, position, done=False)
        self._buffer.clear()
        self._current = None

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
            yield from self._save(shard)

    def _keep(self, shard: _Shard) -> Flow[bool]:
        """Make sure that the shard is still this worker's; its records are dropped when it is not."""
        store = self._store
        if store is None:
            return True
        if shard.mine and store.left(shard.item) < self._options.lease / 2:
            yield from self._save(shard, always=True)
        if not shard.mine and shard is self._current:
            self._buffer.clear()
            self._current = None
        return shard.mine

    def _save(self, shard: _Shard, *, always: bool = False) -> Flow[None]:
        if not shard.mine or not (shard.unsaved or always):
            return
        if self._store is not None:
            item = yield from self._store.save(shard.item, shard.position)
            if item is None:
                shard.lose()
                return
        shard.unsaved = 0

    def _finish(self, shard: _Shard) -> Flow[None]:
        """The shard was read to its end: its children may be read."""
        if self._store is not None:
            item = yield from self._store.release(shard.item, shard.position, done=True)
            if item is None:
                shard.lose()
                return
        shard.mine, shard.done, shard.unsaved = False, True, 0
        self._due = 0.0

    def _mine(self) -> list[_Shard]:
        return [shard for shard in self._shards.values() if shard.mine and not shard.done]

    # ------------------------------------------------------------------------------------------------------- reading

    def _fetch(self) -> Flow[bool]:
        """Ask one shard for records, or wait. False when there is nothing more to come."""
        if self._now() >= self._due:
            yield from self._look()
        mine = self._mine()
        if not mine:
            if self._ending and all(shard.done for shard in self._shards.values()):
                yield from self._end()
                return False
            return (yield from self._wait())
        self._turn += 1
        shard = mine[self._turn % len(mine)]
        if not (yield from self._keep(shard)):
            self._due = 0.0
            return True
        records = yield from self._read(shard)
        if records:
            self._buffer.extend(records)
            self._current = shard
            self._quiet = 0
            self._last = self._now()
        elif shard.ended:
            yield from self._finish(shard)
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

    def _read(self, shard: _Shard) -> Flow[list[StreamRecord[Any]]]:
        """The next page of a shard, without what is older than the start."""
        try:
            if shard.iterator is None:
                shard.iterator = yield from self._iterator(shard)
            found, shard.iterator = yield from stream_calls.records(
                self._streams, self._plan, shard.id, shard.iterator, self._options.page_size
            )
        except StreamNotFound as error:
            yield from self._lost(shard, error, gone=True)
            return []
        except ClientError as error:
            if error.code == stream_calls.EXPIRED:
                shard.iterator = None
            elif error.code == stream_calls.TRIMMED:
                yield from self._lost(shard, error, gone=False)
            else:
                raise
            return []
        shard.ended = shard.iterator is None
        wanted = [record for record in found if not self._too_old(record)]
        if found and not wanted:
            shard.position = found[-1].sequence_number
            shard.unsaved += 1
        return wanted

    def _iterator(self, shard: _Shard) -> Flow[str]:
        kind, after = "TRIM_HORIZON", None
        if shard.position is not None:
            kind, after = "AFTER_SEQUENCE_NUMBER", shard.position
        elif shard.latest:
            kind = "LATEST"
        assert self._arn is not None  # a shard is known from its stream
        found: str = yield from stream_calls.iterator(self._streams, self._plan, self._arn, shard.id, kind, after)
        # Another one, should this expire, must not pass over what came meanwhile: it is sorted out by its time.
        shard.latest = False
        return found

    def _too_old(self, record: StreamRecord[Any]) -> bool:
        return self._since is not None and record.created_at is not None and record.created_at.timestamp() < self._since

    def _lost(self, shard: _Shard, error: Exception, *, gone: bool) -> Flow[None]:
        """Records were removed before they were read."""
        shard.iterator = None
        text = f"records of shard {shard.id} of table {self._plan.table!r} were removed before they were read"
        if self._options.on_data_loss == "raise":
            raise StreamDataLost(
                f"{text}: DynamoDB keeps them for 24 hours; on_data_loss='continue' goes on with what is left",
                shard=shard.id,
                table=self._plan.table,
            ) from error
        _warn(text)
        shard.position = None
        if gone:
            yield from self._finish(shard)

    # -------------------------------------------------------------------------------------------------------- shards

    def _look(self) -> Flow[None]:
        """See which shards there are, what other workers have done, and take what may be read now."""
        if self._arn is None:
            self._arn = yield from stream_calls.latest_stream(self._session, self._plan)
        listing = yield from stream_calls.listing(self._streams, self._plan, self._arn)
        store = self._store
        items = {} if store is None else (yield from store.load())
        if not self._begun:
            items = yield from self._begin_stream(listing, items)
        for one in listing.shards:
            shard = self._shards.setdefault(one.id, _Shard(one.id, one.parent, closed=one.closed))
            shard.closed = one.closed
        self._ending = listing.ending
        yield from self._learn(items, {one.id for one in listing.shards})
        for shard in self._shards.values():
            if not (shard.mine or shard.done) and self._ready(shard):
                yield from self._take(shard)
        self._due = self._now() + (LOOK if self._mine() else LOOK_IDLE)

    def _begin_stream(self, listing: stream_calls.Listing, items: dict[str, Any]) -> Flow[dict[str, Any]]:
        """Find out since when records are wanted: what an earlier run began goes on as it began."""
        start = self._options.start
        since: float | None = None if start == "earliest" else start if start != "latest" else self._wall() - ROUNDED
        fresh = True
        if self._store is not None:
            head = items.get(self._key(""))
            if head is None:
                yield from self._replaced(items)
                head = yield from self._store.begin(self._key(""), since=None if since is None else int(since))
                if head is None:  # another worker was quicker
                    items = yield from self._store.load()
                    head, fresh = items.get(self._key("")), False
            else:
                fresh = False
            since = None if head is None else head.since
        if start == "latest" and fresh:
            for one in listing.shards:
                shard = self._shards[one.id] = _Shard(one.id, one.parent, closed=one.closed)
                shard.done, shard.latest = one.closed, not one.closed
        self._since = since
        self._begun = True
        return items

    def _replaced(self, items: dict[str, Any]) -> Flow[None]:
        """The table may have had another stream before: its end must have been read, or said to be lost."""
        assert self._arn is not None  # it has been found by now
        assert self._store is not None  # it has the items
        table = self._arn.rpartition("/")[0] + "/"
        old = {name: item for name, item in items.items() if name.startswith(table)}
        if any(name.endswith("#") and not item.done for name, item in old.items()):
            text = f"table {self._plan.table!r} has a new stream, and its old one was not read to the end"
            if self._options.on_data_loss == "raise":
                raise StreamDataLost(
                    f"{text}: read it with arn=... within 24 hours, or pass on_data_loss='continue'",
                    table=self._plan.table,
                )
            _warn(text)
        for item in old.values():
            yield from self._store.forget(item)

    def _learn(self, items: dict[str, Any], listed: set[str]) -> Flow[None]:
        """Take in what the table says of the shards that others read, or that an earlier run has read."""
        head = self._key("")
        for name, item in items.items():
            shard_id = name.removeprefix(head)
            if not name.startswith(head) or not shard_id:
                continue
            if shard_id not in self._shards:
                if item.done:
                    assert self._store is not None  # it has the items
                    yield from self._store.forget(item)
                    continue
                # Not listed any more: reading it will tell what is left.
                self._shards[shard_id] = _Shard(shard_id, None, closed=True)
            shard = self._shards[shard_id]
            if not shard.mine:
                shard.item, shard.position, shard.done = item, item.position, item.done
                shard.latest = False
        for name, shard in list(self._shards.items()):
            if shard.done and name not in listed:
                del self._shards[name]

    def _ready(self, shard: _Shard) -> bool:
        """A shard may be read once its parent was; one that was begun needs no second proof of it."""
        parent = None if shard.parent is None else self._shards.get(shard.parent)
        return shard.item is not None or parent is None or parent.done

    def _take(self, shard: _Shard) -> Flow[None]:
        if self._store is not None:
            item = yield from self._store.claim(shard.item, self._key(shard.id))
            if item is None:
                return
            shard.item, shard.position = item, item.position
        shard.mine = True

    def _end(self) -> Flow[None]:
        """The stream was disabled and read to its end."""
        if self._store is None:
            return
        items = yield from self._store.load()
        head = items.get(self._key(""))
        if head is not None and not head.done:
            yield from self._store.release(head, None, done=True)

    def _key(self, shard: str) -> str:
        return f"{self._arn}#{shard}"

    def _wall(self) -> float:
        now = self._session.now().timestamp()
        return now - now % ROUNDED


def _warn(text: str) -> None:
    from logging import getLogger  # costs milliseconds at import, and is needed for a loss only

    getLogger("dynamorm").warning("%s; going on with what is left", text)
