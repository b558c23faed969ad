"""The shards of a stream as one worker sees them: which there are, which may be read now, and how far each was read.

A shard's parent is read before it. It must not know records, nor how they are fetched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

from msgspec import Struct

from dynamorm.effects import Flow
from dynamorm.errors import StreamDataLost
from dynamorm.errors.log import logger

from . import calls as stream_calls
from .checkpoint import Checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

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
    on_unknown: Literal["raise", "skip"] = "raise"


class Shard:
    """A shard and where its reader stands. ``mine`` says that this worker reads it."""

    __slots__ = ("closed", "done", "ended", "id", "item", "iterator", "latest", "mine", "parent", "position", "unsaved")

    done: bool
    latest: bool
    ended: bool
    mine: bool

    def __init__(self, name: str, parent: str | None, *, closed: bool) -> None:
        self.id: str = name
        self.parent: str | None = parent
        self.closed: bool = closed
        self.item: Any = None
        self.position: str | None = None
        self.iterator: str | None = None
        self.unsaved: int = 0
        self.latest = self.mine = self.ended = self.done = False

    def lose(self) -> None:
        """Another worker has it: what it remembers is in the table."""
        self.mine = self.ended = False
        self.iterator = self.position = self.item = None
        self.unsaved = 0


class Shards:
    """What is known of a stream's shards. ``due`` is the (monotonic) time at which to look at them again."""

    def __init__(self, context: Context, streams: Context, model: Any, options: Options) -> None:
        self._context = context
        self._streams = streams
        self._options = options
        self._store: Checkpoints | None = None
        if options.checkpoint is not None:
            self._store = Checkpoints(context, options.checkpoint, options.consumer, options.worker, options.lease)
        self._begun = self._ending = False
        self._shards: dict[str, Shard] = {}
        self._arn = options.arn
        self.plan: ModelRequests = context.plan(model)
        self.now: Callable[[], float] = context.channel.clock.monotonic
        self.since: float | None = None
        self.due: float = 0.0

    @property
    def arn(self) -> str:
        """The stream, once it was looked at."""
        assert self._arn is not None
        return self._arn

    @property
    def over(self) -> bool:
        """Whether the stream was disabled and every shard was read to its end."""
        return self._ending and all(shard.done for shard in self._shards.values())

    @property
    def remembers(self) -> bool:
        """Whether positions are kept in a table."""
        return self._store is not None

    def mine(self) -> list[Shard]:
        """The shards that this worker reads."""
        return [shard for shard in self._shards.values() if shard.mine and not shard.done]

    # ------------------------------------------------------------------------------------------------------ progress

    def keep(self, shard: Shard) -> Flow[bool]:
        """Make sure that the shard is still this worker's."""
        store = self._store
        if store is not None and shard.mine and store.left(shard.item) < self._options.lease / 2:
            yield from self.save(shard, always=True)
        if not shard.mine:
            self.due = 0.0
        return shard.mine

    def save(self, shard: Shard, *, always: bool = False) -> Flow[None]:
        """Remember how far the shard was read."""
        if not shard.mine or not (shard.unsaved or always):
            return
        if self._store is not None:
            item = yield from self._store.save(shard.item, shard.position)
            if item is None:
                shard.lose()
                return
        shard.unsaved = 0

    def finish(self, shard: Shard) -> Flow[None]:
        """The shard was read to its end: its children may be read."""
        if self._store is not None:
            item = yield from self._store.release(shard.item, shard.position, done=True)
            if item is None:
                shard.lose()
                return
        shard.mine, shard.done, shard.unsaved = False, True, 0
        self.due = 0.0

    def release(self) -> Flow[None]:
        """Remember how far each shard was read, and give the leases back."""
        store = self._store
        if store is None:
            return
        for shard in self.mine():
            item, position = shard.item, shard.position
            shard.lose()
            yield from store.release(item, position, done=False)

    def end(self) -> Flow[None]:
        """The stream was disabled and read to its end."""
        if self._store is None:
            return
        items = yield from self._store.load()
        head = items.get(self._key(""))
        if head is not None and not head.done:
            yield from self._store.release(head, None, done=True)

    # -------------------------------------------------------------------------------------------------------- shards

    def look(self) -> Flow[None]:
        """See which shards there are, what other workers have done, and take what may be read now."""
        if self._arn is None:
            self._arn = yield from stream_calls.latest_stream(self._context, self.plan)
        listing = yield from stream_calls.listing(self._streams, self.plan, self.arn)
        store = self._store
        items = {} if store is None else (yield from store.load())
        if not self._begun:
            items = yield from self._begin_stream(listing, items)
        for listed in listing.shards:
            shard = self._shards.setdefault(listed.id, Shard(listed.id, listed.parent, closed=listed.closed))
            shard.closed = listed.closed
        self._ending = listing.ending
        yield from self._learn(items, {listed.id for listed in listing.shards})
        for shard in self._shards.values():
            if not (shard.mine or shard.done) and self._ready(shard):
                yield from self._take(shard)
        self.due = self.now() + (LOOK if self.mine() else LOOK_IDLE)

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
            for listed in listing.shards:
                shard = self._shards[listed.id] = Shard(listed.id, listed.parent, closed=listed.closed)
                shard.done, shard.latest = listed.closed, not listed.closed
        self.since = since
        self._begun = True
        return items

    def _replaced(self, items: dict[str, Any]) -> Flow[None]:
        """The table may have had another stream before: its end must have been read, or said to be lost."""
        assert self._store is not None  # it has the items
        table = self.arn.rpartition("/")[0] + "/"
        # The label at the end of an ARN is the time when the stream was enabled.
        old = {name: item for name, item in items.items() if name.startswith(table) and name < self.arn}
        if any(name.endswith("#") and not item.done for name, item in old.items()):
            text = f"table {self.plan.table!r} has a new stream, and its old one was not read to the end"
            if self._options.on_data_loss == "raise":
                raise StreamDataLost(
                    f"{text}: read it with arn=... within 24 hours, or pass on_data_loss='continue'",
                    table=self.plan.table,
                )
            warn(text)
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
                self._shards[shard_id] = Shard(shard_id, None, closed=True)
            shard = self._shards[shard_id]
            if not shard.mine:
                shard.item, shard.position, shard.done = item, item.position, item.done
                shard.latest = False
        for name, shard in list(self._shards.items()):
            if shard.done and name not in listed:
                del self._shards[name]

    def _ready(self, shard: Shard) -> bool:
        """A shard may be read once its parent was; one that was begun needs no second proof of it."""
        parent = None if shard.parent is None else self._shards.get(shard.parent)
        return shard.item is not None or parent is None or parent.done

    def _take(self, shard: Shard) -> Flow[None]:
        if self._store is not None:
            item = yield from self._store.claim(shard.item, self._key(shard.id))
            if item is None:
                return
            shard.item, shard.position = item, item.position
        shard.mine = True

    def _key(self, shard: str) -> str:
        return f"{self.arn}#{shard}"

    def _wall(self) -> float:
        now = self._context.now().timestamp()
        return now - now % ROUNDED


def warn(text: str) -> None:
    """Warn of lost records, although the options say to go on without them."""
    logger.warning("%s; going on with what is left", text)
