"""Streams of the engine under test, on both faces."""

import contextlib
import time
import uuid

import pytest

from dynamorm import Attr, Model, Presets, TableSettings, Unique, attr, errors, partition_key, sort_key, version
from dynamorm.codec.strict import dumps, read_object
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.streams import ChangeKind, StreamCheckpoint, decode
from dynamorm.testing import EngineBackend, FaultServer
from tests.behaviour.kit import Recorder, ask
from tests.support.faces import Face

pytestmark = pytest.mark.engine


class Trade(Model, table="trades"):
    book: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    price: Attr[int] = attr(default=0)
    proof: Attr[bytes | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    version: Attr[int] = version()


class Checkpoint(Model, StreamCheckpoint, table="checkpoints"):
    pass


class Party(Model, table="parties", discriminator="kind", settings=TableSettings(stream="NEW_AND_OLD_IMAGES")):
    id: Attr[str] = partition_key()
    name: Attr[str] = attr(default="")


class Customer(Party, tag="customer"):
    pass


class Visitor(Party, tag="visitor"):
    pass


class Note(Model, table="notes", settings=TableSettings(stream="NEW_AND_OLD_IMAGES")):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


class Seat(Model, table="seats", settings=TableSettings(stream="NEW_AND_OLD_IMAGES")):
    id: Attr[str] = partition_key()
    place: Attr[str] = attr(Unique())


@pytest.fixture
def db(face_kind, engine):
    """Tables of one's own, for a stream is a table's; the table of the trades has none yet."""
    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=f"s{uuid.uuid4().hex}-"))
    face.tables.create(Trade)
    face.tables.create(Checkpoint)
    yield face
    for model in (Trade, Checkpoint):
        face.tables.delete(model)
    face.close()


def turn(db, view):
    """Switch the stream on with a view, or off (None), and wait until that is done."""
    setting = {"StreamEnabled": False} if view is None else {"StreamEnabled": True, "StreamViewType": view}
    table = db.inner._session.plan(Trade).table
    ask(db, "UpdateTable", {"TableName": table, "StreamSpecification": setting})
    for _ in range(600):
        found = ask(db, "DescribeTable", {"TableName": table})["Table"]
        if found["TableStatus"] == "ACTIVE" and (found.get("StreamSpecification") or {}).get(
            "StreamEnabled", False
        ) is (view is not None):
            return found.get("LatestStreamArn")
        time.sleep(0.05)
    raise TimeoutError


def write(db):
    """An insert, a change, an insert in another partition, a removal; and a put that changes nothing."""
    db.create(Trade(book="a", number=1, price=5, proof=b"\xff", tags={"x"}))
    db.update(Trade, "a", 1, Trade.price.add(2))
    db.create(Trade(book="b", number=1))
    db.delete(Trade, "a", 1)


def read(db, **options):
    with db.stream(Trade, idle_timeout=0, **options) as stream:
        return list(stream)


def test_every_change_of_an_item_comes_in_order(db):
    turn(db, "NEW_AND_OLD_IMAGES")
    write(db)
    found = [record for record in read(db) if record.keys[0] == "a"]
    assert [record.kind for record in found] == [ChangeKind.INSERT, ChangeKind.MODIFY, ChangeKind.REMOVE]
    assert [record.old and record.old.price for record in found] == [None, 5, 7]
    assert [record.new and record.new.price for record in found] == [5, 7, None]
    assert found[0].keys == ("a", 1)
    assert (found[0].new.proof, found[0].new.tags) == (b"\xff", {"x"})
    assert (found[0].view, found[0].is_ttl_expiry) == ("NEW_AND_OLD_IMAGES", False)
    assert abs(found[0].created_at.timestamp() - time.time()) < 120


def test_a_plugin_that_comes_late_looks_at_the_other_host_and_streams_stay_there(face_kind, engine):
    class Attempts:
        name = "attempts"

        def __init__(self):
            self.names = []

        def observed(self, call, reply, error):
            self.names.append(call.name)

    with (
        FaultServer(backend=EngineBackend(engine.endpoint)) as here,
        FaultServer(backend=EngineBackend(engine.endpoint)) as there,
    ):
        config = Presets.local_development(
            endpoint=here.endpoint, streams_endpoint=there.endpoint, table_prefix=f"s{uuid.uuid4().hex}-"
        )
        face, late = Face(face_kind, config), Attempts()
        face.tables.create(Note)
        with face.stream(Note, idle_timeout=0) as stream:
            face.use(late)
            face.create(Note(id="n1"))
            assert [record.keys for record in stream] == [("n1",)]
        asked = [request.operation for request in there.requests]
        assert "GetRecords" in asked
        assert not {"GetRecords", "GetShardIterator"} & {request.operation for request in here.requests}
        assert [name for name in late.names if name in asked] == asked
        face.tables.delete(Note)
        face.close()


@pytest.mark.parametrize(
    ("view", "old", "new"),
    [("KEYS_ONLY", False, False), ("NEW_IMAGE", False, True), ("OLD_IMAGE", True, False)],
)
def test_a_view_has_the_images_it_says(db, view, old, new):
    turn(db, view)
    write(db)
    record = next(record for record in read(db) if record.kind == "modify")
    assert (record.old is not None, record.new is not None) == (old, new)
    assert record.keys == ("a", 1)
    assert record.view == view


def test_a_checkpoint_goes_on_behind_what_was_worked_off(db):
    turn(db, "NEW_AND_OLD_IMAGES")
    for number in range(25):
        db.create(Trade(book="a", number=number))
    seen = []
    options = {"checkpoint": Checkpoint, "page_size": 10, "save_every": 4}
    with contextlib.suppress(ZeroDivisionError), db.stream(Trade, **options) as stream:
        for record in stream:
            seen.append(record.keys[1])
            if len(seen) == 13:
                raise ZeroDivisionError
    again = [record.keys[1] for record in read(db, **options)]
    assert seen[:12] + again == list(range(25))
    assert read(db, **options) == []
    db.create(Trade(book="b", number=1))
    assert [record.keys for record in read(db, **options)] == [("b", 1)]


def test_two_workers_do_not_read_one_shard_at_once(db):
    turn(db, "KEYS_ONLY")
    write(db)
    first = iter(db.stream(Trade, checkpoint=Checkpoint))
    next(first)
    assert read(db, checkpoint=Checkpoint) == []


def test_latest_begins_behind_what_is_there(db):
    turn(db, "NEW_IMAGE")
    write(db)
    stream = db.stream(Trade, start="latest", idle_timeout=0)
    assert list(stream) == []
    db.create(Trade(book="c", number=3))
    assert [record.keys for record in stream] == [("c", 3)]


def test_a_disabled_stream_is_read_to_its_end(db):
    arn = turn(db, "NEW_AND_OLD_IMAGES")
    write(db)
    turn(db, None)
    with db.stream(Trade, checkpoint=Checkpoint, arn=arn) as stream:
        assert len(list(stream)) == 4


def test_a_decoded_object_counts_as_loaded(db):
    turn(db, "NEW_AND_OLD_IMAGES")
    db.create(Trade(book="a", number=1, price=5))
    (record,) = read(db)
    record.new.price = 6
    db.save(record.new)
    assert db.get(Trade, "a", 1).price == 6
    late = decode(_raw(db), Trade, db=db.inner).new
    late.price = 7
    with pytest.raises(errors.VersionConflict):
        db.save(late)


def _raw(db):
    """The first record as the API gives it."""
    streams = db.inner._session.streams()

    def call(operation, **request):
        return db.run(streams.call(Op(operation, "-", dumps(request), read_object, Safety.READ)))

    table = ask(db, "DescribeTable", {"TableName": db.inner._session.plan(Trade).table})["Table"]
    arn = table["LatestStreamArn"]
    shard = call("DescribeStream", StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    start = call("GetShardIterator", StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    return call("GetRecords", ShardIterator=start)["Records"][0]


def test_a_table_without_a_stream_says_so(db):
    with pytest.raises(errors.StreamNotFound, match="has no stream"):
        read(db)


def test_streams_of_another_host_are_read_over_a_driver_of_their_own(db, engine, monkeypatch):
    turn(db, "NEW_AND_OLD_IMAGES")
    write(db)
    other = engine.endpoint.replace("127.0.0.1", "localhost")
    monkeypatch.setattr("dynamorm.session.streams_endpoint", lambda url: other)
    assert len(read(db, checkpoint=Checkpoint)) == 4
    assert db.inner.__dict__["_streams"]._driver is not None
    assert read(db, checkpoint=Checkpoint) == []


def test_extensions_see_the_calls_of_streams(open_db, engine, db):
    turn(db, "KEYS_ONLY")
    write(db)
    seen = Recorder()
    prefix = db.inner._session.config.table_prefix
    other = open_db(engine.endpoint, table_prefix=prefix, extensions=(seen,))
    assert len(read(other)) == 4
    assert seen.names[:4] == ["DescribeTable", "DescribeStream", "GetShardIterator", "GetRecords"]


def test_guards_of_unique_attributes_are_no_changes_of_items(db):
    db.tables.ensure(Seat)
    for number in range(3):
        db.create(Seat(id=f"s{number}", place=f"p{number}"))
    db.update(Seat, "s0", Seat.place.set("p9"))
    db.delete(Seat, "s1")
    records = list(db.stream(Seat, idle_timeout=1.5, poll_interval=0.2))
    assert sorted((record.keys[0], str(record.kind)) for record in records) == [
        ("s0", "insert"), ("s0", "modify"), ("s1", "insert"), ("s1", "remove"), ("s2", "insert"),
    ]  # fmt: skip
    db.tables.delete(Seat)


def test_the_stream_of_one_class_has_what_its_queries_have(db):
    db.tables.ensure(Party)
    for number in range(3):
        db.create(Visitor(id=f"v{number}"))
        db.create(Customer(id=f"c{number}"))
    db.delete(Visitor, "v0")
    db.update(Customer, "c1", Customer.name.set("Ann"))
    db.delete(db.get(Customer, "c2"))
    records = list(db.stream(Customer, idle_timeout=1.5, poll_interval=0.2))
    assert sorted((record.keys[0], str(record.kind)) for record in records) == [
        ("c0", "insert"), ("c1", "insert"), ("c1", "modify"), ("c2", "insert"), ("c2", "remove"),
    ]  # fmt: skip
    assert {type(one) for record in records for one in (record.old, record.new)} == {Customer, type(None)}
    db.tables.delete(Party)


def test_the_same_put_three_times_is_one_record(db):
    db.tables.create(Note)
    try:
        for text in ("a", "a", "a", "b"):
            db.put(Note(id="n", text=text))
            db.batch_write(puts=[Note(id="m", text=text)])
        with db.stream(Note, idle_timeout=0) as stream:
            kinds = [(record.kind, record.new.id, record.new.text) for record in stream]
        made, changed = ChangeKind.INSERT, ChangeKind.MODIFY
        assert sorted(kinds, key=str) == sorted(
            [(made, "n", "a"), (made, "m", "a"), (changed, "n", "b"), (changed, "m", "b")], key=str
        )
    finally:
        db.tables.delete(Note)
