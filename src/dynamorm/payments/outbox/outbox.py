"""`Outbox`: events that are written in the transaction they tell of, and delivered at least once, in order for each key."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any, Final, Literal

from dynamorm.errors import ConditionFailed, ConfigError, DynamORMError, NotFound, TransactionCancelled, ValidationError
from dynamorm.errors.log import logger

from ..homes import Home, at_home, check_name, home_of, home_of_key, home_with
from ..two_faces import D_co, OfDatabase, Pages, Steps, is_async, transacted
from .clock import ServiceClock, Sightings
from .items import (
    AHEAD,
    NEVER,
    SCHEDULE,
    SHARDS,
    STOPPED,
    Answer,
    Delivered,
    OutboxEvent,
    OutboxQueue,
    answer_of,
    shard_of,
)

PAGE: Final = 50
"""Keys of one page of that index."""
AT_ONCE: Final = 0
"""When a new event is due: whatever a clock shows."""
DEAD: Final = "dead"
MOST_STILL: Final = 3
"""How often a process may stand still before a delivery until it leaves the key to others."""
LARGEST: Final = 300_000
"""Bytes of a body: an item has 400 KB, of which the rest needs some."""

_Events: Any = OutboxEvent
_Queues: Any = OutboxQueue


class Outbox(OfDatabase[D_co]):
    """Events that leave with the transaction they tell of, or not at all.

    `add` puts one into a transaction. `run`, in a process of its own, or several, delivers what is due: each event at least once, those of
    one key in the order of their transactions. ``db`` may be of either face; `add` is never awaited. The tables are made by
    `ensure_tables`.

    Args:
        lease: for how many seconds one process alone delivers the events of a key; a delivery takes less.
        on_dead: what a dead letter does to its key: ``"stop"`` holds back the events behind it until `redrive`, ``"skip"`` goes on.
        now: the clock of this machine, seconds since 1970. It is corrected by the time that DynamoDB tells.

    No local clock decides who delivers. A new event is due at once. A lease is taken from who holds it once this process has seen it
    unchanged for as long as it lasts; or, also by a process that has just begun, 5 seconds after its end by DynamoDB's time. Where
    answers have not told that for sure, ten minutes are added by who takes it, and ten by who waits for its end.

    A view of a tenant has an outbox of its own: what is added there, or in a transaction of such a view, is that tenant's, and `run`
    delivers its events alone. The database itself has those of no tenant, and a view of all tenants delivers everything
    (`OutboxEvent.tenant`).

    Example::

        outbox = Outbox(db)
        with db.transaction() as tx:
            transition(db, payment, "captured", id="capture-1", tx=tx)
            outbox.add(tx, "payment.captured", {"id": payment.id}, key=payment.id)
    """

    def __init__(
        self,
        db: D_co,
        *,
        lease: float = 60.0,
        on_dead: Literal["stop", "skip"] = "stop",
        now: Callable[[], float] = time.time,
    ) -> None:
        if str(on_dead) not in ("stop", "skip"):
            raise ValidationError("on_dead is 'stop' or 'skip'", field="on_dead")
        if not 0 < lease <= 3600:
            raise ValidationError("lease is a number of seconds, at most 3600", field="lease")
        super().__init__(db)
        self._lease = lease
        self._skips = on_dead == "skip"
        self._clock = ServiceClock(self.db.gauges, now, is_here=_is_here(db.config))
        self._monotonic: Callable[[], float] = time.monotonic
        self._seen = Sightings()

    def add(self, tx: Any, topic: str, body: Any, *, key: str) -> str:
        """Put an event into a transaction, and give its id. Events with one ``key`` are delivered in order.

        ``body`` is sent as it is where it is bytes or a text, else as JSON. One transaction has one event of a key, for it takes two
        places and writes the key's queue once. It is of the tenant that the transaction is of, or the outbox.

        Raises: ValidationError, also for a body over 300 kB; TenantMismatch where these are two; TenantRequired in a view of all.

        Example: ``outbox.add(tx, "payment.captured", {"id": "p1"}, key="p1")``
        """
        check_name("topic", topic, 255)
        check_name("key", key, 255)
        raw = _bytes_of(body)
        home = home_with(home_of(self.db.scope), home_of(tx.scope))
        id = f"msg_{secrets.token_hex(16)}"
        tx.create(OutboxEvent(pk=home.key(id), key=key, topic=topic, body=raw), label="outbox event")
        _enqueue(tx, home.key(key), id)
        return id

    @at_home
    def run(self, home: Home, deliver: Callable[[OutboxEvent], Any], *, limit: int = 1000) -> Steps[Delivered]:
        """Deliver what is due now, at most ``limit`` attempts, and return: call it again and again, a second apart.

        ``deliver(event)`` sends one event; on the asyncio face it may be awaitable. None, True or a status of 200 to 299 acknowledge it. Anything
        else, and what it raises, is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, a little more or less;
        429 and 503 after their Retry-After. 410, and the last failure, make it a dead letter.

        Raises: ConfigError for a coroutine function with a blocking database.

        Example: ``outbox.run(lambda event: client.post(url, content=event.body, headers=event.headers(secret)))``
        """
        if iscoroutinefunction(deliver) and not is_async(self.db):
            raise ConfigError(
                "deliver of an outbox of a blocking DB is a plain function; a coroutine function is for an AsyncDB"
            )
        totals = [0, 0, 0]
        queues = self.db.model(OutboxQueue).index("by-due").page_size(PAGE)
        due = _Queues.due <= self._clock.look()
        if home.is_all:
            yield from self._deliver_those(queues.filter(due).allow_scan(), deliver, limit, totals)
        else:
            for shard in random.sample(range(SHARDS), SHARDS):
                those = queues.where((_Queues.waiting == home.key(f"w{shard}")) & due)
                yield from self._deliver_those(those, deliver, limit, totals)
        return Delivered(*totals)

    def _deliver_those(
        self, queues: Any, deliver: Callable[[OutboxEvent], Any], limit: int, totals: list[int]
    ) -> Steps[None]:
        """Deliver what a query finds due, and add to the totals. Each key has its turn: one that is blocked holds up no other."""
        pages = Pages(self.db, queues)
        while sum(totals[:2]) < limit:
            page: Any = yield from pages.next()
            if page is None:
                return
            for queue in page.items:
                if (left := limit - sum(totals[:2])) <= 0:
                    break
                counts: list[int] = yield from self._work(queue.pk, deliver, left)
                totals[:] = [total + count for total, count in zip(totals, counts, strict=True)]
        yield from pages.close()

    @at_home
    def dead(self, home: Home, *, limit: int = 100) -> Steps[list[OutboxEvent]]:
        """The dead letters, the oldest first, at most ``limit``. A view of all tenants reads all that there are.

        Example: ``for event in outbox.dead(): print(event.id, event.topic)``
        """
        letters = self.db.model(OutboxEvent).index("by-dead")
        if not home.is_all:
            found: list[OutboxEvent] = yield letters.where(_Events.dead == home.key(DEAD)).limit(limit).all()
            return found
        oldest: list[OutboxEvent] = []
        pages = Pages(self.db, letters.allow_scan())
        while (page := (yield from pages.next())) is not None:  # a scan has no order, so all of them are looked at
            oldest = sorted([*oldest, *page.items], key=lambda event: event.created_at)[:limit]
        return oldest

    @at_home
    def redrive(self, home: Home, id: str | OutboxEvent) -> Steps[None]:
        """Deliver a dead letter again, from the first attempt on: where its key was stopped behind it, the key goes on.

        ``id`` is its id, or the event that `dead` has given, as a view of all tenants needs it.

        Raises: NotFound for what is no dead letter, or another tenant's; TenantRequired for an id in a view of all tenants;
        ValidationError for what is no id, such as the key of an event.

        Example: ``outbox.redrive(event.id)``
        """
        of, name = (home_of_key(id.pk), id.id) if isinstance(id, OutboxEvent) else (home, id)
        check_name("id", name, 255)
        letter: Any = None
        if home.is_all or of == home:
            letter = yield self.db.get(OutboxEvent, of.key(name), consistent=True)
        if letter is None or letter.dead is None:
            raise NotFound(f"there is no dead letter {name!r}: outbox.dead() lists those that there are")
        key = of.key(letter.key)
        queue: Any = yield self.db.get(OutboxQueue, key, consistent=True)
        stopped = queue is not None and bool(queue.pending) and queue.pending[0] == name

        def fill(tx: Any) -> None:
            tx.update(letter, _Events.dead.remove(), _Events.attempts.set(0))
            if stopped:
                wake = (_Queues.waiting.set(shard_of(key)), _Queues.due.set(AT_ONCE))
                tx.update(OutboxQueue, key, *wake, condition=_Queues.pending[0] == name)
            else:
                _enqueue(tx, key, name)

        yield from transacted(self.db, fill)

    # ----------------------------------------------------------------------------------------------------------- one key

    def _work(self, key: str, deliver: Callable[[OutboxEvent], Any], limit: int) -> Steps[list[int]]:
        """Deliver the events of a key while this process has its lease: how many were delivered, failed, and died."""
        counts = [0, 0, 0]
        me, stood_still = secrets.token_hex(8), 0
        while sum(counts[:2]) < limit:
            asked = self._monotonic()
            queue: Any = yield from self._leased(key, me)
            if queue is None:
                break
            event: Any = yield from self._head(queue)
            if event is None:  # its transaction is being applied, or it cannot be read: the others have their turn
                break
            if self._monotonic() - asked > self._lease / 2:
                # This process stood still, and a delivery would outlast the lease: it takes the lease anew. One that has just begun
                # loads what it needs at this moment, and would else leave each key to the next process, which does the same.
                stood_still += 1
                if stood_still < MOST_STILL:
                    continue
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
            event: Any = yield self.db.get(OutboxEvent, home_of_key(queue.pk).key(queue.pending[0]), consistent=True)
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
            now = self._clock.look()
            is_due = (_Queues.waiting == shard_of(key)) & (_Queues.due <= now) & (_Queues.pending.size() > 0)
            lasts = int(self._lease * 1000)
            try:
                queue: Any = yield self.db.update(
                    OutboxQueue,
                    key,
                    _Queues.owner.set(me),
                    _Queues.until.set(self._clock.end(now, lasts)),
                    _Queues.lasts.set(lasts),
                    condition=free & is_due,
                )
            except ConditionFailed as refused:
                seen: Any = refused.item
                if seen is None or not self._has_ended(key, seen, now):
                    return None
                free = (_Queues.owner == seen.owner) & (_Queues.until == seen.until)
            else:
                self._seen.forget(key)
                return queue
        return None

    def _has_ended(self, key: str, queue: Any, now: int) -> bool:
        """Whether the lease of somebody else has ended: by what this process has seen, or by the service's time."""
        if queue.owner is None:
            return False  # it was refused for another reason
        unchanged = self._seen.unchanged(key, queue.owner, queue.until, self._monotonic())
        lasts = queue.lasts or int(self._lease * 1000)
        return unchanged * 1000 > lasts or self._clock.has_passed(queue.until, now)

    def _delivered(self, deliver: Callable[[OutboxEvent], Any], event: Any) -> Steps[Answer]:
        token = AHEAD.set(self._clock.ahead)
        try:
            given = yield deliver(event)
            return answer_of(given, self._clock.millis() / 1000)
        except Exception:  # whatever it is, the event was not acknowledged
            logger.warning("the event %s of the outbox was not delivered", event.id, exc_info=True)
            return Answer(ok=False)
        finally:
            AHEAD.reset(token)

    def _acknowledge(self, queue: Any, event: Any, me: str) -> Steps[bool]:
        """Take a delivered event out of the queue; whether there is more, and the lease still ours."""
        return (yield from self._pop(queue, event, me, lambda tx: tx.delete(OutboxEvent, event.pk)))

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
                tx.update(OutboxQueue, queue.pk, *changes, condition=condition)
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
        home = home_of_key(event.pk)
        bury = (_Events.attempts.add(1), _Events.dead.set(home.key(DEAD)))
        if dies and self._skips:
            yield from self._pop(queue, event, me, lambda tx: tx.update(OutboxEvent, event.pk, *bury))
            return True

        def fill(tx: Any) -> None:
            ours = (_Queues.owner == me) & (_Queues.pending[0] == event.id)
            if dies:
                stop = (_Queues.waiting.set(home.key(STOPPED)), _Queues.due.set(NEVER))
                tx.update(OutboxQueue, queue.pk, *stop, condition=ours)
                tx.update(OutboxEvent, event.pk, *bury)
                return
            seconds = SCHEDULE[event.attempts] * random.uniform(0.9, 1.1)  # noqa: S311 - so that not all come at once
            if answer.retry_after is not None:
                seconds = max(answer.retry_after, 1.0)
            due = self._clock.millis() + int(seconds * 1000)
            tx.update(OutboxQueue, queue.pk, _Queues.due.set(due), condition=ours)
            tx.update(OutboxEvent, event.pk, _Events.attempts.add(1))

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


def _is_here(config: Any) -> bool:
    """Whether the engine is on this machine: nothing else is reached without TLS."""
    return config.engine is not None or (config.endpoint or "").startswith("http://")


def _enqueue(tx: Any, key: str, id: str) -> None:
    """Put an event behind those of its queue, which is named by its key."""
    tx.update(
        OutboxQueue,
        key,
        _Queues.pending.append_or_create(id),
        _Queues.waiting.if_not_exists(shard_of(key)),
        _Queues.due.if_not_exists(AT_ONCE),
        upsert=True,
        label="outbox queue",
    )


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
        raise ValidationError(
            f"the body of an event has at most {LARGEST} bytes: keep it elsewhere, and send where it is", field="body"
        )
    return raw
