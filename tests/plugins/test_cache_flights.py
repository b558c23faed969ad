"""Many who ask the same at once make one read, and a write of which nobody knows keeps what it touched out of the cache."""

import asyncio
import threading
import time

import pytest
from msgspec.structs import force_setattr

from dynamorm import Attr, Cache, CacheConfig, CachingPlugin, Model, attr, deadline, gsi, partition_key, version
from dynamorm.errors import AccessDenied, DeadlineExceeded, DynamORMError, OutcomeUnknown
from dynamorm.plugins.cache import doubt, plugin
from dynamorm.testing import EngineBackend, FaultServer, answers
from tests.plugins.batcher_kit import wait_until
from tests.support.held import PATIENT, HeldAnswers

pytestmark = pytest.mark.engine


class Entry(Model, table="cache-flights"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")
    version: Attr[int] = version()
    by_text = gsi("by-text", partition="text")


MODELS = [Entry]


class Gate:
    """The script of a server that holds reads back, and spoils what is listed; ``behind`` holds answers until it lets go."""

    def __init__(self):
        self.delay = 0.0
        self.reads = 0
        self.spoiled = []
        self._lock = threading.Lock()

    def __call__(self, request):
        if request.operation not in {"GetItem", "Query"}:
            return self.spoiled.pop(0) if self.spoiled else None
        with self._lock:
            self.reads += 1
            first = self.spoiled.pop(0) if self.spoiled else None
        return first or answers.honest().delayed(self.delay)


@pytest.fixture
def gate(engine):
    """A server before the engine, with its script."""
    script = Gate()
    script.behind = HeldAnswers(EngineBackend(engine.endpoint))
    with FaultServer(script, backend=script.behind) as server:
        script.server = server
        yield script


@pytest.fixture
def cached(plugged, gate):
    """A database with a cache behind the gate: ``(db, cache)``."""

    def opened(cache=None, **settings):
        cache = cache or Cache(CacheConfig(settle=0.0))
        return plugged(cache, endpoint=gate.server.endpoint, **settings), cache

    return opened


@pytest.fixture
def patient(monkeypatch):
    """Who waits for another's answer does so for as long as a busy machine takes."""
    monkeypatch.setattr(plugin, "WAIT", 90.0)


def test_many_make_one_read(cached, gate, key, patient):
    db, cache = cached()
    db.put(Entry(id=key, text="x"))
    gate.delay = 0.4
    found = db.concurrently(lambda _: db.get(Entry, key).text, 24)
    assert found == ["x"] * 24
    assert gate.reads == 1
    stats = cache.stats()
    assert stats.shared + stats.hits == 23
    assert len(cache._flights) == 0


def test_a_leader_that_fails_hands_over(cached, gate, key, patient):
    db, cache = cached()
    db.put(Entry(id=key, text="x"))
    gate.delay = 0.3
    gate.spoiled = [answers.error("AccessDeniedException").delayed(0.5)]

    def ask(number):
        time.sleep(0.02 * number)
        try:
            return db.get(Entry, key).text
        except AccessDenied:
            return "failed"

    assert sorted(db.concurrently(ask, 6)) == ["failed", *["x"] * 5]
    assert len(cache._flights) == 0


def test_a_follower_keeps_its_own_deadline(cached, gate, key, patient):
    """The leader has no answer before both have given up."""
    db, _ = cached(**PATIENT)
    db.put(Entry(id=key, text="x"))
    gate.behind.hold()
    ends = []

    def ask(number):
        if number == 0:
            return db.get(Entry, key).text
        wait_until(lambda: gate.behind.held)
        try:
            with deadline(0.2):
                return late(db, key)
        except DynamORMError as error:
            return type(error)
        finally:
            ends.append(number)
            if len(ends) == 2:
                gate.behind.let_go()

    assert db.concurrently(ask, 3) == ["x", DeadlineExceeded, DeadlineExceeded]
    assert gate.reads == 1


def late(db, key):
    """Read under a deadline of this thread's: the asyncio face runs in another one."""
    if db.kind == "blocking":
        return db.get(Entry, key)

    async def under():
        with deadline(0.2):
            return await db.inner.get(Entry, key)

    return db._loop.run(under())


def test_a_cancelled_leader_hands_over(plugged, gate, key, patient):
    cache = Cache(CacheConfig(settle=0.0))
    db = plugged(cache, kind="asyncio", endpoint=gate.server.endpoint, **PATIENT)
    db.put(Entry(id=key, text="x"))
    gate.behind.hold(1)

    async def several():
        tasks = [asyncio.ensure_future(db.inner.get(Entry, key)) for _ in range(4)]
        await is_held(gate)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, *others = db._loop.run(several())
    assert isinstance(first, asyncio.CancelledError)
    assert [other.text for other in others] == ["x"] * 3
    assert gate.reads == 2
    assert len(cache._flights) == 0


async def is_held(gate):
    """Wait until an answer is held."""
    async with asyncio.timeout(30):
        while not gate.behind.held:  # noqa: ASYNC110 - it is no event of asyncio
            await asyncio.sleep(0.005)


def test_nobody_waits_for_ever_for_another(cached, gate, key):
    """The leader has no answer before the others have one."""
    db, _ = cached(**PATIENT)
    db.put(Entry(id=key, text="x"))
    gate.behind.hold(1)
    found, began = [], time.monotonic()

    def ask(_):
        found.append(db.get(Entry, key).text)
        if len(found) == 2:
            gate.behind.let_go()

    db.concurrently(ask, 3)
    assert found == ["x"] * 3
    assert gate.reads > 1
    assert time.monotonic() - began < 25  # after 30 s the leader asks again


def test_who_asks_behind_a_write_is_not_given_what_was_read_before_it(cached, gate, key):
    db, _ = cached()
    db.put(Entry(id=key, text="old"))
    gate.delay = 0.6

    def ask(number):
        if number == 0:
            db.get(Entry, key)
            return None
        time.sleep(0.2)  # the first one has read, and waits for its answer
        db.update(Entry, key, Entry.text.set("new"))
        return db.get(Entry, key).text

    assert db.concurrently(ask, 2)[1] == "new"


# ----------------------------------------------------------------------------------------------------- unsettled writes


@pytest.fixture(params=["memory", "redis"])
def one_cache(request, face_kind):
    """A cache of either kind."""
    config = CacheConfig(settle=0.0, timeout=2.0, mac_key=b"k" * 16)
    if request.param == "memory":
        return Cache(config)
    return CachingPlugin(request.getfixturevalue("redis").client(face_kind), config)


@pytest.fixture
def other_process(plugged, gate, face_kind, request):
    """Another process with the same Redis: ``(db, cache)``."""

    def opened(config):
        cache = CachingPlugin(request.getfixturevalue("redis").client(face_kind), config)
        return plugged(cache, endpoint=gate.server.endpoint), cache

    return opened


def test_what_an_unknown_write_touched_is_not_kept_until_it_is_settled(
    cached, gate, key, one_cache, monkeypatch, other_process
):
    monkeypatch.setattr(doubt, "LATE", 1.5)
    db, cache = cached(one_cache, on_ambiguous="raise", operation_timeout=3.0)
    db.put(Entry(id=key, text="x"))
    db.put(Entry(id=key + "2", text="x"))
    assert db.get(Entry, key).text == "x"
    gate.spoiled = [answers.silence("reset").applied()]
    with pytest.raises(OutcomeUnknown):
        db.update(Entry, key, Entry.text.set("y"), condition=Entry.text == "x")
    began, reads = time.monotonic(), gate.reads
    assert [db.get(Entry, key).text for _ in range(3)] == ["y"] * 3
    if time.monotonic() - began < 1.0:
        assert gate.reads == reads + 3
        assert cache.stats().unsettled >= 3
    for _ in range(2):
        db.get(Entry, key + "2")  # what the write has not touched is kept
    if isinstance(cache, CachingPlugin):  # other processes know it, too
        reader, other = other_process(cache.config)
        reader.get(Entry, key)
        if time.monotonic() - began < 1.0:
            assert other.stats().unsettled == 1
    time.sleep(max(0.0, began + 1.7 - time.monotonic()))
    reads = gate.reads
    assert [db.get(Entry, key).text for _ in range(3)] == ["y"] * 3
    assert gate.reads == reads + 1


def test_a_copy_of_a_write_that_was_sent_twice_may_come_late(cached, gate, key, one_cache):
    db, cache = cached(one_cache)
    gate.spoiled = [answers.silence("reset").applied()]
    db.put(Entry(id=key, text="x"))  # unconditional, sent again, and well
    db.get(Entry, key)
    assert cache.stats().unsettled == 1


def test_a_copy_of_a_save_is_refused_when_it_comes_late(cached, gate, key, one_cache):
    db, cache = cached(one_cache)
    entry = db.create(Entry(id=key, text="x"))
    gate.spoiled = [answers.silence("reset").applied()]
    entry.text = "y"
    db.save(entry)
    db.get(Entry, key)
    db.get(Entry, key)
    assert (cache.stats().unsettled, cache.stats().hits) == (0, 1)


def test_a_refused_write_leaves_no_doubt(cached, gate, key, one_cache):
    db, cache = cached(one_cache)
    db.put(Entry(id=key, text="x"))
    with pytest.raises(DynamORMError):
        db.create(Entry(id=key, text="y"))
    db.get(Entry, key)
    db.get(Entry, key)
    assert (cache.stats().unsettled, cache.stats().hits) == (0, 1)


def test_a_cancelled_write_lets_go(plugged, gate, key):
    cache = Cache(CacheConfig(settle=0.0))
    db = plugged(cache, kind="asyncio", endpoint=gate.server.endpoint, **PATIENT)
    db.put(Entry(id=key, text="x"))
    db.get(Entry, key)
    gate.behind.hold(1)

    async def cancelled():
        task = asyncio.ensure_future(db.inner.update(Entry, key, Entry.text.set("y"), upsert=True))
        await is_held(gate)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    db._loop.run(cancelled())
    assert db.get(Entry, key).text == "y"
    assert cache.stats().unsettled == 1


# --------------------------------------------------------------------------------------------------------------- settling


def test_what_was_just_written_is_read_consistently(cached, gate, key, one_cache):
    one_cache._store._settle = 60.0
    force_setattr(one_cache.config, "settle", 60.0)  # before the store of Redis is made
    db, cache = cached(one_cache)
    db.put(Entry(id=key, text=key))
    for _ in range(2):
        assert db.get(Entry, key).text == key
        assert [entry.id for entry in db.model(Entry).where(Entry.text == key).all()] == [key]
    sent = [request.body for request in gate.server.requests if request.operation in {"GetItem", "Query"}]
    assert [b"ConsistentRead" in body for body in sent] == [True, False, False]
    assert cache.stats() == type(cache.stats())(hits=1, misses=3, consistent=1, unsettled=2)
