"""decode(encode(x)) == x for every type, and boto3 reads what was meant."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm.codec import Registry
from dynamorm.models.declare import Attr, attr, gsi, partition_key, sort_key
from dynamorm.models.model import Model
from tests.codec.holders import codec_of
from tests.codec.values import decimals, documents, floats, ints, names, text, times


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(Model):
    name: Attr[str] = attr(name="n")
    weight: Attr[Decimal | None] = attr(default=None)
    parts: Attr[list["Leaf"]] = attr(default_factory=list)


leaves = st.recursive(
    st.builds(Leaf, name=text, weight=st.none() | decimals()),
    lambda inner: st.builds(Leaf, name=text, parts=st.lists(inner, max_size=3)),
    max_leaves=5,
)

TYPES = {
    str: text,
    int: ints,
    Decimal: decimals(),
    float: floats,
    bool: st.booleans(),
    bytes: st.binary(max_size=50),
    datetime: times,
    date: st.dates(),
    time: st.times(),
    timedelta: st.timedeltas(),
    UUID: st.uuids(),
    Color: st.sampled_from(Color),
    Literal["a", 1] | None: st.sampled_from(["a", 1, None]),
    list[int | None]: st.lists(st.none() | ints),
    list[datetime]: st.lists(times, max_size=4),
    tuple[int, str, bool]: st.tuples(ints, text, st.booleans()),
    tuple[Decimal, ...]: st.lists(decimals()).map(tuple),
    set[str]: st.sets(text),
    set[int]: st.sets(ints),
    frozenset[Decimal]: st.frozensets(decimals()),
    set[bytes]: st.sets(st.binary(max_size=5)),
    set[float]: st.sets(floats),
    dict[str, list[int]]: st.dictionaries(names, st.lists(ints, max_size=3)),
    dict[int, str]: st.dictionaries(ints, text),
    dict[UUID, Color]: st.dictionaries(st.uuids(), st.sampled_from(Color)),
    dict[str, set[str]]: st.dictionaries(names, st.sets(text, max_size=3), max_size=3),
    str | None: st.none() | text,
    int | str: ints | text,
    list[str] | dict[str, int] | bool: st.lists(text) | st.dictionaries(names, ints) | st.booleans(),
    Leaf: leaves,
    list[Leaf | int]: st.lists(leaves | ints, max_size=3),
    Any: documents,
    dict[str, Any]: st.dictionaries(names, documents, max_size=4),
}


@pytest.mark.parametrize("annotation", TYPES, ids=str)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_encoded_decodes_to_the_same(annotation, data):
    codec = CODECS.setdefault(annotation, None) or codec_of(annotation)
    CODECS[annotation] = codec
    value = data.draw(TYPES[annotation])
    obj = codec.model(id="p", value=value)
    wire = codec.encode(obj)
    raw = codec.item_bytes(wire)
    back = codec.read_item(b'{"Item":' + raw + b"}")
    assert back == obj
    assert codec.loaded(back) == raw
    assert codec.changes(back) == {}
    assert codec.careful.decode(wire, None) == obj
    read = {name: TypeDeserializer().deserialize(one) for name, one in wire.items()}
    assert read.get("value") is None or wire["value"] == codec.encode_field("value", value)
    if (isinstance(value, (str, bool)) and not isinstance(value, Enum)) or isinstance(value, (int, Decimal)):
        assert read["value"] == value


CODECS: dict[Any, Any] = {}


class Everything(Model, table="everything"):
    id: Attr[str] = partition_key()
    at: Attr[datetime] = sort_key()
    color: Attr[Color | None] = attr(default=None)
    amount: Attr[int] = attr(default=0)
    tags: Attr[list[str]] = attr(default_factory=list, omit_empty=True)
    leaf: Attr[Leaf | None] = attr(default=None)
    extra: Attr[Any] = attr(default=None)
    group: Attr[str] = attr(default="")
    by_group = gsi("by-group", partition="group", sort="amount")


@settings(max_examples=30, deadline=None)
@given(
    st.builds(
        Everything,
        id=text.filter(bool),
        at=times,
        color=st.none() | st.sampled_from(Color),
        amount=ints,
        tags=st.lists(text, max_size=3),
        leaf=st.none() | leaves,
        extra=documents,
        group=text,
    ),
    st.lists(st.none(), max_size=2),
)
def test_whole_items_round_trip_alone_and_in_pages(obj, more):
    codec = Registry().codec(Everything)
    raw = codec.item_bytes(codec.encode(obj))
    items = [raw] * (1 + len(more))
    page = codec.read_page(b'{"Items":[%s],"Count":%d}' % (b",".join(items), len(items)))
    assert page.items == [obj] * len(items)
    assert page.last_key is None
    spaced = codec.read_page(b'{ "Items" : [%s], "Count": %d}' % (b" , ".join(items), len(items)))
    assert spaced.items == page.items
    assert codec.key_values(codec.key_of(obj)) == (obj.id, obj.at)
