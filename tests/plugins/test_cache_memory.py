"""``max_bytes`` is a bound: what the cache counts is what it takes of memory, whatever it keeps."""

import gc
import json
import tracemalloc

import pytest

from dynamorm import DB, Attr, Cache, CacheConfig, Model, Presets, attr, partition_key, sort_key
from dynamorm.effects import Call, Gather, Send
from dynamorm.plugins.cache import memory
from dynamorm.plugins.cache.bounded import Bounded
from dynamorm.testing import reply


class Row(Model, table="cache-memory"):
    p: Attr[str] = partition_key()
    s: Attr[str] = sort_key()
    text: Attr[str] = attr(default="")


VERBS = ["get", "batch_get", "all"]


class Answering:
    """A driver whose service is a function of the request."""

    def __init__(self, answer):
        self.answer = answer

    def run(self, flow):
        try:
            effect = next(flow)
            while True:
                got = None
                if isinstance(effect, Send):
                    got = reply(self.answer(json.loads(effect.data.partition(b"\r\n\r\n")[2])))
                elif isinstance(effect, Gather):
                    got = [self.run(one) for one in effect.flows]
                elif isinstance(effect, Call):
                    got = effect.sync()
                effect = flow.send(got)
        except StopIteration as stop:
            return stop.value


def opened(answer, *plugins):
    db = DB(Presets.local_development(endpoint="http://127.0.0.1:9"), extensions=plugins)
    db._io = Answering(answer)
    return db


def item(text):
    return lambda request: {"Item": {**request["Key"], "text": {"S": text}}}


def page(request):
    (value,) = request["ExpressionAttributeValues"].values()
    return {
        "Items": [{"p": value, "s": {"S": str(number)}, "text": {"S": "x" * 50}} for number in range(3)],
        "Count": 3,
    }


def nothing(request):
    return {"Responses": {"cache-memory": []}, "UnprocessedKeys": {}} if "RequestItems" in request else {}


def batch(count, length):
    def read(db, number):
        db.batch_get(Row, [(f"{number:06d}-{place:03d}" + "k" * length, "s") for place in range(count)])

    return read


READS = {
    "small items of one partition": (item("x"), lambda db, n: db.get(Row, "p", f"{n:08d}"), 1_500),
    "small items, each in a partition": (item("x"), lambda db, n: db.get(Row, f"{n:08d}", "s"), 1_500),
    "large items": (item("x" * 20_000), lambda db, n: db.get(Row, "p", f"{n:08d}"), 300),
    "long keys": (item("x"), lambda db, n: db.get(Row, "p", f"{n:08d}" + "k" * 900), 500),
    "what is missing": (nothing, lambda db, n: db.get(Row, "p", f"{n:08d}"), 1_500),
    "batches": (nothing, batch(100, 0), 100),
    "batches of long keys": (nothing, batch(100, 1_500), 30),
    "small batches": (nothing, batch(3, 10), 400),
    "queries": (
        page,
        lambda db, n: db.model(Row).where(Row.p == f"{n:08d}").all(),
        800,
    ),
}


def taken(read, db, numbers):
    """Bytes that remain behind reads."""
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for number in numbers:
        read(db, number)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


@pytest.mark.parametrize("what", READS)
def test_what_is_counted_is_what_is_taken(what, figure):
    answer, read, count = READS[what]
    cache = Cache(CacheConfig(cacheable_operations=VERBS, missing=True, settle=0.0))
    db = opened(answer, cache)
    tracemalloc.start()
    try:
        taken(read, db, range(20))  # what is made once
        store = cache._store
        counted, entries = store.size, len(store._entries)
        took = taken(read, db, range(20, 20 + count))
    finally:
        tracemalloc.stop()
    assert len(store._entries) == entries + count
    counted = store.size - counted
    figure(
        f"cache, {what}: {counted / count:.0f} bytes counted and {took / count:.0f} taken each, {counted / took:.2f}"
    )
    assert 0.7 < counted / took < 1.5


@pytest.mark.parametrize("what", READS)
def test_the_bound_holds(what):
    answer, read, count = READS[what]
    limit = 200_000
    cache = Cache(CacheConfig(cacheable_operations=VERBS, missing=True, settle=0.0, max_bytes=limit))
    db = opened(answer, cache)
    tracemalloc.start()
    try:
        taken(read, db, range(20))
        took = taken(read, db, range(20, 20 + count))
    finally:
        tracemalloc.stop()
    assert cache._store.size <= limit
    assert took < limit * 1.5


def generations_of(store):
    return {name: one for name, one in store._generations.items() if name[0] == "part"}


def test_generations_that_nothing_depends_on_go():
    """A write makes them, too, where nobody reads."""
    cache = Cache(CacheConfig(settle=0.0, max_bytes=100_000))
    store = cache._store
    for number in range(5_000):
        store.owe((("part", "t", f"S{number:08d}"),))
        assert store.size <= 100_000
    assert 0 < len(generations_of(store)) < 400


def test_what_is_dangerous_stays_dangerous_when_there_is_no_room():
    """Of so many blocked generations nothing can be remembered but that something is blocked."""
    cache = Cache(CacheConfig(settle=0.0, max_bytes=100_000))
    store = cache._store
    for number in range(2_000):
        store.owe((("part", "t", f"S{number:08d}"),), 600.0)
    assert store.size <= 100_000
    flow = store.begin((memory.EVERYTHING, ("part", "t", "S00000001")))
    with pytest.raises(StopIteration) as stop:
        next(flow)
    assert stop.value.value.blocked


def test_a_read_under_way_keeps_nothing_when_its_generations_have_gone():
    store = Cache(CacheConfig(settle=0.0, max_bytes=100_000))._store

    def begun():
        with pytest.raises(StopIteration) as stop:
            next(store.begin((memory.EVERYTHING, ("part", "t", "Sx"))))
        return stop.value.value

    reading = begun()
    for number in range(5_000):
        store.owe((("part", "t", f"S{number:08d}"),))
    assert not store.still(reading)
    list(store.install(("GetItem", b"{}", "Row", ()), reading, b"old", 60.0))
    assert store.find(("GetItem", b"{}", "Row", ())) is None


def test_what_is_full_is_emptied():
    bounded = Bounded(3, 16_000)
    for number in range(3):
        assert bounded.put(number, "x", 10) == "x"
    assert len(bounded) == 3
    bounded.put(3, "x", 10)
    assert list(bounded) == [3]
    assert bounded.put("large", "y", 5_000) == "y"
    assert "large" not in bounded
    assert bounded.size < 1_000


def test_own_writes_to_redis_are_counted(figure):
    from dynamorm.plugins.cache.own import OwnWrites

    own = OwnWrites()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(5_000):
            own.set(("part", "table", f"S{number:08d}"), bytes(bytearray(16)), 1.5 + number, 60.0)
        took = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    figure(f"cache, own writes: {own.size / 5_000:.0f} bytes counted and {took / 5_000:.0f} taken each")
    assert 0.7 < own.size / took < 1.5
    own.sweep(10_000.0)
    assert len(own) == 4_996


def test_keys_of_redis_are_remembered_within_bounds():
    from dynamorm.plugins.cache.shared import Shared

    shared = Shared(CacheConfig(max_bytes=1_000_000), None, b"k" * 32, "place")
    for number in range(3_000):
        shared._key(("BatchGetItem", b"%06d" % number + b"k" * 2_000, "Row", ()))
        shared._name(("part", "table", f"S{number:06d}" + "k" * 500))
    assert 0 < shared._keys.size <= 125_000
    assert 0 < shared._names.size <= 125_000
