"""Every signature is compared with botocore's own signer, which is an independent implementation."""

import datetime as dt
import threading

import pytest
from botocore import auth as botocore_auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.config.settings import Credentials
from dynamorm.errors import ConfigError
from dynamorm.wire.sigv4 import Signer, Unsigned, signing_key

KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SIGNED_BY_BOTO = {"host", "content-type", "x-amz-target"}

visible = st.text("".join(map(chr, range(33, 127))), min_size=1, max_size=60)
key_ids = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=4, max_size=20)
credentials = st.builds(Credentials, key_ids, visible, st.none() | visible)
regions = st.sampled_from(["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "ap-southeast-3"])
hosts = st.sampled_from(["dynamodb.eu-west-1.amazonaws.com", "dynamodb.cn-north-1.amazonaws.com.cn", "localhost:8000"])
targets = st.sampled_from(["GetItem", "PutItem", "TransactWriteItems", "UpdateItem", "DescribeTable"])
moments = st.floats(min_value=0, max_value=4_000_000_000)


def split(data):
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    pairs = [line.split(": ", 1) for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs)
    return first, headers, body


def signed_by_botocore(headers, body, keys, region, *, now):
    """The Authorization header that botocore writes for the same request at the same time."""

    class Frozen(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime.fromtimestamp(int(now), tz or dt.UTC)

        @classmethod
        def utcnow(cls):
            return dt.datetime.fromtimestamp(int(now), dt.UTC).replace(tzinfo=None)

    request = AWSRequest("POST", f"https://{headers['host']}/", data=body)
    for name in SIGNED_BY_BOTO:
        request.headers[name] = headers[name]
    with pytest.MonkeyPatch.context() as patch:
        if hasattr(botocore_auth, "get_current_datetime"):
            patch.setattr(botocore_auth, "get_current_datetime", lambda *_, **__: Frozen.utcnow())
        else:
            patch.setattr(botocore_auth.datetime, "datetime", Frozen)
        signer = botocore_auth.SigV4Auth(BotocoreCredentials(keys.key_id, keys.secret, keys.token), "dynamodb", region)
        signer.add_auth(request)
    assert request.headers["X-Amz-Date"] == headers["x-amz-date"]
    return request.headers["Authorization"]


def check(data, body, keys, region, *, now):
    first, headers, sent = split(data)
    assert first == "POST / HTTP/1.1"
    assert sent == body
    assert headers["content-length"] == str(len(body))
    assert headers.get("x-amz-security-token") == keys.token
    assert headers["authorization"] == signed_by_botocore(headers, body, keys, region, now=now)


@given(regions, hosts, st.tuples(targets, st.binary(max_size=400)), credentials, moments)
def test_any_request_is_signed_as_botocore_signs_it(region, host, call, keys, now):
    target, body = call
    check(Signer(region, host).request(target, body, keys, now), body, keys, region, now=now)


@given(st.lists(st.tuples(targets, st.binary(max_size=50), st.integers(0, 2), moments), max_size=12))
def test_what_is_kept_between_requests_never_leaks_into_another_one(calls):
    signer = Signer("eu-west-1", "localhost:8000")
    keys = [KEY, Credentials("AKIDOTHER", "other", "token=="), Credentials("AKIDTHIRD", "third")]
    for target, body, which, now in calls:
        for moment in (now, now + 1):
            data = signer.request(target, body, keys[which], moment)
            check(data, body, keys[which], "eu-west-1", now=moment)


def test_the_second_before_and_the_second_after_midnight_use_their_own_days():
    signer = Signer("us-east-1", "h")
    midnight = 1_700_006_400.0
    assert midnight % 86_400 == 0
    for now in (midnight - 0.001, midnight, midnight - 1, midnight + 1):
        data = signer.request("GetItem", b"{}", KEY, now)
        check(data, b"{}", KEY, "us-east-1", now=now)
    assert b"/20231114/" in signer.request("GetItem", b"{}", KEY, midnight - 1)
    assert b"/20231115/" in signer.request("GetItem", b"{}", KEY, midnight)


def test_the_signing_key_of_awss_own_example():
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-examples.html
    key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"


def test_the_head_holds_what_dynamodb_needs_and_nothing_else():
    _, headers, _ = split(Signer("eu-west-1", "h:1").request("PutItem", b"{}", KEY, 0))
    assert headers.pop("authorization").startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/19700101/eu-west-1/dynamodb/"
    )
    assert headers == {
        "host": "h:1",
        "content-type": "application/x-amz-json-1.0",
        "content-length": "2",
        "x-amz-date": "19700101T000000Z",
        "x-amz-target": "DynamoDB_20120810.PutItem",
        "accept-encoding": "identity",
        "user-agent": "dynamorm-py",
    }


def test_an_unsigned_request_has_the_same_head_without_the_signature():
    signed = split(Signer("eu-west-1", "h:1").request("PutItem", b"{}", KEY, 0))[1]
    first, headers, body = split(Unsigned("h:1").request("PutItem", b"{}", KEY, 0))
    assert (first, body) == ("POST / HTTP/1.1", b"{}")
    assert signed.keys() - headers.keys() == {"authorization", "x-amz-date"}
    assert headers.items() <= signed.items()
    assert Unsigned("h:1").request("PutItem", b"{}") == Unsigned("h:1").request("PutItem", b"{}", KEY, 5)


def test_the_streams_api_has_its_own_target():
    signer = Signer("eu-west-1", "h", target_prefix="DynamoDBStreams_20120810")
    assert b"X-Amz-Target: DynamoDBStreams_20120810.GetRecords\r\n" in signer.request("GetRecords", b"", KEY, 0)
    assert b"X-Amz-Target: X.Y\r\n" in Unsigned("h", target_prefix="X").request("Y", b"")


@pytest.mark.parametrize("bad", ["", "a\r\nX: y", "a b", "é", "a\x00"])
def test_text_that_would_break_the_head_is_refused(bad):
    with pytest.raises(ConfigError):
        Signer(bad, "h")
    with pytest.raises(ConfigError):
        Signer("eu-west-1", bad)
    with pytest.raises(ConfigError):
        Unsigned(bad)
    with pytest.raises(ConfigError):
        Signer("eu-west-1", "h").request(bad, b"", KEY, 0)
    with pytest.raises(ConfigError):
        Unsigned("h").request(bad, b"")


def test_threads_that_share_a_signer_get_right_signatures():
    signer = Signer("eu-west-1", "h")
    keys = [KEY, Credentials("AKIDOTHER", "other", "token")]
    expected = {
        (which, now): Signer("eu-west-1", "h").request("GetItem", b"{}", keys[which], now)
        for which in (0, 1)
        for now in (86_399, 86_400)
    }
    wrong: list[float] = []

    def work(which):
        wrong.extend(
            now
            for now in (86_399, 86_400) * 300
            if signer.request("GetItem", b"{}", keys[which], now) != expected[which, now]
        )

    threads = [threading.Thread(target=work, args=(n % 2,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
