"""Random sequences of requests, and what two engines may answer differently: each kind by a named rule with its authority."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

from .conftest import index, table

TABLES = (
    table("plain", "id"),
    table(
        "wide",
        "pk",
        "sk",
        types={"sk": "N", "g": "S", "n": "N", "s": "S"},
        on_global=(index("all", "g", "n"), index("keys", "g", projection="KEYS_ONLY")),
        on_local=(index("local", "pk", "s", projection="INCLUDE", kept=["kept"]),),
    ),
)
VALUES: tuple[dict[str, Any], ...] = (
    {"S": ""}, {"S": "a"}, {"S": "ab"}, {"S": "é"}, {"S": "x" * 700}, {"N": "0"}, {"N": "1.50"}, {"N": "-3"}, {"N": "1E20"},
    {"B": "AAEC"}, {"BOOL": True}, {"BOOL": False}, {"NULL": True}, {"SS": ["b", "a"]}, {"NS": ["2", "1.0"]}, {"BS": ["AQ=="]},
    {"L": []}, {"L": [{"N": "1"}, {"S": "a"}, {"L": [{"N": "2"}]}]}, {"M": {}}, {"M": {"a": {"N": "1"}, "b": {"S": "x"}}},
)  # fmt: skip
NAMES = ("v", "w", "m", "l", "kept")


class Drawn:
    """Requests drawn one after another. ``rng`` decides everything; partition keys begin with ``prefix``."""

    def __init__(self, rng: random.Random, prefix: str = "") -> None:
        self.rng = rng
        self.prefix = prefix

    def partition(self, letters: str) -> dict[str, Any]:
        return {"S": self.prefix + self.rng.choice(letters)}

    def request(self) -> tuple[str, dict[str, Any]]:
        """An operation and its request."""
        kind = self.rng.choice(
            ("PutItem",) * 6
            + ("UpdateItem",) * 8
            + ("DeleteItem",) * 2
            + ("GetItem",) * 3
            + ("Query",) * 6
            + ("Scan", "BatchGetItem", "BatchWriteItem", "TransactWriteItems", "TransactWriteItems", "TransactGetItems")
        )
        return kind, getattr(self, kind)()

    def key(self, name: str) -> dict[str, Any]:
        if name == "plain":
            return {"id": self.partition("abcd")}
        return {"pk": self.partition("xy"), "sk": {"N": str(self.rng.randint(-2, 3))}}

    def item(self, name: str) -> dict[str, Any]:
        rng, item = self.rng, self.key(name)
        for one in NAMES:
            if rng.random() < 0.5:
                item[one] = rng.choice(VALUES)
        if name == "wide":
            for one, value in (
                ("g", self.partition("gh")),
                ("n", {"N": str(rng.randint(0, 9))}),
                ("s", {"S": rng.choice("st")}),
            ):
                if rng.random() < 0.7:
                    item[one] = value if rng.random() < 0.97 else {"BOOL": True}
        return item

    def name(self) -> str:
        return self.rng.choice(("plain", "wide"))

    def with_condition(self, request: dict[str, Any], share: float = 0.4) -> dict[str, Any]:
        if self.rng.random() < share:
            request["ConditionExpression"] = self.condition(request)
        return request

    def condition(self, request: dict[str, Any]) -> str:
        rng = self.rng
        parts = [self.test(request) for _ in range(rng.choice((1, 1, 2, 3)))]
        text = parts[0]
        for part in parts[1:]:
            text = f"{text} {rng.choice(('AND', 'OR'))} {rng.choice(('', 'NOT '))}{part}"
        return text

    def test(self, request: dict[str, Any]) -> str:
        rng = self.rng
        path = rng.choice((*NAMES, "m.a", "l[0]", "l[2][0]"))
        kind = rng.random()
        if kind < 0.2:
            return f"{rng.choice(('attribute_exists', 'attribute_not_exists'))}({path})"
        if kind < 0.6:
            return f"{path} {rng.choice(('=', '<>', '<', '<=', '>', '>='))} {self.value(request)}"
        if kind < 0.7:
            return f"{rng.choice(('begins_with', 'contains'))}({path}, {self.value(request)})"
        if kind < 0.8:
            return f"size({path}) {rng.choice(('=', '<', '>='))} {self.value(request, {'N': str(rng.randint(0, 4))})}"
        if kind < 0.9:
            return f"{path} IN ({self.value(request)}, {self.value(request)})"
        return f"attribute_type({path}, {self.value(request, {'S': rng.choice(('S', 'N', 'L', 'M', 'NULL'))})})"

    def value(self, request: dict[str, Any], value: dict[str, Any] | None = None) -> str:
        values = request.setdefault("ExpressionAttributeValues", {})
        name = f":v{len(values)}"
        values[name] = self.rng.choice(VALUES) if value is None else value
        return name

    def PutItem(self) -> dict[str, Any]:
        name = self.name()
        request = {"TableName": name, "Item": self.item(name), "ReturnValues": self.rng.choice(("NONE", "ALL_OLD"))}
        return self.measured(self.with_condition(request))

    def measured(self, request: dict[str, Any]) -> dict[str, Any]:
        return request | {"ReturnConsumedCapacity": "INDEXES"}

    def DeleteItem(self) -> dict[str, Any]:
        name = self.name()
        request = {"TableName": name, "Key": self.key(name), "ReturnValues": self.rng.choice(("NONE", "ALL_OLD"))}
        return self.measured(self.with_condition(request, 0.2))

    def update(self, request: dict[str, Any], *, tame: bool = False) -> str:
        if tame:
            return f"SET {self.rng.choice(NAMES)} = {self.value(request)}"
        rng, parts = self.rng, {"SET": [], "REMOVE": [], "ADD": [], "DELETE": []}
        paths = rng.sample((*NAMES, "m.a", "m.c", "l[0]", "l[1]", "l[9]"), rng.choice((1, 1, 2, 3)))
        if request["TableName"] == "wide" and rng.random() < 0.3:
            parts["SET"].append(f"g = {self.value(request, self.partition('gh'))}")
        for path in paths:
            kind = rng.random()
            if kind < 0.3:
                parts["SET"].append(f"{path} = {self.value(request)}")
            elif kind < 0.4:
                parts["SET"].append(f"{path} = {rng.choice(NAMES)}")
            elif kind < 0.55:
                step = self.value(request, {"N": rng.choice(("1", "-0.5", "1E3"))})
                parts["SET"].append(f"{path} = {path} {rng.choice('+-')} {step}")
            elif kind < 0.65:
                parts["SET"].append(f"{path} = if_not_exists({path}, {self.value(request)})")
            elif kind < 0.72:
                parts["SET"].append(f"{path} = list_append({path}, {self.value(request, {'L': [{'S': 'z'}]})})")
            elif kind < 0.85:
                parts["REMOVE"].append(path)
            elif kind < 0.94:
                parts["ADD"].append(
                    f"{path} {self.value(request, rng.choice(({'N': '2'}, {'SS': ['a', 'q']}, {'NS': ['1']})))}"
                )
            else:
                parts["DELETE"].append(f"{path} {self.value(request, {'SS': ['a', 'b']})}")
        return " ".join(f"{name} {', '.join(found)}" for name, found in parts.items() if found)

    def UpdateItem(self) -> dict[str, Any]:
        name = self.name()
        request: dict[str, Any] = {"TableName": name, "Key": self.key(name)}
        request["UpdateExpression"] = self.update(request)
        request["ReturnValues"] = self.rng.choice(("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"))
        return self.measured(self.with_condition(request, 0.2))

    def GetItem(self) -> dict[str, Any]:
        name = self.name()
        request = {"TableName": name, "Key": self.key(name), "ConsistentRead": self.rng.random() < 0.5}
        if self.rng.random() < 0.4:
            request["ProjectionExpression"] = ", ".join(self.rng.sample(("v", "m.a", "l[1]", "l[0]", "w"), 2))
        return self.measured(request)

    def Query(self) -> dict[str, Any]:
        rng = self.rng
        where = rng.choice((None, None, "all", "keys", "local"))
        request: dict[str, Any] = {"TableName": "wide", "ScanIndexForward": rng.random() < 0.5}
        if where in ("all", "keys"):
            request["KeyConditionExpression"] = f"g = {self.value(request, self.partition('gh'))}"
            if where == "all" and rng.random() < 0.4:
                request["KeyConditionExpression"] += f" AND n >= {self.value(request, {'N': str(rng.randint(0, 9))})}"
        else:
            request["KeyConditionExpression"] = f"pk = {self.value(request, self.partition('xy'))}"
            request["ConsistentRead"] = rng.random() < 0.5
            if where is None and rng.random() < 0.6:
                op = rng.choice(("=", "<", "<=", ">", ">="))
                request["KeyConditionExpression"] += (
                    f" AND sk {op} {self.value(request, {'N': str(rng.randint(-3, 4))})}"
                )
            elif where == "local" and rng.random() < 0.5:
                request["KeyConditionExpression"] += f" AND begins_with(s, {self.value(request, {'S': 's'})})"
        if where is not None:
            request["IndexName"] = where
        elif rng.random() < 0.5:
            request["Limit"] = rng.randint(1, 4)
        if rng.random() < 0.4 and where != "keys":
            request["FilterExpression"] = self.condition(request)
        return self.measured(request)

    def Scan(self) -> dict[str, Any]:
        request: dict[str, Any] = {"TableName": self.name()}
        if self.rng.random() < 0.6:
            request["FilterExpression"] = self.condition(request)
        return self.measured(request)

    def BatchGetItem(self) -> dict[str, Any]:
        keys = [self.key("wide") for _ in range(self.rng.randint(1, 4))]
        return self.measured({"RequestItems": {"wide": {"Keys": keys, "ConsistentRead": self.rng.random() < 0.5}}})

    def BatchWriteItem(self) -> dict[str, Any]:
        entries = [
            {"PutRequest": {"Item": self.item("wide")}}
            if self.rng.random() < 0.7
            else {"DeleteRequest": {"Key": self.key("wide")}}
            for _ in range(self.rng.randint(1, 4))
        ]
        return self.measured({"RequestItems": {"wide": entries}})

    def TransactWriteItems(self) -> dict[str, Any]:
        entries: list[Any] = []
        seen: set[str] = set()
        for _ in range(self.rng.randint(1, 4)):
            kind = self.rng.choice(("Put", "Update", "Delete", "ConditionCheck"))
            name = self.name()
            request: dict[str, Any] = {"TableName": name}
            if kind == "Put":
                request["Item"] = self.item(name)
            else:
                request["Key"] = self.key(name)
            if kind == "Update":
                request["UpdateExpression"] = self.update(request, tame=self.rng.random() < 0.93)
            self.with_condition(request, 1.0 if kind == "ConditionCheck" else 0.3)
            if self.rng.random() < 0.3:
                request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
            place = repr(self.place(request))
            if place not in seen:
                entries.append({kind: request})
            seen.add(place)
        return {"TransactItems": entries}

    @staticmethod
    def place(request: dict[str, Any]) -> list[Any]:
        """Which item a write is of."""
        given = request.get("Key") or request["Item"]
        return [request["TableName"], given.get("id"), given.get("pk"), given.get("sk")]

    def TransactGetItems(self) -> dict[str, Any]:
        entries = [
            {"Get": {"TableName": name, "Key": self.key(name)}}
            for name in (self.name() for _ in range(self.rng.randint(1, 3)))
        ]
        return self.measured({"TransactItems": entries})


# What may differ


def plain(value: Any) -> Any:
    """An answer as it is compared: sets have no order, and equal numbers may be written otherwise."""
    if isinstance(value, dict):
        return {name: _plain(name, one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def _plain(name: str, one: Any) -> Any:
    if name == "N" and isinstance(one, str):
        return Decimal(one).normalize()
    if name in ("SS", "NS", "BS") and isinstance(one, list):
        return {Decimal(text).normalize() for text in one} if name == "NS" else set(one)
    return plain(one)


def unordered(items: list[Any]) -> list[Any]:
    """Items whose order nobody promises."""
    return sorted(items, key=lambda one: repr([one.get(name) for name in ("id", "pk", "sk")]))


class Rules:
    """Compares two answers; counts what is left out, by the name of the rule."""

    def __init__(self) -> None:
        self.left_out: Counter[str] = Counter()
        self.compared = 0

    def differ(self, operation: str, request: dict[str, Any], ours: tuple[int, Any], theirs: tuple[int, Any]) -> bool:
        """Whether two answers differ where they may not."""
        self.compared += 1
        rule = self.rule(operation, request, ours, theirs)
        if rule is not None:
            self.left_out[rule] += 1
            return False
        return seen(operation, request, *ours) != seen(operation, request, *theirs)

    def rule(
        self, operation: str, request: dict[str, Any], ours: tuple[int, Any], theirs: tuple[int, Any]
    ) -> str | None:
        """The rule that leaves a pair of answers out, None where they are compared. The engines differ by each of them as
        docs/engines.md says."""
        of_ours, of_theirs = error(ours[1]), error(theirs[1])
        if operation == "TransactWriteItems" and of_theirs == "ValidationException" and of_ours == CANCELLED:
            return "a fault of one write in a transaction (AWS's list of reasons)"
        if operation == "TransactWriteItems" and of_ours == of_theirs == CANCELLED:
            codes = [{one["Code"] for one in side[1]["CancellationReasons"]} for side in (ours, theirs)]
            if any("ValidationError" in one for one in codes):
                return "a fault beside a failed condition in a transaction (AWS stops at the fault)"
        nested = operation == "UpdateItem" and any(sign in request["UpdateExpression"] for sign in "[.")
        if nested and request["ReturnValues"].startswith("UPDATED") and ours[0] == theirs[0] == 200:
            return "UPDATED_OLD and UPDATED_NEW of a nested path (Parity Suite: the nested attribute alone)"
        if (
            "UpdateExpression" in request
            and theirs[0] == 200
            and ours[0] == 400
            and " g = " in f" {request['UpdateExpression']}"
        ):
            return "a mistyped key of an index in an update (developer guide: refused)"
        return None


CANCELLED = "TransactionCanceledException"


def error(body: dict[str, Any]) -> str:
    """The name of an error."""
    return str(body.get("__type", "")).rpartition("#")[2]


def seen(operation: str, request: dict[str, Any], status: int, body: dict[str, Any]) -> Any:
    """What of an answer is compared."""
    if status != 200:
        reasons = [one["Code"] for one in body.get("CancellationReasons", ())]
        items = [plain(one.get("Item")) for one in body.get("CancellationReasons", ())]
        return status, error(body), reasons, items, plain(body.get("Item"))
    found = plain(body)
    if operation == "Scan" or "IndexName" in request:
        found["Items"] = unordered(found["Items"])
    if operation == "BatchGetItem":
        found["Responses"] = {name: unordered(items) for name, items in found["Responses"].items()}
    if operation in ("TransactWriteItems", "TransactGetItems", "DeleteItem"):
        found.pop(
            "ConsumedCapacity", None
        )  # of transactions Local counts otherwise, and of deletes the larger of two views
    return status, without_empty(found, request)


def without_empty(found: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Capacity is compared by what the table cost."""
    consumed = found.get("ConsumedCapacity")
    if consumed is not None:
        many = consumed if isinstance(consumed, list) else [consumed]
        # Of indexes Local counts otherwise (docs/engines.md): what they cost is in test_capacity.py, from observations on AWS.
        found["ConsumedCapacity"] = sorted(one["Table"]["CapacityUnits"] for one in many)
        if found.get("ScannedCount") == 0 or "RequestItems" in request or "IndexName" in request:
            del found["ConsumedCapacity"]  # Local: nothing for an empty query, and for an item that is not there
    return found
