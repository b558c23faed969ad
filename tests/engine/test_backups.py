"""Backups on demand. Sources: api:CreateBackup, api:ListBackups, api:DescribeBackup, api:DeleteBackup, api:RestoreTableFromBackup, dg:backuprestore."""

import pytest

from dynamorm.engine import Engine

from .conftest import Asked, Failed, index, table

ONE = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}


def refused(ask, operation, **request):
    with pytest.raises(Failed) as error:
        getattr(ask, operation)(**request)
    return error.value.name


def make(ask, name="items", **more):
    made = table(name, "id", "n", types={"n": "N", "g": "S"}, on_global=[index("by-g", "g")], **more)
    ask.CreateTable(**made)


def put(ask, *numbers, name="items"):
    for number in numbers:
        ask.PutItem(TableName=name, Item={"id": {"S": "a"}, "n": {"N": str(number)}, "g": {"S": f"g{number % 2}"}})


def found(ask, name="items", **more):
    values = {":v": {"S": "g1" if more else "a"}}
    asked = {"KeyConditionExpression": "g = :v" if more else "id = :v", "ExpressionAttributeValues": values}
    return [int(item["n"]["N"]) for item in ask.Query(TableName=name, **asked, **more)["Items"]]


def backup(ask, name="items", called="first"):
    return ask.CreateBackup(TableName=name, BackupName=called)["BackupDetails"]


def test_a_table_made_of_a_backup_holds_what_its_source_held_then(ask):
    make(ask, Tags=[{"Key": "team", "Value": "a"}], DeletionProtectionEnabled=True)
    ask.UpdateTimeToLive(TableName="items", TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": True})
    put(ask, 1, 2, 3)
    details = backup(ask)
    assert (details["BackupName"], details["BackupStatus"], details["BackupType"]) == ("first", "CREATING", "USER")
    put(ask, 4)
    ask.DeleteItem(TableName="items", Key={"id": {"S": "a"}, "n": {"N": "1"}})
    made = ask.RestoreTableFromBackup(TargetTableName="again", BackupArn=details["BackupArn"])["TableDescription"]
    assert (made["TableStatus"], made["RestoreSummary"]["RestoreInProgress"]) == ("CREATING", True)
    assert (found(ask), found(ask, "again")) == ([2, 3, 4], [1, 2, 3])
    assert found(ask, "again", IndexName="by-g") == [1, 3]
    live = ask.DescribeTable(TableName="again")["Table"]
    assert live["RestoreSummary"]["SourceBackupArn"] == details["BackupArn"]
    assert live["RestoreSummary"]["RestoreInProgress"] is False
    assert (live["ItemCount"], live["TableStatus"], live["DeletionProtectionEnabled"]) == (3, "ACTIVE", False)
    assert live["TableId"] != ask.DescribeTable(TableName="items")["Table"]["TableId"]
    assert ask.ListTagsOfResource(ResourceArn=live["TableArn"]).get("Tags", []) == []
    assert ask.DescribeTimeToLive(TableName="again")["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"
    put(ask, 9, name="again")  # it is a table like any other, and changes neither its source nor the backup
    ask.RestoreTableFromBackup(TargetTableName="third", BackupArn=details["BackupArn"])
    assert (found(ask), found(ask, "third")) == ([2, 3, 4], [1, 2, 3])


def test_a_backup_outlives_its_table_and_what_is_left_of_deleted_ones(ask):
    make(ask)
    put(ask, 1, 3)
    arn = backup(ask)["BackupArn"]
    ask.DeleteTable(TableName="items")
    make(ask, "other")
    ask.DeleteTable(TableName="other")
    ask.RestoreTableFromBackup(TargetTableName="items", BackupArn=arn)
    assert (found(ask), found(ask, IndexName="by-g")) == ([1, 3], [1, 3])


def test_a_backup_is_described_listed_and_deleted(ask):
    make(ask, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    make(ask, "other")
    put(ask, 1)
    first, second = backup(ask), backup(ask, called="second")
    other = backup(ask, "other")
    described = ask.DescribeBackup(BackupArn=first["BackupArn"])["BackupDescription"]
    assert described["BackupDetails"]["BackupStatus"] == "AVAILABLE"
    assert described["SourceTableDetails"]["ItemCount"] == 1
    assert described["SourceTableDetails"]["TableName"] == "items"
    assert described["SourceTableFeatureDetails"]["StreamDescription"]["StreamViewType"] == "NEW_IMAGE"
    assert [one["IndexName"] for one in described["SourceTableFeatureDetails"]["GlobalSecondaryIndexes"]] == ["by-g"]
    arns = [one["BackupArn"] for one in (first, second, other)]
    every = ask.ListBackups()["BackupSummaries"]
    assert sorted(one["BackupArn"] for one in every) == sorted(arns)
    mine = ask.ListBackups(TableName="items")["BackupSummaries"]
    assert {(one["BackupName"], one["TableName"], one["BackupStatus"]) for one in mine} == {
        ("first", "items", "AVAILABLE"),
        ("second", "items", "AVAILABLE"),
    }
    assert ask.ListBackups(TableName="items", BackupType="SYSTEM")["BackupSummaries"] == []
    late = max(one["BackupCreationDateTime"] for one in every) + 1
    assert ask.ListBackups(TimeRangeLowerBound=late)["BackupSummaries"] == []
    assert len(ask.ListBackups(TimeRangeUpperBound=late)["BackupSummaries"]) == 3
    gone = ask.DeleteBackup(BackupArn=arns[0])["BackupDescription"]
    assert gone["BackupDetails"]["BackupStatus"] == "DELETED"
    assert refused(ask, "DescribeBackup", BackupArn=arns[0]) == "BackupNotFoundException"
    assert refused(ask, "DeleteBackup", BackupArn=arns[0]) == "BackupNotFoundException"
    assert [one["BackupName"] for one in ask.ListBackups(TableName="items")["BackupSummaries"]] == ["second"]


def test_pages_of_backups_hold_each_once(ask):
    make(ask)
    arns = {backup(ask, called=f"b-{number:03d}")["BackupArn"] for number in range(7)}
    seen, start = [], {}
    while True:
        page = ask.ListBackups(Limit=3, **start)
        seen += [one["BackupArn"] for one in page["BackupSummaries"]]
        if "LastEvaluatedBackupArn" not in page:
            break
        start = {"ExclusiveStartBackupArn": page["LastEvaluatedBackupArn"]}
    assert sorted(seen) == sorted(arns)


def test_a_restore_may_leave_out_indexes_and_be_billed_otherwise(ask):
    make(ask)
    put(ask, 1)
    arn = backup(ask)["BackupArn"]
    ask.RestoreTableFromBackup(
        TargetTableName="plain",
        BackupArn=arn,
        BillingModeOverride="PROVISIONED",
        ProvisionedThroughputOverride=ONE,
        GlobalSecondaryIndexOverride=[],
    )
    live = ask.DescribeTable(TableName="plain")["Table"]
    assert "GlobalSecondaryIndexes" not in live
    assert [one["AttributeName"] for one in live["AttributeDefinitions"]] == ["id", "n"]
    assert live["ProvisionedThroughput"]["ReadCapacityUnits"] == 1
    assert found(ask, "plain") == [1]
    wrong = {"TargetTableName": "none", "BackupArn": arn, "BillingModeOverride": "PROVISIONED"}
    assert refused(ask, "RestoreTableFromBackup", **wrong) == "ValidationException"  # without units
    strange = [
        {
            "IndexName": "by-x",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ]
    wrong = {"TargetTableName": "none", "BackupArn": arn, "GlobalSecondaryIndexOverride": strange}
    assert refused(ask, "RestoreTableFromBackup", **wrong) == "ValidationException"
    assert refused(ask, "DescribeTable", TableName="none") == "ResourceNotFoundException"


def test_what_cannot_be_is_refused(ask):
    make(ask)
    arn = backup(ask)["BackupArn"]
    assert refused(ask, "CreateBackup", TableName="nothing", BackupName="first") == "TableNotFoundException"
    assert refused(ask, "CreateBackup", TableName="items", BackupName="no") == "ValidationException"
    assert refused(ask, "CreateBackup", TableName="items", BackupName="a name") == "ValidationException"
    assert refused(ask, "ListBackups", Limit=101) == "ValidationException"
    assert (
        refused(ask, "RestoreTableFromBackup", TargetTableName="items", BackupArn=arn) == "TableAlreadyExistsException"
    )
    other = arn[:-8] + "00000000"
    assert refused(ask, "RestoreTableFromBackup", TargetTableName="new", BackupArn=other) == "BackupNotFoundException"


def test_backups_stay_in_a_file_and_go_with_a_snapshot(tmp_path):
    path = tmp_path / "engine.db"
    with Engine(path) as engine:
        ask = Asked(engine)
        make(ask)
        put(ask, 1, 2)
        arn = backup(ask)["BackupArn"]
        before = engine.snapshot()
        ask.DeleteBackup(BackupArn=arn)
        engine.restore(before)
        assert ask.DescribeBackup(BackupArn=arn)["BackupDescription"]["SourceTableDetails"]["ItemCount"] == 2
        ask.DeleteTable(TableName="items")
    with Engine(path) as engine:
        ask = Asked(engine)
        ask.RestoreTableFromBackup(TargetTableName="items", BackupArn=arn)
        assert found(ask) == [1, 2]
