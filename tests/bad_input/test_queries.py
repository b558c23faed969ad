"""Queries that cannot be: one clear error each, before the wire, naming what to do instead."""

import pytest

from dynamorm import Attr, Model, ValidationError, attr, gsi, lsi, partition_key, sort_key
from dynamorm.errors import PartialItem, TamperedCursor

from .conftest import SECRET


class Inner(Model):
    city: Attr[str] = attr(default="")


class Bill(Model, table="bills"):
    owner: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    status: Attr[str] = attr(default="open")
    note: Attr[str | None] = attr(default=None)
    total: Attr[int] = attr(default=0)
    tags: Attr[set[str]] = attr(default_factory=set)
    home: Attr[Inner | None] = attr(default=None)
    by_status = gsi("by-status", partition="status", sort="total")
    by_note = gsi("by-note", partition="note", projection="KEYS_ONLY")
    by_total = lsi("by-total", sort="total")


class Other(Model, table="others"):
    id: Attr[str] = partition_key()
    number: Attr[int] = attr(default=0)


CASES = {
    "no plan": (lambda q: q.where(Bill.total == 5), 'gsi("gsi-total", partition="total")', "allow_scan"),
    "no terms at all": (lambda q: q, "allow_scan"),
    "IN on the partition": (lambda q: q.where(Bill.owner.in_([SECRET, "b"])), "owner", "batch_get"),
    "OR on the partition": (lambda q: q.where((Bill.owner == SECRET) | (Bill.owner == "b")), "allow_scan"),
    "a range of the partition": (lambda q: q.where(Bill.owner > SECRET), "allow_scan"),
    "a second range": (lambda q: q.where(Bill.owner == SECRET, Bill.number > 1, Bill.number < 9), "number"),
    "not equal on the sort key": (lambda q: q.where(Bill.owner == SECRET, Bill.number != 1), "number"),
    "a filter on the key": (lambda q: q.where(Bill.owner == SECRET).filter(Bill.number == 1), "number"),
    "two values of one key": (lambda q: q.where(Bill.owner == SECRET).where(Bill.owner == "b"), "owner"),
    "a missing index": (lambda q: q.index("by-stats").where(Bill.status == SECRET), "did you mean 'by-status'"),
    "an index without its key": (lambda q: q.index("by-status").where(Bill.owner == SECRET), "status"),
    "a partial index": (lambda q: q.where(Bill.note == SECRET), "holds only part", ".index('by-note')", "hydrate"),
    "a filter on what is not projected": (
        lambda q: q.index("by-note").where(Bill.note == "n").filter(Bill.total > 5), "by-note", "total",
    ),
    "a selection of what is not projected": (
        lambda q: q.index("by-note").where(Bill.note == "n").select("total"), "by-note", "total",
    ),
    "hydrate and select": (lambda q: q.index("by-note").where(Bill.note == "n").select("note").hydrate(), "select"),
    "consistent on a global index": (lambda q: q.where(Bill.status == SECRET).consistent(), "eventually consistent"),
    "an order of nothing": (lambda q: q.where(Bill.owner == SECRET).order_by("note"), "note"),
    "an order of a scan": (lambda q: q.allow_scan().order_by("number"), "no order"),
    "segments and an order": (lambda q: q.allow_scan().segments(2).order_by("number"), "no order"),
    "segments without a scan": (lambda q: q.segments(2), "allow_scan"),
    "another model": (lambda q: q.where(Other.id == SECRET), "Other"),
    "no condition": (lambda q: q.where(True), "condition"),
    "an attribute alone": (lambda q: q.where(Bill.owner), "owner"),
    "bounds the wrong way round": (lambda q: q.where(Bill.owner == "b", Bill.number.between(9, 1)), "number"),
    "bounds of a filter the wrong way round": (
        lambda q: q.where(Bill.owner == "b").filter(Bill.note.between("z" + SECRET, "a")), "note",
    ),
    "a prefix of a number": (lambda q: q.where(Bill.owner == "b", Bill.number.begins_with("1")), "number", "prefix"),
    "an empty key": (lambda q: q.where(Bill.owner == ""), "owner"),
    "a key of another type": (lambda q: q.where(Bill.owner == "b", Bill.number == SECRET), "number"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("end", ["all", "count", "page"])
def test_a_query_that_cannot_be_is_refused_by_every_end(db, refused, name, end):
    build, *words = CASES[name]
    refused(ValidationError, getattr(build(db.model(Bill)), end), *words)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda q: q.start_after(SECRET), ("owner", "number")),
        (lambda q: q.start_after(SECRET, 1), ("start_after", "owner", "leave out")),
        (lambda q: q.start_after("b", 9), ("start_after", "number", "leave out")),
        (lambda q: q.start_after(number=1), ("owner",)),
        (lambda q: q.start_after(Bill(owner="b", number=1), 5), ("one Bill",)),
        (lambda q: q.start_after("b", SECRET), ("number",)),
    ],
)
@pytest.mark.parametrize("end", ["all", "count", "page"])
def test_a_start_that_is_none_of_the_query(db, refused, build, words, end):
    query = db.model(Bill).where(Bill.owner == "b", Bill.number < 5)
    refused(ValidationError, getattr(build(query), end), *words)


def test_a_start_of_an_index_is_an_object_that_has_its_key(db, refused):
    held = db.model(Bill).index("by-note").where(Bill.note == SECRET)
    refused(ValidationError, held.start_after("b", 1).all, "by-note", "object", "cursor")
    refused(ValidationError, held.start_after(Bill(owner="b", number=1)).all, "note")
    refused(ValidationError, db.model(Bill).start_after, "start_after")
    refused(ValidationError, db.model(Bill).allow_scan().segments(2).start_after("b", 1).all, "one position")
    refused(ValidationError, lambda: db.model(Bill).cursor("c1.x").start_after("b", 1), "one place")
    refused(ValidationError, lambda: db.model(Bill).start_after("b", 1).cursor("c1.x"), "one place")


@pytest.mark.parametrize("end", ["all", "first", "one", "count", "exists"])
def test_a_cap_on_what_is_read_is_for_pages(db, refused, end):
    query = db.model(Bill).where(Bill.owner == SECRET).read_at_most(5)
    refused(ValidationError, getattr(query, end), "read_at_most", "page()", "pages()")


def test_a_cap_on_what_is_read_is_of_one_place(db, refused):
    scan = db.model(Bill).allow_scan().segments(2).read_at_most(5)
    refused(ValidationError, scan.page, "read_at_most", "segment(number, of=count)")


@pytest.mark.parametrize("number", [-1, 4, True, 1.5, "1", None])
def test_a_segment_is_one_of_those_that_there_are(db, refused, number):
    refused(ValidationError, lambda: db.model(Bill).segment(number, of=4), "segment")
    refused(ValidationError, lambda: db.model(Bill).segment(0, of=10**7), "of", "1000000")
    refused(ValidationError, db.model(Bill).segment(0, of=4).all, "allow_scan")


@pytest.mark.parametrize("method", ["limit", "page_size", "segments", "read_at_most"])
@pytest.mark.parametrize("count", [0, -1, True, 1.5, "5", None])
def test_a_number_of_items_is_one_or_more(db, refused, method, count):
    refused(ValidationError, lambda: getattr(db.model(Bill), method)(count), method, "1 or more")


@pytest.mark.parametrize(("method", "count"), [("limit", 2**31), ("limit", 10**12), ("page_size", 10**12)])
def test_a_number_is_one_that_dynamodb_can_count_to(db, refused, method, count):
    refused(ValidationError, lambda: getattr(db.model(Bill), method)(count), method, "at most")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda q: q.select("totl"), ["did you mean 'total'"]),
        (lambda q: q.select("home.cty"), ["did you mean 'city'"]),
        (lambda q: q.select(), ["select"]),
        (lambda q: q.order_by("numbr"), ["did you mean 'number'"]),
        (lambda q: q.order_by("number", "down"), ["asc"]),
        (lambda q: q.where("ownr", "=", SECRET), ["did you mean 'owner'"]),
        (lambda q: q.where("owner", "=", SECRET, SECRET), ["one value"]),
        (lambda q: q.where("owner", "EQUALS", SECRET), ["operator"]),
        (lambda q: q.order_by("-number"), ['order_by("number", "desc")']),
        (lambda q: q.filter("tags[0", "=", SECRET), ["tags[0"]),
        (lambda q: q.cursor(5), ["text"]),
        (lambda q: q.cursor_format("v9"), ["v0.1"]),
    ],
)
def test_a_wrong_name_is_refused_where_it_is_written(db, refused, build, words):
    refused(ValidationError, lambda: build(db.model(Bill)), *words)


@pytest.mark.parametrize("value", [SECRET, "ann", "a b"])
def test_a_value_in_the_place_of_the_operator_is_not_repeated(db, refused, value):
    error = refused(ValidationError, lambda: db.model(Bill).where("owner", value), 'where("owner", "=", value)')
    assert value not in str(error)
    assert error.field == "owner"


def test_a_wrong_name_is_the_field_of_the_error_as_it_was_written(db, refused):
    assert refused(ValidationError, lambda: db.model(Bill).select("totl")).field == "totl"
    assert refused(ValidationError, lambda: db.model(Bill).where("home.cty", "=", 1)).field == "home.cty"
    assert refused(ValidationError, lambda: db.model(Bill).where("ann@example.org", "=", 1)).field is None


def test_an_order_of_another_model_is_refused(db, refused):
    refused(ValidationError, lambda: db.model(Bill).order_by(Other.number), "Other")


def test_a_selection_of_another_model_is_refused(db, refused):
    refused(ValidationError, lambda: db.model(Bill).where(Bill.owner == "b").select(Other.id).all(), "id")


@pytest.mark.parametrize("cursor", ["", "c1.", "c1.AAAA", "nonsense", "c1." + "A" * 5000, SECRET])
def test_a_cursor_that_is_none_of_ours_is_refused(db, refused, cursor, monkeypatch):
    from dynamorm.config.secret_keys import SecretKeys
    from dynamorm.ops.queries import cursor as cursors

    monkeypatch.setattr(cursors, "_process", [SecretKeys((b"k" * 32,))])
    query = db.model(Bill).where(Bill.owner == SECRET).cursor(cursor)
    texts = set()
    for end in ("page", "all", "first", "count", "exists"):
        error = refused(TamperedCursor, getattr(query, end), "start at the beginning")
        texts.add(error.message)
    assert len(texts) == 1


def test_a_partial_object_is_never_written(db, refused, server):
    from dynamorm.codec.partial import reader as partial

    plan = db.inner._session.plan(Bill)
    found = partial.reader(plan.codec, ["total"]).read_item(
        b'{"Item":{"owner":{"S":"b"},"number":{"N":"1"},"total":{"N":"5"}}}'
    )
    for verb in (db.put, db.save, db.create, db.delete):
        refused(PartialItem, lambda verb=verb: verb(found), "select")
