"""DynamoDB's control plane in memory, on a fake clock: tables and indexes take their time, and replies can be lost."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from dynamorm.effects import TransportError
from dynamorm.testing import FakeClock, SentRequest, failure, reply

Fault = Callable[["ControlPlane", SentRequest], Any]
"""What happens to one request of a changing operation: a reply or an error; None lets it through."""

CHANGES = frozenset({"CreateTable", "UpdateTable", "DeleteTable", "UpdateTimeToLive", "UpdateContinuousBackups"})


def lost(plane: ControlPlane, request: SentRequest) -> Any:
    """The reply to a change that was made is lost."""
    plane.answer(request)
    return TransportError("receive", "connection reset", sent=True)


def swallowed(plane: ControlPlane, request: SentRequest) -> Any:
    """The request itself is lost; the client cannot tell."""
    del plane, request
    return TransportError("receive", "connection reset", sent=True)


def busy(plane: ControlPlane, request: SentRequest) -> Any:
    """Another change is under way."""
    del plane, request
    return failure("LimitExceededException", 400, "too many operations at once")


class ControlPlane:
    """The script of a `ScriptedDriver`. Changes take ``seconds``; ``faults`` meet the changes in turn."""

    def __init__(self, clock: FakeClock, seconds: float = 3.0) -> None:
        self.clock = clock
        self.seconds = seconds
        self.tables: dict[str, dict[str, Any]] = {}
        self.ttl: dict[str, str] = {}
        self.faults: list[Fault | None] = []
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.ready: dict[tuple[str, str], float] = {}
        self.under_way = 0

    def __call__(self, request: SentRequest) -> Any:
        """Serve a request."""
        if request.operation in CHANGES and self.faults:
            fault = self.faults.pop(0)
            found = None if fault is None else fault(self, request)
            if found is not None:
                return found
        return self.answer(request)

    def answer(self, request: SentRequest) -> Any:
        """Apply a request."""
        body = request.json
        table = body.get("TableName", "")
        self._settle(table)
        if table and request.operation != "CreateTable" and table not in self.tables:
            return failure("ResourceNotFoundException", 400, "no such table")
        if request.operation in CHANGES:
            refusal = self._refusal(request.operation, table, body)
            if refusal is not None:
                return refusal
            self.made.append((request.operation, body))
        return getattr(self, f"_{request.operation}")(table, body)

    def _refusal(self, operation: str, table: str, body: dict[str, Any]) -> Any:
        live = self.tables.get(table)
        if operation == "CreateTable":
            return failure("ResourceInUseException", 400, "it exists") if live is not None else None
        assert live is not None
        if operation in ("UpdateTable", "DeleteTable") and live["TableStatus"] != "ACTIVE":
            return failure("ResourceInUseException", 400, "it is being changed")
        for update in body.get("GlobalSecondaryIndexUpdates", ()):
            known = {one["IndexName"] for one in live["GlobalSecondaryIndexes"]}
            if "Create" in update and update["Create"]["IndexName"] in known:
                return failure("ValidationException", 400, "Attempting to create an index which already exists")
            if "Delete" in update and update["Delete"]["IndexName"] not in known:
                return failure("ResourceNotFoundException", 400, "Requested resource not found")
        return None

    def _settle(self, table: str) -> None:
        """Let what is due by the clock come about."""
        live = self.tables.get(table)
        if live is None:
            return
        now = self.clock.monotonic()
        if live["TableStatus"] == "DELETING" and now >= self.ready[table, ""]:
            del self.tables[table]
            return
        for index in list(live["GlobalSecondaryIndexes"]):
            due = self.ready.get((table, index["IndexName"]), 0.0)
            if index["IndexStatus"] == "DELETING" and now >= due:
                live["GlobalSecondaryIndexes"].remove(index)
            elif now >= due:
                index["IndexStatus"], index["Backfilling"] = "ACTIVE", False
            elif now >= due - self.seconds / 2:
                index["Backfilling"] = True
        if now >= self.ready.get((table, ""), 0.0):
            live["TableStatus"] = "ACTIVE"

    def _busy_until(self, table: str, index: str = "") -> None:
        self.ready[table, index] = self.clock.monotonic() + self.seconds

    def _CreateTable(self, table: str, body: dict[str, Any]) -> Any:
        indexes = [{**one, "IndexStatus": "CREATING"} for one in body.get("GlobalSecondaryIndexes", ())]
        self.tables[table] = {
            **{name: body[name] for name in ("TableName", "KeySchema", "AttributeDefinitions")},
            "TableStatus": "CREATING",
            "TableArn": f"arn:aws:dynamodb:eu-west-1:1:table/{table}",
            "BillingModeSummary": {"BillingMode": body["BillingMode"]},
            "GlobalSecondaryIndexes": indexes,
            "DeletionProtectionEnabled": body.get("DeletionProtectionEnabled", False),
        }
        self._busy_until(table)
        for one in indexes:
            self._busy_until(table, one["IndexName"])
        return reply({"TableDescription": self.tables[table]})

    def _UpdateTable(self, table: str, body: dict[str, Any]) -> Any:
        live = self.tables[table]
        known = {one["AttributeName"] for one in live["AttributeDefinitions"]}
        live["AttributeDefinitions"] = live["AttributeDefinitions"] + [
            one for one in body.get("AttributeDefinitions", ()) if one["AttributeName"] not in known
        ]
        for name in ("DeletionProtectionEnabled", "WarmThroughput", "OnDemandThroughput"):
            if name in body:
                live[name] = body[name]
        if "SSESpecification" in body:
            asked = body["SSESpecification"]
            live["SSEDescription"] = {
                "Status": "ENABLED" if asked["Enabled"] else "DISABLED",
                "SSEType": "KMS",
                "KMSMasterKeyArn": "arn:aws:kms:eu-west-1:1:key/"
                + asked.get("KMSMasterKeyId", "own").rpartition("/")[2],
            }
        for update in body.get("GlobalSecondaryIndexUpdates", ()):
            self.under_way += 1
            if "Create" in update:
                live["GlobalSecondaryIndexes"].append({**update["Create"], "IndexStatus": "CREATING"})
                self._busy_until(table, update["Create"]["IndexName"])
            else:
                name = update["Delete"]["IndexName"]
                next(one for one in live["GlobalSecondaryIndexes"] if one["IndexName"] == name)["IndexStatus"] = (
                    "DELETING"
                )
                self._busy_until(table, name)
        live["TableStatus"] = "UPDATING"
        self._busy_until(table)
        return reply({"TableDescription": live})

    def _DeleteTable(self, table: str, body: dict[str, Any]) -> Any:
        live = self.tables[table]
        if live["DeletionProtectionEnabled"]:
            return failure("ValidationException", 400, "protected, in some engine's words")
        live["TableStatus"] = "DELETING"
        self._busy_until(table)
        return reply({"TableDescription": live})

    def _DescribeTable(self, table: str, body: dict[str, Any]) -> Any:
        return reply({"Table": copy.deepcopy(self.tables[table])})

    def _DescribeTimeToLive(self, table: str, body: dict[str, Any]) -> Any:
        name = self.ttl.get(table)
        found = {"TimeToLiveStatus": "ENABLED", "AttributeName": name} if name else {"TimeToLiveStatus": "DISABLED"}
        return reply({"TimeToLiveDescription": found})

    def _UpdateTimeToLive(self, table: str, body: dict[str, Any]) -> Any:
        asked = body["TimeToLiveSpecification"]
        if asked["Enabled"] == (table in self.ttl):
            return failure("ValidationException", 400, "TimeToLive is already enabled")
        if asked["Enabled"]:
            self.ttl[table] = asked["AttributeName"]
        else:
            del self.ttl[table]
        return reply({"TimeToLiveSpecification": asked})

    def _DescribeContinuousBackups(self, table: str, body: dict[str, Any]) -> Any:
        return failure("UnknownOperationException", 400, "no such operation")

    _UpdateContinuousBackups = _DescribeContinuousBackups

    def _ListTagsOfResource(self, table: str, body: dict[str, Any]) -> Any:
        return failure("AccessDeniedException", 400, "not for you")
