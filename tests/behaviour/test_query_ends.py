"""The ends of a query: what each returns, and that none reads more than it needs."""

import pytest

from dynamorm import DB, Attr, Model, Page, Presets, attr, gsi, partition_key, sort_key
from dynamorm.errors import MultipleFound, NotFound, ValidationError

pytestmark = pytest.mark.engine

SETTINGS = {"cursor_key": b"k" * 32}


class Reading(Model, table="readings"):
    sensor: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    kind: Attr[str]
    body: Attr[str] = attr(default="")
    by_kind = gsi("by-kind", partition="kind", sort="number", projection="KEYS_ONLY")


class Event(Model, table="family", discriminator="type"):
    stream: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    day: Attr[str] = attr(default="d1")
    by_day = gsi("by-day", partition="day", sort="number", projection="KEYS_ONLY")


class Paid(Event, tag="paid"):
    amount: Attr[int] = attr(default=0)


class Refunded(Paid, tag="refunded"):
    pass


class Opened(Event, tag="opened"):
    pass


MODELS = [Reading, Event]
COUNT = 400


@pytest.fixture(scope="module")
def readings(engine, made):
    """400 readings of one sensor, of which only the last is an alarm."""
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        for number in range(COUNT):
            kind = "alarm" if number == COUNT - 1 else "plain"
            db.put(Reading(sensor="s1", number=number, kind=kind, body="x" * 20))
        for number in range(12):
            kind = (Paid, Refunded, Opened, Event)[number % 4]
            db.put(kind(stream="e1", number=number))


@pytest.fixture
def query(db, readings):
    return db.model(Reading).where(Reading.sensor == "s1")


def looked_at(wire):
    """The items that the calls so far may have looked at."""
    return sum(request.get("Limit", COUNT) for _, request in wire.calls)


def test_one_is_the_only_item(query):
    assert query.where(Reading.number == 7).one().number == 7
    with pytest.raises(NotFound):
        query.where(Reading.number == 1000).one()
    with pytest.raises(MultipleFound, match="more than one Reading"):
        query.one()


def test_one_of_a_limit_of_one_is_the_first_item(query, wire):
    assert query.limit(1).one().number == 0
    assert [request["Limit"] for _, request in wire.calls] == [1]
    assert query.where(Reading.number > 5).limit(1).one().number == 6
    with pytest.raises(NotFound):
        query.where(Reading.number > 1000).limit(1).one()
    with pytest.raises(MultipleFound):
        query.limit(2).one()


def test_one_reads_two_items_at_most(query, wire):
    with pytest.raises(MultipleFound):
        query.one()
    assert [request["Limit"] for _, request in wire.calls] == [2]


def test_first_without_a_filter_reads_one_item(query, wire):
    assert query.first().number == 0
    assert [request["Limit"] for _, request in wire.calls] == [1]


def test_first_with_a_filter_reads_on_in_growing_steps(query, wire):
    assert query.filter(Reading.kind == "alarm").first().number == COUNT - 1
    limits = [request["Limit"] for _, request in wire.calls]
    assert limits == sorted(limits)
    assert limits[0] <= 64
    assert len(limits) <= 6


def test_count_fetches_nothing(query, wire):
    assert query.count() == COUNT
    assert all(request["Select"] == "COUNT" and "ProjectionExpression" not in request for _, request in wire.calls)
    assert query.filter(Reading.kind == "alarm").count() == 1
    assert query.limit(30).count() == 30
    assert query.filter(Reading.kind == "plain").limit(30).count() == 30
    assert query.where(Reading.number > 395).limit(30).count() == 4


def test_a_count_with_a_limit_does_not_read_everything(query, wire):
    query.filter(Reading.kind == "plain").limit(30).count()
    assert looked_at(wire) <= 64


def test_exists_reads_one_item(query, wire):
    assert query.exists()
    assert [request["Limit"] for _, request in wire.calls] == [1]
    assert query.filter(Reading.kind == "alarm").exists()
    assert not query.filter(Reading.kind == "none").exists()


def test_a_page_is_a_sequence_with_a_cursor(query):
    page = query.limit(3).page()
    assert isinstance(page, Page)
    assert [one.number for one in page] == [one.number for one in page.items] == [0, 1, 2]
    assert (len(page), page[1].number, [one.number for one in page[1:]]) == (3, 1, [1, 2])
    assert not page.last
    behind = query.limit(2).cursor(page.cursor).page()
    assert [one.number for one in behind] == [3, 4]


def test_a_page_is_as_long_as_the_smaller_of_limit_and_page_size(query):
    assert len(query.limit(5).page_size(3).page()) == 3
    assert len(query.limit(3).page_size(5).page()) == 3
    assert len(query.page_size(7).page()) == 7


def test_the_cursor_is_none_at_the_end_only(query):
    page = query.where(Reading.number >= COUNT - 2).limit(5).page()
    assert (len(page), page.cursor, page.last) == (2, None, True)
    assert query.where(Reading.number > COUNT).page().cursor is None


def test_a_filtered_page_is_full(query):
    page = query.filter(Reading.kind == "alarm").limit(1).page()
    assert [one.number for one in page] == [COUNT - 1]


def test_a_selection_gives_partial_objects_that_cannot_be_saved(db, query):
    partial = query.select("kind").limit(1).all()[0]
    assert partial.kind == "plain"
    with pytest.raises(ValidationError):
        db.save(partial)
    with pytest.raises(AttributeError):
        partial.body


def test_an_index_that_holds_only_keys_gives_partial_or_whole_objects(db, readings):
    query = db.model(Reading).index(Reading.by_kind).where(Reading.kind == "plain").limit(3)
    partial = query.all()
    assert [one.number for one in partial] == [0, 1, 2]
    with pytest.raises(AttributeError):
        partial[0].body
    whole = query.hydrate().all()
    assert [one.body for one in whole] == ["x" * 20] * 3
    assert query.page_size(2).hydrate().count() == 3


def test_a_subclass_meets_neither_siblings_nor_its_base(db, readings):
    def found(model):
        return [one.number for one in db.model(model).where(Event.stream == "e1")]

    assert found(Event) == list(range(12))
    assert found(Paid) == [0, 1, 4, 5, 8, 9]
    assert found(Refunded) == [1, 5, 9]
    assert {type(one) for one in db.model(Paid).where(Event.stream == "e1")} == {Paid, Refunded}


def test_siblings_are_not_counted_and_fill_no_limit(db, readings):
    query = db.model(Refunded).where(Event.stream == "e1")
    assert query.count() == 3
    assert [one.number for one in query.limit(2).all()] == [1, 5]
    assert query.order_by("number", "desc").first().number == 9
    page = query.limit(1).page()
    assert [one.number for one in query.limit(5).cursor(page.cursor).page()] == [5, 9]


def test_siblings_are_left_out_of_an_index_that_does_not_hold_the_tag(db, readings):
    query = db.model(Refunded).index(Event.by_day).where(Event.day == "d1").hydrate()
    assert sorted(one.number for one in query.all()) == [1, 5, 9]
    assert query.count() == 3
    assert len(query.limit(2).all()) == 2


def test_an_explanation_names_what_is_read_and_why_and_sends_nothing(query, wire):
    wire.clear()
    explained = query.filter(Reading.kind == "plain").explain()
    assert explained.operation == "Query"
    assert "table" in explained.why
    assert "plain" not in str(explained)
    assert wire.names == []
