"""Only DynamoDB's own answers are believed. Semantics, row W11."""

import json
import time
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from dynamorm.codec import Registry, expect_empty, read_count, read_object
from dynamorm.errors import IntegrityError, MalformedResponse, ValidationError
from dynamorm.models.declare import Attr, attr, partition_key, version
from dynamorm.models.model import Model


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    extra: Attr[dict[str, Any]] = attr(default_factory=dict)
    at: Attr[datetime | None] = attr(default=None)
    version: Attr[int] = version()


CODEC = Registry().codec(Payment)
KEY = b'{"id":{"S":"p"}}'
ITEM = b'{"id":{"S":"p"},"amount":{"N":"5"}}'
DEEP = (
    b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"extra":'
    + b'{"M":{"a":' * 100_000
    + b'{"S":"x"}'
    + b"}}" * 100_000
    + b"}}"
)

UNBELIEVABLE = {
    "empty": b"",
    "list": b"[]",
    "null": b"null",
    "number": b"5",
    "text": b'"x"',
    "html": b"<html><body>Please log in</body></html>",
    "bom": b"\xef\xbb\xbf{}",
    "utf-16": '{"Item":{}}'.encode("utf-16"),
    "truncated": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"}',
    "invalid utf-8": b'{"Item":{"id":{"S":"\xff"},"amount":{"N":"5"}}}',
    "invalid utf-8 where the model does not look": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"other":{"S":"\xff"}}}',
    "lone surrogate": b'{"Item":{"id":{"S":"\\ud800"},"amount":{"N":"5"}}}',
    "NaN": b'{"Item":{"id":{"S":"p"},"amount":{"N":NaN}}}',
    "NaN elsewhere": b'{"ConsumedCapacity":NaN}',
    "two bodies": b"{}{}",
    "trailing": b"{}x",
    "duplicate Item": b'{"Item":%s,"Item":%s}' % (ITEM, ITEM),
    "duplicate attribute": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"amount":{"N":"6"}}}',
    "duplicate tag": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5","N":"6"}}}',
    "duplicate escaped": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"\\u0061mount":{"N":"6"}}}',
    "duplicate in a document": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"extra":{"M":{"a":{"S":"x"},"a":{"S":"x"}}}}}',
    "duplicate in an unknown attribute": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"o":{"M":{"a":{"S":"x"},"a":{"S":"x"}}}}}',
    "duplicate with white space": b'{"Item": {"id":{"S":"p"},"amount":{"N":"5"},"amount":{"N":"5"}}}',
    "duplicate in metadata": b'{"Item":%s,"ConsumedCapacity":{"a":1,"a":1}}' % ITEM,
    "deep": DEEP,
    "deep list": b"[" * 100_000,
    "somebody else's object": b'{"status":"ok"}',
    "an error": b'{"__type":"x#InternalServerError","message":"no"}',
    "another operation's answer": b'{"Items":[],"Count":0}',
    "Item is null": b'{"Item":null}',
    "Item is a list": b'{"Item":[]}',
    "attribute is text": b'{"Item":{"id":"p"}}',
    "attribute has no type": b'{"Item":{"id":{},"amount":{"N":"5"}}}',
    "attribute has two types": b'{"Item":{"id":{"S":"p","N":"5"},"amount":{"N":"5"}}}',
    "optional attribute has two types": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"note":{"S":"x","NULL":true}}}',
    "optional attribute has no type": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"note":{}}}',
    "NULL false": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"note":{"NULL":false}}}',
    "unknown type": b'{"Item":{"id":{"X":"p"},"amount":{"N":"5"}}}',
    "number as a number": b'{"Item":{"id":{"S":"p"},"amount":{"N":5}}}',
    "set of numbers as numbers": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"tags":{"NS":[1]}}}',
    "unknown attribute that is none": b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"other":{"S":1}}}',
}


@pytest.mark.parametrize("body", UNBELIEVABLE.values(), ids=list(UNBELIEVABLE))
def test_what_is_no_answer_to_a_read_is_malformed_and_never_nothing(body):
    start = time.thread_time()
    for read, text in (
        (CODEC.read_item, body),
        (CODEC.read_attributes, body.replace(b'"Item"', b'"Attributes"')),
        (partial(CODEC.attributes_json, key=KEY), body.replace(b'"Item"', b'"Attributes"')),
    ):
        with pytest.raises(MalformedResponse) as caught:
            read(text)
        assert isinstance(caught.value, IntegrityError)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
    assert time.thread_time() - start < 5


@pytest.mark.parametrize(
    "body",
    [body for name, body in UNBELIEVABLE.items() if not any(word in name for word in ("attribute", "type", "NULL", "as number", "as a number", "Item is", "object", "error", "operation"))],
)  # fmt: skip
def test_generic_reading_is_as_strict(body):
    with pytest.raises(MalformedResponse):
        read_object(body)
    with pytest.raises(MalformedResponse):
        expect_empty(body)


def test_17_mb_of_rubbish_is_refused_quickly():
    body = b'{"Item":{"id":{"S":"' + b"x" * 17_000_000 + b'"},"amount":{"N":"5"}}'
    start = time.thread_time()
    with pytest.raises(MalformedResponse):
        CODEC.read_item(body)
    assert time.thread_time() - start < 2


class TestGoodAnswers:
    def test_no_item(self):
        assert CODEC.read_item(b"{}") is None
        assert CODEC.read_item(b' { "ConsumedCapacity": {"TableName": "t"}} ') is None
        assert CODEC.read_attributes(b"{}") is None
        assert CODEC.attributes_json(b"{}", KEY) is None

    @pytest.mark.parametrize(
        "body",
        [
            b'{"Item":%s}' % ITEM,
            b'{"ConsumedCapacity":{"CapacityUnits":0.5},"Item":%s}' % ITEM,
            b'{"Item":%s,"NewMember":[1,{"a":null}]}' % ITEM,
            b' {"Item" : {"id" : {"S":"p"}, "amount":{"N":"5"}}}\n',
            b'{"Item":{"\\u0069d":{"S":"\\u0070"},"amount":{"N":"5"}}}',
            b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"other":{"L":[{"BOOL":true},{"BS":["aGk="]}]}}}',
            b'{"Item":{"id":{"S":"p"},"amount":{"N":"5"},"note":{"NULL":true},"tags":{"NULL":true}}}',
        ],
    )
    def test_every_style_of_json_reads_the_same(self, body):
        expected = Payment(id="p", amount=5)
        obj = CODEC.read_item(body)
        assert obj == expected
        assert json.loads(CODEC.loaded(obj)) == json.loads(body)["Item"]
        other = CODEC.read_attributes(body.replace(b'"Item"', b'"Attributes"', 1))
        assert other == expected
        assert CODEC.loaded(other) == CODEC.loaded(obj)
        assert (
            json.loads(CODEC.attributes_json(body.replace(b'"Item"', b'"Attributes"', 1), KEY))
            == json.loads(body)["Item"]
        )

    def test_text_that_json_must_escape(self):
        for text in ('"quoted"', "back\\slash", "line\nend\x00", "é\u2028😀", '{"N":"5"}'):
            raw = CODEC.item_bytes(CODEC.encode(Payment(id="p", amount=5, note=text, extra={text or "x": text})))
            obj = CODEC.read_item(b'{"Item":' + raw + b"}")
            assert (obj.note, obj.extra) == (text, {text: text})

    def test_empty_write_replies(self):
        assert expect_empty(b"{}") == {}
        assert expect_empty(b'{"ConsumedCapacity":{"a":1}}') == {"ConsumedCapacity": {"a": 1}}
        for body in (b'{"Attributes":{}}', b'{"Item":{}}', b'{"message":"hi"}'):
            with pytest.raises(MalformedResponse):
                expect_empty(body)


class TestPages:
    def page(self, items=(ITEM,), **more):
        parts = [b'"Items":[%s]' % b",".join(items), b'"Count":%d' % more.pop("count", len(items))]
        parts += [b'"%s":%s' % (name.encode(), value) for name, value in more.items()]
        return b"{" + b",".join(parts) + b"}"

    def test_items_keys_and_counts(self):
        body = self.page([ITEM] * 3, ScannedCount=b"7", LastEvaluatedKey=b'{"id":{"S":"p"}}')
        for text in (
            body,
            b" " + body,
            self.page(
                [ITEM] * 3,
                ScannedCount=b"7",
                LastEvaluatedKey=b'{"id":{"S":"p"}}',
                ConsumedCapacity=b'{"CapacityUnits":0.5}',
            ),
        ):
            page = CODEC.read_page(text)
            assert page.items == [Payment(id="p", amount=5)] * 3
            assert [CODEC.loaded(one) for one in page.items] == [ITEM] * 3
            assert (page.last_key, page.count, page.scanned) == (b'{"id":{"S":"p"}}', 3, 7)

    def test_an_empty_page(self):
        page = CODEC.read_page(b'{"Items":[],"Count":0,"ScannedCount":0}')
        assert (page.items, page.last_key, page.count, page.scanned) == ([], None, 0, 0)
        assert CODEC.read_page(b'{"Items":[],"Count":0,"LastEvaluatedKey":{}}').last_key is None

    def test_mixed_items_with_unknown_attributes(self):
        other = b'{"id":{"S":"q"},"amount":{"N":"6"},"other":{"S":"x"}}'
        page = CODEC.read_page(self.page([ITEM, other]))
        assert [one.id for one in page.items] == ["p", "q"]
        assert CODEC.loaded(page.items[1]) == other

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b'{"Items":[]}',
            b'{"Count":0}',
            b'{"Items":{},"Count":0}',
            b'{"Items":null,"Count":0}',
            b'{"Items":[],"Count":1}',
            b'{"Items":[],"Count":-1}',
            b'{"Items":[],"Count":"0"}',
            b'{"Items":[],"Count":true}',
            b'{"Items":[],"Items":[],"Count":0}',
            b'{"Items":[],"Count":0,"Count":0}',
            b'{"Items":[null],"Count":1}',
            b'{"Items":[5],"Count":1}',
            b'{"Items":[{"id":{"S":"p"},"id":{"S":"p"},"amount":{"N":"5"}}],"Count":1}',
            b'{"Items":[],"Count":0,"LastEvaluatedKey":[]}',
            b'{"Items":[],"Count":0,"LastEvaluatedKey":{"id":"p"}}',
            b'{"Items":[],"Count":0,"LastEvaluatedKey":{"id":{"S":"p"},"id":{"S":"p"}}}',
            b"",
            b"<html>",
        ],
    )
    def test_what_is_no_page_is_malformed(self, body):
        with pytest.raises(MalformedResponse) as caught:
            CODEC.read_page(body)
        assert caught.value.__context__ is None

    def test_counting(self):
        assert read_count(b'{"Count":3,"ScannedCount":9,"LastEvaluatedKey":{"id":{"S":"p"}}}') == (
            3,
            9,
            b'{"id":{"S":"p"}}',
        )
        assert read_count(b'{"Count":0}') == (0, 0, None)
        for body in (b"{}", b'{"Count":1,"Items":[]}', b'{"Count":-1}', b"[]"):
            with pytest.raises(MalformedResponse):
                read_count(body)


class TestItemsThatDoNotFit:
    @pytest.mark.parametrize(
        ("item", "field", "message"),
        [
            (b'{"id":{"S":"p"}}', "amount", "Payment.amount: the stored item lacks 'amount'"),
            (b'{"id":{"S":"p"},"amount":{"S":"5"}}', "amount", "Payment.amount: the stored item has S where N is expected; another program's form is read by attr(Codec(encode, decode))"),
            (b'{"id":{"S":"p"},"amount":{"NULL":true}}', "amount", "Payment.amount: the stored item has NULL where N is expected; allow None in its type, Attr[... | None], to read it"),
            (b'{"id":{"S":"p"},"amount":{"N":"5.5"}}', "amount", "Payment.amount: the stored N must be int, got a number with a fraction"),
            (b'{"id":{"S":"p"},"amount":{"N":"five"}}', "amount", "Payment.amount: the stored N must be a number, got text that is no number"),
            (b'{"id":{"S":"p"},"amount":{"N":"1E+99999999"}}', "amount", "Payment.amount: the stored N must be a number, got text that is no number"),
            (b'{"id":{"S":"p"},"amount":{"N":"5"},"tags":{"L":[{"N":"1"}]}}', "tags", "Payment.tags: the stored item has L where SS is expected; another program's form is read by attr(Codec(encode, decode))"),
            (b'{"id":{"S":"p"},"amount":{"N":"5"},"extra":{"L":[]}}', "extra", "Payment.extra: the stored item has L where M is expected; another program's form is read by attr(Codec(encode, decode))"),
            (b'{"id":{"S":"p"},"amount":{"N":"5"},"at":{"S":"yesterday"}}', "at", "Payment.at: the stored S must be an RFC 3339 time with a time zone, got other text"),
            (b'{"id":{"S":"p"},"amount":{"N":"5"},"at":{"S":"2024-01-01T00:00:00"}}', "at", "Payment.at: the stored S must be an RFC 3339 time with a time zone, got other text"),
            (b'{"id":{"S":"p"},"amount":{"N":"5"},"at":{"S":"2024-13-01T00:00:00Z"}}', "at", "Payment.at: the stored S must be an RFC 3339 time with a time zone, got an impossible time"),
        ],
    )  # fmt: skip
    def test_a_proper_answer_with_an_item_that_does_not_fit_names_the_field(self, item, field, message):
        page = b'{"Items":[%s],"Count":1}' % item
        for read, body in ((CODEC.read_item, b'{"Item":%s}' % item), (CODEC.decode, item), (CODEC.read_page, page)):
            with pytest.raises(ValidationError) as caught:
                read(body)
            assert caught.value.message == message
            assert caught.value.field == field
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None
