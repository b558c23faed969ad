"""What a reply tells of its cost: by table and index, read or written."""

import pytest

from dynamorm.errors import MalformedResponse
from dynamorm.wire import consumed
from dynamorm.wire.consumed import consumed_of


def told(operation, body, request=b"{}", table="t"):
    return [
        (one.table, one.index, one.read_units, one.write_units)
        for one in consumed_of(operation, table, request, body.encode())
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


UNITS = '{"CapacityUnits":0.5,"Table":{"CapacityUnits":0.5},"TableName":"t"}'
OTHERS = (
    '{"CapacityUnits":9,"GlobalSecondaryIndexes":{"g":{"CapacityUnits":9}},"Table":{"CapacityUnits":0},"TableName":"u"}'
)


PLACES = [
    '{"ConsumedCapacity":%s}',
    '{"ConsumedCapacity":%s,"Item":{"a":{"S":"b"}}}',
    '{"Attributes":{"a":{"S":"b"}},"ConsumedCapacity":%s}',
    '{"Count":1,"ConsumedCapacity":%s,"Items":[{}]}',
    '{"ConsumedCapacity":%s,"Item":{"ConsumedCapacity":{"M":{}},"x":{"S":",\\"ConsumedCapacity\\":{}}"}}}',
    '{"Item":{"ConsumedCapacity":{"M":{}}},"ConsumedCapacity":%s}',
    '{"Item":{"x":{"S":"y"},"ConsumedCapacity":{"M":{"CapacityUnits":{"N":"7"}}}},"ConsumedCapacity":%s}',
    '{"Item":{"x":{"S":",\\"ConsumedCapacity\\":{\\"CapacityUnits\\":7}}"}},"ConsumedCapacity":%s}',
    '{ "ConsumedCapacity" : %s }',
    '{"ConsumedCapacity":%s ,"Item":{}}',
    '{"ConsumedCapacity":%s,"Item":{}}\n',
]


@pytest.mark.parametrize("body", PLACES)
def test_wherever_it_stands_and_however_often_it_is_read(body):
    for _ in range(3):
        assert told("GetItem", body % UNITS) == [("t", None, 0.5, 0.0)]
        assert told("UpdateItem", body % UNITS) == [("t", None, 0.0, 0.5)]
        assert told("Query", body % OTHERS) == [("u", None, 0.0, 0.0), ("u", "g", 9.0, 0.0)]


OF_ITEMS = [
    '{"Item":{"ConsumedCapacity":{"M":{}}}}',
    '{"Item":{"x":{"S":"y"},"ConsumedCapacity":{"CapacityUnits":7,"TableName":"t"}}}',
    '{"Items":[{"x":{"S":"y"},"ConsumedCapacity":{"CapacityUnits":7,"TableName":"t"}}],"Count":1}',
    '{"Item":{"x":{"M":{"y":{"S":""},"ConsumedCapacity":{"CapacityUnits":7,"TableName":"t"}}}}}',
    '{"Item":{"x":{"S":"{\\"ConsumedCapacity\\":{}}"}}}',
]


@pytest.mark.parametrize("body", OF_ITEMS)
def test_an_attribute_of_this_name_tells_nothing(body):
    assert told("GetItem", body) == []


@pytest.mark.parametrize("before", [UNITS, OTHERS])
@pytest.mark.parametrize("place", PLACES)
def test_what_the_answer_before_told_is_not_told_of_another(place, before):
    """The answers of one operation on one table tell each its own, whatever came before, and wherever that stood."""
    expected = {UNITS: [("t", None, 0.5, 0.0)], OTHERS: [("u", None, 0.0, 0.0), ("u", "g", 9.0, 0.0)]}
    for others in PLACES:
        for units, found in expected.items():
            assert told("Query", place % before) == expected[before]
            assert told("Query", others % units) == found
    same_texts = (
        f'{{"Item":{{"x":{{"S":"y"}},"ConsumedCapacity":{before}}}}}',
        f'{{"Item":{{"ConsumedCapacity":{before}}}}}',
    )
    for body in (*OF_ITEMS, *same_texts):
        assert told("Query", place % before) == expected[before]
        assert told("Query", body) == []
    assert told("Query", place % before) == expected[before]
    assert told("Query", "{}") == []


def test_a_name_with_braces_is_read_as_well():
    for name in ("a{b", "a}b", "a{b}c", "}}}"):
        body = '{"ConsumedCapacity":{"TableName":"%s","CapacityUnits":2},"Item":{}}' % name  # noqa: UP031 - has braces
        assert told("GetItem", body) == [(name, None, 2.0, 0.0)]


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(consumed, "MOST_KNOWN", 10)
    for number in range(100):
        body = '{"ConsumedCapacity":{"TableName":"t%d","CapacityUnits":%d}}' % (number, number)  # noqa: UP031 - has braces
        assert told("GetItem", body, table=f"t{number}") == [(f"t{number}", None, float(number), 0.0)]
    assert len(consumed._known) <= 10
    assert len(consumed._latest) <= 10
