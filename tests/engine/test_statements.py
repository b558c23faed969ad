"""PartiQL on the engine: pages, orders, tokens, capacity. That statements are answered as DynamoDB Local answers them is in
test_statements_beside_local.py, what the guide says in the rows of test_guide.py.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.html
"""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.engine import Engine

from .conftest import Asked, Failed, index, table


@pytest.fixture(scope="module")
def filled():
    with Engine() as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "pk", "sk", types={"sk": "N", "g": "S"}, on_global=[index("by-g", "g", "sk")]))
        for key in "abc":
            for number in range(7):
                item = {
                    "pk": {"S": key},
                    "sk": {"N": str(number)},
                    "g": {"S": "xy"[number % 2]},
                    "v": {"N": str(number * 10)},
                }
                ask.PutItem(TableName="items", Item=item)
        yield ask


def run(ask, statement, **more):
    """All pages of a statement."""
    found, token = [], {}
    while token is not None:
        answer = ask.ExecuteStatement(Statement=statement, **more, **token)
        found += [(one["pk"]["S"], int(one["sk"]["N"])) for one in answer["Items"]]
        token = {"NextToken": answer["NextToken"]} if "NextToken" in answer else None
    return found


SOURCES = st.sampled_from(
    [
        "items",
        "items WHERE pk = 'a'",
        "items WHERE pk IN ['c', 'a', 'a', 'z']",
        "items WHERE pk = 'a' AND sk > 2",
        "items WHERE pk IN ['a', 'b'] AND sk BETWEEN 1 AND 4",
        "items WHERE v > 20",
        "items.\"by-g\" WHERE g = 'x'",
        "items.\"by-g\" WHERE g = 'x' AND sk < 4",
        "items.\"by-g\" WHERE g IN ['y', 'x'] AND v > 10",
    ]
)
ORDERS = st.sampled_from(["", " ORDER BY sk", " ORDER BY sk DESC"])


@settings(max_examples=80)
@given(source=SOURCES, order=ORDERS, limit=st.integers(1, 9))
def test_pages_of_any_size_make_the_same_whole(filled, source, order, limit):
    ordered = order if "IN [" not in source and ("pk =" in source or "g =" in source) else ""
    statement = f"SELECT pk, sk FROM {source}{ordered}"
    assert run(filled, statement, Limit=limit) == run(filled, statement)


@pytest.mark.parametrize(
    ("order", "keys"),
    [
        ("pk", [("a", 1), ("a", 2), ("c", 1), ("c", 2)]),
        ("pk DESC", [("c", 1), ("c", 2), ("a", 1), ("a", 2)]),
        ("pk ASC, sk DESC", [("a", 2), ("a", 1), ("c", 2), ("c", 1)]),
        ("pk DESC, sk DESC", [("c", 2), ("c", 1), ("a", 2), ("a", 1)]),
    ],
)
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_partitions_are_ordered_by_their_key(filled, order, keys, limit):
    statement = f"SELECT * FROM items WHERE pk IN ['c', 'a'] AND sk IN [1, 2] ORDER BY {order}"
    assert run(filled, statement, Limit=limit) == keys


@pytest.mark.parametrize(
    "order",
    ["sk", "v", "sk, sk", "sk ASC, v"],
    ids=["several partitions by the sort key alone", "no key", "twice", "more"],
)
def test_orders_that_keys_do_not_have_are_refused(filled, order):
    with pytest.raises(Failed) as error:
        filled.ExecuteStatement(Statement=f"SELECT * FROM items WHERE pk IN ['a', 'b'] ORDER BY {order}")
    assert error.value.name == "ValidationException"


def altered(token):
    data = json.loads(base64.b64decode(token))
    for change in (
        [data[0], 7, data[2]],
        [data[0], -1, data[2]],
        [data[0], True, data[2]],
        [data[0], 0, {"pk": {"S": "a"}}],
        ["x", *data[1:]],
        data[:2],
        {},
    ):
        yield base64.b64encode(json.dumps(change).encode()).decode()
    yield from ("", token[:-4], "é", "[]", base64.b64encode(b"\xff").decode(), base64.b64encode(b"[" * 5000).decode())


def test_a_token_that_is_none_is_refused_or_ends_the_statement(filled):
    statement = "SELECT * FROM items WHERE pk = 'a'"
    token = filled.ExecuteStatement(Statement=statement, Limit=2)["NextToken"]
    for other in altered(token):
        try:
            assert filled.ExecuteStatement(Statement=statement, NextToken=other)["Items"] == []
        except Failed as error:
            assert error.name == "ValidationException"  # noqa: PT017 - or there is nothing behind it
    for elsewhere in ("SELECT * FROM items WHERE pk = 'b'", "SELECT * FROM items"):
        with pytest.raises(Failed, match="NextToken"):
            filled.ExecuteStatement(Statement=elsewhere, NextToken=token)


def test_a_page_ends_at_1_mb_also_over_several_partitions():
    with Engine() as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "pk", "sk", types={"sk": "N"}))
        for key in "abcd":
            for number in range(3):
                item = {"pk": {"S": key}, "sk": {"N": str(number)}, "v": {"S": "x" * 200_000}}
                ask.PutItem(TableName="items", Item=item)
        statement = "SELECT * FROM items WHERE pk IN ['a', 'b', 'c', 'd'] ORDER BY pk"
        first = ask.ExecuteStatement(Statement=statement, ReturnConsumedCapacity="TOTAL")
        assert len(first["Items"]) == 5
        assert 120 < first["ConsumedCapacity"]["CapacityUnits"] <= 128
        assert len(run(ask, statement)) == 12


@pytest.mark.parametrize(
    ("statement", "table_units", "index_units"),
    [
        ("INSERT INTO items VALUE {'pk': 'n', 'sk': 1, 'g': 'x'}", 1.0, 1.0),
        ("INSERT INTO items VALUE {'pk': 'n', 'sk': 1}", 1.0, None),
        ("UPDATE items SET v = 1 WHERE pk = 'a' AND sk = 1", 1.0, 1.0),
        ("UPDATE items SET g = 'z' WHERE pk = 'a' AND sk = 1", 1.0, 2.0),
        ("DELETE FROM items WHERE pk = 'a' AND sk = 1", 1.0, 1.0),
        ("DELETE FROM items WHERE pk = 'none' AND sk = 1", 1.0, None),
        ("SELECT sk FROM items WHERE pk = 'a' AND v = 99", 0.5, None),
        ("SELECT * FROM items WHERE pk = 'none'", 0.5, None),
        ("SELECT * FROM items.\"by-g\" WHERE g = 'x'", 0.0, 0.5),
    ],
)
def test_what_a_statement_costs(filled, statement, table_units, index_units):
    start = filled.engine.snapshot()
    consumed = filled.ExecuteStatement(Statement=statement, ReturnConsumedCapacity="INDEXES")["ConsumedCapacity"]
    filled.engine.restore(start)
    assert consumed["Table"]["CapacityUnits"] == table_units
    found = consumed.get("GlobalSecondaryIndexes", {}).get("by-g")
    assert (None if found is None else found["CapacityUnits"]) == index_units


def test_a_transaction_of_statements_costs_twice_and_each_table_once(filled):
    start = filled.engine.snapshot()
    reads = [{"Statement": f"SELECT * FROM items WHERE pk = 'a' AND sk = {number}"} for number in (1, 2)]
    found = filled.ExecuteTransaction(TransactStatements=reads, ReturnConsumedCapacity="TOTAL")
    assert found["ConsumedCapacity"] == [{"TableName": "items", "CapacityUnits": 4.0, "ReadCapacityUnits": 4.0}]
    writes = [{"Statement": f"UPDATE items SET w = 1 WHERE pk = 'a' AND sk = {number}"} for number in (1, 2)]
    found = filled.ExecuteTransaction(TransactStatements=writes, ReturnConsumedCapacity="TOTAL")
    assert found["ConsumedCapacity"] == [{"TableName": "items", "CapacityUnits": 6.0, "WriteCapacityUnits": 6.0}]
    filled.engine.restore(start)


def test_a_cached_statement_keeps_nothing_of_its_last_use(filled):
    start = filled.engine.snapshot()
    insert = "INSERT INTO items VALUE {'pk': 'n', 'sk': ?, 'l': [{'k': [1]}], 's': <<'b', 'a'>>}"
    for number in (1, 2):
        filled.ExecuteStatement(Statement=insert, Parameters=[{"N": str(number)}])
        filled.ExecuteStatement(
            Statement="UPDATE items SET l[0].k[0] = 7 WHERE pk = 'n' AND sk = ?", Parameters=[{"N": str(number)}]
        )
    filled.ExecuteStatement(Statement=insert, Parameters=[{"N": "3"}])
    third = filled.GetItem(TableName="items", Key={"pk": {"S": "n"}, "sk": {"N": "3"}})["Item"]
    assert third["l"] == {"L": [{"M": {"k": {"L": [{"N": "1"}]}}}]}
    filled.engine.restore(start)


@pytest.mark.parametrize("way", ["one", "batch", "transaction"])
@pytest.mark.parametrize("writes", [False, True])
def test_statements_are_throttled_where_throughput_is_enforced(way, writes):
    with Engine(throughput="enforced") as engine:
        ask = Asked(engine)
        units = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
        ask.CreateTable(**table("items", "id") | {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units})
        ask.PutItem(TableName="items", Item={"id": {"S": "it"}, "v": {"S": "x" * 100_000}})
        text = "UPDATE items SET n = 1 WHERE id = 'it'" if writes else "SELECT * FROM items WHERE id = 'it'"
        refused = []
        for _ in range(60):
            try:
                if way == "one":
                    ask.ExecuteStatement(Statement=text)
                elif way == "transaction":
                    ask.ExecuteTransaction(TransactStatements=[{"Statement": text}])
                else:
                    (answer,) = ask.BatchExecuteStatement(Statements=[{"Statement": text}])["Responses"]
                    refused += [answer["Error"]["Code"]] if "Error" in answer else []
            except Failed as error:
                reasons = error.body.get("CancellationReasons")
                refused.append(error.name if reasons is None else reasons[0]["Code"])
        wanted = {
            "one": "ProvisionedThroughputExceededException",
            "batch": "ProvisionedThroughputExceeded",
            "transaction": "ProvisionedThroughputExceeded",
        }
        assert refused
        assert set(refused) == {wanted[way]}


def test_a_statement_of_an_item_may_read_what_was_unless_it_is_consistent():
    with Engine(staleness=3600.0, seed=1) as engine:
        ask = Asked(engine)
        ask.CreateTable(**table("items", "id"))
        for number in range(200):
            ask.PutItem(TableName="items", Item={"id": {"S": "it"}, "n": {"N": str(number)}})
        text = "SELECT n FROM items WHERE id = 'it'"
        newest = {"Item": {"n": {"N": "199"}}, "TableName": "items"}

        def read(**more):
            return ask.BatchExecuteStatement(Statements=[{"Statement": text, **more}])["Responses"][0]

        assert all(read(ConsistentRead=True) == newest for _ in range(20))
        assert any(read() != newest for _ in range(50))
        found = [ask.ExecuteTransaction(TransactStatements=[{"Statement": text}])["Responses"][0] for _ in range(20)]
        assert found == [{"Item": newest["Item"]}] * 20


def test_in_may_be_asked_of_one_part_of_a_partition_key():
    with Engine() as engine:
        ask = Asked(engine)
        definition = table("plain", "id", types={"a": "S", "b": "S"})
        definition["GlobalSecondaryIndexes"] = [
            {
                "IndexName": "parts",
                "KeySchema": [{"AttributeName": name, "KeyType": "HASH"} for name in "ab"],
                "Projection": {"ProjectionType": "ALL"},
            }
        ]
        ask.CreateTable(**definition)
        ask.PutItem(TableName="plain", Item={"id": {"S": "1"}, "a": {"S": "x"}, "b": {"S": "y"}})
        text = "SELECT id FROM \"plain\".\"parts\" WHERE a IN ['x', 'z'] AND b "
        assert ask.ExecuteStatement(Statement=text + "= 'y'")["Items"] == [{"id": {"S": "1"}}]
        with pytest.raises(Failed) as refused:
            ask.ExecuteStatement(Statement=text + "IN ['y', 'z']")
        assert (refused.value.name, "one attribute" in refused.value.text) == ("ValidationException", True)
        many = ", ".join(f"'{number}'" for number in range(51))
        with pytest.raises(Failed) as refused:
            ask.ExecuteStatement(Statement=f"SELECT id FROM plain WHERE id IN [{many}]")
        assert "50 partitions" in refused.value.text
