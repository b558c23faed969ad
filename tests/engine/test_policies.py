"""Policies of sessions: what AssumeRole was given decides what a session may do, where signatures are checked."""

import json

import boto3
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError

from dynamorm import DB, Attr, Credentials, Model, Presets, Tenant, attr, partition_key, sort_key
from dynamorm.engine import Engine
from dynamorm.engine.access.asks import asks_of
from dynamorm.engine.access.policy import Ask, refused
from dynamorm.plugins.tenancy import session_policy

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/payments"
BACKUP = f"{TABLE}/backup/01489602797149-73d8d5bc"
ROLE = {"RoleArn": "arn:aws:iam::000000000000:role/tenant", "RoleSessionName": "one"}


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action="dynamodb:*", resource="*", condition=None, effect="Allow", **more):
    found = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return found if condition is None else found | {"Condition": condition}


def get(*leading, action="dynamodb:GetItem", resource=TABLE):
    return Ask(action, resource, {"dynamodb:leadingkeys": list(leading)} if leading else {})


def keys(*patterns, operator="ForAllValues:StringLike"):
    return {operator: {"dynamodb:LeadingKeys": list(patterns)}}


@pytest.mark.parametrize(
    ("statements", "ask", "allowed"),
    [
        ([allow()], get("a"), True),
        ([], get("a"), False),
        ([allow("dynamodb:PutItem")], get("a"), False),
        ([allow(["DynamoDB:get*"])], get("a"), True),
        ([allow("dynamodb:?etItem")], get("a"), True),
        ([allow(resource=TABLE)], get("a"), True),
        ([allow(resource=TABLE)], get("a", resource=f"{TABLE}/index/i"), False),
        ([allow(resource=f"{TABLE}*")], get("a", resource=f"{TABLE}/index/i"), True),
        ([allow(resource=TABLE.upper())], get("a"), False),
        ([allow(), allow("dynamodb:GetItem", effect="Deny")], get("a"), False),
        ([allow("dynamodb:GetItem", effect="Deny"), allow()], get("a", action="dynamodb:Query"), True),
        ([allow(condition=keys("t1#*", "t1"))], get("t1#x", "t1"), True),
        ([allow(condition=keys("t1#*", "t1"))], get("t1#x", "t2#x"), False),
        ([allow(condition=keys("t1#*"))], get(), True),  # as IAM says of ForAllValues
        ([allow(condition=keys("t1#*") | {"Null": {"dynamodb:LeadingKeys": "false"}})], get(), False),
        ([allow(condition=keys("t1#*") | {"Null": {"dynamodb:LeadingKeys": "false"}})], get("t1#"), True),
        ([allow(condition=keys("t${*}#*"))], get("t*#x"), True),
        ([allow(condition=keys("t${*}#*"))], get("t1#x"), False),
        ([allow(condition=keys("t${?}${$}"))], get("t?$"), True),
        ([allow(condition=keys("t.#*"))], get("tx#x"), False),
        ([allow(condition=keys("t*", operator="ForAllValues:StringEquals"))], get("t1"), False),
        ([allow(condition=keys("t1", operator="ForAnyValue:StringEquals"))], get("t1", "t2"), True),
        ([allow(condition=keys("t1", operator="ForAnyValue:StringEquals"))], get(), False),
        ([allow(condition=keys("t1", operator="StringNotEquals"))], get("t1"), False),
        ([allow(condition=keys("t1", operator="StringEqualsIfExists"))], get(), True),
        ([allow(), allow(condition=keys("secret*"), effect="Deny")], get("secret1"), False),
        ([allow(), allow(condition=keys("secret*", operator="ForAnyValue:StringLike"), effect="Deny")], get("open"), True),
        # What is not understood allows nothing, and denies.
        ([allow(condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})], get("a"), False),
        ([allow(), allow(condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, effect="Deny")], get("a"), False),
        ([allow(condition=keys("${aws:username}"))], get("a"), False),
        ([allow(Principal="*")], get("a"), False),
        ([{"Effect": "Allow", "NotAction": "dynamodb:PutItem", "Resource": "*"}], get("a"), True),
        ([{"Effect": "Allow", "NotAction": "dynamodb:Get*", "Resource": "*"}], get("a"), False),
        ([{"Effect": "Allow", "Action": "*", "NotResource": TABLE}], get("a"), False),
    ],
)  # fmt: skip
def test_what_a_policy_allows(statements, ask, allowed):
    assert (refused(policy(*statements), ask) is None) is allowed


class Payment(Model, table="payments"):
    tenant: Attr[str] = partition_key(Tenant())
    id: Attr[str] = sort_key()
    amount: Attr[int] = attr(default=0)


@pytest.fixture
def strict():
    with Engine() as engine, engine.serve(verify=True, keys={"AKID": "secret"}) as server:
        with DB(local(server, "AKID", "secret")) as db:
            db.enable_multi_tenancy()
            db.tables.create(Payment)
        yield server


def local(server, key, secret, token=None):
    return Presets.local_development(endpoint=server.endpoint, credentials=Credentials(key, secret, token))


def client(server, service="dynamodb", key="AKID", secret="secret", token=None):
    return boto3.client(
        service, endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id=key,
        aws_secret_access_key=secret, aws_session_token=token, config=BotoConfig(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def assumed(server, text):
    return client(server, "sts").assume_role(Policy=text, **ROLE)["Credentials"]


def of_session(server, text):
    given = assumed(server, text)
    return client(server, key=given["AccessKeyId"], secret=given["SecretAccessKey"], token=given["SessionToken"])


def item(tenant, key="1"):
    return {"tenant": {"S": tenant}, "id": {"S": key}}


QUERY = {"KeyConditionExpression": "tenant = :t", "TableName": "payments"}
READS = {"TableName": "payments"}


def requests_of(tenant):
    """Requests for the items of a tenant, one of each kind, by the names of boto3's methods."""
    one, values = item(tenant), {":t": {"S": tenant}}
    put = {"Put": {"TableName": "payments", "Item": one}}
    check = {"ConditionCheck": READS | {"Key": one, "ConditionExpression": "attribute_exists(id)"}}
    return [
        ("put_item", READS | {"Item": one}),
        ("get_item", READS | {"Key": one}),
        ("update_item", READS | {"Key": one, "UpdateExpression": "SET amount = :a", "ExpressionAttributeValues": {":a": {"N": "1"}}}),
        ("query", QUERY | {"ExpressionAttributeValues": values}),
        ("query", READS | {"KeyConditions": {"tenant": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": tenant}]}}}),
        ("batch_get_item", {"RequestItems": {"payments": {"Keys": [one]}}}),
        ("batch_write_item", {"RequestItems": {"payments": [{"PutRequest": {"Item": one}}]}}),
        ("transact_get_items", {"TransactItems": [{"Get": READS | {"Key": one}}]}),
        ("transact_write_items", {"TransactItems": [check]}),
        ("transact_write_items", {"TransactItems": [put]}),
        ("delete_item", READS | {"Key": one}),
    ]  # fmt: skip


KINDS = range(len(requests_of("")))


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_a_tenant_reaches_his_items_and_no_others(strict, kind):
    session = of_session(strict, session_policy("t1", [TABLE], models=[Payment]))
    for tenant in ("t1", "t2"):
        client(strict).put_item(TableName="payments", Item=item(tenant))
    name, request = requests_of("t1")[kind]
    getattr(session, name)(**request)
    name, request = requests_of("t2")[kind]
    with pytest.raises(ClientError, match=r"AccessDeniedException.*because no session policy allows the dynamodb:"):
        getattr(session, name)(**request)
    assert client(strict).get_item(TableName="payments", Key=item("t2"))["Item"] == item("t2")


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("batch_get_item", {"RequestItems": {"payments": {"Keys": [item("t1"), item("t2")]}}}),
        ("batch_write_item", {"RequestItems": {"payments": [{"PutRequest": {"Item": item(one)}} for one in ("t1", "t2")]}}),
        ("transact_write_items", {"TransactItems": [{"Put": READS | {"Item": item(one)}} for one in ("t1", "t2")]}),
        ("scan", READS),
        ("list_tables", {}),
        ("describe_table", READS),
        ("delete_table", READS),
        ("create_backup", READS | {"BackupName": "first"}),
        ("list_backups", {}),
        ("describe_backup", {"BackupArn": BACKUP}),
        ("delete_backup", {"BackupArn": BACKUP}),
        ("restore_table_from_backup", {"TargetTableName": "payments", "BackupArn": BACKUP}),
        ("execute_statement", {"Statement": "SELECT * FROM payments WHERE tenant = 't1'"}),
        ("batch_execute_statement", {"Statements": [{"Statement": "no statement"}, {"Statement": "SELECT * FROM payments"}]}),
        ("get_item", {"TableName": "others", "Key": item("t1")}),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)  # fmt: skip
def test_what_a_session_of_a_tenant_may_not_do(strict, name, request_):
    session = of_session(strict, session_policy("t1", [TABLE], models=[Payment]))
    with pytest.raises(ClientError, match="AccessDeniedException"):
        getattr(session, name)(**request_)
    assert client(strict).scan(TableName="payments")["Count"] == 0


def test_a_view_of_a_tenant_signs_with_his_session_and_everything_goes_through(strict):
    def session(tenant):
        given = assumed(strict, session_policy(tenant, [TABLE], models=[Payment]))
        return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    with DB(local(strict, "AKID", "secret")) as db:
        db.enable_multi_tenancy(credentials=session)
        view = db.with_tenant("t1")
        view.create(Payment(id="1", amount=1))
        with view.transaction() as tx:
            tx.create(Payment(id="2", amount=2))
            tx.update(Payment, "1", Payment.amount.add(1))
        assert [one.amount for one in view.model(Payment).all()] == [2, 2]
        assert list(db.with_tenant("t2").model(Payment).all()) == []


def test_without_a_policy_and_with_other_keys_nothing_is_refused(strict):
    given = client(strict, "sts").assume_role(**ROLE)["Credentials"]
    session = client(strict, key=given["AccessKeyId"], secret=given["SecretAccessKey"], token=given["SessionToken"])
    assert session.scan(TableName="payments")["Count"] == 0


def test_streams_are_resources_of_their_own(strict):
    made = client(strict).create_table(
        TableName="events",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]
    arn = made["LatestStreamArn"]
    for resource, allowed in ((f"{made['TableArn']}/stream/*", True), (made["TableArn"], False)):
        given = assumed(strict, policy(allow("dynamodb:*", resource)))
        streams = client(
            strict, "dynamodbstreams", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
        )
        root = client(strict, "dynamodbstreams")
        shard = root.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
        asked = {"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = root.get_shard_iterator(**asked)["ShardIterator"]
        if allowed:
            streams.get_shard_iterator(**asked)
            assert streams.get_records(ShardIterator=iterator)["Records"] == []
        else:
            for name, request in (("get_shard_iterator", asked), ("get_records", {"ShardIterator": iterator})):
                with pytest.raises(ClientError, match="AccessDenied"):
                    getattr(streams, name)(**request)


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([allow("dynamodb:RestoreTableFromBackup")], True),
        ([allow("dynamodb:RestoreTableFromBackup", [BACKUP, f"{TABLE}-2"])], True),
        ([allow("dynamodb:RestoreTableFromBackup", BACKUP)], False),  # not the table that it becomes
        ([allow("dynamodb:RestoreTableFromBackup", f"{TABLE}-2")], False),  # not the backup
        ([allow("dynamodb:*", f"{TABLE}*"), allow("dynamodb:*", BACKUP, effect="Deny")], False),
    ],
)
def test_a_restore_asks_for_the_backup_and_for_the_table(statements, allowed):
    with Engine() as engine:
        request = {"TargetTableName": "payments-2", "BackupArn": BACKUP}
        asks = list(asks_of(engine._core, "RestoreTableFromBackup", request))
    assert all(refused(policy(*statements), ask) is None for ask in asks) is allowed
