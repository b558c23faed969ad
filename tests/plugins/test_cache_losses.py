"""What Redis loses is a miss, and never a proof that nothing was written; what it was not told is told by whatever comes next."""

import asyncio
import threading
import time

import pytest

from dynamorm import Attr, CacheConfig, CachingPlugin, Model, attr, partition_key
from dynamorm.errors import OutcomeUnknown
from dynamorm.plugins.cache.shared import GRACE
from dynamorm.testing import answers
from tests.behaviour.kit import Recorder
from tests.support.held import PATIENT

from .redis_server import Gateway, client_of
from .test_cache_flights import gate, is_held

__all__ = ["gate"]

pytestmark = pytest.mark.engine


class Entry(Model, table="cache-losses"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


MODELS = [Entry]


@pytest.fixture
def cached(plugged, face_kind, redis):
    """Opens a database with a cache in Redis: ``(db, cache, wire)``."""

    def opened(port=None, kind=face_kind, settings=(), **more):
        given = {"settle": 0.0, "timeout": 2.0, "mac_key": b"k" * 32, "ttl": 600.0, **dict(settings)}
        cache = CachingPlugin(client_of(kind, port or redis.port), CacheConfig(**given))
        wire = Recorder()
        return plugged(cache, wire, kind=kind, **more), cache, wire

    return opened


def lose(redis, how):
    if how == "all":
        redis.admin.flushall()
    elif how == "generations":
        redis.admin.delete(*redis.admin.keys("d1:g:*"))


def until(true, seconds=30.0):
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)


# ------------------------------------------------------------------------------------------- written a moment ago, blocked


@pytest.mark.parametrize("how", ["all", "generations"])
def test_that_it_was_written_a_moment_ago_is_not_forgotten(redis, cached, key, how):
    """Else an eventual read of a replica that lags would be kept, by a process that has not written itself."""
    writer, _, _ = cached(settings={"settle": 60.0})
    reader, cache, _ = cached(settings={"settle": 60.0})
    writer.put(Entry(id=key, text="new"))
    lose(redis, how)
    reader.get(Entry, key)
    assert cache.stats().consistent == 1


@pytest.mark.parametrize("how", ["nothing", "generations", "all"])
def test_that_something_is_blocked_is_not_forgotten(redis, cached, gate, key, how):
    """A copy of the write may come later than what another process would keep."""
    writer, _, _ = cached(endpoint=gate.server.endpoint, on_ambiguous="raise", operation_timeout=3.0)
    reader, cache, _ = cached(endpoint=gate.server.endpoint)
    writer.put(Entry(id=key, text="old"))
    reader.get(Entry, key)
    gate.spoiled = [answers.silence("reset")] * 9
    with pytest.raises(OutcomeUnknown):
        writer.update(Entry, key, Entry.text.set("new"), condition=Entry.text == "old")
    gate.spoiled = []
    lose(redis, how)
    began, hits, looks = time.monotonic(), cache.stats().hits, 0
    while looks < 10 or time.monotonic() < began + (GRACE + 1.5 if how == "all" else 0.5):
        assert reader.get(Entry, key) is not None
        looks += 1
        time.sleep(0.05)
    assert cache.stats().hits == hits
    assert cache.stats().unsettled > 5


def test_what_is_blocked_is_told_again_by_who_lives(redis, cached, gate, key):
    """So that a process that begins behind the loss, and knows of nothing, is told within about a second."""
    writer, _, _ = cached(endpoint=gate.server.endpoint, on_ambiguous="raise", operation_timeout=3.0)
    writer.put(Entry(id=key, text="old"))
    gate.spoiled = [answers.silence("reset")] * 9
    with pytest.raises(OutcomeUnknown):
        writer.update(Entry, key, Entry.text.set("new"), condition=Entry.text == "old")
    gate.spoiled = []
    redis.admin.flushall()

    def told():  # whether or not the program does anything: on asyncio its loop must run
        writer.concurrently(lambda number: time.sleep(0.1), 1)
        return redis.admin.keys("d1:b:*")

    until(told)
    reader, cache, _ = cached(endpoint=gate.server.endpoint)
    for _ in range(3):
        reader.get(Entry, key)
    assert (cache.stats().hits, cache.stats().unsettled) == (0, 3)


def test_behind_a_loss_the_cache_is_soon_of_use_again(redis, cached, key, figure):
    db, cache, _ = cached()
    db.put(Entry(id=key))
    db.get(Entry, key)
    redis.admin.flushall()
    began, hits = time.monotonic(), cache.stats().hits
    until(lambda: db.get(Entry, key) is not None and cache.stats().hits > hits)
    figure(f"cache, behind FLUSHALL: of use again after {time.monotonic() - began:.1f} s")


def test_an_empty_redis_is_of_use_at_once(redis, cached, key):
    db, cache, _ = cached()
    db.put(Entry(id=key))
    for _ in range(3):
        db.get(Entry, key)
    assert cache.stats().hits == 2


# ------------------------------------------------------------------------------------------------------------------ debts


@pytest.fixture
def indebted(redis, cached, key):
    """A process that could not tell Redis of a write, another one that has the old answer, and the way to Redis."""
    with Gateway(redis.port) as gateway:
        writer, cache, _ = cached(gateway.port)
        reader, _, _ = cached(kind="blocking")
        writer.put(Entry(id=key, text="old"))
        assert [reader.get(Entry, key).text for _ in range(2)] == ["old"] * 2
        gateway.refuses = True
        gateway.cut()
        time.sleep(0.05)
        writer.put(Entry(id=key, text="new"))
        assert cache._store._debt
        assert reader.get(Entry, key).text == "old"
        yield writer, cache, reader, gateway


@pytest.mark.parametrize("way", ["writes", "nothing", "end"])
def test_a_debt_is_paid_by_whatever_comes_next(indebted, key, way, monkeypatch):
    writer, cache, reader, gateway = indebted
    if way != "nothing":  # as if its thread, or task, did not come to its turn
        monkeypatch.setattr(cache._keeper, "_tend", lambda **at: cache._store.tend(**at) if at else iter(()))
    gateway.refuses = False
    if way == "end":
        writer._db.close()
    until_ = time.monotonic() + 30.0
    while reader.get(Entry, key).text != "new":
        assert time.monotonic() < until_
        if way == "writes":
            writer.put(Entry(id=key + "other"))
        elif way == "nothing":
            writer.concurrently(lambda number: time.sleep(0.05), 1)  # an asyncio program runs its loop
        time.sleep(0.05)
    assert not cache._store._debt


def test_the_thread_that_pays_ends_with_the_debt(indebted):
    writer, cache, _, gateway = indebted

    def threads():
        return [thread for thread in threading.enumerate() if thread.name == "dynamorm-cache"]

    gateway.refuses = False
    until(lambda: writer.concurrently(lambda number: time.sleep(0.05), 1) is not None and not cache._store._debt)
    until(lambda: not threads())


def test_a_database_ends_although_redis_does_not_come_back(indebted):
    writer, _, _, _ = indebted
    began = time.monotonic()
    writer._db.close()
    assert time.monotonic() - began < 20.0
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "dynamorm-cache"])


def test_a_write_that_was_not_sent_owes_nothing(redis, cached, key):
    """Redis could not be told before it, and then there was nothing to tell."""
    from dynamorm import deadline
    from dynamorm.errors import DeadlineExceeded

    db, cache, _ = cached()
    db.put(Entry(id=key, text="old"))
    with pytest.raises(DeadlineExceeded), deadline(1e-6):
        db.put(Entry(id=key, text="new"))
    assert not cache._store._debt


def test_a_cancelled_write_tells_redis(redis, cached, gate, key):
    db, cache, _ = cached(kind="asyncio", endpoint=gate.server.endpoint, **PATIENT)
    reader, _, _ = cached(kind="blocking", endpoint=gate.server.endpoint)
    db.put(Entry(id=key, text="old"))
    assert [reader.get(Entry, key).text for _ in range(2)] == ["old"] * 2
    gate.behind.hold(1)

    async def cancelled():
        task = asyncio.ensure_future(db.inner.update(Entry, key, Entry.text.set("new"), upsert=True))
        await is_held(gate)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    db._loop.run(cancelled())
    until(lambda: reader.get(Entry, key).text == "new")
    assert not cache._store._debt
