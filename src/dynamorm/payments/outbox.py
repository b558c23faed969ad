"""`Outbox`: events that are written in the transaction they tell of, and delivered at least once, in order for each key."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from zlib import crc32

from dynamorm.errors import ConditionFailed, DynamORMError, NotFound, TransactionCancelled, ValidationError
from dynamorm.log import logger

from .outbox_items import AHEAD, SCHEDULE, STOPPED, Answer, Delivered, OutboxEvent, OutboxQueue, answer_of
from .two_faces import Pages, Steps, on_both, transacted

SHARDS: Final = 4
"""Partitions of the index of what is to be done."""
PAGE: Final = 50
"""Keys of one page of that index."""
AT_ONCE: Final = 0
"""When a new event is due: whatever a clock shows."""
LATE: Final = 600_000
"""Milliseconds after the end of a lease when nobody holds it, by any clock that AWS takes requests of: each may be 5 minutes off."""
MOST_SEEN: Final = 1_000
"""Leases of others that are remembered."""
LARGEST: Final = 300_000
"""Bytes of a body: an item has 400 KB, of which the rest needs some."""

_Events: Any = OutboxEvent
_Queues: Any = OutboxQueue


class Outbox:
    """Events that leave with the transaction they tell of, or not at all.

    `add` puts one into a transaction. `run`, in a process of its own, or several, delivers what is due: each event at least once, those of
    one key in the order of their transactions. ``db`` may be of either face; `add` is never awaited. The tables are made by
    `ensure_tables`.

    Args:
        lease: for how many seconds one process alone delivers the events of a key; a delivery takes less.
        on_dead: what a dead letter does to its key: ``"stop"`` holds back the events behind it until `redrive`, ``"skip"`` goes on.
        now: the clock of this machine, seconds since 1970. It is corrected by the time that DynamoDB tells.

    No clock decides who delivers. A new event is due at once; a lease is taken from who holds it once this process has seen it
    unchanged for as long as it lasts, or when its end is more than ten minutes ago.

    Example::

        outbox = Outbox(db)
        with db.transaction() as tx:
            tx.update(payment, Payment.status.set(Status.CAPTURED))
            outbox.add(tx, "payment.captured", {"id": payment.id}, key=payment.id)
    """

    def __init__(
        self,
        db: Any,
        *,
        lease: float = 60.0,
        on_dead: Literal["stop", "skip"] = "stop",
        now: Callable[[], float] = time.time,
    ) -> None:
        if str(on_dead) not in ("stop", "skip"):
            raise ValidationError("on_dead is 'stop' or 'skip'", field="on_dead")
        if not 0 < lease <= 3600:
            raise ValidationError("lease is a number of seconds, at most 3600", field="lease")
        self.db: Any = db
        self._lease = lease
        self._skips = on_dead == "skip"
        self._now = now
        self._ahead = 0.0
        self._monotonic: Callable[[], float] = time.monotonic
        self._seen: dict[str, tuple[str | None, int, float]] = {}  # leases of others: owner, end, and since when

    def add(self, tx: Any, topic: str, body: Any, *, key: str) -> str:
        """Put an event into a transaction, and give its id. Events with one ``key`` are delivered in order.

        ``body`` is sent as it is where it is bytes or a text, else as JSON. One transaction has one event of a key, for it takes two
        places and writes the key's queue once.

        Raises: ValidationError, also for a body over 300 kB.

        Example: ``outbox.add(tx, "payment.captured", {"id": "p1"}, key="p1")``
        """
        texts: dict[str, Any] = {"topic": topic, "key": key}
        for name, text in texts.items():
            if not isinstance(text, str) or not 0 < len(text) <= 255 or not text.isprintable():
                raise ValidationError(
                    f"{name} is a text of 1 to 255 characters, without control characters", field=name
                )
        event = OutboxEvent(id=f"msg_{secrets.token_hex(16)}", key=key, topic=topic, body=_bytes_of(body))
        tx.create(event, label="outbox event")
        tx.update(
            OutboxQueue,
            key,
            _Queues.pending.append_or_create(event.id),
            _Queues.waiting.if_not_exists(_shard(key)),
            _Queues.due.if_not_exists(AT_ONCE),
            upsert=True,
            label="outbox queue",
        )
        return event.id

    @on_both
    def run(self, deliver: Callable[[OutboxEvent], Any], *, limit: int = 1000) -> Steps[Delivered]:
        """Deliver what is due now, at most ``limit`` attempts, and return: call it again and again, a second apart.

        ``deliver(event)`` sends one event; on the asyncio face it may be awaitable. None, True or a status of 200 to 299 acknowledge it. Anything
        else, and what it raises, is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, a little more or less;
        429 and 503 after their Retry-After. 410, and the last failure, make it a dead letter.

        Example: ``outbox.run(lambda event: client.post(url, content=event.body, headers=event.headers(secret)))``
        """
        totals = [0, 0, 0]
        for shard in random.sample(range(SHARDS), SHARDS):
            yield from self._deliver_shard(shard, deliver, limit, totals)
        return Delivered(*totals)

    def _deliver_shard(
        self, shard: int, deliver: Callable[[OutboxEvent], Any], limit: int, totals: list[int]
    ) -> Steps[None]:
        """Deliver what is due in a shard, and add to the totals. Each key has its turn: one that is blocked holds up no other."""
        self._ahead = self.db.gauges().get("clock_skew_seconds", 0.0)
        due = (_Queues.waiting == f"w{shard}") & (_Queues.due <= self._millis())
        pages = Pages(self.db, self.db.model(OutboxQueue).index("by-due").where(due).page_size(PAGE))
        while sum(totals[:2]) < limit:
            page: Any = yield from pages.next()
            if page is None:
                return
            for queue in page.items:
                if (left := limit - sum(totals[:2])) <= 0:
                    break
                counts: list[int] = yield from self._work(queue.key, deliver, left)
                totals[:] = [total + count for total, count in zip(totals, counts, strict=True)]
        yield from pages.close()

    @on_both
    def dead(self, *, limit: int = 100) -> Steps[Any]:
        """The dead letters, the oldest first.

        Example: ``for event in outbox.dead(): print(event.id, event.topic)``
        """
        return (yield self.db.model(OutboxEvent).index("by-dead").where(_Events.dead == "dead").limit(limit).all())

    @on_both
    def redrive(self, id: str) -> Steps[None]:
        """Deliver a dead letter again, from the first attempt on: where its key was stopped behind it, the key goes on.

        Raises: NotFound for what is no dead letter.

        Example: ``outbox.redrive(event.id)``
        """
        event: Any = yield self.db.get(OutboxEvent, id, consistent=True)
        if event is None or event.dead is None:
            raise NotFound(f"there is no dead letter {id!r}")
        queue: Any = yield self.db.get(OutboxQueue, event.key, consistent=True)
        stopped = queue is not None and bool(queue.pending) and queue.pending[0] == id

        def fill(tx: Any) -> None:
            tx.update(event, _Events.dead.remove(), _Events.attempts.set(0))
            wake = (_Queues.waiting.set(_shard(event.key)), _Queues.due.set(AT_ONCE))
            if stopped:
                tx.update(OutboxQueue, event.key, *wake, condition=_Queues.pending[0] == id)
            else:
                tx.update(
                    OutboxQueue,
                    event.key,
                    _Queues.pending.append_or_create(id),
                    _Queues.waiting.if_not_exists(_shard(event.key)),
                    _Queues.due.if_not_exists(AT_ONCE),
                    upsert=True,
                )

        yield from transacted(self.db, fill)

    # ----------------------------------------------------------------------------------------------------------- one key

    def _work(self, key: str, deliver: Callable[[OutboxEvent], Any], limit: int) -> Steps[list[int]]:
        """Deliver the events of a key while this process has its lease: how many were delivered, failed, and died."""
        counts = [0, 0, 0]
        me = secrets.token_hex(8)
        while sum(counts[:2]) < limit:
            queue: Any = yield from self._leased(key, me)
            if queue is None:
                break
            event: Any = yield from self._head(queue)
            if event is None:  # its transaction is being applied, or it cannot be read: the others have their turn
                break
            answer = yield from self._delivered(deliver, event)
            if answer.ok:
                counts[0] += 1
                going = yield from self._acknowledge(queue, event, me)
            else:
                counts[1] += 1
                died: bool = yield from self._fail(queue, event, me, answer)
                counts[2] += died
                going = died and self._skips
            if not going:
                break
        yield from self._release(key, me)
        return counts

    def _head(self, queue: Any) -> Steps[Any]:
        """The event that is next in a queue, with its number; None where it cannot be had now."""
        try:
            event: Any = yield self.db.get(OutboxEvent, queue.pending[0], consistent=True)
            if event is not None and event.seq is None:
                event = yield self.db.update(event, _Events.seq.set(queue.delivered + 1))
        except DynamORMError:
            logger.warning("the event %s of the outbox cannot be read", queue.pending[0], exc_info=True)
            return None
        return event

    def _leased(self, key: str, me: str) -> Steps[Any]:
        """The queue of a key, leased, where it is due and nobody else delivers it; else None."""
        free = (_Queues.owner == me) | (_Queues.owner == None)  # noqa: E711 - of a path
        for _ in range(2):
            now = self._millis()
            is_due = (_Queues.waiting == _shard(key)) & (_Queues.due <= now) & (_Queues.pending.size() > 0)
            lasts = int(self._lease * 1000)
            try:
                queue: Any = yield self.db.update(
                    OutboxQueue,
                    key,
                    _Queues.owner.set(me),
                    _Queues.until.set(now + lasts),
                    _Queues.lasts.set(lasts),
                    condition=free & is_due,
                )
            except ConditionFailed as refused:
                seen: Any = refused.item
                if seen is None or not self._has_ended(key, seen, now):
                    return None
                free = (_Queues.owner == seen.owner) & (_Queues.until == seen.until)
            else:
                self._seen.pop(key, None)
                return queue
        return None

    def _has_ended(self, key: str, queue: Any, now: int) -> bool:
        """Whether the lease of somebody else has ended: by what this process has seen, for clocks differ."""
        if queue.owner is None:
            return False  # it was refused for another reason
        state, at = (queue.owner, queue.until), self._monotonic()
        found = self._seen.pop(key, None)
        since = found[2] if found is not None and found[:2] == state else at
        self._seen[key] = (*state, since)
        if len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        lasts = queue.lasts or int(self._lease * 1000)
        return (at - since) * 1000 > lasts or queue.until + LATE < now

    def _delivered(self, deliver: Callable[[OutboxEvent], Any], event: Any) -> Steps[Answer]:
        token = AHEAD.set(self._ahead)
        try:
            given = yield deliver(event)
            return answer_of(given, self._millis() / 1000)
        except Exception:  # whatever it is, the event was not acknowledged
            logger.warning("the event %s of the outbox was not delivered", event.id, exc_info=True)
            return Answer(ok=False)
        finally:
            AHEAD.reset(token)

    def _acknowledge(self, queue: Any, event: Any, me: str) -> Steps[bool]:
        """Take a delivered event out of the queue; whether there is more, and the lease still ours."""
        return (yield from self._pop(queue, event, me, lambda tx: tx.delete(OutboxEvent, event.id)))

    def _pop(self, queue: Any, event: Any, me: str, along: Callable[[Any], None]) -> Steps[bool]:
        paths = _Queues
        ours = (paths.owner == me) & (paths.pending[0] == event.id)
        for is_last in (len(queue.pending) == 1, False):
            changes = [paths.pending[0].remove(), paths.delivered.set(queue.delivered + 1)]
            size = paths.pending.size()
            if is_last:
                changes += [paths.waiting.remove(), paths.due.remove()]
            else:
                changes.append(paths.due.set(AT_ONCE))
            condition = ours & (size == 1 if is_last else size > 1)

            def fill(tx: Any, changes: list[Any] = changes, condition: Any = condition) -> None:
                tx.update(OutboxQueue, queue.key, *changes, condition=condition)
                along(tx)

            try:
                yield from transacted(self.db, fill)
            except TransactionCancelled:
                if not is_last:
                    return False  # the lease was lost: who has it delivers the event again
                continue  # another event came behind it
            return not is_last
        return False

    def _fail(self, queue: Any, event: Any, me: str, answer: Answer) -> Steps[bool]:
        """Note a failed attempt: when it is tried again, or that the event is dead now, which is returned."""
        dies = answer.gone or event.attempts >= len(SCHEDULE)
        bury = (_Events.attempts.add(1), _Events.dead.set("dead"))
        if dies and self._skips:
            yield from self._pop(queue, event, me, lambda tx: tx.update(OutboxEvent, event.id, *bury))
            return True

        def fill(tx: Any) -> None:
            ours = (_Queues.owner == me) & (_Queues.pending[0] == event.id)
            if dies:
                tx.update(OutboxQueue, queue.key, _Queues.waiting.set(STOPPED), condition=ours)
                tx.update(OutboxEvent, event.id, *bury)
                return
            seconds = SCHEDULE[event.attempts] * random.uniform(0.9, 1.1)  # noqa: S311 - so that not all come at once
            if answer.retry_after is not None:
                seconds = max(answer.retry_after, 1.0)
            tx.update(OutboxQueue, queue.key, _Queues.due.set(self._millis() + int(seconds * 1000)), condition=ours)
            tx.update(OutboxEvent, event.id, _Events.attempts.add(1))

        try:
            yield from transacted(self.db, fill)
        except TransactionCancelled:
            return False  # the lease was lost: who has it counts
        return dies

    def _release(self, key: str, me: str) -> Steps[None]:
        try:
            yield self.db.update(
                OutboxQueue, key, _Queues.owner.remove(), _Queues.until.set(0), condition=_Queues.owner == me
            )
        except ConditionFailed:
            return

    def _millis(self) -> int:
        """The time, milliseconds since 1970."""
        return int((self._now() + self._ahead) * 1000)


def _shard(key: str) -> str:
    return f"w{crc32(key.encode()) % SHARDS}"


def _bytes_of(body: Any) -> bytes:
    """The bytes that are sent. Raises: ValidationError."""
    if isinstance(body, str):
        raw = body.encode()
    elif isinstance(body, (bytes, bytearray)):
        raw = bytes(body)
    else:
        try:
            raw = json.dumps(dict(body) if isinstance(body, Mapping) else body, allow_nan=False).encode()
        except (TypeError, ValueError):
            raise ValidationError("the body of an event is bytes, a text, or what JSON has", field="body") from None
    if len(raw) > LARGEST:
        raise ValidationError(f"the body of an event has at most {LARGEST} bytes", field="body")
    return raw
