"""What requests consume: by formulas of the developer guide, and by what was observed on AWS where the guide is silent.

Sources: dg:CapacityUnitCalculations, dg:read-write-operations, dg:GSI (provisioned throughput), dg:LSI; ``dx`` are dynoxide's captures.
"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.engine.sizes import number_size
from dynamorm.engine.values.numbers import canonical, written

from .conftest import index, table


@pytest.fixture
def made(ask):
    ask.CreateTable(
        **table(
            "wide", "pk", "sk", types={"g": "S", "s": "S"},
            on_global=[index("all", "g"), index("keys", "g", projection="KEYS_ONLY")],
            on_local=[index("local", "pk", "s", projection="INCLUDE", kept=["k"])],
        )
    )  # fmt: skip
    ask.CreateTable(**table("plain", "id"))
    return ask


def used(answer):
    """Units of the table and of each index, of the one table of an answer."""
    found = answer["ConsumedCapacity"]
    found = found[0] if isinstance(found, list) else found
    arms = {
        name: one["CapacityUnits"]
        for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")
        for name, one in found.get(member, {}).items()
    }
    assert found["CapacityUnits"] == found["Table"]["CapacityUnits"] + sum(arms.values())
    return found["Table"]["CapacityUnits"], arms


def put(ask, size=0, name="plain", **more):
    item = {"id": {"S": "a"}} if name == "plain" else {"pk": {"S": "a"}, "sk": {"S": "b"}}
    if size:
        item["v"] = {"S": "x" * size}
    return used(ask.PutItem(TableName=name, Item=item | more, ReturnConsumedCapacity="INDEXES"))


def S(text):
    return {"S": text}


@pytest.mark.parametrize(("size", "units"), [(0, 1.0), (1020, 1.0), (1021, 2.0), (10_000, 10.0)])
def test_a_write_costs_a_unit_for_each_kilobyte(made, size, units):
    assert put(made, size) == (units, {})


def test_a_write_costs_by_the_larger_of_both_items(made):
    put(made, 5000)
    assert put(made, 0) == (5.0, {})
    put(made, 5000)
    request = {"TableName": "plain", "Key": {"id": S("a")}, "ReturnConsumedCapacity": "INDEXES"}
    assert used(made.UpdateItem(**request, UpdateExpression="REMOVE v")) == (5.0, {})
    put(made, 5000)
    assert used(made.DeleteItem(**request)) == (5.0, {})
    assert used(made.DeleteItem(**request)) == (1.0, {})


@pytest.mark.parametrize(("size", "units"), [(0, 0.5), (4090, 0.5), (4100, 1.0), (9000, 1.5)])
def test_a_read_costs_half_a_unit_for_each_4_kilobytes(made, size, units):
    put(made, size)
    request = {"TableName": "plain", "Key": {"id": S("a")}, "ReturnConsumedCapacity": "INDEXES"}
    assert used(made.GetItem(**request)) == (units, {})
    assert used(made.GetItem(**request, ConsistentRead=True)) == (units * 2, {})
    get = {"Get": {"TableName": "plain", "Key": {"id": S("a")}}}
    assert used(made.TransactGetItems(TransactItems=[get], ReturnConsumedCapacity="INDEXES")) == (units * 4, {})


def test_what_is_not_there_costs_as_the_smallest_item(made):
    request = {"TableName": "plain", "ReturnConsumedCapacity": "INDEXES"}
    assert used(made.GetItem(**request, Key={"id": S("no")})) == (0.5, {})
    query = {"KeyConditionExpression": "id = :v", "ExpressionAttributeValues": {":v": S("no")}}
    assert used(made.Query(**request, **query)) == (0.5, {})  # Local: 0.0; AWS 0.5 (engine of reference: dx)
    assert used(made.Scan(**request)) == (0.5, {})


def test_a_query_adds_sizes_before_it_rounds(made):
    for number in range(10):
        made.PutItem(TableName="wide", Item={"pk": S("a"), "sk": S(str(number)), "v": S("x" * 995)})
    query = {
        "KeyConditionExpression": "pk = :v",
        "ExpressionAttributeValues": {":v": S("a")},
        "ReturnConsumedCapacity": "INDEXES",
    }
    assert used(made.Query(TableName="wide", **query)) == (1.5, {})
    filtered = {"FilterExpression": "v = :v"}
    assert used(made.Query(TableName="wide", **query, **filtered)) == (1.5, {})
    assert used(made.Query(TableName="wide", **query, ConsistentRead=True)) == (3.0, {})


def test_an_index_costs_by_the_change_of_what_it_shows(made):
    assert put(made, name="wide") == (1.0, {})
    assert put(made, name="wide", g=S("x")) == (1.0, {"all": 1.0, "keys": 1.0})
    assert put(made, name="wide", g=S("x")) == (1.0, {})  # dx: the arm is absent
    assert put(made, name="wide", g=S("x"), v=S("1")) == (1.0, {"all": 1.0})
    assert put(made, name="wide", g=S("y"), v=S("1")) == (1.0, {"all": 2.0, "keys": 2.0})
    assert put(made, name="wide", v=S("1")) == (1.0, {"all": 1.0, "keys": 1.0})
    assert put(made, name="wide", s=S("1")) == (1.0, {"local": 1.0})
    assert put(made, name="wide", s=S("1"), k=S("1")) == (1.0, {"local": 1.0})
    assert put(made, name="wide", s=S("1"), k=S("1"), q=S("1")) == (1.0, {})
    assert put(made, name="wide", s=S("2"), k=S("1")) == (1.0, {"local": 2.0})


def test_the_order_of_a_set_is_no_change(made):
    put(made, name="wide", g=S("x"), k={"SS": ["a", "b"]})
    assert put(made, name="wide", g=S("x"), k={"SS": ["b", "a"]}) == (1.0, {})


def test_an_index_of_whole_items_costs_by_their_size(made):
    assert put(made, 3000, name="wide", g=S("x")) == (3.0, {"all": 3.0, "keys": 1.0})
    assert put(made, 3000, name="wide", g=S("y")) == (3.0, {"all": 6.0, "keys": 2.0})


def test_a_transaction_doubles_the_tables_units_alone(made):  # dx 178: two global indexes, 4.0, where Local says 12.0
    write = {"Put": {"TableName": "wide", "Item": {"pk": S("a"), "sk": S("b"), "g": S("x")}}}
    answer = made.TransactWriteItems(TransactItems=[write], ReturnConsumedCapacity="INDEXES")
    assert used(answer) == (2.0, {"all": 1.0, "keys": 1.0})
    (one,) = answer["ConsumedCapacity"]
    assert (one["CapacityUnits"], one["WriteCapacityUnits"]) == (4.0, 4.0)


def test_a_check_costs_2(made):  # dx; Local: 4.0
    write = {
        "ConditionCheck": {
            "TableName": "plain",
            "Key": {"id": S("a")},
            "ConditionExpression": "attribute_not_exists(id)",
        }
    }
    assert used(made.TransactWriteItems(TransactItems=[write], ReturnConsumedCapacity="INDEXES")) == (2.0, {})


def test_a_token_that_comes_again_costs_reads_of_what_was_written(made):
    write = {"Put": {"TableName": "plain", "Item": {"id": S("a"), "v": S("x" * 5000)}}}
    request = {"TransactItems": [write], "ClientRequestToken": "t", "ReturnConsumedCapacity": "TOTAL"}
    assert made.TransactWriteItems(**request)["ConsumedCapacity"][0]["CapacityUnits"] == 10.0
    again = made.TransactWriteItems(**request)["ConsumedCapacity"][0]
    assert (again["CapacityUnits"], again["ReadCapacityUnits"]) == (4.0, 4.0)


def test_a_fetch_for_a_local_index_costs_each_items_own_size(made):  # dx: three items of 9 KB, 4.5
    for number in range(3):
        made.PutItem(
            TableName="wide", Item={"pk": S("a"), "sk": S(str(number)), "s": S(str(number)), "v": S("x" * 9000)}
        )
    query = {
        "KeyConditionExpression": "pk = :v",
        "ExpressionAttributeValues": {":v": S("a")},
        "ReturnConsumedCapacity": "INDEXES",
    }
    assert used(made.Query(TableName="wide", IndexName="local", Select="ALL_ATTRIBUTES", **query)) == (
        4.5,
        {"local": 0.5},
    )


def test_single_items_are_not_told_by_reads_and_writes(made):  # PS, July 2026
    request = {"TableName": "plain", "Item": {"id": S("a")}}
    assert made.PutItem(**request, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"] == {
        "TableName": "plain",
        "CapacityUnits": 1.0,
    }
    assert "ConsumedCapacity" not in made.PutItem(**request, ReturnConsumedCapacity="NONE")


def test_batches_tell_by_table(made):
    writes = {
        "plain": [{"PutRequest": {"Item": {"id": S(str(n)), "v": S("x" * 1500)}}} for n in range(3)],
        "wide": [{"PutRequest": {"Item": {"pk": S("a"), "sk": S("b"), "g": S("x")}}}],
    }
    found = made.BatchWriteItem(RequestItems=writes, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert [(one["TableName"], one["CapacityUnits"]) for one in found] == [("plain", 6.0), ("wide", 3.0)]
    reads = {"plain": {"Keys": [{"id": S(str(n))} for n in range(4)]}}
    (found,) = made.BatchGetItem(RequestItems=reads, ReturnConsumedCapacity="TOTAL")["ConsumedCapacity"]
    assert found["CapacityUnits"] == 2.0


@given(st.integers(-(10**20), 10**20), st.integers(0, 22), st.integers(0, 4))
def test_a_number_has_one_text_and_one_size_however_it_is_written(digits, places, zeros):
    value = Decimal(digits).scaleb(-places)
    text = f"{value:f}" + ("" if places == 0 else "0" * zeros)
    kept = canonical(text)
    assert kept == written(value)
    assert Decimal(kept) == value
    whole, _, fraction = kept.lstrip("-").partition(".")
    whole, fraction = whole.lstrip("0"), fraction if whole != "0" else fraction.lstrip("0")
    if not fraction:
        whole = whole.rstrip("0")
    sizes = (len(whole) + 1) // 2 + (len(fraction) + 1) // 2 + kept.startswith("-")
    assert number_size(kept) == number_size(text) == 1 + sizes
