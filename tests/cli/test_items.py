"""Items from the command line: as they are stored, and as a model says."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from .conftest import Counted, Order, Payment

pytestmark = pytest.mark.engine

HERE = "tests.cli.conftest"


def test_an_item_is_stored_and_shown_with_all_its_digits_and_types(run, tables):
    item = '{"id":"p1","amount":12345678901234567890.5,"tags":{"$SS":["a","b"]},"raw":{"$B":"AAE="},"m":{"$M":{"$x":null}}}'
    assert run("put", "payments", item).code == 0
    ran = run("get", "payments", "p1")
    assert ran.code == 0
    assert json.loads(ran.out, parse_float=Decimal) == json.loads(item, parse_float=Decimal)

    wire = run("get", "payments", "p1", "--dynamodb-json").out
    assert json.loads(wire) == {
        "id": {"S": "p1"},
        "amount": {"N": "12345678901234567890.5"},
        "tags": {"SS": ["a", "b"]},
        "raw": {"B": "AAE="},
        "m": {"M": {"$x": {"NULL": True}}},
    }


def test_dynamodbs_own_json_is_known_by_its_key(run, tables):
    assert run("put", "payments", '{"id":{"S":"p2"},"amount":{"N":"7"}}').code == 0
    assert json.loads(run("get", "payments", "p2").out) == {"id": "p2", "amount": 7}


def test_an_item_is_read_from_the_input(run, tables, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO('{"id":"p3"}'))
    assert run("put", "payments", "-").code == 0
    assert run("get", "payments", "p3").out == '{"id":"p3"}\n'


def test_what_is_there_is_replaced_unless_it_must_be_absent(run, refused, tables):
    run("put", "payments", '{"id":"p1","amount":1}')
    told = refused(1, "put", "payments", '{"id":"p1","amount":2}', "--if-absent")
    assert "without --if-absent it is replaced" in told
    assert json.loads(run("get", "payments", "p1").out) == {"id": "p1", "amount": 1}
    assert run("put", "payments", '{"id":"p1","amount":2}').code == 0
    assert json.loads(run("get", "payments", "p1").out) == {"id": "p1", "amount": 2}
    assert run("put", "payments", '{"id":"p9"}', "--if-absent").code == 0


def test_an_item_is_deleted_when_that_is_confirmed(run, refused, tables):
    run("put", "payments", '{"id":"p1"}')
    assert "--yes" in refused(2, "delete", "payments", "p1")
    assert run("get", "payments", "p1").code == 0
    assert run("delete", "payments", "p1", "--yes").code == 0
    assert "no item" in refused(3, "delete", "payments", "p1", "--yes")
    assert "no item" in refused(3, "get", "payments", "p1")


def test_a_partition_is_shown_in_order_and_from_an_index(run, refused, tables):
    for number in (3, 1, 20):
        tables.put(Order(customer="c1", number=number))
    tables.put(Order(customer="c2", number=5))

    def numbers(*arguments):
        return [json.loads(line)["number"] for line in run("query", "orders", *arguments).lines]

    assert numbers("c1") == [1, 3, 20]
    assert numbers("c1", "--desc", "--limit", 2) == [20, 3]
    assert numbers("new", "--index", "by-status") == [1, 3, 5, 20]
    assert numbers("nobody") == []
    assert "it has by-status" in refused(3, "query", "orders", "new", "--index", "by-statsu")
    assert "--begins is for" in refused(2, "query", "orders", "c1", "--begins", "x")


def test_a_scan_shows_everything_over_many_pages(run, tables):
    for number in range(7):
        tables.put(Payment(id=f"p{number}", note="x" * 300_000))
    found = run("scan", "payments", "--json").lines
    assert sorted(json.loads(line)["id"] for line in found) == [f"p{number}" for number in range(7)]
    assert len(run("scan", "payments", "--limit", 5).lines) == 5


def test_keys_are_read_by_their_types(run, refused, tables):
    tables.put(Order(customer="c1", number=7))
    assert run("get", "orders", "c1", "7").code == 0
    assert "'number' is a number" in refused(2, "get", "orders", "c1", "seven")
    assert "a sort key, 'number': give SK" in refused(2, "get", "orders", "c1")
    assert "no sort key: leave SK out" in refused(2, "get", "payments", "p1", "7")


def test_items_as_a_model_says(run, refused, tables):
    assert run("put", "Payment", '{"id":"p1","amount":5,"pin":"1234"}', "--models", HERE).code == 0
    ran = run("get", "payments", "p1", "--models", HERE)
    assert json.loads(ran.out) == {"id": "p1", "amount": 5, "note": None, "pin": "<hidden>"}
    assert tables.require(Payment, "p1").pin == "1234"
    assert [json.loads(line)["id"] for line in run("scan", "Payment", "--models", HERE).lines] == ["p1"]

    run("put", "Order", '{"customer":"c1","number":2}', "--models", HERE)
    assert json.loads(run("query", "Order", "c1", "--desc", "--models", HERE).out)["number"] == 2
    assert json.loads(run("query", "Order", "new", "--index", "by-status", "--models", HERE).out)["number"] == 2
    assert run("get", "Order", "c1", "2", "--models", f"{HERE}:Order").code == 0

    told = refused(1, "put", "Payment", '{"id":"p1","amuont":5}', "--models", HERE)
    assert "Payment has no field 'amuont'" in told
    told = refused(1, "put", "Payment", '{"id":"p1","amount":"five"}', "--models", HERE)
    assert "Payment.amount" in told
    assert "five" not in told
    assert "Order.number" in refused(2, "get", "Order", "c1", "x", "--models", HERE)
    refused(3, "delete", "Payment", "p7", "--yes", "--models", HERE)
    assert run("delete", "Payment", "p1", "--yes", "--models", HERE).code == 0
    assert tables.get(Payment, "p1") is None


def test_a_version_that_is_given_is_a_condition(run, refused, db):
    db.tables.ensure(Counted)
    counted = ("--models", f"{HERE}:Counted")
    assert run("put", "Counted", '{"id":"c1","amount":1,"note":"n","pin":"1234"}', *counted).code == 0
    assert run("put", "Counted", '{"id":"c1","amount":2,"version":0}', *counted).code == 0
    found = db.require(Counted, "c1")
    assert (found.amount, found.note, found.pin, found.version) == (2, "n", "1234", 1)
    assert "read it again" in refused(1, "put", "Counted", '{"id":"c1","amount":3,"version":0}', *counted)
    assert "there is none" in refused(1, "put", "Counted", '{"id":"c2","version":0}', *counted)
    assert "'version'" in refused(2, "put", "Counted", '{"id":"c2","version":0}', "--if-absent", *counted)
    assert "Counted.id" in refused(1, "put", "Counted", '{"version":0}', *counted)
    shown = run("get", "Counted", "c1", *counted).out
    assert "Counted.pin is <hidden>" in refused(1, "put", "Counted", shown, *counted)
    found = db.require(Counted, "c1")
    assert (found.amount, found.pin, found.version) == (2, "1234", 1)


def test_a_number_as_text_is_refused_as_the_schema_of_the_model_says(refused, run, tables):
    told = refused(1, "put", "Payment", '{"id":"p1","amount":"3"}', "--models", HERE)
    assert "Payment.amount: expected `int`, got `str`" in told
    assert run("put", "Payment", '{"id":"p1","amount":3}', "--models", HERE).code == 0


def test_a_newcomer_is_told_what_there_is(refused, run, tables):
    for text in ("@item.json", "{'id': 'p1'}", "[1]"):
        assert "- in place of the item reads it from the input" in refused(1, "put", "payments", text)
    told = refused(2, "query", "payments", "p1", "--filter", "x")
    assert "there is --index, --begins, --desc, --limit, --consistent, --dynamodb-json" in told
    assert "behind a --" in refused(2, "get", "payments", "-x")
    run("put", "payments", '{"id":"-x"}')
    assert run("get", "payments", "--", "-x").code == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no JSON"),
        ("[1]", "an item is a JSON object"),
        ('{"id":"p","id":"q"}', "stands twice"),
        ('{"id":"p","n":NaN}', "NaN"),
        ('{"id":{"S":"p"},"n":{"N":5}}', "the attribute 'n' is no attribute value"),
        ('{"id":"p","b":{"$B":"*"}}', "no base64"),
        ('{"id":"p","s":{"$SS":[1]}}', "holds something else"),
        ('{"amount":1}', "key"),  # in the words of the engine
        ('{"id":5}', "Type mismatch for key"),
        ('{"id":"p","a":' + "[" * 100_000 + "}", "deep"),
    ],
)
def test_what_is_no_item_is_refused_on_one_line(refused, tables, stored, text, says):
    assert says in refused(1, "put", "payments", text)
    assert stored("payments") == []
