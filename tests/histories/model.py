"""The tables of the random histories, and the operations that worker processes do to them.

Every operation has an id of its own, and leaves a trace that tells how often it was applied: the id in a list, a digit of
a counter, an item of its own. The operations are written once, as coroutines that also run on the blocking face.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

from dynamorm import AsyncDB, Attr, Model, Outcome, Unique, attr, partition_key, version
from dynamorm.errors import DynamORMError, VersionConflict
from dynamorm.leases import LeaseRecord

ACCOUNTS: Final = 40
HOT: Final = 4
START: Final = 1_000
DIGITS: Final = 60
"""Operations on one counter. Operation k adds 4**k, so digit k to the base 4 tells how often it was applied."""


class Account(Model, table="accounts"):
    """Versioned; the list has the ids of what was done to it."""

    id: Attr[str] = partition_key()
    balance: Attr[int] = attr(default=START)
    log: Attr[list[str]] = attr(default_factory=list)
    version: Attr[int] = version()


class Counter(Model, table="counters"):
    """Without a version."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


class Receipt(Model, table="receipts"):
    """One item for one operation."""

    id: Attr[str] = partition_key()
    giver: Attr[str] = attr(default="")
    taker: Attr[str] = attr(default="")
    cents: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Charge(Model, table="charges"):
    """One item for one value that several want."""

    id: Attr[str] = partition_key()
    order: Attr[str] = attr(Unique())
    version: Attr[int] = version()


class Lock(Model, LeaseRecord, table="locks"):
    """Leases."""


MODELS: Final = (Account, Counter, Receipt, Charge, Lock)


class Task(NamedTuple):
    """One operation: its ``id``, its ``kind``, and where it goes. ``place`` and ``digit`` are its own on a counter."""

    id: str
    kind: str
    giver: str
    taker: str
    cents: int
    place: str
    digit: int


class Hands:
    """A database of either face: what is awaited is awaited only where it can be.

    ``calm`` is a database without a proxy before it, for what an operation starts from.
    """

    def __init__(self, db: Any, calm: Any) -> None:
        self.db = db
        self.calm = calm

    async def do(self, found: Any) -> Any:
        """The result of a call."""
        return await found if inspect.isawaitable(found) else found

    @asynccontextmanager
    async def within(self, manager: Any) -> Any:
        """A block of either kind."""
        if isinstance(self.db, AsyncDB):
            async with manager as entered:
                yield entered
        else:
            with manager as entered:
                yield entered


Doing = Callable[[Hands, Task], Awaitable[Outcome | None]]
"""Does the operation. The last word on it is an `Outcome` that it returns, else its error's, else APPLIED."""

_TURNS: Final = 60  # tries of one versioned operation while others are first


async def _again(hands: Hands, task: Task, change: Callable[[Any], Awaitable[Any]]) -> None:
    """Change a freshly loaded account, as often as somebody else was certainly first."""
    for turn in range(_TURNS):
        account = await hands.do(hands.db.require(Account, task.giver, consistent=True))
        try:
            await change(account)
        except VersionConflict as error:
            if error.outcome is not Outcome.NOT_APPLIED or turn == _TURNS - 1:
                raise
        else:
            return


async def _append(hands: Hands, task: Task) -> None:
    await hands.do(hands.db.update(Account, task.giver, Account.log.append(task.id)))


async def _save(hands: Hands, task: Task) -> None:
    async def change(account: Any) -> None:
        account.log.append(task.id)
        await hands.do(hands.db.save(account))

    await _again(hands, task, change)


async def _update(hands: Hands, task: Task) -> None:
    async def change(account: Any) -> None:
        await hands.do(hands.db.update(account, Account.log.append(task.id)))

    await _again(hands, task, change)


async def _add(hands: Hands, task: Task) -> None:
    await hands.do(hands.db.upsert(Counter, task.place, Counter.amount.add(4**task.digit)))


async def _increment(hands: Hands, task: Task) -> None:
    await hands.do(hands.db.increment(Counter, task.place, Counter.amount, by=4**task.digit, upsert=True))


async def _create(hands: Hands, task: Task) -> None:
    await hands.do(hands.db.create(Receipt(id=task.id)))


async def _create_strict(hands: Hands, task: Task) -> None:
    await hands.do(hands.db.create(Receipt(id=task.id), strict=True))


async def _put_if(hands: Hands, task: Task) -> None:
    await hands.do(hands.db.put(Receipt(id=task.id), condition=Receipt.id.not_exists()))


class NotBegun(Exception):
    """What an operation starts from could not be made, so there is nothing to be told of it."""


async def _delete(hands: Hands, task: Task) -> None:
    try:
        # Strict: a slow engine may be given the create twice, and a late copy of a plain one would make the item again.
        made = await hands.do(hands.calm.create(Receipt(id=task.id), strict=True))
    except DynamORMError as error:
        raise NotBegun from error
    await hands.do(hands.db.delete(made))


async def _charge(hands: Hands, task: Task) -> None:
    await hands.do(hands.db.create(Charge(id=task.id, order=f"{task.place}.{task.digit // 4}")))


async def _transfer(hands: Hands, task: Task) -> None:
    async with hands.within(hands.db.transaction()) as tx:
        tx.update(Account, task.giver, Account.balance.add(-task.cents), condition=Account.balance >= task.cents)
        tx.update(Account, task.taker, Account.balance.add(task.cents))
        tx.create(Receipt(id=task.id, giver=task.giver, taker=task.taker, cents=task.cents))


async def _statement(hands: Hands, task: Task) -> None:
    text = "INSERT INTO {table} VALUE {'id': ?, 'version': 0}"
    await hands.do(hands.db.partiql(text, task.id, model=Receipt))


async def _batch(hands: Hands, task: Task) -> Outcome:
    """A batch has no `resolve`: what is unknown is put again, which is the same twice as once."""
    item = Receipt(id=task.id)
    result = await hands.do(hands.db.batch_write(puts=[item]))
    if result.unknown:
        result = await hands.do(hands.db.batch_write(puts=[item]))
    return Outcome.APPLIED if result.written else Outcome.UNKNOWN if result.unknown else Outcome.NOT_APPLIED


async def _guarded(hands: Hands, task: Task) -> Outcome | None:
    """A write under a lease: it is applied only while the lease is ours."""
    lease = hands.db.lease(Lock, task.giver, duration=5)
    try:
        await hands.do(lease.acquire())
    except DynamORMError:
        return Outcome.NOT_APPLIED  # the write was never begun
    async with hands.within(hands.db.transaction()) as tx:
        tx.update(Counter, task.place, Counter.amount.add(4**task.digit), upsert=True)
        tx.check(*lease.guard())
    with suppress(DynamORMError):  # it runs out by itself
        await hands.do(lease.release())
    return None


OPERATIONS: Final[dict[str, tuple[int, Doing]]] = {
    "append": (4, _append),
    "save": (4, _save),
    "update": (3, _update),
    "add": (4, _add),
    "increment": (3, _increment),
    "create": (3, _create),
    "create_strict": (2, _create_strict),
    "put_if": (2, _put_if),
    "delete": (2, _delete),
    "charge": (3, _charge),
    "transfer": (5, _transfer),
    "statement": (1, _statement),
    "batch": (2, _batch),
    "guarded": (1, _guarded),
}
"""Each operation with its share."""
