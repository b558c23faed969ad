"""What a reply tells of its cost: by table and index, read or written."""

import pytest

from dynamorm.errors import MalformedResponse
from dynamorm.wire.consumed import consumed_of


def told(operation, body, request=b"{}"):
    return [
        (one.table, one.index, one.read_units, one.write_units)
        for one in consumed_of(operation, request, body.encode())
    ]


def test_a_sum_is_of_the_table():
    body = '{"Item":{},"ConsumedCapacity":{"TableName":"t","CapacityUnits":0.5}}'
    assert told("GetItem", body) == [("t", None, 0.5, 0.0)]
    assert told("UpdateItem", body) == [("t", None, 0.0, 0.5)]


def test_indexes_are_told_apart_and_add_up():
    body = (
        '{"ConsumedCapacity":{"TableName":"t","CapacityUnits":6,"Table":{"CapacityUnits":1.0},"LocalSecondaryIndexes":'
        '{"l":{"CapacityUnits":2}},"GlobalSecondaryIndexes":{"g":{"CapacityUnits":3.0}}}}'
    )
    assert told("PutItem", body) == [("t", None, 0.0, 1.0), ("t", "l", 0.0, 2.0), ("t", "g", 0.0, 3.0)]
    assert told("Query", body) == [("t", None, 1.0, 0.0), ("t", "l", 2.0, 0.0), ("t", "g", 3.0, 0.0)]


def test_an_index_without_its_table_is_all_there_is():
    body = '{"ConsumedCapacity":{"TableName":"t","CapacityUnits":3,"GlobalSecondaryIndexes":{"g":{"CapacityUnits":3}}}}'
    assert told("Query", body) == [("t", "g", 3.0, 0.0)]


def test_several_tables_and_what_a_transaction_says_itself():
    body = (
        '{"ConsumedCapacity":[{"TableName":"a","CapacityUnits":4.0,"WriteCapacityUnits":4.0},'
        '{"TableName":"b","CapacityUnits":2.0,"ReadCapacityUnits":2.0}]}'
    )
    assert told("TransactWriteItems", body) == [("a", None, 0.0, 4.0), ("b", None, 2.0, 0.0)]


@pytest.mark.parametrize(
    ("operation", "request_", "write"),
    [
        ("ExecuteStatement", b'{"Statement":"SELECT * FROM t"}', False),
        ("ExecuteStatement", b'{"Statement":"  update t SET a = 1"}', True),
        ("ExecuteTransaction", b'{"TransactStatements":[{"Statement":"SELECT * FROM t"}]}', False),
        (
            "ExecuteTransaction",
            b'{"TransactStatements":[{"Statement":"EXISTS(x)"},{"Statement":"DELETE FROM t"}]}',
            True,
        ),
        ("BatchExecuteStatement", b'{"Statements":[{"Statement":"INSERT INTO t"}]}', True),
    ],
)
def test_statements_tell_what_they_do(operation, request_, write):
    body = '{"ConsumedCapacity":{"TableName":"t","CapacityUnits":1}}'
    assert told(operation, body, request_) == [("t", None, 0.0, 1.0) if write else ("t", None, 1.0, 0.0)]


@pytest.mark.parametrize(
    "body", ["{}", "", "<html>", '{"Items":[]}', '{"ConsumedCapacity":null}', '{"ConsumedCapacity":[]}']
)
def test_nothing_is_told_of_nothing(body):
    assert told("Query", body) == []


@pytest.mark.parametrize("consumed", ['"x"', "5", '{"CapacityUnits":"1"}', '[{"Table":5}]', "{"])
def test_another_form_is_refused(consumed):
    with pytest.raises(MalformedResponse, match="its ConsumedCapacity has another form"):
        told("Query", f'{{"ConsumedCapacity":{consumed}}}')
