"""Items whose time to live is over are left out on request; models whose reads are of the latest state."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from dynamorm import Attr, Model, TableSettings, attr, gsi, lsi, partition_key, schema_of, sort_key, ttl, version
from dynamorm.adapters import register
from dynamorm.errors import AlreadyExists, NotFound, TamperedCursor, ValidationError
from dynamorm.streams import decode
from dynamorm.testing.kit.freeze import freeze_time

pytestmark = pytest.mark.engine

SETTINGS = {"cursor_key": b"k" * 32}
KEPT = TableSettings(time_to_live=False)
"""The service deletes nothing by itself, so what is left out is left out by the library."""


class Ticket(Model, table="expiring-tickets", settings=KEPT):
    owner: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    expires: Attr[datetime | None] = ttl(default=None, name="ex")
    word: Attr[str] = attr(default="")
    by_word = gsi("by-word", partition="word", sort="number", projection="KEYS_ONLY")
    by_expiry = gsi("by-expiry", partition="word", sort="expires")


class Hidden(Ticket, table="expiring-hidden", settings=KEPT, hide_expired=True):
    version: Attr[int] = version()


class Seconds(Model, table="expiring-seconds", settings=KEPT, hide_expired=True):
    id: Attr[str] = partition_key()
    expires: Attr[int | None] = ttl(default=None)


class Animal(Model, table="expiring-animals", discriminator="kind", settings=KEPT):
    id: Attr[str] = partition_key()


class Mouse(Animal, hide_expired=True):
    gone: Attr[datetime | None] = ttl(default=None)


class Cat(Animal):
    lives: Attr[int] = attr(default=9)


class Latest(Model, table="expiring-latest", consistent_reads=True):
    owner: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    word: Attr[str] = attr(default="")
    by_word = gsi("by-word", partition="word")
    by_local = lsi("by-local", sort="word")


MODELS = [Ticket, Hidden, Seconds, Animal, Latest]
NOW = datetime.now(UTC).replace(microsecond=0)
PAST, FUTURE = NOW - timedelta(days=3), NOW + timedelta(days=3)
TIMES = [None, PAST, FUTURE, PAST, FUTURE, None]
"""Of six items; those with the numbers 1 and 3 are left out."""


@pytest.fixture(params=[Ticket, Hidden], ids=["by its word", "by its model"])
def asked(request, db, key):
    """The model, and a query of what is kept of six items."""
    model = request.param
    db.batch_write(puts=[model(owner=key, number=n, expires=TIMES[n], word=key) for n in range(6)])
    query = db.model(model).where(model.owner == key)
    return model, query.without_expired() if model is Ticket else query


def numbers(found):
    return [one.number for one in found]


def test_every_end_of_a_query_leaves_them_out(db, asked):
    model, query = asked
    assert numbers(query.all()) == [0, 2, 4, 5]
    assert numbers(query) == [0, 2, 4, 5]
    assert query.count() == 4
    assert query.where(model.number >= 1).first().number == 2
    assert query.where(model.number == 1).exists() is False
    assert query.where(model.number.between(1, 2)).one().number == 2
    assert query.sum("number") == 11
    assert query.group_by("number").count() == {0: 1, 2: 1, 4: 1, 5: 1}
    assert numbers(query.select("word")) == [0, 2, 4, 5]
    assert numbers(query.limit(3).all()) == [0, 2, 4]
    assert query.limit(3).count() == 3


def test_pages_lead_on_and_back_while_time_goes_by(db, asked):
    _, query = asked
    query = query.limit(2)
    first = query.page()
    second = query.cursor(first.cursor).page()
    assert (numbers(first), numbers(second)) == ([0, 2], [4, 5])
    assert numbers(query.cursor(second.previous).page()) == [0, 2]


def test_an_index_leaves_them_out_too(db, asked, key):
    model, _ = asked
    index = db.model(model).index("by-word").where(model.word == key)
    on_key = db.model(model).index("by-expiry").where(model.word == key)
    if model is Ticket:
        assert numbers(on_key.without_expired().all()) in ([2, 4], [4, 2])  # an index by expiry holds only what expires
        assert on_key.without_expired().count() == 2
        with pytest.raises(ValidationError, match=r"by-word.*expires|expires.*by-word"):
            index.without_expired().all()
    else:
        assert sorted(numbers(on_key.all())) == [2, 4]
        assert on_key.count() == 2
        assert numbers(index.hydrate().all()) == [0, 2, 4, 5]
        with pytest.raises(ValidationError, match="hydrate"):
            index.all()


def test_a_scan_leaves_them_out(db, asked, key):
    model, _ = asked
    scan = db.model(model).allow_scan().filter(model.word == key)
    scan = scan.without_expired() if model is Ticket else scan
    assert sorted(numbers(scan.all())) == [0, 2, 4, 5]
    assert scan.segments(3).count() == 4


def test_the_cursor_is_bound_to_it(db, key):
    db.batch_write(puts=[Ticket(owner=key, number=n) for n in range(4)])
    query = db.model(Ticket).where(Ticket.owner == key).limit(2)
    with pytest.raises(TamperedCursor):
        query.without_expired().cursor(query.page().cursor).page()
    with pytest.raises(TamperedCursor):
        query.cursor(query.without_expired().page().cursor).page()


def test_what_reads_by_key_leaves_them_out_of_a_model_that_hides_them(db, key):
    for number in range(6):
        db.put(Hidden(owner=key, number=number, expires=TIMES[number], word=key))
    gone, there = (key, 1), (key, 2)
    assert db.get(Hidden, *gone) is None
    assert db.get(Hidden, *gone, select=["word"]) is None
    assert db.get(Hidden, *there).number == 2
    assert (db.exists(Hidden, *gone), db.exists(Hidden, *there)) == (False, True)
    with pytest.raises(NotFound):
        db.require(Hidden, *gone)
    assert [one and one.number for one in db.batch_get(Hidden, [there, gone])] == [2, None]
    assert [one and one.number for one in db.transact_get([(Hidden, *gone), (Hidden, *there)])] == [None, 2]


def test_what_is_written_meets_the_item_that_is_still_stored(db, key):
    db.put(Hidden(owner=key, number=1, expires=PAST))
    with pytest.raises(AlreadyExists) as caught:
        db.create(Hidden(owner=key, number=1))
    assert caught.value.item is None
    db.update(Hidden, key, 1, Hidden.expires.set(FUTURE))
    assert db.get(Hidden, key, 1).expires == FUTURE
    db.delete(Hidden, key, 1)


def test_the_time_is_that_of_the_library(db, key):
    db.put(Seconds(id=key, expires=int(FUTURE.timestamp())))
    assert db.get(Seconds, key) is not None
    with freeze_time(FUTURE - timedelta(seconds=1)):
        assert db.get(Seconds, key) is not None
    with freeze_time(FUTURE):
        assert db.get(Seconds, key) is None
        assert db.model(Seconds).where(Seconds.id == key).count() == 0


def test_a_class_of_a_family_hides_its_own(db, key):
    db.put(Mouse(id=key + "m", gone=PAST))
    db.put(Mouse(id=key + "n", gone=FUTURE))
    db.put(Cat(id=key + "c"))
    assert [db.get(Animal, key + end) is None for end in "mnc"] == [True, False, False]
    assert sorted(one.id[-1] for one in db.model(Animal).allow_scan() if one.id.startswith(key)) == ["c", "n"]
    assert db.get(Mouse, key + "m") is None


def test_a_stream_tells_of_items_that_are_hidden(db, key):
    """The deletion of one that has expired is what many listen for."""
    keys = {"owner": {"S": key}, "number": {"N": "1"}}
    image = keys | {"ex": {"N": str(int(PAST.timestamp()))}, "version": {"N": "1"}}
    change = {"ApproximateCreationDateTime": 1.0, "Keys": keys, "OldImage": image, "SequenceNumber": "1"}
    change |= {"SizeBytes": 1, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    record = decode({"eventID": "1", "eventName": "REMOVE", "dynamodb": change}, Hidden, db=db.inner)
    assert not record.passed_over
    assert (record.old.number, record.old.expires, record.new) == (1, PAST, None)


def test_a_registered_class_has_the_settings_too(db, wire):
    @register(table="expiring-registered", partition="id", ttl="until", hide_expired=True, consistent_reads=True)
    @dataclass
    class Registered:
        id: str
        until: datetime | None = None

    schema = schema_of(Registered)
    assert (schema.hide_expired, schema.consistent_reads) == (True, True)


def test_a_model_without_a_time_to_live(db, wire):
    wire.clear()
    for end in ("all", "count", "page", "first"):
        with pytest.raises(ValidationError, match=r"without_expired\(\): Latest has no time to live"):
            getattr(db.model(Latest).where(Latest.owner == "o").without_expired(), end)()
    assert wire.calls == []


# ------------------------------------------------------------------------------------------------ the latest state


def test_reads_of_a_model_are_consistent_where_they_can_be(db, key, wire):
    db.put(Latest(owner=key, number=1, word=key))

    def is_consistent():
        request = wire.last
        return (request.get("RequestItems", {None: request}).popitem()[1]).get("ConsistentRead", False)

    reads = {
        "get": lambda: db.get(Latest, key, 1),
        "get, said": lambda: db.get(Latest, key, 1, consistent=True),
        "require": lambda: db.require(Latest, key, 1),
        "get, selected": lambda: db.get(Latest, key, 1, select=["word"], consistent=True),
        "exists": lambda: db.exists(Latest, key, 1),
        "batch_get": lambda: db.batch_get(Latest, [(key, 1)]),
        "query": lambda: db.model(Latest).where(Latest.owner == key).one(),
        "count": lambda: db.model(Latest).where(Latest.owner == key).count(),
        "local index": lambda: db.model(Latest).index("by-local").where(Latest.owner == key).one(),
        "scan": lambda: db.model(Latest).allow_scan().filter(Latest.word == key).all(),
    }
    for name, read in reads.items():
        assert read(), name
        assert is_consistent() is True, name
    assert db.model(Latest).index("by-word").where(Latest.word == key).limit(5).all() is not None
    assert is_consistent() is False
