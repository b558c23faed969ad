"""What each type is stored as, that it reads back the same, and that boto3 reads the same from the wire."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from boto3.dynamodb.types import TypeDeserializer

from dynamorm.codec import Registry
from dynamorm.codec.strict import dumps
from dynamorm.models.declare import Attr, attr, partition_key, ttl
from dynamorm.models.model import Model
from dynamorm.models.schema.schema import Codec, Json
from tests.codec.holders import codec_of


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 10


class Mode(StrEnum):
    ON = "on"
    NONE = ""


class Bits(IntFlag):
    A = 1
    B = 2


class Rate(Enum):
    HALF = Decimal("0.5")
    FULL = Decimal(1)


class Address(Model):
    street: Attr[str] = attr(name="s")
    zip: Attr[str | None] = attr(default=None)
    lines: Attr[list[str]] = attr(default_factory=list)


@dataclasses.dataclass
class Point:
    x: int
    y: Decimal = Decimal(0)
    label: str | None = None
    inner: "Point | None" = None


class Options(TypedDict):
    name: str
    size: NotRequired[int]
    note: str | None


class Shape(msgspec.Struct, rename="camel"):
    side_length: int
    tags: list[str] = []
    note: str | None = "x"


class Person(pydantic.BaseModel):
    name: str
    age: int | None = None
    born: date = pydantic.Field(default=date(2000, 1, 1), alias="birthday")


class Pair(NamedTuple):
    a: int
    b: str = "b"


class Node(Model):
    value: Attr[int]
    children: Attr[list["Node"]] = attr(default_factory=list)


class Card(Model):
    card: Attr[str]


class Bank(Model):
    bank: Attr[str]
    note: Attr[str | None] = attr(default=None)


UserId = NewType("UserId", str)
INSTANT = datetime(2024, 1, 1, 0, 0, 0, 123000, UTC)
ID = UUID("12345678-1234-5678-1234-567812345678")

ROWS = [
    (str, "text", {"S": "text"}),
    (str, "", {"S": ""}),
    (int, 5, {"N": "5"}),
    (int, -(10**37), {"N": "-" + "1" + "0" * 37}),
    (int, 10**100, {"N": "1E+100"}),
    (Decimal, Decimal("12.50"), {"N": "12.5"}),
    (Decimal, Decimal("5.00"), {"N": "5"}),
    (Decimal, Decimal("1E+3"), {"N": "1000"}),
    (Decimal, Decimal("-0"), {"N": "0"}),
    (Decimal, Decimal("1E-130"), {"N": "1E-130"}),
    (Decimal, Decimal("-0.00012"), {"N": "-0.00012"}),
    (float, 0.1, {"N": "0.1"}),
    (float, 5.0, {"N": "5"}),
    (float, 1e22, {"N": "10000000000000000000000"}),
    (float, -1.5e-7, {"N": "-0.00000015"}),
    (bool, True, {"BOOL": True}),
    (bytes, b"\x00\xff", {"B": b"\x00\xff"}),
    (datetime, INSTANT, {"S": "2024-01-01T00:00:00.123000000Z"}),
    (datetime, datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), {"S": "2024-01-01T00:00:00.000000000Z"}),
    (date, date(2024, 2, 29), {"S": "2024-02-29"}),
    (time, time(1, 2, 3, 4), {"S": "01:02:03.000004"}),
    (timedelta, timedelta(days=1, microseconds=5), {"N": "86400.000005"}),
    (timedelta, timedelta(seconds=-1.5), {"N": "-1.5"}),
    (UUID, ID, {"S": str(ID)}),
    (Color, Color.RED, {"S": "red"}),
    (Level, Level.HIGH, {"N": "10"}),
    (Mode, Mode.NONE, {"S": ""}),
    (Bits, Bits.A | Bits.B, {"N": "3"}),
    (Rate, Rate.HALF, {"N": "0.5"}),
    (Literal["a", "b"], "b", {"S": "b"}),
    (Literal[1, 2], 2, {"N": "2"}),
    (Literal[1, "one", True, False], True, {"BOOL": True}),
    (Literal[1, "one"], "one", {"S": "one"}),
    (Literal[Color.RED], Color.RED, {"S": "red"}),
    (list[int], [1, 2], {"L": [{"N": "1"}, {"N": "2"}]}),
    (list[int | None], [1, None], {"L": [{"N": "1"}, {"NULL": True}]}),
    (list[list[str]], [["a"], []], {"L": [{"L": [{"S": "a"}]}, {"L": []}]}),
    (Sequence[str], ["a"], {"L": [{"S": "a"}]}),
    (tuple[int, str], (1, "a"), {"L": [{"N": "1"}, {"S": "a"}]}),
    (tuple[int, ...], (1, 2), {"L": [{"N": "1"}, {"N": "2"}]}),
    (tuple[()], (), {"L": []}),
    (set[str], {"b", "a"}, {"SS": ["a", "b"]}),
    (set[int], {2, 1}, {"NS": ["1", "2"]}),
    (set[Decimal], {Decimal("1.50")}, {"NS": ["1.5"]}),
    (set[bytes], {b"b", b"a"}, {"BS": [b"a", b"b"]}),
    (set[float], {0.5}, {"NS": ["0.5"]}),
    (set[UUID], {ID}, {"SS": [str(ID)]}),
    (set[Color], {Color.RED}, {"SS": ["red"]}),
    (frozenset[str], frozenset({"a"}), {"SS": ["a"]}),
    (set[str], set(), {"NULL": True}),
    (set, {1, Decimal("2.5")}, {"NS": ["1", "2.5"]}),
    (list[set[int]], [set(), {1}], {"L": [{"NULL": True}, {"NS": ["1"]}]}),
    (dict[str, int], {"a": 1}, {"M": {"a": {"N": "1"}}}),
    (dict[int, str], {7: "x"}, {"M": {"7": {"S": "x"}}}),
    (dict[UUID, bool], {ID: True}, {"M": {str(ID): {"BOOL": True}}}),
    (dict[Color, list[int]], {Color.RED: [1]}, {"M": {"red": {"L": [{"N": "1"}]}}}),
    (dict, {"a": {"b": [1, None, b"x"]}}, {"M": {"a": {"M": {"b": {"L": [{"N": "1"}, {"NULL": True}, {"B": b"x"}]}}}}}),
    (list, [1, "a"], {"L": [{"N": "1"}, {"S": "a"}]}),
    (str | None, "x", {"S": "x"}),
    (Optional[int], 5, {"N": "5"}),  # noqa: UP045 - the older spelling must work too
    (int | str, 5, {"N": "5"}),
    (int | str, "5", {"S": "5"}),
    (int | str | None, "5", {"S": "5"}),
    (int | Decimal, Decimal("5.5"), {"N": "5.5"}),
    (bool | int, True, {"BOOL": True}),
    (UUID | str, "plain", {"S": "plain"}),
    (list[int] | str, [1], {"L": [{"N": "1"}]}),
    (list[str] | list[int], [1], {"L": [{"N": "1"}]}),
    (UserId, "u", {"S": "u"}),
    (Annotated[int, "doc"], 1, {"N": "1"}),
    (Any, "x", {"S": "x"}),
    (Any, {"a": {1, 2}}, {"M": {"a": {"NS": ["1", "2"]}}}),
    (Any, None, {"NULL": True}),
    (object, Decimal("1.5"), {"N": "1.5"}),
    (Address, Address(street="a", lines=["l"]), {"M": {"s": {"S": "a"}, "lines": {"L": [{"S": "l"}]}}}),
    (list[Address], [Address(street="a", zip="z")], {"L": [{"M": {"s": {"S": "a"}, "lines": {"L": []}, "zip": {"S": "z"}}}]}),
    (Point, Point(1, inner=Point(2)), {"M": {"x": {"N": "1"}, "y": {"N": "0"}, "inner": {"M": {"x": {"N": "2"}, "y": {"N": "0"}}}}}),
    (Options, {"name": "n", "note": None}, {"M": {"name": {"S": "n"}, "note": {"NULL": True}}}),
    (Options, {"name": "n", "note": "x", "size": 4}, {"M": {"name": {"S": "n"}, "note": {"S": "x"}, "size": {"N": "4"}}}),
    (Shape, Shape(4, note=None), {"M": {"sideLength": {"N": "4"}, "tags": {"L": []}, "note": {"NULL": True}}}),
    (Person, Person(name="n"), {"M": {"name": {"S": "n"}, "born": {"S": "2000-01-01"}}}),
    (Pair, Pair(1), {"M": {"a": {"N": "1"}, "b": {"S": "b"}}}),
    (Node, Node(value=1, children=[Node(value=2)]), {"M": {"value": {"N": "1"}, "children": {"L": [{"M": {"value": {"N": "2"}, "children": {"L": []}}}]}}}),
    (Card | Bank, Bank(bank="b"), {"M": {"bank": {"S": "b"}}}),
    (Bank | Card, Card(card="c"), {"M": {"card": {"S": "c"}}}),
]  # fmt: skip


def plain(item):
    """What boto3's own reader makes of a wire item."""
    reader = TypeDeserializer()
    return {name: unwrapped(reader.deserialize(one)) for name, one in item.items()}


def unwrapped(value):
    """boto3 wraps bytes, and has Decimal for every number."""
    if hasattr(value, "value"):
        return value.value
    if isinstance(value, list):
        return [unwrapped(one) for one in value]
    if isinstance(value, dict):
        return {key: unwrapped(one) for key, one in value.items()}
    if isinstance(value, set):
        return {unwrapped(one) for one in value}
    return value


@pytest.mark.parametrize(
    ("annotation", "value", "stored"), ROWS, ids=[f"{number}-{row[0]}" for number, row in enumerate(ROWS)]
)
def test_every_type_has_its_stored_form_and_reads_back_the_same(annotation, value, stored):
    codec = codec_of(annotation)
    item = codec.encode(codec.model(id="p", value=value))
    assert item == {"id": {"S": "p"}, "value": stored}
    assert plain(item)["value"] == unwrapped(TypeDeserializer().deserialize(stored))
    for back in (codec.decode(codec.item_bytes(item)), codec.decode(dumps(item))):
        assert back.value == value
        assert type(back.value) is type(value) or isinstance(value, datetime)
    assert codec.decode_field("value", codec.encode_field("value", value)) == value
    assert codec.encode_operand((codec.schema.fields["value"],), value) == stored


@pytest.mark.parametrize(
    ("annotation", "stored", "value"),
    [
        (int, {"N": "5E+3"}, 5000),
        (int, {"N": "5.00"}, 5),
        (Decimal, {"N": "5E-1"}, Decimal("0.5")),
        (datetime, {"S": "2024-01-01t01:00:00.123456789z"}, datetime(2024, 1, 1, 1, 0, 0, 123456, UTC)),
        (datetime, {"S": "2024-01-01T01:00:00.1+02:00"}, datetime(2023, 12, 31, 23, 0, 0, 100000, UTC)),
        (datetime, {"S": "2016-12-31T23:59:60Z"}, datetime(2017, 1, 1, tzinfo=UTC)),
        (str | None, {"NULL": True}, None),
        (list[str | None], {"L": [{"NULL": True}]}, [None]),
        (Level, {"N": "1.0E1"}, Level.HIGH),
        (dict[int, str], {"M": {"-7": {"S": "x"}}}, {-7: "x"}),
        (float, {"N": "5"}, 5.0),
        (Any, {"N": "5.50"}, Decimal("5.50")),
        (Any, {"B": "aGk="}, b"hi"),
    ],
)
def test_other_spellings_of_a_value_are_read(annotation, stored, value):
    codec = codec_of(annotation)
    assert codec.decode(dumps({"id": {"S": "p"}, "value": stored})).value == value


def test_none_is_left_out_and_read_back():
    codec = codec_of(str | None)
    item = codec.encode(codec.model(id="p", value=None))
    assert item == {"id": {"S": "p"}}
    assert codec.decode(dumps(item)).value is None


def test_none_is_written_as_null_where_the_default_is_another_value():
    codec = codec_of(str | None, default="x")
    item = codec.encode(codec.model(id="p", value=None))
    assert item["value"] == {"NULL": True}
    assert codec.decode(dumps(item)).value is None
    assert codec.decode(dumps({"id": {"S": "p"}})).value == "x"


def test_a_set_that_an_update_has_emptied_reads_as_empty():
    for annotation, empty in ((set[str], set()), (frozenset[int], frozenset()), (set, set())):
        assert codec_of(annotation).decode(b'{"id":{"S":"p"}}').value == empty
    assert codec_of(set[str] | None).decode(b'{"id":{"S":"p"}}').value is None


def test_ttl_is_epoch_seconds_rounded_down():
    class Session(Model, table="sessions"):
        id: Attr[str] = partition_key()
        expires: Attr[datetime | None] = ttl(default=None)

    codec = Registry().codec(Session)
    item = codec.encode(Session(id="s", expires=datetime(2024, 1, 1, 0, 0, 1, 999_999, UTC)))
    assert item["expires"] == {"N": "1704067201"}
    assert codec.decode(dumps(item)).expires == datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert codec.encode(Session(id="s", expires=datetime(1969, 12, 31, 23, 59, 59, 500_000, UTC)))["expires"] == {
        "N": "-1"
    }
    assert "expires" not in codec.encode(Session(id="s"))


class TestJson:
    def test_is_compact_sorted_and_exact(self):
        codec = codec_of(dict[str, Any] | None, Json())
        value = {"b": Decimal("1.10"), "a": [10**30, "ü", None, True], "t": "2024"}
        item = codec.encode(codec.model(id="p", value=value))
        text = '{"a":[1000000000000000000000000000000,"ü",null,true],"b":1.10,"t":"2024"}'
        assert item["value"] == {"S": text}
        back = codec.decode(dumps(item)).value
        assert back == value
        assert str(back["b"]) == "1.10"
        assert codec.encode(codec.model(id="p", value=None))["value"] == {"NULL": True}
        assert codec.decode(dumps({"id": {"S": "p"}, "value": {"NULL": True}})).value is None
        assert codec.decode(dumps({"id": {"S": "p"}})).value is None

    def test_keeps_types_that_the_annotation_names(self):
        class Typed(Model, table="typed"):
            id: Attr[str] = partition_key()
            value: Attr[list[Point]] = attr(Json())
            person: Attr[Person | None] = attr(Json(), default=None)

        codec = Registry().codec(Typed)
        obj = Typed(id="p", value=[Point(1, Decimal("2.5"))])
        assert codec.decode(dumps(codec.encode(obj))) == obj


def test_a_codec_of_ones_own():
    class Hex(Model, table="hexes"):
        id: Attr[str] = partition_key()
        value: Attr[int] = attr(Codec(lambda value: f"{value:x}", lambda text: int(text, 16)))
        other: Attr[complex | None] = attr(
            Codec(lambda z: [z.real, z.imag], lambda pair: complex(*map(float, pair))), default=None
        )

    codec = Registry().codec(Hex)
    obj = Hex(id="h", value=255, other=1 + 2j)
    item = codec.encode(obj)
    assert item["value"] == {"S": "ff"}
    assert item["other"] == {"L": [{"N": "1"}, {"N": "2"}]}
    assert codec.decode(dumps(item)) == obj
    assert codec.decode(dumps(codec.encode(Hex(id="h", value=1)))).other is None


@pytest.mark.parametrize("name", ["{x}", "a{x}b", "{}", "{0}", "{{x}}", "${v.__class__}", "%s", "'", "]", "#{", "}"])
def test_a_stored_name_is_written_as_it_is_whatever_it_looks_like(name):
    class Odd(Model, table="odd-names"):
        id: Attr[str] = partition_key()
        plain: Attr[str] = attr(name=f"1{name}")
        left_out: Attr[str | None] = attr(default=None, name=f"2{name}")
        free: Attr[Any] = attr(default=None, name=f"3{name}")
        empty: Attr[str] = attr(default="", name=f"4{name}", omit_empty=True)

    codec = Registry().codec(Odd)
    obj = Odd(id="x", plain="a", left_out="b", free=["c"], empty="d")
    item = codec.encode(obj)
    assert set(item) == {"id", f"1{name}", f"2{name}", f"3{name}", f"4{name}"}
    assert codec.decode(dumps(item)) == obj
    assert codec.decode(dumps(codec.encode(Odd(id="x", plain="a")))).free is None
