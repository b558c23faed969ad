"""``doctor``: what is allowed by the policy of a session, TLS with certificates that are wrong, and a table beside its models."""

from __future__ import annotations

import json
import ssl
import time
from email.utils import formatdate

import boto3
import pytest

from dynamorm import DB, Attr, Credentials, Model, Presets, attr, gsi, partition_key, sort_key
from dynamorm.engine import Engine
from dynamorm.testing import FaultServer, answers
from tests.support.certificates import Authority

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/bills"
READS = ["GetItem", "BatchGetItem", "Query", "Query by-state", "Scan"]
WRITES = ["PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem", "BatchWriteItem"]


class Bill(Model, table="bills"):
    tenant: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    state: Attr[str] = attr(default="new")
    by_state = gsi("by-state", partition="state", sort="number")


class Other(Model, table="bills"):
    id: Attr[str] = partition_key()


@pytest.fixture
def server():
    """An engine that checks signatures and policies, with a table of two items, one of which has the key of the doctor."""
    with Engine() as engine, engine.serve(verify=True, keys={"AKID": "secret"}) as served, DB(engine) as db:
        db.tables.ensure(Bill)
        db.create(Bill(tenant="dynamorm-doctor", number=0))
        db.create(Bill(tenant="t1", number=1))
        served.db = db
        yield served


@pytest.fixture
def doctor(server, run, monkeypatch):
    """Runs the doctor with the credentials of a session that has this policy. Returns the exit code and the findings."""
    monkeypatch.delenv("DYNAMORM_TABLE_PREFIX", raising=False)

    def doctor(*statements, options=("bills",)):
        sts = boto3.client(
            "sts",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id="AKID",
            aws_secret_access_key="secret",
        )
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        given = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/clerk", RoleSessionName="one", Policy=policy)[
            "Credentials"
        ]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])
        ran = run("doctor", *options, "--endpoint", server.endpoint, "--json")
        assert given["SecretAccessKey"] not in ran.out + ran.err
        assert given["SessionToken"] not in ran.out + ran.err
        return ran.code, [json.loads(line) for line in ran.lines]

    return doctor


def allow(*actions, resource=("*",), **more):
    return {"Effect": "Allow", "Action": [f"dynamodb:{one}" for one in actions], "Resource": list(resource), **more}


def by_step(found):
    return {row["step"]: row for row in found}


def test_who_may_do_everything_is_told_so_and_nothing_is_changed(doctor, server):
    before = server.db.model(Bill).allow_scan().all()
    code, found = doctor(allow("*"))
    assert (code, [row["step"] for row in found if not row["ok"]]) == (0, [])
    assert [row["step"] for row in found][-len(READS + WRITES):] == READS + WRITES  # fmt: skip
    assert server.db.model(Bill).allow_scan().all() == before


@pytest.mark.parametrize(
    "denied",
    [
        "GetItem",
        "Query",
        "PutItem",
        "UpdateItem",
        "DeleteItem",
        "BatchWriteItem",
        "ConditionCheckItem",
        "Scan",
        "BatchGetItem",
    ],
)
def test_each_action_that_is_denied_is_named_with_what_allows_it(doctor, denied):
    code, found = doctor(allow("*"), {"Effect": "Deny", "Action": f"dynamodb:{denied}", "Resource": "*"})
    steps = by_step(found)
    assert code == 1
    assert [row["step"] for row in found if not row["ok"]] == (
        [denied] if denied != "Query" else ["Query", "Query by-state"]
    )
    assert f"dynamodb:{denied} on {ARN}" in steps[denied]["text"]
    assert "explicit deny" in steps[denied]["text"]
    assert "policy" not in steps, "an Allow does not help beside a Deny"


def test_the_line_that_is_printed_allows_what_was_denied(doctor):
    """With the lines that it prints added to the policy, the doctor finds nothing to say."""
    policy = [allow("ListTables", "DescribeTable", "GetItem")]
    code, found = doctor(*policy)
    assert code == 1
    steps = by_step(found)
    assert steps["GetItem"]["ok"]
    assert "assumed-role/clerk/one" in steps["PutItem"]["text"]
    assert "no session policy allows" in steps["PutItem"]["text"]
    lines = [json.loads(row["text"].partition(": ")[2]) for row in found if row["step"] == "policy"]
    assert {line["Resource"] for line in lines} == {ARN, f"{ARN}/index/by-state"}
    code, found = doctor(*policy, *lines)
    assert (code, [row for row in found if not row["ok"]]) == (0, [])


def test_an_index_may_be_denied_alone(doctor):
    code, found = doctor(allow("*", resource=[ARN]), allow("ListTables"))
    assert code == 1
    assert [row["step"] for row in found if not row["ok"]] == ["Query by-state", "policy"]


def test_who_may_not_list_or_describe(doctor):
    code, found = doctor(allow("GetItem"))
    steps = by_step(found)
    assert code == 1
    assert steps["connection"]["ok"], "it was reached"
    assert "dynamodb:ListTables is denied" in steps["connection"]["text"]
    assert f"dynamodb:DescribeTable on {ARN} is denied" in steps["table"]["text"]
    assert json.loads(steps["policy"]["text"].partition(": ")[2])["Action"] == ["dynamodb:DescribeTable"]


def test_a_policy_that_allows_some_keys_alone(doctor):
    keys = {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["t1"]}}
    policy = [
        allow("ListTables", "DescribeTable"),
        allow("GetItem", "BatchGetItem", "PutItem", resource=[ARN], Condition=keys),
    ]
    _, found = doctor(*policy)
    assert not by_step(found)["GetItem"]["ok"]
    assert "--key" in by_step(found)["key"]["text"]
    _, found = doctor(*policy, options=("bills", "--key", "t1"))
    steps = by_step(found)
    assert [steps[name]["ok"] for name in ("GetItem", "PutItem", "DeleteItem")] == [True, True, False]


def test_credentials_that_are_wrong(doctor, run, server, monkeypatch):
    doctor(allow("*"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    ran = run("doctor", "bills", "--endpoint", server.endpoint)
    assert ran.code == 1
    assert "ok   connection         DynamoDB answers in plain http, and refuses the credentials" in ran.out
    assert "FAIL credentials        The request signature we calculated does not match" in ran.out
    assert "dynamorm doctor" not in ran.out
    assert "table" not in ran.out
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWNKEY123456")
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    ran = run("doctor", "bills", "--endpoint", server.endpoint)
    assert "FAIL credentials" in ran.out
    assert "AKIAUNKNOWN" not in ran.out


def test_no_credentials_at_all(run, monkeypatch):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "DYNAMODB_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    ran = run("doctor", "--region", "eu-central-1", "--endpoint", "https://127.0.0.1:1")
    assert ran.code == 4
    assert "FAIL credentials        no usable AWS credentials: none found" in ran.out


def test_a_table_beside_its_models(doctor, refused):
    here = "tests.cli.test_doctor"
    code, found = doctor(allow("*"), options=("bills", "--models", f"{here}:Bill"))
    assert (code, by_step(found)["models"]["text"][:23]) == (0, "the table fits Bill")
    code, found = doctor(allow("*"), options=("bills", "--models", f"{here}:Other"))
    assert code == 1
    assert "does not fit Other: its key is tenant, number" in by_step(found)["models"]["text"]
    assert by_step(found)["GetItem"]["ok"], "what else there is to say is said"
    code, found = doctor(allow("*"), options=("bills", "--models", "tests.cli.conftest"))
    assert (code, by_step(found)["models"]["ok"]) == (2, False)
    assert "has no model of bills: it has " in by_step(found)["models"]["text"]
    assert "--key is for a table" in refused(2, "doctor", "--key", "a")


# ------------------------------------------------------------------------------------------------------------------ TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secured(run, authority, monkeypatch):
    """Runs the doctor against a server over TLS with this context, trusting one authority. Returns the findings."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")

    def secured(context, late=0):
        def answer(_):
            return answers.json({"TableNames": []}, headers={"Date": formatdate(time.time() + late, usegmt=True)})

        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
        with FaultServer(answer, tls=context) as server:
            ran = run("doctor", "--endpoint", server.endpoint, "--json")
        return ran.code, by_step(map(json.loads, ran.lines))

    return secured


def test_tls_is_told_with_its_certificate(secured, authority):
    code, steps = secured(authority.context("127.0.0.1"))
    assert code == 0, steps
    assert steps["TLS"]["text"].startswith("TLSv1.3, TLS_")
    assert "the certificate for 127.0.0.1 is of test authority, and ends on 20" in steps["TLS"]["text"]
    assert "days: it must be renewed" in steps["TLS"]["text"], "in nine days"
    assert "over TLS, whose certificate was checked" in steps["connection"]["text"]
    assert steps["clock"]["text"] == "it is right within a minute"


@pytest.mark.parametrize(
    ("late", "told"), [(3600, "it is wrong by 3"), (-200, "it is wrong by -"), (90, "it is wrong by ")]
)
def test_a_clock_that_is_wrong(secured, authority, late, told):
    code, steps = secured(authority.context("127.0.0.1"), late=late)
    assert code == 1
    assert told in steps["clock"]["text"]
    assert "set it by NTP" in steps["clock"]["text"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda authority, _: authority.context("127.0.0.1", expired=True), "expired; renew it at the server, or set the clock"),
        (lambda authority, _: authority.context("127.0.0.1", early=True), "not yet valid; wait until it is valid, or set the clock"),
        (lambda authority, _: authority.context("127.0.0.1", self_signed=True), "name the file of its authority by ca_bundle"),
        (lambda authority, folder: Authority(folder, "stranger").context("127.0.0.1"), "name the file of its authority by ca_bundle"),
        (lambda authority, _: authority.context("other.example"), "write the name that the certificate has into --endpoint"),
    ],
)  # fmt: skip
def test_a_certificate_that_is_wrong_is_told_with_what_to_do(secured, authority, tmp_path, make, told):
    code, steps = secured(make(authority, tmp_path))
    assert code == 4
    assert (steps["TLS"]["ok"], steps["connection"]["ok"]) == (False, False)
    assert "the certificate of 127.0.0.1 is refused" in steps["TLS"]["text"]
    assert told in steps["TLS"]["text"]


def test_an_old_version_of_tls(secured, authority, monkeypatch):
    context = authority.context("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    monkeypatch.setenv("DYNAMORM_MIN_TLS_VERSION", "TLSv1.3")
    code, steps = secured(context)
    assert code == 4
    assert "does this port speak TLS, and TLSv1.3 at least?" in steps["TLS"]["text"]


def test_tls_at_a_port_of_plain_http(run, authority, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with FaultServer(lambda _: answers.json({"TableNames": []})) as server:
        ran = run("doctor", "--endpoint", server.endpoint.replace("http:", "https:"))
    assert ran.code == 4
    assert "FAIL TLS" in ran.out
    assert "http://" in ran.out


def test_presets_take_no_part(server):
    """What the doctor finds is found by a database of a program's own, too."""
    with DB(Presets.local_development(endpoint=server.endpoint, credentials=Credentials("AKID", "secret"))) as db:
        assert db.tables.names() == ["bills"]
