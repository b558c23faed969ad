"""What somebody else has written is let go of by who knows of it; and what the cache holds shows in the gauges."""

import pytest

from dynamorm import Attr, Cache, CacheConfig, CachingPlugin, Model, attr, composite, gsi, partition_key, sort_key
from dynamorm.errors import ConfigError, ValidationError
from tests.behaviour.kit import Recorder

pytestmark = pytest.mark.engine

SECRET = b"a secret of 32 bytes, or nearly.."


class Entry(Model, table="cache-go-entries"):
    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[str] = attr(default="")
    owner: Attr[str] = attr(default="nobody")
    by_owner = gsi("by-owner", partition="owner", sort="number")


class Other(Model, table="cache-go-others"):
    tenant: Attr[str]
    name: Attr[str]
    key: Attr[str] = partition_key(composite("tenant", "name"))


MODELS = [Entry, Other]


@pytest.fixture(params=["memory", "redis"])
def cached(request, plugged, face_kind):
    """A database with a cache."""
    settings = {"settle": 0.0, "timeout": 2.0, "mac_key": SECRET}
    if request.param == "memory":
        cache = Cache(CacheConfig(**settings))
    else:
        cache = CachingPlugin(request.getfixturevalue("redis").client(face_kind), CacheConfig(**settings))
    return plugged(cache, wire := Recorder()), cache, wire


@pytest.fixture
def stranger(plugged):
    """A program without the cache."""
    return plugged()


READS = {
    "get": lambda db, key: db.get(Entry, key, 1).text,
    "query": lambda db, key: [one.text for one in db.model(Entry).where(Entry.of == key).all()],
    "index": lambda db, key: [one.text for one in db.model(Entry).where(Entry.owner == key).all()],
    "scan": lambda db, key: [one.text for one in db.model(Entry).filter(Entry.of == key).allow_scan().all()],
}
WAYS = {
    "by key": lambda db, key: db.invalidate_cache(Entry, key, 1),
    "by the parts of a key": lambda db, key: db.invalidate_cache(Entry, of=key, number=1),
    "a model": lambda db, _: db.invalidate_cache(Entry),
    "everything": lambda db, _: db.clear_cache(),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("way", WAYS)
def test_a_foreign_write_is_seen_once_it_is_told(cached, stranger, key, read, way):
    db, _, wire = cached
    of, let_go = READS[read], WAYS[way]
    stranger.put(Entry(of=key, number=1, text="old", owner=key))
    before = of(db, key)
    stranger.put(Entry(of=key, number=1, text="new", owner=key))
    assert of(db, key) == before  # it is kept, for nobody told
    assert let_go(db, key) is None
    assert "new" in of(db, key)
    wire.clear()
    assert "new" in of(db, key)
    assert wire.names == []  # and kept anew


def test_what_is_beside_it_stays(cached, key):
    db, _, wire = cached
    for name in ("a", "b"):
        db.put(Entry(of=key + name, number=1))
        db.get(Entry, key + name, 1)
    db.put(Other(tenant=key, name="n"))
    db.get(Other, tenant=key, name="n")
    db.invalidate_cache(Entry, key + "a", 1)
    wire.clear()
    db.get(Entry, key + "b", 1)
    db.get(Other, tenant=key, name="n")
    assert wire.names == []
    db.get(Entry, key + "a", 1)
    assert wire.names == ["GetItem"]
    db.invalidate_cache(Other, tenant=key, name="n")
    wire.clear()
    db.get(Other, tenant=key, name="n")
    db.get(Entry, key + "b", 1)
    assert wire.names == ["GetItem"]


def test_all_processes_of_a_redis_are_told(redis, plugged, stranger, face_kind, key):
    def opened(kind):
        cache = CachingPlugin(redis.client(kind), CacheConfig(mac_key=SECRET, settle=0.0, timeout=2.0))
        return plugged(cache, kind=kind), cache

    (one, _), (other, theirs) = opened(face_kind), opened("blocking")
    stranger.put(Entry(of=key, number=1, text="old"))
    assert [db.get(Entry, key, 1).text for db in (one, other)] == ["old", "old"]
    assert theirs.stats().hits == 1
    stranger.put(Entry(of=key, number=1, text="new"))
    one.invalidate_cache(Entry, key, 1)
    assert other.get(Entry, key, 1).text == "new"
    stranger.put(Entry(of=key, number=1, text="newer"))
    one.clear_cache()
    assert other.get(Entry, key, 1).text == "newer"


class Plain(Model, table="cache-go-entries"):
    """The same table, in a process that knows no index of it."""

    of: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


@pytest.mark.parametrize(
    ("way", "lost"),
    [(lambda db, key: db.invalidate_cache(Plain, key, 1), 0), (lambda db, _: db.invalidate_cache(Plain), 1)],
)
def test_indexes_that_this_process_does_not_know_are_let_go_of(redis, plugged, stranger, face_kind, key, way, lost):
    def opened(kind):
        cache = CachingPlugin(redis.client(kind), CacheConfig(mac_key=SECRET, settle=0.0, timeout=2.0))
        return plugged(cache, wire := Recorder(), kind=kind), wire

    (one, _), (other, wire) = opened(face_kind), opened("blocking")
    of = READS["index"]
    stranger.put(Entry(of=key, number=1, text="old", owner=key))
    stranger.put(Entry(of=key + "b", number=1, text="beside"))
    assert (of(other, key), other.get(Entry, key + "b", 1).text) == (["old"], "beside")
    stranger.put(Entry(of=key, number=1, text="new", owner=key))
    assert of(other, key) == ["old"]  # it is kept, for nobody told
    assert way(one, key) is None
    assert of(other, key) == ["new"]
    wire.clear()
    assert other.get(Entry, key + "b", 1).text == "beside"
    assert len(wire.names) == lost  # of one item, nothing beside it


def test_a_redis_that_is_down_is_owed_it(redis, plugged, stranger, face_kind, key):
    cache = CachingPlugin(redis.client(face_kind), CacheConfig(mac_key=SECRET, settle=0.0, timeout=0.5))
    db = plugged(cache)
    stranger.put(Entry(of=key, number=1, text="old"))
    assert db.get(Entry, key, 1).text == "old"
    stranger.put(Entry(of=key, number=1, text="new"))
    redis.stop()
    try:
        db.invalidate_cache(Entry, key, 1)
        assert db.get(Entry, key, 1).text == "new"
    finally:
        redis.start()
    assert db.get(Entry, key, 1).text == "new"


def test_what_was_just_told_is_read_consistently(plugged, stranger, key):
    """A replica may lag behind the foreign write, as behind an own one."""
    db = plugged(cache := Cache(CacheConfig(settle=60.0)))
    stranger.put(Entry(of=key, number=1))
    db.get(Entry, key, 1)
    db.invalidate_cache(Entry, key, 1)
    db.get(Entry, key, 1)
    assert cache.stats().consistent == 1


def test_a_view_shares_the_cache(cached, stranger, key):
    db, _, _ = cached
    view = db.view(tenant="t1")
    stranger.put(Entry(of=key, number=1, text="old"))
    assert view.get(Entry, key, 1).text == "old"
    stranger.put(Entry(of=key, number=1, text="new"))
    view.invalidate_cache(Entry, key, 1)
    assert view.get(Entry, key, 1).text == "new"
    stranger.put(Entry(of=key, number=1, text="newer"))
    db.clear_cache()
    assert view.get(Entry, key, 1).text == "newer"


def test_without_a_cache_and_without_a_key(cached, stranger, key):
    for ask in (stranger.clear_cache, lambda: stranger.invalidate_cache(Entry, key, 1)):
        with pytest.raises(ConfigError, match=r"this database has no cache: db.use\(Cache\(\)\)"):
            ask()
    db, _, _ = cached
    with pytest.raises(ValidationError):
        db.invalidate_cache(Entry, key)
    with pytest.raises(ValidationError):
        db.invalidate_cache(Entry, key, 1, 2)


def test_what_it_holds_shows_in_the_gauges(cached, key):
    db, cache, _ = cached
    db.put(Entry(of=key, number=1))
    for _ in range(3):
        db.get(Entry, key, 1)
    shown = {name: value for name, value in db.gauges().items() if name.startswith("cache_")}
    assert (shown["cache_hits"], shown["cache_misses"], shown["cache_bypassed"]) == (2.0, 1.0, 0.0)
    if isinstance(cache, CachingPlugin):
        assert "cache_entries" not in shown
    else:
        assert shown["cache_entries"] == 1.0
        assert shown["cache_bytes"] == cache._store.size > 0
    db.clear_cache()
    assert db.get(Entry, key, 1) is not None
    assert db.gauges()["cache_misses"] == 2.0
