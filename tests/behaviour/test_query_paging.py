"""Pages lose nothing and repeat nothing: whatever the filter, the limit, the size of the pages and where one goes on."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import DB, Attr, Model, Presets, attr, gsi, lsi, partition_key, sort_key

pytestmark = pytest.mark.engine

SETTINGS = {"cursor_key": b"k" * 32}


class Row(Model, table="rows"):
    part: Attr[str] = partition_key(name="p")
    number: Attr[int] = sort_key()
    group: Attr[str]
    rank: Attr[int]
    weight: Attr[int] = attr(default=0, name="w")
    word: Attr[str] = attr(default="")
    filler: Attr[str] = attr(default="")
    by_group = gsi("by-group", partition="group", sort="rank")
    by_weight = lsi("by-weight", sort="weight")


MODELS = [Row]
ROWS = [
    Row(
        part="many" if number % 7 else "few", number=number, group=("red", "blue")[number % 3 == 0], rank=number % 5,
        weight=number * number % 11, word=("a", "ab", "b", "ba")[number % 4], filler="x" * (number % 4) * 50,
    )
    for number in range(60)
]  # fmt: skip


@pytest.fixture(scope="module")
def rows(engine, made):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        for row in ROWS:
            db.put(row)


class Target:
    """What is queried: the builder, which rows belong to it, and what it is sorted by."""

    def __init__(self, name, build, belongs, order):
        self.name, self.build, self.belongs, self.order = name, build, belongs, order

    def __repr__(self):
        return self.name


TARGETS = [
    Target("table", lambda q: q.where(Row.part == "many"), lambda row: row.part == "many", "number"),
    Target("few", lambda q: q.where(Row.part == "few"), lambda row: row.part == "few", "number"),
    Target("none", lambda q: q.where(Row.part == "none"), lambda row: False, "number"),
    Target(
        "range of the table",
        lambda q: q.where(Row.part == "many", Row.number.between(10, 45)),
        lambda row: row.part == "many" and 10 <= row.number <= 45,
        "number",
    ),
    Target("local", lambda q: q.index("by-weight").where(Row.part == "many"), lambda row: row.part == "many", "weight"),
    Target("global", lambda q: q.where(Row.group == "red"), lambda row: row.group == "red", "rank"),
    Target(
        "range of the global",
        lambda q: q.where(Row.group == "red", Row.rank >= 2),
        lambda row: row.group == "red" and row.rank >= 2,
        "rank",
    ),
    Target("scan", lambda q: q.allow_scan(), lambda row: True, None),
    Target("scan of an index", lambda q: q.index(Row.by_group).allow_scan(), lambda row: True, None),
]
FILTERS = [
    (None, lambda row: True),
    (lambda: Row.word == "ab", lambda row: row.word == "ab"),
    (lambda: Row.word.begins_with("b"), lambda row: row.word.startswith("b")),
    (lambda: Row.filler.size() > 0, lambda row: len(row.filler) > 0),
    (lambda: (Row.word == "a") | ~(Row.filler == ""), lambda row: row.word == "a" or row.filler != ""),
    (lambda: Row.word == "never", lambda row: False),
]

targets = st.sampled_from(TARGETS)
filters = st.sampled_from(FILTERS)
sizes = st.one_of(st.integers(1, 7), st.integers(1, 70))
hypothesis_settings = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def built(db, target, condition, *, descending=False):
    query = target.build(db.model(Row))
    if condition is not None:
        query = query.filter(condition())
    if descending and target.order is not None:
        query = query.order_by(target.order, "desc")
    return query


def expected(target, matches, *, descending=False):
    found = [row for row in ROWS if target.belongs(row) and matches(row)]
    if target.order is not None:
        found.sort(key=lambda row: getattr(row, target.order), reverse=descending)
    return found


def keys(rows):
    return Counter((row.part, row.number) for row in rows)


def assert_the_same(found, wanted, target):
    """Nothing lost, nothing twice, and in order; equal sort keys of an index may come in any order."""
    assert keys(found) == keys(wanted)
    if target.order is not None:
        assert [getattr(row, target.order) for row in found] == [getattr(row, target.order) for row in wanted]


@hypothesis_settings
@given(target=targets, kept=filters, size=sizes, descending=st.booleans())
def test_the_pages_of_a_query_are_the_query(db, rows, target, kept, size, descending):
    condition, matches = kept
    pages = list(built(db, target, condition, descending=descending).page_size(size).pages())
    assert_the_same([row for page in pages for row in page], expected(target, matches, descending=descending), target)
    assert all(len(page) == size for page in pages[:-1])
    assert len(pages[-1]) <= size


@hypothesis_settings
@given(target=targets, kept=filters, chosen=st.lists(sizes, min_size=1, max_size=4), descending=st.booleans())
def test_pages_gone_on_from_by_cursor_are_the_query(db, rows, target, kept, chosen, descending):
    """Each page is asked for by a new query, with a size of its own, as a web page would."""
    condition, matches = kept
    found, cursor, turn = [], None, 0
    while True:
        query = built(db, target, condition, descending=descending)
        page = query.limit(chosen[turn % len(chosen)]).cursor(cursor).page()
        found += page.items
        cursor, turn = page.cursor, turn + 1
        if cursor is None:
            break
        assert len(page) == chosen[(turn - 1) % len(chosen)]
    assert_the_same(found, expected(target, matches, descending=descending), target)


@hypothesis_settings
@given(target=targets, kept=filters, limit=sizes, size=st.one_of(st.none(), sizes), descending=st.booleans())
def test_a_limit_counts_what_matches(db, rows, target, kept, limit, size, descending):
    condition, matches = kept
    query = built(db, target, condition, descending=descending).limit(limit)
    if size is not None:
        query = query.page_size(size)
    wanted = expected(target, matches, descending=descending)
    found = query.all()
    assert len(found) == min(limit, len(wanted)) == query.count()
    assert not keys(found) - keys(wanted)
    if target.order is not None:
        assert [getattr(row, target.order) for row in found] == [
            getattr(row, target.order) for row in wanted[: len(found)]
        ]
    assert len(list(query)) == len(found)


@hypothesis_settings
@given(target=targets, kept=filters)
def test_the_short_ends_agree_with_the_long_one(db, rows, target, kept):
    condition, matches = kept
    query, wanted = built(db, target, condition), expected(target, matches)
    assert query.count() == len(wanted)
    assert query.exists() == bool(wanted)
    first = query.first()
    assert (first is None) == (not wanted)
    if wanted and target.order is not None:
        assert getattr(first, target.order) == getattr(wanted[0], target.order)


@hypothesis_settings
@given(target=targets, kept=filters, first=sizes, second=sizes)
def test_a_page_read_twice_is_the_same_page(db, rows, target, kept, first, second):
    query = built(db, target, kept[0])
    page = query.limit(first).page()
    assert keys(query.limit(first).page()) == keys(page)
    if page.cursor is not None:
        behind = query.limit(second).cursor(page.cursor)
        assert keys(behind.page()) == keys(behind.page())
        assert not keys(behind.page()) & keys(page)


def test_selected_attributes_are_paged_like_whole_items(db, rows):
    """The key to go on from is fetched too, though nobody selected it."""
    for target in (TARGETS[0], TARGETS[5]):
        query = built(db, target, lambda: Row.word != "a").select("word")
        found, cursor = [], None
        while True:
            page = query.limit(3).cursor(cursor).page()
            found += page.items
            cursor = page.cursor
            if cursor is None:
                break
        assert keys(found) == keys(expected(target, lambda row: row.word != "a"))
