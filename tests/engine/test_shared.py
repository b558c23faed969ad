"""An engine that a process and its children share: asked directly here, over HTTP there."""

import json
import os
import pickle
import subprocess
import sys
import threading

import pytest

from dynamorm import DB, Attr, Config, Model, Presets, partition_key
from dynamorm.engine import engine_at
from dynamorm.engine.shared import EngineElsewhere, SharedEngine, engine_of_process
from dynamorm.errors import ConfigError
from dynamorm.testing import TestDB


class Coin(Model, table="coins"):
    id: Attr[str] = partition_key()


@pytest.fixture
def shared():
    with SharedEngine() as engine:
        yield engine


CHILD = """
import pickle, sys
from dynamorm import DB, Attr, Model, Presets, partition_key

class Coin(Model, table="coins"):
    id: Attr[str] = partition_key()

config = pickle.load(sys.stdin.buffer) if sys.argv[1] == "-" else Presets.local_development(endpoint=sys.argv[1])
with DB(config) as db:
    assert db.exists(Coin, "c1")
    db.create(Coin(id="c2"))
"""


@pytest.mark.parametrize("by", ["address", "pickled settings"])
def test_a_child_process_meets_the_engine(shared, by):
    with DB(Config(engine=shared)) as db:
        db.tables.ensure(Coin)
        db.create(Coin(id="c1"))
        given = pickle.dumps(db.config) if by == "pickled settings" else b""
        ran = subprocess.run(
            [sys.executable, "-c", CHILD, "-" if given else shared.address], input=given, capture_output=True, check=False, timeout=60
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert db.exists(Coin, "c2")


def test_in_this_process_nothing_is_sent(shared, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a connection"))
    assert engine_at(shared.address) is shared
    with TestDB(endpoint=shared.address, models=[Coin]) as db:
        db.create(Coin(id="c1"))
        assert db.config.engine is shared
    assert pickle.loads(pickle.dumps(Config(engine=shared))).engine is shared


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks on this system")
def test_a_fork_goes_on_with_the_engine_of_its_parent(shared):
    with DB(Config(engine=shared)) as db:
        db.tables.ensure(Coin)
        child = os.fork()
        if child == 0:
            try:
                db.create(Coin(id="c1"))
                try:
                    shared.snapshot()
                except ConfigError:
                    os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert db.exists(Coin, "c1")


def test_it_waits_without_asyncio_and_ends_without_a_child():
    before = {*threading.enumerate()}  # those of other tests may end meanwhile
    engine = SharedEngine()
    (waiting,) = {*threading.enumerate()} - before
    engine.close()
    engine.close()
    assert not waiting.is_alive()
    assert not {*threading.enumerate()} - before
    program = "import sys\nfrom dynamorm.engine.shared import SharedEngine\nSharedEngine().close()\nprint('asyncio' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ran.stdout, ran.stderr) == ("False\n", "")


def test_an_engine_of_another_process_that_has_ended_is_unavailable():
    gone = EngineElsewhere("http://127.0.0.1:9", "us-east-1")
    status, body = gone.handle("ListTables", b"{}")
    assert (status, json.loads(body)["__type"].rpartition("#")[2]) == (503, "ServiceUnavailable")


def test_all_databases_of_the_local_preset_share_one(monkeypatch):
    monkeypatch.delenv("_DYNAMORM_EMBEDDED_ENGINE", raising=False)
    engine = engine_of_process()
    assert engine_of_process() is engine
    with DB(Presets.local_development()) as one, DB(Presets.local_development()) as other:
        assert one.config.engine is other.config.engine is engine
        assert one.config.endpoint == engine.address
