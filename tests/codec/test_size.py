"""Sizes by DynamoDB's rules, from its documentation."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.codec.strict import dumps
from dynamorm.codec.types.document import from_wire, to_wire
from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.size import check_key
from dynamorm.engine.sizes import item_size, number_size, value_size
from tests.codec.values import documents


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"a": {"S": "b"}}, 2),
        ({"name": {"S": "é"}}, 6),
        ({"a": {"B": b"123"}}, 4),
        ({"a": {"B": "MTIz"}}, 4),
        ({"a": {"B": "MQ=="}}, 2),
        ({"a": {"BOOL": True}, "b": {"NULL": True}}, 4),
        ({"a": {"L": []}}, 4),
        ({"a": {"L": [{"S": "x"}, {"NULL": True}]}}, 8),
        ({"a": {"M": {}}}, 4),
        ({"a": {"M": {"bc": {"S": "x"}}}}, 8),
        ({"a": {"SS": ["x", "yz"]}}, 4),
        ({"a": {"NS": ["1", "22"]}}, 5),
        ({"a": {"BS": [b"x", "MQ=="]}}, 3),
        ({}, 0),
    ],
)
def test_known_sizes(item, size):
    assert item_size(item) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 1), ("1", 2), ("-1", 3), ("12", 2), ("100", 2), ("123", 3), ("0.5", 2), ("1E+100", 2), ("-123.45", 5)],
)
def test_sizes_of_numbers(text, size):
    assert number_size(text) == size


MEASURED = (
    ("0", 1), ("1", 2), ("12", 2), ("123", 3), ("1234", 3), ("12345678901234567890123456789012345678", 20), ("0042", 2), ("100", 2),
    ("1010", 3), ("0.0000001", 2), ("1E125", 2), ("1E-100", 2), ("1.5", 3), ("15", 2), ("1.2", 3), ("1.200", 3), ("1.234", 4),
    ("3.14159", 5), ("123456", 4), ("100.5", 4), ("0.15", 2), ("-42", 3), ("-0", 1),
)  # fmt: skip
"""Numbers that were measured on AWS to the byte: Parity Suite, src/item-size.ts, eu-west-2, 2026-08-18."""


@pytest.mark.parametrize(("text", "size"), MEASURED)
def test_sizes_that_were_measured_on_aws(text, size):
    assert number_size(text) == size


@settings(max_examples=100)
@given(st.dictionaries(st.text(min_size=1, max_size=5), documents, max_size=4))
def test_the_json_of_an_item_is_never_shorter_than_its_size(values):
    item = {name: to_wire(value) for name, value in values.items() if name.isprintable()}
    raw = dumps(item)
    assert item_size(item) <= len(raw)
    assert item_size(json.loads(raw)) == item_size(item)
    assert {name: from_wire(one) for name, one in item.items()} == {name: values[name] for name in item}


@pytest.mark.parametrize("wire", [{"BOOL": True}, {"L": []}, {"NULL": True}, {"S": ""}, {"B": b""}, {"S": "é" * 600}])
def test_what_can_be_no_key(wire):
    with pytest.raises(Mismatch):
        check_key(wire, 1024)


def test_what_can_be_a_key():
    for wire in ({"S": "a"}, {"N": "0"}, {"B": b"x" * 1024}, {"S": "é" * 512}):
        check_key(wire, 1024)
    assert value_size({"S": "é" * 512}) == 1024


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"S": "a", "N": "1"},
        {"X": 1},
        {"S": 1},
        {"N": "x"},
        {"B": "="},
        {"NULL": False},
        [],
        {"L": [{"S": 1}]},
        {"SS": [1]},
    ],
)
def test_what_is_no_wire_value(wire):
    with pytest.raises(Mismatch):
        from_wire(wire)
