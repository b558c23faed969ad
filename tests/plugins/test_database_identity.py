"""What is kept of one database never comes into another one: another account, Region, endpoint or prefix."""

import asyncio

import pytest

from dynamorm import (
    DB,
    AsyncDB,
    Attr,
    BatchConfig,
    Cache,
    CacheConfig,
    CachingPlugin,
    Config,
    Credentials,
    Model,
    attr,
    partition_key,
)
from dynamorm.errors import ConfigError
from dynamorm.faces.batch_items import BatchItems
from dynamorm.plugins.batcher.spool import Spool

from .batcher_kit import Event, Service, scripted

pytestmark = pytest.mark.engine

SECRET = b"a secret of 32 bytes, or nearly.."
FIRST, SECOND = Credentials("111111111111", "s"), Credentials("222222222222", "s")


class Item(Model, table="identity-items"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


MODELS = []

OTHERS = {
    "an account": {"credentials": SECOND},
    "a Region": {"region": "eu-west-3"},
    "a prefix": {"table_prefix": "identity-other-"},
}


@pytest.fixture
def two(open_db, engine):
    """Two databases that differ in one setting, and have a table each."""

    def opened(name, make):
        settings = {"credentials": FIRST, "region": "us-east-1", "table_prefix": "identity-"}
        found = []
        for more in ({}, OTHERS[name]):
            db = open_db(engine.endpoint, extensions=(make(),), **(settings | more))
            db.tables.ensure(Item)
            found.append(db)
        return found

    return opened


# ------------------------------------------------------------------------------------------------------------- the cache


@pytest.mark.parametrize("name", OTHERS)
def test_redis_gives_no_answer_of_another_database(name, two, redis, face_kind, key):
    one, other = two(
        name, lambda: CachingPlugin(redis.client(face_kind), CacheConfig(mac_key=SECRET, settle=0.0, timeout=2.0))
    )
    one.put(Item(id=key, text="of one"))
    assert one.get(Item, key).text == "of one"
    theirs = other.get(Item, key, consistent=True)  # what is there: an answer that was kept is never given for that
    assert other.get(Item, key) == theirs
    if theirs is None:  # DynamoDB Local has one database for all of them
        other.put(Item(id=key, text="of the other"))
        assert (one.get(Item, key).text, other.get(Item, key).text) == ("of one", "of the other")


def test_redis_is_shared_by_the_same_database(redis, open_db, engine, face_kind, key):
    caches = [
        CachingPlugin(redis.client(face_kind), CacheConfig(mac_key=SECRET, settle=0.0, timeout=2.0)) for _ in range(2)
    ]
    one, other = (
        open_db(engine.endpoint, extensions=(cache,), credentials=FIRST, table_prefix="identity-") for cache in caches
    )
    one.tables.ensure(Item)
    one.put(Item(id=key, text="of both"))
    assert one.get(Item, key).text == other.get(Item, key).text == "of both"
    assert caches[1].stats().hits == 1


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("memory", [True, False])
def test_a_shared_cache_refuses_another_database(name, memory, two, face_kind, redis):
    cache = Cache() if memory else CachingPlugin(redis.client(face_kind), CacheConfig(mac_key=SECRET))
    with pytest.raises(ConfigError, match="in use for another database"):
        two(name, lambda: cache)


@pytest.mark.parametrize("profile", ["p", None])
def test_a_shared_cache_refuses_the_same_profile_of_other_files(profile, engine, face_kind, tmp_path, monkeypatch):
    """In each file the profile has the key of another account, and the engine a database for each key."""
    cache = Cache()
    face = {"blocking": DB, "asyncio": AsyncDB}[face_kind]
    settings = {"endpoint": engine.endpoint, "region": "us-east-1", "allow_insecure_local": True}

    def opened(name):
        file = tmp_path / name
        file.write_text(f"[{profile or 'default'}]\naws_access_key_id = {name}\naws_secret_access_key = s\n")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        return face(Config(**settings, profile=profile))

    opened("one").use(cache)
    with pytest.raises(ConfigError, match="in use for another database"):
        opened("two").use(cache)
    opened("one").use(cache)


def test_a_named_account_may_exchange_its_keys_and_share_a_cache(open_db, engine, key):
    cache = Cache(CacheConfig(settle=0.0))
    # The engine has a database for each access key, so the second one shows whose answer it was.
    one, other = (
        open_db(
            engine.endpoint,
            extensions=(cache,),
            credentials=one,
            account_id="123456789012",
            table_prefix="identity-",
        )
        for one in (FIRST, SECOND)
    )
    one.tables.ensure(Item)
    one.put(Item(id=key, text="kept"))
    assert one.get(Item, key).text == "kept"
    assert other.get(Item, key).text == "kept"


def on_aws(face, **settings):
    return face(Config(region="eu-west-1", credentials=Credentials("AKIAONE", "secret"), **settings))


def test_redis_on_aws_needs_an_account_or_a_namespace(open_db, engine, redis, face_kind):
    face = type(open_db(engine.endpoint).inner)

    def use(space="", **settings):
        config = CacheConfig(mac_key=SECRET, namespace=space)
        on_aws(face, **settings).use(CachingPlugin(redis.client(face_kind), config))

    with pytest.raises(ConfigError, match=r"a cache in Redis .*namespace.* outlives this process.*account_id"):
        use()
    use("payments")
    use(account_id="123456789012")
    on_aws(face).use(Cache())  # in memory nothing outlives the process


# ------------------------------------------------------------------------------------------------------------- the spool


def left_by(kind, config, **settings):
    """A spool of a process that was killed before it sent its item; and how it looks on the disk."""
    here = scripted(kind, Service(), **settings)
    items = BatchItems(here.session)
    items.spooled(())
    spool = Spool(config.path, None)
    spool.sync(spool.add(items.record(items.put(Event(id="e1")))))
    spool.abandon()
    here.db.close()
    return contents(config)


def contents(config):
    return [path.read_bytes() for path in sorted(config.path.glob("*.spool")) if path.read_bytes().count(b"\n") > 1]


@pytest.fixture
def config(tmp_path):
    return BatchConfig(parallelism=1, max_wait=0.02, spool_dir=tmp_path / "spool")


ELSEWHERE = {
    "an account": {"credentials": SECOND},
    "a Region": {"region": "eu-west-3"},
    "an endpoint": {"endpoint": "http://127.0.0.1:10"},
    "a prefix": {"table_prefix": "other-"},
}


def replayed(here, config):
    with here.db.new_batcher(config) as batcher:
        return batcher.close().count


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_spool_is_refused_by_another_database(name, config, face_kind):
    settings = {"credentials": FIRST}
    left = left_by(face_kind, config, **settings)
    service = Service()
    other = scripted(face_kind, service, **(settings | ELSEWHERE[name]))
    with pytest.raises(ConfigError, match="the spool holds items for the database"):
        replayed(other, config)
    assert service.operations == []
    assert contents(config) == left
    right = scripted(face_kind, service, **settings)
    assert replayed(right, config) == 1
    assert set(service.stored()) == {"e1"}
    for one in (other, right):
        one.db.close()


def test_a_spool_outlives_the_keys_of_a_named_account(config, face_kind):
    left_by(face_kind, config, credentials=FIRST, account_id="123456789012")
    service = Service()
    here = scripted(face_kind, service, credentials=SECOND, account_id="123456789012")
    assert replayed(here, config) == 1
    assert set(service.stored()) == {"e1"}
    here.db.close()


def test_a_spool_on_aws_needs_an_account(config, open_db, engine):
    face = type(open_db(engine.endpoint).inner)

    async def opened(**settings):  # a batcher of asyncio is made within a loop
        return on_aws(face, **settings).new_batcher(config)

    with pytest.raises(ConfigError, match=r"a spool outlives this process.*Config\(account_id='123456789012'\)"):
        asyncio.run(opened())
    assert not config.path.exists()
    asyncio.run(opened(account_id="123456789012"))._work.over()
