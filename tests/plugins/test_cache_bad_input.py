"""Settings that are none, clients that do not fit, and databases that a cache does not suit."""

import copy
import pickle

import pytest
import redis

from dynamorm import DB, AsyncDB, Cache, CacheConfig, CachingPlugin, Credentials, Presets
from dynamorm.errors import ConfigError, InvalidUse, UnknownSetting

WRONG = {
    "a name of the seed": ({"cacheable_operations": ["First"]}, "'First' in cacheable_operations: did you mean first?"),
    "a slip": ({"cacheable_operations": ["cuont"]}, "did you mean count?"),
    "no verb": ({"cacheable_operations": ["xyzzy"]}, "known are get, batch_get"),
    "a write": ({"cacheable_operations": ["save"]}, "'save' in cacheable_operations"),
    "one text": ({"cacheable_operations": "first"}, "cacheable_operations is a list of words"),
    "no list": ({"cacheable_operations": 5}, "list of words"),
    "not a word": ({"cacheable_operations": [1]}, "int in cacheable_operations"),
    "a verb for a family": ({"invalidate_on": ["upsert"]}, "in invalidate_on: "),
    "a family in capitals": ({"invalidate_on": ["Create"]}, "did you mean create?"),
    "a negative time": ({"ttl": -1}, "ttl is a positive number of seconds"),
    "no time": ({"ttl": 0}, "ttl is a positive number"),
    "too much time": ({"ttl": 1e9}, "up to 604800"),
    "a text for a time": ({"ttl": "60"}, "not str"),
    "no function": ({"ttl_func": 60}, "ttl_func is a function of a model's class"),
    "a negative settle": ({"settle": -1}, "settle is 0 ... 3600 seconds"),
    "NaN": ({"settle": float("nan")}, "NaN"),
    "no bytes": ({"max_bytes": 0}, "max_bytes is a whole number of 1 or more"),
    "half a byte": ({"max_bytes": 1.5}, "whole number"),
    "a short key": ({"mac_key": b"short"}, "at least 16 secret bytes, .* not 5 bytes"),
    "a text for a key": ({"mac_key": "x" * 32}, "not str"),
    "missing": ({"missing": "yes"}, "missing is True or False"),
    "a namespace": ({"namespace": b"x"}, "namespace is a printable text"),
    "a long namespace": ({"namespace": "x" * 101}, "up to 100"),
    "no timeout": ({"timeout": 0}, "timeout is 0.001 ... 10 seconds"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_setting_that_is_none_is_told(name):
    settings, message = WRONG[name]
    with pytest.raises(ConfigError, match=message):
        CacheConfig(**settings)


def test_a_setting_that_does_not_exist_is_told():
    with pytest.raises(UnknownSetting, match=r"tll is not a setting of CacheConfig: did you mean ttl\?"):
        CacheConfig(tll=5)


def test_a_key_is_never_shown():
    secret = b"sixteen secret b"
    assert "secret" not in repr(CacheConfig(mac_key=secret))
    assert "secret" not in repr(Cache(CacheConfig(mac_key=secret)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ttl", r"takes a CacheConfig: CacheConfig\(ttl=\.\.\.\) in the place of ttl=\.\.\."),
        ("tll", r"tll is not a setting of CacheConfig, which \w+ takes: did you mean ttl\?"),
    ],
)
def test_a_setting_that_belongs_into_the_config_is_told(setting, message):
    for make in (Cache, lambda **given: CachingPlugin(redis.Redis(), **given)):
        with pytest.raises(UnknownSetting, match=message):
            make(**{setting: 5})


def test_configs_are_shown_and_compared():
    config = CacheConfig(ttl=5, cacheable_operations=["get"], mac_key=b"sixteen secret b")
    assert repr(config) == "CacheConfig(cacheable_operations=['get'], ttl=5.0, mac_key=***)"
    assert repr(CacheConfig()) == "CacheConfig()"
    assert config == CacheConfig(ttl=5, cacheable_operations=("get",), mac_key=b"sixteen secret b") != CacheConfig()
    with pytest.raises(AttributeError):
        config.ttl = 10


@pytest.mark.parametrize("cache", [Cache(), CachingPlugin(redis.Redis())])
def test_a_cache_is_neither_pickled_nor_copied(cache):
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(InvalidUse, match=r"neither pickled nor copied: send its CacheConfig \(cache.config\)"):
            copied(cache)


@pytest.mark.parametrize("given", [{"ttl": 5}, 5, redis.Redis()])
def test_a_cache_takes_a_config(given):
    with pytest.raises(ConfigError, match="Cache takes a CacheConfig"):
        Cache(given)


@pytest.mark.parametrize("given", [None, "redis://localhost", CacheConfig(), redis.Redis, 6379])
def test_a_caching_plugin_takes_a_client(given):
    with pytest.raises(ConfigError, match="CachingPlugin takes a client"):
        CachingPlugin(given)


@pytest.mark.parametrize(
    ("face", "client", "right"),
    [(DB, redis.asyncio.Redis, r"redis\.Redis"), (AsyncDB, redis.Redis, r"redis\.asyncio\.Redis")],
)
@pytest.mark.parametrize("way", ["use", "extensions"])
def test_a_client_of_the_other_face_is_refused(face, client, right, way):
    config = Presets.local_development(endpoint="http://127.0.0.1:9")
    plugin = CachingPlugin(client())
    register = face(config).use if way == "use" else lambda one: face(config, extensions=(one,))
    with pytest.raises(ConfigError, match=rf"{face.__name__} needs a client of its own face: CachingPlugin\({right}"):
        register(plugin)


@pytest.mark.parametrize(("face", "client"), [(DB, redis.Redis), (AsyncDB, redis.asyncio.Redis)])
def test_a_client_of_the_same_face_is_taken_also_by_a_database_of_tenants(face, client):
    db = face(Presets.local_development(endpoint="http://127.0.0.1:9"))
    db.enable_multi_tenancy()
    db.use(CachingPlugin(client()))


def test_a_cluster_is_refused():
    class Cluster:
        def execute_command(self):
            """As of redis.RedisCluster."""

    with pytest.raises(ConfigError, match=r"a client of one Redis.*not Cluster"):
        DB(Presets.local_development(endpoint="http://127.0.0.1:9")).use(CachingPlugin(Cluster()))


def test_production_needs_a_key_for_redis():
    config = Presets.production(
        region="eu-west-1",
        credentials=Credentials("AKIAIOSFODNN7EXAMPLE", "x" * 40),
        cursor_key=b"c" * 32,
        account_id="123456789012",
    )
    with pytest.raises(ConfigError, match="in production needs CacheConfig"):
        DB(config).use(CachingPlugin(redis.Redis()))
    DB(config).use(CachingPlugin(redis.Redis(), CacheConfig(mac_key=b"k" * 16)))
    DB(config).use(Cache())


def test_a_cache_of_another_database_is_refused():
    cache = Cache()
    DB(Presets.local_development(endpoint="http://127.0.0.1:9")).use(cache)
    DB(Presets.local_development(endpoint="http://127.0.0.1:9")).use(cache)  # the same one
    with pytest.raises(ConfigError, match="in use for another database"):
        DB(Presets.local_development(endpoint="http://127.0.0.1:10")).use(cache)


def test_a_plugin_that_refuses_its_database_is_not_registered():
    class Picky:
        name = "picky"

        def joined(self, db):
            raise ConfigError(f"not {type(db).__name__} in {db.config.preset}")

        def around(self, call):
            raise AssertionError("it was not registered")

    db = DB(Presets.local_development(endpoint="http://127.0.0.1:9"))
    with pytest.raises(ConfigError, match="not DB in local_development"):
        db.use(Picky())
    db.use(Cache())
    with pytest.raises(ConfigError, match="not AsyncDB"):
        AsyncDB(db.config, extensions=(Picky(),))
