"""delete_all: everything that a query matches, and nothing else."""

import pytest

from dynamorm import Attr, Model, ValidationError, attr, gsi, partition_key, sort_key, version
from dynamorm.errors import AccessDenied, Outcome, ServerError
from dynamorm.testing import FaultServer, answers

pytestmark = pytest.mark.engine


class Event(Model, table="events"):
    stream: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    kind: Attr[str] = attr(default="a")
    text: Attr[str] = attr(default="")
    version: Attr[int] = version()
    by_kind = gsi("by-kind", partition="kind", sort="number", projection="KEYS_ONLY")


class Single(Model, table="singles"):
    id: Attr[str] = partition_key()
    group: Attr[str] = attr(default="")


class Animal(Model, table="animals", discriminator="what"):
    herd: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


class Cat(Animal):
    lives: Attr[int] = attr(default=9)


MODELS = [Event, Single, Animal]


@pytest.fixture
def stream(db, key):
    """Seventy events in one stream, and one in another."""
    assert db.batch_write(puts=[Event(stream=key, number=n, kind=f"{key}{n % 2}") for n in range(70)]).ok
    db.create(Event(stream=key + "other", number=1))
    return key


def left(db, stream):
    return [one.number for one in db.model(Event).where(Event.stream == stream).consistent().all()]


def test_a_partition_is_deleted_and_its_neighbours_are_not(db, stream):
    assert db.model(Event).where(Event.stream == stream).delete_all(confirm=True) == 70
    assert left(db, stream) == []
    assert left(db, stream + "other") == [1]
    assert db.model(Event).where(Event.stream == stream).delete_all(confirm=True) == 0


def test_only_keys_are_read(db, stream, wire):
    db.model(Event).where(Event.stream == stream).delete_all(confirm=True)
    reads = [body for name, body in wire.calls if name == "Query"]
    assert {body["ProjectionExpression"].count("#") for body in reads} == {2}
    assert {name for name, _ in wire.calls} == {"Query", "BatchWriteItem"}


def test_progress_is_told_after_each_page(db, stream):
    told = []
    query = db.model(Event).where(Event.stream == stream).page_size(30)
    assert query.delete_all(confirm=True, progress=told.append) == 70
    assert told[-1] == 70
    assert told == sorted(set(told))
    assert len(told) == 3


def test_a_filter_and_a_limit_hold(db, stream):
    query = db.model(Event).where(Event.stream == stream)
    assert query.filter(Event.kind == f"{stream}1").delete_all(confirm=True) == 35
    assert left(db, stream) == list(range(0, 70, 2))
    assert query.limit(3).delete_all(confirm=True) == 3
    assert left(db, stream) == list(range(6, 70, 2))
    assert query.where(Event.number >= 20).delete_all(confirm=True) == 25


def test_what_an_index_finds_is_deleted_from_the_table(db, stream):
    query = db.model(Event).index(Event.by_kind).where(Event.kind == f"{stream}0")
    assert query.delete_all(confirm=True) == 35
    assert left(db, stream) == list(range(1, 70, 2))


def test_a_table_can_be_emptied_in_segments(db, key):
    assert db.batch_write(puts=[Single(id=f"{key}{n}", group=key) for n in range(40)]).ok
    scan = db.model(Single).allow_scan().segments(3).where(Single.group == key)
    assert scan.delete_all(confirm=True) == 40
    assert scan.count() == 0


def test_items_of_every_class_of_a_family_are_deleted(db, key):
    db.create(Animal(herd=key, number=0))
    db.create(Cat(herd=key, number=1))
    assert db.model(Cat).where(Cat.herd == key).delete_all(confirm=True) == 1
    assert db.model(Animal).where(Animal.herd == key).consistent().count() == 1
    db.create(Cat(herd=key, number=1))
    assert db.model(Animal).where(Animal.herd == key).delete_all(confirm=True) == 2


@pytest.mark.parametrize("wrong", [{}, {"confirm": False}, {"confirm": 1}, {"confirm": "yes"}])
def test_it_must_be_confirmed(db, stream, wire, wrong):
    wire.clear()
    with pytest.raises(ValidationError, match=r"delete_all\(confirm=True\)"):
        db.model(Event).where(Event.stream == stream).delete_all(**wrong)
    with pytest.raises(ValidationError, match="progress"):
        db.model(Event).where(Event.stream == stream).delete_all(confirm=True, progress=5)
    with pytest.raises(ValidationError, match="allow_scan"):
        db.model(Event).where(Event.text == "x").delete_all(confirm=True)
    assert wire.names == []


def test_a_failure_half_way_says_so(open_db):
    """The first page is deleted, the second cannot be: the call as a whole was not without effect."""
    batches = []

    def answer(request):
        if request.operation == "Query":
            number = len(batches)
            item = {"stream": {"S": "s"}, "number": {"N": str(number)}}
            return answers.json({"Items": [item], "Count": 1, "ScannedCount": 1, "LastEvaluatedKey": item})
        batches.append(request)
        if len(batches) == 1:
            return answers.json({"UnprocessedItems": {}})
        return answers.error("AccessDeniedException")

    told = []
    with FaultServer(answer) as server:
        query = open_db(server.endpoint).model(Event).where(Event.stream == "s")
        with pytest.raises(AccessDenied) as caught:
            query.delete_all(confirm=True, progress=told.append)
    assert told == [1]
    assert caught.value.outcome is Outcome.UNKNOWN
    assert any("had deleted 1 items" in note for note in caught.value.__notes__)


def test_a_failure_at_the_beginning_left_everything(open_db):
    with FaultServer(lambda _: answers.error("InternalServerError", 500)) as server:
        query = open_db(server.endpoint).model(Event).where(Event.stream == "s")
        with pytest.raises(ServerError) as caught:
            query.delete_all(confirm=True)
    assert caught.value.outcome is Outcome.NOT_APPLIED
