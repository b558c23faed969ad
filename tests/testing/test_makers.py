"""Objects of models for tests: any of them for Hypothesis, one after the other from a factory; and snapshots of tables."""

from __future__ import annotations

import dataclasses
import enum
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import (
    Attr,
    Codec,
    Compressed,
    Json,
    Model,
    Unique,
    attr,
    composite,
    created_at,
    partition_key,
    sort_key,
    ttl,
    version,
)
from dynamorm.codec.registry import Registry
from dynamorm.errors import InvalidUse
from dynamorm.testing import Recorder, TestDB, assert_snapshot, factory, strategy

few = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)


class Status(enum.Enum):
    OPEN = "open"
    DONE = "done"


@dataclasses.dataclass
class Place:
    city: str
    size: int = 0


class Point(msgspec.Struct):
    x: int
    y: int


class Line(Model):
    sku: Attr[str]
    inner: Attr[list[str]] = attr(default_factory=list)


class Everything(Model, table="everything"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    amount: Attr[int] = attr(ge=1, lt=10)
    code: Attr[str] = attr(pattern="[A-Z]{3}")
    name: Attr[str] = attr(min_length=2, max_length=5)
    price: Attr[Decimal]
    share: Attr[Decimal] = attr(ge=Decimal(0), le=Decimal(1))
    rate: Attr[float]
    yes: Attr[bool]
    raw: Attr[bytes]
    status: Attr[Status]
    kind: Attr[Literal["card", "cash"]]
    when: Attr[datetime]
    day: Attr[date]
    hour: Attr[time]
    wait: Attr[timedelta]
    uid: Attr[UUID]
    either: Attr[str | int]
    maybe: Attr[str | None]
    tags: Attr[set[str]]
    counts: Attr[frozenset[int]]
    names: Attr[list[str]] = attr(min_length=1)
    pair: Attr[tuple[int, str]]
    sizes: Attr[dict[str, int]]
    place: Attr[Place]
    point: Attr[Point | None]
    lines: Attr[list[Line]]
    extra: Attr[Any]
    settings: Attr[dict[str, Any]] = attr(Json())
    ends: Attr[datetime | None] = ttl(default=None)
    made: Attr[datetime] = created_at()
    version: Attr[int] = version()


CODEC = Registry().codec(Everything)


@few
@given(strategy(Everything))
def test_every_object_can_be_stored_and_comes_back(one):
    assert 1 <= one.amount < 10
    assert re.fullmatch("[A-Z]{3}", one.code)
    assert 2 <= len(one.name) <= 5
    assert 0 <= one.share <= 1
    assert one.names
    assert (one.version, one.made) == (0, None)
    back = CODEC.decode(CODEC.item_bytes(CODEC.encode(one)))
    for name in (
        "id",
        "number",
        "price",
        "rate",
        "raw",
        "status",
        "when",
        "uid",
        "either",
        "tags",
        "place",
        "lines",
        "extra",
    ):
        assert getattr(back, name) == getattr(one, name)


@few
@given(strategy(Everything, amount=5, code=st.sampled_from(["ABC", "XYZ"])))
def test_fields_may_be_given(one):
    assert one.amount == 5
    assert one.code in {"ABC", "XYZ"}


def test_both_sides_of_a_choice_come_up():
    seen = set()

    @settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)
    @given(strategy(Everything))
    def collect(one):
        seen.update(
            {("status", one.status), ("maybe", one.maybe is None), ("either", type(one.either)), ("kind", one.kind)}
        )

    collect()
    assert seen >= {("status", Status.OPEN), ("status", Status.DONE), ("maybe", True), ("maybe", False)}
    assert seen >= {("either", str), ("either", int), ("kind", "card"), ("kind", "cash")}


class Odd(Model, table="odd"):
    id: Attr[str] = partition_key(composite("tenant", "account"))
    tenant: Attr[str]
    account: Attr[str]
    number: Attr[int] = attr(validators=[lambda value: value if value % 2 else 1 / 0])


@few
@given(strategy(Odd))
def test_validators_and_composite_keys_hold(one):
    assert one.number % 2 == 1
    assert Registry().codec(Odd).key_of(one)


class Custom(Model, table="custom"):
    id: Attr[str] = partition_key()
    color: Attr[Any] = attr(Codec(encode=str, decode=int))


def test_what_cannot_be_made_up_is_said():
    with pytest.raises(InvalidUse, match=r"Custom.color has a Codec: give a strategy"):
        strategy(Custom)
    with pytest.raises(InvalidUse, match="there is no field colour"):
        strategy(Custom, colour=5)
    with pytest.raises(InvalidUse, match=r"give a value for Custom.color"):
        factory(Custom)()
    with pytest.raises(InvalidUse, match="there is no field colour"):
        factory(Custom)(colour=5)
    with pytest.raises(InvalidUse, match=r"give a value for Everything.code, which has a pattern"):
        factory(Everything)()
    with pytest.raises(InvalidUse):
        strategy(int)


# ---------------------------------------------------------------------------------------------------------- factories


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(ge=10)
    currency: Attr[str] = attr(default="EUR")
    reference: Attr[str] = attr(Unique())
    note: Attr[str | None] = attr(default=None)
    made: Attr[datetime] = created_at()
    version: Attr[int] = version()


def test_a_factory_makes_objects_that_differ_alike_in_each_run():
    one, other = factory(Payment), factory(Payment)
    made = [one() for _ in range(20)]
    assert made == [other() for _ in range(20)]
    assert len({payment.id for payment in made}) == len({payment.reference for payment in made}) == 20
    assert (made[0].id, made[0].amount, made[0].currency, made[0].note) == ("id-1", 10, "EUR", None)


def test_values_of_a_factory_are_given_once_or_for_each_object():
    payments = factory(Payment, currency="USD", amount=lambda n: n * 100, note="number {n}")
    first, second, third = payments(), *payments.batch(2, currency="CHF")
    assert [payment.amount for payment in (first, second, third)] == [100, 200, 300]
    assert [payment.currency for payment in (first, second, third)] == ["USD", "CHF", "CHF"]
    assert third.note == "number 3"


def test_a_factory_makes_every_type():
    one = factory(Everything, code="ABC", names=["x"], share=Decimal(0))()
    assert CODEC.item_bytes(CODEC.encode(one))
    assert (one.status, one.kind, one.pair, one.name) == (Status.OPEN, "card", (1, "pair-1"), "ame-1")


# ---------------------------------------------------------------------------------------------------------- snapshots


@pytest.fixture
def compare(opened, tmp_path):
    """A database with two payments, and a comparison with a file."""
    db = opened(models=[Payment])
    for payment in factory(Payment).batch(2):
        db.create(payment)

    def comparing(name="stored.yaml", **options):
        made = assert_snapshot(db.inner, tmp_path / "snapshots" / name, [Payment], **options)
        return made if db._loop is None else db._loop.run(made)

    comparing.db = db
    comparing.folder = tmp_path / "snapshots"
    return comparing


@pytest.mark.engine
@pytest.mark.parametrize("name", ["stored.yaml", "stored.json"])
def test_a_snapshot_is_written_on_demand_and_compared(compare, monkeypatch, name):
    with pytest.raises(AssertionError, match=r"there is no snapshot .*--dynamorm-update-snapshots"):
        compare(name)
    assert not compare.folder.exists()
    monkeypatch.setenv("DYNAMORM_TEST_UPDATE_SNAPSHOTS", "1")
    compare(name)
    monkeypatch.setenv("DYNAMORM_TEST_UPDATE_SNAPSHOTS", "0")
    compare(name)
    compare.db.update(Payment, "id-2", Payment.amount.add(1))
    with pytest.raises(AssertionError, match=r"(?s)differ from the snapshot.*amount\"?: 11"):
        compare(name)
    text = (compare.folder / name).read_text("utf-8")
    assert "made" not in text
    assert "version" in text


@pytest.mark.engine
def test_a_snapshot_is_a_fixture(compare, monkeypatch, opened):
    monkeypatch.setenv("DYNAMORM_TEST_UPDATE_SNAPSHOTS", "1")
    compare()
    other = opened()
    other.load_fixture(compare.folder / "stored.yaml")
    with Recorder(other.inner) as r:
        assert other.require(Payment, "id-1").reference == "reference-1"
    assert r.operations == ["GetItem"]


@pytest.mark.engine
def test_fields_of_a_snapshot_may_be_ignored(compare, monkeypatch):
    monkeypatch.setenv("DYNAMORM_TEST_UPDATE_SNAPSHOTS", "1")
    compare(ignore=["amount", "version", "made"])
    monkeypatch.delenv("DYNAMORM_TEST_UPDATE_SNAPSHOTS")
    compare.db.update(Payment, "id-2", Payment.amount.add(1))
    compare(ignore=["amount", "version", "made"])
    with pytest.raises(AssertionError):
        compare(ignore=["made"])


class Packed(Model, table="makers-packed"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(Compressed(above=5), default="")
    entries: Attr[dict[str, Any]] = attr(Compressed(above=5), default_factory=dict)


@settings(max_examples=20, deadline=None)
@given(obj=strategy(Packed))
def test_objects_with_compressed_fields_are_stored_and_read_back(obj):
    with TestDB(models=[Packed]) as db:
        db.put(obj)
        assert db.require(Packed, obj.id) == obj
