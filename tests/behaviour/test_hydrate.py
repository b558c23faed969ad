"""hydrate(): whole objects behind an index that holds only part of each item."""

from decimal import Decimal

import pytest

from dynamorm import Attr, Model, attr, gsi, lsi, partition_key, sort_key, version
from dynamorm.errors import PartialItem
from dynamorm.testing import FaultServer, answers

pytestmark = pytest.mark.engine


class Entry(Model, table="entries"):
    folder: Attr[str] = partition_key(name="f")
    number: Attr[int] = sort_key()
    kind: Attr[str | None] = attr(default=None, name="k")
    rank: Attr[Decimal] = attr(default=Decimal(0))
    code: Attr[bytes] = attr(default=b"x")
    text: Attr[str] = attr(default="")
    version: Attr[int] = version()
    by_kind = gsi("by-kind", partition="kind", sort="rank", projection="KEYS_ONLY")
    by_text = gsi("by-text", partition="kind", sort="text", projection=("rank",))
    by_code = lsi("by-code", sort="code", projection="KEYS_ONLY")


class Animal(Model, table="animals", discriminator="what"):
    id: Attr[str] = partition_key()
    herd: Attr[str] = attr(default="")
    by_herd = gsi("by-herd", partition="herd", projection="KEYS_ONLY")


class Cat(Animal):
    lives: Attr[int] = attr(default=9)


class Dog(Animal):
    tricks: Attr[int] = attr(default=0)


MODELS = [Entry, Animal]
SETTINGS = {"cursor_key": b"k" * 32}


@pytest.fixture
def kind(db, key):
    """A hundred and thirty entries of one kind; their rank falls as their number rises."""
    puts = [
        Entry(folder=key, number=n, kind=key, rank=Decimal(1000 - n) / 4, text=f"t{n:03d}", code=bytes([n]))
        for n in range(130)
    ]
    assert db.batch_write(puts=puts).ok
    return key


def test_objects_come_whole_and_in_the_order_of_the_index(db, kind):
    found = db.model(Entry).index("by-kind").where(Entry.kind == kind).hydrate().all()
    assert [one.number for one in found] == list(range(129, -1, -1))
    assert [one.text for one in found] == [f"t{n:03d}" for n in range(129, -1, -1)]
    assert all(type(one) is Entry for one in found)
    backward = db.model(Entry).index("by-kind").where(Entry.kind == kind).order_by("rank", "desc").hydrate().limit(3)
    assert [one.number for one in backward.all()] == [0, 1, 2]


def test_they_are_fetched_by_a_hundred_keys_at_once(db, kind, wire):
    db.model(Entry).index("by-kind").where(Entry.kind == kind).hydrate().all()
    assert wire.names.count("BatchGetItem") == 2
    assert wire.names.count("Query") == 1


def test_they_can_be_saved(db, kind):
    found = db.model(Entry).index("by-kind").where(Entry.kind == kind).hydrate().first()
    found.code = b"new"
    db.save(found)
    assert db.get(Entry, kind, found.number, consistent=True).code == b"new"
    partial = db.model(Entry).index("by-kind").where(Entry.kind == kind).first()
    with pytest.raises(PartialItem):
        db.save(partial)


def test_every_end_of_a_query_hydrates(db, kind):
    query = db.model(Entry).index(Entry.by_text).where(Entry.kind == kind, Entry.text.begins_with("t00")).hydrate()
    assert [one.code for one in query] == [bytes([n]) for n in range(10)]
    assert [one.code for one in query.filter(Entry.rank < 249).all()] == [bytes([n]) for n in range(5, 10)]
    assert query.first().code == b"\x00"
    assert query.count() == 10
    pages = [[one.number for one in page] for page in query.page_size(4).pages()]
    assert [number for page in pages for number in page] == list(range(10))


def test_a_local_index_may_be_read_consistently(db, kind, wire):
    query = db.model(Entry).index(Entry.by_code).where(Entry.folder == kind, Entry.code >= b"\x7f").consistent()
    assert [one.text for one in query.hydrate().all()] == [f"t{n:03d}" for n in range(127, 130)]
    assert (wire.names, wire.last["ConsistentRead"]) == (["Query"], True)  # the table stands beside a local index


def test_an_index_that_holds_everything_needs_no_second_read(db, kind, wire):
    found = db.model(Entry).where(Entry.folder == kind, Entry.number < 2).hydrate().all()
    assert [one.number for one in found] == [0, 1]
    assert wire.names == ["Query"]


def test_siblings_are_told_apart_although_the_index_does_not_say(db, key):
    db.create(Cat(id=key + "c", herd=key))
    db.create(Dog(id=key + "d", herd=key, tricks=3))
    db.create(Animal(id=key + "a", herd=key))
    herd = db.model(Animal).index("by-herd").where(Animal.herd == key).hydrate().all()
    assert sorted(type(one).__name__ for one in herd) == ["Animal", "Cat", "Dog"]
    dogs = db.model(Dog).index("by-herd").where(Dog.herd == key).hydrate().all()
    assert [(type(one), one.tricks) for one in dogs] == [(Dog, 3)]


class Stale:
    """A server whose index still says what its table does not."""

    def __init__(self, table):
        self.table = table
        self.index = [_wire(n, "k", n) for n in range(4)]

    def __call__(self, request):
        if request.operation == "Query":
            return answers.json({"Items": self.index, "Count": 4, "ScannedCount": 4})
        ((table, asked),) = request.json["RequestItems"].items()
        numbers = {int(key["number"]["N"]) for key in asked["Keys"]}
        found = [item for item in self.table if int(item["number"]["N"]) in numbers]
        return answers.json({"Responses": {table: found[::-1]}, "UnprocessedKeys": {}})


def _wire(number, kind, rank):
    return {"f": {"S": "f"}, "number": {"N": str(number)}, "k": {"S": kind}, "rank": {"N": str(rank)}}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([_wire(0, "k", 0), _wire(3, "k", 3)], [0, 3]),
        ([_wire(0, "k", 0), _wire(1, "other", 1), _wire(2, "k", 2)], [0, 2]),
        ([_wire(0, "k", 2), _wire(1, "k", 9), _wire(2, "k", 10), _wire(3, "k", -1)], [0, 1]),
        ([_wire(0, "k", "9.0"), _wire(1, "k", "9.01")], [0]),
    ],
    ids=["deleted", "another partition", "moved within the range, and out of it", "numbers by value"],
)
def test_what_has_left_the_index_meanwhile_is_left_out(open_db, table, expected):
    with FaultServer(Stale(table)) as server:
        query = open_db(server.endpoint).model(Entry).index("by-kind")
        found = query.where(Entry.kind == "k", Entry.rank.between(0, 9)).hydrate().all()
    assert [one.number for one in found] == expected


# ----------------------------------------------------------------- a local index, whose table answers in the same request


def test_a_local_index_is_read_whole_by_the_same_query(db, kind, wire):
    query = db.model(Entry).index(Entry.by_code).where(Entry.folder == kind)
    wire.clear()
    found = query.order_by("code", "desc").hydrate().limit(3).all()
    assert [(one.number, one.text) for one in found] == [(129, "t129"), (128, "t128"), (127, "t127")]
    assert (wire.names, wire.last["Select"]) == (["Query"], "ALL_ATTRIBUTES")
    found[0].text = "changed"
    db.save(found[0])
    assert query.where(Entry.code == bytes([129])).hydrate().consistent().one().text == "changed"
    assert query.hydrate().count() == 130
    assert "Select" not in (query.explain().request)


def test_what_a_local_index_does_not_hold_can_be_selected(db, kind, wire):
    query = db.model(Entry).index(Entry.by_code).where(Entry.folder == kind, Entry.code >= bytes([127]))
    wire.clear()
    found = query.select("text", Entry.rank).all()
    assert [(one.code, one.text, one.rank) for one in found] == [
        (bytes([n]), f"t{n:03d}", Decimal(1000 - n) / 4) for n in (127, 128, 129)
    ]
    assert wire.names == ["Query"]
    with pytest.raises(PartialItem):
        _ = found[0].kind
    assert query.sum(Entry.rank) == sum(Decimal(1000 - n) / 4 for n in (127, 128, 129))


def test_the_pages_of_a_local_index_that_is_read_whole(db, kind):
    query = db.model(Entry).index(Entry.by_code).where(Entry.folder == kind).hydrate().limit(50)
    first = query.page()
    second = query.cursor(first.cursor).page()
    assert [one.text for one in (*first, *second)] == [f"t{n:03d}" for n in range(100)]
    assert [one.number for one in query.cursor(second.previous).page()] == list(range(50))


def test_what_does_not_fit_is_left_out_of_a_local_index_that_is_read_whole(db, key):
    from .kit import store

    for number in range(3):
        version = {"N": "1"} if number != 1 else {"S": "one"}
        wire = {"f": {"S": key}, "number": {"N": str(number)}, "code": {"B": "YWE="}, "version": version}
        store(db, Entry, wire | {"rank": {"N": "0"}, "text": {"S": "t"}})
    query = db.model(Entry).index(Entry.by_code).where(Entry.folder == key).hydrate()
    assert sorted(one.number for one in query.on_misfit("skip")) == [0, 2]
    assert len(query.on_misfit("collect").page().misfits) == 1
