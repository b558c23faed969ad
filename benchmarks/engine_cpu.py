"""What the engine inside the process takes of the processor, without the library: ``python -m benchmarks.engine_cpu``.

Bytes in, bytes out; items of 10 attributes and about 500 bytes; the best of several rounds, in microseconds of processor time.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dynamorm.engine import Engine

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


def _key(number: int) -> tuple[str, int]:
    return f"k{number // 100}", number % 100


def filled(engine: Engine, items: int) -> None:
    """Make a table, and put so many items into it, a hundred in each partition."""
    engine.handle("CreateTable", _bytes(_TABLE))
    for number in range(items):
        engine.handle("PutItem", _bytes({"TableName": "payments", "Item": _item(*_key(number))}))


def figures(engine: Engine, items: int, rounds: int = 5) -> dict[str, float]:
    """Microseconds by verb, with keys drawn at random."""
    rng = random.Random(1)

    def keys(count: int) -> list[tuple[str, int]]:
        return [_key(rng.randrange(items)) for _ in range(count)]

    def get(pk: str, sk: int) -> dict[str, Any]:
        return {"TableName": "payments", "Key": {"pk": {"S": pk}, "sk": {"N": str(sk)}}}

    def put(pk: str, sk: int) -> dict[str, Any]:
        return {"TableName": "payments", "Item": _item(pk, sk)}

    def query(pk: str, sk: int) -> dict[str, Any]:
        del sk
        return {
            "TableName": "payments",
            "KeyConditionExpression": "pk = :p",
            "ExpressionAttributeValues": {":p": {"S": pk}},
        }

    def transaction(pk: str, sk: int) -> dict[str, Any]:
        return {"TransactItems": [{"Put": put(pk, (sk + step) % 100)} for step in range(10)]}

    works = {
        "get": ("GetItem", get, 1000),
        "put": ("PutItem", put, 1000),
        "query of 100": ("Query", query, 100),
        "transaction of 10": ("TransactWriteItems", transaction, 100),
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
    """Print the figures in memory, in a file, and of a larger table (the first argument, 100,000 items)."""
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        for title, path, items in (
            ("memory", None, 1000),
            ("file", Path(folder) / "a.db", 1000),
            (f"memory, {many:,} items", None, many),
        ):
            with Engine(path) as engine:
                filled(engine, items)
                row = figures(engine, items)
            print(f"{title:26}" + "".join(f"{name} {value:7.1f} µs   " for name, value in row.items()))


if __name__ == "__main__":
    main()
