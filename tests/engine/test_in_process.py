"""A database over an engine in its process: the same flows and checks, without a socket."""

import asyncio
import json
import pickle
import socket
import threading
from zlib import crc32

import pytest

from dynamorm import DB, AsyncDB, Attr, Config, Model, Presets, TableSettings, attr, partition_key
from dynamorm.effects import Send
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError, NotFound, TransactionCancelled, ValidationError
from dynamorm.testing import TestDB
from tests.support.faces import FACES, Face


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


@pytest.fixture
def no_network(monkeypatch):
    """Whoever opens a socket fails."""

    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture(params=FACES)
def db(request, engine, no_network):
    face = Face(request.param, Config(engine=engine))
    face.tables.ensure(Payment)
    yield face
    face.close()


def test_what_is_written_is_read(db):
    db.create(Payment(id="p1", amount=5))
    assert db.get(Payment, "p1").amount == 5
    db.update(Payment, "p1", Payment.amount.add(2))
    assert [one.amount for one in db.model(Payment).allow_scan()] == [7]
    with db.transaction() as tx:
        tx.create(Payment(id="p2"))
        tx.delete(Payment, "p1")
    assert db.get(Payment, "p1") is None


class Seen:
    """A plugin that keeps what is sent, and what is answered."""

    name = "seen"

    def __init__(self):
        self.requests = []
        self.replies = []

    def around(self, call):
        def watched(op):
            flow = call(op)
            answer = None
            while True:
                try:
                    effect = flow.send(answer)
                except StopIteration as stop:
                    return stop.value
                answer = yield effect
                if isinstance(effect, Send):
                    self.requests.append(effect.data)
                    self.replies.append(answer)

        return watched


@pytest.mark.parametrize("crc", ["auto", "require"])
@pytest.mark.parametrize("kind", FACES)
def test_without_a_connection_there_is_no_signature_and_a_checksum_only_where_it_is_required(
    engine, no_network, kind, crc
):
    seen = Seen()
    face = Face(kind, Config(engine=engine, crc=crc), extensions=(seen,))
    face.tables.ensure(Payment)
    face.create(Payment(id="p1", amount=5))
    assert face.get(Payment, "p1").amount == 5
    face.close()
    assert len(seen.requests) == len(seen.replies) > 2
    assert not any(b"Signature" in one or b"X-Amz-Date" in one for one in seen.requests)
    assert all(one.count(b"\r\nAuthorization: Credential=") == 1 for one in seen.requests)  # whose it is
    assert [one.crc for one in seen.replies] == [
        b"%d" % crc32(one.body) if crc == "require" else None for one in seen.replies
    ]
    assert len({one.request_id for one in seen.replies}) == len(seen.replies)


def test_errors_are_typed(db):
    db.create(Payment(id="p1", amount=5))

    def twice():
        with db.transaction() as tx:
            tx.create(Payment(id="p1"))
            tx.create(Payment(id="p2"))

    with pytest.raises(TransactionCancelled):
        twice()
    with pytest.raises(ValidationError):
        db.update(Payment, "p1", Payment.amount.add(10**38))
    with pytest.raises(NotFound):
        db.update(Payment, "p9", Payment.amount.add(1))


def test_one_engine_serves_both_faces_and_many_threads(engine, no_network):
    with DB(engine) as db:
        db.tables.ensure(Payment)
        db.create(Payment(id="p", amount=0))

        def work():
            for _ in range(50):
                db.update(Payment, "p", Payment.amount.add(1))

        async def tasks():
            async with AsyncDB(Config(engine=engine)) as other:
                await asyncio.gather(*(other.update(Payment, "p", Payment.amount.add(1)) for _ in range(100)))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for one in threads:
            one.start()
        asyncio.run(tasks())
        for one in threads:
            one.join()
        assert db.get(Payment, "p").amount == 300


def test_an_event_loop_goes_on_between_calls(engine):
    async def main():
        beats = 0

        async def heart():
            nonlocal beats
            while True:
                await asyncio.sleep(0)
                beats += 1

        async with AsyncDB(Config(engine=engine)) as db:
            await db.tables.ensure(Payment)
            beating = asyncio.create_task(heart())
            for number in range(50):
                await db.put(Payment(id=str(number)))
            beating.cancel()
        return beats

    assert asyncio.run(main()) >= 40


def test_no_two_engines_are_one_database(engine):
    with Engine() as other:
        assert Config(engine=engine).identity() != Config(engine=other).identity()
        assert Config(engine=engine).identity() == Config(engine=engine).identity()


def test_an_address_is_an_endpoint_inside_the_process(engine, no_network):
    with DB(Presets.local_development(endpoint=engine.address)) as db:
        db.tables.ensure(Payment)
    assert json.loads(engine.handle("ListTables", b"{}")[1])["TableNames"] == ["payments"]


def test_a_test_database_takes_an_engine(engine, no_network):
    with TestDB(models=[Payment], engine=engine) as db:
        db.create(Payment(id="p"))
        (name,) = json.loads(engine.handle("ListTables", b"{}")[1])["TableNames"]
        assert name.endswith("payments")
    assert json.loads(engine.handle("ListTables", b"{}")[1])["TableNames"] == []


def test_python_objects_never_cross(engine):
    with DB(engine) as db:
        db.tables.ensure(Payment)
        one = Payment(id="p", amount=1)
        db.create(one)
        one.amount = 99
        assert db.get(Payment, "p").amount == 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"engine": object()}, "Config.engine=Engine"),
        ({"engine": "memory"}, "Config.engine=Engine"),
        ({"endpoint": "http://localhost:8000", "allow_insecure_local": True}, "leave endpoint out"),
        ({"preset": "production", "crc": "require"}, "production"),
    ],
)
def test_settings_that_make_no_sense(engine, settings, text):
    with pytest.raises(ConfigError, match=text):
        Config(**({"engine": engine} | settings))


def test_a_database_over_a_closed_engine_says_so(engine):
    with DB(engine) as db:
        engine.close()
        with pytest.raises(ConfigError, match="closed"):
            db.tables.ensure(Payment)


def test_a_closed_database_says_so(engine):
    db = DB(engine)
    db.close()
    with pytest.raises(ConfigError, match="closed"):
        db.tables.ensure(Payment)


def test_streams_are_read(engine, no_network):
    class Event(Model, table="events", settings=TableSettings(stream="NEW_AND_OLD_IMAGES")):
        id: Attr[str] = partition_key()

    with DB(engine) as db:
        db.tables.ensure(Event)
        db.create(Event(id="e"))
        found = list(db.stream(Event, start="earliest", idle_timeout=0.1))
        assert [one.new.id for one in found] == ["e"]


def test_an_engine_cannot_be_pickled(engine):
    with pytest.raises(TypeError):
        pickle.dumps(Config(engine=engine))
