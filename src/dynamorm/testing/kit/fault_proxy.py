"""A proxy in front of an engine that has the faults of `dynamorm.engine.faults`. It must not know the client.

What a fault does to a request that is carried out in part, a batch with unprocessed entries, is done on the way to the
engine and back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

from dynamorm.engine.faults import UNTOUCHED, Faults, Verdict
from dynamorm.models.schema.overriding import override
from dynamorm.testing import answers
from dynamorm.testing.answers import Answer, Message
from dynamorm.testing.backend import EngineBackend
from dynamorm.testing.engine_proxy import EngineProxy
from dynamorm.testing.request import Request

_BATCHES = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}
_RESULTS = {"BatchGetItem": "Responses"}
_TRANSACTIONS = frozenset({"TransactGetItems", "TransactWriteItems"})


class FaultProxy(EngineProxy):
    """An HTTP proxy on loopback in front of the engine at ``upstream``, whose ``faults`` are set at any time.

    ``prefixes`` are what names of tables begin with there; faults name tables without them.

    Example::

        with FaultProxy(engine.endpoint) as proxy:
            proxy.faults.lose_reply(op="PutItem", share=0.5)
            ...  # a client with endpoint=proxy.endpoint
    """

    def __init__(self, upstream: str, *, prefixes: Iterable[str] = ()) -> None:
        self.faults: Faults = Faults()
        self.prefixes: tuple[str, ...] = tuple(prefixes)
        self._backend = _PartlyBackend(upstream)
        super().__init__(self._backend)

    @override
    def _script(self, request: Request) -> Answer:
        if not self.faults.active:
            return answers.honest()
        tables, entries = tables_of(request.operation, request.json)
        named = {name.removeprefix(prefix) for name in tables for prefix in ("", *self.prefixes)}
        verdict = self.faults.decide(request.operation, named, entries=entries)
        if verdict is UNTOUCHED:
            return answers.honest()
        if verdict.unprocessed and not verdict.is_final:
            self._backend.left[request.index] = verdict.unprocessed
        return _answer(verdict).delayed(verdict.delay)

    @override
    def _is_busy(self) -> bool:
        return False


def _answer(verdict: Verdict) -> Answer:
    """What the client gets."""
    refused = verdict.refusal
    if refused is not None:
        return answers.error(refused.code, refused.status, refused.message, **refused.members)
    if not verdict.answered:
        return answers.reset().applied(verdict.applied)
    return answers.honest()


class _PartlyBackend(EngineBackend):
    """An engine that is given a batch without the entries that are left, and whose answer tells them."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint)
        self.left: dict[int, frozenset[int]] = {}

    async def forward(self, request: Request) -> Message:
        """Forward what is not left."""
        places = self.left.pop(request.index, None)
        if places is None:
            return await super().forward(request)
        kept, left = _divided(request.json["RequestItems"], places)
        told = _BATCHES[request.operation]
        if not kept:  # the service has no empty batches
            return _message({_RESULTS.get(request.operation, "ItemCollectionMetrics"): {}, told: left})
        body = json.dumps({**request.json, "RequestItems": kept}, separators=(",", ":")).encode()
        message = await super().forward(replace(request, head=_resized(request.head, len(body)), body=body))
        if message.status != 200:
            return message
        answer = json.loads(message.body)
        return _message({**answer, told: {**left, **answer.get(told, {})}})


def _divided(asked: dict[str, Any], places: frozenset[int]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries of a batch that are carried out, and those that are left, by tables."""
    kept: dict[str, Any] = {}
    left: dict[str, Any] = {}
    number = 0
    for table, part in asked.items():
        entries = _entries(part)
        for entry in entries:
            side = left if number in places else kept
            number += 1
            if isinstance(part, dict):
                side.setdefault(table, {**part, "Keys": []})["Keys"].append(entry)
            else:
                side.setdefault(table, []).append(entry)
    return kept, left


def _resized(head: bytes, length: int) -> bytes:
    """The head of a request with another length of the body. Its signature does not fit any more, and no engine checks it."""
    start, *lines = head.split(b"\r\n")
    kept = [line for line in lines if line and not line.lower().startswith(b"content-length:")]
    return b"\r\n".join([start, *kept, b"Content-Length: %d" % length, b"", b""])


def _message(body: dict[str, Any]) -> Message:
    data = json.dumps(body, separators=(",", ":")).encode()
    headers = (
        ("Content-Type", "application/x-amz-json-1.0"),
        ("x-amzn-requestid", "PARTLY"),
        ("x-amz-crc32", str(crc32(data))),
    )
    return Message(200, headers, data)


def tables_of(operation: str, body: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """The tables that a request names, and how many entries its batch or transaction has. Anything malformed counts as none.

    Example: ``tables, entries = tables_of(request.operation, request.json)``
    """
    if operation in _BATCHES:
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
    table = body.get("TableName")
    return ((_name(table),) if isinstance(table, str) else ()), 0


def _entries(part: Any) -> list[Any]:
    """What one table's part of a batch asks for: keys to read, or writes."""
    found = part.get("Keys", ()) if isinstance(part, dict) else part
    return found if isinstance(found, list) else []


def _name(table: Any) -> str:
    """The name of a table that may be given by its ARN."""
    return str(table).rpartition(":table/")[2]
