"""Scans in segments: everything once, bounded memory, resumed exactly, through every end of a query."""

import gc

import pytest

from dynamorm import DB, Attr, Model, Presets, ValidationError, attr, gsi, partition_key, sort_key
from dynamorm.errors import ServerError, TamperedCursor
from dynamorm.ops.queries.lanes import MAX_AT_ONCE
from dynamorm.ops.queries.scan import ScanState
from dynamorm.testing import FaultServer, answers

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:no cursor_key")]


class Row(Model, table="rows"):
    id: Attr[str] = partition_key()
    number: Attr[int]
    half: Attr[str] = attr(default="a")
    text: Attr[str] = attr(default="x" * 100)
    by_half = gsi("by-half", partition="half", sort="number", projection="KEYS_ONLY")


class Doc(Model, table="docs"):
    folder: Attr[str] = partition_key()
    path: Attr[str] = sort_key()
    body: Attr[str] = attr(default="")


MODELS = [Row, Doc]
COUNT = 300


@pytest.fixture(scope="module")
def rows(engine, made):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        assert db.batch_write(puts=[Row(id=f"r{n}", number=n, half="ab"[n % 2]) for n in range(COUNT)]).ok
        assert db.batch_write(puts=[Doc(folder=f"f{n % 7}", path=f"{n:03d}", body="x" * 100_000) for n in range(40)]).ok
    return list(range(COUNT))


@pytest.fixture
def scan(db, rows):
    return db.model(Row).allow_scan().segments(4)


def numbers(found):
    return sorted(row.number for row in found)


def test_every_end_sees_every_item_once(scan, rows):
    assert numbers(scan.all()) == rows
    assert numbers(scan) == rows
    assert numbers(row for page in scan.pages() for row in page) == rows
    assert scan.count() == COUNT
    assert scan.exists()
    assert scan.first().number in rows
    assert (scan.sum("number"), scan.min("number"), scan.max("number")) == (sum(rows), 0, COUNT - 1)


def test_each_segment_is_asked_for_its_own_share(scan, wire):
    scan.all()
    assert wire.names == ["Scan"] * 4
    assert sorted((body["Segment"], body["TotalSegments"]) for _, body in wire.calls) == [(n, 4) for n in range(4)]


@pytest.mark.parametrize("segments", [1, 2, 7, 40])
def test_any_number_of_segments(db, rows, segments):
    scan = db.model(Row).allow_scan().segments(segments)
    assert numbers(scan.all()) == rows
    assert scan.count() == COUNT


def test_a_filter_is_applied_in_every_segment(scan):
    odd = scan.where(Row.half == "b")
    assert numbers(odd.all()) == list(range(1, COUNT, 2))
    assert odd.count() == COUNT // 2
    assert numbers(odd.page_size(11)) == list(range(1, COUNT, 2))
    assert not scan.filter(Row.number > 10_000).exists()
    assert scan.filter(Row.number > 10_000).all() == []


@pytest.mark.parametrize("limit", [1, 3, 10, 299, 300, 1000])
def test_a_limit_is_of_all_segments_together(scan, limit):
    found = numbers(scan.limit(limit).all())
    assert len(found) == len(set(found)) == min(limit, COUNT)
    assert scan.limit(limit).count() == min(limit, COUNT)
    filtered = numbers(scan.filter(Row.half == "a").limit(limit).all())
    assert len(filtered) == len(set(filtered)) == min(limit, COUNT // 2)


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("filtered", [False, True])
def test_a_scan_goes_on_where_its_cursor_says(scan, size, filtered):
    query = (scan.filter(Row.half == "a") if filtered else scan).page_size(size)
    if size == 1:
        query = query.filter(Row.number < 20)
    found, cursor, pages = [], None, 0
    while True:
        page = query.cursor(cursor).page()
        found += page.items
        pages += 1
        assert len(page) <= size
        cursor = page.cursor
        if cursor is None:
            break
    expected = [n for n in range(20 if size == 1 else COUNT) if not filtered or n % 2 == 0]
    assert numbers(found) == expected
    assert pages >= len(expected) / size


def test_a_cursor_fits_a_scan_in_as_many_segments_only(db, rows):
    cursor = db.model(Row).allow_scan().segments(4).page_size(10).page().cursor
    with pytest.raises(TamperedCursor):
        db.model(Row).allow_scan().segments(5).page_size(10).cursor(cursor).page()


def test_large_items_are_read_page_by_page(db, rows, wire):
    scan = db.model(Doc).allow_scan().segments(2)
    wire.clear()
    assert len(scan.all()) == 40
    assert len(wire.calls) > 2
    iterator = iter(scan)
    wire.clear()
    next(iterator)
    assert len(wire.calls) == 2


def test_an_index_can_be_scanned_in_segments(db, rows):
    found = db.model(Row).index(Row.by_half).allow_scan().segments(3)
    assert numbers(found.all()) == list(range(COUNT))
    whole = found.hydrate().all()
    assert numbers(whole) == list(range(COUNT))
    assert {row.text for row in whole} == {"x" * 100}
    assert found.count() == COUNT


def test_a_selection_is_made_in_every_segment(scan):
    found = scan.select("number").all()
    assert numbers(found) == list(range(COUNT))
    assert not any(hasattr(row, "half") for row in found)


def test_the_segments_under_way_are_bounded(open_db):
    """A million segments, of which so many at most are read at once; no more than there are connections."""
    segments = []

    def answer(request):
        segments.append(request.json["Segment"])
        return answers.json({"Items": [{"id": {"S": "x"}, "number": {"N": "1"}}], "Count": 1, "ScannedCount": 1})

    with FaultServer(answer) as server:
        many = iter(open_db(server.endpoint).model(Row).allow_scan().segments(1_000_000))
        for _ in range(3 * MAX_AT_ONCE):
            next(many)
        assert sorted(segments) == list(range(3 * MAX_AT_ONCE))
        segments.clear()
        few = iter(open_db(server.endpoint, performance=_two_connections()).model(Row).allow_scan().segments(9))
        next(few)
        assert sorted(segments) == [0, 1]


def _two_connections():
    from dynamorm import Config

    default = Config().performance
    return type(default)(max_connections=2, max_idle_connections=2)


def test_no_more_than_a_page_of_each_segment_is_in_memory(open_db):
    """Ten rounds of a page of 50 items of each of four segments; looked at while a round is handed out."""
    pages = {}

    def answer(request):
        segment = request.json["Segment"]
        number = pages[segment] = pages.get(segment, 0) + 1
        items = [{"id": {"S": f"{segment}-{number}-{n}"}, "number": {"N": "1"}} for n in range(50)]
        reply = {"Items": items, "Count": 50, "ScannedCount": 50}
        return answers.json(reply if number == 10 else reply | {"LastEvaluatedKey": {"id": items[-1]["id"]}})

    with FaultServer(answer) as server:
        seen, most = 0, 0
        for _ in open_db(server.endpoint).model(Row).allow_scan().segments(4):
            seen += 1
            if seen in {1900, 1990}:
                gc.collect()  # what other tests have left
                most = max(most, sum(type(one) is Row for one in gc.get_objects()))
    assert seen == 2000
    assert 200 <= most <= 400


def test_a_round_that_failed_is_read_again(open_db):
    """A segment fails for good in the middle: nothing is lost and nothing comes twice when the reader goes on."""
    broken = [True]

    def answer(request):
        body = request.json
        segment, begun = body["Segment"], "ExclusiveStartKey" in body
        if segment == 1 and begun and broken[0]:
            return answers.error("InternalServerError", 500)
        item = {"id": {"S": f"{segment}-{begun}"}, "number": {"N": str(segment)}}
        reply = {"Items": [item], "Count": 1, "ScannedCount": 1}
        return answers.json(reply if begun else reply | {"LastEvaluatedKey": {"id": item["id"]}})

    from dynamorm.ops.queries.query import page_reader_of
    from dynamorm.ops.queries.request import Request

    with FaultServer(answer) as server:
        db = open_db(server.endpoint)
        session = db.inner._session
        turn = page_reader_of(Request(Row, scan_allowed=True, segments=3))
        found = [row.id for row in db.run(turn.next(session))]
        with pytest.raises(ServerError):
            db.run(turn.next(session))
        broken[0] = False
        while not turn.done:
            found += [row.id for row in db.run(turn.next(session))]
    assert sorted(found) == sorted(f"{segment}-{begun}" for segment in range(3) for begun in (False, True))


def test_a_position_is_read_back_as_it_was_written():
    state = ScanState(5)
    assert state.live(3) == [0, 1, 2]
    state.move(0, None)
    state.move(1, b'{"id":{"S":"x"}}')
    again = ScanState.decode(state.encode(), 5)
    assert (again.begun, again.at, again.done) == (3, {1: b'{"id":{"S":"x"}}', 2: None}, False)
    assert again.live(3) == [1, 2, 3]
    for segment in (1, 2, 3):
        again.move(segment, None)
    again.move(*(again.live(3)[0], None))
    assert again.done


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"[]", b'{"id":{"S":"x"}}', b'{"segments":4,"begun":1,"at":{}}', b'{"segments":5,"begun":9,"at":{"7":null}}',
        b'{"segments":5,"begun":1,"at":{"x":null}}', b'{"segments":5,"begun":1,"at":{"-1":null}}',
        b'{"segments":5,"begun":1,"at":{"0":5}}', b'{"segments":5,"begun":1,"at":{"0":null},"more":1}',
    ],
)  # fmt: skip
def test_what_is_no_position_is_refused(text):
    with pytest.raises(ValidationError):
        ScanState.decode(text, 5)
