"""What a tenant adds to each operation: the same verbs of a model with a `Tenant` field in a view, and of one without, in one run.

``python -m benchmarks.tenants`` prints µs per operation, without network: each request is given its reply. The two take turns in blocks
of eight operations, which end before the machine gives its time to another process. What is told is the difference of the quickest blocks, and those of
the first tenth and quarter of all blocks.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from functools import partial
from itertools import repeat
from time import perf_counter
from typing import Any

from benchmarks.calls import Scripted
from dynamorm import DB, Attr, Model, Presets, Tenant, attr, composite, partition_key, sort_key, version
from dynamorm.plugins.tenancy import Tenancy
from dynamorm.testing import reply

TENANT = "merchant-1"
ITEMS = 10
BLOCK = 8
ROUNDS = 500
Operation = Callable[[], Any]


class Order(Model, table="plain-orders"):
    """Of no tenant; the partition key is what the tenant is in the other one."""

    tenant_id: Attr[str] = partition_key()
    number: Attr[str] = sort_key()
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    note: Attr[str] = attr(default="x")


class Txn(Model, table="plain-ledger"):
    """Of no tenant, with keys that are made of several fields."""

    pk: Attr[str] = partition_key(composite("tenant_id", "group"))
    sk: Attr[str] = sort_key(composite("number"))
    tenant_id: Attr[str]
    group: Attr[str]
    number: Attr[str]
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    version: Attr[int] = version()


class TenantOrder(Model, table="tenant-orders"):
    """The same, of tenants."""

    tenant_id: Attr[str] = partition_key(Tenant())
    number: Attr[str] = sort_key()
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    note: Attr[str] = attr(default="x")


class TenantTxn(Model, table="tenant-ledger"):
    """As above."""

    pk: Attr[str] = partition_key(composite("tenant_id", "group"))
    sk: Attr[str] = sort_key(composite("number"))
    tenant_id: Attr[str] = attr(Tenant())
    group: Attr[str]
    number: Attr[str]
    amount: Attr[int] = attr(default=0)
    status: Attr[str] = attr(default="new")
    version: Attr[int] = version()


def _order(number: int) -> dict[str, Any]:
    texts = {"tenant_id": TENANT, "number": f"n{number:05}", "status": "new", "note": "some words"}
    return {name: {"S": text} for name, text in texts.items()} | {"amount": {"N": "5"}}


def _txn(number: int) -> dict[str, Any]:
    texts = {"pk": f"{TENANT}#g1", "sk": f"n{number:05}", "tenant_id": TENANT, "group": "g1", "number": f"n{number:05}"}
    wires = {name: {"S": text} for name, text in texts.items()}
    return wires | {"amount": {"N": "5"}, "status": {"S": "new"}, "version": {"N": "3"}}


def _opened(answer: Any, *, tenant: bool) -> Any:
    db = DB(Presets.local_development(endpoint="http://127.0.0.1:9"))
    if tenant:
        db.use(Tenancy())
    db._io = Scripted(reply(answer))  # type: ignore[assignment]  # noqa: SLF001 - the network is replaced
    return db.with_tenant(TENANT) if tenant else db


def operations(*, tenant: bool) -> dict[str, Operation]:
    """The operations, on a view of a tenant or on a database that knows none. The callers name the tenant in both."""
    order: Any = TenantOrder if tenant else Order
    txn: Any = TenantTxn if tenant else Txn
    opened = partial(_opened, tenant=tenant)
    numbers = [f"n{number:05}" for number in range(ITEMS)]
    keys = [(TENANT, number) for number in numbers]
    objects = [order(tenant_id=TENANT, number=number, amount=5) for number in numbers]

    def page(item: Callable[[int], dict[str, Any]]) -> dict[str, Any]:
        return {"Items": [item(number) for number in range(ITEMS)], "Count": ITEMS, "ScannedCount": ITEMS}

    table = f"{'tenant' if tenant else 'plain'}-orders"
    one, nothing, updated = opened({"Item": _order(1)}), opened({}), opened({"Attributes": _order(1)})
    composed, orders, txns = opened({"Item": _txn(1)}), opened(page(_order)), opened(page(_txn))
    many = opened({"Responses": {table: [_order(number) for number in range(ITEMS)]}, "UnprocessedKeys": {}})
    all_done = opened({"UnprocessedItems": {}})

    def transaction() -> None:
        with nothing.transaction() as tx:
            for obj in objects:
                tx.put(obj)

    return {
        "get": lambda: one.get(order, TENANT, "n00001"),
        "get by parts of a composite key": lambda: composed.get(txn, tenant_id=TENANT, group="g1", number="n00001"),
        "create": lambda: nothing.create(order(tenant_id=TENANT, number="n1", amount=5)),
        "update by key": lambda: updated.update(order, TENANT, "n00001", order.amount.set(5)),
        "delete": lambda: nothing.delete(order, TENANT, "n1"),
        f"query of {ITEMS}": lambda: orders.model(order).where(order.tenant_id == TENANT).all(),
        f"composite query of {ITEMS}": lambda: txns.model(txn).where(txn.tenant_id == TENANT, txn.group == "g1").all(),
        f"batch_get of {ITEMS}": lambda: many.batch_get(order, keys),
        f"batch_write of {ITEMS}": lambda: all_done.batch_write(puts=objects),
        f"transaction of {ITEMS}": transaction,
    }


def measure(rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """The µs of each block, sorted: without a tenant, and with one."""
    plain, tenants = operations(tenant=False), operations(tenant=True)
    found: dict[str, tuple[list[float], list[float]]] = {}
    for name, operation in plain.items():
        pair = operation, tenants[name]
        for one in pair * 100:
            one()
        blocks: tuple[list[float], list[float]] = ([], [])
        gc.collect()
        gc.disable()  # a collection would fall on one of them
        try:
            for turn in range(rounds):
                for at in (0, 1) if turn % 2 else (1, 0):
                    blocks[at].append(_block(pair[at]))
        finally:
            gc.enable()
        found[name] = sorted(blocks[0]), sorted(blocks[1])
    return found


def _block(operation: Operation) -> float:
    start = perf_counter()
    for _ in repeat(None, BLOCK):
        operation()
    return (perf_counter() - start) / BLOCK * 1e6


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tenants", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="blocks of each")
    rounds = parser.parse_args().rounds
    print(f"{'µs per operation':<34}{'without':>9}{'added':>8}{'first tenth':>13}{'first quarter':>15}")
    for name, (plain, tenants) in measure(rounds).items():
        added = [tenants[at] - plain[at] for at in (0, rounds // 10, rounds // 4)]
        print(f"{name:<34}{plain[0]:>9.1f}{added[0]:>+8.1f}{added[1]:>+13.1f}{added[2]:>+15.1f}")


if __name__ == "__main__":
    main()
