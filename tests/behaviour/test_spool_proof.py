"""How a spool knows again what it has written: its tokens, as they were ever made, and contents however they are spelled."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from dynamorm.ops.verbs.batch_proof import Proof, normal

SECRET = bytes(range(32))
KEY = b'{"id":{"S":"a"}}'


def test_a_token_under_a_version_is_eight_bytes_as_of_any_write_and_half_of_them_are_drawn():
    token = Proof(SECRET).token(b"12345678", "payments", KEY)
    assert token.hex() == "31323334630c102b"
    assert Proof(SECRET).token(b"12345678more", "payments", KEY) == token + b"more"


@pytest.mark.parametrize(
    ("secret", "table", "key"),
    [(bytes(32), "payments", KEY), (SECRET, "payment", KEY), (SECRET, "payments", b'{"id":{"S":"b"}}')],
    ids=["another spool", "another table", "another key"],
)
def test_a_token_is_of_one_spool_one_table_and_one_key(secret, table, key):
    assert Proof(secret).token(b"12345678", table, key) != Proof(SECRET).token(b"12345678", "payments", KEY)


def test_a_put_without_a_version_stores_its_token_the_digest_of_its_content_and_the_cut():
    plain = b'{"id":{"S":"a"},"_wt":{"B":"MTIzNDU2NzgAAAAAAAAAAA=="},"copy":{"B":"MTIzNDU2NzgAAAAAAAAAAA=="}}'
    marked = Proof(SECRET).marked(plain, b"12345678", "payments")
    attributes = json.loads(marked)
    ring = b64decode(attributes["_wt"]["B"])
    assert (ring[:8], ring[16:]) == (b"12345678", bytes(8))
    assert ring[8:16].hex() == "907886f6c0f13a1a"
    assert attributes["copy"] == json.loads(plain)["copy"]  # what only looks like it is the caller's


SAME = {
    "number": ({"N": "1"}, {"N": "1.00"}),
    "power": ({"N": "100"}, {"N": "1E2"}),
    "zero": ({"N": "0"}, {"N": "-0.0"}),
    "long number": ({"N": "1" * 38}, {"N": "1" * 38 + ".0"}),
    "numbers": ({"NS": ["1", "2"]}, {"NS": ["2.0", "1.0"]}),
    "texts": ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}),
    "binaries": ({"BS": ["YQ==", "Yg=="]}, {"BS": ["Yg==", "YQ=="]}),
    "map": ({"M": {"a": {"N": "1"}, "b": {"S": "x"}}}, {"M": {"b": {"S": "x"}, "a": {"N": "1.0"}}}),
    "list": ({"L": [{"N": "1"}, {"SS": ["a", "b"]}]}, {"L": [{"N": "1.0"}, {"SS": ["b", "a"]}]}),
}
OTHER = {
    "number": ({"N": "1"}, {"N": "1.01"}),
    "last digit": ({"N": "1" * 38}, {"N": "1" * 37 + "2"}),
    "kind": ({"N": "1"}, {"S": "1"}),
    "kind of set": ({"SS": ["1"]}, {"NS": ["1"]}),
    "order of a list": ({"L": [{"N": "1"}, {"N": "2"}]}, {"L": [{"N": "2"}, {"N": "1"}]}),
    "name in a map": ({"M": {"a": {"N": "1"}}}, {"M": {"b": {"N": "1"}}}),
    "value in a map": ({"M": {"a": {"N": "1"}}}, {"M": {"a": {"N": "2"}}}),
    "element": ({"SS": ["a", "b"]}, {"SS": ["a", "c"]}),
    "text": ({"S": "1"}, {"S": "1.0"}),
}


@pytest.mark.whole
@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=list(SAME))
def test_one_value_in_two_spellings_is_one_content(one, other):
    assert normal({"id": {"S": "a"}, "x": one}) == normal({"x": other, "id": {"S": "a"}})


@pytest.mark.whole
@pytest.mark.parametrize(("one", "other"), OTHER.values(), ids=list(OTHER))
def test_another_value_is_another_content(one, other):
    assert normal({"x": one}) != normal({"x": other})
