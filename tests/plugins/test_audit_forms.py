"""The bytes of which records and seals are made: the same for ever, for what was recorded is verified by later versions."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dynamorm.plugins.audit.values import bytes_differ, bytes_of, joined, mac, plain, state_bytes

FORMS = {
    "text": ({"S": "ba"}, b'{"S":"ba"}', "ba"),
    "number": ({"N": "12"}, b'{"N":"12"}', 12),
    "number with a point": ({"N": "1.50"}, b'{"N":"1.5"}', Decimal("1.5")),
    "number with a power": ({"N": "1E+2"}, b'{"N":"100"}', 100),
    "number with zeros": ({"N": "0012"}, b'{"N":"12"}', 12),
    "zero": ({"N": "-0.0"}, b'{"N":"0"}', 0),
    "boolean": ({"BOOL": True}, b'{"BOOL":true}', True),
    "null": ({"NULL": True}, b'{"NULL":true}', None),
    "binary": ({"B": "YmE="}, b'{"B":"YmE="}', b"ba"),
    "binary that is about to be sent": ({"B": b"ba"}, b'{"B":"YmE="}', b"ba"),
    "list": ({"L": [{"N": "2.0"}, {"S": "a"}]}, b'{"L":[{"N":"2"},{"S":"a"}]}', [2, "a"]),
    "map": ({"M": {"b": {"N": "2.0"}, "a": {"S": "ba"}}}, b'{"M":{"a":{"S":"ba"},"b":{"N":"2"}}}', {"b": 2, "a": "ba"}),
    "texts": ({"SS": ["b", "a"]}, b'{"SS":["a","b"]}', ["a", "b"]),
    "numbers": ({"NS": ["10", "2.0"]}, b'{"NS":["10","2"]}', [2, 10]),
    "binaries": ({"BS": ["Yg==", "YQ=="]}, b'{"BS":["YQ==","Yg=="]}', [b"a", b"b"]),
    "binaries that are about to be sent": ({"BS": [b"b", b"a"]}, b'{"BS":["YQ==","Yg=="]}', [b"a", b"b"]),
}


@pytest.mark.whole
@pytest.mark.parametrize(("wire", "form", "value"), FORMS.values(), ids=list(FORMS))
def test_a_value_has_one_form(wire, form, value):
    assert bytes_of(wire) == form
    assert plain(wire) == value
    assert not bytes_differ(wire, wire)
    assert bytes_differ(wire, None)
    assert bytes_differ(None, wire)


def test_other_values_have_other_forms():
    forms = [bytes_of(wire) for wire, _, _ in FORMS.values()]
    assert bytes_of({"S": "ab"}) not in forms
    assert bytes_differ({"S": "ab"}, {"S": "ba"})
    assert bytes_differ({"S": "1"}, {"N": "1"})
    assert bytes_differ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]})
    assert bytes_of(None) == b""
    assert plain(None) is None


def test_what_waits_for_its_stored_form_is_always_another_value():
    assert bytes_differ({"sealed later": object()}, {"sealed later": object()})


def test_parts_are_told_apart():
    assert joined(b"a", b"bc", b"") == b"\0\0\0\1a\0\0\0\2bc\0\0\0\0"
    assert joined() == b""
    assert mac(b"key", b"a", b"bc").hex() == "c3a351d2833ea2cf478fc38c54569be99f1d76f7bc6bcf05ad6c32666254b133"
    assert mac(b"key", b"ab", b"c") != mac(b"key", b"a", b"bc")
    state = {"b": {"N": "1.0"}, "a": {"S": "x"}}
    assert state_bytes(["b", "a", "none"], state) == joined(b"a", b'{"S":"x"}', b"b", b'{"N":"1"}', b"none", b"")
