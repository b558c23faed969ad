"""Queries by key: which table or index is read, ranges, order, limits, pages and the ways to end one."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from dynamorm import DB, Attr, Model, Presets, ValidationError, attr, gsi, lsi, partition_key, sort_key

pytestmark = pytest.mark.engine

START = datetime(2024, 1, 1, tzinfo=UTC)


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key(name="c")
    number: Attr[int] = sort_key()
    status: Attr[str | None] = attr(default=None, name="st")
    at: Attr[datetime | None] = attr(default=None)
    total: Attr[Decimal] = attr(default=Decimal(0))
    note: Attr[str] = attr(default="")
    by_status = gsi("by-status", partition="status", sort="at")
    by_note = gsi("by-note", partition="note", projection="KEYS_ONLY")
    by_total = lsi("by-total", sort="total")


class Doc(Model, table="docs"):
    folder: Attr[str] = partition_key()
    path: Attr[str] = sort_key()
    body: Attr[str] = attr(default="")


MODELS = [Order, Doc]


@pytest.fixture(scope="module")
def orders(engine, made):
    """Ten orders of one customer, every third of them without a status; one of another customer."""
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        found = []
        for number in range(10):
            status = None if number % 3 == 0 else "open" if number % 2 else "done"
            found.append(
                Order(
                    customer="c1", number=number, status=status, at=START + timedelta(hours=number),
                    total=Decimal(100 - number * 10), note=str(number),
                )
            )  # fmt: skip
            db.create(found[-1])
        db.create(Order(customer="c2", number=1, status="open", at=START, total=Decimal(5)))
    return found


@pytest.fixture(scope="module")
def large(engine, made):
    """Two megabytes and a half of documents in one folder."""
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        for number in range(25):
            db.put(Doc(folder="large", path=f"{number:03d}", body="x" * 100_000))


@pytest.fixture
def query(db, orders):
    """A query of the orders of the first customer."""
    return db.model(Order).where(Order.customer == "c1")


def numbers(found):
    return [order.number for order in found]


def test_the_items_of_a_partition_come_in_order(query, orders):
    assert query.all() == orders


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (lambda: Order.number == 4, [4]),
        (lambda: Order.number < 3, [0, 1, 2]),
        (lambda: Order.number <= 3, [0, 1, 2, 3]),
        (lambda: Order.number > 7, [8, 9]),
        (lambda: Order.number >= 7, [7, 8, 9]),
        (lambda: Order.number.between(2, 4), [2, 3, 4]),
        (lambda: Order.number > 100, []),
    ],
)
def test_a_range_of_the_sort_key(db, orders, condition, expected):
    both = db.model(Order).where(condition(), Order.customer == "c1")  # their order is free
    assert numbers(both.all()) == expected
    joined = db.model(Order).where((Order.customer == "c1") & condition())
    assert numbers(joined.all()) == expected
    chained = db.model(Order).where(condition()).where(Order.customer == "c1")
    assert numbers(chained.all()) == expected


def test_the_beginning_of_a_text_sort_key(db, key):
    for path in ("a/1", "a/2", "b/1"):
        db.create(Doc(folder=key, path=path))
    found = db.model(Doc).where(Doc.folder == key, Doc.path.begins_with("a/")).all()
    assert [doc.path for doc in found] == ["a/1", "a/2"]


def test_the_direction_is_that_of_the_sort_key(query):
    assert numbers(query.order_by("number", "desc").all()) == list(range(9, -1, -1))
    assert numbers(query.order_by(Order.number, "asc").all()) == list(range(10))
    assert query.order_by("number", "desc").first().number == 9


def test_a_limit_counts_items_in_all(query, wire):
    assert numbers(query.limit(3).all()) == [0, 1, 2]
    assert numbers(query.order_by("number", "desc").limit(2).all()) == [9, 8]
    assert len(query.limit(50).all()) == 10
    assert numbers(query.page_size(2).limit(5)) == [0, 1, 2, 3, 4]
    wire.clear()
    assert len(query.limit(4).page_size(2).all()) == 4
    assert [body["Limit"] for _, body in wire.calls] == [2, 2]


def test_pages_have_the_size_asked_for(query):
    pages = list(query.page_size(4).pages())
    assert [numbers(page) for page in pages if page] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_iteration_reads_page_by_page(query, wire):
    iterator = iter(query.page_size(2))
    wire.clear()
    assert [next(iterator).number for _ in range(3)] == [0, 1, 2]
    assert len(wire.calls) == 2
    assert numbers(iterator) == [3, 4, 5, 6, 7, 8, 9]


def test_a_query_can_be_run_again_and_built_upon(query):
    assert query.first().number == 0
    assert len(query.all()) == 10
    narrow = query.where(Order.number > 7)
    assert numbers(narrow.all()) == [8, 9]
    assert len(query.all()) == 10


def test_nothing_found_is_none_and_an_empty_list(db, orders):
    query = db.model(Order).where(Order.customer == "nobody")
    assert query.first() is None
    assert query.all() == []
    assert list(query) == []
    assert [item for page in query.pages() for item in page] == []


def test_a_global_index_is_chosen_by_its_key(db, orders, wire):
    query = db.model(Order).where(Order.status == "open", Order.at >= START + timedelta(hours=1))
    assert numbers(query.all()) == [1, 5, 7]
    assert wire.last["IndexName"] == "by-status"
    named = db.model(Order).index("by-status").where(Order.status == "done").order_by("at", "desc")
    assert numbers(named.all()) == [8, 4, 2]
    declared = db.model(Order).index(Order.by_status).where(Order.status == "done").limit(1)
    assert numbers(declared.all()) == [2]


def test_an_index_that_lacks_attributes_is_not_chosen_silently(db, orders, wire):
    with pytest.raises(ValidationError, match="by-note"):
        db.model(Order).where(Order.note == "1").all()
    assert wire.names == []


def test_an_index_that_may_lack_items_is_not_chosen_silently(db, orders, wire):
    """Items without a time are not in the index, though they have the status."""
    with pytest.raises(ValidationError, match="by-status"):
        db.model(Order).where(Order.status == "open").all()
    assert wire.names == []
    assert numbers(db.model(Order).index("by-status").where(Order.status == "done").all()) == [2, 4, 8]


def test_a_local_index_is_chosen_by_its_key_and_may_be_consistent(query, wire):
    found = query.where(Order.total.between(30, 50)).consistent().all()
    assert numbers(found) == [7, 6, 5]
    assert (wire.last["IndexName"], wire.last["ConsistentRead"]) == ("by-total", True)
    assert numbers(query.index("by-total").limit(2).all()) == [9, 8]


def test_an_order_is_that_of_an_index_where_the_table_has_another(query, wire):
    assert numbers(query.order_by("total", "desc").limit(3).all()) == [0, 1, 2]
    assert (wire.last["IndexName"], wire.last["ScanIndexForward"]) == ("by-total", False)


def test_what_is_no_part_of_the_key_becomes_a_filter(query, wire):
    assert numbers(query.where(Order.at == START + timedelta(hours=3)).all()) == [3]
    assert wire.last["FilterExpression"] == "#n1 = :v1"
    assert "IndexName" not in wire.last


def test_the_table_goes_before_its_indexes(query, wire):
    query.all()
    assert "IndexName" not in wire.last


def test_objects_found_count_as_loaded(db, key):
    db.create(Order(customer=key, number=1, note="a"))
    found = db.model(Order).where(Order.customer == key).consistent().first()
    found.note = "b"
    db.save(found)
    assert db.get(Order, key, 1, consistent=True).note == "b"


def test_paging_goes_on_over_one_megabyte(db, large, wire):
    found = db.model(Doc).where(Doc.folder == "large").all()
    assert [doc.path for doc in found] == [f"{number:03d}" for number in range(25)]
    assert len(wire.calls) >= 3
    wire.clear()
    assert len(db.model(Doc).where(Doc.folder == "large").limit(12).all()) == 12
    assert len(wire.calls) >= 2


@pytest.mark.parametrize(
    "wrong",
    [
        lambda query: query.where(Order.number != 3),
        lambda query: query.where(Order.number.in_([3, 4])),
        lambda query: query.where((Order.number == 3) | (Order.number == 4)),
        lambda query: query.where(Order.number > 3).where(Order.number < 5),
        lambda query: query.order_by("note"),
        lambda query: query.order_by("no_such"),
        lambda query: query.index("no-such-index"),
        lambda query: query.index("by-status"),
        lambda query: query.where(Doc.path == "x"),
    ],
)
def test_what_is_no_key_condition_is_refused_before_the_wire(query, wire, wrong):
    wire.clear()
    with pytest.raises(ValidationError):
        wrong(query).all()
    assert wire.names == []


def test_a_consistent_read_of_a_global_index_is_refused_and_says_why(db, wire):
    with pytest.raises(ValidationError, match="eventually consistent"):
        db.model(Order).where(Order.status == "open", Order.at > START).consistent().all()
    assert wire.names == []
