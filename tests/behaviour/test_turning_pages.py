"""Pages lead back as they lead on: whatever the filter, the sizes, the index and the direction, and while items change."""

import uuid
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import DB, Attr, Model, Presets, attr, composite, gsi, lsi, partition_key, sort_key
from dynamorm.errors import TamperedCursor, ValidationError

pytestmark = pytest.mark.engine

SETTINGS = {"cursor_key": b"k" * 32}


class Row(Model, table="turned-rows"):
    part: Attr[str] = partition_key(name="p")
    number: Attr[int] = sort_key()
    group: Attr[str]
    rank: Attr[int]
    weight: Attr[int] = attr(default=0, name="w")
    word: Attr[str] = attr(default="")
    by_group = gsi("by-group", partition="group", sort="rank")
    by_word = gsi("by-word", partition="word", projection=("rank",))
    by_weight = lsi("by-weight", sort="weight", projection="KEYS_ONLY")


class Lone(Model, table="turned-lone"):
    id: Attr[str] = partition_key()
    owner: Attr[str]
    by_owner = gsi("by-owner", partition="owner")


class Spread(Model, table="turned-spread"):
    pk: Attr[str] = partition_key(composite("day", shards=3, by="id"))
    id: Attr[int] = sort_key()
    day: Attr[str]


class Told(Model, table="turned-misfits"):
    part: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    value: Attr[int] = attr(default=0)


class Untold(Model, table="turned-misfits"):
    part: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    value: Attr[str] = attr(default="no number")


class Large(Model, table="turned-large"):
    part: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    rank: Attr[int]
    text: Attr[str]


class Binary(Model, table="turned-binary"):
    part: Attr[bytes] = partition_key()
    mark: Attr[bytes] = sort_key()
    group: Attr[bytes] = attr(default=b"\xff")
    by_group = gsi("by-group", partition="group", sort="mark")


class Composed(Model, table="turned-composed"):
    pk: Attr[str] = partition_key(composite("shop"))
    sk: Attr[str] = sort_key(composite("{number:03d}"))
    shop: Attr[str]
    number: Attr[int]
    state: Attr[str | None] = attr(default="open")
    shop_state: Attr[str | None] = attr(composite("shop", "state"), init=False)
    by_state = gsi("by-state", partition="shop_state", sort="number")


MODELS = [Row, Lone, Spread, Told, Large, Binary, Composed]
COUNT = 40


@pytest.fixture(scope="module")
def rows(engine, made):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        db.batch_write(
            puts=[
                Row(
                    part="many" if number % 9 else "few", number=number, group=("red", "blue")[number % 3 == 0],
                    rank=number % 5, weight=number * number % 11, word=("a", "ab", "b", "ba")[number % 4],
                )
                for number in range(COUNT)
            ]
            + [Lone(id=f"l{number}", owner="o1") for number in range(11)]
            + [Spread(day="d1", id=number) for number in range(9)]
        )  # fmt: skip


TARGETS = {
    "table": lambda db: db.model(Row).where(Row.part == "many"),
    "one item": lambda db: db.model(Row).where(Row.part == "many", Row.number == 1),
    "nothing": lambda db: db.model(Row).where(Row.part == "none"),
    "range": lambda db: db.model(Row).where(Row.part == "many", Row.number.between(5, 33)),
    "local index": lambda db: db.model(Row).index("by-weight").where(Row.part == "many"),
    "local index, whole": lambda db: db.model(Row).index("by-weight").where(Row.part == "many").hydrate(),
    "global index": lambda db: db.model(Row).where(Row.group == "red"),
    "global index, range": lambda db: db.model(Row).where(Row.group == "red", Row.rank >= 2),
    "hash-only index": lambda db: db.model(Row).index("by-word").where(Row.word == "ab"),
    "hash-only index of a hash-only table": lambda db: db.model(Lone).index("by-owner").where(Lone.owner == "o1"),
    "descending": lambda db: db.model(Row).where(Row.part == "many").order_by("number", "desc"),
    "selected": lambda db: db.model(Row).where(Row.group == "red").select("word").order_by("rank", "desc"),
    "filtered": lambda db: db.model(Row).where(Row.part == "many").filter(Row.word == "ab"),
    "filtered index": lambda db: db.model(Row).where(Row.group == "red").filter(Row.word != "a"),
    "all filtered out": lambda db: db.model(Row).where(Row.part == "many").filter(Row.word == "never"),
    "skipping": lambda db: db.model(Row).where(Row.part == "many").on_misfit("skip"),
}
sizes = st.integers(1, 13)
steps = st.lists(st.tuples(st.booleans(), sizes), min_size=1, max_size=8)


def key(row):
    return row.id if isinstance(row, Lone) else (row.part, row.number)


def keys(found):
    return [key(row) for row in found]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(TARGETS)), first=sizes, walk=steps)
def test_a_walk_forth_and_back_is_a_walk_in_the_list(db, rows, name, first, walk):
    """After each page the next one, or the one before, of any size: what lies next to it in the list of all items."""
    query = TARGETS[name](db)
    everything = keys(query.all())
    page, start = query.limit(first).page(), 0
    end = min(first, len(everything))
    assert (page.previous, keys(page)) == (None, everything[:end])
    for on, size in walk:
        cursor = page.cursor if on else page.previous
        assert page.has_more is (page.cursor is not None) is not page.last
        if cursor is None:
            assert (end == len(everything)) if on else (start == 0)
            continue
        page = query.limit(size).cursor(cursor).page()
        start, end = (end, min(end + size, len(everything))) if on else (max(start - size, 0), start)
        assert keys(page) == everything[start:end]
        if not on:
            assert (page.previous is None) == (start == 0)  # exactly: no empty page before the first


def test_a_full_first_page_that_was_gone_back_to_is_known_to_be_the_first(db, rows):
    query = db.model(Row).where(Row.part == "many").limit(5)
    second = query.cursor(query.page().cursor).page()
    first = query.cursor(second.previous).page()
    assert keys(first) == keys(query.page())
    assert first.previous is None
    assert first.has_more
    assert keys(query.cursor(first.cursor).page()) == keys(second)


def test_without_a_size_a_page_that_leads_back_holds_what_one_answer_brings(db, rows):
    query = db.model(Row).where(Row.part == "many")
    page = query.limit(10).page()
    behind = query.cursor(page.cursor).page()
    assert keys(query.cursor(behind.previous).page()) == keys(page)


def test_the_pages_of_an_iteration_lead_back_too(db, rows):
    query = db.model(Row).where(Row.part == "many").page_size(7)
    found = list(query.pages())
    assert found[0].previous is None
    for before, page in pairwise(found):
        assert keys(query.cursor(page.previous).page()) == keys(before)


def test_items_that_come_and_go_between_pages(db, key):
    def put(*numbers):
        for number in numbers:
            db.put(Row(part=key, number=number, group="g", rank=0))

    put(0, 2, 4, 6, 8)
    query = db.model(Row).where(Row.part == key).limit(2)
    second = query.cursor(query.page().cursor).page()
    assert numbers(second) == [4, 6]
    db.delete(Row, key, 4)  # its place is known all the same
    put(3)
    before = query.cursor(second.previous).page()
    assert numbers(before) == [2, 3]
    assert numbers(query.cursor(before.previous).page()) == [0]
    assert numbers(query.cursor(before.cursor).page()) == [6, 8]
    for number in (0, 2, 3):
        db.delete(Row, key, number)
    nothing = query.cursor(second.previous).page()
    assert (numbers(nothing), nothing.previous) == ([], None)
    put(1)
    assert numbers(query.cursor(nothing.cursor).page()) == [1, 6]  # from the beginning


def test_back_from_an_empty_page_at_the_end_are_the_last_items(db, key):
    for number in range(4):
        db.put(Row(part=key, number=number, group="g", rank=0))
    query = db.model(Row).where(Row.part == key).limit(2)
    cursor = query.limit(3).page().cursor
    db.delete(Row, key, 3)
    empty = query.cursor(cursor).page()
    assert numbers(empty) == []
    assert numbers(query.cursor(empty.previous).page()) == [1, 2]


def numbers(found):
    return [row.number for row in found]


def test_what_leads_back_is_bound_to_its_query_and_cannot_be_read(db, rows):
    query = db.model(Row).where(Row.part == "many").limit(5)
    back = query.cursor(query.page().cursor).page().previous
    assert back.startswith("c1.")
    assert "many" not in back
    for other in (
        query.order_by("number", "desc"),
        query.filter(Row.word == "a"),
        db.model(Row).where(Row.part == "few"),
    ):
        with pytest.raises(TamperedCursor):
            other.cursor(back).page()
    with pytest.raises(TamperedCursor):
        query.cursor(back[:-2] + ("aa" if back[-2:] != "aa" else "bb")).page()


ENDS = {
    "all": lambda query: query.all(),
    "first": lambda query: query.first(),
    "count": lambda query: query.count(),
    "pages": lambda query: next(iter(query.pages())),
    "iteration": lambda query: next(iter(query)),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_cursor_that_leads_back_is_for_one_page(db, rows, wire, end):
    query = db.model(Row).where(Row.part == "many")
    back = query.limit(3).cursor(query.limit(3).page().cursor).page().previous
    wire.clear()
    with pytest.raises(ValidationError, match=r"leads back.*page\(\)"):
        ENDS[end](query.cursor(back))
    assert not wire.calls


def test_where_there_is_no_way_back(db, rows):
    scan = db.model(Row).allow_scan().limit(3)
    assert scan.page().previous is None
    behind = scan.cursor(scan.page().cursor).page()
    with pytest.raises(ValidationError, match="a scan is read one way only"):
        _ = behind.previous
    shards = db.model(Spread).where(Spread.day == "d1").limit(3)
    with pytest.raises(ValidationError, match="a query over shards is read one way only"):
        _ = shards.cursor(shards.page().cursor).page().previous
    plain = db.model(Row).where(Row.part == "many").cursor_format("v0.1").limit(3)
    with pytest.raises(ValidationError, match=r"v0\.1"):
        _ = plain.cursor(plain.page().cursor).page().previous


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fits=st.lists(st.booleans(), min_size=1, max_size=9), on=st.integers(1, 4), back=st.integers(1, 4))
def test_each_misfit_is_on_one_page_of_the_way_on_and_on_one_of_the_way_back(db, made, fits, on, back):
    part = uuid.uuid4().hex
    puts = [(Told if fit else Untold)(part=part, number=number) for number, fit in enumerate(fits)]
    assert db.batch_write(puts=puts).failed == []
    query = db.model(Told).where(Told.part == part).on_misfit("collect")
    found, misfits, cursor, pages = [], [], None, []
    while True:
        page = query.limit(on).cursor(cursor).page()
        pages.append(page)
        found += numbers(page)
        misfits += [misfit.key[1] for misfit in page.misfits]
        cursor = page.cursor
        if cursor is None:
            break
    assert (found, misfits) == places(fits)
    found, misfits = numbers(page), [misfit.key[1] for misfit in page.misfits]
    while page.previous is not None:
        page = query.limit(back).cursor(page.previous).page()
        found[:0] = numbers(page)
        misfits[:0] = [misfit.key[1] for misfit in page.misfits]
    assert (found, misfits) == places(fits)


def places(fits):
    return [at for at, fit in enumerate(fits) if fit], [at for at, fit in enumerate(fits) if not fit]


@pytest.mark.parametrize("last", [0, 1, 12, 24])
@pytest.mark.parametrize("filtered", [True, False])
def test_without_a_size_previous_is_none_on_the_first_page_and_nowhere_else(db, key, filtered, last):
    """Each answer holds ten of these items; only those from ``last`` on match."""
    for number in range(25):
        db.put(Large(part=key, number=number, rank=number, text="x" * 100_000))
    query = db.model(Large).where(Large.part == key)
    query = query.filter(Large.rank >= last) if filtered else query.where(Large.number >= last)
    page = query.page()
    while page.cursor is not None:
        page = query.cursor(page.cursor).page()
    found = numbers(page)
    assert (page.previous is None) == (not found or found[0] == last)
    while page.previous is not None:
        page = query.cursor(page.previous).page()
        found[:0] = numbers(page)
        assert (page.previous is None) == (found[0] == last)
        assert len(page)
    assert found == list(range(last, 25))


# ------------------------------------------------------------------------------------------------------- a known start


def test_a_query_begins_behind_a_known_item(db, rows):
    query = db.model(Row).where(Row.part == "many")
    everything = keys(query.all())
    fifth = query.all()[4]
    assert keys(query.start_after(fifth).all()) == everything[5:]
    assert keys(query.start_after(*everything[4]).limit(3)) == everything[5:8]
    assert keys(query.start_after(number=everything[4][1], part="many").page()) == everything[5:]
    assert query.start_after(fifth).count() == len(everything) - 5
    down = query.order_by("number", "desc").start_after(fifth)
    assert keys(down.all()) == everything[3::-1]
    before = query.start_after(fifth).limit(2).page().previous
    assert keys(query.limit(3).cursor(before).page()) == everything[2:5]
    assert keys(query.start_after("many", 1000).all()) == []


def test_a_query_on_an_index_begins_behind_an_object(db, rows):
    for name in ("global index", "local index", "hash-only index", "selected"):
        query = TARGETS[name](db)
        found = query.all()
        assert keys(query.start_after(found[2]).all()) == keys(found[3:]), name
    fresh = Row(part="many", number=10**6, group="red", rank=2)  # it was never stored
    assert {row.rank for row in db.model(Row).where(Row.group == "red").start_after(fresh)} == {3, 4}


def test_a_query_begins_behind_a_new_object_with_binary_keys(db, made):
    marks = [bytes([number, 255 - number]) for number in range(6)]
    part = uuid.uuid4().bytes
    for mark in marks:
        db.put(Binary(part=part, mark=mark, group=part))
    for query in (db.model(Binary).where(Binary.part == part), db.model(Binary).where(Binary.group == part)):
        for start in (Binary(part=part, mark=marks[2], group=part), query.all()[2]):
            assert [row.mark for row in query.start_after(start).all()] == marks[3:]
    assert [row.mark for row in db.model(Binary).where(Binary.part == part).start_after(part, marks[2])] == marks[3:]


def test_a_query_begins_behind_a_new_object_with_composite_keys(db, key):
    for number in (1, 2, 3, 10):
        db.put(Composed(shop=key, number=number))
    table = db.model(Composed).where(Composed.shop == key)
    index = db.model(Composed).where(Composed.shop == key, Composed.state == "open")
    for query in (table, index.index("by-state")):
        for start in (Composed(shop=key, number=2), query.all()[1]):
            assert numbers(query.start_after(start).all()) == [3, 10]
    with pytest.raises(ValidationError, match="without a value of shop_state"):
        index.index("by-state").start_after(Composed(shop=key, number=2, state=None)).all()


def test_a_scan_and_a_segment_begin_behind_a_known_item(db, rows):
    everything = db.model(Row).allow_scan()
    segments = [
        everything.segment(number, of=2) for number in range(2)
    ]  # an engine may have put all keys into one of them
    longest = max(segments, key=lambda segment: segment.count())
    for scan in (everything, longest):
        found = scan.all()
        assert keys(scan.start_after(found[1]).all()) == keys(found[2:]) != []


# ----------------------------------------------------------------------------------------- segments, and a cap on reads


def test_one_segment_of_a_scan(db, rows):
    scans = [db.model(Row).allow_scan().segment(number, of=3) for number in range(3)]
    assert sorted(key(row) for scan in scans for row in scan) == sorted(keys(db.model(Row).allow_scan()))
    assert sum(scan.count() for scan in scans) == len(db.model(Row).allow_scan().all())
    paged = []
    for scan in scans:
        cursor = None
        while True:
            page = scan.limit(4).cursor(cursor).page()
            paged += keys(page)
            cursor = page.cursor
            if cursor is None:
                break
    assert sorted(paged) == sorted(keys(db.model(Row).allow_scan()))
    largest = max(range(3), key=lambda number: scans[number].count())  # where a partition lies depends on its hash
    with pytest.raises(TamperedCursor):
        scans[largest - 1].limit(4).cursor(scans[largest].limit(1).page().cursor).page()


@pytest.mark.parametrize("name", ["table", "global index", "filtered", "filtered index", "all filtered out"])
@pytest.mark.parametrize("cap", [1, 3, 7, 1000])
def test_a_page_reads_no_more_than_its_cap_and_can_be_gone_on_from(db, rows, wire, name, cap):
    query = TARGETS[name](db)
    everything = keys(query.all())
    found, cursor = [], None
    while True:
        wire.clear()
        page = query.limit(5).read_at_most(cap).cursor(cursor).page()
        assert sum(request["Limit"] for _, request in wire.calls) <= cap
        found += keys(page)
        assert len(page) == 5 or page.capped or page.last
        assert not (page.capped and page.last)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == everything


def test_pages_with_a_cap_on_what_each_reads(db, rows, wire):
    query = db.model(Row).allow_scan().filter(Row.word == "ab").read_at_most(6)
    wire.clear()
    found = list(query.pages())
    assert [request["Limit"] for _, request in wire.calls] == [6] * len(found)
    assert sum(len(page) for page in found) == COUNT // 4
    assert [page.capped for page in found[:-1]] == [True] * (len(found) - 1)


def test_a_page_with_a_cap_leads_back_with_a_cap(db, rows):
    query = db.model(Row).where(Row.part == "many").filter(Row.word == "ab")
    everything = keys(query.all())
    behind = query.limit(3).cursor(query.limit(6).page().cursor).page()
    found, back = [], behind.previous
    while back is not None:
        page = query.limit(4).read_at_most(5).cursor(back).page()
        found = keys(page) + found
        back = page.previous
    assert found == everything[:6]


def test_the_cap_is_shown_by_explain(db, rows):
    explained = db.model(Row).where(Row.part == "many").read_at_most(9).explain()
    assert explained.request["Limit"] == 9
