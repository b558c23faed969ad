"""Malformed requests of every kind end in the service's error: names, expressions, statements, keys, forms; and a disk that is full."""

import json
import os
import subprocess
import sys
import textwrap
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.engine import Engine
from dynamorm.engine.kms import TARGET
from dynamorm.engine.kms.service import OPERATIONS as KMS
from dynamorm.engine.shapes.requests import DEEPEST, _is_too_deep

from .conftest import Asked, index, table
from .test_requests import SHAPES, strategy


@pytest.fixture(scope="module")
def filled():
    with Engine() as engine:
        ask = Asked(engine)
        made = table("items", "id", "n", types={"n": "N", "g": "S"}, on_global=[index("by-g", "g")])
        ask.CreateTable(**made, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
        for number in range(3):
            ask.PutItem(TableName="items", Item={"id": {"S": "a"}, "n": {"N": str(number)}, "l": {"L": [{"N": "1"}]}})
        yield engine


def answered(engine, operation, request):
    status, body = engine.handle(operation, json.dumps(request).encode())
    found = json.loads(body)
    assert status == 200 if "__type" not in found else status in (400, 412), (operation, request, status, found)
    return status


@pytest.mark.parametrize("operation", sorted(SHAPES["operations"]))
def test_every_operation_that_the_service_has_is_answered(filled, operation):
    start = filled.snapshot()

    @settings(max_examples=25)
    @given(strategy(SHAPES["operations"][operation]))
    def ask(request):
        answered(filled, operation, request)

    ask()
    filled.restore(start)


WORDS = (
    "SELECT", "*", "FROM", "items", '"items"', '"by-g"', ".", "WHERE", "id", "n", "l[0]", "m.a", "=", "<>", "<", ">=", "'a'", "1", "-", "+", "?",
    "AND", "OR", "NOT", "(", ")", "[", "]", "{", "}", "<<", ">>", "'k'", ":", ",", "IN", "BETWEEN", "IS", "MISSING", "NULL", "TRUE", "ORDER", "BY",
    "DESC", "INSERT", "INTO", "VALUE", "UPDATE", "SET", "REMOVE", "DELETE", "RETURNING", "ALL", "OLD", "NEW", "MODIFIED", "EXISTS", "size",
    "contains", "begins_with", "attribute_type", "list_append", "set_add", "set_delete", "if_not_exists", ";", "--", "/*", "'", '"', "\0", "é", "1e9",
)  # fmt: skip
BEGINNINGS = (
    "",
    "SELECT * FROM items WHERE",
    "SELECT n FROM items WHERE id = 'a' AND",
    "INSERT INTO items VALUE {'id': 'a', 'n': 7,",
    "UPDATE items SET v =",
    "DELETE FROM items WHERE id = 'a' AND n = 1 AND",
    "EXISTS(SELECT * FROM items WHERE id = 'a' AND n = 1 AND",
)
ENDS = ("", " WHERE id = 'a' AND n = 1", " WHERE id = 'a' AND n = 1 RETURNING ALL NEW *", "}", ")")
STATEMENTS = st.builds(
    lambda begin, words, end: f"{begin} {' '.join(words)}{end}",
    st.sampled_from(BEGINNINGS),
    st.lists(st.sampled_from(WORDS), max_size=14),
    st.sampled_from(ENDS),
)
PARAMETERS = st.one_of(
    st.none(), st.lists(st.sampled_from([{"S": "a"}, {"N": "1"}, {"L": []}, {}, {"SS": []}]), min_size=1, max_size=3)
)


@settings(max_examples=1500)
@given(
    STATEMENTS,
    PARAMETERS,
    st.sampled_from([None, "", "x", "AAAA", "WyJhIiwwLG51bGxd", "e30="]),
    st.sampled_from(["one", "batch", "transaction"]),
)
def test_any_words_are_a_statement_or_a_validation_exception(filled, text, parameters, token, kind):
    start = filled.snapshot()
    statement = {"Statement": text} | ({"Parameters": parameters} if parameters else {})
    if kind == "one":
        answered(filled, "ExecuteStatement", statement | ({} if token is None else {"NextToken": token}))
    elif kind == "batch":
        answered(filled, "BatchExecuteStatement", {"Statements": [statement, {"Statement": "SELECT * FROM items"}]})
    else:
        answered(filled, "ExecuteTransaction", {"TransactStatements": [statement]})
    filled.restore(start)


@pytest.mark.parametrize("depth", [50, 900, 2500])
@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM items WHERE {open}n = 1{close}",
        "SELECT * FROM items WHERE {no}n = 1",
        "INSERT INTO items VALUE {{'id': 'a', 'n': 9, 'v': {lists}1{ends}}}",
        "UPDATE items SET v = {open}n{close} WHERE id = 'a' AND n = 1",
        "UPDATE items SET v = n{plus} WHERE id = 'a' AND n = 1",
        "UPDATE items SET v = {appends}l{tails} WHERE id = 'a' AND n = 1",
        "SELECT {path} FROM items",
    ],
)
def test_no_depth_of_a_statement_is_a_depth_of_calls(filled, text, depth):
    parts = {
        "open": "(" * depth, "close": ")" * depth, "no": "NOT " * (depth // 2), "lists": "[" * depth, "ends": "]" * depth, "plus": "+1" * depth,
        "appends": "list_append(" * (depth // 8), "tails": ",[])" * (depth // 8), "path": "a" + ".a" * depth,
    }  # fmt: skip
    start = filled.snapshot()
    answered(filled, "ExecuteStatement", {"Statement": text.format(**parts)})
    filled.restore(start)


FORMS = st.builds(
    "&".join,
    st.lists(
        st.sampled_from(
            ["Action=AssumeRole", "Action=GetCallerIdentity", "Version=2011-06-15", "RoleArn=arn:aws:iam::123456789012:role/x", "RoleSessionName=ab",
             "Policy={", "Policy=%7B%7D", "DurationSeconds=1", "DurationSeconds=\u00b2", "=", "%", "a=%ff", "Action=<x>", "RoleArn=%00"]
        ),
        max_size=6,
    ),
)  # fmt: skip


@given(st.one_of(FORMS.map(str.encode), st.binary(max_size=60)))
def test_any_form_is_answered_with_xml(body):
    with Engine() as engine:
        status, answer = engine.handle("", body)
    assert status in (200, 400)
    assert ET.fromstring(answer).tag.rpartition("}")[2].endswith("Response")


def test_the_key_service_is_asked_by_the_same_table_of_shapes():
    assert {TARGET + one for one in KMS} == {one for one in SHAPES["operations"] if one.startswith(TARGET)}


FULL = """
import json, resource, signal, sys
from dynamorm.engine import Engine

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = sys.argv[1]
engine = Engine(path)

def ask(operation, **request):
    return engine.handle(operation, json.dumps(request).encode())

ask("CreateTable", TableName="items", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
resource.setrlimit(resource.RLIMIT_FSIZE, (2048 * 1024, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
acknowledged, refused = 0, 0
for number in range(2000):
    status, body = ask("PutItem", TableName="items", Item={"id": {"S": f"k{number}"}, "v": {"S": "x" * 900}})
    if status == 200:
        acknowledged += 1
        continue
    assert (status, json.loads(body)["__type"].rpartition("#")[2]) == (500, "InternalServerError"), (status, body)
    refused += 1
    if refused == 3:
        break
status, body = ask("Scan", TableName="items", Select="COUNT")
found = json.loads(body).get("Count", 0)
pages = json.loads(body)
while "LastEvaluatedKey" in pages:
    pages = json.loads(ask("Scan", TableName="items", Select="COUNT", ExclusiveStartKey=pages["LastEvaluatedKey"])[1])
    found += pages["Count"]
print(json.dumps([acknowledged, refused, found]), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
status, _ = ask("PutItem", TableName="items", Item={"id": {"S": "room again"}})
print(status, flush=True)
engine.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no limits of files")
def test_a_full_disk_is_an_error_that_applies_nothing_and_loses_nothing(tmp_path):
    path = tmp_path / "dev.db"
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL), str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=dict(os.environ),
    )
    assert child.returncode == 0, child.stderr
    counts, status = child.stdout.splitlines()
    acknowledged, refused, found = json.loads(counts)
    assert acknowledged > 50
    assert refused == 3
    assert found == acknowledged
    assert status == "200"
    with Engine(path) as engine:
        ask = Asked(engine)
        seen, start = 0, {}
        while start is not None:
            page = ask.Scan(TableName="items", Select="COUNT", **start)
            seen += page["Count"]
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if "LastEvaluatedKey" in page else None
        assert seen == acknowledged + 1


@pytest.mark.parametrize(
    ("opens", "closes", "levels"), [(b"[", b"]", 1), (b'{"a\\"[[":', b"}", 1), (b'[{"x":', b"}]", 2)]
)
def test_a_request_is_a_thousand_levels_deep_at_most_however_it_is_nested(opens, closes, levels):
    text = b'"[[[{"'  # signs inside of texts are none
    deep = DEEPEST // levels - 1
    assert not _is_too_deep(b"[" + opens * 3 + text + closes * 3 + b"," + opens * deep + text + closes * deep + b"]")
    assert not _is_too_deep(opens * (DEEPEST // levels) + text + closes * (DEEPEST // levels))
    assert _is_too_deep(opens * (DEEPEST // levels + 1) + text + closes * (DEEPEST // levels + 1))
    assert _is_too_deep(opens * (DEEPEST + 1))


@pytest.mark.parametrize(
    ("operation", "request_", "text"),
    [
        (
            "Query",
            {"TableName": "items", "KeyConditionExpression": "id = :v", "ExpressionAttributeValues": {":v": {"S": "a"}}, "Limit": 0},
            "1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "Scan",
            {"TableName": "items", "Limit": 0},
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "UpdateItem",
            {
                "TableName": "items", "Key": {"id": {"S": "a"}, "n": {"N": "0"}}, "UpdateExpression": "SET a = :v",
                "ExpressionAttributeValues": {":v": {"S": "x"}}, "AttributeUpdates": {"a": {"Value": {"S": "x"}, "Action": "PUT"}},
            },
            (
                "Can not use both expression and non-expression parameters in the same request: Non-expression parameters:"
                " {AttributeUpdates} Expression parameters: {UpdateExpression}"
            ),
        ),
    ],
)  # fmt: skip
def test_sentences_that_were_observed_on_aws(filled, operation, request_, text):
    """Parity Suite, tier 3: query and scan, Limit of 0; updateItem, mixing UpdateExpression with AttributeUpdates."""
    assert json.loads(filled.handle(operation, json.dumps(request_).encode())[1])["message"] == text


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("1e0000000000001", "10"),
        ("-1E+00001", "-10"),
        ("1e-000000000000002", "0.01"),
        ("0e999999999999", "0"),
        ("0" * 600 + "7e0", "7"),
    ],
)
def test_an_exponent_may_have_zeros_before_it(filled, text, stored):
    item = {"id": {"S": "zeros"}, "n": {"N": "1"}, "v": {"N": text}}
    assert answered(filled, "PutItem", {"TableName": "items", "Item": item}) == 200
    _, body = filled.handle(
        "GetItem", json.dumps({"TableName": "items", "Key": {"id": {"S": "zeros"}, "n": {"N": "1"}}}).encode()
    )
    assert json.loads(body)["Item"]["v"] == {"N": stored}


@pytest.mark.parametrize(
    "text", ["1e126", "1e999999999", "1e" + "9" * 400, "1e-131", "1e-999999999", "-1e-" + "9" * 400]
)
def test_an_exponent_that_no_number_has_is_refused(filled, text):
    assert answered(filled, "PutItem", {"TableName": "items", "Item": {"id": {"S": "a"}, "n": {"N": text}}}) == 400
