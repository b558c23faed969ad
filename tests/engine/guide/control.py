"""Behaviours of tables: creating, describing, changing, deleting, tags, expiry, backups; streams of changes."""

from __future__ import annotations

from typing import Any

from .kit import ABSENT, NOT_FOUND, Row, V, w
from .tables import index, table

BASICS = "dg:WorkingWithTables.Basics"
IN_USE = "ResourceInUseException"
SCORES = {"TableName": "GameScores"}
CATALOG = {"TableName": "ProductCatalog"}
THROUGHPUT = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/ProductCatalog"


def made(
    expected: Any = None,
    page: str = BASICS,
    name: str = "New",
    keys: tuple[str, ...] = ("id",),
    types: Any = None,
    **more: Any,
) -> Row:
    """A table is made."""
    if expected is None:
        expected = {}
    return Row(page, "create_table", table(name, keys, types or dict.fromkeys(keys, "S"), **more), expected)


def changed(expected: Any, page: str = BASICS, before: Any = (), after: Any = None, **change: Any) -> Row:
    """A table is changed."""
    return Row(page, "update_table", {**CATALOG, **change}, expected, before, after)


def described(expected: Any) -> Any:
    return "describe_table", CATALOG, {"Table": expected}


NEW_INDEX = {
    "AttributeDefinitions": [{"AttributeName": "Id", "AttributeType": "N"}, {"AttributeName": "Brand", "AttributeType": "S"}],
    "GlobalSecondaryIndexUpdates": [{"Create": index("ByBrand", "Brand")}],
}  # fmt: skip

TABLES = [
    made({"TableDescription": {"TableName": "New", "TableStatus": lambda one: one in ("CREATING", "ACTIVE")}}),
    made({"TableDescription": {"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}}),
    made(IN_USE, name="Music"),
    made(V, name="ab", page="dg:HowItWorks.NamingRulesDataTypes"),
    made(V, name="a b", page="dg:HowItWorks.NamingRulesDataTypes"),
    made(name="a-b_c.9", page="dg:HowItWorks.NamingRulesDataTypes"),
    made(V, types={"id": "BOOL"}),
    made(V, types={"other": "S"}),
    made(V, types={"id": "S", "unused": "S"}),
    made(V, keys=("id", "id")),
    made(V, ProvisionedThroughput=THROUGHPUT),
    Row(BASICS, "create_table", {**table("New", ("id",), {"id": "S"}), "BillingMode": "PROVISIONED"}, V),
    Row(BASICS, "create_table", {**table("New", ("id",), {"id": "S"}), "BillingMode": "PROVISIONED", "ProvisionedThroughput": THROUGHPUT}, {"TableDescription": {"ProvisionedThroughput": THROUGHPUT}}),
    made(V, types={"id": "S", "g": "S"}, GlobalSecondaryIndexes=[], page="dg:GSI"),
    made({"TableDescription": {"GlobalSecondaryIndexes": [{"IndexName": "byg", "Projection": {"ProjectionType": "ALL"}}]}}, types={"id": "S", "g": "S"}, GlobalSecondaryIndexes=[index("byg", "g")], page="dg:GSI"),
    made(V, types={"id": "S", "g": "S"}, GlobalSecondaryIndexes=[index("byg", "g"), index("byg", "g")], page="dg:GSI"),
    made(V, types={"id": "S", "g": "S"}, GlobalSecondaryIndexes=[index("byg", "g", kind="INCLUDE")], page="dg:GSI"),
    made(V, types={"id": "S", "g": "S"}, GlobalSecondaryIndexes=[index("byg", "g", kind="ALL", kept=["x"])], page="dg:GSI"),
    made(V, types={"id": "S", "g": "S"}, LocalSecondaryIndexes=[index("byg", "id", "g")], page="dg:LSI"),
    made(V, keys=("id", "s"), types={"id": "S", "s": "S", "g": "S"}, LocalSecondaryIndexes=[index("byg", "g", "s")], page="dg:LSI"),
    made({"TableDescription": {"LocalSecondaryIndexes": [{"IndexName": "byg"}]}}, keys=("id", "s"), types={"id": "S", "s": "S", "g": "S"}, LocalSecondaryIndexes=[index("byg", "id", "g")], page="dg:LSI"),
    made(V, keys=("id", "s"), types={"id": "S", "s": "S", **{f"g{one}": "S" for one in range(6)}}, LocalSecondaryIndexes=[index(f"by{one}", "id", f"g{one}") for one in range(6)], page="dg:Constraints"),
    made(V, types={"id": "S", **{f"g{one}": "S" for one in range(21)}}, GlobalSecondaryIndexes=[index(f"by{one}", f"g{one}") for one in range(21)], page="dg:Constraints"),
    Row(BASICS, "describe_table", {"TableName": "Thread"}, {"Table": {"TableStatus": "ACTIVE", "ItemCount": 5, "TableArn": "arn:aws:dynamodb:us-east-1:000000000000:table/Thread", "LocalSecondaryIndexes": [{"IndexName": "LastPostIndex"}]}}),
    Row(BASICS, "describe_table", {"TableName": "Nothing"}, NOT_FOUND),
    Row(BASICS, "list_tables", {}, {"TableNames": lambda one: one == ["GameScores", "Music", "ProductCatalog", "Thread"]}),
    Row(BASICS, "list_tables", {"Limit": 2}, {"TableNames": ["GameScores", "Music"], "LastEvaluatedTableName": "Music"}),
    Row(BASICS, "list_tables", {"ExclusiveStartTableName": "Music"}, {"TableNames": ["ProductCatalog", "Thread"], "LastEvaluatedTableName": ABSENT}),
    Row(BASICS, "list_tables", {"Limit": 101}, V),
    Row(BASICS, "delete_table", {"TableName": "Music"}, {"TableDescription": {"TableStatus": "DELETING"}}, after=("describe_table", {"TableName": "Music"}, NOT_FOUND)),
    Row(BASICS, "delete_table", {"TableName": "Nothing"}, NOT_FOUND),
    Row(BASICS, "delete_table", CATALOG, V, before=[("update_table", {**CATALOG, "DeletionProtectionEnabled": True})]),
    changed({"TableDescription": {"DeletionProtectionEnabled": True}}, DeletionProtectionEnabled=True),
    changed({}, BillingMode="PROVISIONED", ProvisionedThroughput=THROUGHPUT, after=described({"ProvisionedThroughput": THROUGHPUT})),
    changed(V, BillingMode="PROVISIONED"),
    changed(V),
    changed({}, "dg:GSI.OnlineOps", after=("query", {**CATALOG, "IndexName": "ByBrand", "KeyConditionExpression": "Brand = :b", "ExpressionAttributeValues": w(v_b="Brand-Company C")}, {"Count": 1}), **NEW_INDEX),
    changed(V, "dg:GSI.OnlineOps", GlobalSecondaryIndexUpdates=[{"Create": index("ByBrand", "Brand")}]),
    changed(NOT_FOUND, "dg:GSI.OnlineOps", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "Nothing"}}]),
    Row("dg:GSI.OnlineOps", "update_table", {**SCORES, "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "ByGame"}}]}, {}, after=("describe_table", SCORES, {"Table": {"GlobalSecondaryIndexes": [{"IndexName": "GameTitleIndex"}]}})),
    Row("dg:GSI.OnlineOps", "update_table", {**SCORES, "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "ByGame"}}, {"Delete": {"IndexName": "GameTitleIndex"}}]}, "LimitExceededException"),
    changed({"TableDescription": {"TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"}}}, "dg:HowItWorks.TableClasses", TableClass="STANDARD_INFREQUENT_ACCESS"),
]  # fmt: skip

TAGS = [
    Row("dg:Tagging.Operations", "tag_resource", {"ResourceArn": ARN, "Tags": [{"Key": "Owner", "Value": "blue"}]}, {}, after=("list_tags_of_resource", {"ResourceArn": ARN}, {"Tags": [{"Key": "Owner", "Value": "blue"}]})),
    Row("dg:Tagging.Operations", "untag_resource", {"ResourceArn": ARN, "TagKeys": ["Owner"]}, {}, before=[("tag_resource", {"ResourceArn": ARN, "Tags": [{"Key": "Owner", "Value": "blue"}]})], after=("list_tags_of_resource", {"ResourceArn": ARN}, {"Tags": []})),
    Row("dg:Tagging.Operations", "list_tags_of_resource", {"ResourceArn": f"{ARN}X"}, "AccessDeniedException"),
    made({}, "dg:Tagging.Operations", Tags=[{"Key": "a", "Value": "b"}]),
]  # fmt: skip

ON = {"Enabled": True, "AttributeName": "ttl"}
EXPIRY = [
    Row("dg:time-to-live-ttl-how-to", "describe_time_to_live", CATALOG, {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}),
    Row("dg:time-to-live-ttl-how-to", "update_time_to_live", {**CATALOG, "TimeToLiveSpecification": ON}, {"TimeToLiveSpecification": ON}, after=("describe_time_to_live", CATALOG, {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}})),
    Row("dg:time-to-live-ttl-how-to", "update_time_to_live", {**CATALOG, "TimeToLiveSpecification": ON}, V, before=[("update_time_to_live", {**CATALOG, "TimeToLiveSpecification": ON})]),
    Row("dg:time-to-live-ttl-how-to", "update_time_to_live", {**CATALOG, "TimeToLiveSpecification": {**ON, "Enabled": False}}, V),
    Row("dg:ttl-expired-items", "get_item", {**CATALOG, "Key": w(Id=1)}, {"Item": w(ttl=1)}, before=[("update_time_to_live", {**CATALOG, "TimeToLiveSpecification": ON}), ("put_item", {**CATALOG, "Item": w(Id=1, ttl=1)})]),
]  # fmt: skip

BACKUPS = [
    Row("dg:PointInTimeRecovery", "describe_continuous_backups", CATALOG, {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"}}}),
    Row("dg:PointInTimeRecovery", "update_continuous_backups", {**CATALOG, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True}}, {"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}}}),
    Row("dg:PointInTimeRecovery", "describe_continuous_backups", {"TableName": "Nothing"}, "TableNotFoundException"),
    Row("dg:ServiceQuotas", "describe_limits", {}, {"AccountMaxReadCapacityUnits": lambda one: one > 0}),
]  # fmt: skip

STREAMS = [
    Row("dg:Streams", "describe_table", SCORES, {"Table": {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}, "LatestStreamArn": lambda one: "/stream/" in one}}),
    changed({"TableDescription": {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}}, "dg:Streams", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}),
    Row("dg:Streams", "update_table", {**SCORES, "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}}, V),
    changed(V, "dg:Streams", StreamSpecification={"StreamEnabled": False}),
    Row("dg:Streams", "update_table", {**SCORES, "StreamSpecification": {"StreamEnabled": False}}, {}, after=("describe_table", SCORES, {"Table": {"StreamSpecification": ABSENT}})),
]  # fmt: skip

ROWS = [*TABLES, *TAGS, *EXPIRY, *BACKUPS, *STREAMS]
