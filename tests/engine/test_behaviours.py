"""Behaviours of DynamoDB, each a row with its source: what is asked of the same filled tables, and what is answered.

``dg``: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PAGE.html, ``api``: .../APIReference/API_PAGE.html, ``PS``: Parity
Suite (observed on AWS), ``dx``: dynoxide's captures on AWS. Names of errors are promised, sentences are not.
"""

import pytest

from dynamorm.engine import Engine

from .conftest import Asked, Failed, index, table

ITEM = {
    "pk": {"S": "a"}, "sk": {"N": "1"}, "g": {"S": "x"}, "n": {"N": "10"}, "s": {"S": "text"}, "b": {"B": "AAEC"}, "t": {"BOOL": True},
    "z": {"NULL": True}, "ss": {"SS": ["a", "b"]}, "ns": {"NS": ["1", "2"]}, "l": {"L": [{"N": "1"}, {"S": "two"}, {"L": [{"N": "3"}]}]},
    "m": {"M": {"a": {"N": "1"}, "b": {"M": {"c": {"S": "deep"}}}}}, "more": {"S": "kept"},
}  # fmt: skip
KEY = {"pk": {"S": "a"}, "sk": {"N": "1"}}


@pytest.fixture(scope="module")
def filled():
    with Engine() as engine:
        ask = Asked(engine)
        ask.CreateTable(
            **table(
                "items", "pk", "sk", types={"sk": "N", "g": "S", "n": "N", "s": "S"},
                on_global=[index("all", "g", "n"), index("keys", "g", projection="KEYS_ONLY")],
                on_local=[index("local", "pk", "s", projection="INCLUDE", kept=["more"])],
            )
        )  # fmt: skip
        ask.CreateTable(**table("plain", "id"))
        ask.PutItem(TableName="items", Item=ITEM)
        for number in range(2, 7):
            more = {
                "pk": {"S": "a"},
                "sk": {"N": str(number)},
                "g": {"S": "y"},
                "n": {"N": str(-number)},
                "s": {"S": f"s{number}"},
            }
            ask.PutItem(TableName="items", Item=more)
        ask.PutItem(TableName="items", Item={"pk": {"S": "b"}, "sk": {"N": "-1.5"}})
        ask.PutItem(TableName="plain", Item={"id": {"S": "one"}, "v": {"N": "1"}})
        yield ask, engine.snapshot()


@pytest.fixture
def ask(filled):
    asked, start = filled
    asked.engine.restore(start)
    return asked


V = "ValidationException"
C = "ConditionalCheckFailedException"
OPERATORS = "dg:Expressions.OperatorsAndFunctions"

CONDITIONS = [
    (OPERATORS, "attribute_exists(s)", {}, True),
    (OPERATORS, "attribute_exists(m.b.c)", {}, True),
    (OPERATORS, "attribute_exists(l[3])", {}, False),
    (OPERATORS, "attribute_not_exists(q)", {}, True),
    (OPERATORS, "attribute_type(l, :v)", {"S": "L"}, True),
    (OPERATORS, "attribute_type(l, :v)", {"S": "XX"}, V),
    (OPERATORS, "attribute_type(l, :v)", {"N": "1"}, V),
    (OPERATORS, "begins_with(s, :v)", {"S": "te"}, True),
    (OPERATORS, "begins_with(b, :v)", {"B": "AAE="}, True),
    (OPERATORS, "begins_with(n, :v)", {"S": "1"}, False),
    (OPERATORS, "begins_with(s, :v)", {"N": "1"}, V),
    (OPERATORS, "contains(s, :v)", {"S": "ex"}, True),
    (OPERATORS, "contains(ss, :v)", {"S": "a"}, True),
    (OPERATORS, "contains(ns, :v)", {"N": "1.0"}, True),
    (OPERATORS, "contains(l, :v)", {"S": "two"}, True),
    (OPERATORS, "contains(l, :v)", {"L": [{"N": "3.0"}]}, True),
    (OPERATORS, "contains(b, :v)", {"B": "AQ=="}, True),
    (OPERATORS, "contains(m, :v)", {"S": "a"}, False),
    (OPERATORS, "size(s) = :v", {"N": "4"}, True),
    (OPERATORS, "size(b) = :v", {"N": "3"}, True),
    (OPERATORS, "size(l) = :v", {"N": "3"}, True),
    (OPERATORS, "size(m) >= :v", {"N": "2"}, True),
    (OPERATORS, "size(n) >= :v", {"N": "0"}, False),
    (OPERATORS, "size(q) >= :v", {"N": "0"}, False),
    (OPERATORS, "n = :v", {"N": "1E1"}, True),
    (OPERATORS, "n = :v", {"S": "10"}, False),
    (OPERATORS, "n <> :v", {"S": "10"}, True),
    (OPERATORS, "q <> :v", {"S": "10"}, True),
    (OPERATORS, "q = :v", {"S": "10"}, False),
    (OPERATORS, "ss = :v", {"SS": ["b", "a"]}, True),
    (OPERATORS, "n < :v", {"N": "10.00000000000000000000000000000000000001"}, V),
    (OPERATORS, "n < :v", {"N": "10.000000000000000000000000000000000001"}, True),
    (OPERATORS, "s > :v", {"S": "Text"}, True),
    (OPERATORS, "s > :v", {"N": "1"}, False),
    (OPERATORS, "s > :v", {"BOOL": True}, V),
    (OPERATORS, "n BETWEEN :v AND sk", {"N": "-1"}, False),
    (OPERATORS, "sk BETWEEN :v AND n", {"N": "1"}, True),
    (OPERATORS, "s IN (:v, more)", {"S": "text"}, True),
    (OPERATORS, "NOT s = :v AND t = t2 OR s = :v", {"S": "text"}, True),
    (OPERATORS, "s = :v OR s = :v AND attribute_exists(q)", {"S": "text"}, True),
    (OPERATORS, "(s = :v OR s = :v) AND attribute_exists(q)", {"S": "text"}, False),
    (OPERATORS, "s = :v or not attribute_exists(q) and s = :v", {"S": "no"}, False),
    ("PS conditionExpressionParens", "(s = :v) AND ((attribute_exists(s)))", {"S": "text"}, V),
    ("PS conditionExpressionParens", "(s = :v AND (attribute_exists(s)))", {"S": "text"}, True),
    ("dg:Expressions.Attributes", "m.b.c = :v", {"S": "deep"}, True),
    ("dg:Expressions.Attributes", "l[2][0] = :v", {"N": "3"}, True),
    ("dg:ReservedWords", "name = :v", {"S": "x"}, V),
    ("dg:ReservedWords", "m.Size = :v", {"S": "x"}, V),
    ("dg:Expressions.ExpressionAttributeNames", "#a = :v", {"S": "x"}, V),
    ("dg:Constraints", "s = :v " + "OR s = :v " * 300, {"S": "x"}, V),
    ("dg:Constraints", "s IN (" + ", ".join([":v"] * 101) + ")", {"S": "x"}, V),
    ("dg:Constraints", "s = :v " + " " * 4096, {"S": "x"}, V),
    (OPERATORS, "s == :v", {"S": "x"}, V),
    (OPERATORS, "s = :v AND", {"S": "x"}, V),
    (OPERATORS, "(s = :v", {"S": "x"}, V),
    (OPERATORS, "s = :v)", {"S": "x"}, V),
    (OPERATORS, "exists(s) AND s = :v", {"S": "x"}, V),
    (OPERATORS, "size(s)", {"S": "x"}, V),
    (OPERATORS, "contains(s)", {"S": "x"}, V),
    (OPERATORS, ":v = s", {"S": "text"}, True),
    (OPERATORS, "s = s AND s = :v", {"S": "text"}, V),
    (OPERATORS, "n BETWEEN :v AND :v", {"SS": ["a"]}, V),
]


@pytest.mark.parametrize(("source", "text", "value", "expected"), CONDITIONS, ids=[one[1][:50] for one in CONDITIONS])
def test_conditions(ask, source, text, value, expected):
    values = {"ExpressionAttributeValues": {":v": value}} if value else {}
    request = {"TableName": "items", "Key": KEY, "ConditionExpression": text, **values}
    if expected is True:
        ask.DeleteItem(**request)
        assert "Item" not in ask.GetItem(TableName="items", Key=KEY)
    else:
        with pytest.raises(Failed) as error:
            ask.DeleteItem(**request)
        assert error.value.name == (expected or C)
        assert ask.GetItem(TableName="items", Key=KEY)["Item"] == ITEM


UPDATES_PAGE = "dg:Expressions.UpdateExpressions"
UPDATES = [
    (UPDATES_PAGE, "SET s = :v", {"S": "new"}, {"s": {"S": "new"}}),
    (UPDATES_PAGE, "SET n = n + :v", {"N": "0.5"}, {"n": {"N": "10.5"}}),
    (UPDATES_PAGE, "SET n = n - :v", {"N": "10"}, {"n": {"N": "0"}}),
    (UPDATES_PAGE, "SET n = :v - n", {"N": "1"}, {"n": {"N": "-9"}}),
    ("PS numberPrecision", "SET n = n + :v", {"N": "12345678901234567890123456789012345678"}, {"n": {"N": "12345678901234567890123456789012345688"}}),
    ("PS numberPrecision", "SET n = n + :v", {"N": "0.00000000000000000000000000000000000000001"}, V),
    (UPDATES_PAGE, "SET s = s + :v", {"N": "1"}, V),
    (UPDATES_PAGE, "SET q = q + :v", {"N": "1"}, V),
    (UPDATES_PAGE, "SET q = if_not_exists(q, :v) + :v", {"N": "1"}, {"q": {"N": "2"}}),
    (UPDATES_PAGE, "SET n = if_not_exists(n, :v)", {"N": "1"}, {}),
    (UPDATES_PAGE, "SET l = list_append(l, :v)", {"L": [{"S": "z"}]}, {"l": {"L": [*ITEM["l"]["L"], {"S": "z"}]}}),
    (UPDATES_PAGE, "SET l = list_append(:v, l)", {"L": [{"S": "z"}]}, {"l": {"L": [{"S": "z"}, *ITEM["l"]["L"]]}}),
    (UPDATES_PAGE, "SET s = list_append(s, :v)", {"L": [{"S": "z"}]}, V),
    (UPDATES_PAGE, "SET l = list_append(list_append(l, :v), :v)", {"L": [{"S": "z"}]}, V),
    (UPDATES_PAGE, "SET l[0] = :v", {"S": "z"}, {"l": {"L": [{"S": "z"}, *ITEM["l"]["L"][1:]]}}),
    (UPDATES_PAGE, "SET l[9] = :v, l[7] = s", {"S": "z"}, {"l": {"L": [*ITEM["l"]["L"], {"S": "text"}, {"S": "z"}]}}),
    (UPDATES_PAGE, "SET m.b.d = :v", {"S": "z"}, {"m": {"M": {"a": {"N": "1"}, "b": {"M": {"c": {"S": "deep"}, "d": {"S": "z"}}}}}}),
    (UPDATES_PAGE, "SET q.a = :v", {"S": "z"}, V),
    (UPDATES_PAGE, "SET s.a = :v", {"S": "z"}, V),
    (UPDATES_PAGE, "SET s = :v, s = :v", {"S": "z"}, V),
    (UPDATES_PAGE, "SET m = :v, m.a = :v", {"S": "z"}, V),
    (UPDATES_PAGE, "SET m.a = :v, m[0] = :v", {"S": "z"}, V),
    (UPDATES_PAGE, "SET s = :v SET n = :v", {"S": "z"}, V),
    (UPDATES_PAGE, "SET s = more, more = s REMOVE z", {}, {"s": {"S": "kept"}, "more": {"S": "text"}, "z": None}),
    (UPDATES_PAGE, "REMOVE l[0], l[1]", {}, {"l": {"L": [ITEM["l"]["L"][2]]}}),
    (UPDATES_PAGE, "REMOVE l[7]", {}, {}),
    (UPDATES_PAGE, "REMOVE m.a, q", {}, {"m": {"M": {"b": ITEM["m"]["M"]["b"]}}}),
    (UPDATES_PAGE, "REMOVE q.a", {}, V),
    (UPDATES_PAGE, "ADD n :v", {"N": "5"}, {"n": {"N": "15"}}),
    (UPDATES_PAGE, "ADD q :v", {"N": "5"}, {"q": {"N": "5"}}),
    (UPDATES_PAGE, "ADD s :v", {"N": "5"}, V),
    (UPDATES_PAGE, "ADD ss :v", {"SS": ["c", "a"]}, {"ss": {"SS": ["a", "b", "c"]}}),
    (UPDATES_PAGE, "ADD ss :v", {"NS": ["1"]}, V),
    (UPDATES_PAGE, "ADD ss :v", {"S": "c"}, V),
    (UPDATES_PAGE, "DELETE ss :v", {"SS": ["a"]}, {"ss": {"SS": ["b"]}}),
    (UPDATES_PAGE, "DELETE ss :v", {"SS": ["a", "b"]}, {"ss": None}),
    (UPDATES_PAGE, "DELETE n :v", {"N": "1"}, V),
    (UPDATES_PAGE, "set s = :v remove z", {"S": "z"}, {"s": {"S": "z"}, "z": None}),
    (UPDATES_PAGE, "SET pk = :v", {"S": "z"}, V),
    (UPDATES_PAGE, "SET s == :v", {"S": "z"}, V),
    (UPDATES_PAGE, "SET s = size(l)", {}, V),
    (UPDATES_PAGE, "SET s = nothing(l)", {}, V),
    (UPDATES_PAGE, "UPSERT s = :v", {"S": "z"}, V),
    ("dg:ReservedWords", "SET status = :v", {"S": "z"}, V),
    ("dg:GSI", "SET g = :v", {"N": "1"}, V),
    ("dg:GSI", "SET g = :v", {"S": ""}, V),
    ("PS limits/reservedWords", "SET s = :unknown", {}, V),
    ("PS expressionHygiene", "REMOVE s", {"S": "unused"}, V),
    ("api:UpdateItem", "", {}, V),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "text", "value", "expected"), UPDATES, ids=[f"{one[1][:40]} {one[2]}"[:70] for one in UPDATES]
)
def test_updates(ask, source, text, value, expected):
    values = {"ExpressionAttributeValues": {":v": value}} if value else {}
    request = {"TableName": "items", "Key": KEY, "UpdateExpression": text, "ReturnValues": "ALL_NEW", **values}
    if expected == V:
        with pytest.raises(Failed) as error:
            ask.UpdateItem(**request)
        assert error.value.name == V
        assert ask.GetItem(TableName="items", Key=KEY)["Item"] == ITEM
    else:
        wanted = {name: one for name, one in (ITEM | expected).items() if one is not None}
        assert ask.UpdateItem(**request)["Attributes"] == wanted
        assert ask.GetItem(TableName="items", Key=KEY)["Item"] == wanted


VALUES_PAGE = "api:AttributeValue"
PUTS = [
    (VALUES_PAGE, {}, V),
    (VALUES_PAGE, {"S": "a", "N": "1"}, V),
    (VALUES_PAGE, {"SS": []}, V),
    (VALUES_PAGE, {"SS": ["a", "a"]}, V),
    (VALUES_PAGE, {"NS": ["1", "1.0"]}, V),
    (VALUES_PAGE, {"NULL": False}, V),
    (VALUES_PAGE, {"N": ""}, V),
    (VALUES_PAGE, {"N": "1a"}, V),
    (VALUES_PAGE, {"N": "NaN"}, V),
    (VALUES_PAGE, {"N": "Infinity"}, V),
    (VALUES_PAGE, {"B": "no base64!"}, "SerializationException"),
    ("dg:HowItWorks.NamingRulesDataTypes", {"N": "1E126"}, V),
    ("dg:HowItWorks.NamingRulesDataTypes", {"N": "1E-131"}, V),
    ("dg:HowItWorks.NamingRulesDataTypes", {"N": "1" * 39}, V),
    ("dg:HowItWorks.NamingRulesDataTypes", {"N": "9." + "9" * 37 + "E125"}, {"N": "9" * 38 + "0" * 88}),
    ("dg:HowItWorks.NamingRulesDataTypes", {"N": "1" + "0" * 100}, {"N": "1" + "0" * 100}),
    ("dg:HowItWorks.NamingRulesDataTypes", {"N": "+005.00"}, {"N": "5"}),
    ("dg:HowItWorks.NamingRulesDataTypes", {"N": "-0"}, {"N": "0"}),
    ("dg:HowItWorks.NamingRulesDataTypes", {"N": "1e-5"}, {"N": "0.00001"}),
    ("dg:HowItWorks.NamingRulesDataTypes", {"S": ""}, {"S": ""}),
    ("dg:HowItWorks.NamingRulesDataTypes", {"M": {"": {"S": "a"}}}, V),
    ("dg:HowItWorks.NamingRulesDataTypes", {"SS": [""]}, {"SS": [""]}),
    ("dg:HowItWorks.NamingRulesDataTypes", {"L": []}, {"L": []}),
]


def nested(depth):
    value = {"S": "end"}
    for _ in range(depth):
        value = {"M": {"a": value}}
    return value


PUTS += [("dg:Constraints", nested(31), nested(31)), ("dg:Constraints", nested(32), V)]


@pytest.mark.parametrize(("source", "value", "expected"), PUTS, ids=[f"{one[1]}"[:60] for one in PUTS])
def test_values(ask, source, value, expected):
    request = {"TableName": "plain", "Item": {"id": {"S": "new"}, "v": value}}
    if isinstance(expected, str):
        with pytest.raises(Failed) as error:
            ask.PutItem(**request)
        assert error.value.name == expected
        assert "Item" not in ask.GetItem(TableName="plain", Key={"id": {"S": "new"}})
    else:
        ask.PutItem(**request)
        assert ask.GetItem(TableName="plain", Key={"id": {"S": "new"}})["Item"]["v"] == expected


KEYS = [
    ("api:PutItem", {"v": {"S": "x"}}),
    ("api:PutItem", {"id": {"N": "1"}}),
    ("dg:HowItWorks.NamingRulesDataTypes", {"id": {"S": ""}}),
    ("dg:Constraints", {"id": {"S": "x" * 2049}}),
    ("dg:Constraints", {"id": {"S": "x"}, "v": {"S": "x" * 409_597}}),
    ("dg:Constraints", {"id": {"S": "x"}, "n" * 65_536: {"S": ""}}),
]


@pytest.mark.parametrize(("source", "item"), KEYS, ids=range(len(KEYS)))
def test_items_that_are_none(ask, source, item):
    with pytest.raises(Failed) as error:
        ask.PutItem(TableName="plain", Item=item)
    assert error.value.name == V


def test_an_item_of_409600_bytes_is_the_largest(ask):
    ask.PutItem(TableName="plain", Item={"id": {"S": "x"}, "v": {"S": "x" * 409_596}})


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"pk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"S": "1"}},
        KEY | {"more": {"S": "x"}},
        {"pk": {"S": ""}, "sk": {"N": "1"}},
    ],
)
def test_keys_that_do_not_fit(ask, key):
    for operation in ("GetItem", "DeleteItem", "UpdateItem"):
        with pytest.raises(Failed) as error:
            getattr(ask, operation)(TableName="items", Key=key)
        assert error.value.name == V


QUERY = "dg:Query.KeyConditionExpressions"
QUERIES = [
    (QUERY, "pk = :p", {}, [1, 2, 3, 4, 5, 6]),
    (QUERY, "pk = :p AND sk = :a", {":a": {"N": "2"}}, [2]),
    (QUERY, "pk = :p AND sk < :a", {":a": {"N": "3"}}, [1, 2]),
    (QUERY, "pk = :p AND sk <= :a", {":a": {"N": "3"}}, [1, 2, 3]),
    (QUERY, "pk = :p AND sk > :a", {":a": {"N": "5"}}, [6]),
    (QUERY, "pk = :p AND sk >= :a", {":a": {"N": "5"}}, [5, 6]),
    (QUERY, "sk >= :a AND pk = :p", {":a": {"N": "5"}}, [5, 6]),
    (QUERY, "pk = :p AND sk BETWEEN :a AND :b", {":a": {"N": "2"}, ":b": {"N": "4"}}, [2, 3, 4]),
    (QUERY, "pk = :p AND sk BETWEEN :a AND :b", {":a": {"N": "4"}, ":b": {"N": "2"}}, V),
    ("PS keyConditionParens", "(pk = :p) AND (sk = :a)", {":a": {"N": "2"}}, [2]),
    ("PS keyConditionParens", "(pk = :p AND (sk = :a))", {":a": {"N": "2"}}, [2]),
    (QUERY, "sk = :a", {":a": {"N": "2"}}, V),
    (QUERY, "pk <> :p", {}, V),
    (QUERY, "pk < :p", {}, V),
    (QUERY, "pk = :p OR sk = :a", {":a": {"N": "2"}}, V),
    (QUERY, "NOT pk = :p", {}, V),
    (QUERY, "pk = :p AND sk <> :a", {":a": {"N": "2"}}, V),
    (QUERY, "pk = :p AND sk IN (:a)", {":a": {"N": "2"}}, V),
    (QUERY, "pk = :p AND s = :a", {":a": {"S": "2"}}, V),
    (QUERY, "pk = :p AND sk = :a AND sk = :a", {":a": {"N": "2"}}, V),
    (QUERY, "pk = :p AND sk = :a", {":a": {"S": "2"}}, V),
    (QUERY, "pk = :p AND begins_with(sk, :a)", {":a": {"N": "2"}}, V),
    (QUERY, "pk = :p AND size(sk) = :a", {":a": {"N": "2"}}, V),
    (QUERY, "pk = :p AND attribute_exists(sk)", {}, V),
    (QUERY, "pk = :p AND sk.a = :a", {":a": {"N": "2"}}, V),
    (QUERY, "pk = :p AND sk > :p2", {":a": {"N": "2"}}, V),
    ("PS query/validation", "", {}, V),
]


@pytest.mark.parametrize(("source", "text", "values", "expected"), QUERIES, ids=[one[1] for one in QUERIES])
def test_key_conditions(ask, source, text, values, expected):
    request = {
        "TableName": "items",
        "KeyConditionExpression": text,
        "ExpressionAttributeValues": {":p": {"S": "a"}} | values,
    }
    if expected == V:
        with pytest.raises(Failed) as error:
            ask.Query(**request)
        assert error.value.name == V
    else:
        found = ask.Query(**request)
        assert [int(one["sk"]["N"]) for one in found["Items"]] == expected
        assert [int(one["sk"]["N"]) for one in ask.Query(**request, ScanIndexForward=False)["Items"]] == expected[::-1]
        pages, start = [], {}
        while start is not None:
            page = ask.Query(**request, Limit=2, **start)
            pages += page["Items"]
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]} if "LastEvaluatedKey" in page else None
        assert pages == found["Items"]


OF_G = {"KeyConditionExpression": "g = :g", "ExpressionAttributeValues": {":g": {"S": "x"}}}
OF_PK = {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}
SELECTIONS = [
    ("dg:GSI", {"IndexName": "all", **OF_G}, [ITEM]),
    ("dg:GSI", {"IndexName": "keys", **OF_G}, [{name: ITEM[name] for name in ("pk", "sk", "g")}]),
    ("dg:GSI", {"IndexName": "keys", "Select": "ALL_ATTRIBUTES", **OF_G}, V),
    ("dg:GSI", {"IndexName": "keys", "ProjectionExpression": "s", **OF_G}, V),
    ("dg:GSI", {"IndexName": "keys", "ConsistentRead": True, **OF_G}, V),
    ("dg:GSI", {"IndexName": "none", **OF_G}, V),
    ("dg:LSI", {"IndexName": "local", "Limit": 1, "ScanIndexForward": False, **OF_PK}, [{name: ITEM[name] for name in ("pk", "sk", "s", "more")}]),
    ("dg:LSI", {"IndexName": "local", "Limit": 1, "ScanIndexForward": False, "Select": "ALL_ATTRIBUTES", **OF_PK}, [ITEM]),
    ("dg:LSI", {"IndexName": "local", "Limit": 1, "ScanIndexForward": False, "ProjectionExpression": "n", **OF_PK}, [{"n": ITEM["n"]}]),
    ("api:Query", {"Select": "ALL_PROJECTED_ATTRIBUTES", **OF_PK}, V),
    ("api:Query", {"Select": "SPECIFIC_ATTRIBUTES", **OF_PK}, V),
    ("api:Query", {"Select": "COUNT", "ProjectionExpression": "s", **OF_PK}, V),
    ("api:Query", {"Select": "EVERYTHING", **OF_PK}, V),
    ("api:Query", {"Limit": 0, **OF_PK}, V),
    ("api:Query", {"FilterExpression": "sk = :p", **OF_PK}, V),
    ("api:Query", {"FilterExpression": "s = :p", **OF_PK}, []),
    ("api:Query", {"ExclusiveStartKey": {"pk": {"S": "a"}}, **OF_PK}, V),
    ("api:Query", {"ExclusiveStartKey": {"pk": {"S": "b"}, "sk": {"N": "1"}}, **OF_PK}, V),
    ("api:Query", {"ExclusiveStartKey": {"pk": {"S": "a"}, "sk": {"N": "6"}}, **OF_PK}, []),
    ("api:Query", {"ProjectionExpression": "m.a, l[2], l[0]", "Limit": 1, **OF_PK}, [{"m": {"M": {"a": {"N": "1"}}}, "l": {"L": [ITEM["l"]["L"][0], ITEM["l"]["L"][2]]}}]),
    ("api:Query", {"ProjectionExpression": "m.a, m", **OF_PK}, V),
]  # fmt: skip


@pytest.mark.parametrize(("source", "request_", "expected"), SELECTIONS, ids=range(len(SELECTIONS)))
def test_what_queries_give(ask, source, request_, expected):
    if expected == V:
        with pytest.raises(Failed) as error:
            ask.Query(TableName="items", **request_)
        assert error.value.name == V
    else:
        assert ask.Query(TableName="items", **request_)["Items"] == expected


@pytest.mark.parametrize(
    "request_",
    [
        {"Segment": 0},
        {"TotalSegments": 2},
        {"Segment": 2, "TotalSegments": 2},
        {"Segment": -1, "TotalSegments": 2},
        {"Limit": 0},
        {"TotalSegments": 0, "Segment": 0},
    ],
)
def test_scans_that_are_none(ask, request_):  # api:Scan
    with pytest.raises(Failed) as error:
        ask.Scan(TableName="items", **request_)
    assert error.value.name == V


@pytest.mark.parametrize("total", [1, 2, 3, 7, 1000])
def test_segments_are_a_partition_of_the_table(ask, total):  # dg:Scan, parallel scan
    for number in range(100):
        ask.PutItem(TableName="plain", Item={"id": {"S": f"k{number}"}})
    found = [
        one["id"]["S"]
        for segment in range(total)
        for one in ask.Scan(TableName="plain", Segment=segment, TotalSegments=total)["Items"]
    ]
    assert len(found) == len(set(found)) == 101


def test_a_page_ends_at_1_mb_before_the_filter(ask):  # dg:Query.Pagination; Local counts what passes
    for number in range(5):
        ask.PutItem(TableName="items", Item={"pk": {"S": "big"}, "sk": {"N": str(number)}, "v": {"S": "x" * 300_000}})
    request = {
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "big"}, ":n": {"S": "no"}},
        "FilterExpression": "v = :n",
    }
    page = ask.Query(TableName="items", **request)
    assert (page["Count"], page["ScannedCount"], page["Items"]) == (0, 3, [])
    assert page["LastEvaluatedKey"] == {"pk": {"S": "big"}, "sk": {"N": "2"}}
    page = ask.Query(TableName="items", **request, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert page["ScannedCount"] == 2
    assert "LastEvaluatedKey" not in page


RETURNS = [
    ("api:UpdateItem", "NONE", None),
    ("api:UpdateItem", "ALL_OLD", ITEM),
    ("api:UpdateItem", "UPDATED_OLD", {"s": {"S": "text"}, "m": {"M": {"a": {"N": "1"}}}}),
    ("PS updateItem/basic", "UPDATED_NEW", {"s": {"S": "z"}, "m": {"M": {"a": {"N": "2"}}}}),
]


@pytest.mark.parametrize(("source", "returned", "expected"), RETURNS)
def test_what_updates_return(ask, source, returned, expected):
    found = ask.UpdateItem(TableName="items", Key=KEY, UpdateExpression="SET s = :v, m.a = m.a + :n, q = :v REMOVE q2".replace(", q = :v", ""), ExpressionAttributeValues={":v": {"S": "z"}, ":n": {"N": "1"}}, ReturnValues=returned)  # fmt: skip
    assert found.get("Attributes") == expected


def test_a_failed_condition_shows_the_item_when_asked(ask):  # api:PutItem
    request = {"TableName": "items", "Item": KEY, "ConditionExpression": "attribute_not_exists(pk)"}
    with pytest.raises(Failed) as error:
        ask.PutItem(**request)
    assert "Item" not in error.value.body
    with pytest.raises(Failed) as error:
        ask.PutItem(**request, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert error.value.body["Item"] == ITEM


@pytest.mark.parametrize("operation", ["PutItem", "DeleteItem"])
def test_puts_and_deletes_return_old_items_alone(ask, operation):  # api:PutItem
    what = {"Item": KEY} if operation == "PutItem" else {"Key": KEY}
    with pytest.raises(Failed) as error:
        getattr(ask, operation)(TableName="items", ReturnValues="ALL_NEW", **what)
    assert error.value.name == V


def test_a_table_that_is_not_there(ask):
    for operation, request in (("GetItem", {"Key": KEY}), ("Scan", {}), ("DescribeTable", {}), ("DeleteTable", {})):
        with pytest.raises(Failed) as error:
            getattr(ask, operation)(TableName="absent", **request)
        assert error.value.name == "ResourceNotFoundException"


LEGACY_PAGE = "dg:LegacyConditionalParameters"
EQ = {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}
LEGACY = [
    ("GetItem", {"Key": KEY, "AttributesToGet": ["s", "n"]}, {"Item": {"s": {"S": "text"}, "n": {"N": "10"}}}),
    ("GetItem", {"Key": KEY, "AttributesToGet": ["s", "s"]}, V),
    ("GetItem", {"Key": KEY, "AttributesToGet": ["s"], "ProjectionExpression": "s"}, V),
    ("PutItem", {"Item": KEY, "Expected": {"pk": {"Exists": False}}}, C),
    ("PutItem", {"Item": KEY, "Expected": {"s": {"Value": {"S": "text"}}}}, {}),
    ("PutItem", {"Item": KEY, "Expected": {"s": {"Value": {"S": "x"}}, "n": {"Value": {"N": "10"}}}}, C),
    ("PutItem", {"Item": KEY, "Expected": {"s": {"Value": {"S": "x"}}, "n": {"Value": {"N": "10"}}}, "ConditionalOperator": "OR"}, {}),
    ("PutItem", {"Item": KEY, "Expected": {"s": {"Exists": False, "Value": {"S": "x"}}}}, V),
    ("PutItem", {"Item": KEY, "Expected": {"s": {"ComparisonOperator": "BETWEEN", "AttributeValueList": [{"S": "x"}]}}}, V),
    ("PutItem", {"Item": KEY, "Expected": {"s": {"Exists": True}}}, V),
    ("DeleteItem", {"Key": KEY, "Expected": {"n": {"ComparisonOperator": "IN", "AttributeValueList": [{"N": "9"}, {"N": "10"}]}}}, {}),
    ("UpdateItem", {"Key": KEY, "AttributeUpdates": {"s": {"Action": "ADD"}}}, V),
    ("UpdateItem", {"Key": KEY, "AttributeUpdates": {"n": {"Action": "ADD", "Value": {"N": "1"}}, "s": {"Action": "DELETE"}, "q": {"Value": {"S": "z"}}}, "ReturnValues": "UPDATED_NEW"}, {"Attributes": {"n": {"N": "11"}, "q": {"S": "z"}}}),
    ("Query", {"KeyConditions": {"pk": EQ, "sk": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "5"}]}}, "AttributesToGet": ["sk"]}, {"Items": [{"sk": {"N": "6"}}], "Count": 1, "ScannedCount": 1}),
    ("Query", {"KeyConditions": {"pk": EQ}, "QueryFilter": {"s": {"ComparisonOperator": "CONTAINS", "AttributeValueList": [{"S": "ext"}]}}, "Select": "COUNT"}, {"Count": 1, "ScannedCount": 6}),
    ("Scan", {"ScanFilter": {"s": {"ComparisonOperator": "NULL"}}, "Select": "COUNT"}, {"Count": 1, "ScannedCount": 7}),
    ("Scan", {"ScanFilter": {"s": {"ComparisonOperator": "NULL"}}, "FilterExpression": "attribute_exists(s)"}, V),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "request_", "expected"), LEGACY, ids=range(len(LEGACY)))
def test_what_was_said_before_expressions(ask, operation, request_, expected):
    if isinstance(expected, str):
        with pytest.raises(Failed) as error:
            getattr(ask, operation)(TableName="items", **request_)
        assert error.value.name == expected
    else:
        assert getattr(ask, operation)(TableName="items", **request_) == expected
