"""Which of two wire values DynamoDB orders behind the other."""

import pytest

from dynamorm.codec.library_attributes import is_above


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ({"N": "-1"}, {"N": "0.5"}),
        ({"N": "9"}, {"N": "10"}),
        ({"N": "1E-130"}, {"N": "1E-129"}),
        ({"S": ""}, {"S": "a"}),
        ({"S": "Z"}, {"S": "a"}),
        ({"S": "\uffff"}, {"S": "\U00010000"}),  # by UTF-8; UTF-16 has them the other way round
        ({"B": b"a"}, {"B": b"ab"}),
        ({"B": b"\x7f"}, {"B": b"\x80"}),
        ({"B": "YQ=="}, {"B": b"b"}),
    ],
)
def test_values_of_one_type_have_an_order(low, high):
    assert is_above(high, low)
    assert not is_above(low, high)
    assert not is_above(low, low)


@pytest.mark.parametrize("other", [{"S": "1"}, {"BOOL": True}, {"NULL": True}, {"SS": ["a"]}])
def test_others_have_none(other):
    assert not is_above({"N": "1"}, other)
    assert not is_above(other, {"N": "1"})
