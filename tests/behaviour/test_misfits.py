"""Stored items that do not fit the model: errors carry their keys, and queries and scans raise, skip or collect them."""

import pickle
from datetime import UTC, datetime

import pytest

from dynamorm import Attr, Model, ValidationError, attr, gsi, partition_key, sort_key
from dynamorm.errors import DynamORMError

from .kit import store

pytestmark = pytest.mark.engine


class Line(Model, table="lines"):
    bill: Attr[str] = partition_key()
    at: Attr[datetime] = sort_key()
    amount: Attr[int]
    group: Attr[str | None] = attr(default=None)
    by_group = gsi("by-group", partition="group", sort="at", projection=("amount",))


class Shape(Model, table="shapes", discriminator="kind"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


class Circle(Shape, tag="circle"):
    radius: Attr[int]


class Address(Model):
    city: Attr[str]
    floor: Attr[int | None] = attr(default=None)


class Stop(Model):
    at: Attr[Address]


class Route(Model, table="routes"):
    id: Attr[str] = partition_key()
    start: Attr[Address | None] = attr(default=None)
    stops: Attr[list[Stop]] = attr(default_factory=list)
    fee: Attr[int] = attr(default=0)


MODELS = [Line, Shape, Route]
SETTINGS = {"cursor_key": b"k" * 32}
DAYS = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 9)]
BAD = (1, 4, 5)


@pytest.fixture
def lines(db, key):
    """Eight items, of which three cannot be read."""
    for number, day in enumerate(DAYS):
        wire = {"S": "no number"} if number in BAD else {"N": str(number)}
        at = f"2024-01-0{day.day}T00:00:00.000000000Z"
        store(db, Line, {"bill": {"S": key}, "at": {"S": at}, "amount": wire, "group": {"S": key}})
    return key


def query(db, key):
    return db.model(Line).where(Line.bill == key)


def numbers(items):
    return sorted(one.amount for one in items)


GOOD = [0, 2, 3, 6, 7]
SOURCES = {
    "query": query,
    "filtered": lambda db, key: query(db, key).filter(Line.group == key),
    "scan": lambda db, key: db.model(Line).allow_scan().filter(Line.bill == key),
    "scan in segments": lambda db, key: db.model(Line).allow_scan().segments(3).filter(Line.bill == key),
    "selected": lambda db, key: query(db, key).select(Line.amount),
    "index": lambda db, key: db.model(Line).index(Line.by_group.name).where(Line.group == key).select(Line.amount),
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_first_misfit_raises_with_its_key(db, lines, source):
    for asked in (SOURCES[source](db, lines), SOURCES[source](db, lines).on_misfit("raise")):
        with pytest.raises(ValidationError, match=r"Line\.amount") as caught:
            asked.all()
        assert caught.value.key in {(lines, DAYS[number]) for number in BAD}
        assert lines not in str(caught.value) + caught.value.safe
        assert "no number" not in str(caught.value)
        assert pickle.loads(pickle.dumps(caught.value)).key is None


@pytest.mark.parametrize("source", SOURCES)
def test_misfits_are_skipped(db, lines, source):
    asked = SOURCES[source](db, lines).on_misfit("skip")
    assert numbers(asked.all()) == GOOD
    assert numbers(asked) == GOOD
    assert numbers(asked.page_size(2).all()) == GOOD
    assert [one for page in asked.page_size(2).pages() for one in page.misfits] == []
    assert asked.sum(Line.amount) == sum(GOOD)
    assert len(asked.limit(3).all()) == 3
    assert asked.first().amount in GOOD


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("size", [None, 1, 2, 3, 100])
def test_misfits_are_collected_each_once(db, lines, source, size):
    asked = SOURCES[source](db, lines).on_misfit("collect")
    pages = list((asked if size is None else asked.page_size(size)).pages())
    assert numbers([one for page in pages for one in page]) == GOOD
    misfits = [one for page in pages for one in page.misfits]
    assert sorted(one.key for one in misfits) == [(lines, DAYS[number]) for number in BAD]
    assert all(isinstance(one, ValidationError) and one.field == "amount" for one in misfits)


def test_pages_with_cursors_hold_every_item_once(db, lines):
    asked, cursor = query(db, lines).filter(Line.group == lines).limit(2).on_misfit("collect"), None
    found, misfits = [], []
    while True:
        page = asked.cursor(cursor).page()
        found += page
        misfits += page.misfits
        if page.last:
            break
        cursor = page.cursor
    assert numbers(found) == GOOD
    assert sorted(one.key[1] for one in misfits) == [DAYS[number] for number in BAD]


def test_one_finds_the_one_that_fits(db, key):
    for number, wire in enumerate([{"S": "x"}, {"N": "1"}]):
        store(db, Line, {"bill": {"S": key}, "at": {"S": f"2024-01-0{number + 1}T00:00:00Z"}, "amount": wire})
    assert query(db, key).on_misfit("skip").one().amount == 1
    assert query(db, key).on_misfit("skip").first().amount == 1


def test_kinds_that_this_program_does_not_know_are_misfits(db, key):
    db.create(Circle(id=key, number=1, radius=2))
    store(db, Shape, {"id": {"S": key}, "number": {"N": "2"}, "kind": {"S": "hexagon"}})
    store(db, Shape, {"id": {"S": key}, "number": {"N": "3"}, "kind": {"S": "circle"}})
    asked = db.model(Shape).where(Shape.id == key)
    with pytest.raises(ValidationError) as caught:
        asked.all()
    assert caught.value.key == (key, 2)
    assert [one.number for one in asked.on_misfit("skip").all()] == [1]
    assert [one.key for one in asked.on_misfit("collect").page().misfits] == [(key, 2), (key, 3)]


@pytest.mark.parametrize("end", ["all", "first", "one", "count", "exists"])
def test_what_is_collected_needs_a_page(db, wire, end):
    with pytest.raises(ValidationError, match="page") as caught:
        getattr(query(db, "x").on_misfit("collect"), end)()
    assert (caught.value.field, wire.calls) == ("on_misfit", [])


@pytest.mark.parametrize("what", ["ignore", None, True])
def test_what_is_done_is_one_of_three(db, what):
    with pytest.raises(ValidationError, match="'raise', 'skip' or 'collect'"):
        query(db, "x").on_misfit(what)


@pytest.mark.parametrize("what", ["skip", "collect"])
def test_what_is_hydrated_may_not_fit(db, lines, what):
    asked = db.model(Line).index(Line.by_group.name).where(Line.group == lines).hydrate()
    with pytest.raises(ValidationError):
        asked.all()
    if what == "skip":
        assert numbers(asked.on_misfit("skip").all()) == GOOD
        assert numbers(asked.on_misfit("skip").limit(3).all()) == GOOD[:3]
    else:
        pages = list(asked.on_misfit("collect").page_size(3).pages())
        assert numbers(one for page in pages for one in page) == GOOD
        assert sorted(error.key for page in pages for error in page.misfits) == [(lines, DAYS[at]) for at in BAD]


def test_a_batch_can_leave_out_what_does_not_fit(db, lines):
    keys = [(lines, day) for day in (*DAYS, DAYS[1], DAYS[0])]
    found = db.batch_get(Line, keys, on_misfit="skip")
    assert [None if one is None else one.amount for one in found] == [0, None, 2, 3, None, None, 6, 7, None, 0]
    found = db.batch_get(Line, keys[:3], select=["amount"], on_misfit="skip")
    assert [None if one is None else one.amount for one in found] == [0, None, 2]
    with pytest.raises(ValidationError):
        db.batch_get(Line, keys)
    with pytest.raises(ValidationError, match="'raise' or 'skip'"):
        db.batch_get(Line, keys, on_misfit="collect")


READS = {
    "get": lambda db, key: db.get(Line, key, DAYS[1]),
    "batch": lambda db, key: db.batch_get(Line, [(key, day) for day in DAYS[:3]]),
    "snapshot": lambda db, key: db.transact_get([(Line, key, DAYS[0]), (Line, key, DAYS[1])]),
    "update": lambda db, key: db.update(Line, key, DAYS[1], Line.group.set("x")),
}


@pytest.mark.parametrize("read", READS)
def test_every_read_tells_the_key(db, lines, read):
    with pytest.raises(DynamORMError) as caught:
        READS[read](db, lines)
    assert caught.value.key == (lines, DAYS[1])
    assert lines not in str(caught.value)


def test_a_key_that_cannot_be_read_is_told_as_it_is_stored(db, key):
    store(db, Line, {"bill": {"S": key}, "at": {"S": "yesterday"}, "amount": {"N": "1"}})
    with pytest.raises(ValidationError) as caught:
        query(db, key).all()
    assert caught.value.key == (key, "yesterday")


@pytest.mark.parametrize(
    ("wire", "words"),
    [
        ({"start": {"M": {}}}, "does not fit Address: look at start.city, which is missing"),
        ({"start": {"M": {"city": {"S": "Riga"}, "floor": {"S": "secret"}}}}, "look at start.floor"),
        (
            {"stops": {"L": [{"M": {"at": {"M": {"city": {"S": "a"}}}}}, {"M": {"at": {"M": {}}}}]}},
            "look at stops[1].at.city",
        ),
        ({"stops": {"L": [{"NULL": True}]}}, "look at stops[0]"),
        ({"fee": {"NULL": True}}, "NULL where N is expected; allow None in its type"),
        (
            {"fee": {"S": "secret"}},
            "S where N is expected; another program's form is read by attr(Codec(encode, decode))",
        ),
    ],
    ids=["missing", "another type", "in a list", "no map", "NULL", "another form"],
)
def test_what_cannot_be_read_names_the_place_and_the_remedy(db, key, wire, words):
    store(db, Route, {"id": {"S": key}, **wire})
    with pytest.raises(ValidationError) as caught:
        db.get(Route, key, consistent=True)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.field == next(iter(wire))
