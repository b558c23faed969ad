"""What a stored item tells a writer: in one decode the same as attribute by attribute."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm import Attr, Model, attr, partition_key, version
from dynamorm.codec import Registry
from dynamorm.codec.library_attributes import LibraryAttributes, merged


class Versioned(Model, table="versioned"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")
    count: Attr[int] = version(name="v")


class Plain(Model, table="plain"):
    """No version, and an attribute that is called so."""

    id: Attr[str] = partition_key()
    version: Attr[int] = attr(default=0)


class Untold(Model, table="untold", write_tokens=False):
    id: Attr[str] = partition_key()


CODECS = {model: Registry().codec(model) for model in (Versioned, Plain, Untold)}
RING = "AAAAAAAAAAE="


def slow(codec: Any, obj: Any, raw: bytes) -> Any:
    return codec.reading.version(raw), codec.ring(raw), codec.unknown(obj)


def fast(codec: Any, obj: Any, raw: bytes) -> Any:
    own = LibraryAttributes(codec)
    number, rest = own.version_and_rest(obj, raw)
    again, ring = own.version_and_ring(raw)
    assert again == number
    return number, ring, rest


def check(model: type, item: dict[str, Any]) -> Any:
    """Both ways give the same; returns it."""
    codec = CODECS[model]
    raw = json.dumps(item, separators=(",", ":")).encode()
    obj = codec.new(id="p")
    codec.mark(obj, raw)
    found = fast(codec, obj, raw)
    assert found == slow(codec, obj, raw)
    return found


def test_the_usual_item():
    item = {"id": {"S": "p"}, "note": {"S": "n"}, "v": {"N": "7"}, "_wt": {"B": RING}}
    assert check(Versioned, item) == (7, b"\0" * 7 + b"\1", {})


def test_an_item_without_version_and_tokens():
    assert check(Versioned, {"id": {"S": "p"}}) == (None, b"", {})


def test_unknown_attributes_are_given():
    item = {"id": {"S": "p"}, "v": {"N": "7"}, "more": {"L": [{"N": "1"}]}}
    assert check(Versioned, item) == (7, b"", {"more": {"L": [{"N": "1"}]}})


@pytest.mark.parametrize("wire", [{"S": "7"}, {"N": "x"}, {"N": "1.5"}, {"N": "1", "S": ""}, {"M": {}}, {"NULL": True}])
def test_somebody_elses_version_is_none_of_ours(wire):
    assert check(Versioned, {"id": {"S": "p"}, "v": wire, "_wt": {"B": RING}}) == (None, b"\0" * 7 + b"\1", {})


@pytest.mark.parametrize("wire", [{"S": RING}, {"B": "*"}, {"BS": [RING]}])
def test_somebody_elses_tokens_are_none_of_ours(wire):
    assert check(Versioned, {"id": {"S": "p"}, "v": {"N": "1E1"}, "_wt": wire}) == (10, b"", {})


def test_a_model_without_version_may_have_an_attribute_of_that_name():
    assert check(Plain, {"id": {"S": "p"}, "version": {"N": "7"}}) == (None, b"", {})
    assert check(Untold, {"id": {"S": "p"}, "_wt": {"B": RING}}) == (None, b"\0" * 7 + b"\1", {})


WIRES = st.sampled_from([{"S": "é"}, {"N": "7"}, {"N": "1E2"}, {"B": RING}, {"NULL": True}, {"M": {"v": {"N": "1"}}}])


@given(
    model=st.sampled_from(list(CODECS)),
    item=st.dictionaries(st.sampled_from(["id", "note", "v", "version", "_wt", "other", "version2"]), WIRES),
)
def test_any_item_reads_the_same_both_ways(model, item):
    check(model, item)


@given(
    item=st.dictionaries(st.text(max_size=3), WIRES), changes=st.dictionaries(st.text(max_size=3), st.none() | WIRES)
)
def test_what_does_not_change_stays_as_it_is(item, changes):
    raw = json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()
    expected = {name: wire for name, wire in {**item, **changes}.items() if wire is not None}
    found = merged(raw, changes)
    assert json.loads(found) == expected
    assert [*json.loads(found)] == [*expected]
