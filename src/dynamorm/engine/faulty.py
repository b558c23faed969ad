"""What becomes of a request that meets faults: refused, left in part, carried out and not answered. It must not know connections or time.

Who brings requests asks `Faulty.verdict` first, has the engine do what it says by `Faulty.carry_out`, and waits for as long as it says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias

from dynamorm.engine.faults import UNTOUCHED, Faults, Refused, Verdict
from dynamorm.engine.refusal import Refusal

Answered: TypeAlias = "tuple[int, bytes]"

BATCHES: Final = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}
"""The batches, and where their answers tell what was left."""

RESULTS: Final = {"BatchGetItem": "Responses"}
_STATEMENTS: Final = {"BatchExecuteStatement": "Statements", "ExecuteTransaction": "TransactStatements"}
_TRANSACTIONS: Final = frozenset({"TransactGetItems", "TransactWriteItems"})


class Faulty:
    """The faults of an engine whose requests ``handle(target, body, **how)`` answers.

    ``prefixes`` are what names of tables may begin with: faults name tables without them.

    Example: ``verdict = faulty.verdict("DynamoDB_20120810.GetItem", body)``
    """

    def __init__(self, handle: Callable[..., Answered], prefixes: Iterable[str]) -> None:
        self.faults: Faults = Faults()
        self._handle = handle
        self._prefixes = prefixes

    def verdict(self, target: str, body: bytes) -> Verdict:
        """What becomes of a request."""
        if not self.faults.active:
            return UNTOUCHED
        operation = target.rpartition(".")[2]
        tables, entries = tables_of(operation, _read(body))
        return self.faults.decide(operation, names_of(tables, self._prefixes), entries=entries)

    def carry_out(self, verdict: Verdict, target: str, body: bytes, **how: Any) -> Answered | None:
        """Do with a request what the verdict says. Returns the status and the body, None where nothing is answered."""
        if verdict.refusal is not None:
            return verdict.refusal.status, refusal_body(verdict.refusal)
        answered: Answered | None = None
        if verdict.applied:
            if verdict.unprocessed:
                answered = self._partly(verdict.unprocessed, target, body, how)
            else:
                answered = self._handle(target, body, **how)
        return answered if verdict.answered else None

    def _partly(self, places: frozenset[int], target: str, body: bytes, how: dict[str, Any]) -> Answered:
        """Carry a batch out without the entries at some places, and tell them as unprocessed."""
        operation = target.rpartition(".")[2]
        request = json.loads(body)
        kept, left = divided(request["RequestItems"], places)
        told = BATCHES[operation]
        if not kept:  # the service has no empty batches
            return 200, encode({RESULTS.get(operation, "ItemCollectionMetrics"): {}, told: left})
        status, answer = self._handle(target, encode({**request, "RequestItems": kept}), **how)
        return status, with_left(operation, answer, left) if status == 200 else answer


def encode(value: Any) -> bytes:
    """JSON as it is sent."""
    return json.dumps(value, separators=(",", ":")).encode()


def with_left(operation: str, answer: bytes, left: dict[str, Any]) -> bytes:
    """The answer of a batch, which also tells what was left."""
    found, told = json.loads(answer), BATCHES[operation]
    return encode({**found, told: {**left, **found.get(told, {})}})


def refusal_body(refused: Refused) -> bytes:
    """The error that a fault answers with."""
    return Refusal(refused.code, refused.message, **refused.members).body()


def names_of(tables: Iterable[str], prefixes: Iterable[str]) -> set[str]:
    """The names by which faults may know tables: as they are, and without a prefix."""
    known = ("", *prefixes)
    return {name.removeprefix(prefix) for name in tables for prefix in known}


def divided(asked: dict[str, Any], places: frozenset[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of a batch that are carried out, and those that are left, by tables."""
    kept: dict[str, Any] = {}
    left: dict[str, Any] = {}
    number = 0
    for table, part in asked.items():
        for entry in _entries(part):
            side = left if number in places else kept
            number += 1
            if isinstance(part, dict):
                side.setdefault(table, {**part, "Keys": []})["Keys"].append(entry)
            else:
                side.setdefault(table, []).append(entry)
    return kept, left


def tables_of(operation: str, body: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """The tables that a request names, and how many entries its batch or transaction has. Anything malformed counts as none.

    Example: ``tables, entries = tables_of(request.operation, request.json)``
    """
    if operation in BATCHES:
        asked = body.get("RequestItems")
        items = asked if isinstance(asked, dict) else {}
        return tuple(map(_name, items)), sum(len(_entries(part)) for part in items.values())
    if operation in _TRANSACTIONS:
        actions = body.get("TransactItems")
        parts = [
            part
            for action in (actions if isinstance(actions, list) else ())
            if isinstance(action, dict)
            for part in action.values()
            if isinstance(part, dict)
        ]
        return tuple(dict.fromkeys(_name(part.get("TableName", "")) for part in parts)), len(parts)
    if operation in _STATEMENTS or operation == "ExecuteStatement":
        return _of_statements(body.get(_STATEMENTS[operation]) if operation in _STATEMENTS else [body])
    table = body.get("TableName")
    return ((_name(table),) if isinstance(table, str) else ()), 0


def _of_statements(asked: Any) -> tuple[tuple[str, ...], int]:
    """The tables of statements of PartiQL, and how many statements there are."""
    entries = [entry for entry in asked if isinstance(entry, dict)] if isinstance(asked, list) else []
    found = (_table_of(entry.get("Statement")) for entry in entries)
    return tuple(dict.fromkeys(name for name in found if name is not None)), len(entries)


def _table_of(statement: Any) -> str | None:
    """The table of one statement, whose grammar is loaded with the first of them."""
    if not isinstance(statement, str):
        return None
    try:
        return _name(import_module("dynamorm.engine.partiql.grammar").parsed(statement).table)
    except Refusal:
        return None


def _entries(part: Any) -> list[Any]:
    """What one table's part of a batch asks for: keys to read, or writes."""
    found = part.get("Keys", ()) if isinstance(part, dict) else part
    return found if isinstance(found, list) else []


def _name(table: Any) -> str:
    """The name of a table that may be given by its ARN."""
    return str(table).rpartition(":table/")[2]


def _read(body: bytes) -> Mapping[str, Any]:
    """A request that may be no JSON."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
