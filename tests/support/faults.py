"""A small DynamoDB in memory that really applies and really refuses, for tests that lose what it says.

It evaluates the conditions and updates of each request, remembers client request tokens, and keeps a list of every
change it has made, so that a test can tell "applied once" from "applied twice".
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, NamedTuple, TypeAlias

from tests.faults.expressions import Expression, Item, plain, wire

Answer: TypeAlias = tuple[int, dict[str, Any]]

_PREFIX = "com.amazonaws.dynamodb.v20120810#"


class Change(NamedTuple):
    """One change the store made: by which operation, to which item, and the whole request that asked for it."""

    operation: str
    table: str
    key: str
    request: str


class Store:
    """The backend of a `FaultServer`: ``Store({"payments": ("id",)})`` with the key attributes of each table."""

    def __init__(self, keys: dict[str, tuple[str, ...]]) -> None:
        self.keys = keys
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.tables: dict[str, dict[str, Item]] = {name: {} for name in self.keys}
        self.tokens: dict[str, str] = {}
        self.changes: list[Change] = []
        self.copies = 0
        self.answers_last = False
        self._strangers = 0

    def seed(self, table: str, **values: Any) -> None:
        """Store an item without a trace: texts become S, whole numbers N, bytes B."""
        item: Item = {name: wire(value) for name, value in values.items()}
        self.tables[table][self._key(table, item)] = item

    def item(self, table: str, *key: Any) -> Item | None:
        """What is stored under a key, as wire values."""
        return self.tables[table].get(repr(tuple(plain(wire(part)) for part in key)))

    def stranger_writes(self, table: str, *key: Any, times: int = 1, **values: Any) -> None:
        """What another user of the library does to a versioned item: new token, new version, new values."""
        item = self.item(table, *key)
        assert item is not None
        for _ in range(times):
            ring = b64decode(item.get("_wt", {"B": ""})["B"])
            self._strangers += 1
            item["_wt"] = wire((b"other%03d" % self._strangers + ring)[:64])
            item["version"] = wire(int(item["version"]["N"]) + 1)
            item.update({name: wire(value) for name, value in values.items()})

    def __call__(self, operation: str, body: dict[str, Any]) -> Answer:
        """Apply a request: the status and the body of the answer.

        With ``copies`` set, a write is applied so many times more; the answer is the first one's or the last one's.
        """
        copies = 0 if operation in {"GetItem", "BatchGetItem", "Query", "TransactGetItems"} else self.copies
        found = [self._answer(operation, body) for _ in range(copies + 1)]
        return found[-1 if self.answers_last else 0]

    def _answer(self, operation: str, body: dict[str, Any]) -> Answer:
        try:
            answer: Answer = getattr(self, f"_{operation}")(body)
        except _RefusedError as refused:
            return 400, {"__type": _PREFIX + refused.code, "message": refused.code, **refused.fields}
        return answer

    def _GetItem(self, body: dict[str, Any]) -> Answer:
        item = self.tables[body["TableName"]].get(self._key(body["TableName"], body["Key"]))
        return 200, {} if item is None else {"Item": item}

    def _Query(self, body: dict[str, Any]) -> Answer:
        table = body["TableName"]
        test = Expression(body["KeyConditionExpression"], body)
        found = sorted(
            (item for item in self.tables[table].values() if test.holds(item)),
            key=lambda item: [plain(item[name]) for name in self.keys[table]],
        )
        names = self.keys[table]
        start = body.get("ExclusiveStartKey")
        if start is not None:
            found = [item for item in found if [plain(item[n]) for n in names] > [plain(start[n]) for n in names]]
        page = found[: body.get("Limit", len(found))]
        answer: dict[str, Any] = {"Items": page, "Count": len(page), "ScannedCount": len(page)}
        if len(page) < len(found):
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in names}
        return 200, answer

    def _BatchGetItem(self, body: dict[str, Any]) -> Answer:
        found: dict[str, list[Item]] = {}
        for table, asked in body["RequestItems"].items():
            some = [self.tables[table].get(self._key(table, key)) for key in asked["Keys"]]
            found[table] = [item for item in some if item is not None]
        return 200, {"Responses": found, "UnprocessedKeys": {}}

    def _BatchWriteItem(self, body: dict[str, Any]) -> Answer:
        for table, requests in body["RequestItems"].items():
            for request in requests:
                ((name, content),) = request.items()
                self._apply(name.removesuffix("Request"), {"TableName": table, **content}, body)
        return 200, {"UnprocessedItems": {}}

    def _PutItem(self, body: dict[str, Any]) -> Answer:
        return self._one("Put", body)

    def _UpdateItem(self, body: dict[str, Any]) -> Answer:
        return self._one("Update", body)

    def _DeleteItem(self, body: dict[str, Any]) -> Answer:
        return self._one("Delete", body)

    def _one(self, kind: str, body: dict[str, Any]) -> Answer:
        """A write that stands alone."""
        old, holds = self._test(kind, body)
        if not holds:
            shown = body.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and old is not None
            raise _RefusedError("ConditionalCheckFailedException", **({"Item": old} if shown else {}))
        new = self._apply(kind, body, body)
        returned = {"ALL_NEW": new, "ALL_OLD": old}.get(body.get("ReturnValues", "NONE"))
        return 200, {} if returned is None else {"Attributes": returned}

    def _TransactWriteItems(self, body: dict[str, Any]) -> Answer:
        token, text = body.get("ClientRequestToken"), json.dumps(body["TransactItems"])
        if token is not None and token in self.tokens:
            if self.tokens[token] != text:
                raise _RefusedError("IdempotentParameterMismatchException")
            return 200, {}
        parts = [next(iter(part.items())) for part in body["TransactItems"]]
        reasons: list[dict[str, Any]] = []
        for kind, part in parts:
            old, holds = self._test(kind, part)
            shown = {"Item": old} if old is not None else {}
            reasons.append(
                {"Code": "None"} if holds else {"Code": "ConditionalCheckFailed", "Message": "refused", **shown}
            )
        if any(reason["Code"] != "None" for reason in reasons):
            raise _RefusedError("TransactionCanceledException", CancellationReasons=reasons)
        if token is not None:
            self.tokens[token] = text
        for kind, part in parts:
            self._apply(kind, part, body)
        return 200, {}

    def _TransactGetItems(self, body: dict[str, Any]) -> Answer:
        return 200, {"Responses": [self._GetItem(part["Get"])[1] for part in body["TransactItems"]]}

    def _test(self, kind: str, body: dict[str, Any]) -> tuple[Item | None, bool]:
        """What is stored, and whether the condition holds for it."""
        table = body["TableName"]
        old = self.tables[table].get(self._key(table, body["Item" if kind == "Put" else "Key"]))
        text = body.get("ConditionExpression")
        return old, text is None or Expression(text, body).holds(old or {})

    def _apply(self, kind: str, body: dict[str, Any], request: dict[str, Any]) -> Item | None:
        table = body["TableName"]
        key = self._key(table, body["Item" if kind == "Put" else "Key"])
        if kind == "ConditionCheck":
            return None
        self.changes.append(Change(kind, table, key, json.dumps(request, sort_keys=True)))
        items = self.tables[table]
        if kind == "Delete":
            items.pop(key, None)
            return None
        if kind == "Put":
            items[key] = body["Item"]
        else:
            items[key] = Expression(body["UpdateExpression"], body).updated(items.get(key) or dict(body["Key"]))
        return items[key]

    def _key(self, table: str, item: Item) -> str:
        return repr(tuple(plain(item[name]) for name in self.keys[table]))


class _RefusedError(Exception):
    def __init__(self, code: str, **fields: Any) -> None:
        super().__init__(code)
        self.code = code
        self.fields = fields
