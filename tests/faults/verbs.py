"""The verbs that every row is injected for: what each starts from, does, and must have done afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple
from zlib import crc32

from dynamorm import Attr, Model, partition_key, sort_key, version
from tests.support.faces import Face
from tests.support.faults import Store

BEFORE, AFTER = 100, 105
KEYS = {"payments": ("id",), "orders": ("customer", "number"), "counters": ("id",)}
RING = b"seed0002seed0001seed0000"


class Payment(Model, table="payments"):
    """Versioned: guarded by its version and settled through its tokens."""

    id: Attr[str] = partition_key()
    amount: Attr[int]
    version: Attr[int] = version()


class Order(Model, table="orders"):
    """What queries find."""

    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    total: Attr[int]


class Counter(Model, table="counters"):
    """Without a version."""

    id: Attr[str] = partition_key()
    count: Attr[int]


class Verb(NamedTuple):
    """One verb as it is tested.

    ``safety``: ``read``; ``C`` (settled through tokens), ``N`` (token transaction), ``I`` (sent again: the same twice
    as once) or ``once`` (never sent again). ``subject`` makes what ``act`` works on, from the object stored under p1.
    ``after`` is the amount stored afterwards, None for no item.
    """

    name: str
    operation: str
    safety: str
    act: Callable[[Face, Any], Any]
    after: int | None
    subject: Callable[[Any], Any] = lambda loaded: loaded
    exists: bool = True
    mutates: bool = True


def _changed(loaded: Any) -> Any:
    loaded.amount = AFTER
    return loaded


def _new(_: Any) -> Payment:
    return Payment(id="p1", amount=AFTER)


READS = (
    Verb("get", "GetItem", "read", lambda db, _: db.get(Payment, "p1"), BEFORE, mutates=False),
    Verb(
        "query",
        "Query",
        "read",
        lambda db, _: db.model(Order).where(Order.customer == "c1").all(),
        BEFORE,
        mutates=False,
    ),
)
CLASS_C = (
    Verb("create", "PutItem", "C", lambda db, new: db.create(new), AFTER, _new, exists=False),
    Verb("save", "UpdateItem", "C", lambda db, it: db.save(it), AFTER, _changed),
    Verb("update", "UpdateItem", "C", lambda db, it: db.update(it, Payment.amount.add(5)), AFTER),
    Verb("delete", "DeleteItem", "C", lambda db, it: db.delete(it), None),
)  # fmt: skip
CLASS_N = (
    Verb("put_if", "TransactWriteItems", "N", lambda db, new: db.put(new, condition=Payment.amount == BEFORE), AFTER, _new),
    Verb("update_key", "TransactWriteItems", "N", lambda db, _: db.update(Payment, "p1", Payment.amount.add(5)), AFTER, mutates=False),
    Verb("delete_strict", "TransactWriteItems", "N", lambda db, _: db.delete(Payment, "p1", must_exist=True), None, mutates=False),
    Verb("compute_key", "TransactWriteItems", "N", lambda db, _: db.update(Payment, "p1", Payment.amount.set(Payment.amount + 5)), AFTER, mutates=False),
)  # fmt: skip
CLASS_I = (
    Verb("put", "PutItem", "I", lambda db, new: db.put(new), AFTER, _new),
    Verb("delete_key", "DeleteItem", "I", lambda db, _: db.delete(Payment, "p1"), None, mutates=False),
)
ONCE = (
    Verb("put_old", "PutItem", "once", lambda db, new: db.put(new, returning="old"), AFTER, _new),
    Verb("delete_old", "DeleteItem", "once", lambda db, _: db.delete(Payment, "p1", returning="old"), None, mutates=False),
    Verb("update_old", "UpdateItem", "once", lambda db, _: db.update(Payment, "p1", Payment.amount.add(5), returning="old"), AFTER, mutates=False),
)  # fmt: skip
SETTLED = (*CLASS_C, *CLASS_N)
AGAIN = (*SETTLED, *CLASS_I)
WRITES = (*AGAIN, *ONCE)
VERBS = (*READS, *WRITES)


def some(variant: str, *, among: Collection[Verb] = VERBS) -> tuple[Verb, ...]:
    """One read and three writes, for rows with many variants: other ones for each variant, so that all have their turn."""
    reads = [verb for verb in among if verb.safety == "read"]
    writes = [verb for verb in among if verb.safety != "read"]
    turn = crc32(variant.encode())
    chosen = [writes[(turn + step * 4) % len(writes)] for step in range(3)]
    return (*reads[turn % 2 : turn % 2 + 1], *chosen)


ORDERS = [(number, number * 10) for number in (1, 2, 3)]


def seed(store: Store, verb: Verb) -> None:
    """The tables as they are before the verb."""
    store.clear()
    if verb.exists:
        store.seed("payments", id="p1", amount=BEFORE, version=2, _wt=RING)
    for number, total in ORDERS:
        store.seed("orders", customer="c1", number=number, total=total)
        store.seed("orders", customer="c2", number=number, total=0)


def amount(store: Store) -> int | None:
    """The amount stored under p1."""
    item = store.item("payments", "p1")
    return None if item is None else int(item["amount"]["N"])


def memory(subject: Any) -> tuple[Any, ...]:
    """Everything of an object that a failed verb must leave alone, what is known to be stored included."""
    if subject is None:
        return ()
    return (subject.id, subject.amount, getattr(subject, "version", None), getattr(subject, "__loaded__", None))


def check_result(verb: Verb, result: Any, subject: Any, store: Store) -> None:
    """The verb's result and the object are what the store holds."""
    if verb.name == "get":
        assert (result.id, result.amount, result.version) == ("p1", BEFORE, 2)
    elif verb.name == "query":
        assert [(order.number, order.total) for order in result] == ORDERS
    elif verb.safety == "once":
        assert (result.id, result.amount, result.version) == ("p1", BEFORE, 2)
    elif verb.after is None:
        assert result is None
    else:
        item = store.item("payments", "p1")
        assert item is not None
        assert result.amount == AFTER
        assert result.version == int(item["version"]["N"])
        assert result is subject or not verb.mutates
