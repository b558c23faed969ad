"""The control plane, streams and expiry. Sources: api:CreateTable, api:UpdateTable, dg:TTL, dg:Streams, dg:Tagging, api:UpdateContinuousBackups."""

import pytest

from dynamorm.engine import Engine
from dynamorm.engine.core import Core

from .conftest import Asked, Failed, index, schema, table

V, L, N, U = "ValidationException", "LimitExceededException", "ResourceNotFoundException", "ResourceInUseException"
ONE = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}


def refused(ask, operation, **request):
    with pytest.raises(Failed) as error:
        getattr(ask, operation)(**request)
    return error.value.name


def define(*names, **types):
    return [{"AttributeName": name, "AttributeType": types.get(name, "S")} for name in names]


BAD_TABLES = [
    table("ab", "id"),
    table("x" * 256, "id"),
    table("bad name", "id"),
    table("items", "id", types={"more": "S"}),
    table("items", "id") | {"AttributeDefinitions": []},
    table("items", "id") | {"AttributeDefinitions": define("id", "id")},
    table("items", "id") | {"KeySchema": [{"AttributeName": "id", "KeyType": "RANGE"}]},
    table("items", "id") | {"KeySchema": []},
    table("items", "id", "id"),
    table("items", "id") | {"BillingMode": "FREE"},
    table("items", "id") | {"ProvisionedThroughput": ONE},
    table("items", "id", BillingMode="PROVISIONED"),
    table(
        "items",
        "id",
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 0, "WriteCapacityUnits": 1},
    ),
    table("items", "id", types={"id": "BOOL"}),
    table("items", "id", on_global=[index("by-g", "g")]),
    table("items", "id", types={"g": "S"}, on_global=[index("by-g", "g"), index("by-g", "g")]),
    table("items", "id", types={"g": "S"}, on_global=[index("by-g", "g", projection="INCLUDE")]),
    table("items", "id", types={"g": "S"}, on_global=[index("by-g", "g", kept=["a"])]),
    table("items", "id", types={"g": "S"}, on_global=[index("by-g", "g", projection="SOME")]),
    table("items", "id", types={"g": "S"}, on_global=[index(f"by-{n}", "g") for n in range(21)]),
    table("items", "id", types={"g": "S"}, on_local=[index("by-g", "id", "g")]),
    table("items", "id", "sk", types={"g": "S"}, on_local=[index("by-g", "sk", "g")]),
    table("items", "id", "sk", types={"g": "S"}, on_local=[index("by-g", "id")]),
    table("items", "id", GlobalSecondaryIndexes=[]),
    table("items", "id", StreamSpecification={"StreamEnabled": True}),
    table("items", "id", StreamSpecification={"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"}),
    table("items", "id", Tags=[{"Key": "aws:x", "Value": "1"}]),
    table("items", "id", Tags=[{"Key": "x", "Value": "1"}] * 2),
]


@pytest.mark.parametrize("request_", BAD_TABLES, ids=range(len(BAD_TABLES)))
def test_tables_that_are_none(ask, request_):
    assert refused(ask, "CreateTable", **request_) == V
    assert ask.ListTables()["TableNames"] == []


def test_a_table_is_described(ask):
    made = ask.CreateTable(**table("items", "id", "sk", types={"g": "S"}, on_global=[index("by-g", "g")], on_local=[], Tags=[{"Key": "x", "Value": "1"}], TableClass="STANDARD_INFREQUENT_ACCESS"))  # fmt: skip
    assert made["TableDescription"]["TableStatus"] == "CREATING"
    found = ask.DescribeTable(TableName="items")["Table"]
    assert found["TableStatus"] == "ACTIVE"
    assert found["KeySchema"] == schema("id", "sk")
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert found["TableClassSummary"] == {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
    assert found["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE"
    assert ask.DescribeTable(TableName=found["TableArn"])["Table"] == found
    assert refused(ask, "CreateTable", **table("items", "id")) == U


def test_tables_and_indexes_are_creating_for_a_while(monkeypatch):
    now = [1_800_000_000.0]
    monkeypatch.setattr(Core, "now", staticmethod(lambda: now[0]))
    with Engine(creating=10) as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        assert ask.DescribeTable(TableName="items")["Table"]["TableStatus"] == "CREATING"
        assert refused(ask, "PutItem", TableName="items", Item={"id": {"S": "a"}}) == N
        assert refused(ask, "DeleteTable", TableName="items") == U
        now[0] += 11
        ask.PutItem(TableName="items", Item={"id": {"S": "a"}, "g": {"S": "x"}})
        made = {"IndexName": "by-g", "KeySchema": schema("g"), "Projection": {"ProjectionType": "ALL"}}
        request = {
            "TableName": "items",
            "AttributeDefinitions": define("id", "g"),
            "GlobalSecondaryIndexUpdates": [{"Create": made}],
        }
        ask.UpdateTable(**request)
        found = ask.DescribeTable(TableName="items")["Table"]
        assert (found["TableStatus"], found["GlobalSecondaryIndexes"][0]["IndexStatus"]) == ("UPDATING", "CREATING")
        query = {
            "KeyConditionExpression": "g = :v",
            "ExpressionAttributeValues": {":v": {"S": "x"}},
            "IndexName": "by-g",
        }
        assert refused(ask, "Query", TableName="items", **query) == V
        assert refused(ask, "UpdateTable", TableName="items", DeletionProtectionEnabled=True) == U
        now[0] += 11
        assert ask.Query(TableName="items", **query)["Count"] == 1


def test_indexes_come_and_go(ask):
    ask.CreateTable(**table("items", "id"))
    for number in range(20):
        ask.PutItem(TableName="items", Item={"id": {"S": str(number)}} | ({"g": {"S": "x"}} if number % 2 else {}))
    made = {"IndexName": "by-g", "KeySchema": schema("g"), "Projection": {"ProjectionType": "KEYS_ONLY"}}
    request = {"TableName": "items", "AttributeDefinitions": define("id", "g")}
    ask.UpdateTable(**request, GlobalSecondaryIndexUpdates=[{"Create": made}])
    query = {
        "TableName": "items",
        "IndexName": "by-g",
        "KeyConditionExpression": "g = :v",
        "ExpressionAttributeValues": {":v": {"S": "x"}},
    }
    assert ask.Query(**query)["Count"] == 10
    assert refused(ask, "UpdateTable", **request, GlobalSecondaryIndexUpdates=[{"Create": made}]) == V
    assert (
        refused(ask, "UpdateTable", TableName="items", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "none"}}])
        == N
    )
    both = [{"Create": made | {"IndexName": "other"}}, {"Delete": {"IndexName": "by-g"}}]
    assert refused(ask, "UpdateTable", **request, GlobalSecondaryIndexUpdates=both) == L
    ask.UpdateTable(TableName="items", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "by-g"}}])
    assert refused(ask, "Query", **query) == V
    assert ask.DescribeTable(TableName="items")["Table"]["AttributeDefinitions"] == define("id")


def test_settings_of_a_table(ask):
    ask.CreateTable(**table("items", "id", DeletionProtectionEnabled=True))
    assert refused(ask, "DeleteTable", TableName="items") == V
    assert refused(ask, "UpdateTable", TableName="items") == V
    ask.UpdateTable(
        TableName="items", DeletionProtectionEnabled=False, BillingMode="PROVISIONED", ProvisionedThroughput=ONE
    )
    found = ask.DescribeTable(TableName="items")["Table"]
    assert found["ProvisionedThroughput"]["ReadCapacityUnits"] == 1
    assert refused(ask, "UpdateTable", TableName="items", ProvisionedThroughput=ONE) == V
    assert refused(ask, "UpdateTable", TableName="items", BillingMode="PAY_PER_REQUEST", ProvisionedThroughput=ONE) == V
    ask.DeleteTable(TableName="items")
    assert ask.ListTables() == {"TableNames": []}


def test_tables_are_listed_by_pages(ask):
    for name in ("ccc", "aaa", "bbb"):
        ask.CreateTable(**table(name, "id"))
    assert ask.ListTables(Limit=2) == {"TableNames": ["aaa", "bbb"], "LastEvaluatedTableName": "bbb"}
    assert ask.ListTables(ExclusiveStartTableName="bbb") == {"TableNames": ["ccc"]}


def test_tags(ask):
    arn = ask.CreateTable(**table("items", "id"))["TableDescription"]["TableArn"]
    ask.TagResource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ask.TagResource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    ask.UntagResource(ResourceArn=arn, TagKeys=["b", "c"])
    assert ask.ListTagsOfResource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}]
    assert refused(ask, "ListTagsOfResource", ResourceArn=arn + "x") == "AccessDeniedException"
    assert refused(ask, "ListTagsOfResource", ResourceArn="items") == V


def test_recovery(ask):
    ask.CreateTable(**table("items", "id"))
    on = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7}
    found = ask.UpdateContinuousBackups(TableName="items", PointInTimeRecoverySpecification=on)
    assert found["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]["RecoveryPeriodInDays"] == 7
    ask.UpdateContinuousBackups(
        TableName="items", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    found = ask.DescribeContinuousBackups(TableName="items")["ContinuousBackupsDescription"]
    assert found["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    assert refused(ask, "DescribeContinuousBackups", TableName="absent") == "TableNotFoundException"


def ttl(ask, name, on=True):
    ask.UpdateTimeToLive(TableName="items", TimeToLiveSpecification={"AttributeName": name, "Enabled": on})


def test_expiry(engine, ask, monkeypatch):
    now = 1_800_000_000
    monkeypatch.setattr(Core, "now", staticmethod(lambda: now))
    ask.CreateTable(**table("items", "id", types={"g": "S"}, on_global=[index("by-g", "g")], StreamSpecification={"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"}))  # fmt: skip
    times = {"old": {"N": str(now - 1)}, "now": {"N": str(now)}, "later": {"N": str(now + 1)}, "ancient": {"N": str(now - 6 * 365 * 86_400)}, "text": {"S": "1"}}  # fmt: skip
    for name, at in times.items():
        ask.PutItem(TableName="items", Item={"id": {"S": name}, "at": at, "g": {"S": "x"}})
    assert engine.expire_now() == 0  # not switched on
    ttl(ask, "at")
    assert ask.DescribeTimeToLive(TableName="items")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "at",
    }
    assert ask.Scan(TableName="items")["Count"] == 5
    assert engine.expire_now() == 2
    left = {one["id"]["S"] for one in ask.Scan(TableName="items", IndexName="by-g")["Items"]}
    assert left == {"later", "ancient", "text"}
    removed = [one for one in records(ask) if one["eventName"] == "REMOVE"]
    assert [one["userIdentity"] for one in removed] == [
        {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    ] * 2
    with pytest.raises(Failed):
        ttl(ask, "at")
    with pytest.raises(Failed):
        ttl(ask, "other")
    ttl(ask, "at", on=False)


def test_expiry_by_itself(monkeypatch):
    now = [1_800_000_000]
    monkeypatch.setattr(Core, "now", staticmethod(lambda: now[0]))
    with Engine(ttl_lag=0) as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        ttl(ask, "at")
        ask.PutItem(TableName="items", Item={"id": {"S": "a"}, "at": {"N": str(now[0] + 5)}})
        assert ask.Scan(TableName="items")["Count"] == 1
        now[0] += 5
        assert ask.Scan(TableName="items")["Count"] == 0


def records(ask, kind="TRIM_HORIZON", **more):
    """The records of the table's stream."""
    arn = ask.DescribeTable(TableName="items")["Table"]["LatestStreamArn"]
    (shard,) = ask.DescribeStream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = ask.GetShardIterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **more)[
        "ShardIterator"
    ]
    found = []
    while iterator is not None:
        page = ask.GetRecords(ShardIterator=iterator)
        found += page["Records"]
        iterator = page.get("NextShardIterator") if page["Records"] else None
    return found


VIEWS = [
    ("KEYS_ONLY", set()),
    ("NEW_IMAGE", {"NewImage"}),
    ("OLD_IMAGE", {"OldImage"}),
    ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
]


@pytest.mark.parametrize(("view", "images"), VIEWS)
def test_streams_have_four_views(ask, view, images):
    ask.CreateTable(**table("items", "id", StreamSpecification={"StreamEnabled": True, "StreamViewType": view}))
    for value in ("1", "1", "2"):
        ask.PutItem(TableName="items", Item={"id": {"S": "a"}, "v": {"N": value}})
    ask.TransactWriteItems(TransactItems=[{"Delete": {"TableName": "items", "Key": {"id": {"S": "a"}}}}])
    found = records(ask)
    assert [one["eventName"] for one in found] == [
        "INSERT",
        "MODIFY",
        "REMOVE",
    ]  # nothing for a put that changes nothing
    assert set(found[1]["dynamodb"]) & {"NewImage", "OldImage"} == images
    assert all(one["dynamodb"]["Keys"] == {"id": {"S": "a"}} for one in found)
    numbers = [one["dynamodb"]["SequenceNumber"] for one in found]
    assert numbers == sorted(numbers)
    assert records(ask, "AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[0]) == found[1:]
    assert records(ask, "AT_SEQUENCE_NUMBER", SequenceNumber=numbers[1]) == found[1:]
    assert records(ask, "LATEST") == []


def test_a_stream_that_was_switched_off_ends(ask):
    ask.CreateTable(**table("items", "id", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}))
    ask.PutItem(TableName="items", Item={"id": {"S": "a"}})
    first = ask.DescribeTable(TableName="items")["Table"]["LatestStreamArn"]
    ask.UpdateTable(TableName="items", StreamSpecification={"StreamEnabled": False})
    assert refused(ask, "UpdateTable", TableName="items", StreamSpecification={"StreamEnabled": False}) == V
    ask.PutItem(TableName="items", Item={"id": {"S": "b"}})
    assert len(records(ask)) == 1
    found = ask.DescribeStream(StreamArn=first)["StreamDescription"]
    assert found["StreamStatus"] == "DISABLED"
    assert "EndingSequenceNumber" in found["Shards"][0]["SequenceNumberRange"]
    ask.UpdateTable(TableName="items", StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    assert len(ask.ListStreams(TableName="items")["Streams"]) == 2


def test_records_are_kept_for_a_day(ask, monkeypatch):
    now = [1_800_000_000]
    monkeypatch.setattr(Core, "now", staticmethod(lambda: now[0]))
    ask.CreateTable(**table("items", "id", StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}))
    ask.PutItem(TableName="items", Item={"id": {"S": "a"}})
    (old,) = records(ask)
    now[0] += 86_500
    ask.PutItem(TableName="items", Item={"id": {"S": "b"}})
    (new,) = records(ask)
    assert new["dynamodb"]["Keys"] == {"id": {"S": "b"}}
    number = old["dynamodb"]["SequenceNumber"]
    with pytest.raises(Failed) as error:
        records(ask, "AT_SEQUENCE_NUMBER", SequenceNumber=number)
    assert error.value.name == "TrimmedDataAccessException"


def test_keys_of_several_attributes(ask):  # dg:GSI.DesignPattern.MultiAttributeKeys
    keys = [{"AttributeName": name, "KeyType": "HASH"} for name in ("a", "b")] + [
        {"AttributeName": name, "KeyType": "RANGE"} for name in ("c", "d")
    ]
    many = {"IndexName": "many", "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
    ask.CreateTable(**table("items", "id", types={"a": "S", "b": "S", "c": "N", "d": "S"}, on_global=[many]))
    for number in range(8):
        ask.PutItem(TableName="items", Item={"id": {"S": str(number)}, "a": {"S": "x"}, "b": {"S": "y"}, "c": {"N": str(number // 4)}, "d": {"S": f"d{number % 4}"}})  # fmt: skip
    ask.PutItem(TableName="items", Item={"id": {"S": "sparse"}, "a": {"S": "x"}, "b": {"S": "y"}, "c": {"N": "1"}})
    values = {":a": {"S": "x"}, ":b": {"S": "y"}, ":c": {"N": "1"}, ":d": {"S": "d2"}}

    def found(text):
        given = {name: value for name, value in values.items() if name in text}
        items = ask.Query(
            TableName="items", IndexName="many", KeyConditionExpression=text, ExpressionAttributeValues=given
        )["Items"]
        return [one["id"]["S"] for one in items]

    assert found("a = :a AND b = :b") == list("01234567")
    assert found("a = :a AND b = :b AND c = :c AND d >= :d") == ["6", "7"]
    assert found("a = :a AND b = :b AND c < :c") == list("0123")
    for text in ("a = :a", "a = :a AND b = :b AND d = :d", "a = :a AND b = :b AND c < :c AND d = :d"):
        with pytest.raises(Failed):
            found(text)
