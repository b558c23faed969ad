"""Values of every kind come back from the engine as they went in: nested classes, numbers, options, keys."""

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, Literal, NamedTuple, NotRequired
from uuid import UUID

import msgspec
import pydantic
import pytest
from typing_extensions import TypedDict

from dynamorm import Attr, Codec, Json, Model, attr, partition_key, sort_key

from .kit import store, stored

pytestmark = pytest.mark.engine

BIG = 10**38 - 1
EXACT = Decimal("12345678901234567890.123456789012345678")


class Level(IntEnum):
    LOW = 1
    HIGH = 9


class Kind(Enum):
    A = "a"
    B = "b"


@dataclasses.dataclass
class Card:
    last4: str
    month: int = 1
    tags: list[str] = dataclasses.field(default_factory=list)


class Point(msgspec.Struct):
    x: int
    y: int = 0


class Limits(TypedDict):
    low: int
    high: NotRequired[int]


class Pair(NamedTuple):
    left: str
    right: int


class Payer(pydantic.BaseModel):
    name: str
    born: date | None = None


class Leaf(Model):
    text: Attr[str]
    child: Attr["Leaf | None"] = attr(default=None)


class Everything(Model, table="everything"):
    id: Attr[str] = partition_key()
    value: Attr[Any] = attr(default=None)
    whole: Attr[int] = attr(default=0)
    exact: Attr[Decimal] = attr(default=Decimal(0))
    ratio: Attr[float] = attr(default=0.0)
    blob: Attr[bytes] = attr(default=b"")
    day: Attr[date | None] = attr(default=None)
    hour: Attr[time | None] = attr(default=None)
    span: Attr[timedelta | None] = attr(default=None)
    uuid: Attr[UUID | None] = attr(default=None)
    level: Attr[Level] = attr(default=Level.LOW)
    kind: Attr[Kind | None] = attr(default=None)
    literal: Attr[Literal["x", "y"]] = attr(default="x")
    either: Attr[int | str | None] = attr(default=None)
    strings: Attr[frozenset[str]] = attr(default_factory=frozenset)
    ints: Attr[set[int]] = attr(default_factory=set)
    decimals: Attr[set[Decimal]] = attr(default_factory=set)
    blobs: Attr[set[bytes]] = attr(default_factory=set)
    pair: Attr[tuple[str, int] | None] = attr(default=None)
    many: Attr[tuple[int, ...]] = attr(default=())
    table: Attr[dict[str, list[Decimal]]] = attr(default_factory=dict)
    card: Attr[Card | None] = attr(default=None)
    cards: Attr[list[Card]] = attr(default_factory=list)
    point: Attr[Point | None] = attr(default=None)
    limits: Attr[Limits | None] = attr(default=None)
    named: Attr[Pair | None] = attr(default=None)
    payer: Attr[Payer | None] = attr(default=None)
    leaf: Attr[Leaf | None] = attr(default=None)
    settings: Attr[dict[str, Any] | None] = attr(Json(), default_factory=dict)
    colour: Attr[complex | None] = attr(
        Codec(lambda value: [str(value.real), str(value.imag)], lambda parts: complex(*map(float, parts))), default=None
    )


class ByNumber(Model, table="by-number"):
    account: Attr[int] = partition_key()
    rate: Attr[Decimal] = sort_key()
    text: Attr[str] = attr(default="")


class ByBytes(Model, table="by-bytes"):
    digest: Attr[bytes] = partition_key()
    at: Attr[datetime] = sort_key()


MODELS = [Everything, ByNumber, ByBytes]

VALUES = {
    "value": {"deep": [1, Decimal("1.5"), "x", None, True, {"b": b"\0"}, {"s": {"p", "q"}}], "e": []},
    "whole": -BIG,
    "exact": EXACT,
    "ratio": 0.1,
    "blob": bytes(range(256)),
    "day": date(2024, 2, 29),
    "hour": time(23, 59, 59, 999999),
    "span": timedelta(days=-3, microseconds=1),
    "uuid": UUID(int=5),
    "level": Level.HIGH,
    "kind": Kind.B,
    "literal": "y",
    "either": "text",
    "strings": frozenset({"", "ä"}),
    "ints": {-BIG, 0, BIG},
    "decimals": {Decimal("1E-130"), Decimal("9.9E+125")},
    "blobs": {b"\0", b"\xff"},
    "pair": ("a", 1),
    "many": (1, 2, 3),
    "table": {"x": [Decimal("0.1")], "y": []},
    "card": Card("4242", 12, ["a"]),
    "cards": [Card("1"), Card("2")],
    "point": Point(1, 2),
    "limits": {"low": 1},
    "named": Pair("l", 2),
    "payer": Payer(name="Ada", born=date(1815, 12, 10)),
    "leaf": Leaf(text="a", child=Leaf(text="b", child=Leaf(text="c"))),
    "settings": {"b": [1, {"c": None}], "a": "ä"},
    "colour": complex(1.5, -2),
}


@pytest.mark.parametrize("verb", ["create", "put", "save"])
def test_every_kind_of_value_comes_back(db, key, verb):
    made = getattr(db, verb)(Everything(id=key, **VALUES))
    fresh = db.get(Everything, key, consistent=True)
    assert fresh == made
    assert [type(getattr(fresh, name)) for name in VALUES] == [type(value) for value in VALUES.values()]


def test_every_kind_of_value_can_be_changed_by_save_and_back_to_none(db, key):
    made = db.create(Everything(id=key))
    for name, value in VALUES.items():
        setattr(made, name, value)
    db.save(made)
    assert db.get(Everything, key, consistent=True) == made
    empty = Everything(id=key)
    for name in VALUES:
        setattr(made, name, getattr(empty, name))
    db.save(made)
    assert db.get(Everything, key, consistent=True) == empty


def test_every_kind_of_value_can_be_set_and_compared(db, key):
    db.create(Everything(id=key))
    fresh = db.update(Everything, key, *(getattr(Everything, name).set(value) for name, value in VALUES.items()))
    assert fresh == Everything(id=key, **VALUES)
    condition = Everything.whole == -BIG
    for name, value in VALUES.items():
        condition &= getattr(Everything, name) == value
    db.update(Everything, key, Everything.whole.set(1), condition=condition)


def test_loaded_values_that_did_not_change_are_not_written(db, key, wire):
    db.create(Everything(id=key, **VALUES))
    fresh = db.get(Everything, key, consistent=True)
    wire.clear()
    db.save(fresh)
    assert wire.names == []


def test_numbers_are_exact_to_38_digits(db, key):
    db.create(Everything(id=key, whole=BIG, exact=EXACT))
    found = stored(db, Everything, key)
    assert found["whole"] == {"N": str(BIG)}
    assert found["exact"] == {"N": str(EXACT)}
    fresh = db.update(Everything, key, Everything.whole.set(-BIG), condition=Everything.whole == BIG)
    assert (fresh.whole, fresh.exact) == (-BIG, EXACT)


def test_json_is_one_compact_text_with_sorted_keys(db, key):
    db.create(Everything(id=key, settings={"b": 1, "a": [True, None], "Ä": "\u2028"}))
    assert stored(db, Everything, key)["settings"]["S"].startswith('{"a":[true,null],"b":1,')
    db.update(Everything, key, Everything.settings.set({"z": 1, "y": 2}))
    assert stored(db, Everything, key)["settings"] == {"S": '{"y":2,"z":1}'}


def test_json_none_is_stored_as_null(db, key):
    made = db.create(Everything(id=key, settings=None))
    assert stored(db, Everything, key)["settings"] == {"NULL": True}
    assert db.get(Everything, key, consistent=True).settings is None
    db.update(made, Everything.settings.set({}))
    db.update(made, Everything.settings.set(None))
    assert stored(db, Everything, key)["settings"] == {"NULL": True}
    assert made.settings is None


def test_a_codec_decides_what_is_stored(db, key):
    db.create(Everything(id=key, colour=complex(1, 2)))
    assert stored(db, Everything, key)["colour"] == {"L": [{"S": "1.0"}, {"S": "2.0"}]}
    fresh = db.update(Everything, key, Everything.colour.set(3j), condition=Everything.colour == complex(1, 2))
    assert fresh.colour == 3j


def test_a_stored_list_and_map_of_another_program_are_read(db, key):
    item = {
        "id": {"S": key},
        "card": {"M": {"last4": {"S": "1"}, "unknown": {"N": "1"}}},
        "many": {"L": [{"N": "1E+2"}]},
    }
    store(db, Everything, item)
    fresh = db.get(Everything, key, consistent=True)
    assert (fresh.card, fresh.many) == (Card("1"), (100,))


def test_keys_may_be_numbers_and_sort_as_numbers(db, key):
    account = int(key[:12], 16)
    for rate in ("10", "9", "-1.5", "0"):
        db.create(ByNumber(account=account, rate=Decimal(rate)))
    found = db.model(ByNumber).where(ByNumber.account == account).all()
    assert [line.rate for line in found] == [Decimal("-1.5"), Decimal(0), Decimal(9), Decimal(10)]
    assert db.get(ByNumber, account, Decimal("9.0"), consistent=True).rate == 9
    db.update(ByNumber, account, Decimal(9), ByNumber.text.set("x"))
    db.delete(ByNumber, account, 10)
    assert len(db.model(ByNumber).where(ByNumber.account == account, ByNumber.rate >= 0).all()) == 2


def test_keys_may_be_bytes_and_times(db, key):
    digest, at = bytes.fromhex(key), datetime(2024, 1, 1, tzinfo=UTC)
    made = db.create(ByBytes(digest=digest, at=at))
    assert db.get(ByBytes, digest, at, consistent=True) == made
    assert db.model(ByBytes).where(ByBytes.digest == digest, ByBytes.at > at - timedelta(days=1)).all() == [made]
    db.delete(made)
    assert not db.exists(ByBytes, digest, at, consistent=True)
