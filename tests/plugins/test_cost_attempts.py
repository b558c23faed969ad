"""What an attempt has taken that no answer tells: refusals, lost answers, and the formulas of AWS's documents."""

import json
from decimal import Decimal
from types import SimpleNamespace

import pytest

from dynamorm import Attr, Model, attr, gsi, partition_key
from dynamorm.capacity import index_views, item_size, read_units, write_units
from dynamorm.effects import TransportError
from dynamorm.models.schema.schema import schema_of
from dynamorm.plugins.cost import CostPlugin, price
from dynamorm.testing import FaultServer, answers, reply


class Payment(Model, table="payments"):
    by_merchant = gsi("by-merchant", partition="merchant")
    by_note = gsi("by-note", partition="note", projection="KEYS_ONLY")

    id: Attr[str] = partition_key()
    merchant: Attr[str | None] = attr(default=None)
    note: Attr[str | None] = attr(default=None)


def item(size, **more):
    """An item of so many bytes."""
    found = {"id": {"S": "p1"}, **{name: {"S": value} for name, value in more.items()}, "fill": {"S": ""}}
    found["fill"]["S"] = "x" * (size - item_size(found))
    assert item_size(found) == size
    return found


# AWS's developer guide, "DynamoDB read and write operations" (read-write-operations.html): an item of 3.5 KB is read as
# 4 KB, one of 10 KB as 12 KB; BatchGetItem of 1.5 KB and 6.5 KB is 12 KB, and not 8 KB; a query of 40.8 KB is 44 KB;
# a write of 500 bytes is 1 KB, one of 1.5 KB is 2 KB, and so is PutItem and UpdateItem of the larger of both sizes.
@pytest.mark.parametrize(
    ("size", "how", "units"),
    [
        (0, {}, 0.5),
        (0, {"consistent": True}, 1),
        (3584, {"consistent": True}, 1),
        (4096, {"consistent": True}, 1),
        (4097, {"consistent": True}, 2),
        (10240, {"consistent": True}, 3),
        (8192, {"consistent": True}, 2),
        (8192, {}, 1),
        (8192, {"transactional": True}, 4),
        (41779, {"consistent": True}, 11),
    ],
)
def test_reads(size, how, units):
    assert read_units(size, **how) == units


@pytest.mark.parametrize(
    ("old", "new", "transactional", "units"),
    [
        (None, 500, False, 1),
        (None, 1024, False, 1),
        (None, 1025, False, 2),
        (None, 1536, False, 2),
        (None, 3072, False, 3),
        (None, 3072, True, 6),
        (3072, 500, False, 3),
        (500, 3072, False, 3),
        (3072, None, False, 3),
        (None, None, False, 1),
        (None, None, True, 2),
    ],
)
def test_writes(old, new, transactional, units):
    given = [None if size is None else item(size) for size in (old, new)]
    assert write_units(*given, transactional=transactional) == {None: units}


# The guide on global secondary indexes (GSI.html, "Write capacity units"): a new entry is one write, a changed index key is
# two, a removed one is one, nothing that changes is none, and a changed projected attribute is one.
@pytest.mark.parametrize(
    ("old", "new", "by_merchant", "by_note"),
    [
        (None, {"merchant": "m1"}, 1, None),
        ({"merchant": "m1"}, {"merchant": "m2"}, 2, None),
        ({"merchant": "m1"}, {}, 1, None),
        ({"merchant": "m1"}, None, 1, None),
        ({"merchant": "m1"}, {"merchant": "m1"}, None, None),
        ({}, {}, None, None),
        ({"merchant": "m1", "note": "a"}, {"merchant": "m1", "note": "b"}, 1, 2),
        ({"merchant": "m1", "note": "a"}, {"merchant": "m2", "note": "a"}, 2, None),
    ],
)
@pytest.mark.parametrize("transactional", [False, True])
def test_indexes(old, new, by_merchant, by_note, transactional):
    given = [None if more is None else item(200, **more) for more in (old, new)]
    units = write_units(*given, transactional=transactional, indexes=index_views(schema_of(Payment)))
    assert units.pop(None) == (2 if transactional else 1)
    assert (units.get("by-merchant"), units.get("by-note")) == (by_merchant, by_note), "the same in a transaction"


def moved(merchant):
    """The units of an update of an item of 200 bytes, which had the merchant m1 before."""
    given = item(200, merchant="m1"), item(200, merchant=merchant)
    return sum(write_units(*given, indexes=index_views(schema_of(Payment))).values())


@pytest.mark.parametrize(
    ("dollars", "priced"),
    [
        ("0.625", {"writes": lambda: write_units(None, item(1024))[None]}),
        ("1.25", {"writes": lambda: write_units(None, item(1024), transactional=True)[None]}),
        ("1.25", {"transactional_writes": lambda: write_units(None, item(1024))[None]}),
        ("0.125", {"strong_reads": lambda: read_units(4096, consistent=True)}),
        ("0.0625", {"strong_reads": lambda: read_units(4096)}),
        ("0.0625", {"eventual_reads": lambda: read_units(4096, consistent=True)}),
        ("1.875", {"writes": lambda: write_units(None, item(1024))[None], "replicas": 3}),
        ("0.625", {"writes": lambda: moved("m1")}),
        ("1.875", {"writes": lambda: moved("m2")}),  # a key of an index that is moved adds two writes
    ],
)
def test_a_million_of_them_costs_so_much(dollars, priced):
    """From the size of an item to the dollars, to the cent and beyond."""
    counts = {name: 1_000_000 * of() if callable(of) else of for name, of in priced.items()}
    counts = {name: Decimal(count) if name != "replicas" else count for name, count in counts.items()}
    assert price("us-east-1", **counts) == Decimal(dollars)


def call(name, body, verb="put", model=Payment, table="payments"):
    operation = SimpleNamespace(verb=verb, model=model, scope={})
    return SimpleNamespace(name=name, table=table, body=json.dumps(body).encode(), operation=operation)


def told(name, body, *, answer=None, error=None, before=()):
    """(reported write, estimated write, uncertain) of one attempt, of reads where it has no writes."""
    plugin = CostPlugin()
    for one in before:
        plugin.observed(*one, None)
    plugin.ledger.reset()
    plugin.observed(call(name, body), answer, error)
    report = plugin.report({})
    reported, estimated = report.units(), report.estimated.units()
    return (
        float(reported.write or reported.read),
        float(estimated.write or estimated.read),
        float(reported.uncertain),
    )


PUT = {"TableName": "payments", "Item": item(1500)}
UPDATE = {"TableName": "payments", "Key": {"id": {"S": "p1"}}, "UpdateExpression": "SET a = :a"}
GET = {"TableName": "payments", "Key": {"id": {"S": "p1"}}}
TRANSACTION = {"TransactItems": [{"Put": PUT}, {"ConditionCheck": {**GET, "ConditionExpression": "a"}}]}


def refusal(code, **more):
    return reply({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", **more}, 400)


CONDITION = "ConditionalCheckFailedException"
CANCELLED = "TransactionCanceledException"


@pytest.mark.parametrize(
    ("name", "body", "answer", "expected"),
    [
        ("PutItem", PUT, refusal(CONDITION), (0, 2, 0)),
        ("PutItem", PUT, refusal(CONDITION, Item=item(5000)), (0, 5, 0)),
        ("PutItem", PUT, refusal(CONDITION, Item=item(100)), (0, 2, 0)),
        ("UpdateItem", UPDATE, refusal(CONDITION, Item=item(2500)), (0, 3, 0)),
        ("UpdateItem", UPDATE, refusal(CONDITION), (0, 1, 0)),
        ("TransactWriteItems", TRANSACTION, refusal(CANCELLED, CancellationReasons=[{"Code": "ConditionalCheckFailed"}, {"Code": "None"}]), (0, 6, 0)),
        ("TransactWriteItems", TRANSACTION, refusal(CANCELLED, CancellationReasons=[{"Code": "TransactionConflict"}, {"Code": "None"}]), (0, 0, 6)),
        ("PutItem", PUT, refusal("TransactionConflictException"), (0, 0, 2)),
        ("PutItem", PUT, refusal("ProvisionedThroughputExceededException"), (0, 0, 0)),
        ("PutItem", PUT, refusal("ThrottlingException"), (0, 0, 0)),
        ("PutItem", PUT, refusal("ValidationException"), (0, 0, 0)),
        ("PutItem", PUT, refusal("AccessDeniedException"), (0, 0, 0)),
        ("PutItem", PUT, refusal("ResourceNotFoundException"), (0, 0, 0)),
        ("PutItem", PUT, reply({"__type": "InternalServerError"}, 500), (0, 0, 2)),
        ("PutItem", PUT, reply({"no": "error"}, 400), (0, 0, 2)),
        ("GetItem", GET, reply({"__type": "InternalServerError"}, 500), (0, 0, 0.5)),
        ("PutItem", PUT, reply({}), (0, 2, 0)),
        ("PutItem", PUT, reply({"Attributes": item(3000)}), (0, 3, 0)),
        ("PutItem", PUT, reply({"ConsumedCapacity": "strange"}), (0, 2, 0)),
        ("DeleteItem", {**GET, "ReturnValues": "ALL_OLD"}, reply({"Attributes": item(3000)}), (0, 3, 0)),
        ("DescribeTable", {"TableName": "payments"}, reply({"__type": "InternalServerError"}, 500), (0, 0, 0)),
        ("Query", {"TableName": "payments"}, reply({"Items": [item(1500), item(6600)]}), (0, 1, 0)),
        ("BatchGetItem", {"RequestItems": {"payments": {"Keys": [1, 2, 3], "ConsistentRead": True}}}, reply({"Responses": {"payments": [item(1536), item(6656)]}}), (0, 4, 0)),
        ("BatchWriteItem", {"RequestItems": {"payments": [{"PutRequest": {"Item": item(1500)}}, {"DeleteRequest": {"Key": GET["Key"]}}]}}, reply({"UnprocessedItems": {"payments": [{"DeleteRequest": {"Key": GET["Key"]}}]}}), (0, 2, 0)),
        ("TransactGetItems", {"TransactItems": [{"Get": GET}, {"Get": GET}]}, reply({"Responses": [{"Item": item(5000)}, {}]}), (0, 6, 0)),
        ("ExecuteStatement", {"Statement": "SELECT * FROM payments"}, reply({"Items": [item(5000)]}), (0, 1, 0)),
        ("ExecuteStatement", {"Statement": "update payments SET a = 1"}, reply({}), (0, 1, 0)),
        ("ExecuteTransaction", {"TransactStatements": [{"Statement": "INSERT INTO payments"}]}, reply({}), (0, 2, 0)),
    ],
)  # fmt: skip
def test_an_answer_that_tells_no_units(name, body, answer, expected):
    assert told(name, body, answer=answer) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransportError("connect", "refused", sent=False), (0, 0, 0)),
        (TransportError("receive", "reset", sent=True), (0, 0, 2)),
        (TransportError("timeout", "late", sent=True), (0, 0, 2)),
        (None, (0, 0, 2)),  # abandoned
    ],
)
def test_an_attempt_without_an_answer_may_have_been_paid(error, expected):
    assert told("PutItem", PUT, error=error) == expected


def test_what_is_not_known_counts_as_the_average():
    units = {"ConsumedCapacity": {"TableName": "payments", "CapacityUnits": 7.0}}
    before = [(call("UpdateItem", UPDATE), reply(units)), (call("GetItem", GET), reply(units))]
    plugin = CostPlugin()
    for one in before:
        plugin.observed(*one, None)
    assert plugin.report({}).units().write == 7
    plugin.observed(call("UpdateItem", UPDATE), refusal(CONDITION), None)
    plugin.observed(call("PutItem", PUT), refusal(CONDITION), None)
    plugin.observed(call("GetItem", GET), None, TransportError("receive", "reset", sent=True))
    report = plugin.report({})
    assert report.estimated.units().write == 14, "an item that is not seen is as large as the others"
    assert report.units().uncertain == 7


def test_a_lost_answer_is_uncertain_and_never_added(open_db):
    capacity = {"ConsumedCapacity": {"TableName": "payments", "CapacityUnits": 1.0}}
    with FaultServer([answers.reset(), answers.json(capacity)]) as server:
        db = open_db(server.endpoint, extensions=(CostPlugin(),))
        db.get(Payment, "p1")
        units = db.costs().units("get")
        assert (units.read, units.uncertain) == (1, 0.5)
        assert db.costs().estimated.units().read == 0


def test_a_child_process_begins_with_nothing():
    plugin = CostPlugin()
    plugin.observed(call("PutItem", PUT), refusal(CONDITION), None)
    plugin.forked()
    assert plugin.report({}).estimated.units().write == 0


def test_reads_of_streams_are_counted():
    plugin = CostPlugin()
    for _ in range(3):
        plugin.observed(call("GetRecords", {}), reply({"Records": []}), None)
    plugin.observed(call("GetRecords", {}), refusal("ExpiredIteratorException"), None)
    plugin.ledger.settle()
    assert plugin.ledger.streams == 3
