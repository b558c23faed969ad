"""A table that is not there and an endpoint that nobody listens on: typed, quick, and certain that nothing happened."""

import socket
import uuid

import pytest

from dynamorm import Attr, Config, Credentials, Model, attr, partition_key
from dynamorm.errors import ConnectFailed, Outcome, TableNotFound
from tests.support.faces import Face
from tests.support.quick import quick

from .conftest import SECRET, check_text


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    number: Attr[int] = attr(default=0)
    text: Attr[str] = attr(default="")


CALLS = {
    "get": lambda db: db.get(Thing, SECRET),
    "exists": lambda db: db.exists(Thing, SECRET),
    "create": lambda db: db.create(Thing(id="x", text=SECRET)),
    "put": lambda db: db.put(Thing(id="x", text=SECRET)),
    "put with condition": lambda db: db.put(Thing(id="x", text=SECRET), condition=Thing.text != SECRET),
    "update": lambda db: db.update(Thing, "x", Thing.text.set(SECRET)),
    "increment": lambda db: db.update(Thing, "x", Thing.number.add(5)),
    "upsert": lambda db: db.upsert(Thing, "x", Thing.number.add(5)),
    "delete": lambda db: db.delete(Thing, SECRET),
    "delete returning old": lambda db: db.delete(Thing, SECRET, returning="old"),
    "query": lambda db: db.model(Thing).where(Thing.id == SECRET).all(),
}


@pytest.fixture
def closed_port():
    """A port of this machine that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refused, and nobody else gets it
        yield taken.getsockname()[1]


def failure(kind, call):
    """The error of that kind that a call ends with."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value


@pytest.mark.engine
@pytest.mark.parametrize("call", CALLS)
def test_a_missing_table_is_named_with_the_fix(open_db, engine, call):
    prefix = f"missing-{uuid.uuid4().hex[:8]}-"
    db = open_db(engine.endpoint, table_prefix=prefix)
    error = quick(lambda: failure(TableNotFound, lambda: CALLS[call](db)), 1)
    check_text(error, f"{prefix}things", "db.tables.ensure(")
    assert error.outcome is Outcome.NOT_APPLIED
    assert error.code == "ErrTableNotFound"
    assert error.attempts == 1


@pytest.mark.parametrize("call", CALLS)
def test_a_refused_connection_with_default_settings_fails_within_a_second(open_db, closed_port, call):
    db = open_db(f"http://127.0.0.1:{closed_port}")
    error = quick(lambda: failure(ConnectFailed, lambda: CALLS[call](db)), 1)
    check_text(error, "connection")
    assert error.outcome is Outcome.NOT_APPLIED
    assert error.retryable
    assert error.code == "ErrConnectFailed"


def test_a_refused_connection_leaves_the_object_as_it_was(open_db, closed_port):
    db = open_db(f"http://127.0.0.1:{closed_port}", max_attempts=2, retry_base=0.001)
    thing = Thing(id="x", number=1)
    for call in (db.create, db.put, db.save):
        with pytest.raises(ConnectFailed):
            call(thing)
    assert thing == Thing(id="x", number=1)


def test_the_operation_timeout_bounds_the_attempts(open_db, closed_port):
    db = open_db(f"http://127.0.0.1:{closed_port}", operation_timeout=2, max_attempts=20, retry_base=0.5)
    error = quick(lambda: failure(ConnectFailed, lambda: db.get(Thing, "x")), 2.5)
    assert 0 < error.attempts < 20  # which would wait for a minute and more


def test_a_name_that_does_not_resolve_is_a_failed_connection(face_kind):
    config = Config(
        region="us-east-1", endpoint="https://no-such-host.invalid", endpoint_allow_list=("no-such-host.invalid",),
        credentials=Credentials("id", SECRET), operation_timeout=5,
    )  # fmt: skip
    face = Face(face_kind, config)
    try:
        error = quick(lambda: failure(ConnectFailed, lambda: face.create(Thing(id="x"))), 5.5)
        check_text(error)
        assert error.outcome is Outcome.NOT_APPLIED
    finally:
        face.close()
