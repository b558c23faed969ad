"""Partial readers: as strict as whole ones, and the same values for what is selected."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, attr, gsi, partition_key, sort_key
from dynamorm.codec.partial.reader import MAX_READERS, index_fields, reader
from dynamorm.codec.registry import Registry
from dynamorm.errors import MalformedResponse, PartialItem, ValidationError


class Colour(Enum):
    RED = "r"


class Inner(Model):
    must: Attr[int]
    may: Attr[str | None] = attr(default=None, name="x")
    deep: Attr[dict[str, int]] = attr(default_factory=dict)


class Whole(Model, table="wholes"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key(name="n")
    text: Attr[str]
    price: Attr[Decimal | None] = attr(default=None)
    at: Attr[datetime] = attr(default=datetime(2024, 1, 1, tzinfo=UTC))
    colour: Attr[Colour] = attr(default=Colour.RED)
    inner: Attr[Inner | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    any: Attr[Any] = attr(default=None)


CODEC = Registry().codec(Whole)
OBJECT = Whole(
    id="i", number=5, text="t", price=Decimal("1.5"), inner=Inner(must=1, may="m", deep={"a": 1, "b": 2}), tags={"a"},
    any=[1, {"k": None}],
)  # fmt: skip
WIRE = json.loads(json.dumps(CODEC.encode(OBJECT)))


def project(wire, places):
    """What DynamoDB answers with for these places: attributes and entries of maps; nothing of what is not there."""
    found = {}
    for place in places:
        source = wire
        *outer, last = place.stored
        for name in outer:
            source = source.get(name, {}).get("M", {})
        if last in source:
            target = found
            for name in outer:
                target = target.setdefault(name, {"M": {}})["M"]
            target[last] = source[last]
    return found


def packed(value):
    return json.dumps(value, separators=(",", ":")).encode()


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(sorted(CODEC.plans)), min_size=1), st.booleans())
def test_what_is_selected_is_as_in_the_whole_object(names, tight):
    part = reader(CODEC, sorted(names))
    item = project(WIRE, part.projection)
    body = {"Item": item}
    found = part.read_item(packed(body) if tight else json.dumps(body, indent=1).encode())
    assert {"id", "number"} <= set(part.names)
    for name in CODEC.plans:
        if name in names or name in {"id", "number"}:
            assert getattr(found, name) == getattr(OBJECT, name)
        else:
            with pytest.raises(PartialItem):
                getattr(found, name)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(["must", "may", "deep", "deep a", "deep z"]), min_size=1))
def test_what_is_selected_inside_is_as_in_the_whole_object(inside):
    paths = {
        "must": Whole.inner[Inner.must], "may": Whole.inner[Inner.may], "deep": Whole.inner[Inner.deep],
        "deep a": Whole.inner[Inner.deep]["a"], "deep z": Whole.inner[Inner.deep]["z"],
    }  # fmt: skip
    part = reader(CODEC, [paths[name] for name in sorted(inside)])
    for wire in (WIRE, {**WIRE, "inner": {"M": {"must": {"N": "1"}}}}, {k: v for k, v in WIRE.items() if k != "inner"}):
        found = part.read_item(packed({"Item": project(wire, part.projection)}))
        whole = CODEC.decode(packed(wire))
        if whole.inner is None:
            assert found.inner is None
            continue
        for name in ("must", "may"):
            if name in inside:
                assert getattr(found.inner, name) == getattr(whole.inner, name)
        if "deep" in inside:
            assert found.inner.deep == whole.inner.deep
        elif "deep a" in inside:
            assert found.inner.deep == {k: v for k, v in whole.inner.deep.items() if k == "a"}


PART = reader(CODEC, ["text"])
GOOD = b'{"id":{"S":"i"},"n":{"N":"5"},"text":{"S":"t"}}'


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"null", b"<html>", b'{"Item":[]}', b'{"Item":{"id":{"S":"i"}', b'{"Other":1}',
        b'{"Item":{"id":{"S":"i"},"id":{"S":"j"},"n":{"N":"5"},"text":{"S":"t"}}}',
        b'{"Item":{"id":{"S":"i","S":"j"},"n":{"N":"5"},"text":{"S":"t"}}}',
        b'{"Item":' + GOOD + b',"Item":' + GOOD + b"}",
        b'{"Item":' + GOOD[:-1] + b',"more":5}}',
    ],
)  # fmt: skip
def test_a_reply_that_cannot_be_believed_is_refused(body):
    with pytest.raises(MalformedResponse):
        PART.read_item(body)


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b'{"Items":[' + GOOD + b'],"Count":2}', b'{"Items":[' + GOOD + b',5],"Count":2}', b'{"Count":0}',
        b'{"Items":[' + GOOD + b'],"Count":1,"Count":1}', b'{"Items":[' + GOOD + b'],"Count":1,"LastEvaluatedKey":5}',
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_believed_is_refused(body):
    with pytest.raises(MalformedResponse):
        PART.read_page(body)


def test_a_page_has_its_key_and_counts():
    page = PART.read_page(b'{"Items":[' + GOOD + b'],"Count":1,"ScannedCount":3,"LastEvaluatedKey":{"id":{"S":"i"}}}')
    assert ([one.text for one in page.items], page.last_key, page.count, page.scanned) == (
        ["t"],
        b'{"id":{"S":"i"}}',
        1,
        3,
    )


def test_what_is_selected_and_required_must_be_there():
    with pytest.raises(ValidationError, match=r"Whole\.text: the stored item lacks 'text'"):
        PART.read_item(b'{"Item":{"id":{"S":"i"},"n":{"N":"5"}}}')
    assert PART.read_item(b"{}") is None


def test_a_reader_is_made_once_for_a_selection():
    assert reader(CODEC, ["text"]) is PART
    assert reader(CODEC, [Whole.text]).names == PART.names
    assert type(reader(CODEC, [Whole.text]).read_item(b'{"Item":' + GOOD + b"}")) is type(
        PART.read_item(b'{"Item":' + GOOD + b"}")
    )


def test_an_index_holds_both_keys_and_what_is_projected():
    class Indexed(Model, table="indexed"):
        id: Attr[str] = partition_key()
        kind: Attr[str]
        text: Attr[str]
        rest: Attr[str]
        keys = gsi("keys", partition="kind", projection="KEYS_ONLY")
        some = gsi("some", partition="kind", projection=("text",))
        every = gsi("every", partition="kind")

    schema = Registry().codec(Indexed).schema
    names = {name: index_fields(schema, index) for name, index in schema.indexes.items()}
    assert names == {
        "keys": ("id", "kind"),
        "some": ("id", "kind", "text"),
        "every": ("id", "kind", "text", "rest"),
    }


def test_many_selections_do_not_pile_up():
    codec = Registry().codec(Whole)
    for number in range(MAX_READERS + 50):
        reader(codec, [Whole.inner[Inner.deep][str(number)]])
    assert len(codec.partials) == 50
