"""The engine goes by the wall clock of the process, which tests stop and move: expiry, tokens, streams, new tables and indexes.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html, .../transaction-apis.html, .../Streams.html
"""

import pytest

from dynamorm.engine import Engine
from dynamorm.testing import freeze_time

from .conftest import Asked, Failed, index, table

NEW_YEAR = 1_704_067_200  # 2024-01-01T00:00:00Z
HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400


@pytest.fixture
def clock():
    with freeze_time("2024-01-01T00:00:00Z") as stopped:
        yield stopped


@pytest.fixture
def ask(clock):
    with Engine() as engine:
        asked = Asked(engine)
        stream = {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"}
        asked.CreateTable(
            **table("items", "id", types={"g": "S"}, on_global=[index("by-g", "g")], StreamSpecification=stream)
        )
        asked.UpdateTimeToLive(TableName="items", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
        yield asked


def put(ask, key, **more):
    ask.PutItem(TableName="items", Item={"id": {"S": key}, "g": {"S": "g"}, **more})


def held(ask):
    return sorted(one["id"]["S"] for one in ask.Scan(TableName="items")["Items"])


def records(ask):
    arn = ask.DescribeTable(TableName="items")["Table"]["LatestStreamArn"]
    (shard,) = ask.DescribeStream(StreamArn=arn)["StreamDescription"]["Shards"]
    start = ask.GetShardIterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    return ask.GetRecords(ShardIterator=start["ShardIterator"])["Records"]


@pytest.mark.parametrize(
    ("until", "leaves"),
    [
        ({"N": str(NEW_YEAR + HOUR)}, True),
        ({"N": f"{NEW_YEAR + HOUR}.5"}, True),
        ({"N": str(NEW_YEAR + 2 * HOUR)}, False),
        ({"N": str(NEW_YEAR + HOUR - 5 * YEAR)}, False),
        ({"N": "0"}, False),
        ({"N": "-1"}, False),
        ({"S": str(NEW_YEAR)}, False),
        ({"L": [{"N": str(NEW_YEAR)}]}, False),
    ],
)
def test_an_item_leaves_when_the_clock_has_passed_its_time(ask, clock, until, leaves):
    put(ask, "kept")
    put(ask, "it", until=until)
    clock.tick(HOUR + 1)
    assert held(ask) == (["kept"] if leaves else ["it", "kept"])
    query = {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"S": "g"}}}
    assert ask.Query(TableName="items", IndexName="by-g", **query)["Count"] == 2 - leaves


def test_the_record_of_an_item_that_expired_says_who_removed_it_and_when(ask, clock):
    put(ask, "it", until={"N": str(NEW_YEAR + 10)})
    clock.tick(60)
    assert held(ask) == []
    inserted, removed = records(ask)
    assert "userIdentity" not in inserted
    assert removed["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert (removed["eventName"], removed["dynamodb"]["OldImage"]["id"]) == ("REMOVE", {"S": "it"})
    assert inserted["dynamodb"]["ApproximateCreationDateTime"] == NEW_YEAR
    assert removed["dynamodb"]["ApproximateCreationDateTime"] == NEW_YEAR + 60


def test_in_real_time_an_expired_item_stays_until_it_is_asked_to_leave():
    with Engine() as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        ask.UpdateTimeToLive(TableName="items", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
        with freeze_time("2024-01-01T00:00:00Z"):
            ask.PutItem(TableName="items", Item={"id": {"S": "it"}, "until": {"N": str(NEW_YEAR + YEAR)}})
        assert held(ask) == ["it"]
        assert engine.expire_now() == 1
        assert held(ask) == []


def test_a_lag_is_kept_where_it_is_said(clock):
    with Engine(ttl_lag=HOUR) as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        ask.UpdateTimeToLive(TableName="items", TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"})
        ask.PutItem(TableName="items", Item={"id": {"S": "it"}, "until": {"N": str(NEW_YEAR + 10)}})
        clock.tick(HOUR)
        assert held(ask) == ["it"]
        clock.tick(11)
        assert held(ask) == []


@pytest.mark.parametrize(("seconds", "total"), [(599, "1"), (601, "2")])
@pytest.mark.parametrize("kind", ["items", "statements"])
def test_a_token_is_good_for_ten_minutes(ask, clock, seconds, total, kind):
    put(ask, "it", n={"N": "0"})
    if kind == "items":
        update = {
            "TableName": "items", "Key": {"id": {"S": "it"}}, "UpdateExpression": "ADD n :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }  # fmt: skip
        again = lambda: ask.TransactWriteItems(TransactItems=[{"Update": update}], ClientRequestToken="t")  # noqa: E731 - twice
    else:
        text = "UPDATE items SET n = n + 1 WHERE id = 'it'"
        again = lambda: ask.ExecuteTransaction(TransactStatements=[{"Statement": text}], ClientRequestToken="t")  # noqa: E731 - twice
    again()
    clock.tick(seconds)
    again()
    assert ask.GetItem(TableName="items", Key={"id": {"S": "it"}})["Item"]["n"] == {"N": total}


def test_records_are_kept_for_24_hours(ask, clock):
    put(ask, "old")
    clock.tick(DAY - HOUR)
    put(ask, "new")
    assert len(records(ask)) == 2
    clock.tick(HOUR + 120)
    put(ask, "newest")
    assert [one["dynamodb"]["Keys"]["id"]["S"] for one in records(ask)] == ["new", "newest"]


def test_tables_and_indexes_are_creating_for_as_long_as_is_said(clock):
    with Engine(creating=30) as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        with pytest.raises(Failed) as error:
            put(ask, "early")
        assert error.value.name == "ResourceNotFoundException"
        assert ask.DescribeTable(TableName="items")["Table"]["TableStatus"] == "CREATING"
        clock.tick(31)
        assert ask.DescribeTable(TableName="items")["Table"]["TableStatus"] == "ACTIVE"
        put(ask, "it")
        assert held(ask) == ["it"]
