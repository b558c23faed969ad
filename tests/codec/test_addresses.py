"""The item that came is the one that was asked for: what the quick look says yes to, the bytes say, too."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from dynamorm.codec.address import is_of, leads, same_texts
from dynamorm.codec.types.scalars import SCALARS


class Plan:
    """What is asked of the plan of a key attribute."""

    def __init__(self, name, kind):
        self.name = self.stored = name
        self.shape = SCALARS[kind]


class Wire:
    """A decoded attribute value."""

    def __init__(self, tag, text):
        setattr(self, tag, text)


class Item:
    """A decoded item."""

    def __init__(self, first, second):
        self.a, self.b = Wire("S", first), Wire("S", second)


SAME = same_texts("Pair", [Plan("a", str), Plan("b", str)])
text = st.text(st.sampled_from('ab"\\{}:,é\n'), max_size=6) | st.text(max_size=4)


def wire(first, second):
    return json.dumps({"a": {"S": first}, "b": {"S": second}}, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


@given(text, text, text, text)
@example('a\\"b', "c", 'a"b', "c")  # an escape in the key looks like the text that holds it
@example('a"},"b":{"S":"b', "c", "a", 'b"},"b":{"S":"c')
@example("a", "b", "a", "b")
def test_what_it_says_yes_to_has_the_very_key(first, second, wanted_first, wanted_second):
    try:
        said = SAME(Item(first, second), wire(wanted_first, wanted_second))
    except UnicodeEncodeError:  # half a surrogate pair is no text of JSON
        return
    same = (first, second) == (wanted_first, wanted_second)
    assert not said or same
    plain = "\\" not in wire(first, second).decode()
    assert said or not same or not plain


def test_it_says_nothing_of_keys_that_are_not_decoded_to_their_texts():
    assert not same_texts("None", [])(object(), b"{}")
    assert not same_texts("Bytes", [Plan("a", bytes)])(Item("x", "y"), b'{"a":{"B":"eA=="}}')
    odd = Plan("a", str)
    odd.stored = 'a"b'
    assert not same_texts("Odd", [odd])(Item("x", "y"), b'{"a\\"b":{"S":"x"}}')


def test_what_it_says_nothing_of_is_told_by_the_bytes():
    for first, second in (('q"', "b"), ("a", "\\"), ("x", "y")):
        raw = wire(first, second)
        assert is_of(raw, raw, leads(["a", "b"]))
        assert not is_of(raw, wire(first, second + "z"), leads(["a", "b"]))
