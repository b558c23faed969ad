"""The engine over HTTP: boto3's own client, raw bytes, signatures, several requests at once, the command."""

import asyncio
import gc
import gzip
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from zlib import crc32

import boto3
import pytest
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from dynamorm import DB, AsyncDB, Attr, Config, Credentials, Model, Presets, attr, partition_key
from dynamorm.engine import Engine, Server
from dynamorm.engine.command import main
from dynamorm.errors import ConfigError, CredentialsError
from dynamorm.testing import freeze_time

from .conftest import table

SIGNED = "AWS4-HMAC-SHA256 Credential=a/20240101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"


@pytest.fixture
def server(engine):
    with engine.serve() as running:
        yield running


def client(server, service="dynamodb", key="local", secret="local", token=None, **settings):
    return boto3.client(
        service,
        endpoint_url=server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=BotoConfig(retries={"total_max_attempts": 1}, **settings),
    )


def asked(server, body, *, method="POST", target="DynamoDB_20120810.ListTables", authorization=SIGNED, **headers):
    """One request by hand: the status, the headers, the body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    given = {"X-Amz-Target": target, "Authorization": authorization} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    try:
        connection.request(method, "/", body, {name: value for name, value in given.items() if value is not None})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def error(answered):
    status, headers, body = answered
    assert headers["x-amz-crc32"] == str(crc32(body))
    return status, json.loads(body)["__type"].rpartition("#")[2]


def test_boto3_does_everything_with_its_own_client(server):
    db = client(server)
    db.create_table(
        **table(
            "things",
            "pk",
            "sk",
            types={"sk": "N"},
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
    )
    db.get_waiter("table_exists").wait(TableName="things")
    for number in range(5):
        db.put_item(TableName="things", Item={"pk": {"S": "a"}, "sk": {"N": str(number)}, "data": {"B": b"\0\xff"}})
    page = db.query(
        TableName="things",
        KeyConditionExpression="pk = :p AND sk > :s",
        ExpressionAttributeValues={":p": {"S": "a"}, ":s": {"N": "1"}},
        ReturnConsumedCapacity="TOTAL",
    )
    assert [item["sk"]["N"] for item in page["Items"]] == ["2", "3", "4"]
    assert page["Items"][0]["data"]["B"] == b"\0\xff"
    assert page["ConsumedCapacity"]["CapacityUnits"] == 0.5
    with pytest.raises(db.exceptions.ConditionalCheckFailedException):
        db.put_item(
            TableName="things",
            Item={"pk": {"S": "a"}, "sk": {"N": "0"}},
            ConditionExpression="attribute_not_exists(pk)",
        )
    with pytest.raises(db.exceptions.TransactionCanceledException) as cancelled:
        db.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": "things", "Item": {"pk": {"S": "b"}, "sk": {"N": "0"}}}},
                {
                    "Delete": {
                        "TableName": "things",
                        "Key": {"pk": {"S": "a"}, "sk": {"N": "0"}},
                        "ConditionExpression": "attribute_not_exists(pk)",
                    }
                },
            ]
        )
    assert [reason["Code"] for reason in cancelled.value.response["CancellationReasons"]] == [
        "None",
        "ConditionalCheckFailed",
    ]
    streams = client(server, "dynamodbstreams")
    arn = db.describe_table(TableName="things")["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    records = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert [record["eventName"] for record in records] == ["INSERT"] * 5
    with pytest.raises(ClientError, match="UnknownOperation"):
        db.list_global_tables()


def test_boto3s_resource_does_too(server):
    settings = {
        "endpoint_url": server.endpoint,
        "region_name": "us-east-1",
        "aws_access_key_id": "a",
        "aws_secret_access_key": "b",
    }
    resource = boto3.resource("dynamodb", **settings)
    made = resource.create_table(**table("things", "id"))
    made.wait_until_exists()
    with made.batch_writer() as batch:
        for number in range(60):
            batch.put_item(Item={"id": f"i{number}", "n": number, "tags": {"x", "y"}})
    assert made.scan(Select="COUNT")["Count"] == 60
    assert made.get_item(Key={"id": "i7"})["Item"] == {"id": "i7", "n": 7, "tags": {"x", "y"}}


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


def test_the_library_and_the_engine_in_process_meet_the_same_items(engine, server):
    with DB(engine) as inside, DB(Presets.local_development(endpoint=server.endpoint)) as outside:
        inside.tables.ensure(Payment)
        outside.create(Payment(id="p", amount=1))
        inside.update(Payment, "p", Payment.amount.add(1))
        assert outside.require(Payment, "p").amount == 2

    async def more():
        async with AsyncDB(Presets.local_development(endpoint=server.endpoint)) as db:
            await asyncio.gather(*(db.update(Payment, "p", Payment.amount.add(1)) for _ in range(50)))
            return (await db.require(Payment, "p")).amount

    assert asyncio.run(more()) == 52


def test_an_answer_has_the_headers_of_the_service(server):
    begun = time.time()
    status, headers, body = asked(server, b"{}")
    assert (status, json.loads(body)) == (200, {"TableNames": []})
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    assert headers["x-amz-crc32"] == str(crc32(body))
    assert int(begun) <= parsedate_to_datetime(headers["Date"]).timestamp() <= time.time()
    first, second = (asked(server, b"{}")[1]["x-amzn-RequestId"] for _ in range(2))
    assert len(first) == len(second) == 52
    assert first != second


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"Limit": "x"}',
        b"[" * 5000,
        b'{"Limit": 1, "Limit": 2}',
    ],
)
def test_what_is_no_request_is_a_serialization_exception(server, body):
    assert error(asked(server, body)) == (400, "SerializationException")


def test_a_body_that_is_too_large_is_refused_and_the_connection_lives(server):
    assert error(asked(server, b'{"a": "' + b"x" * 2**24 + b'"}')) == (400, "SerializationException")
    assert asked(server, b"{}")[0] == 200


def test_targets_that_are_none(server):
    for target in (
        "DynamoDB_20120810.Nothing",
        "DynamoDB_20120810",
        "Nothing.ListTables",
        "",
        None,
        "DynamoDB_20120810.GetRecords",
    ):
        assert error(asked(server, b"{}", target=target)) == (400, "UnknownOperationException")


def test_gzip_is_unpacked_and_only_as_far_as_a_request_may_go(server):
    body = gzip.compress(b'{"Limit": 5}')
    assert asked(server, body, Content_Encoding="gzip")[0] == 200
    bomb = gzip.compress(b'{"a": "' + b"x" * 2**26 + b'"}')
    for wrong in (b'{"Limit": 5}', body[:-4], body + b"x", bomb, b""):
        assert error(asked(server, wrong, Content_Encoding="gzip")) == (400, "SerializationException")
    assert error(asked(server, body, Content_Encoding="br")) == (400, "SerializationException")


def test_a_request_without_a_signature_is_refused(server):
    assert error(asked(server, b"{}", authorization=None)) == (400, "MissingAuthenticationTokenException")
    assert error(asked(server, b"{}", authorization="Basic eDp5")) == (400, "IncompleteSignatureException")
    assert error(asked(server, b"{}", authorization=SIGNED.partition(", Sig")[0])) == (
        400,
        "IncompleteSignatureException",
    )
    assert error(asked(server, b"{", authorization=None)) == (400, "SerializationException")


def test_other_methods(server):
    status, _, body = asked(server, None, method="GET")
    assert (status, body) == (200, b"healthy: dynamodb.us-east-1.amazonaws.com ")
    assert asked(server, b"{}", method="PUT")[0] == 404
    assert asked(server, None, method="HEAD")[2] == b""


def raw(server, data, *, server_ends=False):
    """What comes back for these bytes until the server ends: by itself, or because nothing more is sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
        got = b""
        try:
            sock.sendall(data)
            if not server_ends:
                sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65536):
                got += part
        except ConnectionError:
            pass
        return got


def request_of(body=b"{}", extra=b""):
    return (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\nAuthorization: %b\r\n%bContent-Length: %d\r\n\r\n%b"
        % (SIGNED.encode(), extra, len(body), body)
    )


def test_requests_one_behind_the_other_are_answered_in_order(server):
    got = raw(server, request_of() + request_of(b"[") + request_of())
    assert re.findall(rb"HTTP/1\.1 (\d+)", got) == [b"200", b"400", b"200"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"NONSENSE\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"POST / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)  # fmt: skip
def test_bytes_that_are_no_http_are_answered_with_400_and_end_the_connection(server, data):
    got = raw(server, data, server_ends=True)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in got
    assert asked(server, b"{}")[0] == 200


def test_chunks_and_100_continue(server):
    chunked = request_of(b"", b"Transfer-Encoding: chunked\r\n").replace(b"Content-Length: 0\r\n", b"")
    assert raw(server, chunked + b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert raw(server, request_of(extra=b"Expect: 100-continue\r\n")).startswith(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "
    )


def test_what_stands_behind_a_body_in_chunks_is_no_header(server):
    unsigned = request_of(b"", b"Transfer-Encoding: chunked\r\n").replace(b"Content-Length: 0\r\n", b"")
    unsigned = unsigned.replace(b"Authorization: " + SIGNED.encode() + b"\r\n", b"")
    body = b"2\r\n{}\r\n0\r\nAuthorization: " + SIGNED.encode() + b"\r\n\r\n"
    assert b"MissingAuthenticationTokenException" in raw(server, unsigned + body)


@pytest.mark.parametrize("levels", [999, 1_001, 100_000])
def test_a_body_that_is_nested_too_deeply_is_told_so(server, levels):
    got = raw(server, request_of(b'{"a":' * levels + b"1" + b"}" * levels))
    if levels <= 1_000 and got.startswith(b"HTTP/1.1 200 "):
        return  # CPython from 3.12 on can bear them
    assert got.startswith(b"HTTP/1.1 400 ")
    assert b"nested" in got


def test_the_end_of_a_connection_is_as_asked(server):
    got = raw(server, request_of(extra=b"Connection: close\r\n") + request_of(), server_ends=True)
    assert b"Connection: close" in got
    assert got.count(b"HTTP/1.1 200") == 1


@given(data=st.binary(max_size=200), cut=st.integers(0, 300))
def test_no_bytes_make_a_5xx_or_end_the_server(data, cut):
    whole = request_of(data)
    for sent in (data, whole, whole[:cut] + data + whole[cut:]):
        with socket.create_connection(("127.0.0.1", SHARED.server.port), timeout=60) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            got = b""
            try:
                while part := sock.recv(65536):
                    got += part
            except ConnectionError:
                pass
        assert b"HTTP/1.1 5" not in got
    assert asked(SHARED.server, b"{}")[0] == 200


class Shared:
    """One server for all examples of Hypothesis."""

    server: Server


SHARED = Shared()


@pytest.fixture(scope="module", autouse=True)
def _shared():
    with Engine() as engine, engine.serve() as server:
        SHARED.server = server
        yield


# Signatures.


@pytest.fixture
def strict(engine):
    with engine.serve(verify=True, keys={"AKID": "secret/+"}) as running:
        yield running


def test_signatures_of_boto3_and_of_the_library_are_right(strict, engine):
    client(strict, key="AKID", secret="secret/+").create_table(**table("payments", "id"))
    client(strict, "dynamodbstreams", key="AKID", secret="secret/+").list_streams()
    with DB(
        Presets.local_development(endpoint=strict.endpoint, credentials=Credentials("AKID", "secret/+", "token"))
    ) as db:
        db.create(Payment(id="p"))
        assert db.exists(Payment, "p")


def test_kms_and_sts_answer_at_the_same_endpoint_and_are_signed_for_themselves(strict):
    kms = client(strict, "kms", key="AKID", secret="secret/+")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    sealed = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"of": "a"})["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"of": "a"})["Plaintext"] == b"x"
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"of": "b"})
    sts = client(strict, "sts", key="AKID", secret="secret/+")
    assert sts.get_caller_identity()["Account"] == "000000000000"
    with pytest.raises(ClientError, match="UnrecognizedClient"):
        client(strict, "sts", key="other", secret="secret/+").get_caller_identity()


@pytest.mark.parametrize(
    ("key", "secret", "name"),
    [("AKID", "other", "InvalidSignatureException"), ("other", "secret/+", "UnrecognizedClientException")],
)
def test_other_keys_are_refused(strict, key, secret, name):
    with pytest.raises(ClientError) as refused:
        client(strict, key=key, secret=secret).list_tables()
    assert refused.value.response["Error"]["Code"] == name
    assert secret not in str(refused.value)


def test_another_region_is_refused(strict):
    other = boto3.client(
        "dynamodb",
        endpoint_url=strict.endpoint,
        region_name="eu-west-1",
        aws_access_key_id="AKID",
        aws_secret_access_key="secret/+",
    )
    with pytest.raises(ClientError, match="InvalidSignature"):
        other.list_tables()


def signed(server, body, spoil=lambda data: data, at=None):
    """The answer to a request that the library's own signer has made, spoiled afterwards."""
    from dynamorm.wire.sigv4 import Signer

    signer = Signer("us-east-1", f"127.0.0.1:{server.port}")
    data = signer.request("ListTables", body, Credentials("AKID", "secret/+"), time.time() if at is None else at)
    got = raw(server, spoil(data))
    return int(got[9:12]), json.loads(got.partition(b"\r\n\r\n")[2])


def test_what_was_changed_after_it_was_signed_is_refused(strict):
    assert signed(strict, b"{}")[0] == 200
    for spoil in (
        lambda data: data.replace(b"{}", b"[]"),
        lambda data: data.replace(b"ListTables", b"ListStream"),
        lambda data: data.replace(b"POST / ", b"POST /?x=y "),
        lambda data: data.replace(b"Host: 127", b"Host: 128"),
        lambda data: data.replace(b"X-Amz-Date", b"X-Amz-Other: x\r\nX-Amz-Date"),
    ):
        status, body = signed(strict, b"{}", spoil)
        assert (status, body["__type"].rpartition("#")[2]) in (
            (400, "InvalidSignatureException"),
            (400, "SerializationException"),
        )


def test_a_clock_that_differs_by_more_than_15_minutes_is_refused(strict):
    for seconds in (-1000, 1000):
        status, body = signed(strict, b"{}", at=time.time() + seconds)
        assert (status, body["__type"].rpartition("#")[2]) == (400, "InvalidSignatureException")
    assert signed(strict, b"{}", at=time.time() - 600)[0] == 200


def test_the_library_says_that_its_key_is_not_known(strict):
    with (
        DB(Presets.local_development(endpoint=strict.endpoint, max_attempts=2)) as db,
        pytest.raises(CredentialsError),
    ):
        db.get(Payment, "p")


def test_a_signature_that_is_not_ascii_is_refused_like_any_other_wrong_one(strict):
    def spoil(data):
        return re.sub(rb"Signature=[0-9a-f]{64}", b"Signature=" + "é".encode() * 32, data)

    status, body = signed(strict, b"{}", spoil)
    assert (status, body["__type"].rpartition("#")[2]) == (400, "InvalidSignatureException")


def test_where_the_engine_fails_is_a_500_and_logged_without_values(engine, server, monkeypatch, caplog):
    def broken(*_, **__):
        raise TypeError("the secret value")

    monkeypatch.setattr(engine, "handle", broken)
    assert error(asked(server, b"{}")) == (500, "InternalServerError")
    got = raw(server, request_of() + request_of())
    assert re.findall(rb"HTTP/1\.1 (\d+)", got) == [b"500", b"500"]  # and the connection lives
    assert len(caplog.records) == 3
    assert "TypeError" in caplog.text
    assert "ListTables" in caplog.text
    assert "test_http.py" in caplog.text
    assert "secret" not in caplog.text + got.decode()


ROLE = {"RoleArn": "arn:aws:iam::123456789012:role/reader", "RoleSessionName": "me@example"}


def test_credentials_that_the_engine_gave_out_are_known_where_signatures_are_checked(strict):
    given = client(strict, "sts", key="AKID", secret="secret/+").assume_role(**ROLE)["Credentials"]

    def of_session(service, secret=given["SecretAccessKey"], token=given["SessionToken"]):
        return client(strict, service, key=given["AccessKeyId"], secret=secret, token=token)

    assert of_session("dynamodb").list_tables()["TableNames"] == []
    assert of_session("kms").list_keys()["Keys"] == []
    assert of_session("sts").get_caller_identity()["Arn"].endswith("assumed-role/reader/me@example")
    for wrong, name in (
        ({"secret": "other"}, "InvalidSignatureException"),
        ({"token": "other"}, "UnrecognizedClientException"),
        ({"token": None}, "UnrecognizedClientException"),
    ):
        with pytest.raises(ClientError) as refused:
            of_session("dynamodb", **wrong).list_tables()
        assert refused.value.response["Error"]["Code"] == name


def test_credentials_of_a_session_end_with_it(strict):
    with freeze_time(datetime.now(UTC)) as clock:
        sts = client(strict, "sts", key="AKID", secret="secret/+")
        given = sts.assume_role(DurationSeconds=900, **ROLE)["Credentials"]
        db = client(strict, key=given["AccessKeyId"], secret=given["SecretAccessKey"], token=given["SessionToken"])
        clock.tick(890)
        assert db.list_tables()["TableNames"] == []
        clock.tick(20)
        with pytest.raises(ClientError, match="UnrecognizedClient"):
            db.list_tables()


@pytest.mark.parametrize("settings", [{"verify": True}, {"verify": True, "keys": {}}, {"keys": {"a": "b"}}])
def test_keys_go_with_verify(engine, settings):
    with pytest.raises(ConfigError, match="keys"):
        engine.serve(**settings)


# Several requests at once, faults, the end.


def test_many_clients_at_once(server):
    db = client(server)
    db.create_table(**table("things", "id"))

    def work():
        own = client(server)
        for _ in range(50):
            own.update_item(
                TableName="things",
                Key={"id": {"S": "x"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert db.get_item(TableName="things", Key={"id": {"S": "x"}})["Item"]["n"]["N"] == "400"


def test_a_request_that_is_delayed_holds_up_no_other(engine, server):
    fault = engine.faults.delay(100, op="DescribeTable")
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as slow:
        slow.sendall(request_of(b'{"TableName": "none"}').replace(b"ListTables", b"DescribeTable"))
        end = time.monotonic() + 60
        while not fault.count:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert asked(server, b"{}")[0] == 200
        slow.setblocking(False)
        with pytest.raises(BlockingIOError):  # it is not answered yet
            slow.recv(1)


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("ExecuteStatement", {"Statement": "SELECT * FROM \"things\" WHERE id = 'x'"}),
        ("BatchExecuteStatement", {"Statements": [{"Statement": "INSERT INTO things VALUE {'id': 'x'}"}]}),
        ("ExecuteTransaction", {"TransactStatements": [{"Statement": "DELETE FROM things WHERE id = 'x'"}]}),
    ],
)
def test_a_fault_of_a_table_is_met_by_statements_of_it(engine, server, operation, request_):
    client(server).create_table(**table("things", "id"))
    body, target = json.dumps(request_).encode(), f"DynamoDB_20120810.{operation}"
    with engine.faults.throttle(table="others") as fault:
        assert asked(server, body, target=target)[0] == 200
    assert fault.count == 0
    with engine.faults.throttle(table="things") as fault:
        assert error(asked(server, body, target=target)) == (400, "ThrottlingException")
        assert error(asked(server, b'{"Statement": "x", "Statements": [1, {}]}', target=target))[0] == 400  # names none
    assert fault.count == 1


def test_a_member_that_comes_twice_is_refused_by_kms_too(server):
    target = "TrentService.ListKeys"
    assert asked(server, b'{"Limit": 1}', target=target)[0] == 200
    assert error(asked(server, b'{"Limit": 1, "Limit": 2}', target=target)) == (400, "SerializationException")


def test_faults_are_met_over_http(engine, server):
    db = client(server)
    db.create_table(**table("things", "id"))
    with engine.faults.throttle(op="PutItem", times=1), pytest.raises(db.exceptions.ThrottlingException):
        db.put_item(TableName="things", Item={"id": {"S": "x"}})
    with engine.faults.lose_reply(op="PutItem", table="things", times=1) as fault, pytest.raises(ConnectionClosedError):
        db.put_item(TableName="things", Item={"id": {"S": "y"}})
    assert fault.count == 1
    assert [item["id"]["S"] for item in db.scan(TableName="things")["Items"]] == ["y"]
    with engine.faults.unprocessed(1.0, times=1):
        left = db.batch_write_item(RequestItems={"things": [{"PutRequest": {"Item": {"id": {"S": "z"}}}}]})
    assert len(left["UnprocessedItems"]["things"]) == 1
    assert db.scan(TableName="things", Select="COUNT")["Count"] == 1


def test_a_server_ends_and_gives_its_port_back(engine):
    server = engine.serve()
    with socket.create_connection(("127.0.0.1", server.port)):
        server.stop()
        server.stop()
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port))
    with engine.serve(server.port) as again:
        assert again.port == server.port
    assert engine.handle("ListTables", b"{}")[0] == 200


def test_an_engine_keeps_nothing_of_a_server_that_has_stopped(engine):
    server = engine.serve()
    server.stop()
    kept = weakref.ref(server)
    del server
    gc.collect()
    assert kept() is None


def test_an_engine_that_is_closed_ends_its_servers():
    engine = Engine()
    server = engine.serve()
    engine.close()
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", server.port))
    with pytest.raises(ConfigError, match="closed"):
        engine.serve()


def test_a_port_in_use_is_one_clear_error(engine, server):
    with pytest.raises(ConfigError, match=f"port {server.port} of 127.0.0.1 is in use: stop what listens there"):
        engine.serve(server.port)


@pytest.mark.parametrize(
    "wrong", [{"port": -1}, {"port": 70_000}, {"port": True}, {"port": "x"}, {"host": "203.0.113.1"}, {"host": "a\0b"}]
)
def test_addresses_that_cannot_be_had(engine, wrong):
    with pytest.raises(ConfigError):
        engine.serve(**wrong)


def test_it_listens_on_this_machine_alone(server):
    assert server.endpoint == f"http://127.0.0.1:{server.port}"
    assert "127.0.0.1" in repr(server)


# The command.


def started(*arguments, environ=None):
    process = subprocess.Popen(
        [sys.executable, "-m", "dynamorm.engine", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    line = process.stdout.readline()
    assert line.startswith("DynamoDB at http://127.0.0.1:"), process.communicate()
    return process, line.split()[2].rstrip(",")


def test_the_command_keeps_a_file(tmp_path):
    path = tmp_path / "dev.db"
    for number in range(2):
        process, endpoint = started("--port", "0", "--file", str(path))
        try:
            with DB(Presets.local_development(endpoint=endpoint)) as db:
                db.tables.ensure(Payment)
                assert db.get(Payment, "p0") is None or number
                db.create(Payment(id=f"p{number}"))
        finally:
            process.send_signal(signal.SIGTERM if number else signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0 if number else 130, "")
    with Engine(path) as engine, DB(Config(engine=engine)) as db:
        assert db.exists(Payment, "p0")
        assert db.exists(Payment, "p1")


def test_the_command_says_in_one_line_why_it_cannot_begin(server, tmp_path, capsys):
    other = tmp_path / "other.db"
    other.write_bytes(b"not a database at all, but some text that is long enough")
    for arguments, word in (
        (["--port", str(server.port)], "is in use"),
        (["--port", "0", "--file", str(other)], "other.db"),
        (["--port", "0", "--verify"], "AWS_ACCESS_KEY_ID"),
    ):
        assert main(arguments, {}) == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        assert word in said.err
    with pytest.raises(SystemExit) as usage:
        main(["--prot", "1"], {})
    assert usage.value.code == 2
