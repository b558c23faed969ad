"""Transactions and batches. Sources: api:TransactWriteItems, api:TransactGetItems, dg:transaction-apis, api:BatchWriteItem, api:BatchGetItem."""

import pytest

from dynamorm.engine.core import Core

from .conftest import Failed, table


@pytest.fixture
def made(ask):
    ask.CreateTable(**table("items", "id"))
    for name in "abc":
        ask.PutItem(TableName="items", Item={"id": {"S": name}, "n": {"N": "1"}, "s": {"S": "text"}})
    return ask


def at(name):
    return {"TableName": "items", "Key": {"id": {"S": name}}}


def item(ask, name):
    return ask.GetItem(**at(name)).get("Item")


def check(name, text, **more):
    return {"ConditionCheck": at(name) | {"ConditionExpression": text} | more}


def put(name, **more):
    return {"Put": {"TableName": "items", "Item": {"id": {"S": name}}} | more}


def update(name, text, **values):
    more = {"ExpressionAttributeValues": {f":{one}": value for one, value in values.items()}} if values else {}
    return {"Update": at(name) | {"UpdateExpression": text} | more}


def cancelled(ask, *entries, **more):
    with pytest.raises(Failed) as error:
        ask.TransactWriteItems(TransactItems=list(entries), **more)
    assert error.value.name == "TransactionCanceledException"
    return [one["Code"] for one in error.value.body["CancellationReasons"]], error.value


def test_all_is_written_or_nothing(made):
    made.TransactWriteItems(
        TransactItems=[
            put("d"),
            update("a", "SET n = :n", n={"N": "2"}),
            {"Delete": at("b")},
            check("c", "attribute_exists(id)"),
        ]
    )
    assert item(made, "d") and item(made, "a")["n"] == {"N": "2"} and item(made, "b") is None  # noqa: PT018 - one state
    codes, error = cancelled(made, put("e"), check("c", "attribute_not_exists(id)"), put("f"))
    assert codes == ["None", "ConditionalCheckFailed", "None"]
    assert "[None, ConditionalCheckFailed, None]" in error.text
    assert item(made, "e") is None


def test_reasons_have_the_items_that_were_asked_for(made):
    first = check("a", "attribute_not_exists(id)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    codes, error = cancelled(made, first, check("b", "attribute_not_exists(id)"))
    assert codes == ["ConditionalCheckFailed"] * 2
    reasons = error.body["CancellationReasons"]
    assert reasons[0]["Item"]["id"] == {"S": "a"}
    assert "Item" not in reasons[1]


FAULTS = [
    update("a", "SET s = s + :n", n={"N": "1"}),
    update("a", "SET q.a = :n", n={"N": "1"}),
    update("a", "SET n = q", n={"N": "1"}) | {"Update": at("a") | {"UpdateExpression": "SET n = q"}},
    update("a", "SET n = n + :n", n={"N": "0." + "0" * 39 + "1"}),
    update("a", "ADD s :n", n={"N": "1"}),
    {"Put": {"TableName": "items", "Item": {"id": {"N": "1"}}}},
    {"Delete": {"TableName": "items", "Key": {"no": {"S": "x"}}}},
]


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
def test_a_fault_of_one_write_cancels_with_its_reason(made, fault):
    """The service stops at the first fault; DynamoDB Local answers a ValidationException."""
    codes, _ = cancelled(made, put("x"), fault, put("y"))
    assert codes == ["None", "ValidationError", "None"]
    assert item(made, "x") is None


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [put("x")] * 2,
        [put("x"), {"Delete": at("x")}],
        [{}],
        [put("x") | check("a", "attribute_exists(id)")],
        [put(f"k{number}") for number in range(101)],
        [update("a", "SETT n = :n", n={"N": "1"})],
        [update("a", "SET n = :n", n={"N": "1"}, q={"N": "1"})],
        [{"ConditionCheck": at("a")}],
    ],
    ids=range(9),
)
def test_what_is_no_transaction_is_refused_as_a_whole(made, entries):
    with pytest.raises(Failed) as error:
        made.TransactWriteItems(TransactItems=entries)
    assert error.value.name == "ValidationException"


def test_a_table_that_is_not_there(made):
    with pytest.raises(Failed) as error:
        made.TransactWriteItems(TransactItems=[put("x"), {"Put": {"TableName": "absent", "Item": {"id": {"S": "x"}}}}])
    assert error.value.name == "ResourceNotFoundException"


def test_a_token_is_answered_for_ten_minutes(made, monkeypatch):
    now = [1_800_000_000.0]
    monkeypatch.setattr(Core, "now", staticmethod(lambda: now[0]))
    add = [update("a", "ADD n :n", n={"N": "1"})]
    for _ in range(3):
        made.TransactWriteItems(TransactItems=add, ClientRequestToken="t")
    assert item(made, "a")["n"] == {"N": "2"}
    with pytest.raises(Failed) as error:
        made.TransactWriteItems(TransactItems=[put("z")], ClientRequestToken="t")
    assert error.value.name == "IdempotentParameterMismatchException"
    now[0] += 601
    made.TransactWriteItems(TransactItems=add, ClientRequestToken="t")
    assert item(made, "a")["n"] == {"N": "3"}


def test_the_token_of_a_cancelled_transaction_is_not_remembered(made):
    guarded = [put("z", ConditionExpression="attribute_exists(id)")]
    assert cancelled(made, *guarded, ClientRequestToken="t")[0] == ["ConditionalCheckFailed"]
    made.PutItem(TableName="items", Item={"id": {"S": "z"}})
    made.TransactWriteItems(TransactItems=guarded, ClientRequestToken="t")


def test_reads_of_a_transaction(made):
    gets = [{"Get": at("a") | {"ProjectionExpression": "n"}}, {"Get": at("none")}]
    assert made.TransactGetItems(TransactItems=gets)["Responses"] == [{"Item": {"n": {"N": "1"}}}, {}]
    with pytest.raises(Failed) as error:
        made.TransactGetItems(TransactItems=[{"Get": at("a")}] * 2)
    assert error.value.name == "ValidationException"
    with pytest.raises(Failed) as error:  # Parity Suite, tier 3, transactGetItems: by the channel of reasons
        made.TransactGetItems(TransactItems=[{"Get": {"TableName": "items", "Key": {}}}])
    assert error.value.name == "TransactionCanceledException"


def test_batches(made):
    keys = [{"id": {"S": name}} for name in "abz"]
    found = made.BatchGetItem(RequestItems={"items": {"Keys": keys, "ProjectionExpression": "id"}})
    assert sorted(one["id"]["S"] for one in found["Responses"]["items"]) == ["a", "b"]
    assert found["UnprocessedKeys"] == {}
    entries = [{"PutRequest": {"Item": {"id": {"S": "z"}}}}, {"DeleteRequest": {"Key": {"id": {"S": "a"}}}}]
    assert made.BatchWriteItem(RequestItems={"items": entries}) == {"UnprocessedItems": {}}
    assert item(made, "z") and item(made, "a") is None  # noqa: PT018 - one state


def test_an_answer_of_a_batch_has_16_mb_at_most(made):
    keys = [{"id": {"S": f"k{number}"}} for number in range(50)]
    for key in keys:
        made.PutItem(TableName="items", Item=key | {"v": {"S": "x" * 400_000}})
    found = made.BatchGetItem(RequestItems={"items": {"Keys": keys}})
    left = found["UnprocessedKeys"]["items"]["Keys"]
    assert len(found["Responses"]["items"]) + len(left) == 50
    assert 0 < len(left) < 12
    assert left == keys[-len(left) :]


BAD_BATCHES = [
    ("BatchGetItem", {"items": {"Keys": [{"id": {"S": "a"}}] * 2}}),
    ("BatchGetItem", {"items": {"Keys": [{"id": {"S": str(number)}} for number in range(101)]}}),
    ("BatchGetItem", {"items": {"Keys": []}}),
    ("BatchGetItem", {"items": {"Keys": [{"no": {"S": "a"}}]}}),
    ("BatchGetItem", {}),
    (
        "BatchWriteItem",
        {"items": [{"DeleteRequest": {"Key": {"id": {"S": "a"}}}}, {"PutRequest": {"Item": {"id": {"S": "a"}}}}]},
    ),
    ("BatchWriteItem", {"items": [{"PutRequest": {"Item": {"id": {"S": str(number)}}}} for number in range(26)]}),
    ("BatchWriteItem", {"items": [{}]}),
    ("BatchWriteItem", {"items": []}),
    ("BatchWriteItem", {"items": [{"PutRequest": {"Item": {"id": {"S": ""}}}}]}),
    ("BatchWriteItem", {}),
]


@pytest.mark.parametrize(("operation", "items"), BAD_BATCHES, ids=range(len(BAD_BATCHES)))
def test_batches_that_are_none(made, operation, items):
    with pytest.raises(Failed) as error:
        getattr(made, operation)(RequestItems=items)
    assert error.value.name == "ValidationException"
