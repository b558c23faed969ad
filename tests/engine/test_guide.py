"""What AWS's developer guide says, row by row, asked through boto3's own client: without a socket, and over HTTP."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError

from dynamorm.engine import Engine

from .guide import control, expressions, items, partiql, queries, transactions
from .guide.kit import contains, inside
from .guide.tables import fill

ROWS = [
    (f"{module.__name__.rpartition('.')[2]}-{number}-{row.page.rpartition(':')[2]}", row)
    for module in (control, expressions, items, partiql, queries, transactions)
    for number, row in enumerate(module.ROWS)
]


def client_of(name, **more):
    options = {"retries": {"max_attempts": 1}, **more.pop("config", {})}
    return boto3.client(
        name, region_name="us-east-1", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret",
        config=BotoConfig(**options), **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def served():
    """An engine, and clients of it: inside the process, and over HTTP."""
    with Engine() as engine, engine.serve() as server:

        def clients(way, name):
            if way == "http":
                return client_of(name, endpoint_url=server.endpoint)
            made = client_of(name)
            made.meta.events.register("before-send", inside(engine))
            return made

        client = clients("inside", "dynamodb")
        fill(client)
        client.close()
        yield engine, engine.snapshot(), clients


@pytest.fixture(scope="module", params=["inside", "http"])
def way(request):
    return request.param


@pytest.fixture(scope="module")
def opened(served, way):
    made = [served[2](way, name) for name in ("dynamodb", "dynamodbstreams", "kms", "sts")]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def client(served, opened):
    engine, start, _ = served
    engine.restore(start)
    return opened[0]


def check(client, operation, request, expected):
    ask = getattr(client, operation)
    if isinstance(expected, (str, tuple)):
        code, body = (expected, {}) if isinstance(expected, str) else expected
        with pytest.raises(ClientError) as error:
            ask(**request)
        assert error.value.response["Error"]["Code"] == code, error.value
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert contains(error.value.response, body), error.value.response
        return
    answer = ask(**request)
    assert contains(answer, expected), answer


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=[name for name, _ in ROWS])
def test_the_guide(client, row):
    for operation, request in row.before:
        getattr(client, operation)(**request)
    check(client, row.operation, row.request, row.expected)
    if row.after is not None:
        check(client, *row.after)


def test_there_are_more_than_200_rows_each_with_its_page():
    assert len(ROWS) > 300
    assert all(row.page.startswith(("dg:", "api:")) for _, row in ROWS)


def test_streams_tell_every_change_in_its_order(opened, client):
    """dg:Streams.LowLevel.Walkthrough."""
    streams = opened[1]
    arn = client.describe_table(TableName="GameScores")["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    where = {"StreamArn": arn, "ShardId": shard["ShardId"]}
    latest = streams.get_shard_iterator(**where, ShardIteratorType="LATEST")["ShardIterator"]
    key = {"UserId": {"S": "9"}, "GameTitle": {"S": "x"}}
    client.put_item(TableName="GameScores", Item=key)
    client.update_item(
        TableName="GameScores", Key=key, UpdateExpression="SET Wins = :w", ExpressionAttributeValues={":w": {"N": "1"}}
    )
    client.put_item(TableName="GameScores", Item={**key, "Wins": {"N": "1"}})  # nothing changes, and nothing is told
    client.delete_item(TableName="GameScores", Key=key)
    records = streams.get_records(ShardIterator=latest)["Records"]
    assert [one["eventName"] for one in records] == ["INSERT", "MODIFY", "REMOVE"]
    assert records[1]["dynamodb"]["OldImage"] == key
    assert records[1]["dynamodb"]["NewImage"] == {**key, "Wins": {"N": "1"}}
    numbers = [one["dynamodb"]["SequenceNumber"] for one in records]
    assert numbers == sorted(numbers)
    behind = streams.get_shard_iterator(**where, ShardIteratorType="AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[0])
    assert len(streams.get_records(ShardIterator=behind["ShardIterator"])["Records"]) == 2
    horizon = streams.get_shard_iterator(**where, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert len(streams.get_records(ShardIterator=horizon)["Records"]) == 5 + 3


def test_pages_of_a_statement_follow_one_another(client):
    """dg:ql-reference.select: NextToken."""
    found, token = [], {}
    while token is not None:
        answer = client.execute_statement(Statement='SELECT SongTitle FROM "Music"', Limit=1, **token)
        found += [one["SongTitle"]["S"] for one in answer["Items"]]
        token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
    assert sorted(found) == ["Call Me Today", "Happy Day", "Howdy", "PartiQL Rocks"]


def test_paginators_and_waiters_of_boto3(client):
    """dg:Scan, dg:WorkingWithTables.Basics."""
    pages = client.get_paginator("scan").paginate(TableName="Music", PaginationConfig={"PageSize": 1})
    assert sum(page["Count"] for page in pages) == 4
    client.get_waiter("table_exists").wait(TableName="Music", WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    client.delete_table(TableName="Music")
    client.get_waiter("table_not_exists").wait(TableName="Music", WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    assert next(iter(client.get_paginator("list_tables").paginate().search("TableNames"))) == "GameScores"


def test_the_key_service_and_the_token_service_answer_boto3(opened, client):
    """https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html, .../STS/latest/APIReference/API_AssumeRole.html."""
    _, _, kms, sts = opened
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName="alias/guide", TargetKeyId=key)
    made = kms.generate_data_key(KeyId="alias/guide", KeySpec="AES_256", EncryptionContext={"a": "b"})
    opened_key = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert opened_key["Plaintext"] == made["Plaintext"]
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "c"})
    kms.disable_key(KeyId=key)
    with pytest.raises(kms.exceptions.DisabledException):
        kms.encrypt(KeyId=key, Plaintext=b"x")
    role = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/x", RoleSessionName="me", DurationSeconds=900)
    assert role["AssumedRoleUser"]["Arn"] == "arn:aws:sts::123456789012:assumed-role/x/me"
    assert sts.get_caller_identity()["Account"] == "000000000000"
    with pytest.raises(ClientError, match="ValidationError"):
        sts.assume_role(RoleArn="arn:aws:iam::123456789012:user/someone", RoleSessionName="me")
