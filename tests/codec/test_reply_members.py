"""Replies that tell what they cost: `ConsumedCapacity` beside the items is read past, as strictly and as fast as without."""

import json
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynamorm.codec import Registry, expect_empty
from dynamorm.codec.partial.reader import reader
from dynamorm.codec.replies import reading
from dynamorm.codec.replies.batches import Asked, BatchReading, leaves_nothing, read_unprocessed
from dynamorm.codec.strict import LONGEST_PROVEN, holds_nothing
from dynamorm.errors import MalformedResponse
from dynamorm.models.declare import Attr, attr, partition_key, version
from dynamorm.models.model import Model


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    owner: Attr[UUID | None] = attr(default=None)
    version: Attr[int] = version()


CODEC = Registry().codec(Payment)
KEY = b'{"id":{"S":"p"}}'
ITEM = b'{"id":{"S":"p"},"amount":{"N":"5"},"version":{"N":"1"}}'
SPELLED = b'{"id":{"S":"p"},"amount":{"N":"5"},"owner":{"S":"1F0C7A52-6D5E-4B8E-9A61-000000000001"}}'
UNKNOWN = b'{"id":{"S":"p"},"amount":{"N":"5"},"other":{"L":[{"M":{"Items":{"L":[]}}}]}}'
TOTAL = b'{"TableName":"payments","CapacityUnits":0.5}'
INDEXES = (
    b'{"TableName":"payments","CapacityUnits":2.5,"Table":{"CapacityUnits":1.5},'
    b'"GlobalSecondaryIndexes":{"by-day":{"CapacityUnits":1.0}}}'
)

CONSUMED = st.sampled_from(
    [
        TOTAL,
        INDEXES,
        b"[%b,%b]" % (TOTAL, INDEXES),
        b'{"TableName" : "payments",\n"CapacityUnits":1e0}',
        b'{"a":1,"a":1}',
        b'{"Items":[{"id":{"S":"q"}}],"Item":{"id":{"S":"q"}},"Attributes":{}}',
        b'{"Responses":{"payments":[{"id":{"S":"q"}}]}}',
        b'{"text":"\\",\\"Item\\":{}"}',
        b'{"Table":{"CapacityUnits":0.5,"CapacityUnits":0.5}}',
        b"null",
        b"[]",
        b"{}",
        b'{"long":"%b"}' % (b"x" * LONGEST_PROVEN),
    ]
)
SPACE = st.sampled_from([b"", b"", b"", b" ", b"\n\t"])


@st.composite
def bodies(draw, member, held):
    """A reply with a member, and what else it may have, in any order and style; the member's text."""
    text = draw(held)
    members = [(member, text)]
    members += [("ConsumedCapacity", draw(CONSUMED)) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])))]
    if draw(st.sampled_from([False, False, False, True])):
        members.append((member, text))
    if draw(st.sampled_from([False, False, True])):
        members.append(("NewMember", draw(CONSUMED)))
    members = draw(st.permutations(members))
    spaces = [draw(SPACE) for _ in range(2)]
    body = b",".join(
        [spaces[0] + json.dumps(name).encode() + b":" + spaces[1] + inner + spaces[1] for name, inner in members]
    )
    return b"{" + body + b"}" + spaces[0], text


def twice(body):
    """Whether a key comes twice anywhere."""
    found = []

    def pairs(members):
        found.append(len(dict(members)) != len(members))
        return dict(members)

    json.loads(body, object_pairs_hook=pairs)
    return any(found)


def judged(read, body, expected):
    """As without the other members, or refused for a key that comes twice."""
    if twice(body):
        with pytest.raises(MalformedResponse):
            read(body)
    else:
        assert read(body) == expected


def told(obj):
    return obj, CODEC.loaded(obj)


@given(bodies("Item", st.sampled_from([ITEM, SPELLED, UNKNOWN])))
@example((b'{"Item":%b,"ConsumedCapacity":%b}' % (SPELLED, TOTAL), SPELLED))
@example((b'{"ConsumedCapacity":%b,"Item":%b}' % (TOTAL, SPELLED), SPELLED))
def test_an_item_is_read_whatever_stands_beside_it(drawn):
    body, item = drawn
    expected = told(CODEC.reading.item_of(KEY, b'{"Item":%b}' % item))
    judged(lambda body: told(CODEC.reading.item_of(KEY, body)), body, expected)
    if not twice(body):
        with pytest.raises(MalformedResponse, match="another key"):
            CODEC.reading.item_of(b'{"id":{"S":"q"}}', body)


@given(bodies("Attributes", st.sampled_from([ITEM, SPELLED, UNKNOWN])))
@example((b'{"ConsumedCapacity":%b,"Attributes":%b}' % (INDEXES, SPELLED), SPELLED))
def test_attributes_are_read_whatever_stands_beside_them(drawn):
    body, item = drawn
    expected = told(CODEC.reading.attributes(b'{"Attributes":%b}' % item, KEY))
    judged(lambda body: told(CODEC.reading.attributes(body, KEY)), body, expected)
    judged(lambda body: CODEC.attributes_json(body, KEY), body, item)


def page_of(items, count=None):
    return b"[" + b",".join(items) + b'],"Count":%d' % (len(items) if count is None else count)


@given(bodies("Items", st.lists(st.sampled_from([ITEM, SPELLED, UNKNOWN]), max_size=3).map(page_of)))
@example((b'{"ConsumedCapacity":{"Items":[%b]},"Items":%b}' % (ITEM, page_of([SPELLED])), page_of([SPELLED])))
def test_a_page_is_read_whatever_stands_beside_it(drawn):
    body, items = drawn

    def read(body):
        objects, *rest = CODEC.reading.page(body)
        return list(map(told, objects)), rest

    judged(read, body, read(b'{"Items":' + items + b"}"))


def response_of(items):
    return b'{"payments":[' + b",".join(items) + b"]}"


@given(bodies("Responses", st.lists(st.sampled_from([ITEM, SPELLED, UNKNOWN]), max_size=1).map(response_of)))
@example((b'{"ConsumedCapacity":{"Responses":%b},"Responses":%b}' % (response_of([ITEM]), response_of([SPELLED])), response_of([SPELLED])))  # fmt: skip
def test_a_batch_is_read_whatever_stands_beside_it(drawn):
    body, items = drawn

    def read(body):
        objects, left = CODEC.reading.read_batch(body, Asked(("id",), [KEY]))
        return [(position, told(obj)) for position, obj in objects], left

    if "NewMember" in json.loads(body):
        with pytest.raises(MalformedResponse):
            read(body)
    else:
        judged(read, body, read(b'{"Responses":' + items + b"}"))


@given(CONSUMED, SPACE)
def test_what_holds_nothing_is_told(consumed, space):
    body = b'{%b"ConsumedCapacity":%b}' % (space, consumed)
    if twice(body):
        assert not holds_nothing(body)
        with pytest.raises(MalformedResponse):
            expect_empty(body)
        return
    assert holds_nothing(body) == (not space and len(consumed) <= LONGEST_PROVEN)
    assert expect_empty(body) == json.loads(body)
    assert CODEC.reading.item_of(KEY, body) is CODEC.attributes_json(body, KEY) is None
    done = body[:-1] + b',"UnprocessedItems":{}}'
    assert leaves_nothing(done) == holds_nothing(body)
    assert read_unprocessed(done, {}) == []


def test_what_is_not_only_consumed_capacity_is_not_nothing():
    for body in (b"", b"[]", b'{"Item":{}}', b'{"ConsumedCapacity":1,"Item":{}}', b'{"ConsumedCapacity":1,"x":1}'):
        assert not holds_nothing(body)
    assert not leaves_nothing(b'{"UnprocessedItems":{"t":[]},"ConsumedCapacity":1}')
    assert not leaves_nothing(b'{"UnprocessedItems":{},"ConsumedCapacity":1,"x":1}')


@pytest.fixture
def fast(monkeypatch):
    """Nothing may take the careful path."""

    def careful(*_):
        raise AssertionError("the fast decoder was left")

    monkeypatch.setattr(reading.Reading, "_careful_reply", careful)
    monkeypatch.setattr(reading, "raw_page", careful)
    monkeypatch.setattr(reading, "raw_item", careful)
    monkeypatch.setattr(BatchReading, "_careful", careful)


@pytest.mark.parametrize("item", [ITEM, SPELLED], ids=["plain", "spelled"])
@pytest.mark.parametrize("consumed", [TOTAL, INDEXES], ids=["total", "indexes"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_consumed_capacity_does_not_leave_the_fast_decoder(fast, item, consumed, first):
    def body(members, consumed=consumed):
        cost = b'"ConsumedCapacity":' + consumed
        return b"{" + (cost + b"," + members if first else members + b"," + cost) + b"}"

    assert told(CODEC.reading.item_of(KEY, body(b'"Item":' + item)))[1] == item
    assert CODEC.read_item(body(b'"Item":' + item)).id == "p"
    assert told(CODEC.reading.attributes(body(b'"Attributes":' + item), KEY))[1] == item
    assert CODEC.attributes_json(body(b'"Attributes":' + item), KEY) == item
    objects, *_ = CODEC.reading.page(body(b'"Items":' + page_of([item, item])))
    assert [told(obj)[1] for obj in objects] == [item, item]
    many = reading.MANY + 1
    assert len(CODEC.reading.page(body(b'"Items":' + page_of([item] * many)))[0]) == many
    responses = b'"Responses":{"payments":[%b]},"UnprocessedKeys":{}' % item
    ((_, obj),), _ = CODEC.reading.read_batch(body(responses, b"[%b]" % consumed), Asked(("id",), [KEY]))
    assert told(obj)[1] == item
    if item is ITEM:
        partly = reader(CODEC, ["amount"])
        shown = b'{"id":{"S":"p"},"amount":{"N":"5"}}'
        assert partly.read_item(body(b'"Item":' + shown)).amount == 5
        assert partly.read_page(body(b'"Items":' + page_of([shown]))).items[0].amount == 5
    assert CODEC.reading.item_of(KEY, b'{"ConsumedCapacity":%b}' % consumed) is None
