"""Connections to Redis that lead to the wrong server or nowhere, and who is to blame when an answer does not come: both faces."""

import asyncio
import shutil
import threading
import time

import pytest

from dynamorm import Attr, CacheConfig, CachingPlugin, Model, attr, deadline, partition_key
from dynamorm.errors import DeadlineExceeded
from tests.behaviour.kit import Recorder

from .redis_server import Gateway, RedisServer, Scripted, client_of

pytestmark = pytest.mark.engine


class Entry(Model, table="cache-connections"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


MODELS = [Entry]


@pytest.fixture
def gateway(redis):
    with Gateway(redis.port) as gateway:
        yield gateway


@pytest.fixture
def cached(plugged, face_kind):
    """Opens a database with a cache in the Redis at a port: ``(db, cache, wire)``."""

    def opened(port, kind=face_kind, **settings):
        settings = {"settle": 0.0, "timeout": 2.0, "mac_key": b"k" * 32, **settings}
        cache = CachingPlugin(client_of(kind, port), CacheConfig(**settings))
        wire = Recorder()
        return plugged(cache, wire, kind=kind), cache, wire

    return opened


def saying(error):
    """A server with this answer to each command; asyncio clients send two of the handshake together."""
    return Scripted(lambda data: error * max(1, data.count(b"SETINFO")))


def failures(cache):
    return cache._store.redis.failures


def hits_again(db, cache, key, seconds):
    """Seconds until the cache answers again."""
    began, hits = time.monotonic(), cache.stats().hits
    while cache.stats().hits == hits:
        assert time.monotonic() - began < seconds
        db.get(Entry, key)
        time.sleep(0.02)
    return time.monotonic() - began


# ------------------------------------------------------------------------------------------------------ the wrong server


@pytest.fixture
def pair(tmp_path):
    """A master and its replica."""
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server on this machine")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with RedisServer(tmp_path / "a") as first, RedisServer(tmp_path / "b") as second:
        second.admin.replicaof("127.0.0.1", first.port)
        until = time.monotonic() + 20
        while second.admin.info("replication").get("master_link_status") != "up":
            assert time.monotonic() < until
            time.sleep(0.05)
        yield first, second


def test_a_failover_by_name_is_followed(pair, cached, key):
    """Who connects anew meets the new master; what is connected stays at the old one, which refuses writes."""
    first, second = pair
    with Gateway(first.port) as gateway:
        db, cache, _ = cached(gateway.port)
        for name in (key, key + "2"):
            db.put(Entry(id=name))
            db.get(Entry, name)
        db.concurrently(lambda number: db.get(Entry, key), 4)
        second.admin.replicaof("NO", "ONE")
        first.admin.replicaof("127.0.0.1", second.port)
        gateway.target = second.port
        db.update(Entry, key, Entry.text.set("new"))
        hits_again(db, cache, key, 30.0)
        assert db.get(Entry, key).text == "new"


@pytest.mark.parametrize(
    "error",
    [
        b"-READONLY You can't write against a read only replica.\r\n",
        b"-LOADING Redis is loading the dataset in memory\r\n",
        b"-CLUSTERDOWN The cluster is down\r\n",
        b"-MASTERDOWN Link with MASTER is down\r\n",
        b"-NOREPLICAS Not enough good replicas to write.\r\n",
        b"-ERR Error running script (call to f_1): @user_script:9: @user_script: 9: -READONLY You can't write\r\n",
    ],
)
def test_what_a_wrong_server_says_ends_the_connections_that_lead_there(cached, key, error):
    with saying(error) as wrong:
        db, cache, _ = cached(wrong.port, timeout=10.0)
        began = time.monotonic()
        db.put(Entry(id=key))
        assert time.monotonic() - began < 8.0  # nobody waited
        assert failures(cache) == 1
        assert cache._store.redis.link._idle.found == []
        assert wrong.connections <= 2


def test_an_error_of_the_command_leaves_the_connection(cached, key):
    with saying(b"-ERR no such command\r\n") as server:
        db, cache, _ = cached(server.port)
        db.put(Entry(id=key))
        assert len(cache._store.redis.link._idle) == 1


# ---------------------------------------------------------------------------------------------------------------- nowhere


def test_connections_that_lead_nowhere_end_together(gateway, cached, key, figure):
    """One time-out for all of them, and not one for each."""
    db, cache, _ = cached(gateway.port, timeout=1.0)
    db.put(Entry(id=key))
    db.get(Entry, key)
    gateway.delay = 0.2  # so that several are in use at once
    db.concurrently(lambda number: db.get(Entry, key), 12)
    gateway.delay = 0.0
    kept = len(cache._store.redis.link._idle)
    assert kept > 4
    before = failures(cache)
    gateway.forget()
    took = hits_again(db, cache, key, 30.0)
    assert failures(cache) == before + 1
    figure(f"cache, {kept} connections that lead nowhere: of use again after {took:.2f} s")


def test_an_incident_ends_what_was_opened_before_it_and_nothing_else():
    from dynamorm.plugins.cache.connections.patience import Idle

    idle = Idle()
    assert idle.give(idle.era, "a", 9)
    assert idle.give(idle.era, "b", 9)
    assert idle.take() == (0, "b")
    assert idle.incident(0) == ["a"]  # b has failed
    assert idle.incident(0) == []  # and so did another one that was in use
    assert idle.give(1, "new", 9)
    assert not idle.give(0, "in use meanwhile", 9)
    assert idle.take() == (1, "new")


# --------------------------------------------------------------------------------------------------- the caller's deadline


@pytest.mark.parametrize("seconds", [0.02, 0.06])
@pytest.mark.parametrize("what", ["hit", "miss", "put", "new connection"])
def test_a_deadline_bounds_the_waiting_for_redis(gateway, cached, key, seconds, what):
    """The caller's own hurry is not counted as a failure of Redis, and takes nothing from others."""
    db, cache, _ = cached(gateway.port, timeout=10.0)
    other, _, wire = cached(gateway.target)
    for name in (key, key + "2"):
        db.put(Entry(id=name, text="first"))
        db.get(Entry, name)
        other.get(Entry, name)
    gateway.delay = 8.0
    if what == "new connection":
        gateway.cut()
        time.sleep(0.05)
    began = time.monotonic()
    try:
        with deadline(seconds):
            if what == "put":
                db.put(Entry(id=key, text="second"))
            else:
                db.get(Entry, "none" if what == "miss" else key)
    except DeadlineExceeded:
        pass
    took = time.monotonic() - began
    assert took < seconds + 5.0
    assert failures(cache) == 0
    gateway.delay = 0.0
    if what != "put":
        return
    stored = db.get(Entry, key, consistent=True).text
    until = time.monotonic() + 30.0
    while other.get(Entry, key).text != stored:
        assert time.monotonic() < until
        time.sleep(0.02)
    wire.clear()
    assert other.get(Entry, key + "2").text == "first"
    assert wire.names == []  # no new epoch


# ------------------------------------------------------------------------------------------------------ whose fault it is


def test_a_loop_that_was_blocked_is_not_redis_failing(gateway, cached, key):
    db, cache, _ = cached(gateway.port, kind="asyncio", timeout=0.5)
    other, _, wire = cached(gateway.target, kind="blocking")
    db.put(Entry(id=key))
    other.put(Entry(id=key + "2"))
    for name in (key, key + "2"):
        db.get(Entry, name)
        other.get(Entry, name)
    gateway.delay = 0.005

    async def busy():
        for _ in range(2):
            task = asyncio.ensure_future(db.inner.put(Entry(id=key)))
            for _ in range(6):
                await asyncio.sleep(0.002)
                time.sleep(0.6)  # noqa: ASYNC251 - as who renders a long page does
            await task

    db._loop.run(busy())
    assert failures(cache) == 0
    wire.clear()
    other.get(Entry, key + "2")
    assert wire.names == []


def test_a_thread_that_was_kept_from_its_turn_is_not_redis_failing(gateway, cached, key):
    """Between two parts of an answer, or before the first one: what a process does that was stopped, or has no processor."""
    from dynamorm.plugins.cache.connections.link import _Bounded

    class Socket:
        def __init__(self):
            self.slept = 0

        def settimeout(self, timeout):
            pass

        def recv(self, size):
            self.slept += 1
            time.sleep(0.1)  # the answer was there; this thread was not
            return b"x"

    sock = Socket()
    bounded = _Bounded(sock, 0.05)
    assert [bounded.recv(1) for _ in range(4)] == [b"x"] * 4
    with pytest.raises(TimeoutError):  # but that is no way to be waited for without end
        list(iter(lambda: bounded.recv(1), b""))
    assert sock.slept <= 6


def test_a_redis_that_is_slow_is_failing(gateway, cached, key):
    db, cache, _ = cached(gateway.port, timeout=1.0)
    db.put(Entry(id=key))
    db.get(Entry, key)
    assert failures(cache) == 0
    gateway.delay = 20.0
    began = time.monotonic()
    db.get(Entry, key)
    assert failures(cache) == 1
    assert time.monotonic() - began < 15.0


def test_a_deadline_of_another_thread_bounds_nobody_else(gateway, cached, key):
    db, cache, _ = cached(gateway.port, kind="blocking")
    db.put(Entry(id=key))
    db.get(Entry, key)
    gateway.delay = 0.1
    hits = cache.stats().hits
    thread = threading.Thread(target=db.get, args=(Entry, key))
    with deadline(0.01):
        thread.start()
    thread.join()
    assert cache.stats().hits == hits + 1
