"""The tables of the histories, and the operations that worker processes do to them, at the default settings of the library.

Keys change with time, so that each object has a history of some dozens of operations: long enough for them to meet, and short
enough to be judged. Every write carries the id of its operation, by which a request on the wire is known again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from dynamorm import Attr, Model, attr, partition_key, version
from tests.histories.model import Hands

ACCOUNTS: Final = ("a0", "a1", "a2", "a3")
EACH: Final = 1_000
COUNTERS: Final = ("c0", "c1")
AGE: Final = 5.0
"""Seconds that an object is used for; lists are used four times as long."""


class Register(Model, table="registers"):
    """Without a version: blind writes, and compare-and-set by a condition."""

    id: Attr[str] = partition_key()
    value: Attr[str | None] = attr(default=None)


class Versioned(Model, table="versioned"):
    """Compare-and-set by the version that was loaded."""

    id: Attr[str] = partition_key()
    value: Attr[str] = attr(default="")
    version: Attr[int] = version()


class Bag(Model, table="bags"):
    """A set."""

    id: Attr[str] = partition_key()
    members: Attr[set[str]] = attr(default_factory=set)
    last: Attr[str] = attr(default="")


class Counter(Model, table="counters"):
    """A number."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    last: Attr[str] = attr(default="")


class Account(Model, table="accounts"):
    """One of the accounts of the bank."""

    id: Attr[str] = partition_key()
    balance: Attr[int] = attr(default=EACH)
    version: Attr[int] = version()


class Receipt(Model, table="receipts"):
    """The proof of one transfer."""

    id: Attr[str] = partition_key()
    giver: Attr[str]
    taker: Attr[str]
    cents: Attr[int]


class Chain(Model, table="chains"):
    """A list that grows."""

    id: Attr[str] = partition_key()
    values: Attr[list[str]] = attr(default_factory=list)
    version: Attr[int] = version()


MODELS: Final = (Register, Versioned, Bag, Counter, Account, Receipt, Chain)

Do = Callable[[str], Awaitable[Any]]
"""Does an operation whose id it is given; returns what the operation told."""

Note = Callable[[str, str, Any, Do], Awaitable[bool]]
"""Notes one operation of a kind on a key, with what it is asked, and does it; whether it was certainly applied."""


class Doing:
    """One lane of a worker: it draws operations, and does them through ``note``."""

    def __init__(self, hands: Hands, dice: random.Random, note: Note) -> None:
        self._hands = hands
        self._dice = dice
        self._note = note
        self._db = hands.db

    async def one(self) -> None:
        """Draw an operation, and do it."""
        (family,) = self._dice.choices(list(_FAMILIES), list(_FAMILIES.values()))
        await getattr(self, family)()

    def _key(self, family: str, places: int, ages: int = 1) -> str:
        return f"{family}.{int(time.monotonic() / AGE / ages)}.{self._dice.randrange(places)}"

    async def register(self) -> None:
        """On a register without a version. A plain put and a plain set may be repeated by the network; the others may not."""
        db, do = self._db, self._hands.do
        key = self._key("register", 3)
        before: list[Any] = []

        async def read(name: str) -> Any:
            found = await do(db.get(Register, key, consistent=True))
            before.append(found and found.value)
            return before[0]

        async def put(name: str) -> None:
            await do(db.put(Register(id=key, value=name)))

        async def set_(name: str) -> None:
            await do(db.upsert(Register, key, Register.value.set(name)))

        async def put_once(name: str) -> None:
            async with self._hands.within(db.transaction()) as tx:
                tx.put(Register(id=key, value=name))

        async def swap(name: str) -> None:
            was = Register.value == before[0]
            await do(db.update(Register, key, Register.value.set(name), condition=was, returning=None))

        kind = self._dice.choice(("read", "put", "set", "put once", "swap", "swap", "swap"))
        if kind in {"read", "swap"}:
            known = await self._note("read", key, None, read)
            if kind == "swap" and known and before[0] is not None:
                await self._note("cas", key, before[0], swap)
        else:
            await self._note("write", key, kind, {"put": put, "set": set_, "put once": put_once}[kind])

    async def versioned(self) -> None:
        """On a versioned one: what is loaded is saved, updated or deleted, and what is missing is created."""
        db, do = self._db, self._hands.do
        key = self._key("versioned", 3)
        loaded: list[Any] = []

        async def read(name: str) -> Any:
            loaded.append(await do(db.get(Versioned, key, consistent=True)))
            return loaded[0] and loaded[0].value

        async def create(name: str) -> None:
            await do(db.create(Versioned(id=key, value=name), strict=True))

        async def save(name: str) -> None:
            loaded[0].value = name
            await do(db.save(loaded[0]))

        async def update(name: str) -> None:
            await do(db.update(loaded[0], Versioned.value.set(name)))

        async def save_together(name: str) -> None:
            loaded[0].value = name
            async with self._hands.within(db.transaction()) as tx:
                tx.save(loaded[0])

        async def delete(name: str) -> None:
            await do(db.delete(loaded[0]))

        if not await self._note("read", key, None, read):
            return
        if loaded[0] is None:
            await self._note("cas", key, None, create)
        elif self._dice.random() < 0.1:
            await self._note("delete", key, loaded[0].value, delete)
        elif self._dice.random() < 0.8:
            await self._note("cas", key, loaded[0].value, self._dice.choice((save, update, save_together)))

    async def bag(self) -> None:
        """On a set."""
        db, do = self._db, self._hands.do
        key, element = self._key("bag", 3), self._dice.choice("uvwxyz")

        async def read(name: str) -> Any:
            found = await do(db.get(Bag, key, consistent=True))
            return sorted(found.members) if found else []

        async def contains(name: str) -> Any:
            found = await do(db.get(Bag, key, consistent=True, select=["members"]))
            return found is not None and element in found.members

        async def add(name: str) -> None:
            await do(db.upsert(Bag, key, Bag.members.add({element}), Bag.last.set(name), returning=None))

        async def remove(name: str) -> None:
            await do(db.upsert(Bag, key, Bag.members.delete({element}), Bag.last.set(name), returning=None))

        kinds = {"read": read, "contains": contains, "add": add, "remove": remove}
        kind = self._dice.choice(("read", "contains", "add", "add", "remove"))
        await self._note(kind, key, None if kind == "read" else element, kinds[kind])

    async def counter(self) -> None:
        """On a number: one that is used for a while, or one that all use all the time."""
        db, do = self._db, self._hands.do
        key = self._dice.choice((self._key("counter", 2), self._key("counter", 2), *COUNTERS))
        amount = self._dice.randrange(1, 10)

        async def read(name: str) -> Any:
            found = await do(db.get(Counter, key, consistent=True))
            return found.amount if found else 0

        async def add(name: str) -> None:
            await do(db.upsert(Counter, key, Counter.amount.add(amount), Counter.last.set(name), returning=None))

        async def increment(name: str) -> Any:
            return await do(db.increment(Counter, key, Counter.amount, by=amount, upsert=True))

        kind = self._dice.choice(("read", "add", "increment"))
        if kind == "read":
            await self._note("read", key, None, read)
        else:
            await self._note("add", key, amount, add if kind == "add" else increment)

    async def bank(self) -> None:
        """Transfers between the accounts, and reads of all of them at one moment."""
        db, do, dice = self._db, self._hands.do, self._dice
        giver, taker = dice.sample(ACCOUNTS, 2)
        cents = dice.randrange(1, 400)

        async def read(name: str) -> Any:
            found = await do(db.transact_get([(Account, account) for account in ACCOUNTS]))
            return {one.id: one.balance for one in found}

        async def transfer(name: str) -> None:
            async with self._hands.within(db.transaction()) as tx:
                tx.update(Account, giver, Account.balance.add(-cents), condition=Account.balance >= cents)
                tx.update(Account, taker, Account.balance.add(cents))
                tx.create(Receipt(id=name, giver=giver, taker=taker, cents=cents))

        if dice.random() < 0.3:
            await self._note("read", "bank", None, read)
        else:
            await self._note("transfer", "bank", [giver, taker, cents], transfer)

    async def chains(self) -> None:
        """A transaction on lists: it reads some, appends to some, or appends to what it has read while that is unchanged."""
        dice = self._dice
        keys = [f"{self._key('chain', 1, 4)}.{one}" for one in dice.sample(range(4), dice.randrange(1, 5))]
        kind = dice.choice(("read", "append", "both", "both"))
        if kind == "read":
            await self._note("txn", keys[0], {}, lambda name: self._read(keys))
        elif kind == "append":
            await self._note("txn", keys[0], dict.fromkeys(keys, 1), lambda name: self._append(keys, name))
        else:
            sizes = {key: dice.randrange(1, 3) for key in keys if dice.random() < 0.6}
            await self._note("txn", keys[0], sizes, lambda name: self._both(keys, sizes, name))

    async def _read(self, keys: list[str]) -> Any:
        found = await self._hands.do(self._db.transact_get([(Chain, key) for key in keys]))
        return {key: one.values if one else [] for key, one in zip(keys, found, strict=True)}

    async def _append(self, keys: list[str], name: str) -> Any:
        async with self._hands.within(self._db.transaction()) as tx:
            for key in keys:
                tx.update(Chain, key, Chain.values.append_or_create(f"{name}:0"), upsert=True)
        return {}

    async def _both(self, keys: list[str], sizes: dict[str, int], name: str) -> Any:
        found = await self._hands.do(self._db.transact_get([(Chain, key) for key in keys]))
        known = dict(zip(keys, found, strict=True))
        shown = {key: list(one.values) if one else [] for key, one in known.items()}
        async with self._hands.within(self._db.transaction()) as tx:
            for key, one in known.items():
                fresh = [f"{name}:{place}" for place in range(sizes.get(key, 0))]
                if one is None and fresh:
                    tx.create(Chain(id=key, values=fresh))
                elif one is None:
                    tx.check(Chain, key, Chain.id.not_exists())
                elif not fresh:
                    tx.check(one)
                elif len(fresh) == 1:
                    tx.update(one, Chain.values.append(fresh[0]))
                else:
                    one.values.extend(fresh)
                    tx.save(one)
        return shown


_FAMILIES: Final = {"register": 4, "versioned": 3, "bag": 3, "counter": 3, "bank": 3, "chains": 5}
"""The kinds of objects, each with its share."""
