"""What only production shows, when it is asked for: throttling, old reads, late indexes, tables that are being made."""

import json
from collections import Counter

import pytest

from dynamorm import DB, Attr, Config, Model, TableSettings, Throughput, attr, gsi, partition_key
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError, Throttled
from dynamorm.testing import freeze_time

from .conftest import Asked, Failed, index, table

NOON = "2024-01-01T12:00:00Z"


@pytest.fixture
def clock():
    with freeze_time(NOON) as frozen:
        yield frozen


def asked(**settings):
    return Asked(Engine(**settings))


def item(key, **more):
    return {"id": {"S": key}} | {name: {"S": value} for name, value in more.items()}


def provisioned(name="things", *, reads=5, writes=5, **more):
    units = {"ReadCapacityUnits": reads, "WriteCapacityUnits": writes}
    return table(name, "id", **more) | {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units}


def until_throttled(call, most=10_000):
    """How often a call is answered before it is throttled, and the error."""
    for number in range(most):
        try:
            call()
        except Failed as failed:
            return number, failed
    return most, None


# Throughput.


def test_writes_are_throttled_as_the_table_says_and_go_on_a_second_later(clock):
    ask = asked(throughput="enforced")
    ask.CreateTable(**provisioned(writes=5))
    count, failed = until_throttled(lambda: ask.PutItem(TableName="things", Item=item("a")))
    assert (count, failed.name) == (5, "ProvisionedThroughputExceededException")
    (reason,) = failed.body["ThrottlingReasons"]
    assert reason["reason"] == "TableWriteProvisionedThroughputExceeded"
    assert reason["resource"].endswith(":table/things")
    clock.tick(1)
    assert until_throttled(lambda: ask.PutItem(TableName="things", Item=item("a")))[0] == 5


def test_unused_units_are_kept_for_five_minutes(clock):
    ask = asked(throughput="enforced")
    ask.CreateTable(**provisioned(reads=2, writes=2))
    ask.PutItem(TableName="things", Item=item("a"))
    clock.tick(10_000)
    assert until_throttled(lambda: ask.PutItem(TableName="things", Item=item("a")))[0] == 600


def test_what_costs_more_takes_more(clock):
    ask = asked(throughput="enforced")
    ask.CreateTable(**provisioned(writes=10, reads=10))
    assert until_throttled(lambda: ask.PutItem(TableName="things", Item=item("a", text="x" * 4500)))[0] == 2
    assert until_throttled(lambda: ask.GetItem(TableName="things", Key=item("a"), ConsistentRead=True))[0] == 5
    clock.tick(1)
    assert until_throttled(lambda: ask.GetItem(TableName="things", Key=item("a")))[0] == 10


def test_a_query_and_a_scan_are_throttled_too(clock):
    ask = asked(throughput="enforced")
    ask.CreateTable(**provisioned(writes=100, reads=10))
    for number in range(20):
        ask.PutItem(TableName="things", Item=item(f"a{number}", text="x" * 4000))
    assert until_throttled(lambda: ask.Scan(TableName="things", ConsistentRead=True))[0] == 1
    clock.tick(2)
    query = {
        "TableName": "things",
        "KeyConditionExpression": "id = :i",
        "ExpressionAttributeValues": {":i": {"S": "a1"}},
    }
    count, failed = until_throttled(lambda: ask.Query(**query, ConsistentRead=True))
    assert (count, failed.body["ThrottlingReasons"][0]["reason"]) == (10, "TableReadProvisionedThroughputExceeded")


def test_an_index_with_less_throttles_the_writes_of_its_table(clock):
    ask = asked(throughput="enforced")
    small = index("by-kind", "kind") | {"ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}}
    ask.CreateTable(**provisioned(writes=100, types={"kind": "S"}, on_global=[small]))
    ask.PutItem(TableName="things", Item=item("a", kind="x"))
    with pytest.raises(Failed) as failed:
        ask.PutItem(TableName="things", Item=item("b", kind="x"))
    (reason,) = failed.value.body["ThrottlingReasons"]
    assert reason["reason"] == "IndexWriteProvisionedThroughputExceeded"
    assert reason["resource"].endswith(":table/things/index/by-kind")
    ask.PutItem(TableName="things", Item=item("c"))  # which is not in the index
    assert ask.GetItem(TableName="things", Key=item("b")).get("Item") is None


def test_one_hot_key_is_throttled_on_demand(clock):
    ask = asked(throughput="enforced")
    ask.CreateTable(**table("things", "id"))
    count, failed = until_throttled(lambda: ask.PutItem(TableName="things", Item=item("hot")))
    assert (count, failed.name) == (1000, "ThrottlingException")
    assert failed.body["throttlingReasons"][0]["reason"] == "TableWriteKeyRangeThroughputExceeded"
    ask.PutItem(TableName="things", Item=item("cold"))


def test_on_demand_has_a_maximum_where_it_is_set(clock):
    ask = asked(throughput="enforced")
    ask.CreateTable(**table("things", "id"), OnDemandThroughput={"MaxReadRequestUnits": 3, "MaxWriteRequestUnits": 4})
    keys = iter(range(100))
    count, failed = until_throttled(lambda: ask.PutItem(TableName="things", Item=item(f"k{next(keys)}")))
    assert (count, failed.name) == (4, "ThrottlingException")
    assert failed.body["throttlingReasons"][0]["reason"] == "TableWriteMaxOnDemandThroughputExceeded"
    clock.tick(1000)  # nothing is kept for later
    assert until_throttled(lambda: ask.PutItem(TableName="things", Item=item(f"k{next(keys)}")))[0] == 4


def test_a_batch_tells_what_it_left_and_is_refused_when_it_is_everything(clock):
    ask = asked(throughput="enforced")
    ask.CreateTable(**provisioned(writes=10, reads=5))
    puts = [{"PutRequest": {"Item": item(f"k{number}")}} for number in range(25)]
    answer = ask.BatchWriteItem(RequestItems={"things": puts}, ReturnConsumedCapacity="TOTAL")
    assert answer["UnprocessedItems"] == {"things": puts[10:]}
    assert answer["ConsumedCapacity"][0]["CapacityUnits"] == 10.0
    assert ask.Scan(TableName="things", Select="COUNT")["Count"] == 10
    with pytest.raises(Failed, match="ProvisionedThroughputExceeded"):
        ask.BatchWriteItem(RequestItems={"things": puts[10:]})
    clock.tick(1)
    keys = [item(f"k{number}") for number in range(20)]
    answer = ask.BatchGetItem(RequestItems={"things": {"Keys": keys, "ConsistentRead": True}})
    assert answer["UnprocessedKeys"] == {"things": {"Keys": keys[10:], "ConsistentRead": True}}
    assert len(answer["Responses"]["things"]) == 10  # the units of this second, and those that the scan had left
    with pytest.raises(Failed, match="ProvisionedThroughputExceeded"):
        ask.BatchGetItem(RequestItems=answer["UnprocessedKeys"])


def test_a_transaction_is_cancelled_and_changes_nothing(clock):
    ask = asked(throughput="enforced")
    ask.CreateTable(**provisioned("things", writes=1, reads=1))
    ask.CreateTable(**provisioned("others", writes=100, reads=100))
    ask.PutItem(TableName="things", Item=item("a"))
    puts = [{"Put": {"TableName": name, "Item": item("b")}} for name in ("others", "things")]
    with pytest.raises(Failed) as cancelled:
        ask.TransactWriteItems(TransactItems=puts)
    assert [one["Code"] for one in cancelled.value.body["CancellationReasons"]] == [
        "None",
        "ProvisionedThroughputExceeded",
    ]
    assert ask.Scan(TableName="others", Select="COUNT")["Count"] == 0
    ask.GetItem(TableName="things", Key=item("a"), ConsistentRead=True)
    with pytest.raises(Failed) as cancelled:
        ask.TransactGetItems(
            TransactItems=[{"Get": {"TableName": name, "Key": item("b")}} for name in ("others", "things")]
        )
    assert [one["Code"] for one in cancelled.value.body["CancellationReasons"]] == [
        "None",
        "ProvisionedThroughputExceeded",
    ]


def test_without_it_nothing_is_throttled():
    ask = asked()
    ask.CreateTable(**provisioned(writes=1, reads=1))
    assert until_throttled(lambda: ask.PutItem(TableName="things", Item=item("a")), most=100) == (100, None)


class Entry(Model, table="entries"):
    id: Attr[str] = partition_key()
    kind: Attr[str] = attr(default="a")
    by_kind = gsi("by-kind", partition="kind")


def test_the_library_waits_and_gets_through_or_says_so():
    def written(count, units, **settings):
        with Engine(throughput="enforced") as engine, DB(Config(engine=engine, **settings)) as db:
            db.tables.create(Entry, settings=TableSettings(throughput=Throughput(units, units)))
            for number in range(count):
                db.create(Entry(id=f"e{number}"))
            return db.model(Entry).allow_scan().count()

    assert written(60, 40, operation_timeout=30) == 60
    with pytest.raises(Throttled):
        written(50, 1, max_attempts=2, throttle_base=0.01)


# Reads that may be old.


def test_eventual_reads_are_old_as_often_as_not_and_consistent_ones_never(clock):
    ask = asked(staleness=10.0, seed=3)
    ask.CreateTable(**table("things", "id"))
    ask.PutItem(TableName="things", Item=item("a", v="old"))
    clock.tick(60)
    ask.PutItem(TableName="things", Item=item("a", v="new"))

    def seen(**how):
        return Counter(ask.GetItem(TableName="things", Key=item("a"), **how)["Item"]["v"]["S"] for _ in range(400))

    assert 150 < seen()["old"] < 250
    assert seen(ConsistentRead=True) == {"new": 400}
    clock.tick(5)
    assert 50 < seen()["old"] < 150  # half of those that look back far enough
    clock.tick(5)
    assert seen() == {"new": 400}


def test_the_same_seed_gives_the_same_reads(clock):
    def seen(seed):
        ask = asked(staleness=10.0, seed=seed)
        ask.CreateTable(**table("things", "id"))
        ask.PutItem(TableName="things", Item=item("a"))
        return ["Item" in ask.GetItem(TableName="things", Key=item("a")) for _ in range(50)]

    assert seen(1) == seen(1) != seen(2)


def test_queries_scans_and_batches_may_be_old_and_transactions_may_not(clock):
    ask = asked(staleness=10.0)
    ask.CreateTable(**table("things", "id"))
    for number in range(50):
        ask.PutItem(TableName="things", Item=item(f"k{number}", v="old"))
    clock.tick(60)
    for number in range(40):
        ask.PutItem(TableName="things", Item=item(f"k{number}", v="new"))
    for number in range(40, 50):
        ask.DeleteItem(TableName="things", Key=item(f"k{number}"))
    ask.PutItem(TableName="things", Item=item("fresh", v="new"))
    found = ask.Scan(TableName="things")["Items"]
    values = Counter(one["v"]["S"] for one in found)
    assert 10 < values["old"] < 45
    assert values["new"]
    assert (
        1 <= sum(one["id"]["S"] in {f"k{number}" for number in range(40, 50)} for one in found) < 10
    )  # deleted, and still seen
    assert Counter(one["v"]["S"] for one in ask.Scan(TableName="things", ConsistentRead=True)["Items"]) == {"new": 41}
    keys = [item(f"k{number}") for number in range(40)]
    batch = Counter(
        one["v"]["S"] for one in ask.BatchGetItem(RequestItems={"things": {"Keys": keys}})["Responses"]["things"]
    )
    assert 5 < batch["old"] < 35
    gets = [{"Get": {"TableName": "things", "Key": key}} for key in keys]
    assert {one["Item"]["v"]["S"] for one in ask.TransactGetItems(TransactItems=gets)["Responses"]} == {"new"}


@pytest.mark.parametrize("projection", ["ALL", "KEYS_ONLY"])
def test_a_global_index_is_late_by_its_delay(clock, projection):
    ask = asked(gsi_delay=2.0)
    ask.CreateTable(
        **table("things", "id", types={"kind": "S"}, on_global=[index("by-kind", "kind", projection=projection)])
    )

    def seen(kind):
        page = ask.Query(
            TableName="things",
            IndexName="by-kind",
            KeyConditionExpression="kind = :k",
            ExpressionAttributeValues={":k": {"S": kind}},
        )
        return [one["id"]["S"] for one in page["Items"]]

    ask.PutItem(TableName="things", Item=item("a", kind="x"))
    assert seen("x") == []
    assert "Item" in ask.GetItem(TableName="things", Key=item("a"))
    clock.tick(2)
    assert seen("x") == ["a"]
    ask.PutItem(TableName="things", Item=item("a", kind="y"))
    assert (seen("x"), seen("y")) == (["a"], [])
    clock.tick(2)
    assert (seen("x"), seen("y")) == ([], ["a"])
    ask.DeleteItem(TableName="things", Key=item("a"))
    assert seen("y") == ["a"]
    clock.tick(2)
    assert seen("y") == []


def test_pages_of_a_late_index_hold_each_item_once(clock):
    ask = asked(gsi_delay=2.0)
    ask.CreateTable(**table("things", "id", types={"kind": "S"}, on_global=[index("by-kind", "kind")]))
    for number in range(20):
        ask.PutItem(TableName="things", Item=item(f"k{number:02}", kind="x"))
    clock.tick(5)
    for number in range(0, 20, 2):
        ask.DeleteItem(TableName="things", Key=item(f"k{number:02}"))
    for backwards in (False, True):
        found, start = [], {}
        while True:
            page = ask.Query(
                TableName="things", IndexName="by-kind", KeyConditionExpression="kind = :k", Limit=3, ScanIndexForward=not backwards,
                ExpressionAttributeValues={":k": {"S": "x"}}, **start,
            )  # fmt: skip
            found += [one["id"]["S"] for one in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        assert found == sorted((f"k{number:02}" for number in range(20)), reverse=backwards)


def test_what_was_restored_is_not_old(clock):
    engine = Engine(staleness=10.0)
    ask = Asked(engine)
    ask.CreateTable(**table("things", "id"))
    start = engine.snapshot()
    ask.PutItem(TableName="things", Item=item("a"))
    engine.restore(start)
    assert not any("Item" in ask.GetItem(TableName="things", Key=item("a")) for _ in range(50))


# Tables that are being made.


def test_a_table_and_an_index_are_creating_for_a_while(clock):
    ask = asked(creating=3.0)
    ask.CreateTable(**table("things", "id"))
    assert ask.DescribeTable(TableName="things")["Table"]["TableStatus"] == "CREATING"
    with pytest.raises(Failed, match="ResourceNotFound"):
        ask.PutItem(TableName="things", Item=item("a"))
    clock.tick(3)
    assert ask.DescribeTable(TableName="things")["Table"]["TableStatus"] == "ACTIVE"
    ask.PutItem(TableName="things", Item=item("a", kind="x"))
    ask.UpdateTable(
        TableName="things", AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "kind")],
        GlobalSecondaryIndexUpdates=[{"Create": index("by-kind", "kind")}],
    )  # fmt: skip
    (made,) = ask.DescribeTable(TableName="things")["Table"]["GlobalSecondaryIndexes"]
    assert made["IndexStatus"] == "CREATING"
    query = {
        "TableName": "things", "IndexName": "by-kind", "KeyConditionExpression": "kind = :k", "ExpressionAttributeValues": {":k": {"S": "x"}}
    }  # fmt: skip
    with pytest.raises(Failed, match="Validation"):
        ask.Query(**query)
    clock.tick(3)
    assert ask.Query(**query)["Count"] == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"throughput": "on"}, {"throughput": True}, {"staleness": -1}, {"staleness": "1"}, {"gsi_delay": float("nan")},
        {"creating": float("inf")}, {"ttl_lag": -0.1}, {"creating": True},
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused(settings):
    (name,) = settings
    with pytest.raises(ConfigError, match=name):
        Engine(**settings)


def test_an_error_has_no_values_of_items():
    ask = asked(throughput="enforced")
    ask.CreateTable(**provisioned(writes=1))
    _, failed = until_throttled(lambda: ask.PutItem(TableName="things", Item=item("a", secret="4711-0815")))
    assert "4711" not in json.dumps(failed.body)
