"""What the engine inside the process takes of the processor: ``python -m benchmarks.engine_cpu [ITEMS] [--ministack]``.

First bytes in, bytes out; then the library's own verbs on it, and with ``--ministack`` the same ones on that engine, both processes
counted. Items of 10 attributes and about 500 bytes; the best of several rounds, in microseconds of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from dynamorm import DB, Attr, Config, Model, Presets, attr, partition_key, sort_key
from dynamorm.engine import Engine
from dynamorm.testing import Ministack

BOUNDS = {"get": 85.0, "put": 95.0, "query of 100": 425.0, "transaction of 10": 270.0}
"""Microseconds that the engine may take of a verb."""

_TABLE = {
    "TableName": "payments",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


def _bytes(request: dict[str, Any]) -> bytes:
    return json.dumps(request, separators=(",", ":")).encode()


def _item(pk: str, sk: int) -> dict[str, Any]:
    return {
        "pk": {"S": pk}, "sk": {"N": str(sk)}, "amount": {"N": "1234"}, "note": {"S": "x" * 200}, "status": {"S": "open"},
        "created": {"S": "2024-01-01T00:00:00Z"}, "tags": {"L": [{"S": "a"}, {"S": "b"}]},
        "more": {"M": {"a": {"N": "1"}, "b": {"BOOL": True}}}, "rate": {"N": "12.50"}, "kind": {"S": "abc"},
    }  # fmt: skip


class Payment(Model, table="payments"):
    """The same item, as a model."""

    pk: Attr[str] = partition_key()
    sk: Attr[int] = sort_key()
    amount: Attr[int] = attr()
    note: Attr[str] = attr()
    status: Attr[str] = attr()
    created: Attr[str] = attr()
    tags: Attr[list[str]] = attr()
    more: Attr[dict[str, Any]] = attr()
    rate: Attr[Decimal] = attr()
    kind: Attr[str] = attr()


def _payment(pk: str, sk: int) -> Payment:
    return Payment(
        pk=pk, sk=sk, amount=1234, note="x" * 200, status="open", created="2024-01-01T00:00:00Z", tags=["a", "b"],
        more={"a": 1, "b": True}, rate=Decimal("12.50"), kind="abc",
    )  # fmt: skip


def _key(number: int) -> tuple[str, int]:
    return f"k{number // 100}", number % 100


def _one(number: int) -> tuple[str, int]:
    return "k", number


def filled(engine: Engine, items: int, key: Callable[[int], tuple[str, int]] = _key) -> None:
    """Make a table, and put so many items into it, a hundred in each partition, or as ``key`` says."""
    engine.handle("CreateTable", _bytes(_TABLE))
    one = _bytes({"PutRequest": {"Item": _item("?", 0)}}).replace(b"?", b"%b").replace(b'"N":"0"', b'"N":"%d"')
    for first in range(0, items, 25):
        keys = [key(number) for number in range(first, min(first + 25, items))]
        puts = b",".join([one % (pk.encode(), sk) for pk, sk in keys])
        engine.handle("BatchWriteItem", b'{"RequestItems":{"payments":[%b]}}' % puts)


def verbs(db: DB) -> dict[str, tuple[Callable[[str, int], Any], int]]:
    """What the library is asked to do with a key, and how often in a round."""

    def transaction(pk: str, sk: int) -> None:
        with db.transaction() as tx:
            for step in range(10):
                tx.put(_payment(pk, sk - sk % 10 + step))

    return {
        "get": (lambda pk, sk: db.get(Payment, pk, sk), 100),
        "put": (lambda pk, sk: db.put(_payment(pk, sk)), 100),
        "query of 100": (
            lambda pk, sk: db.model(Payment).where(Payment.pk == pk, Payment.sk >= sk - sk % 100).limit(100).all(),
            10,
        ),
        "transaction of 10": (transaction, 10),
    }


def library(
    db: DB,
    items: int,
    rounds: int = 50,
    key: Callable[[int], tuple[str, int]] = _key,
    clock: Callable[[], float] = time.process_time,
    scale: int = 1,
) -> dict[str, float]:
    """Microseconds by verb of the library, its engine included, with keys drawn at random.

    Many short rounds, so that some of them are not disturbed; ``scale`` makes them longer, for a clock that is coarse.
    """
    rng = random.Random(1)
    found: dict[str, float] = {}
    for name, (work, count) in verbs(db).items():
        best = float("inf")
        for _ in range(rounds):
            keys = [key(rng.randrange(items)) for _ in range(count * scale)]
            begun = clock()
            for one in keys:
                work(*one)
            best = min(best, (clock() - begun) / len(keys))
        found[name] = best * 1e6
    return found


def _with_child(pid: int) -> Callable[[], float]:
    """The processor time of this process and of another one."""
    tick = os.sysconf("SC_CLK_TCK")

    def seconds() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return time.process_time() + (int(fields[11]) + int(fields[12])) / tick

    return seconds


def beside_ministack(key: Callable[[int], tuple[str, int]] = _key) -> dict[str, float]:
    """Microseconds by verb of the library on ministack, 1,000 items. Its queries read the whole of a partition."""
    with (
        Ministack(services=("dynamodb",)) as engine,
        DB(Presets.local_development(endpoint=engine.endpoint)) as db,
    ):
        db.tables.create(Payment)
        db.batch_write(puts=[_payment(*key(number)) for number in range(1000)])
        assert engine.pid is not None
        return library(db, 1000, rounds=5, key=key, clock=_with_child(engine.pid), scale=3)


def figures(
    engine: Engine, items: int, rounds: int = 50, key: Callable[[int], tuple[str, int]] = _key
) -> dict[str, float]:
    """Microseconds by verb, with keys drawn at random."""
    rng = random.Random(1)

    def keys(count: int) -> list[tuple[str, int]]:
        return [key(rng.randrange(items)) for _ in range(count)]

    def get(pk: str, sk: int) -> dict[str, Any]:
        return {"TableName": "payments", "Key": {"pk": {"S": pk}, "sk": {"N": str(sk)}}}

    def put(pk: str, sk: int) -> dict[str, Any]:
        return {"TableName": "payments", "Item": _item(pk, sk)}

    def query(pk: str, sk: int) -> dict[str, Any]:
        return {
            "TableName": "payments",
            "KeyConditionExpression": "pk = :p AND sk >= :s",
            "ExpressionAttributeValues": {":p": {"S": pk}, ":s": {"N": str(sk - sk % 100)}},
            "Limit": 100,
        }

    def transaction(pk: str, sk: int) -> dict[str, Any]:
        return {"TransactItems": [{"Put": put(pk, sk - sk % 10 + step)} for step in range(10)]}

    works = {
        "get": ("GetItem", get, 100),
        "put": ("PutItem", put, 100),
        "query of 100": ("Query", query, 10),
        "transaction of 10": ("TransactWriteItems", transaction, 10),
    }
    found: dict[str, float] = {}
    for name, (operation, make, count) in works.items():
        best = float("inf")
        for _ in range(rounds):
            bodies = [_bytes(make(*key)) for key in keys(count)]
            begun = time.process_time()
            for body in bodies:
                engine.handle(operation, body)
            best = min(best, (time.process_time() - begun) / count)
        found[name] = best * 1e6
    return found


def main() -> None:
    """Print the figures in memory, in a file, and of a larger table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_cpu", description=__doc__)
    parser.add_argument("items", nargs="?", type=int, default=100_000, help="items of the larger table")
    parser.add_argument("--ministack", action="store_true", help="the library's verbs on ministack, too")
    asked = parser.parse_args()
    many = asked.items
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, path, items, key in (
            ("memory", None, 1000, _key),
            ("file", Path(folder) / "a.db", 1000, _key),
            (f"{many:,} items", None, many, _key),
            ("1,000 in one partition", None, 1000, _one),
            (f"{many:,} in one partition", None, many, _one),
        ):
            with Engine(path) as engine, DB(Config(engine=engine)) as db:
                filled(engine, items, key)
                _show(f"engine, {title}", figures(engine, items, key=key))
                found[title] = library(db, items, key=key)
                _show(f"library, {title}", found[title])
    if asked.ministack:
        for title, ours, key in (
            ("100 in a partition", "memory", _key),
            ("1,000 in one partition", "1,000 in one partition", _one),
        ):
            theirs = beside_ministack(key)
            _show(f"ministack, {title}", theirs)
            row = {name: theirs[name] / found[ours][name] for name in theirs}
            print(f"{'as many times':38}" + "".join(f"{name} {value:8.1f}      " for name, value in row.items()))


def _show(title: str, row: dict[str, float]) -> None:
    print(f"{title:38}" + "".join(f"{name} {value:8.1f} µs   " for name, value in row.items()), flush=True)


if __name__ == "__main__":
    main()
