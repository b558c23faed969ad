"""The engine's STS: forms come in, XML goes out. Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""

from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest

from dynamorm.engine import Engine
from dynamorm.testing import freeze_time

ROLE = "arn:aws:iam::123456789012:role/team/reader"


@pytest.fixture
def ask():
    with Engine() as engine:

        def asked(access_key=None, **form):
            form.setdefault("Version", "2011-06-15")
            status, body = engine.handle("", urlencode(form).encode(), access_key=access_key)
            root = ET.fromstring(body)
            found = {one.tag.rpartition("}")[2]: one.text for one in root.iter()}
            assert (status == 200) is ("Code" not in found)
            return found

        yield asked


def test_assume_role_gives_credentials_of_a_session(ask):
    with freeze_time("2026-01-01T00:00:00Z"):
        found = ask(
            Action="AssumeRole",
            RoleArn=ROLE,
            RoleSessionName="me@example",
            DurationSeconds="900",
            Policy='{"Statement": []}',
        )
    assert found["Expiration"] == "2026-01-01T00:15:00Z"
    assert found["Arn"] == "arn:aws:sts::123456789012:assumed-role/reader/me@example"
    assert found["AccessKeyId"].startswith("ASIA")
    assert len(found["AccessKeyId"]) == 20
    assert len(found["SecretAccessKey"]) == 40
    assert found["PackedPolicySize"] == "1"


def test_who_asks_is_told_who_he_is(ask):
    assert ask(Action="GetCallerIdentity")["Arn"] == "arn:aws:iam::000000000000:root"
    with freeze_time("2026-01-01T00:00:00Z") as clock:
        found = ask(Action="AssumeRole", RoleArn=ROLE, RoleSessionName="me")
        assert ask(found["AccessKeyId"], Action="GetCallerIdentity")["Arn"] == found["Arn"]
        clock.tick(3601)
        assert ask(found["AccessKeyId"], Action="GetCallerIdentity")["Account"] == "000000000000"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"RoleArn": "x"}, "ValidationError"),
        ({"RoleArn": "arn:aws:iam::123456789012:user/x"}, "ValidationError"),
        ({"RoleSessionName": "x"}, "ValidationError"),
        ({"RoleSessionName": "a b"}, "ValidationError"),
        ({"DurationSeconds": "899"}, "ValidationError"),
        ({"DurationSeconds": "43201"}, "ValidationError"),
        ({"DurationSeconds": "1e3"}, "ValidationError"),
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"Policy": "[]"}, "MalformedPolicyDocument"),
        ({"Policy": "{}"}, "MalformedPolicyDocument"),
        ({"Policy": " " * 2049}, "ValidationError"),
        ({"Action": "Nothing"}, "InvalidAction"),
        ({"Version": "1"}, "InvalidAction"),
    ],
)
def test_what_is_refused(ask, form, code):
    assert ask(**{"Action": "AssumeRole", "RoleArn": ROLE, "RoleSessionName": "me", **form})["Code"] == code


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"Action", b"&&", b"Action=<&Version=2011-06-15"])
def test_what_is_no_form_is_answered(body):
    with Engine() as engine:
        status, answer = engine.handle("", body)
    assert status == 400
    assert ET.fromstring(answer).tag.endswith("ErrorResponse")
