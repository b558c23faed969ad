"""Items that are alike are read by their form: stored and answered as ever, and never measured otherwise."""

import json
import random
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.engine import Engine
from dynamorm.engine.answers import encode
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.shapes import forms
from dynamorm.engine.shapes.forms import Alike, Form, Forms, decode_item
from dynamorm.engine.values.keys import KeyAttribute, KeyNames, key_maker
from dynamorm.engine.values.measure import measure_item

from .conftest import index, table

texts = st.text(max_size=12) | st.sampled_from(["", "a\\b", 'a"b', "\x00", "\x1f", "\x7f", "é", "💶", "x" * 300])
numbers = (
    st.integers(-(10**20), 10**20).map(str)
    | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str)
    | st.sampled_from(
        ["0", "-0", "00", "1.0", "0.5", "-0.5", "1e3", "100", "1.50", "+1", "9" * 39, "0.001", "", "x", "1\n"]
    )
)
binaries = st.binary(max_size=9).map(lambda raw: b64encode(raw).decode()) | st.sampled_from(
    ["AB==", "AAB=", "A", "A-_=", "="]
)
leaves = {"S": texts, "N": numbers, "B": binaries, "BOOL": st.booleans(), "NULL": st.just(True)}
values = st.recursive(
    st.one_of(*(payload.map(lambda one, tag=tag: {tag: one}) for tag, payload in leaves.items())),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda one: {"L": one})
        | st.lists(texts.map(lambda one: {"S": one}), max_size=4).map(lambda one: {"L": one})
        | st.dictionaries(texts, inner, max_size=3).map(lambda one: {"M": one})
    ),
    max_leaves=6,
)
items = st.dictionaries(texts.filter(bool), values, min_size=1, max_size=5)
KEYS = KeyNames((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "N"),))


def redrawn(draw, value):
    """Another value of the same form, or nearly so."""
    ((tag, payload),) = value.items()
    if tag == "L":
        return {"L": [redrawn(draw, one) for one in payload] if draw(st.booleans()) else draw(st.just(payload))}
    if tag == "M":
        return {"M": {name: redrawn(draw, one) for name, one in payload.items()}}
    return {tag: draw(leaves[tag])}


@given(st.data(), items, st.text(max_size=5), st.integers(-50, 50))
@settings(max_examples=400, deadline=None)
def test_what_fits_a_form_is_stored_as_it_came_and_has_the_size_and_the_key_that_it_is_measured_to_have(
    data, others, partition, number
):
    first = {"pk": {"S": partition}, "sk": {"N": str(number)}, **others}
    try:
        form = Form(first)
    except forms._Unfit:
        return
    second = {name: redrawn(data.draw, value) for name, value in first.items()}
    for item in (first, second):
        raw = encode(item)
        match = form.fits(raw)
        if match is None:
            continue
        measured = decode_item(raw)
        size = measure_item(measured)  # what fits is not refused
        assert form.size(raw, match) == size
        assert encode(measured) == raw
        key = form.key(match, KEYS)
        assert key is None or key == key_maker(KEYS)(measured)


def test_a_form_takes_whatever_is_spelled_as_it_is_stored():
    item = {
        "pk": {"S": "é"}, "sk": {"N": "-12.5"}, "b": {"B": "AAEC"}, "yes": {"BOOL": True}, "no": {"NULL": True},
        "texts": {"L": [{"S": "a"}]}, "mixed": {"L": [{"N": "1"}, {"S": "b"}]}, "map": {"M": {"x": {"N": "100"}, "y": {"M": {}}}},
    }  # fmt: skip
    form = Form(item)
    item |= {"sk": {"N": "100"}, "texts": {"L": []}, "yes": {"BOOL": False}, "b": {"B": "AQ=="}}
    match = form.fits(encode(item))
    assert form.size(encode(item), match) == measure_item(item)
    assert form.key(match, KEYS) == key_maker(KEYS)(item)


@pytest.mark.parametrize("item", [{"a": {"SS": ["x"]}}, {'a"': {"S": "x"}}, {"a": {"L": [{"M": {"": {"S": ""}}}]}}])
def test_no_form_is_made_of_what_may_be_spelled_otherwise_or_is_refused(item):
    with pytest.raises(forms._Unfit):
        Form(item)


def test_a_form_is_made_of_the_items_of_a_table_and_given_up_where_they_are_never_alike():
    alike, unlike = Forms(), Forms()
    rng = random.Random(3)
    for number in range(forms.AFTER * 2):
        raw = encode({"pk": {"S": f"k{number}"}, "n": {"N": str(number)}})
        found = alike.read(raw)
        assert isinstance(found, Alike) is (number >= forms.AFTER)
    for _ in range(forms.AFTER * (forms.TRIES + 1)):
        unlike.read(encode({f"a{rng.random()}": {"S": "x"}}))
    assert unlike.all == ()
    assert unlike.left == 0


def test_an_item_that_is_refused_is_made_no_form():
    found = Forms()
    raw = encode({"pk": {"S": "k"}, "deep": json.loads('{"L":[' * 40 + '{"N":"1"}' + "]}" * 40)})
    for _ in range(forms.AFTER * 3):
        assert not isinstance(found.read(raw), Alike)
    with pytest.raises(Refusal):
        measure_item(decode_item(raw))


# The engine

TABLES = (
    table("alike", "pk", "sk", types={"sk": "N"}),
    table("indexed", "pk", "sk", types={"sk": "N", "g": "S"}, on_global=(index("all", "g"), index("keys", "g", projection="KEYS_ONLY")))
    | {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}},
)  # fmt: skip


def item(number, **others):
    return {
        "pk": {"S": f"k{number % 7}"}, "sk": {"N": str(number)}, "g": {"S": f"g{number % 3}"}, "n": {"N": f"{number}.25"},
        "t": {"S": "é" * (number % 5)}, "f": {"BOOL": number % 2 == 0}, "l": {"L": [{"S": "a"}] * (number % 3)},
    } | others  # fmt: skip


WRONG = (
    {"sk": {"N": "1.0"}}, {"sk": {"S": "1"}}, {"pk": {"S": ""}}, {"pk": {"S": "x" * 3000}}, {"g": {"N": "1"}}, {"g": {"S": ""}}, {"n": {"N": "x"}},
    {"n": {"N": 1}}, {"t": {"S": "x" * 410_000}}, {"t": {"S": None}}, {"t": {}}, {"f": {"BOOL": 1}}, {"l": {"L": [{"S": 1}]}}, {"t": {"S": 'a"\\\n'}},
    {"new": {"S": "x"}}, {"n": {"N": "1e2"}},
)  # fmt: skip


def requests(name):
    """Puts of every kind, of items that are alike and of such as are not."""
    yield from (("PutItem", {"TableName": name, "Item": item(number)}) for number in range(forms.AFTER + 60))
    for number, others in enumerate((*WRONG, {})):
        put = {"TableName": name, "Item": item(number, **others)}
        yield "PutItem", put | {"ReturnValues": "ALL_OLD", "ReturnConsumedCapacity": "INDEXES"}
        yield (
            "PutItem",
            put | {"ConditionExpression": "attribute_not_exists(pk)", "ReturnValuesOnConditionCheckFailure": "ALL_OLD"},
        )
        yield "PutItem", put | {"Expected": {"n": {"Exists": False}}}
        yield "PutItem", put | {"ConditionExpression": "n > :n", "ExpressionAttributeValues": {":n": {"N": "3"}}}
        yield "PutItem", put | {"ExpressionAttributeNames": {"#a": "b"}}
        yield "PutItem", put | {"TableName": "nowhere"}
        yield "PutItem", put | {"ReturnValues": "NEW"}
        another = {"Put": {"TableName": name, "Item": item(900 + number)}}
        yield "TransactWriteItems", {"TransactItems": [another, {"Put": put}], "ReturnConsumedCapacity": "TOTAL"}
        for token in ("a", "a", "b"):
            entries = [{"Put": put | {"ConditionExpression": "attribute_exists(pk)"}}, another]
            yield "TransactWriteItems", {"TransactItems": entries, "ClientRequestToken": f"{token}{number}"}
        yield "TransactWriteItems", {"TransactItems": [another, {"Put": put}, another]}
        yield "TransactWriteItems", {"TransactItems": [{"Put": put, "Delete": None}]}
        entries = [{"PutRequest": {"Item": item(950 + number)}}, {"PutRequest": {"Item": put["Item"]}}]
        yield "BatchWriteItem", {"RequestItems": {name: entries}, "ReturnConsumedCapacity": "INDEXES"}
    yield "PutItem", {"TableName": name, "Item": None}
    yield "PutItem", {"TableName": name}
    yield "PutItem", {"Item": item(1)}
    yield "Scan", {"TableName": name, "ReturnConsumedCapacity": "TOTAL"}
    if name == "indexed":
        for one in ("all", "keys"):
            yield "Scan", {"TableName": name, "IndexName": one}
        yield (
            "Scan",
            {"TableName": name, "FilterExpression": "size(l) = :n", "ExpressionAttributeValues": {":n": {"N": "2"}}},
        )


def answers(names, **how):
    with Engine(**how) as engine:
        for one in TABLES:
            assert engine.handle("CreateTable", encode(one))[0] == 200
        found = [engine.handle(operation, encode(request)) for name in names for operation, request in requests(name)]
        records = [json.loads(data) for _, _, data in engine._core.records.range(b"", b"\xff" * 17)]
        for one in records:
            del one["dynamodb"]["ApproximateCreationDateTime"]
        return found, records


@pytest.mark.parametrize("how", [{}, {"throughput": "enforced"}, {"staleness": 0.0}])
def test_an_item_of_a_known_form_is_answered_as_one_of_an_unknown_form(monkeypatch, how):
    names = [one["TableName"] for one in TABLES]
    monkeypatch.setattr(forms, "_known", {})
    first = answers(names, **how)
    assert all(forms.forms_of(name).all for name in names)
    second = answers(names, **how)
    assert all(forms.forms_of(name).found > 600 for name in names)
    monkeypatch.setattr(forms, "forms_of", lambda _: Forms())
    plain = answers(names, **how)
    assert second == plain
    assert first == plain


def test_a_token_is_that_of_a_transaction_whether_its_items_are_of_a_known_form_or_not(monkeypatch):
    monkeypatch.setattr(forms, "_known", {})
    entries = [{"Put": {"TableName": "alike", "Item": item(number)}} for number in range(3)]
    request = {"TransactItems": entries, "ClientRequestToken": "one", "ReturnConsumedCapacity": "TOTAL"}
    with Engine() as engine:
        engine.handle("CreateTable", encode(TABLES[0]))
        assert b"WriteCapacityUnits" in engine.handle("TransactWriteItems", encode(request))[1]
        for number in range(forms.AFTER):
            engine.handle("PutItem", encode({"TableName": "alike", "Item": item(number)}))
        assert forms.forms_of("alike").all
        spaced = json.dumps(request).encode()
        for body in (encode(request), spaced):
            assert b"ReadCapacityUnits" in engine.handle("TransactWriteItems", body)[1]
        request["TransactItems"][1]["Put"]["Item"]["n"]["N"] = "7"
        status, answer = engine.handle("TransactWriteItems", encode(request))
        assert (status, b"IdempotentParameterMismatch" in answer) == (400, True)
