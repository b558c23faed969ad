"""The item that came is the one that was asked for: what the quick look says yes to, the bytes say, too."""

import json
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dynamorm import Attr, Model, attr, partition_key, sort_key
from dynamorm.codec import Registry
from dynamorm.codec.address import is_of, leads
from dynamorm.errors import MalformedResponse


class Pair(Model, table="pairs"):
    n: Attr[int] = attr(default=0)  # declared before the key
    b: Attr[str] = sort_key()
    a: Attr[str] = partition_key()


class Named(Model, table="named"):
    id: Attr[UUID] = partition_key()


PAIR, NAMED = Registry().codec(Pair), Registry().codec(Named)
text = st.text(st.sampled_from('ab"\\{}:,é\n'), min_size=1, max_size=6) | st.text(min_size=1, max_size=4)


def wire(first, second, **more):
    return json.dumps(
        {"a": {"S": first}, "b": {"S": second}} | {name: {"N": f"{n}"} for name, n in more.items()},
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode("utf-8", "surrogatepass")


@given(text, text, text, text, st.booleans())
@example('a\\"b', "c", 'a"b', "c", False)  # an escape in the key looks like the text that holds it
@example('a"},"b":{"S":"b', "c", "a", 'b"},"b":{"S":"c', True)
@example("a", "b", "a", "b", False)
@example("a", "b", "a", "bc", False)
@example("a", "bc", "a", "b", True)
def test_what_is_read_has_the_very_key(first, second, wanted_first, wanted_second, more):
    asked = PAIR.key_json((wanted_first, wanted_second))
    body = b'{"Item":%b}' % wire(first, second, **({"n": 5} if more else {}))
    if (first, second) == (wanted_first, wanted_second):
        found = PAIR.read_item_of(asked, body)
        assert (found.a, found.b, found.n) == (first, second, 5 if more else 0)
    else:
        with pytest.raises(MalformedResponse, match="another key"):
            PAIR.read_item_of(asked, body)


@given(text, text)
def test_the_order_of_the_attributes_and_their_escapes_do_not_matter(first, second):
    asked = PAIR.key_json((first, second))
    body = json.dumps({"Item": {"b": {"S": second}, "n": {"N": "1"}, "a": {"S": first}}}, indent=1).encode()
    found = PAIR.read_item_of(asked, body)
    assert (found.a, found.b, found.n) == (first, second, 1)


def test_a_key_in_another_spelling_is_another_key():
    one = UUID(int=10)
    asked = NAMED.key_json((one,))
    assert NAMED.read_item_of(asked, b'{"Item":%b}' % asked).id == one
    with pytest.raises(MalformedResponse, match="another key"):
        NAMED.read_item_of(asked, b'{"Item":{"id":{"S":"%b"}}}' % str(one).upper().encode())


def test_what_it_says_nothing_of_is_told_by_the_bytes():
    for first, second in (('q"', "b"), ("a", "\\"), ("x", "y")):
        raw = wire(first, second)
        assert is_of(raw, raw, leads(["a", "b"]))
        assert not is_of(raw, wire(first, second + "z"), leads(["a", "b"]))
