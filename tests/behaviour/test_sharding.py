"""A hot partition spread over shards: written by the item, read as if it were one partition."""

import random

import pytest

from dynamorm import Attr, Model, ValidationError, attr, composite, gsi, partition_key, sort_key
from dynamorm.errors import TamperedCursor

from .kit import stored

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:no cursor_key")]


class Reading(Model, table="readings"):
    day_key: Attr[str] = partition_key(composite("DAY#{day}", shards=5, by="id"))
    at: Attr[int] = sort_key()
    day: Attr[str]
    id: Attr[str]
    value: Attr[int] = attr(default=0)
    kind: Attr[str] = attr(default="odd")
    kind_key: Attr[str] = attr(composite("kind", shards=3, by=["id", "day"]))
    by_kind = gsi("by-kind", partition="kind_key", sort="at", projection="KEYS_ONLY")


MODELS = [Reading]
COUNT = 60


@pytest.fixture(scope="module")
def readings(made, opened):
    """One day's readings, in the order of their time."""
    db, _ = opened("blocking")
    source = random.Random(3)
    times = source.sample(range(10_000), COUNT)
    items = [
        Reading(day="d1", id=f"r{number}", at=at, value=number, kind="even" if number % 2 == 0 else "odd")
        for number, at in enumerate(times)
    ]
    db.batch_write(puts=items)
    db.create(Reading(day="d2", id="other", at=1))
    return sorted(items, key=lambda one: one.at)


def ids(items):
    return [one.id for one in items]


def test_an_item_goes_to_a_shard_of_its_own(db, readings):
    assert len({one.day_key for one in readings}) == 5
    one = readings[0]
    assert stored(db, Reading, one.day_key, one.at)["day_key"] == {"S": one.day_key}
    assert db.get(Reading, day="d1", id=one.id, at=one.at) == one
    assert db.update(Reading, Reading.value.add(0), day="d1", id=one.id, at=one.at).value == one.value


def test_a_query_without_the_item_reads_every_shard_in_order(db, wire, readings):
    query = db.model(Reading).where(Reading.day == "d1")
    assert ids(query.all()) == ids(readings)
    assert set(wire.names) == {"Query"}
    assert len(wire.names) == 5
    assert ids(query.order_by("at", "desc").all()) == ids(reversed(readings))
    assert ids(query) == ids(readings)


def test_a_query_with_the_item_reads_one_shard(db, wire, readings):
    one = readings[7]
    assert db.model(Reading).where(Reading.day == "d1", Reading.id == one.id).all() == [one]
    assert wire.names == ["Query"]


@pytest.mark.parametrize("limit", [1, 2, 7, 59, 60, 61])
@pytest.mark.parametrize("way", ["asc", "desc"])
def test_a_limit_takes_the_first_of_all_shards(db, readings, limit, way):
    expected = readings if way == "asc" else readings[::-1]
    assert (
        ids(db.model(Reading).where(Reading.day == "d1").order_by("at", way).limit(limit).all())
        == ids(expected)[:limit]
    )


def test_a_range_of_the_sort_key_holds_in_every_shard(db, readings):
    low, high = readings[10].at, readings[40].at
    query = db.model(Reading).where(Reading.day == "d1", Reading.at.between(low, high))
    assert ids(query.all()) == ids(readings[10:41])


def test_filters_and_small_pages_lose_nothing(db, readings):
    query = db.model(Reading).where(Reading.day == "d1").filter(Reading.kind == "even")
    expected = [one.id for one in readings if one.kind == "even"]
    assert ids(query.page_size(3).all()) == expected
    assert ids(query.limit(5).all()) == expected[:5]
    assert query.first().id == expected[0]
    assert query.count() == len(expected)
    assert query.limit(4).count() == 4
    assert query.exists()
    assert not db.model(Reading).where(Reading.day == "never").exists()


def test_aggregates_are_of_all_shards(db, readings):
    query = db.model(Reading).where(Reading.day == "d1")
    assert query.count() == COUNT
    assert query.sum("value") == sum(range(COUNT))
    assert query.max(Reading.at) == readings[-1].at
    assert query.where(Reading.id == readings[3].id).one() == readings[3]


@pytest.mark.parametrize("size", [4, 7, 60])
@pytest.mark.parametrize("way", ["asc", "desc"])
def test_pages_go_on_behind_the_last_item_handed_out(db, readings, size, way):
    expected = ids(readings if way == "asc" else readings[::-1])
    query = db.model(Reading).where(Reading.day == "d1").order_by("at", way).limit(size)
    found, cursor = [], None
    for _ in range(COUNT + 2):
        page = query.cursor(cursor).page()
        found += ids(page.items)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == expected


def test_a_cursor_fits_its_own_query_only(db, readings):
    cursor = db.model(Reading).where(Reading.day == "d1").limit(3).page().cursor
    with pytest.raises(TamperedCursor):
        db.model(Reading).where(Reading.day == "d2").cursor(cursor).page()
    page = db.model(Reading).where(Reading.day == "d1").limit(3).cursor_format("v0.1").page()
    with pytest.raises(ValidationError, match="shards"):
        _ = page.cursor


def test_an_index_may_be_sharded_and_hydrated(db, readings):
    query = db.model(Reading).index("by-kind").where(Reading.kind == "even")
    expected = [one.id for one in readings if one.kind == "even"]
    assert ids(query.hydrate().all()) == expected
    assert [one.at for one in query.limit(4).all()] == [one.at for one in readings if one.kind == "even"][:4]
    one = readings[0]
    db.update(one, Reading.kind.set("third"))
    assert ids(db.model(Reading).index("by-kind").where(Reading.kind == "third").hydrate().all()) == [one.id]
    db.update(one, Reading.kind.set("even" if one.value % 2 == 0 else "odd"))


def test_explain_shows_the_request_of_one_shard(db, wire, readings):
    shown = db.model(Reading).where(Reading.day == "d1").explain(values=True).request
    assert shown["KeyConditionExpression"] == "#n0 = :v0"
    assert shown["ExpressionAttributeValues"][":v0"] == {"S": "DAY#d1#0"}
    assert wire.names == []


def test_delete_all_empties_every_shard(db, key):
    db.batch_write(puts=[Reading(day=key, id=f"r{number}", at=number) for number in range(12)])
    db.model(Reading).where(Reading.day == key).delete_all(confirm=True)
    assert db.model(Reading).where(Reading.day == key).count() == 0
