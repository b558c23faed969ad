"""What the batchers of both faces share: how they are set up, what a spool brings, and what is said at the end."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any, Final, Protocol

from dynamorm import BatchResult
from dynamorm.effects import Flow
from dynamorm.errors import (
    BatcherClosed,
    DynamORMError,
    InvalidUse,
    Outcome,
    OutcomeUnknown,
)
from dynamorm.errors.log import logger
from dynamorm.plugin import NotReady, without_locals

from .config import BatchConfig, checked
from .keeping import Kept, is_last_word, kept_for
from .pending import Item, Pending
from .queue import Queue
from .replaying import Replay
from .spool import Spool

UNPICKLABLE_FOR: Final = "has items under way"
UNPICKLABLE_INSTEAD: Final = "send its BatchConfig, and open another batcher on the other side with db.new_batcher()"
"""What `dynamorm.plugin.OfOneProcess` says of a batcher, after "so it can be neither pickled nor copied"."""


class Items(Protocol):
    """What a batcher is given of its database."""

    max_bytes: int
    latest: float
    secret: bytes

    @property
    def most(self) -> int:
        """How many requests may be under way at once."""
        ...

    def put(self, obj: Any) -> Any:
        """The item of an object to store, as it is now."""
        ...

    def delete(self, subject: Any, key: tuple[Any, ...], parts: Mapping[str, Any]) -> Any:
        """The item of an object, or of a model and a key, to delete."""
        ...

    def left(self) -> float | None:
        """Seconds until the caller's deadline; None without one."""
        ...

    def send(self, items: Sequence[Any]) -> Any:
        """The flow that sends items."""
        ...

    def check_open(self) -> None:
        """Refuse an item of a database that was closed."""
        ...

    def check_home(self, known: Any) -> None:
        """Refuse a record of another database. Raises: ConfigError."""
        ...

    def spooled(self, models: tuple[type[Any], ...]) -> None:
        """From now on a spool keeps the items; ``models`` are classes that no module has."""
        ...

    def catch_up(self, item: Any) -> None:
        """Let an item that is added now go on from what its object was brought up to since it was encoded."""
        ...

    def record(self, item: Any) -> bytes:
        """What a spool keeps of an item."""
        ...

    def known(self, data: bytes) -> Any:
        """What a record tells without the model of its item."""
        ...

    def revive(self, data: bytes) -> Flow[Any]:
        """The flow that gives the item of a record."""
        ...

    def replay(self, item: Any, kin: Sequence[Any]) -> Flow[None]:
        """The flow that settles an item of a spool; ``kin`` are all those of its key."""
        ...


FETCHES: Final = 100
"""Things that the fields of one object may wait for."""


class Work:
    """A batcher without threads and tasks: its queue, its spool, its settings, and whether it is closed."""

    def __init__(self, items: Items, config: BatchConfig | None) -> None:
        self.config: BatchConfig = checked(config)
        self.items: Items = items
        self.parallelism: int = min(self.config.parallelism, items.most)
        self.queue: Queue = Queue(
            max_size=self.config.max_size,
            max_bytes=items.max_bytes,
            max_wait=self.config.wait,
            latest=items.latest if self.config.on_ambiguous == "wait" else 0.0,
            keep=self.config.keep,
        )
        self.replayed: BatchResult = BatchResult()
        self.spool: Spool | None = None
        self.kept: Kept = Kept()
        self._replay: Replay | None = None
        self.is_closed: bool = False
        self.is_forked: bool = False
        self.telling: set[Pending] = set()  # has ended, and its futures do not know it yet
        path = self.config.path
        if path is not None:
            items.spooled(self.config.spool_models)
            self.spool = Spool(path, self.config.spool_key)
            items.secret = self.spool.secret
            self.queue.synced = self.spool.synced
            self.queue.ending = self._ending
        _live.add(self)

    @property
    def is_full(self) -> bool:
        """Whether there is no place in the queue."""
        return len(self.queue) >= self.config.queue_size

    def check_open(self) -> None:
        """Raises: BatcherClosed; InvalidUse in a child process; ConfigError once the database was closed."""
        if self.is_closed:
            raise BatcherClosed("this batcher was closed: nothing was added; open another one with db.new_batcher()")
        if self.is_forked:
            raise InvalidUse(
                "this batcher belongs to the parent of this process, which goes on with it: open another one here"
            )
        self.items.check_open()

    def add(self, item: Item, future: Any, left: float | None) -> tuple[bool, int]:
        """Take an item in, where there is a place: whether who sends should look, and its number in the spool."""
        seq = 0
        self.items.catch_up(item)
        if self.spool is not None:
            item.follows = self.queue.before(item)
            seq = self.spool.add(self.items.record(item))
        look = self.queue.add(item, future, monotonic(), left, seq)
        if self.is_full and not self.queue.is_sending:
            self.queue.flush()  # nobody can join what is there, and nothing makes a place
            look = True
        return look, seq

    def due(self, batch: list[Pending], ended: Callable[[Pending], None]) -> list[Pending]:
        """Those that are still to be sent; ``ended`` is called with each at its end."""
        for pending in batch:
            pending.item.on_end = lambda _, pending=pending: ended(pending)
        late = self.queue.overdue(monotonic(), batch)
        return [pending for pending in batch if pending not in late] if late else batch

    def begin(self, batch: list[Pending]) -> None:
        """Sending these begins."""
        if self.spool is not None:
            self.spool.begin(part.seq for pending in batch for part in pending.parts)

    def _ending(self, pending: Pending) -> None:
        """One that ends stays in the spool, unless it is written or the service has refused it; then its future says so."""
        item = pending.item
        if item.error is None:
            pending.replaced = self.kept.replaced_by(item.address, item.verb, item.item)
        elif not is_last_word(item.error):
            if not len(self.kept):
                logger.warning("a batcher keeps what it cannot write now in its spool: %s", item.error.safe)
            item.error = kept_for(item.error)
            self.kept.stay(item.address, (part.seq for part in pending.parts), item.verb, item.item)

    def end(self, batch: Sequence[Pending]) -> None:
        """These have been sent: the spool forgets those that are written, and those that the service has refused."""
        if self.spool is not None:
            over = [one for one in batch if one.is_over and (one.item.error is None or is_last_word(one.item.error))]
            self.spool.end(seq for one in over for seq in (*one.replaced, *(part.seq for part in one.parts)))

    def withdraw(self, seq: int) -> None:
        """The spool has refused an item that was just added."""
        self.queue.withdraw(seq)

    def put(self, obj: Any) -> Flow[Any]:
        """The item of an object to store, once what its fields need has been fetched."""
        waited = 0
        while True:
            try:
                return self.items.put(obj)
            except NotReady as waiting:
                without_locals(waiting)  # of no verb that ends, of which plugins are told
                if (waited := waited + 1) > FETCHES:
                    raise
                missing = waiting
            except DynamORMError as error:
                without_locals(error)
                raise
            yield from missing.flow()

    def replaying(self) -> Flow[None]:
        """Settle what a process has left in the spool, before anything new is sent; in order for each key.

        Raises: what shows that the service cannot be asked now; the spool keeps what was not settled.
        """
        spool = self.spool
        if spool is None or not spool.left:
            return
        if self._replay is None:
            self._replay = Replay(self.items, spool, self.kept)
        try:
            yield from self._replay.flow(self.parallelism)
        finally:
            self.replayed = self._replay.result(keep=self.config.keep)
            if self.config.on_ambiguous == "wait":
                until = monotonic() + self.items.latest
                for address in self._replay.doubtful():
                    self.queue.block(address, until)
        spool.left = {}
        logger.info("a spool was replayed: %r", self.replayed)

    def failed(self, batch: Sequence[Pending], error: BaseException) -> None:
        """What a flow has raised, as the end of the items that it has not brought to one."""
        for pending in batch:
            if not pending.item.state:
                pending.item.end(_typed(error))

    def given_up(self) -> list[Pending]:
        """What the time to close was not enough for: each is brought to its end."""
        over = list(self.queue.unsent())
        for pending in self.queue.under_way():
            if pending not in over:
                pending.item.on_end = None  # who sends it has nothing to say any more
                pending.item.end(
                    OutcomeUnknown("the batcher was closed before an answer came: it may or may not have been written")
                )
                over.append(pending)
        return over

    def result(self) -> BatchResult:
        """What became of everything."""
        return self.queue.result(self.replayed)

    def over(self) -> None:
        """Nothing is sent any more."""
        self.is_closed = True
        if self.spool is not None:
            self.spool.close()
        _live.discard(self)

    def forked(self) -> None:
        """In a child process: the threads, the tasks, the spool and the futures are its parent's."""
        self.is_forked = True
        for pending in {*self.queue.open, *self.telling}:
            pending.abandon()
        if self.spool is not None:
            self.spool.abandon()


def say(result: BatchResult) -> None:
    """Log at the end of a block what was not written, for its result is nobody's."""
    if not result.ok:
        logger.warning("a batcher was closed, and not everything was written: %r", result)


def _typed(error: BaseException) -> DynamORMError:
    if isinstance(error, DynamORMError) and error.outcome is not Outcome.APPLIED:
        return error
    made = OutcomeUnknown(
        f"sending the item was interrupted ({type(error).__name__}): it may or may not have been written"
    )
    made.__cause__ = error
    return made


_live: Final[weakref.WeakSet[Work]] = weakref.WeakSet()
"""The batchers that are not closed."""


def _at_exit() -> None:
    """Say what is lost with the process, or kept."""
    for work in list(_live):
        if (len(work.queue) or len(work.kept)) and not work.is_forked:
            spooled = (
                "; what was not written is in its spool"
                if work.spool is not None
                else ", and what has not ended is lost"
            )
            logger.error(
                "the program ends, and a batcher was not closed: %s%s; close a batcher, best by `with`",
                work.queue.counts,
                spooled,
            )


def _forked() -> None:
    for work in list(_live):
        with suppress(OSError):
            work.forked()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
